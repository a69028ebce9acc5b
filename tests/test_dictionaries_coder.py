"""One sparse coder agrees with its formula, whatever its kind, nonlinearity and input norm."""

from __future__ import annotations

import math

import pytest
import torch
from tiny_dictionaries import FEATURES, WIDTH, activate, inputs, pre_activation, tiny
from torch import Tensor

from interp_widgets.dictionaries import (
    CrossLayerTranscoder,
    DictionaryError,
    Gated,
    Layer,
    Rows,
    SparseCoder,
    TopK,
    Transcoders,
    load,
    reconstruct,
)
from interp_widgets.dictionaries.formats.circuit_tracer import save
from interp_widgets.models.places import Place

PLACES = {
    "SAE": (Place(1, "resid_post"), Place(1, "resid_post")),
    "transcoder": (Place(1, "mlp_in"), Place(1, "mlp_out")),
    "skip transcoder": (Place(1, "mlp_in"), Place(1, "mlp_out")),
}
NORMS = ("none", "constant_norm", "layer_norm")


def coder(kind: str = "SAE", activation: str = "jumprelu", norm: str = "none") -> SparseCoder:
    reads, writes = PLACES[kind]
    weights = tiny("transcoder", activation, skip=kind == "skip transcoder").layer(1)
    return SparseCoder(weights, reads, writes, "tests/coder", norm=norm)  # type: ignore[arg-type]


def normed(x: list[float], norm: str) -> tuple[list[float], float, float]:
    """One row after its norm, and the scale and shift that undo it."""
    mean = sum(x) / len(x)
    if norm == "constant_norm":
        length = math.sqrt(sum(v * v for v in x))
        return [v * math.sqrt(len(x)) / length for v in x], length / math.sqrt(len(x)), 0.0
    if norm == "layer_norm":
        std = math.sqrt(sum((v - mean) ** 2 for v in x) / (len(x) - 1))
        return [(v - mean) / (std + 1e-5) for v in x], std, mean
    return x, 1.0, 0.0


# Only what writes where it reads can be scaled back.
@pytest.mark.parametrize(
    ("kind", "norm"), [*((kind, "none") for kind in PLACES), *(("SAE", norm) for norm in NORMS[1:])]
)
@pytest.mark.parametrize("activation", ["relu", "jumprelu", "topk", "topk_relu", "gated"])
def test_features_and_outputs_follow_the_formula(kind: str, activation: str, norm: str) -> None:
    one, xs = coder(kind, activation, norm), inputs()[0]
    assert one.kind == kind
    found, y = one.encode(xs), one.reconstruct(xs)
    expected: list[tuple[int, int, float, float]] = []
    for position, x in enumerate(xs.tolist()):
        z, scale, shift = normed(x, norm)
        pre = pre_activation(one.weights, z)
        a = activate(one.weights.activation, pre)
        expected += [(position, f, a[f], pre[f]) for f in range(FEATURES) if a[f] != 0]
        row = one.weights.decoder_bias.tolist()
        for value, vector in zip(a, one.weights.decoder.whole().tolist(), strict=True):
            row = [total + value * v for total, v in zip(row, vector, strict=True)]
        row = [v * scale + shift for v in row]
        if one.weights.skip is not None:
            for i, weights in enumerate(one.weights.skip.tolist()):
                row[i] += sum(w * v for w, v in zip(weights, x, strict=True))
        torch.testing.assert_close(y[position], torch.tensor(row))
    columns = [torch.tensor(column) for column in zip(*expected, strict=True)]
    assert found.position.equal(columns[0])
    assert found.feature.equal(columns[1])
    torch.testing.assert_close(found.activation, columns[2], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.pre_activation, columns[3], rtol=1e-4, atol=1e-5)


def test_a_position_without_features_gets_the_bias_alone() -> None:
    one, x = coder(), inputs()[0]
    keep = torch.ones(7, dtype=torch.bool)
    keep[[0, 3, 6]] = False
    y = one.decode(one.encode(x, keep), x)
    assert y[~keep].equal(one.weights.decoder_bias.expand(3, -1))
    torch.testing.assert_close(y[keep], one.reconstruct(x)[keep])
    nowhere = one.decode(one.encode(x, torch.zeros(7, dtype=torch.bool)), x)
    assert nowhere.equal(one.weights.decoder_bias.expand(7, -1))


def test_a_gate_is_open_only_above_zero() -> None:
    pre = torch.tensor([1.0, -1.0, 0.0, 2.0])
    gated = Gated(torch.tensor([2.0, 2.0, 2.0, 1.0]), torch.tensor([0.5, 9.0, 9.0, -3.0]))
    assert gated(pre).equal(torch.tensor([2.5, 0.0, 0.0, 0.0]))


def test_topk_with_a_relu_gives_no_negative_value() -> None:
    pre = torch.tensor([[-1.0, -5.0, -2.0, 3.0]])
    assert TopK(2)(pre).equal(torch.tensor([[-1.0, 0.0, 0.0, 3.0]]))
    assert TopK(2, relu=True)(pre).equal(torch.tensor([[0.0, 0.0, 0.0, 3.0]]))


def test_wrong_coders_are_refused() -> None:
    with pytest.raises(DictionaryError, match="input norm 'rms' is none of none, constant_norm"):
        coder(norm="rms")
    with pytest.raises(DictionaryError, match="normalises each input .* reads L1 mlp_in"):
        coder("transcoder", norm="layer_norm")
    weights = tiny("cross-layer transcoder").layer(1)
    with pytest.raises(DictionaryError, match="decoder has shape"):
        SparseCoder(weights, *PLACES["SAE"], "tests/coder")
    with pytest.raises(DictionaryError, match="reads \\[position, 6\\], but was given \\[2, 7\\]"):
        coder().encode(torch.ones(2, 7))
    with pytest.raises(DictionaryError, match="input of tests/coder holds NaN"):
        coder().encode(torch.full((2, WIDTH), float("nan")))


def one_per_layer() -> list[SparseCoder]:
    layers = tiny(activation="topk_relu", skip=True).layers
    return [
        SparseCoder(layer, Place(i, "mlp_in"), Place(i, "mlp_out"), f"coder {i}", "tiny-model")
        for i, layer in enumerate(layers)
    ]


def test_one_coder_per_layer_is_a_set_of_transcoders() -> None:
    coders = one_per_layer()
    together = Transcoders.of(reversed(coders), scan="all of them")
    assert (together.scan, together.model_name) == ("all of them", "tiny-model")
    assert (together.input_hook, together.output_hook) == ("mlp.hook_in", "hook_mlp_out")
    xs = inputs()
    active = [together.encode(layer, x) for layer, x in enumerate(xs)]
    for y, one, x in zip(reconstruct(together, xs, active), coders, xs, strict=True):
        torch.testing.assert_close(y, one.reconstruct(x))
    again = together.coder(2)
    assert (again.reads, again.writes) == (coders[2].reads, coders[2].writes)
    assert again.reconstruct(xs[2]).equal(coders[2].reconstruct(xs[2]))


def test_coders_that_make_no_set_are_refused() -> None:
    coders = one_per_layer()
    with pytest.raises(DictionaryError, match="in the place of layer 1 stands coder 2"):
        Transcoders.of([coders[0], coders[2]])
    with pytest.raises(DictionaryError, match="no coders"):
        Transcoders.of([])
    other = SparseCoder(coders[1].weights, Place(1, "resid_mid"), Place(1, "mlp_out"), "other")
    with pytest.raises(DictionaryError, match="other reads L1 resid_mid .* but coder 0 reads L0"):
        Transcoders.of([coders[0], other, coders[2]])
    sae = SparseCoder(coders[0].weights, Place(0, "resid_mid"), Place(0, "resid_mid"), "an SAE")
    with pytest.raises(DictionaryError, match="an SAE is no transcoder of an MLP"):
        Transcoders.of([sae])


def windowed(window: int) -> CrossLayerTranscoder:
    whole = tiny("cross-layer transcoder", "jumprelu")
    layers = []
    for index, layer in enumerate(whole.layers):
        table = layer.decoder.whole()[:, : min(window, 3 - index)].clone()
        layers.append(
            Layer(layer.source, layer.encoder, Rows.hold(table, f"layer {index}: decoder"),
                  layer.encoder_bias, layer.decoder_bias, layer.activation)
        )  # fmt: skip
    return CrossLayerTranscoder(tuple(layers), "mlp.hook_in", "mlp.hook_out", "tests/windowed")


def outputs(dictionary: CrossLayerTranscoder, xs: list[Tensor]) -> Tensor:
    active = [dictionary.encode(layer, x) for layer, x in enumerate(xs)]
    return torch.stack(reconstruct(dictionary, xs, active))


def test_a_windowed_cross_layer_transcoder_writes_to_its_window_only(tmp_path: object) -> None:
    one = windowed(2)
    assert one.window == 2
    assert [one.writes_to(layer) for layer in range(3)] == [range(2), range(1, 3), range(2, 3)]
    with pytest.raises(IndexError, match="do not write to layer 2"):
        one.decoder(0, torch.tensor([0]), 2)
    # Beyond the window nothing is added: the same as the whole with decoders of zeros there.
    whole = tiny("cross-layer transcoder", "jumprelu")
    layer = whole.layer(0)
    table = layer.decoder.whole().clone()
    table[:, 2] = 0
    silent = Layer("silent", layer.encoder, Rows.hold(table, "silent"), layer.encoder_bias,
                   layer.decoder_bias, layer.activation)  # fmt: skip
    padded = CrossLayerTranscoder(
        (silent, *whole.layers[1:]), "mlp.hook_in", "mlp.hook_out", "tests/padded"
    )
    assert padded.window == 3
    torch.testing.assert_close(outputs(one, inputs()), outputs(padded, inputs()))


def test_a_window_survives_a_layout_without_windows(tmp_path: object) -> None:
    save(windowed(1), f"{tmp_path}/set")
    after = load(f"{tmp_path}/set")
    assert isinstance(after, CrossLayerTranscoder)
    torch.testing.assert_close(outputs(after, inputs()), outputs(windowed(1), inputs()))


def test_decoders_of_no_common_window_are_refused() -> None:
    whole, narrow = tiny("cross-layer transcoder", "jumprelu"), windowed(1)
    with pytest.raises(DictionaryError, match="shape \\[20, 1, 6\\], expected \\[20, 2, 6\\]"):
        CrossLayerTranscoder(
            (whole.layer(0), narrow.layer(1), whole.layer(2)), "mlp.hook_in", "mlp.hook_out", "x"
        )


def test_integer_rows_are_their_scale_times_whole_numbers() -> None:
    table = torch.randn(FEATURES, 3, WIDTH, generator=torch.Generator().manual_seed(3))
    table[4] = 0
    integers = torch.empty_like(table, dtype=torch.int8)
    scale = torch.empty(FEATURES, 3)
    for f in range(FEATURES):
        for t in range(3):
            scale[f, t] = float(table[f, t].abs().max()) / 127
            for i in range(WIDTH):
                value = float(table[f, t, i])
                integers[f, t, i] = 0 if f == 4 else round(value / float(scale[f, t]))
    rows = Rows.map(integers, "integers", scale)
    assert rows.dtype == torch.float32
    expected = integers.double() * scale.double()[..., None]
    torch.testing.assert_close(rows.whole().double(), expected, rtol=1e-6, atol=0)
    assert (rows.whole() - table).abs().max() <= scale.max() / 2 * 1.001
    some = torch.tensor([5, 4, 5])
    assert rows.take(some).equal(rows.whole()[some])
    assert rows.take(some, column=1).equal(rows.whole()[some, 1])
    assert rows.to(torch.device("cpu"), torch.float64).take(some).dtype == torch.float64


@pytest.mark.parametrize("mapped", [False, True])
def test_rows_add_up_per_position(mapped: bool) -> None:
    table = torch.randn(FEATURES, 2, WIDTH, generator=torch.Generator().manual_seed(5))
    rows = Rows.map(table, "table") if mapped else Rows.hold(table, "table")
    position, feature = torch.tensor([0, 0, 2, 2, 2]), torch.tensor([3, 19, 0, 3, 0])
    weights = torch.tensor([0.5, -1.0, 2.0, 3.0, 0.25])
    expected = torch.zeros(4, WIDTH)
    for p, f, w in zip(position.tolist(), feature.tolist(), weights.tolist(), strict=True):
        expected[p] += w * table[f, 1]
    found = rows.add_up(position, feature, weights, 4, column=1)
    torch.testing.assert_close(found, expected)
    nothing = torch.tensor([], dtype=torch.long)
    assert rows.add_up(nothing, nothing, nothing.float(), 4, column=0).equal(torch.zeros(4, WIDTH))


def test_a_dictionary_is_shown_by_what_it_is_and_not_by_its_numbers() -> None:
    whole = tiny()
    assert repr(whole) == (
        "Transcoders('tests/tiny', 3 layers, 60 features, mlp.hook_in -> mlp.hook_out)"
    )
    assert isinstance(whole, Transcoders)
    one = whole.coder(1)
    assert repr(one) == (
        f"SparseCoder({one.scan!r}, transcoder, 20 features, L1 mlp_in -> {one.writes})"
    )
