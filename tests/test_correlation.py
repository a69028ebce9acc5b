"""Rank correlation against its definition, and an interval that holds what it promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interp_widgets.attribution.correlation import Correlation, correlate, mean_over, spearman


def by_definition(a: list[float], b: list[float]) -> float:
    """Pearson's correlation of the ranks, counted one by one."""

    def rank(values: list[float], x: float) -> float:
        below = sum(v < x for v in values)
        same = sum(v == x for v in values)
        return below + (same - 1) / 2

    x, y = [rank(a, v) for v in a], [rank(b, v) for v in b]
    mx, my = math.fsum(x) / len(x), math.fsum(y) / len(y)
    top = math.fsum((p - mx) * (q - my) for p, q in zip(x, y, strict=True))
    size = math.fsum((p - mx) ** 2 for p in x) * math.fsum((q - my) ** 2 for q in y)
    return top / math.sqrt(size) if size else math.nan


values = st.lists(st.integers(-3, 3), min_size=3, max_size=12)


@given(values, st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_rank_correlation_with_ties_is_its_definition(a: list[float], random: object) -> None:
    b = [random.choice([-1, 0, 1, 2]) for _ in a]  # type: ignore[attr-defined]
    assert spearman(np.array(a), np.array(b)) == pytest.approx(by_definition(a, b), nan_ok=True)


def test_without_ties_it_is_the_closed_form() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.permutation(30), rng.permutation(30)
    expected = 1 - 6 * ((a - b) ** 2).sum() / (30 * (30**2 - 1))
    assert spearman(a, b) == pytest.approx(expected)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Independent pairs have a rank correlation of 0: 95% of the intervals should hold it."""
    rng = np.random.default_rng(1)
    found = [correlate(rng.normal(size=40), rng.normal(size=40), resamples=300) for _ in range(150)]
    held = sum(c.low <= 0 <= c.high for c in found)
    assert 0.88 <= held / 150 <= 0.99
    assert all(c.n == 40 and c.low <= c.high for c in found)


def test_more_pairs_make_the_interval_narrower() -> None:
    rng = np.random.default_rng(2)
    few, many = (correlate(x, x + rng.normal(size=len(x))) for x in map(rng.normal, (0, 0), (1, 1), (20, 500)))  # fmt: skip
    assert many.high - many.low < (few.high - few.low) / 2


def test_a_perfect_order_has_no_doubt_and_a_constant_has_no_correlation() -> None:
    x = np.arange(20.0)
    assert correlate(x, x**3) == Correlation(
        pytest.approx(1), pytest.approx(1), pytest.approx(1), 20
    )
    assert math.isnan(correlate(np.zeros(20), x).rho)
    assert math.isnan(correlate(x[:2], x[:2]).low)


def test_several_draws_of_a_control_make_one_correlation() -> None:
    rng = np.random.default_rng(3)
    measured = rng.normal(size=50)
    draws = rng.normal(size=(20, 50))
    found = correlate(draws, measured)
    assert found.rho == pytest.approx(
        np.mean([by_definition(list(d), list(measured)) for d in draws])
    )
    assert found.low < 0 < found.high


def test_a_mean_over_prompts_counts_prompts() -> None:
    found = mean_over([0.5, 0.7, 0.9, float("nan")])
    assert (found.rho, found.n) == (pytest.approx(0.7), 3)
    assert 0.5 <= found.low <= found.high <= 0.9
    assert math.isnan(mean_over([0.5, 0.5]).low)


def test_runs_that_ran_away_are_left_out_and_not_counted() -> None:
    x = np.arange(12.0)
    y = np.where(x == 5, np.inf, np.where(x == 7, np.nan, -x))
    found = correlate(x, y)
    assert (found.rho, found.n) == (pytest.approx(-1), 10)
