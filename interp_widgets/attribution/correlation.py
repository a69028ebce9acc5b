"""Rank correlation with a bootstrap interval: how well predictions order what was measured.

Spearman's rho is Pearson's correlation of the ranks, equal values sharing the mean of theirs.
Effects of single nodes span orders of magnitude and saturate, so their order is what a linear
prediction can hope for. The interval is the percentile bootstrap over the pairs (Efron 1979): pairs
are drawn with replacement, and the middle 95% of the correlations found is reported. A resample
repeats pairs, so ties are the rule and not the exception.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

RESAMPLES = 2000
_MIDDLE = (2.5, 97.5)


@dataclass(frozen=True)
class Correlation:
    """Spearman's rho with its 95% bootstrap interval over n pairs.

    NaN where it is not defined: fewer than three pairs, or one side constant.
    """

    rho: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.rho:+.2f} [{self.low:+.2f}, {self.high:+.2f}]".replace("-", "−")


def spearman(a: Floats, b: Floats) -> float:
    """Spearman's rho of the finite pairs of [pair] and [pair]; NaN if one side is constant."""
    a, b = np.asarray(a), np.asarray(b)
    finite = np.isfinite(a) & np.isfinite(b)
    x, y = ranks(a[finite]), ranks(b[finite])
    if len(x) < 2:
        return float("nan")
    x, y = x - x.mean(), y - y.mean()
    size = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / size) if size > 0 else float("nan")


def ranks(values: Floats) -> Floats:
    """Ranks from 0, [pair]; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts + 1) / 2)[inverse.reshape(-1)])


def correlate(
    predicted: Floats | Sequence[Floats],
    measured: Floats,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Correlation:
    """Spearman's rho between predictions and measurements, with its interval.

    Args:
        predicted: [pair], or several draws of it (a control drawn anew each time). Then rho is the
            mean over the draws, and each resample takes one of them.
        measured: [pair]; pairs that are not finite are left out, and not counted.
    """
    draws = np.atleast_2d(np.asarray(predicted, dtype=np.float64))
    measured = np.asarray(measured, dtype=np.float64)
    finite = np.isfinite(measured)
    draws, measured = draws[:, finite], measured[finite]
    n = len(measured)
    nan = float("nan")
    if n < 3 or not len(draws):
        return Correlation(nan, nan, nan, n)
    rng = np.random.default_rng(seed)
    found = []
    for resample in range(resamples):
        pairs = rng.integers(0, n, n)
        found.append(spearman(draws[resample % len(draws)][pairs], measured[pairs]))
    rho = _mean([spearman(draw, measured) for draw in draws])
    kept = np.array(found)[~np.isnan(found)]
    low, high = np.percentile(kept, _MIDDLE) if len(kept) else (nan, nan)
    return Correlation(rho, float(low), float(high), n)


def mean_over(values: Sequence[float], seed: int = 0, resamples: int = RESAMPLES) -> Correlation:
    """The mean of one correlation per prompt; the interval resamples prompts, not nodes.

    Nodes of one prompt are not independent of each other, prompts are. `n` counts the prompts.
    """
    kept = np.array([v for v in values if not np.isnan(v)])
    nan = float("nan")
    if len(kept) < 3:
        return Correlation(float(kept.mean()) if len(kept) else nan, nan, nan, len(kept))
    rng = np.random.default_rng(seed)
    means = kept[rng.integers(0, len(kept), (resamples, len(kept)))].mean(1)
    low, high = np.percentile(means, _MIDDLE)
    return Correlation(float(kept.mean()), float(low), float(high), len(kept))


def _mean(values: list[float]) -> float:
    kept = [v for v in values if not np.isnan(v)]
    return float(np.mean(kept)) if kept else float("nan")
