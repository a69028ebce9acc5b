"""Gemma Scope 2: JumpReLU SAEs, transcoders and cross-layer transcoders of Gemma 3.

    resid_post/layer_12_width_16k_l0_medium/config.json   architecture "jump_relu", type, l0,
        model_name, hf_hook_point_in, hf_hook_point_out, affine_connection
    .../params.safetensors   w_enc [d, F], w_dec [F, d], b_enc [F], b_dec [d], threshold [F],
        affine_skip_connection [d_in, d_out]?

    a = relu(pre) where pre = x w_enc + b_enc > threshold
    y = a w_dec + b_dec (+ x affine_skip_connection, not transposed)

    clt/width_262k_l0_medium_affine/params_layer_i.safetensors   one file for each layer, with
        w_dec [F, L, d]: entry m is what features of layer i add to layer m, 0 for m < i

Every file params_layer_0 ... params_layer_{L-1} is a layer of the model; the last one is easily
lost by counting to the largest number. The number of layers is checked against w_dec.
"""

from __future__ import annotations

import re
from pathlib import Path

from torch import Tensor

from interp_widgets.dictionaries.coder import SparseCoder
from interp_widgets.dictionaries.cross_layer import CrossLayerTranscoder
from interp_widgets.dictionaries.errors import DictionaryError
from interp_widgets.dictionaries.formats import folding, hooks
from interp_widgets.dictionaries.formats.settings import Settings
from interp_widgets.dictionaries.formats.weights_file import Weights
from interp_widgets.dictionaries.layers import SITES, Layer
from interp_widgets.dictionaries.rows import Rows

name = "Gemma Scope 2 (params.safetensors or params_layer_i.safetensors)"
files = ("params*.safetensors", "config.json")

_WEIGHTS, _CONFIG = "params.safetensors", "config.json"
_LAYER = re.compile(r"params_layer_(\d{1,4})\.safetensors", re.ASCII)
# How much of a feature's decoder may lie below its own layer, of its squared length.
_BELOW = 1e-4


def matches(folder: Path) -> bool:
    return (folder / _WEIGHTS).exists() or any(folder.glob("params_layer_*.safetensors"))


def load(folder: Path, scan: str, lazy: bool | None = None) -> SparseCoder | CrossLayerTranscoder:
    if (folder / _WEIGHTS).exists():
        settings = Settings.read(folder / _CONFIG)
        return coder(settings, Weights(folder / _WEIGHTS, lazy), scan)
    numbers = {int(m[1]): m[0] for p in folder.iterdir() if (m := _LAYER.fullmatch(p.name))}
    for index in range(len(numbers)):
        if index not in numbers:
            raise DictionaryError(f"{folder} lacks params_layer_{index}.safetensors.")
    path = folder / _CONFIG
    settings = Settings.read(path) if path.exists() else Settings(path, {})
    files = [Weights(folder / numbers[index], lazy) for index in range(len(numbers))]
    return cross_layer(settings, files, scan)


def coder(settings: Settings, weights: Weights, scan: str) -> SparseCoder:
    """The SAE or transcoder that settings and weights describe."""
    settings.one_of("architecture", ("jump_relu",))
    layer = _layer(weights, weights.rows("w_dec"))
    affine = settings.flag("affine_connection", layer.skip is not None)
    if affine != (layer.skip is not None):
        raise settings.wrong("affine_connection", f"{str(not affine).lower()}, as the weights say")
    reads = hooks.place(settings.text("hf_hook_point_in"), settings.path)
    out = settings.maybe("hf_hook_point_out")
    writes = reads if out is None else hooks.place(out, settings.path)
    model = _model_name(settings)
    return SparseCoder(layer, reads, writes, scan, model, declared=_declared(settings))


def cross_layer(settings: Settings, files: list[Weights], scan: str) -> CrossLayerTranscoder:
    """The cross-layer transcoder in one file for each layer."""
    kind = settings.text("type", "clt")
    if kind != "clt" or "crosscoder" in files[0].path.as_posix():
        raise DictionaryError(
            f"{files[0].path.parent} is a {kind if kind != 'clt' else 'crosscoder'}; of what comes "
            "in one file for each layer only cross-layer transcoders are read."
        )
    layers = []
    for index, weights in enumerate(files):
        decoder = weights.matrix("w_dec", dimensions=3)
        if decoder.shape[1] != len(files):
            raise DictionaryError(
                f"{weights.source('w_dec')} writes to {decoder.shape[1]} layers, but there are "
                f"files for {len(files)}."
            )
        _check_reach(decoder, index, weights)
        layers.append(_layer(weights, weights.as_rows(decoder[:, index:], "w_dec")))
    return CrossLayerTranscoder(
        tuple(layers),
        _hook(settings, "hf_hook_point_in", "mlp.hook_in"),
        _hook(settings, "hf_hook_point_out", "hook_mlp_out"),
        scan,
        _model_name(settings),
        _declared(settings),
    )


def _layer(weights: Weights, decoder: Rows) -> Layer:
    encoder = weights.rows("w_enc", transposed=True)
    skip = "affine_skip_connection"
    layer = Layer(
        source=str(weights.path),
        encoder=encoder,
        decoder=decoder,
        encoder_bias=weights.take("b_enc"),
        decoder_bias=weights.take("b_dec"),
        activation=folding.jump_relu(weights.take("threshold"), weights.source("threshold")),
        skip=weights.matrix(skip).T.clone() if weights.has(skip) else None,
    )
    weights.finish()
    return layer


def _check_reach(decoder: Tensor, index: int, weights: Weights) -> None:
    """What a feature adds to layers below its own must be nothing, or the layers are miscounted."""
    some = decoder[:256].float()
    if float(some[:, :index].square().sum()) > _BELOW * float(some.square().sum()):
        raise DictionaryError(
            f"{weights.source('w_dec')} writes to layers below {index}, the layer in its name."
        )


def _hook(settings: Settings, key: str, default: str) -> str:
    """circuit-tracer's word for the one site that a list of hooks (or one) names."""
    if not settings.has(key):
        return default
    value = settings.values[key]
    names = settings.texts(key) if isinstance(value, list) else [settings.text(key)]
    sites = {hooks.place(entry, settings.path).site for entry in names}
    words = {site: word for word, site in SITES.items()}
    if len(sites) != 1 or not sites <= words.keys():
        raise settings.wrong(key, "one site of the MLPs")
    return words[sites.pop()]


def _model_name(settings: Settings) -> str | None:
    model = settings.maybe("model_name")
    return model if model is None or "/" in model else f"google/{model}"


def _declared(settings: Settings) -> dict[str, float | str]:
    declared: dict[str, float | str] = {"format": "Gemma Scope 2", "architecture": "jumprelu"}
    if settings.has("l0"):
        declared["l0"] = settings.number("l0")
    hook = settings.values.get("hf_hook_point_in")
    return declared | {"hook": hook} if isinstance(hook, str) else declared
