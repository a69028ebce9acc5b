"""The threshold of many values, which are not all sorted, is that of the sorted ones."""

from __future__ import annotations

import numpy as np
import pytest

from interp_widgets.attribution.scores import threshold_value

MANY = 200_000


def by_sorting(values: np.ndarray, share: float) -> float:
    ordered = np.sort(values)[::-1]
    running = np.cumsum(ordered, dtype=np.float64)
    return float(ordered[min(np.searchsorted(running, share * running[-1]), len(values) - 1)])


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.8, 0.9, 0.98, 0.999, 1.0])
@pytest.mark.parametrize("spread", [0.0, 1.0, 4.0])
def test_it_is_the_sorted_one_for_any_spread(share: float, spread: float) -> None:
    values = np.random.default_rng(0).lognormal(0, spread, MANY).astype(np.float32)
    assert threshold_value(values, share) == by_sorting(values, share)


@pytest.mark.parametrize("share", [0.5, 0.98, 1.0])
def test_it_is_the_sorted_one_where_most_values_are_zero(share: float) -> None:
    values = np.random.default_rng(1).random(MANY, dtype=np.float32)
    values[values < 0.9] = 0
    assert threshold_value(values, share) == by_sorting(values, share)


@pytest.mark.parametrize("share", [0.5, 0.98])
def test_a_sample_that_misleads_does_no_harm(share: float) -> None:
    values = np.full(MANY, 1.0, dtype=np.float32)
    values[:: MANY // (1 << 13)] = 1000  # exactly the places that are sampled
    assert threshold_value(values, share) == by_sorting(values, share)


def test_nothing_but_zeros_has_the_threshold_zero() -> None:
    assert threshold_value(np.zeros(MANY, dtype=np.float32), 0.98) == 0
