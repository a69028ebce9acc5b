"""Writes dictionaries in the layout of SAELens 6; a model's transcoders as a folder for each layer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from interp_widgets.dictionaries.activations import Gated, JumpReLU, ReLU, TopK
from interp_widgets.dictionaries.coder import SparseCoder
from interp_widgets.dictionaries.cross_layer import CrossLayerTranscoder
from interp_widgets.dictionaries.errors import DictionaryError
from interp_widgets.dictionaries.formats import hooks
from interp_widgets.dictionaries.formats.saelens.reader import CONFIG, NORMS, WEIGHTS, dtype_name
from interp_widgets.dictionaries.formats.writing import write_folder, write_tensors
from interp_widgets.dictionaries.layers import Layer
from interp_widgets.dictionaries.transcoder import Transcoders

# The layout is that of this version; SAELens reads files without one as older than 6.
_VERSION = "6.54.0"


def save(dictionary: SparseCoder | Transcoders | CrossLayerTranscoder, folder: str | Path) -> None:
    """Writes a coder to a new or empty folder, or transcoders to folders layer_0, layer_1, ... in it.

    Raises DictionaryError for what SAELens has no class for: cross-layer transcoders, TopK
    without a ReLU, TopK and gated transcoders, thresholds below 0.
    """
    if isinstance(dictionary, CrossLayerTranscoder):
        raise DictionaryError(
            f"{dictionary.scan} is a cross-layer transcoder, which SAELens has no layout for."
        )
    coders = {"": dictionary} if isinstance(dictionary, SparseCoder) else {
        f"layer_{index}": dictionary.coder(index) for index in range(dictionary.n_layers)
    }  # fmt: skip
    written = {part: (_config(coder), _tensors(coder)) for part, coder in coders.items()}

    def fill(target: Path) -> None:
        for part, (config, tensors) in written.items():
            (target / part).mkdir(exist_ok=True)
            write_tensors(target / part / WEIGHTS, tensors)
            text = json.dumps(config, indent=1, ensure_ascii=False, allow_nan=False)
            (target / part / CONFIG).write_text(text + "\n", encoding="utf-8")

    write_folder(folder, fill, dictionary)


def _config(coder: SparseCoder) -> dict[str, Any]:
    layer, kind = coder.weights, coder.kind
    norms = {norm: word for word, norm in NORMS.items()}
    config: dict[str, Any] = {
        "architecture": _architecture(coder),
        "d_in": layer.d_model,
        "d_sae": layer.n_features,
        "dtype": dtype_name(layer.dtype),
        "device": "cpu",
        "apply_b_dec_to_input": False,
        "normalize_activations": norms[coder.norm],
        "reshape_activations": "hook_z" if coder.reads.site == "attn_z" else "none",
        "metadata": {
            "sae_lens_version": _VERSION,
            "model_name": coder.model_name,
            "hook_name": hooks.name_of(coder.reads),
        },
    }
    if isinstance(layer.activation, TopK):
        config |= {"k": layer.activation.k, "rescale_acts_by_decoder_norm": False}
    if kind != "SAE":
        config["d_out"] = layer.d_model
        config["metadata"]["hook_name_out"] = hooks.name_of(coder.writes)
    return config


def _architecture(coder: SparseCoder) -> str:
    activation, scan = coder.weights.activation, coder.scan
    if isinstance(activation, JumpReLU) and bool((activation.threshold < 0).any()):
        raise DictionaryError(
            f"{scan} has thresholds below 0, where SAELens cuts negative activations off."
        )
    if isinstance(activation, TopK) and not activation.relu:
        raise DictionaryError(f"{scan} keeps negative activations, which SAELens' TopK cuts off.")
    if isinstance(activation, Gated) and bool((activation.scale <= 0).any()):
        raise DictionaryError(
            f"{scan} has gates of scale 0 or below, but SAELens stores logarithms."
        )
    if coder.kind == "SAE":
        match activation:
            case ReLU():
                return "standard"
            case JumpReLU():
                return "jumprelu"
            case TopK():
                return "topk"
            case Gated():
                return "gated"
    if isinstance(activation, TopK | Gated):
        raise DictionaryError(
            f"{scan} is a {type(activation).__name__} transcoder, but SAELens has ReLU and JumpReLU "
            "transcoders only."
        )
    middle = "skip_" if coder.kind == "skip transcoder" else ""
    return f"{'jumprelu_' if isinstance(activation, JumpReLU) else ''}{middle}transcoder"


def _tensors(coder: SparseCoder) -> dict[str, Tensor]:
    layer: Layer = coder.weights
    tensors = {
        "W_enc": layer.encoder.whole().T,
        "W_dec": layer.decoder.whole(),
        "b_dec": layer.decoder_bias,
    }
    match layer.activation:
        case Gated(scale, shift):
            b_mag = shift + layer.encoder_bias * scale
            tensors |= {"b_gate": layer.encoder_bias, "b_mag": b_mag, "r_mag": torch.log(scale)}
        case JumpReLU(threshold):
            tensors |= {"b_enc": layer.encoder_bias, "threshold": threshold}
        case _:
            tensors["b_enc"] = layer.encoder_bias
    if layer.skip is not None:
        tensors["W_skip"] = layer.skip
    return tensors
