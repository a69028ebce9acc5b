"""What fires on a prompt, as binary buffers for the browser (wire.py has the layout).

The first holds one row per active unit, ordered by layer and number, and the row's cells as
compressed rows: the positions where the unit is active, ascending, and its activations there. The
second, which comes when the index has been read, says for the same rows and cells what is usual: on
how many tokens of the index the unit is active, its mean over all of them, and for every cell the
share of the unit's activations that are weaker. `js/text/buffer.ts` is the other half.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import wire

FORMAT, USUAL_FORMAT, VERSION = "interp-widgets-text", "interp-widgets-text-index", 1


@dataclass(frozen=True, eq=False)
class Rows:
    """Units that are active on a prompt.

    layer, feature: [row], in this order; ptr: [row + 1]; position, value: [cell], the cells of row r
    from ptr[r] to ptr[r + 1]. strong: by layer, an activation of strength 1 (text_rows.py). total: how
    many units are active, rows or not.
    """

    layer: NDArray[np.int64]
    feature: NDArray[np.int64]
    ptr: NDArray[np.int64]
    position: NDArray[np.int64]
    value: NDArray[np.float32]
    strong: Mapping[int, float]
    total: int

    def __len__(self) -> int:
        return len(self.layer)

    @property
    def units(self) -> list[tuple[int, int]]:
        return list(zip(self.layer.tolist(), self.feature.tolist(), strict=True))


@dataclass(frozen=True, eq=False)
class Usual:
    """What an index says of rows and cells.

    count: [row], tokens on which the unit is active; mean: [row], of the absolute activation over all
    tokens of the index; percentile: [cell], 0 to 100. n_tokens: of the index.
    """

    count: NDArray[np.int64]
    mean: NDArray[np.float32]
    percentile: NDArray[np.float32]
    n_tokens: int


def pack(
    rows: Rows,
    *,
    run: int,
    prompt: str,
    tokens: list[str],
    special: int,
    unit: str,
    names: list[str],
) -> bytes:
    """The first buffer.

    Args:
        run: a number that the second buffer repeats.
        tokens: what each token adds to the text; the first `special` ones stand in front of it.
        unit: "feature", "neuron" or "direction"; names: of the rows, "" where there is none.
    """
    header = {
        "format": FORMAT,
        "version": VERSION,
        "run": run,
        "prompt": prompt,
        "tokens": tokens,
        "special": special,
        "unit": unit,
        "rows": len(rows),
        "cells": len(rows.value),
        "rows_total": rows.total,
        "strong": {str(layer): value for layer, value in rows.strong.items()},
        "names": names,
    }
    columns = {
        "layer": rows.layer.astype("<i2"),
        "feature": rows.feature.astype("<i4"),
        "ptr": rows.ptr.astype("<u4"),
        "position": rows.position.astype("<i4"),
        "value": rows.value.astype("<f4"),
    }
    return wire.write(header, columns)


def pack_usual(usual: Usual, *, run: int) -> bytes:
    """The second buffer."""
    header = {
        "format": USUAL_FORMAT,
        "version": VERSION,
        "run": run,
        "rows": len(usual.count),
        "cells": len(usual.percentile),
        "n_tokens": usual.n_tokens,
    }
    columns = {
        "count": usual.count.astype("<u4"),
        "mean": usual.mean.astype("<f4"),
        "percentile": usual.percentile.astype("<f4"),
    }
    return wire.write(header, columns)


def unpack(buffer: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Header and arrays of the first buffer. Raises ValueError for anything else."""
    return wire.read(buffer, FORMAT, VERSION, "text")


def unpack_usual(buffer: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Header and arrays of the second buffer. Raises ValueError for anything else."""
    return wire.read(buffer, USUAL_FORMAT, VERSION, "index of a text")
