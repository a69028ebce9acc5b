"""Work measured in plain forward passes: each piece right behind a plain pass, as often as asked.

Only the standard library, because the peer's environment imports it as well. CPU time.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any


def in_plain_passes(
    plain: Callable[[], Any], work: Mapping[str, Callable[[], Any]], repeat: int
) -> tuple[float, dict[str, float]]:
    """The median seconds of a plain pass, and per piece of work the median of its ratios to the
    plain pass just before it. One more turn in front warms up."""
    passes: list[float] = []
    ratios: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(repeat + 1):
        for name, do in work.items():
            unit, cost = _seconds(plain), _seconds(do)
            if turn:
                passes.append(unit)
                ratios[name].append(cost / unit)
    return statistics.median(passes), {name: statistics.median(r) for name, r in ratios.items()}


def _seconds(do: Callable[[], Any]) -> float:
    begun = time.process_time()
    do()
    return time.process_time() - begun
