"""Sparse dictionaries agree with their formulas."""

from __future__ import annotations

import pytest
import torch
from tiny_dictionaries import (
    FEATURES,
    KINDS,
    LAYERS,
    WIDTH,
    activate,
    every_dictionary,
    inputs,
    outputs,
    pre_activation,
    tiny,
)

from interp_widgets.dictionaries import (
    Dictionary,
    DictionaryError,
    JumpReLU,
    TopK,
    check_fits,
    reconstruct,
)


@every_dictionary
def test_active_features_and_outputs_follow_the_formulas(
    kind: str, activation: str, skip: bool
) -> None:
    dictionary: Dictionary = tiny(kind, activation, skip)
    xs = inputs()
    active = [dictionary.encode(layer, x) for layer, x in enumerate(xs)]
    for layer, (x, found) in enumerate(zip(xs, active, strict=True)):
        expected = []
        for position, row in enumerate(x.tolist()):
            pre = pre_activation(tiny(kind, activation, skip).layer(layer), row)
            a = activate(dictionary.activation_function(layer), pre)
            expected += [(position, f, a[f], pre[f]) for f in range(FEATURES) if a[f] != 0]
        assert found.position.tolist() == [row[0] for row in expected]
        assert found.feature.tolist() == [row[1] for row in expected]
        torch.testing.assert_close(found.activation, torch.tensor([row[2] for row in expected]))
        torch.testing.assert_close(found.pre_activation, torch.tensor([row[3] for row in expected]))
    predicted = torch.stack(reconstruct(dictionary, xs, active))
    for position in range(xs[0].shape[0]):
        expected_y = outputs(tiny(kind, activation, skip), [x[position].tolist() for x in xs])
        torch.testing.assert_close(predicted[:, position], torch.tensor(expected_y))


@pytest.mark.parametrize("kind", KINDS)
def test_rows_belong_to_the_features_asked_for(kind: str) -> None:
    dictionary = tiny(kind, skip=True)
    features = torch.tensor([3, 19, 3, 0])
    for index in range(LAYERS):
        layer = dictionary.layer(index)
        assert dictionary.encoder(index, features).equal(layer.encoder.whole()[features])
        assert dictionary.encoder_bias(index, features).equal(layer.encoder_bias[features])
        assert dictionary.n_features(index) == FEATURES
        last = index + 1 if kind == "transcoder" else LAYERS
        assert dictionary.writes_to(index) == range(index, last)
        for target in dictionary.writes_to(index):
            table = layer.decoder.whole()
            expected = table[features] if table.ndim == 2 else table[features, target - index]
            assert dictionary.decoder(index, features, target).equal(expected)


def test_positions_outside_keep_carry_no_features() -> None:
    dictionary, x = tiny(), inputs()[0]
    keep = torch.ones(7, dtype=torch.bool)
    keep[[0, 4]] = False
    all_of_it, kept = dictionary.encode(0, x), dictionary.encode(0, x, keep)
    among = keep[all_of_it.position]
    assert kept.position.equal(all_of_it.position[among])
    assert kept.activation.equal(all_of_it.activation[among])


def test_topk_keeps_negative_values_and_only_k_of_them() -> None:
    pre = torch.tensor([[-1.0, -5.0, -2.0, -3.0], [4.0, 0.5, 3.0, -1.0]])
    expected = torch.tensor([[-1.0, 0.0, -2.0, 0.0], [4.0, 0.0, 3.0, 0.0]])
    assert TopK(2)(pre).equal(expected)


def test_jumprelu_is_strict_at_its_threshold() -> None:
    pre = torch.tensor([0.5, 0.5, -0.1, 0.2])
    threshold = torch.tensor([0.5, 0.4, -0.2, 0.3])
    assert JumpReLU(threshold)(pre).equal(torch.tensor([0.0, 0.5, -0.1, 0.0]))


def test_a_dictionary_that_does_not_fit_the_model_says_both_sizes() -> None:
    dictionary = tiny()
    check_fits(dictionary, LAYERS, WIDTH, "tiny-model")
    with pytest.raises(DictionaryError, match=r"tiny-model.* 3 layers of width 6.* gpt2 has 12 "):
        check_fits(dictionary, 12, WIDTH, "gpt2")
    with pytest.raises(DictionaryError, match="gpt2 has 3 layers of width 768"):
        check_fits(dictionary, LAYERS, 768, "gpt2")


def test_wrong_calls_are_refused_before_they_answer() -> None:
    dictionary = tiny()
    some = torch.tensor([0])
    with pytest.raises(IndexError, match="layer -1"):
        dictionary.encoder(-1, some)
    with pytest.raises(IndexError, match="does not write to layer 2"):
        dictionary.decoder(1, some, 2)
    with pytest.raises(IndexError, match="do not write to layer 0"):
        tiny("cross-layer transcoder").decoder(1, some, 0)
    with pytest.raises(DictionaryError, match="reads \\[position, 6\\]"):
        dictionary.encode(0, torch.ones(2, WIDTH + 1))
    with pytest.raises(DictionaryError, match="input of layer 0 holds NaN"):
        dictionary.encode(0, torch.full((2, WIDTH), float("nan")))
    with pytest.raises(DictionaryError, match=r"not torch\.int64"):
        dictionary.to(dtype=torch.int64)
