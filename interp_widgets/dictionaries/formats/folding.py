"""What training tools keep apart, folded into the weights, so that one formula holds:

    a = activation(W_enc x + b_enc),   y = a W_dec + b_dec

Each function takes the weights of one layer and gives weights that compute the same. Thresholds
are told in the units of the features as they are after folding.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from interp_widgets.dictionaries.activations import Activation, Gated, JumpReLU
from interp_widgets.dictionaries.errors import DictionaryError
from interp_widgets.dictionaries.layers import Layer
from interp_widgets.dictionaries.rows import finite


def jump_relu(threshold: Tensor, source: str) -> JumpReLU:
    """relu(pre) where pre exceeds the threshold, as all trainers but circuit-tracer define it.

    The ReLU matters for negative thresholds only, where it makes them thresholds of 0.
    """
    return JumpReLU(finite(threshold, source).clamp(min=0))


def gated(b_gate: Tensor, b_mag: Tensor, r_mag: Tensor) -> Gated:
    """The gate's and the magnitude's biases and exp(r_mag) as a scale and shift of W_enc x + b_gate."""
    scale = r_mag.exp()
    return Gated(scale, b_mag - b_gate * scale)


def subtract_from_input(layer: Layer, bias: Tensor) -> Layer:
    """W_enc (x - bias) + b_enc: the bias moves into b_enc."""
    if list(bias.shape) != [layer.d_model]:
        raise DictionaryError(
            f"{layer.source}: the bias of the input has shape {list(bias.shape)}, "
            f"expected [{layer.d_model}]."
        )
    at_least_float32 = torch.promote_types(layer.dtype, torch.float32)
    encoder = layer.encoder.whole().to(at_least_float32)
    moved = layer.encoder_bias.to(at_least_float32) - encoder @ bias.to(at_least_float32)
    return replace(layer, encoder_bias=moved)


def scale_input(layer: Layer, factor: float) -> Layer:
    """W_enc (factor x) + b_enc."""
    return replace(layer, encoder=layer.encoder.scaled(_constant(layer, factor)))


def scale_output(layer: Layer, factor: float) -> Layer:
    """factor (a W_dec + b_dec)."""
    return replace(
        layer,
        decoder=layer.decoder.scaled(_constant(layer, factor)),
        decoder_bias=layer.decoder_bias.float() * factor,
    )


def scale_features(layer: Layer, factor: Tensor, activation: Activation) -> Layer:
    """Features measured in other units: activations times factor [F], decoders divided by it.

    activation: the nonlinearity in the new units.
    """
    factor = finite(factor.to(torch.promote_types(layer.dtype, torch.float32)), layer.source)
    if bool((factor <= 0).any()):
        first = int((factor <= 0).nonzero()[0])
        raise DictionaryError(
            f"{layer.source}: feature {first} has a decoder of norm 0, but features are "
            "measured in units of it."
        )
    return replace(
        layer,
        encoder=layer.encoder.scaled(factor),
        encoder_bias=layer.encoder_bias * factor,
        decoder=layer.decoder.scaled(1 / factor),
        activation=activation,
    )


def decoder_norms(layer: Layer) -> Tensor:
    """The length of each feature's decoder, over all its targets: [F]."""
    return layer.decoder.whole().float().flatten(1).norm(dim=1)


def _constant(layer: Layer, factor: float) -> Tensor:
    return torch.full((layer.n_features,), factor)
