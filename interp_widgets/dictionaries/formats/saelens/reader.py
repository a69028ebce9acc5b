"""Reads a SAELens folder; the layout is told in this package's `__init__`."""

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

CONFIG, WEIGHTS = "cfg.json", "sae_weights.safetensors"

NORMS: dict[str, InputNorm] = {
    "none": "none",
    "constant_norm_rescale": "constant_norm",
    "layer_norm": "layer_norm",
}
# By architecture: the nonlinearity. Names of training architectures are those of what they save.
_SAES = {
    "standard": "relu",
    "topk": "topk",
    "jumprelu": "jumprelu",
    "batchtopk": "jumprelu",
    "matryoshka_batchtopk": "jumprelu",
    "gated": "gated",
}
_TRANSCODERS = {
    "transcoder": "relu",
    "skip_transcoder": "relu",
    "jumprelu_transcoder": "jumprelu",
    "jumprelu_skip_transcoder": "jumprelu",
}


def load(folder: Path, scan: str, lazy: bool | None = None) -> SparseCoder:
    return dictionary(Settings.read(folder / CONFIG), Weights(folder / WEIGHTS, lazy), scan)


def dictionary(settings: Settings, weights: Weights, scan: str) -> SparseCoder:
    """The dictionary that settings and weights describe."""
    known = (*_SAES, *_TRANSCODERS)
    architecture = settings.one_of("architecture", known, default="standard")
    kind = {**_SAES, **_TRANSCODERS}[architecture]
    if _older_activation(settings) == "topk":
        kind = "topk"
    layer = _layer(settings, weights, kind, skip="skip" in architecture)
    for key, found in (("d_in", layer.d_model), ("d_sae", layer.n_features)):
        if settings.has(key) and settings.whole(key) != found:
            raise settings.wrong(key, f"{found}, the size of the weights")
    transcodes = architecture in _TRANSCODERS
    # SAELens takes a missing setting as true for SAEs, and true as an error for transcoders.
    if settings.flag("apply_b_dec_to_input", not transcodes):
        if transcodes:
            raise settings.wrong("apply_b_dec_to_input", "false for a transcoder")
        layer = folding.subtract_from_input(layer, layer.decoder_bias)
    about = settings.section("metadata")
    about = about if about.has("hook_name") else settings
    for key in ("hook_head_index", "hook_point_head_index"):
        if about.has(key):
            raise about.wrong(key, "none (dictionaries of one head are not read)")
    hook = about.maybe("hook_name", "hook_point") or about.text("hook_name")
    reads = hooks.place(about.maybe("hf_hook_name") or hook, settings.path)
    writes = reads
    if transcodes:
        out = about.maybe("hf_hook_name_out", "hook_name_out", "hook_point_out")
        writes = hooks.place(out or about.text("hook_name_out"), settings.path)
    declared: dict[str, float | str] = {"format": "SAELens", "architecture": architecture}
    declared["hook"] = hook
    if isinstance(layer.activation, TopK):
        declared["k"] = float(layer.activation.k)
    return SparseCoder(
        layer, reads, writes, scan, about.maybe("model_name"), _norm(settings), declared
    )


def _layer(settings: Settings, weights: Weights, kind: str, skip: bool) -> Layer:
    encoder = weights.rows("W_enc", transposed=True)
    layer = Layer(
        source=str(weights.path),
        encoder=encoder,
        decoder=weights.rows("W_dec"),
        encoder_bias=weights.take("b_gate" if kind == "gated" else "b_enc"),
        decoder_bias=weights.take("b_dec"),
        activation=ReLU(),
        skip=weights.take("W_skip") if skip else None,
    )
    layer.expect_decoder()
    activation: Activation = ReLU()
    if kind == "jumprelu":
        activation = folding.jump_relu(
            weights.vector("threshold", layer.n_features), weights.source("threshold")
        )
    elif kind == "gated":
        b_mag, r_mag = (weights.vector(n, layer.n_features) for n in ("b_mag", "r_mag"))
        activation = folding.gated(layer.encoder_bias, b_mag, r_mag)
    elif kind == "topk":
        activation = TopK(_k(settings), relu=True)
    layer = replace(layer, activation=activation)
    if settings.flag("rescale_acts_by_decoder_norm", False) and kind == "topk":
        layer = folding.scale_features(layer, folding.decoder_norms(layer), activation)
    layer = _finetuned(layer, settings, weights)
    weights.finish()
    return layer


def _older_activation(settings: Settings) -> str:
    """Before version 6 the architecture did not tell a TopK from a ReLU; this did."""
    key = "activation_fn" if settings.has("activation_fn") else "activation_fn_str"
    return settings.one_of(key, ("relu", "topk"), default="relu")


def _k(settings: Settings) -> int:
    older = settings.section("activation_fn_kwargs")
    return older.whole("k") if older.has("k") else settings.whole("k")


def _finetuned(layer: Layer, settings: Settings, weights: Weights) -> Layer:
    """Before version 6, activations could be multiplied by a learned factor in front of W_dec."""
    for key in ("scaling_factor", "finetuning_scaling_factor"):
        if not weights.has(key):
            continue
        factor = weights.vector(key, layer.n_features)
        if bool((factor == 1).all()):
            continue
        if not settings.flag("finetuning_scaling_factor", False):
            raise settings.wrong("finetuning_scaling_factor", f"true, as {key} in the weights")
        layer = replace(layer, decoder=layer.decoder.scaled(factor))
    return layer


def _norm(settings: Settings) -> InputNorm:
    found = settings.values.get("normalize_activations")
    if found is None or found is False:
        return "none"
    if found is True or found == "expected_average_only_in":
        raise settings.wrong(
            "normalize_activations",
            "none: the average it divides by is in no file; fold it in before saving "
            "(fold_activation_norm_scaling_factor)",
        )
    return NORMS[settings.one_of("normalize_activations", tuple(NORMS))]


def dtype_name(dtype: torch.dtype) -> str:
    """SAELens' word for a dtype."""
    return str(dtype).removeprefix("torch.")
