"""Which features fire on some tokens against the rest of a prompt, and what chance would give.

The strength of a cell is |activation| over what is strong in the layer (text_rows.py). For k brushed
tokens out of N (special tokens that are not brushed do not count),

    more = mean strength on the brushed tokens - mean strength on the others.

The control is a random choice of as many tokens: there `more` is 0 on average, and its standard
deviation, with s the population deviation of the row's N strengths, is

    chance = s N / sqrt(k (N - 1) (N - k)).

`js/text/firing.ts` computes the same in the browser.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..features.errors import FeatureError
from .text_wire import Rows


@dataclass(frozen=True)
class Ranked:
    """A feature and how much it fires.

    value: `more` where tokens are brushed, else the peak; both as shares of what is strong in the
    layer. chance: see the top of the file; None without brushed tokens. peak, position: the strongest
    activation, as it is, and where.
    """

    layer: int
    feature: int
    value: float
    chance: float | None
    peak: float
    position: int
    label: str = ""

    def named(self, label: str) -> Ranked:
        return replace(self, label=label)


def ranked(rows: Rows, n_tokens: int, special: int, tokens: Sequence[int], n: int) -> list[Ranked]:
    """The n rows with the largest values, largest first; ties in the order of rows.

    Args:
        tokens: the brushed positions; none: by peaks.

    Raises FeatureError for positions that the prompt does not have.
    """
    wrong = [p for p in tokens if not 0 <= p < n_tokens]
    if wrong:
        raise FeatureError(f"There is no token {wrong[0]}: the prompt has {n_tokens}.")
    if not len(rows):
        return []
    sizes = np.diff(rows.ptr)
    strong = np.array([rows.strong[layer] for layer in rows.layer.tolist()])
    strength = np.abs(rows.value) / np.repeat(strong, sizes)
    row = np.repeat(np.arange(len(rows)), sizes)
    counted = rows.position >= special
    peaks = np.zeros(len(rows))
    np.maximum.at(peaks, row[counted], strength[counted])
    value, chance = peaks, None
    if tokens:
        brushed = np.isin(rows.position, tokens)
        rest = counted & ~brushed
        k = len(tokens)
        total = k + (n_tokens - special) - sum(p >= special for p in tokens)
        inside, outside = (
            _sums(row, strength, brushed, len(rows)),
            _sums(row, strength, rest, len(rows)),
        )
        squares = _sums(row, strength**2, brushed | rest, len(rows))
        others = total - k
        value = inside / k - (outside / others if others else 0)
        variance = np.maximum(squares / total - ((inside + outside) / total) ** 2, 0)
        if others and total > 1:
            chance = np.sqrt(variance) * total / np.sqrt(k * (total - 1) * others)
    found = []
    for at in np.argsort(-value, kind="stable")[:n].tolist():
        cells = slice(rows.ptr[at], rows.ptr[at + 1])
        best = int(np.argmax(np.where(counted[cells], np.abs(rows.value[cells]), -1)))
        found.append(
            Ranked(
                int(rows.layer[at]),
                int(rows.feature[at]),
                float(value[at]),
                None if chance is None else float(chance[at]),
                float(rows.value[cells][best]),
                int(rows.position[cells][best]),
            )
        )
    return found


def _sums(row: np.ndarray, value: np.ndarray, where: np.ndarray, n_rows: int) -> np.ndarray:
    return np.bincount(row[where], weights=value[where], minlength=n_rows)
