"""Numbers as JSON has them: it knows neither NaN nor infinity, which become null."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any


def finite(value: Any) -> float | None:
    """A number; None where it is not finite, or None already."""
    return float(value) if value is not None and math.isfinite(value) else None


def each_finite(values: Iterable[Any]) -> list[float | None]:
    return [finite(value) for value in values]
