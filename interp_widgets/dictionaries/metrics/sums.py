"""Sums per window of text, and estimates with intervals from them.

Every number that is a mean over tokens, or a ratio of such means, is computed from sums kept per
window. Tokens of one window resemble each other, so intervals come from drawing whole windows
again (cluster bootstrap, Efron and Tibshirani 1993, with 1,000 draws and a fixed seed), not from
the count of tokens. Memory: a few numbers per window, however many tokens there are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

DRAWS = 1000


@dataclass(frozen=True)
class Estimate:
    """A number with what is known of its error.

    Attributes:
        value: from all tokens.
        error: standard error (half the width of the middle 68% of draws); nan where there is only one window of text.
        low, high: the 95% interval.
        n: over how many tokens.
    """

    value: float
    error: float
    low: float
    high: float
    n: int

    def __format__(self, spec: str) -> str:
        spec = "z" + (spec or ".3f")  # z: what rounds to zero has no sign
        number = format(self.value, spec)
        return number if math.isnan(self.error) else f"{number} ± {format(self.error, spec)}"

    def __str__(self) -> str:
        return format(self, "")

    def __float__(self) -> float:
        return self.value


class Sums:
    """Sums per window, by name."""

    def __init__(self, n_windows: int) -> None:
        self.n_windows = n_windows
        self._sums: dict[str, Tensor] = {}

    def add(self, name: str, window: Tensor, values: Tensor) -> None:
        """window, values: [token]."""
        total = self._sums.setdefault(name, torch.zeros(self.n_windows, dtype=torch.float64))
        total.index_add_(0, window, values.to("cpu", torch.float64))

    def total(self, name: str) -> float:
        return float(self._sums[name].sum())

    @cached_property
    def _counts(self) -> Tensor:
        """How often each draw holds each window, [1 + draw, window]; first the text itself."""
        n = self.n_windows
        random = torch.Generator().manual_seed(0)
        rows = [torch.ones(n, dtype=torch.float64)]
        for _ in range(DRAWS if n > 1 else 0):
            drawn = torch.randint(n, (n,), generator=random)
            rows.append(torch.bincount(drawn, minlength=n).double())
        return torch.stack(rows)

    def estimator(self) -> Callable[[Callable[[Mapping[str, Tensor]], Tensor], str], Estimate]:
        """A function (formula, name of the count) -> Estimate, on one set of draws.

        The formula maps totals by name, each [1 + draw] (the text itself, then the draws), to
        values [1 + draw].
        """
        totals = {name: self._counts @ values for name, values in self._sums.items()}

        def estimate(formula: Callable[[Mapping[str, Tensor]], Tensor], count: str) -> Estimate:
            values = formula(totals)
            drawn = values[1:][values[1:].isfinite()]
            if len(drawn) < 2:
                error = low = high = math.nan
            else:
                at = [float(drawn.quantile(q)) for q in (0.025, 0.16, 0.84, 0.975)]
                # Half of the middle 68%: a ratio's draws may have wild tails, which std would see.
                low, error, high = at[0], (at[2] - at[1]) / 2, at[3]
            return Estimate(float(values[0]), error, low, high, round(self.total(count)))

        return estimate
