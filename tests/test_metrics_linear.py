"""The linear map is numpy's least squares on the fitting text, measured on the other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from test_metrics import Plain, documents, sae, token_windows
from tiny_models import CONTEXT, LAYERS, WIDTH, dictionary, model
from torch import Tensor

from interp_widgets.dictionaries.metrics import Comparison, compare
from interp_widgets.dictionaries.metrics.linear import RIDGE, LeastSquares
from interp_widgets.dictionaries.replaced import AnyDictionary
from interp_widgets.models import Model, Place


def lstsq(x: Tensor, y: Tensor) -> Tensor:
    """[d + 1, d_out]: numpy's affine map, the bias in the last row."""
    ones = np.ones((len(x), 1))
    return torch.from_numpy(np.linalg.lstsq(np.hstack([x.numpy(), ones]), y.numpy())[0])


def streamed(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    fit = LeastSquares()
    for part in torch.arange(len(x)).split(33):
        fit.add(x[part], y[part])
    return fit.solve()


def draw(n: int = 200) -> tuple[Tensor, Tensor]:
    """Inputs of width 8 with a large mean and unlike scales, outputs of width 5 with noise."""
    g = torch.Generator().manual_seed(0)
    x = 50 + torch.randn(n, 8, generator=g, dtype=torch.float64) * torch.arange(1, 9)
    y = x @ torch.randn(8, 5, generator=g, dtype=torch.float64) - 30
    return x, y + torch.randn(n, 5, generator=g, dtype=torch.float64)


# Fitting


def test_streamed_moments_solve_to_numpy_s_least_squares() -> None:
    x, y = draw()
    matrix, bias = streamed(x, y)
    expected = lstsq(x, y)
    torch.testing.assert_close(matrix, expected[:-1], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(x @ matrix + bias, x @ expected[:-1] + expected[-1], rtol=1e-4, atol=1e-3)  # fmt: skip


def test_the_ridge_is_as_strong_as_stated() -> None:
    """Ridge regression is least squares with one more row per input dimension."""
    x, y = draw(40)
    a, b = x - x.mean(0), y - y.mean(0)
    ridge = 1e-6 * float(a.square().mean(0).mean())
    assert RIDGE == 1e-6
    rows = np.vstack([a.numpy(), (len(x) * ridge) ** 0.5 * np.eye(8)])
    expected = np.linalg.lstsq(rows, np.vstack([b.numpy(), np.zeros((8, 5))]))[0]
    matrix, bias = streamed(x, y)
    torch.testing.assert_close(matrix, torch.from_numpy(expected), rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(bias, y.mean(0) - x.mean(0) @ torch.from_numpy(expected))


def test_directions_that_the_text_does_not_have_do_no_harm() -> None:
    x, y = draw()
    x = torch.cat([x, x[:, :1] + x[:, 1:2], torch.ones(len(x), 1)], 1).double()
    matrix, bias = streamed(x, y)
    expected = lstsq(x, y)  # numpy takes the shortest of many solutions
    torch.testing.assert_close(x @ matrix + bias, x @ expected[:-1] + expected[-1], rtol=1e-4, atol=1e-3)  # fmt: skip
    assert float(matrix.norm()) < 10
    same, mean = streamed(torch.ones(9, 3).double(), y[:9])
    assert torch.equal(same, torch.zeros(3, 5).double())
    torch.testing.assert_close(mean, y[:9].mean(0))


# In a model


FITTING, JUDGED = documents(30, seed=1), documents(6)


def ours() -> dict[str, AnyDictionary]:
    transcoders = dictionary("transcoder", "topk", dtype=torch.float64)
    return {
        "SAE": sae(Place(1, "resid_post"), torch.float64),
        "transcoders": transcoders,
        "skip transcoders": dictionary("transcoder", "topk", True, dtype=torch.float64),
        "one": transcoders.coder(1),  # type: ignore[union-attr]
        "CLT": dictionary("clt", "topk", writes="hook_mlp_out", dtype=torch.float64),
    }


@pytest.fixture(scope="module")
def gemma() -> Model:
    return model("gemma2", torch.float64)


@pytest.fixture(scope="module")
def compared(gemma: Model) -> Comparison:
    return compare(gemma, ours(), JUDGED, fitting=FITTING)


def test_each_pair_of_places_has_one_linear_map_and_an_sae_has_none(compared: Comparison) -> None:
    named = [(row.name, row.places) for row in compared.rows if row.name.startswith("linear")]
    assert named == [
        ("linear map", "L0-2 mlp_raw"),
        ("linear map, for one", "L1 mlp_raw"),
        ("linear map, for CLT", "L0-2 mlp_out"),
    ]


@pytest.mark.parametrize(
    ("name", "row"), [("transcoders", "linear map"), ("CLT", "linear map, for CLT")]
)
def test_a_linear_map_s_numbers_are_those_of_numpy_s_map_in_plain_loops(
    gemma: Model, compared: Comparison, name: str, row: str
) -> None:
    plain = Plain(gemma, ours()[name], [])
    x: list[list[Tensor]] = [[] for _ in range(LAYERS)]
    y: list[list[Tensor]] = [[] for _ in range(LAYERS)]
    for ids in token_windows(gemma, FITTING, CONTEXT):
        seen, keep = plain.see(ids)[0], plain.keep(ids)
        for i in range(LAYERS):
            x[i].append(seen[plain.reads[i]][keep])
            y[i].append(seen[plain.writes[i]][keep])
    maps = [lstsq(torch.cat(a), torch.cat(b)) for a, b in zip(x, y, strict=True)]
    assert compared.n_fitted == sum(len(part) for part in x[0])

    class Linear(Plain):
        def prediction(self, index: int, inputs: list[Tensor]) -> Tensor:
            return inputs[index] @ maps[index][:-1] + maps[index][-1]

    expected: dict[str, Any] = Linear(
        gemma, ours()[name], token_windows(gemma, JUDGED, CONTEXT)
    ).results()
    found = compared[row]
    # The ridge is a millionth, and moves no number by more than some of these.
    assert [float(layer.fvu) for layer in found.layers] == pytest.approx(expected["fvus"], rel=1e-3)
    assert float(found.fvu) > 0.01
    for key in ("ce_replaced", "ce_recovered", "kl"):
        assert float(getattr(found, key)) == pytest.approx(expected[key], rel=1e-3), key
    assert (found.kind, found.n_features, found.l0, found.dead_share) == ("control", 0, None, None)
    assert (found.density, found.n_tokens) == ((), expected["n_tokens"])


def test_a_skip_path_that_is_the_least_squares_map_explains_what_the_control_does(
    gemma: Model, compared: Comparison
) -> None:
    """A skip transcoder with silent features and numpy's map is the control."""
    one = dictionary("transcoder", "relu", True, dtype=torch.float64).coder(1)  # type: ignore[union-attr]
    plain, x, y = Plain(gemma, one, []), [], []
    for ids in token_windows(gemma, FITTING, CONTEXT):
        seen, keep = plain.see(ids)[0], plain.keep(ids)
        x.append(seen[one.reads][keep])
        y.append(seen[one.writes][keep])
    best = lstsq(torch.cat(x), torch.cat(y))
    silent = torch.full_like(one.weights.encoder_bias, -1e6)
    weights = replace(
        one.weights, encoder_bias=silent, skip=best[:-1].T.contiguous(), decoder_bias=best[-1]
    )
    table = compare(gemma, {"skip": replace(one, weights=weights)}, JUDGED, fitting=FITTING)
    assert float(table["skip"].l0) == 0  # type: ignore[arg-type]
    for key in ("fvu", "kl", "ce_replaced"):
        a, b = getattr(table["skip"], key), getattr(compared["linear map, for one"], key)
        assert float(a) == pytest.approx(float(b), rel=1e-3), key


# What the caption says


def test_the_caption_says_how_many_tokens_each_number_has(compared: Comparison) -> None:
    assert compared.linear == (
        f"linear map of {WIDTH + 1} numbers per output dimension, "
        f"{compared.n_fitted / (WIDTH + 1):.0f} tokens each"
    )
    assert compared.caption.endswith(f"other tokens; {compared.linear}")
    assert compared.to_dict()["linear"] == compared.linear


@pytest.mark.parametrize(("tokens", "there"), [(329, False), (330, True)])
def test_with_fewer_than_ten_tokens_for_each_number_there_is_no_linear_map(
    tokens: int, there: bool
) -> None:
    words = [f"w{5 + (7 * i + i * i) % 35}" for i in range(tokens)]
    d = dictionary("transcoder", "topk").coder(1)  # type: ignore[union-attr]
    table = compare(model("gpt2"), {"it": d}, documents(2), fitting=" ".join(words))
    assert table.n_fitted == tokens
    assert ("linear map" in [row.name for row in table.rows]) is there
    sentence = "no linear map, whose 33 numbers per output dimension need at least 330 such tokens"
    assert (sentence in table.caption) is not there


def test_beside_saes_alone_nothing_is_said_of_linear_maps() -> None:
    table = compare(model("gpt2"), {"it": sae(Place(1, "mlp_out"))}, documents(2), fitting=FITTING)
    assert table.linear == ""
    assert table.caption.endswith("other tokens")
