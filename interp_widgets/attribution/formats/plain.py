"""Values as JSON can hold them, without loss for float32 and without NaN."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def shortest(values: NDArray[np.floating]) -> list[float | None]:
    """The shortest decimals that are read back as the same float32; None where not finite."""
    with np.errstate(over="ignore"):
        single = np.asarray(values, dtype=np.float32)
    # numpy prints a float32 with just the digits it needs; as float64 those digits are printed
    # again, where a plain conversion would print the seventeen digits of its float64 neighbour.
    decimals: list[float | None] = [float(text) for text in single.astype("S32")]
    for i in np.flatnonzero(~np.isfinite(single)).tolist():
        decimals[i] = None
    return decimals


def plain(value: Any) -> Any:
    """A copy made of dicts, lists, strings, numbers, booleans and None only."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (np.generic, np.ndarray)):
        return plain(value.tolist())
    return str(value)
