"""Llama Scope (He et al. 2024): SAEs and transcoders of Llama 3.1, as lm-saes wrote them.

    Llama3_1-8B-Base-L15R-8x/hyperparams.json               d_model, d_sae, act_fn,
        jump_relu_threshold, top_k, norm_activation, dataset_average_activation_norm {in, out},
        sparsity_include_decoder_norm, apply_decoder_bias_to_pre_encoder, hook_point_in, ..._out
    Llama3_1-8B-Base-L15R-8x/checkpoints/final.safetensors  encoder.weight [F, d], encoder.bias
        [F], decoder.weight [d, F], decoder.bias [d]

The weights are those of training, on inputs and outputs scaled to a norm of sqrt(d) on average:
with s_in = sqrt(d) / norm_in and s_out likewise, lm-saes first undoes the scales,

    b_enc / s_in,  W_dec s_in / s_out,  b_dec / s_out

then measures features in units of their decoder's norm (W_enc |W_dec|, b_enc |W_dec|,
W_dec / |W_dec|), and its one threshold is meant in these units. Read in lm-saes' sae.py at
commit 4ec6f0a ("Llama Scope SAEs"), the code that wrote and read these files.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from interp_widgets.dictionaries.activations import Activation, ReLU, TopK
from interp_widgets.dictionaries.coder import InputNorm, SparseCoder
from interp_widgets.dictionaries.formats import folding, hooks
from interp_widgets.dictionaries.formats.settings import Settings
from interp_widgets.dictionaries.formats.weights_file import Weights
from interp_widgets.dictionaries.layers import Layer

name = "Llama Scope (hyperparams.json and checkpoints/final.safetensors)"
files = ("hyperparams.json", "checkpoints/final.safetensors")

_CONFIG, _WEIGHTS = "hyperparams.json", "checkpoints/final.safetensors"
_NORMS: dict[str, InputNorm] = {
    "dataset-wise": "none",
    "inference": "none",
    "none": "none",
    "token-wise": "constant_norm",
}


def matches(folder: Path) -> bool:
    return (folder / _CONFIG).exists() or (folder / _WEIGHTS).exists()


def load(folder: Path, scan: str, lazy: bool | None = None) -> SparseCoder:
    return dictionary(Settings.read(folder / _CONFIG), Weights(folder / _WEIGHTS, lazy), scan)


def dictionary(settings: Settings, weights: Weights, scan: str) -> SparseCoder:
    """The dictionary that settings and weights describe."""
    if settings.flag("use_glu_encoder", False):
        raise settings.wrong("use_glu_encoder", "false (a gated linear encoder is not read)")
    decoder = weights.rows("decoder.weight", transposed=True)
    layer = Layer(
        source=str(weights.path),
        encoder=weights.rows("encoder.weight"),
        decoder=decoder,
        encoder_bias=weights.take("encoder.bias"),
        decoder_bias=(
            weights.take("decoder.bias")
            if settings.flag("use_decoder_bias", True)
            else torch.zeros(decoder.shape[-1])
        ),
        activation=ReLU(),
    )
    weights.finish()
    layer.expect_decoder()
    for key, found in (("d_model", layer.d_model), ("d_sae", layer.n_features)):
        if settings.whole(key) != found:
            raise settings.wrong(key, f"{found}, the size of the weights")
    norm = settings.one_of("norm_activation", tuple(_NORMS), default="dataset-wise")
    if norm == "dataset-wise":
        averages, root = settings.section("dataset_average_activation_norm"), layer.d_model**0.5
        s_in, s_out = root / averages.positive("in"), root / averages.positive("out")
        layer = replace(layer, encoder_bias=layer.encoder_bias.float() / s_in)
        layer = folding.scale_output(layer, 1 / s_out)
        layer = replace(layer, decoder=layer.decoder.scaled(torch.full([layer.n_features], s_in)))
    activation, declared = _activation(settings, layer)
    if settings.flag("sparsity_include_decoder_norm", True):
        layer = folding.scale_features(layer, folding.decoder_norms(layer), activation)
    else:
        layer = replace(layer, activation=activation)
    reads = hooks.place(settings.text("hook_point_in"), settings.path)
    out = settings.maybe("hook_point_out")
    writes = reads if out is None else hooks.place(out, settings.path)
    if settings.flag("apply_decoder_bias_to_pre_encoder", False):
        layer = folding.subtract_from_input(layer, layer.decoder_bias)
    model = settings.maybe("model_name") or _model_of(f"{scan}/{settings.path}")
    return SparseCoder(layer, reads, writes, scan, model, _NORMS[norm], declared)


def _activation(settings: Settings, layer: Layer) -> tuple[Activation, dict[str, float | str]]:
    kind = settings.one_of("act_fn", ("jumprelu", "topk", "relu"))
    declared: dict[str, float | str] = {
        "format": "Llama Scope",
        "architecture": kind,
        "hook": settings.text("hook_point_in"),
    }
    if settings.has("top_k"):
        # Trained with k features; the threshold was chosen for as many on average.
        declared |= {"k": float(settings.whole("top_k")), "l0": float(settings.whole("top_k"))}
    has_threshold = settings.has("jump_relu_threshold")
    threshold = settings.number("jump_relu_threshold") if has_threshold else 0.0
    # lm-saes reads a TopK dictionary with a threshold as JumpReLU.
    if kind == "jumprelu" or (kind == "topk" and threshold > 0):
        values = torch.full([layer.n_features], settings.number("jump_relu_threshold"))
        return folding.jump_relu(values, str(settings.path)), declared
    if kind == "topk":
        return TopK(settings.whole("top_k"), relu=True), declared
    return ReLU(), {key: value for key, value in declared.items() if key not in ("k", "l0")}


def _model_of(path: str) -> str | None:
    """The files name no model; the released folders do."""
    return "meta-llama/Llama-3.1-8B" if "Llama3_1-8B-Base" in path else None
