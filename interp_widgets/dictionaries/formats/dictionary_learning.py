"""dictionary_learning (Marks, Karvonen, Mueller): SAEs in one folder each.

    config.json   trainer {dict_class, activation_dim, dict_size, k?, layer, lm_name,
                  submodule_name?}
    ae.pt         AutoEncoder               encoder.weight [F, d], encoder.bias, decoder.weight
                                            [d, F], bias [d]
                  AutoEncoderNew            the same with decoder.bias [d]
                  AutoEncoderTopK           the same with b_dec [d], and k, threshold
                  BatchTopKSAE              the same
                  MatryoshkaBatchTopKSAE    W_enc [d, F], b_enc, W_dec [F, d], b_dec, k, threshold,
                                            group_sizes
                  JumpReluAutoEncoder       W_enc [d, F], b_enc, W_dec [F, d], b_dec, threshold [F]
                  GatedAutoEncoder          encoder.weight, decoder.weight, decoder_bias, r_mag,
                                            gate_bias, mag_bias

All but AutoEncoderNew and JumpReluAutoEncoder subtract the decoder's bias from the input. The
features of an AutoEncoder are measured in units of their decoder's norm, as its own loader
does. BatchTopK and Matryoshka use their learned threshold. ae.pt is a pickle: it is read by
torch's unpickler for tensors alone. Read in dictionary_learning 0.1.0.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from interp_widgets.dictionaries.activations import JumpReLU, ReLU, TopK
from interp_widgets.dictionaries.coder import SparseCoder
from interp_widgets.dictionaries.errors import DictionaryError
from interp_widgets.dictionaries.formats import folding, hooks
from interp_widgets.dictionaries.formats.settings import Settings
from interp_widgets.dictionaries.formats.weights_file import Weights
from interp_widgets.dictionaries.layers import Layer
from interp_widgets.models.places import Place

name = "dictionary_learning (config.json beside ae.pt)"
files = ("ae.pt", "config.json")

_WEIGHTS = "ae.pt"
_INTEGERS = ("k", "group_sizes")
_CLASSES = (
    "AutoEncoder",
    "AutoEncoderNew",
    "AutoEncoderTopK",
    "BatchTopKSAE",
    "MatryoshkaBatchTopKSAE",
    "JumpReluAutoEncoder",
    "GatedAutoEncoder",
)


def matches(folder: Path) -> bool:
    return (folder / _WEIGHTS).exists()


def load(folder: Path, scan: str, lazy: bool | None = None) -> SparseCoder:
    settings = Settings.read(folder / "config.json")
    weights = Weights(folder / _WEIGHTS, lazy=False, integers=_INTEGERS)
    return dictionary(settings, weights, scan)


def dictionary(settings: Settings, weights: Weights, scan: str) -> SparseCoder:
    """The dictionary that settings and weights describe."""
    trainer = settings.section("trainer")
    kind = trainer.one_of("dict_class", _CLASSES)
    match kind:
        case "MatryoshkaBatchTopKSAE" | "JumpReluAutoEncoder":
            layer = _upright(weights)
        case "GatedAutoEncoder":
            layer = _of_linear(weights, "decoder_bias", has_encoder_bias=False)
        case "AutoEncoder":
            layer = _of_linear(weights, "bias")
        case "AutoEncoderNew":
            layer = _of_linear(weights, "decoder.bias")
        case _:
            layer = _of_linear(weights, "b_dec")
    layer.expect_decoder()
    layer = _with_activation(layer, kind, trainer, weights)
    if kind not in ("AutoEncoderNew", "JumpReluAutoEncoder"):
        layer = folding.subtract_from_input(layer, layer.decoder_bias)
    weights.finish()
    for key, found in (("activation_dim", layer.d_model), ("dict_size", layer.n_features)):
        if trainer.whole(key) != found:
            raise trainer.wrong(key, f"{found}, the size of the weights")
    where = _place(trainer, settings)
    declared: dict[str, float | str] = {"format": "dictionary_learning", "architecture": kind}
    if trainer.has("k"):
        declared["k"] = float(trainer.whole("k"))
    return SparseCoder(layer, where, where, scan, trainer.maybe("lm_name"), declared=declared)


def _of_linear(weights: Weights, bias: str, has_encoder_bias: bool = True) -> Layer:
    """From torch's linear layers, whose weights are [out, in]."""
    encoder = weights.rows("encoder.weight")
    first = "encoder.bias" if has_encoder_bias else "gate_bias"
    return Layer(
        source=str(weights.path),
        encoder=encoder,
        decoder=weights.rows("decoder.weight", transposed=True),
        encoder_bias=weights.take(first),
        decoder_bias=weights.take(bias),
        activation=ReLU(),
    )


def _upright(weights: Weights) -> Layer:
    return Layer(
        source=str(weights.path),
        encoder=weights.rows("W_enc", transposed=True),
        decoder=weights.rows("W_dec"),
        encoder_bias=weights.take("b_enc"),
        decoder_bias=weights.take("b_dec"),
        activation=ReLU(),
    )


def _with_activation(layer: Layer, kind: str, trainer: Settings, weights: Weights) -> Layer:
    match kind:
        case "AutoEncoder":
            norms = folding.decoder_norms(layer)
            # Its own loader leaves weights alone that are normalised but for rounding.
            if torch.allclose(norms, torch.ones_like(norms)):
                return layer
            return folding.scale_features(layer, norms, ReLU())
        case "AutoEncoderTopK":
            if weights.has("threshold"):  # a running average that only BatchTopK uses
                weights.take("threshold")
            return replace(layer, activation=TopK(_k(trainer, weights), relu=True))
        case "BatchTopKSAE" | "MatryoshkaBatchTopKSAE":
            _k(trainer, weights)
            if kind == "MatryoshkaBatchTopKSAE":
                weights.take("group_sizes")
            return replace(layer, activation=_learned_threshold(layer, weights))
        case "JumpReluAutoEncoder":
            threshold = weights.vector("threshold", layer.n_features)
            return replace(
                layer, activation=folding.jump_relu(threshold, weights.source("threshold"))
            )
        case "GatedAutoEncoder":
            r_mag, mag_bias = (weights.vector(n, layer.n_features) for n in ("r_mag", "mag_bias"))
            return replace(layer, activation=folding.gated(layer.encoder_bias, mag_bias, r_mag))
    return layer


def _learned_threshold(layer: Layer, weights: Weights) -> JumpReLU:
    threshold = weights.take("threshold")
    if threshold.numel() != 1 or not float(threshold) >= 0:
        raise DictionaryError(
            f"{weights.source('threshold')} is {threshold.flatten()[:3].tolist()}, expected one "
            "number of at least 0; training sets it after its first thousand steps."
        )
    return JumpReLU(threshold.to(layer.dtype).reshape(1).repeat(layer.n_features))


def _k(trainer: Settings, weights: Weights) -> int:
    """The k of the settings, which must be that of the weights where they name one."""
    k = trainer.whole("k")
    if weights.has("k"):
        stored: Tensor = weights.take("k")
        if stored.numel() != 1 or float(stored) != k:
            raise trainer.wrong(
                "k", f"{stored.flatten()[:3].tolist()}, as {weights.path.name} says"
            )
    return k


def _place(trainer: Settings, settings: Settings) -> Place:
    """The residual stream behind `layer`, unless the submodule's name tells of another place."""
    if settings.section("buffer").text("io", "out") != "out":
        raise settings.section("buffer").wrong("io", '"out": only SAEs of an output are read')
    layer = trainer.values.get("layer")
    if isinstance(layer, bool) or not isinstance(layer, int) or not 0 <= layer < 10**5:
        raise trainer.wrong("layer", "the number of a layer")
    submodule = trainer.text("submodule_name", "")
    for word, module in (("resid", ""), ("mlp", ".mlp"), ("att", ".attn")):
        if word in submodule:
            return hooks.place(f"layers.{layer}{module}", settings.path)
    return hooks.place(f"layers.{layer}", settings.path)
