"""Small random dictionaries for tests, and their closed forms written as plain loops."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from interp_widgets.dictionaries import (
    Activation,
    CrossLayerTranscoder,
    Gated,
    JumpReLU,
    Layer,
    ReLU,
    Rows,
    TopK,
    Transcoders,
)
from interp_widgets.dictionaries.activations import parameters

LAYERS, FEATURES, WIDTH, K = 3, 20, 6, 5
KINDS = ("transcoder", "cross-layer transcoder")
ACTIVATIONS = ("relu", "jumprelu", "topk")

every_dictionary = pytest.mark.parametrize(
    ("kind", "activation", "skip"),
    [
        (kind, activation, skip)
        for kind in KINDS
        for activation in ACTIVATIONS
        for skip in (False, True)
    ],
)


def tiny(
    kind: str = "transcoder",
    activation: str = "relu",
    skip: bool = False,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
) -> Transcoders | CrossLayerTranscoder:
    """A dictionary of 3 layers, 20 features, width 6, with nothing zero or symmetric in it."""
    random = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random).to(dtype)

    def nonlinearity() -> Activation:
        if activation == "jumprelu":
            return JumpReLU(draw(FEATURES))
        if activation == "gated":
            return Gated(draw(FEATURES).exp(), draw(FEATURES))
        selects = activation in ("topk", "topk_relu")
        return TopK(K, relu=activation == "topk_relu") if selects else ReLU()

    layers = []
    for index in range(LAYERS):
        targets = () if kind == "transcoder" else (LAYERS - index,)
        layers.append(
            Layer(
                source=f"layer {index}",
                encoder=Rows.hold(draw(FEATURES, WIDTH), f"layer {index}: encoder"),
                decoder=Rows.hold(draw(FEATURES, *targets, WIDTH), f"layer {index}: decoder"),
                encoder_bias=draw(FEATURES),
                decoder_bias=draw(WIDTH),
                activation=nonlinearity(),
                skip=draw(WIDTH, WIDTH) if skip else None,
            )
        )
    cls = Transcoders if kind == "transcoder" else CrossLayerTranscoder
    return cls(tuple(layers), "mlp.hook_in", "mlp.hook_out", "tests/tiny", "tiny-model")


def inputs(seed: int = 1, positions: int = 7) -> list[Tensor]:
    """One encoder input [position, width] per layer."""
    random = torch.Generator().manual_seed(seed)
    return [torch.randn(positions, WIDTH, generator=random) for _ in range(LAYERS)]


def activate(activation: Activation, pre: list[float]) -> list[float]:
    """One row of activations, entry by entry."""
    if isinstance(activation, JumpReLU):
        thresholds = activation.threshold.tolist()
        return [
            value if value > limit else 0.0 for value, limit in zip(pre, thresholds, strict=True)
        ]
    if isinstance(activation, TopK):
        largest = sorted(range(len(pre)), key=lambda i: -pre[i])[: activation.k]
        least = 0.0 if activation.relu else float("-inf")
        return [max(value, least) if i in largest else 0.0 for i, value in enumerate(pre)]
    if isinstance(activation, Gated):
        gates = zip(pre, activation.scale.tolist(), activation.shift.tolist(), strict=True)
        return [max(p * scale + shift, 0.0) if p > 0 else 0.0 for p, scale, shift in gates]
    return [max(value, 0.0) for value in pre]


def pre_activation(layer: Layer, x: list[float]) -> list[float]:
    """One row of pre-activations: W_enc x + b_enc."""
    rows, bias = layer.encoder.whole().tolist(), layer.encoder_bias.tolist()
    return [
        sum(w * v for w, v in zip(row, x, strict=True)) + b
        for row, b in zip(rows, bias, strict=True)
    ]


def outputs(
    dictionary: Transcoders | CrossLayerTranscoder, inputs: list[list[float]]
) -> list[list[float]]:
    """The MLP outputs of all layers at one position, from all layers' inputs there."""
    result = []
    for target in range(dictionary.n_layers):
        y = dictionary.layer(target).decoder_bias.tolist()
        skip = dictionary.layer(target).skip
        if skip is not None:
            for i, row in enumerate(skip.tolist()):
                y[i] += sum(w * v for w, v in zip(row, inputs[target], strict=True))
        for source in range(dictionary.n_layers):
            if target not in dictionary.writes_to(source):
                continue
            layer = dictionary.layer(source)
            table = layer.decoder.whole()
            if table.ndim == 3:
                table = table[:, target - source]
            a = activate(layer.activation, pre_activation(layer, inputs[source]))
            for value, vector in zip(a, table.tolist(), strict=True):
                y = [total + value * v for total, v in zip(y, vector, strict=True)]
        result.append(y)
    return result


def assert_same(one: Layer, other: Layer) -> None:
    """Bit for bit."""
    assert one.encoder.whole().equal(other.encoder.whole())
    assert one.decoder.whole().equal(other.decoder.whole())
    assert one.encoder_bias.equal(other.encoder_bias)
    assert one.decoder_bias.equal(other.decoder_bias)
    assert (one.skip is None) == (other.skip is None)
    assert one.skip is None or one.skip.equal(other.skip)
    assert type(one.activation) is type(other.activation)
    if isinstance(one.activation, TopK):
        assert one.activation == other.activation
    for name, tensor in parameters(one.activation).items():
        assert tensor.equal(parameters(other.activation)[name])
