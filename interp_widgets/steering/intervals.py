"""Means with intervals: the bootstrap over whole prompts, windows or texts.

What is drawn again is what was sampled: a prompt or a window of text, never a token of it, because
tokens of one text resemble each other (cluster bootstrap, Efron and Tibshirani 1993; percentile
interval, fixed seed).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..dictionaries.metrics import Estimate
from .errors import SteeringError

DRAWS = 1000


def mean(values: Tensor, weights: Tensor | None = None, n: int | None = None) -> Estimate:
    """sum(weights * values) / sum(weights) with its 95% interval.

    Args:
        values: [unit], one for each thing that was sampled.
        weights: [unit]; None counts each once.
        n: the count to report; None: the number of units.

    With one unit there is no interval (nan).
    """
    values = values.double()
    if not len(values):
        raise SteeringError("There is nothing to take a mean of.")
    weights = torch.ones_like(values) if weights is None else weights.double()
    count = len(values) if n is None else n
    value = float((weights * values).sum() / weights.sum())
    if len(values) == 1:
        return Estimate(value, math.nan, math.nan, math.nan, count)
    random = torch.Generator().manual_seed(0)
    drawn = torch.randint(len(values), (DRAWS, len(values)), generator=random)
    means = (weights * values)[drawn].sum(1) / weights[drawn].sum(1)
    low, below, above, high = (float(means.quantile(q)) for q in (0.025, 0.16, 0.84, 0.975))
    return Estimate(value, (above - below) / 2, low, high, count)
