"""The rows of a text view: a firing sorted by unit, and what is usual for each of them.

A model's neurons are all active on all tokens, in their way, so a view takes the strongest units only
where there are too many to send. Strength is the absolute activation as a share of what is strong in
the layer on this prompt (the 99th percentile of its units' peaks, the special tokens in front left
out): layers differ in scale, and one outlier must not hide the others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .text_wire import Rows, Usual

if TYPE_CHECKING:
    from ..features.stored import StoredIndex

MOST_ROWS, MOST_CELLS = 5000, 2_000_000
FEW = 16
STRONG = 99.0  # percentile of the peaks of a layer's units on the prompt


def rows_of(
    layer: NDArray[np.int64],
    feature: NDArray[np.int64],
    position: NDArray[np.int64],
    value: NDArray[np.float32],
    special: int = 0,
    most: int = MOST_ROWS,
) -> Rows:
    """Activations as rows; beyond `most` units, those with the strongest peaks.

    Args:
        layer, feature, position, value: [n], in any order, each unit once per position.
        special: so many positions in front count for no peak.
    """
    # One key, sorted stably: what comes in order, as a firing does, is sorted quickly.
    unit = layer.astype(np.int64) * (int(feature.max(initial=0)) + 1) + feature
    order = np.argsort(unit * (int(position.max(initial=0)) + 1) + position, kind="stable")
    layer, feature, unit = layer[order], feature[order], unit[order]
    position, value = position[order], value[order].astype(np.float32)
    new = np.ones(len(unit), dtype=bool)
    new[1:] = unit[1:] != unit[:-1]
    starts = np.flatnonzero(new)
    ptr = np.append(starts, len(layer)).astype(np.int64)
    total = len(starts)
    if total == 0:
        return Rows(layer, feature, ptr, position, value, {}, 0)
    peaks = np.maximum.reduceat(np.where(position < special, 0, np.abs(value)), starts)
    strong = {
        int(each): max(float(np.percentile(peaks[layer[starts] == each], STRONG)), 1e-12)
        for each in np.unique(layer[starts])
    }
    most = min(most, max(1, MOST_CELLS * total // len(layer)))
    if total > most:
        strength = peaks / np.array([strong[int(each)] for each in layer[starts]])
        kept = np.zeros(total, dtype=bool)
        kept[np.argsort(-strength, kind="stable")[:most]] = True
        sizes = np.diff(ptr)
        cells = np.repeat(kept, sizes)
        starts, position, value = starts[kept], position[cells], value[cells]
        ptr = np.concatenate([[0], np.cumsum(sizes[kept])])
    return Rows(layer[starts], feature[starts], ptr, position, value, strong, total)


def usual_of(
    rows: Rows, stored: StoredIndex, check: Callable[[int, int], None] = lambda done, total: None
) -> Usual:
    """What an index says of the rows and their cells.

    check: called with how many rows are done and how many there are; raises to stop.
    """
    count = np.zeros(len(rows), dtype=np.int64)
    mean = np.zeros(len(rows), dtype=np.float32)
    percentile = np.full(len(rows.value), np.nan, dtype=np.float32)
    for row, (layer, feature) in enumerate(rows.units):
        check(row, len(rows))
        if layer not in stored.layers:
            continue
        known = np.abs(stored.entries(layer, feature).value)
        count[row] = len(known)
        if not len(known):
            continue
        mean[row] = known.sum(dtype=np.float64) / max(1, stored.n_tokens)
        cells = slice(rows.ptr[row], rows.ptr[row + 1])
        # The index rounds to float16, and so do we before we compare.
        here = np.abs(rows.value[cells]).astype(np.float16).astype(np.float32)
        percentile[cells] = 100 * _weaker(known, here) / len(known)
    return Usual(count, mean, percentile, stored.n_tokens)


def _weaker(known: NDArray[np.float32], here: NDArray[np.float32]) -> NDArray[np.int64]:
    """How many of the known values are below each of these; sorting pays where these are many."""
    if len(here) > FEW:
        return np.searchsorted(np.sort(known), here)
    return np.array([np.count_nonzero(known < value) for value in here], dtype=np.int64)
