"""Rank and linear correlation, with bootstrap intervals and a shuffled control."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
RESAMPLES, SEED = 2000, 0


def pearson(a: Floats, b: Floats) -> float:
    return float(np.corrcoef(a, b)[0, 1])


def spearman(a: Floats, b: Floats) -> float:
    return pearson(_ranks(a), _ranks(b))


BOTH = (spearman, pearson)


def with_interval(correlate: Callable[[Floats, Floats], float], a: Floats, b: Floats) -> str:
    """The correlation and its 95% bootstrap interval over the pairs: `.92 [.87, .95]`."""
    rng = np.random.default_rng(SEED)
    draws = (rng.integers(0, len(a), len(a)) for _ in range(RESAMPLES))
    low, high = np.percentile([correlate(a[d], b[d]) for d in draws], [2.5, 97.5])
    return f"{correlate(a, b):.2f} [{low:.2f}, {high:.2f}]"


def shuffled(a: Floats, b: Floats) -> tuple[float, float]:
    """Where 95% of Spearman's correlations lie when the pairs are torn apart."""
    rng = np.random.default_rng(SEED)
    found = [spearman(rng.permutation(a), b) for _ in range(RESAMPLES)]
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def mean_difference(cases: list[tuple[Floats, Floats, Floats]]) -> tuple[float, float, float]:
    """Mean over cases (a, b, measured) of Spearman(a) - Spearman(b), and its 95% interval.

    The cases are given; their pairs are resampled, the same ones for a and b.
    """
    rng = np.random.default_rng(SEED)

    def mean(draws: list[NDArray[np.integer]]) -> float:
        apart = [
            spearman(a[d], m[d]) - spearman(b[d], m[d])
            for (a, b, m), d in zip(cases, draws, strict=True)
        ]
        return float(np.mean(apart))

    sizes = [len(measured) for _, _, measured in cases]
    found = [mean([rng.integers(0, n, n) for n in sizes]) for _ in range(RESAMPLES)]
    low, high = np.percentile(found, [2.5, 97.5])
    return mean([np.arange(n) for n in sizes]), float(low), float(high)


def _ranks(values: Floats) -> Floats:
    """Ranks from 0; equal values (a resample repeats pairs) share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    middle = ends - (counts + 1) / 2
    return np.asarray(middle[inverse])
