"""Directions and scales: what a plain loop over hooked vectors gives, and closed forms."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import pytest
import torch
from plain_places import hooks
from tiny_models import LAYERS, VOCAB, WIDTH, dictionary, model
from torch import Tensor

import interp_widgets as iw
from interp_widgets.dictionaries import SparseCoder, Transcoders
from interp_widgets.jobs import Cancelled
from interp_widgets.models import Model, Place
from interp_widgets.models.interventions import feature
from interp_widgets.steering import (
    Neutral,
    SteeringError,
    Watch,
    difference_in_means,
    from_feature,
    from_vector,
    natural_scales,
    neutral,
    pca,
    probe,
    prompt_vectors,
    random_like,
    together,
)
from interp_widgets.steering.probing import held_out_accuracy, logistic_regression

PLACE = Place(1, "resid_post")


@cache
def tiny(family: str = "llama grouped") -> Model:
    return model(family)


def prompts(n: int, seed: int) -> list[list[int]]:
    """Token ids of different lengths, no two alike."""
    random = torch.Generator().manual_seed(seed)
    return [
        [1, *torch.randint(5, VOCAB, (2 + i % 4,), generator=random).tolist()] for i in range(n)
    ]


@torch.no_grad()
def plain(m: Model, ids: list[int], place: Place = PLACE) -> Tensor:
    """What stands at a place, [position, d], by a PyTorch hook."""
    seen: list[Tensor] = []
    with hooks(m.hf, place.layer, place.site, lambda x: seen.append(x[0].clone())):
        m.hf(input_ids=torch.tensor([ids]), use_cache=False)
    return seen[0].double()


def noise(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# Found in the model's vectors


@pytest.mark.parametrize("tokens", ["last", "mean"])
@pytest.mark.parametrize("family", ["llama grouped", "gpt2", "gemma2", "gpt_neox parallel"])
def test_the_difference_in_means_is_that_of_a_plain_loop(family: str, tokens: Any) -> None:
    m, up, down = tiny(family), prompts(5, 0), prompts(3, 1)

    def one(ids: list[int]) -> Tensor:
        x = plain(m, ids)
        return x[-1] if tokens == "last" else x[1:].mean(0)

    expected = sum(one(ids) for ids in up) / 5 - sum(one(ids) for ids in down) / 3
    found = difference_in_means(m, up, down, PLACE, tokens=tokens)
    torch.testing.assert_close(found.vector.double(), expected, rtol=0, atol=1e-5)
    assert (found.facts["n positive"], found.facts["n negative"]) == (5, 3)


def test_pca_of_pairs_is_the_axis_of_their_differences_and_points_to_the_positive_side() -> None:
    m, up, down = tiny(), prompts(6, 0), prompts(6, 1)
    d = torch.stack([plain(m, a)[-1] - plain(m, b)[-1] for a, b in zip(up, down, strict=True)])
    squares, axes = torch.linalg.eigh(d.T @ d)
    found = pca(m, up, down, place=PLACE)
    axis = found.vector.double()
    assert float(axis.norm()) == pytest.approx(1, abs=1e-6)
    assert abs(float(axis @ axes[:, -1])) == pytest.approx(1, abs=1e-6)
    assert float((d @ axis).mean()) > 0
    assert found.facts["share"] == pytest.approx(float(squares[-1] / squares.sum()), abs=1e-6)


def test_pca_of_one_list_is_the_axis_of_largest_variance() -> None:
    m, listed = tiny(), prompts(8, 2)
    x = torch.stack([plain(m, ids)[-1] for ids in listed])
    squares, axes = torch.linalg.eigh(torch.cov(x.T))
    found = pca(m, listed, place=PLACE)
    assert abs(float(found.vector.double() @ axes[:, -1])) == pytest.approx(1, abs=1e-6)
    assert found.facts["share"] == pytest.approx(float(squares[-1] / squares.sum()), abs=1e-6)


def test_prompts_come_back_in_the_order_given_however_long_they_are() -> None:
    m, listed = tiny(), prompts(9, 4)
    found = prompt_vectors(m, listed, PLACE)
    expected = torch.stack([plain(m, ids)[-1] for ids in listed])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_reading_prompts_stops_when_asked() -> None:
    with pytest.raises(Cancelled):
        prompt_vectors(tiny(), prompts(2, 0), PLACE, watch=Watch(cancelled=lambda: True))


# The probe


def newton(x: Tensor, y: Tensor, l2: float) -> tuple[Tensor, float]:
    """The same problem by Newton's method, with the exact Hessian; x centred and scaled."""
    rows = torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], 1)
    penalty = l2 * torch.eye(rows.shape[1], dtype=x.dtype)
    penalty[-1, -1] = 0
    w = torch.zeros(rows.shape[1], dtype=x.dtype)
    for _ in range(60):
        p = torch.sigmoid(rows @ w)
        gradient = rows.T @ (p - y) / len(x) + penalty @ w
        hessian = rows.T @ (rows * (p * (1 - p))[:, None]) / len(x) + penalty
        w = w - torch.linalg.solve(hessian, gradient)
    return w[:-1], float(w[-1])


@pytest.mark.parametrize("l2", [1e-3, 0.1])
def test_logistic_regression_finds_what_newtons_method_finds(l2: float) -> None:
    x = noise(60, 7) + 2.0
    y = (x @ noise(1, 7, 1)[0] + noise(1, 60, 2)[0] > x.mean()).double()
    fit = logistic_regression(x, y, l2)
    assert fit.scale == pytest.approx(float((x - x.mean(0)).square().mean().sqrt()))
    weight, bias = newton((x - x.mean(0)) / fit.scale, y, l2)
    torch.testing.assert_close(fit.weight, weight, rtol=0, atol=2e-6)
    assert fit.bias == pytest.approx(bias, abs=2e-6)


def test_for_two_opposite_points_the_weight_solves_its_equation() -> None:
    # By symmetry the bias is 0 and the slope w in one dimension has sigmoid(-w) = l2 w.
    fit = logistic_regression(torch.tensor([[3.0], [-3.0]]), torch.tensor([1.0, 0.0]), 0.05)
    w = float(fit.weight[0])
    assert 1 / (1 + math.exp(w)) == pytest.approx(0.05 * w, abs=1e-9)
    assert fit.bias == pytest.approx(0, abs=1e-9)
    assert fit.scale == 3


def test_held_out_accuracy_is_chance_for_labels_without_meaning_and_full_for_clear_ones() -> None:
    x = noise(200, 20)
    chance = torch.arange(200) % 2
    assert abs(held_out_accuracy(x, chance.double(), 0.01, 5) - 0.5) < 4 * (0.25 / 200) ** 0.5
    clear = x + 20 * (2 * chance[:, None] - 1)
    assert held_out_accuracy(clear, chance.double(), 0.01, 5) == 1


def test_a_probe_is_a_unit_vector_with_its_accuracy_on_prompts_that_it_did_not_see() -> None:
    m = tiny()
    up = [[1, 7, w, 20] for w in range(5, 15)]
    down = [[1, 7, w, 33] for w in range(5, 15)]
    found = probe(m, up, down, PLACE)
    assert found.norm == pytest.approx(1, abs=1e-6)
    assert found.facts["held-out accuracy"] == 1
    assert found.facts["majority"] == 0.5
    along = [
        [float(plain(m, ids)[-1] @ found.vector.double()) for ids in side] for side in (up, down)
    ]
    assert min(along[0]) > max(along[1])


# Features, random directions, sums


@pytest.mark.parametrize("kind", ["transcoder", "cross-layer transcoder"])
def test_a_features_direction_does_what_adding_to_the_feature_does(kind: str) -> None:
    m, d = tiny(), dictionary(kind)
    ids = torch.tensor([[1, 5, 9, 14, 30]])
    direction = from_feature(d, 0, 4)
    assert [place.layer for place, _ in direction.parts] == list(d.writes_to(0))
    one = m.intervene(ids[0], direction.steer(1.5))
    other = m.intervene(ids[0], feature(d, 0, 4).add(1.5).from_(1))
    torch.testing.assert_close(one.logits, other.logits, rtol=0, atol=1e-5)
    assert (one.logits - m.run(ids).logits).abs().max() > 1e-2  # type: ignore[operator]


def test_random_directions_have_the_norms_of_what_they_stand_for() -> None:
    direction = from_feature(dictionary("cross-layer transcoder"), 0, 2)
    found = [random_like(direction, seed) for seed in range(30)]
    for other in found:
        assert [place for place, _ in other.parts] == [place for place, _ in direction.parts]
        for (_, a), (_, b) in zip(other.parts, direction.parts, strict=True):
            assert float(a.norm()) == pytest.approx(float(b.norm()), rel=1e-5)
    cosines = torch.tensor(
        [float(torch.cosine_similarity(o.vector, direction.vector, dim=0)) for o in found]
    )
    # On the sphere in d dimensions cosines have mean 0 and variance 1/d.
    assert abs(float(cosines.mean())) < 4 / math.sqrt(WIDTH * 30)
    assert float(cosines.var()) == pytest.approx(1 / WIDTH, rel=0.8)
    assert torch.equal(found[0].vector, random_like(direction, 0).vector)


def test_directions_together_add_what_each_adds() -> None:
    a = from_vector(noise(1, WIDTH)[0], PLACE, "a")
    b = from_feature(dictionary("cross-layer transcoder"), 1, 3)
    both = together([(a, 2.0), (b, -1.0), (a, 0.5), (b, 0)])
    assert {place for place, _ in both.parts} == {PLACE, *(place for place, _ in b.parts)}
    m, ids = tiny(), [1, 5, 9, 14]
    one = m.intervene(ids, both.steer(3)).logits
    other = m.intervene(ids, [*a.steer(7.5), *b.steer(-3)]).logits
    torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


# Scales


def test_natural_scales_are_those_of_a_plain_loop() -> None:
    m, d = tiny(), dictionary("transcoder")
    assert isinstance(d, Transcoders)
    text = Neutral(tuple(torch.tensor(ids) for ids in prompts(12, 5)), "numbers")
    v = noise(1, WIDTH)[0]
    by_vector, by_feature = natural_scales(m, [from_vector(v, PLACE), from_feature(d, 1, 7)], text)
    x = torch.cat([plain(m, w.tolist())[1:] for w in text.windows])
    along = x @ v / v.square().sum()
    assert by_vector.measures == "projection"
    assert by_vector.n_tokens == text.n_tokens == len(x)
    assert by_vector.sigma == pytest.approx(float(along.std(correction=0)), abs=1e-5)
    assert by_vector.mean == pytest.approx(float(along.mean()), abs=1e-5)
    norms = sorted(x.norm(dim=-1).tolist())
    assert by_vector.residual_norm == pytest.approx(norms[(len(norms) - 1) // 2], rel=1e-5)
    assert by_vector.alpha(2.0) == pytest.approx(
        2 * float(v.norm()) / by_vector.residual_norm, rel=1e-5
    )
    assert by_vector.from_alpha(by_vector.alpha(3.0)) == pytest.approx(3.0)
    assert by_vector.sigmas(3.0) == pytest.approx(3 / by_vector.sigma)

    read = torch.cat([plain(m, w.tolist(), d.reads(1))[1:] for w in text.windows]).float()
    weights = d.layer(1)
    a = torch.relu(read @ weights.encoder.whole()[7] + weights.encoder_bias[7])
    assert by_feature.measures == "activation"
    assert by_feature.mean == pytest.approx(float(a.mean()), abs=1e-5)
    assert by_feature.sigma == pytest.approx(float(a.std(correction=0)), abs=1e-5)
    assert by_feature.highest == pytest.approx(float(a.max()), abs=1e-5)
    assert by_feature.active == pytest.approx(float((a > 0).double().mean()))


def test_massive_tokens_are_left_out_and_counted() -> None:
    m = model("llama grouped")
    text = Neutral(tuple(torch.tensor([1, *range(5, 15)]) for _ in range(3)), "numbers")
    direction = from_vector(torch.ones(WIDTH), Place(0, "resid_pre"))
    (before,) = natural_scales(m, [direction], text)
    # One word gets an outsize embedding, as some tokens have in large models.
    with torch.no_grad():
        m.hf.get_input_embeddings().weight[7] *= 1000  # type: ignore[operator]
    (after,) = natural_scales(m, [direction], text)
    assert (before.n_tokens, before.n_excluded) == (30, 0)
    assert (after.n_tokens, after.n_excluded) == (27, 3)
    assert after.sigma < 2 * before.sigma


def test_a_feature_that_is_never_active_has_no_sigmas() -> None:
    d = dictionary("transcoder")
    d.layer(0).encoder_bias[3] = -100.0
    (scale,) = natural_scales(tiny(), [from_feature(d, 0, 3)], _numbers())
    assert (scale.sigma, scale.active, scale.highest) == (0, 0, 0)
    assert scale.sigmas(2.0) is None
    assert scale.alpha(2.0) > 0


def _numbers() -> Neutral:
    return Neutral(tuple(torch.tensor(ids) for ids in prompts(4, 6)), "numbers")


# Neutral text


def test_the_organism_is_measured_on_its_own_language() -> None:
    m = iw.load("organism")
    found = neutral(m)
    assert "sample.txt" in found.source
    assert len(found.windows) == 200
    unknown = m.tokenizer.unk_token_id
    assert not any(unknown in window.tolist() for window in found.windows)


def test_a_model_that_reads_no_english_is_measured_on_what_it_writes_itself() -> None:
    found = neutral(tiny())
    assert found.source == "text written by the model"
    assert all(window[0] == 1 for window in found.windows)
    again = neutral(tiny())
    assert all(torch.equal(a, b) for a, b in zip(found.windows, again.windows, strict=True))


def test_a_text_that_the_model_cannot_read_is_refused() -> None:
    with pytest.raises(SteeringError, match="language"):
        neutral(tiny(), "w3 w5 Water boils at 100 degrees w7 w8 Celsius at sea level w9")


# What makes no direction


def test_what_makes_no_direction_is_refused_in_a_sentence() -> None:
    m, same = tiny(), [[1, 5, 6]] * 4
    cases: list[tuple[Any, str]] = [
        (lambda: from_vector(torch.zeros(4), PLACE), "is zero"),
        (lambda: from_vector([float("nan")] * 4, PLACE), "finite"),
        (lambda: from_vector(torch.ones(4), Place(0, "attn_z")), "no vector of the residual"),
        (lambda: from_feature(dictionary(), 0, 24), "24 features"),
        (lambda: from_feature(dictionary(), LAYERS, 0), "no layer"),
        (lambda: from_feature(_coder(), 1, 0), "not layer 1"),
        (lambda: difference_in_means(m, same, same, PLACE), "is zero"),
        (lambda: difference_in_means(m, [], same, PLACE), "at least one prompt"),
        (lambda: difference_in_means(m, "w3 w5", same, PLACE), "list"),
        (lambda: pca(m, same, place=PLACE), "all the same"),
        (lambda: pca(m, same, prompts(3, 0), place=PLACE), "one length"),
        (lambda: pca(m, same[:2], place=PLACE), "at least 3"),
        (lambda: probe(m, same, same[:1], PLACE), "at least 2 negative"),
        (lambda: probe(m, same, same, PLACE), "same vector"),
        (lambda: probe(m, prompts(3, 0), prompts(3, 1), PLACE, l2=0), "l2"),
        (lambda: together([(from_vector(torch.ones(4), PLACE), 0)]), "no vector"),
    ]
    for make, said in cases:
        with pytest.raises(SteeringError, match=said):
            make()


def _coder() -> SparseCoder:
    d = dictionary()
    assert isinstance(d, Transcoders)
    return d.coder(0)
