"""Our own layout: everything a dictionary holds, in float32, float16, bfloat16 or int8.

    config.json               format, version, kind, scan, model_name, declared; `reads` and
                              `writes` (one coder: {layer, site}; a model's: circuit-tracer's word);
                              norm; activations, one for each layer: {kind, k?, relu?, skip}
    features_i.safetensors    layer i (one coder: its place's layer): encoder [F, d], decoder [F, d]
                              or [F, targets, d], encoder_bias [F], decoder_bias [d], skip [d, d]?
                              (y += x skip^T), threshold [F]? or scale, shift [F]?
    labels.json               names of features, where there are any

In int8, a matrix NAME is whole numbers of -127 .. 127 and NAME.scale [..] (float32) has one factor
for each of its vectors [.., d]; biases and thresholds stay float32.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from interp_widgets.dictionaries.activations import (
    Activation,
    Gated,
    JumpReLU,
    ReLU,
    TopK,
    parameters,
)
from interp_widgets.dictionaries.coder import InputNorm, SparseCoder
from interp_widgets.dictionaries.cross_layer import CrossLayerTranscoder
from interp_widgets.dictionaries.errors import DictionaryError
from interp_widgets.dictionaries.formats.settings import Settings
from interp_widgets.dictionaries.formats.weights_file import FLOATS, Weights
from interp_widgets.dictionaries.formats.writing import write_folder, write_tensors
from interp_widgets.dictionaries.layers import SITES, Layer
from interp_widgets.dictionaries.rows import Rows, finite, quantised
from interp_widgets.dictionaries.transcoder import Transcoders
from interp_widgets.models.places import SITES as PLACES
from interp_widgets.models.places import Place

name = "interp_widgets (config.json beside features_i.safetensors)"
files = ("features_*.safetensors", "config.json", "labels.json")

Dtype = Literal["float32", "float16", "bfloat16", "int8"]

_CONFIG, _FORMAT, _VERSION = "config.json", "interp_widgets.dictionary", 1
_CODER, _SET, _CROSS = "coder", "transcoders", "cross-layer transcoder"
_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
_MATRICES = ("encoder", "decoder", "skip")
_NORMS = ("none", "constant_norm", "layer_norm")
_SITES = tuple(str(site) for site in PLACES)


def matches(folder: Path) -> bool:
    return any(folder.glob("features_*.safetensors"))


def load(
    folder: Path, scan: str, lazy: bool | None = None
) -> SparseCoder | Transcoders | CrossLayerTranscoder:
    settings = Settings.read(folder / _CONFIG)
    settings.one_of("format", (_FORMAT,))
    if settings.values.get("version") != _VERSION:
        raise DictionaryError(
            f"{settings.path}: a newer interp_widgets wrote this dictionary: update the package."
        )
    kind = settings.one_of("kind", (_CODER, _SET, _CROSS))
    described = _described(settings)
    scan, model_name = settings.text("scan", scan), settings.maybe("model_name")
    declared = _declared(settings)
    if kind == _CODER:
        reads, writes = _place(settings, "reads"), _place(settings, "writes")
        if len(described) != 1:
            raise settings.wrong("activations", "one, since there is one coder")
        norm: InputNorm = settings.one_of("norm", _NORMS, default="none")  # type: ignore[assignment]
        layer = _read(folder, reads.layer, described[0], lazy)
        return SparseCoder(layer, reads, writes, scan, model_name, norm, declared)
    layers = tuple(_read(folder, i, words, lazy) for i, words in enumerate(described))
    hooks = (settings.one_of("reads", tuple(SITES)), settings.one_of("writes", tuple(SITES)))
    together = Transcoders if kind == _SET else CrossLayerTranscoder
    return together(layers, *hooks, scan, model_name, declared)


def save(
    dictionary: SparseCoder | Transcoders | CrossLayerTranscoder,
    folder: str | Path,
    dtype: Dtype | None = None,
) -> None:
    """Writes a dictionary to a new or empty folder.

    Args:
        dtype: what weights are stored as; None: as they are held, bit for bit.
    """
    if dtype is not None and dtype not in (*_DTYPES, "int8"):
        raise DictionaryError(f"Weights are stored as {', '.join(_DTYPES)} or int8, not {dtype!r}.")
    layers, config = _layers(dictionary), _config(dictionary)

    def fill(target: Path) -> None:
        for index, layer in layers.items():
            path = target / f"features_{index}.safetensors"
            write_tensors(path, _tensors(layer, dtype))
        text = json.dumps(config, indent=1, ensure_ascii=False, allow_nan=False)
        (target / _CONFIG).write_text(text + "\n", encoding="utf-8")

    write_folder(folder, fill, dictionary)


def _layers(dictionary: SparseCoder | Transcoders | CrossLayerTranscoder) -> dict[int, Layer]:
    """What is written, by the number in the file's name."""
    if isinstance(dictionary, SparseCoder):
        return {dictionary.reads.layer: dictionary.weights}
    return dict(enumerate(dictionary.layers))


def _config(dictionary: SparseCoder | Transcoders | CrossLayerTranscoder) -> dict[str, Any]:
    about: dict[str, Any] = {"format": _FORMAT, "version": _VERSION}
    if isinstance(dictionary, SparseCoder):
        about |= {
            "kind": _CODER,
            "reads": vars(dictionary.reads),
            "writes": vars(dictionary.writes),
        }
        about["norm"] = dictionary.norm
    else:
        about["kind"] = _SET if isinstance(dictionary, Transcoders) else _CROSS
        about |= {"reads": dictionary.input_hook, "writes": dictionary.output_hook}
    return about | {
        "scan": dictionary.scan,
        "model_name": dictionary.model_name,
        "declared": dict(dictionary.declared),
        "activations": [
            _words(layer.activation) | {"skip": layer.skip is not None}
            for layer in _layers(dictionary).values()
        ],
    }


def _words(activation: Activation) -> dict[str, str | int | bool]:
    match activation:
        case TopK(k, relu):
            return {"kind": "topk", "k": k, "relu": relu}
        case JumpReLU():
            return {"kind": "jumprelu"}
        case Gated():
            return {"kind": "gated"}
    return {"kind": "relu"}


def _tensors(layer: Layer, dtype: Dtype | None) -> dict[str, Tensor]:
    tensors = {
        "encoder": layer.encoder.whole(),
        "decoder": layer.decoder.whole(),
        "encoder_bias": layer.encoder_bias,
        "decoder_bias": layer.decoder_bias,
        **parameters(layer.activation),
    }
    if layer.skip is not None:
        tensors["skip"] = layer.skip
    if dtype is None:
        return tensors
    if dtype != "int8":
        changed = {key: tensor.to(_DTYPES[dtype]) for key, tensor in tensors.items()}
        return {key: finite(tensor, f"{layer.source}: {key}") for key, tensor in changed.items()}
    written: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        if key in _MATRICES:
            written[key], written[f"{key}.scale"] = quantised(tensor)
        else:
            written[key] = tensor.float()
    return written


def _read(folder: Path, index: int, words: Settings, lazy: bool | None) -> Layer:
    path = folder / f"features_{index}.safetensors"
    weights = Weights(path, lazy, integers=_MATRICES)
    has_skip = words.flag("skip", weights.has("skip"))
    layer = Layer(
        source=str(path),
        encoder=_rows(weights, "encoder"),
        decoder=_rows(weights, "decoder"),
        encoder_bias=weights.take("encoder_bias"),
        decoder_bias=weights.take("decoder_bias"),
        activation=_activation(words, weights),
        skip=_rows(weights, "skip", held=True).whole() if has_skip else None,
    )
    weights.finish()
    return layer


def _rows(weights: Weights, key: str, held: bool = False) -> Rows:
    """A matrix, int8 or not; int8 in memory is brought to float32, on disk it is left as it is."""
    scale_key = f"{key}.scale"
    tensor, source = weights.stored(key), weights.source(key)
    if tensor.dtype in FLOATS:
        return Rows.hold(tensor.clone(), source) if held else weights.as_rows(tensor, key)
    if tensor.dtype != torch.int8:
        raise DictionaryError(
            f"{source} is stored as {tensor.dtype}, expected a float type or int8."
        )
    scale = weights.take(scale_key)
    weights.expect(scale_key, scale, list(tensor.shape[:-1]))
    rows = Rows.map(tensor, source, finite(scale, weights.source(scale_key)).float())
    return rows if weights.lazy and not held else Rows.hold(rows.whole(), source)


def _described(settings: Settings) -> list[Settings]:
    listed = settings.values.get("activations")
    if not (isinstance(listed, list) and listed and all(isinstance(v, dict) for v in listed)):
        raise settings.wrong("activations", "a list with one object for each layer")
    return [
        Settings(settings.path, words, f"activations[{index}].")
        for index, words in enumerate(listed)
    ]


def _activation(words: Settings, weights: Weights) -> Activation:
    match words.one_of("kind", ("relu", "jumprelu", "topk", "gated")):
        case "topk":
            return TopK(words.whole("k"), words.flag("relu"))
        case "jumprelu":
            return JumpReLU(weights.take("threshold"))
        case "gated":
            return Gated(weights.take("scale"), weights.take("shift"))
    return ReLU()


def _place(settings: Settings, key: str) -> Place:
    words = settings.section(key)
    site, layer = words.one_of("site", _SITES), words.values.get("layer")
    if isinstance(layer, bool) or not isinstance(layer, int) or not 0 <= layer < 10**5:
        raise words.wrong("layer", "the number of a layer")
    return Place(layer, site)  # type: ignore[arg-type]


def _declared(settings: Settings) -> Mapping[str, float | str]:
    section = settings.section("declared")
    for key, value in section.values.items():
        if isinstance(value, bool) or not isinstance(value, float | int | str):
            raise section.wrong(key, "a number or text")
    return section.values
