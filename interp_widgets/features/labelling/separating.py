"""How well scores separate tokens on which a unit is active from others, with an interval.

The unit of judgement is a token in its context, not a whole text: a unit that fires on the question
mark behind "texas" must be told from all other tokens, those of the same text included. The area
under the ROC curve is the chance that a random active token has a higher score than a random other
one, ties counted half. Its 95% interval is from 300 draws of windows, as tokens of one text resemble
each other (Poisson bootstrap: each window counts Poisson(1) times in a draw).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...dictionaries.labels import By, Label
from .contexts import Sheet
from .rules import Bools
from .vocabulary import Ints

DRAWS = 300
MOST_ACTIVE, MOST_OTHER = 1000, 4000


@dataclass(frozen=True, eq=False)
class Trial:
    """Tokens to be told apart. places: on the sheet, int64 [n]; active: bool [n]."""

    sheet: Sheet
    places: Ints
    active: Bools

    @property
    def n_active(self) -> int:
        return int(self.active.sum())

    @property
    def n_other(self) -> int:
        return len(self.active) - self.n_active


@dataclass(frozen=True)
class Detection:
    """How well a detector separates tokens on which a unit is active from others.

    auroc: area under the ROC curve; low, high: its 95% interval (nan where the active tokens are of
    one text). control: the mean of the same for the detectors of n_control random other units of the
    layer (nan for none); control_low, control_high: the range that holds 95% of them. n_active,
    n_other: tokens judged, of the text tested_on. by, how: what the detector is.
    """

    auroc: float
    low: float
    high: float
    control: float
    control_low: float
    control_high: float
    n_active: int
    n_other: int
    by: By
    how: str
    n_control: int
    tested_on: str

    def on(self, label: Label) -> Label:
        """The label with this score, rounded to three places."""
        return replace(
            label,
            score=_rounded(self.auroc),
            low=_rounded(self.low),
            high=_rounded(self.high),
            control=_rounded(self.control),
            samples=self.n_active + self.n_other,
            active=self.n_active,
            by=self.by,
            tested_on=self.tested_on,
        )


def trial(sheet: Sheet, active: Ints, strength: NDArray[np.float32], other: Ints) -> Trial:
    """At most 1,000 active tokens, evenly spaced in strength, and 4,000 random others.

    Args:
        active, other: places on the sheet; strength: of the active ones.
    """
    order = np.argsort(-strength, kind="stable")
    if len(order) > MOST_ACTIVE:
        order = order[np.linspace(0, len(order) - 1, MOST_ACTIVE).round().astype(np.int64)]
    if len(other) > MOST_OTHER:
        other = np.random.default_rng(0).choice(other, MOST_OTHER, replace=False)
    places = np.concatenate([active[order], other])
    return Trial(sheet, places, np.arange(len(places)) < len(order))


def detection(
    scores: NDArray[Any], controls: Iterable[NDArray[Any]], trial: Trial, by: By, how: str
) -> Detection:
    """What the scores [n] of a detector and of others say of a trial's tokens."""
    low, high = interval(scores, trial)
    chance = np.array([auroc(each, trial.active) for each in controls])
    around = np.percentile(chance, (2.5, 97.5)) if len(chance) else (math.nan, math.nan)
    return Detection(
        auroc(scores, trial.active),
        low,
        high,
        float(chance.mean()) if len(chance) else math.nan,
        float(around[0]),
        float(around[1]),
        trial.n_active,
        trial.n_other,
        by,
        how,
        len(chance),
        trial.sheet.source,
    )


def auroc(scores: NDArray[Any], active: Bools) -> float:
    """Area under the ROC curve of scores [n] for active [n]; nan where one side is empty."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    rank = np.cumsum(counts) - (counts - 1) / 2  # mean rank of each distinct score, from 1
    inside, outside = int(active.sum()), int((~active).sum())
    if not inside or not outside:
        return math.nan
    total = rank[inverse[active]].sum()
    return float((total - inside * (inside + 1) / 2) / (inside * outside))


def interval(scores: NDArray[Any], trial: Trial) -> tuple[float, float]:
    """The 95% interval of `auroc`; nan where the active tokens are of one window."""
    window, column = np.unique(trial.sheet.window[trial.places], return_inverse=True)
    if len(np.unique(column[trial.active])) < 2:
        return math.nan, math.nan
    weights = _poisson(1 << (len(window) - 1).bit_length())[:, : len(window)]
    levels, level = np.unique(scores, return_inverse=True)
    if len(levels) == 2:
        found = _two_levels(level == 1, trial.active, column, weights)
    else:
        found = _many_levels(level, len(levels), trial.active, column, weights)
    found = found[np.isfinite(found)]
    low, high = np.percentile(found, (2.5, 97.5)) if len(found) else (math.nan, math.nan)
    return float(low), float(high)


def _two_levels(
    high: Bools, active: Bools, column: Ints, weights: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Per draw, for scores of two values: half of 1 + share of active − share of others there."""

    def drawn(chosen: Bools) -> NDArray[np.float64]:
        counts = np.bincount(column[chosen], minlength=weights.shape[1])
        return (weights @ counts.astype(np.float32)).astype(np.float64)

    with np.errstate(invalid="ignore", divide="ignore"):
        hits = drawn(high & active) / drawn(active)
        alarms = drawn(high & ~active) / drawn(~active)
    return (1 + hits - alarms) / 2


def _many_levels(
    level: Ints, n_levels: int, active: Bools, column: Ints, weights: NDArray[np.float32]
) -> NDArray[np.float64]:
    order = np.argsort(level, kind="stable")
    drawn = weights[:, column[order]].astype(np.float64)
    inside, outside = drawn * active[order], drawn * ~active[order]
    first = np.searchsorted(level[order], np.arange(n_levels))
    inside, outside = (np.add.reduceat(side, first, axis=1) for side in (inside, outside))
    below = np.cumsum(outside, axis=1) - outside / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((inside * below).sum(1) / (inside.sum(1) * outside.sum(1)))


@cache
def _poisson(n: int) -> NDArray[np.float32]:
    """How often each window counts in each draw, [draw, n]."""
    return np.random.default_rng(0).poisson(1, (DRAWS, n)).astype(np.float32)


def _rounded(value: float) -> float | None:
    return round(value, 3) if math.isfinite(value) else None
