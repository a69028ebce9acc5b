"""What is trained and what can be set, in words and numbers for the view."""

from __future__ import annotations

import math
from typing import Any


def limits(what: str, now: float, size: int) -> list[float]:
    """The ends of a setting's slider; around where it started, two decades up and down."""
    if what == "k":
        return [1.0, float(min(size, 1024))]
    if what == "lr":
        return [1e-6, 1e-1]
    power = round(math.log10(now)) if now > 0 else 0
    return [10.0 ** (power - 3), 10.0 ** (power + 3)]


def describe(spec: Any) -> str:
    """A spec in words: "TopK skip transcoder, L3, 2,048 features"."""
    base = getattr(spec.recipe, "base", None)
    recipe = type(spec.recipe).__name__ + (f" {type(base).__name__}" if base is not None else "")
    first, last = spec.reads[0], spec.writes[-1]
    skip = "skip " if spec.skip else ""
    if len(spec.reads) > 1:
        places = f"{len(spec.reads)} layers"
        kind = f"cross-layer {skip}transcoder"
        size = f"{spec.n_features:,} features a layer"
        return f"{recipe} {kind}, {places}, {size}"
    if tuple(spec.reads) == tuple(spec.writes):
        return f"{recipe} SAE, L{first.layer} {first.site}, {spec.n_features:,} features"
    place = f"L{first.layer}" if first.layer == last.layer else f"L{first.layer} to L{last.layer}"
    return f"{recipe} {skip}transcoder, {place}, {spec.n_features:,} features"


def features_of(spec: Any) -> int:
    """All features of a dictionary, those of a cross-layer transcoder layer after layer."""
    return int(spec.n_features) * len(spec.reads)


def plain(value: float) -> str:
    """Three digits, as one would type them: 0.0003, 32, 1e-7."""
    return f"{value:.3g}".replace("e-0", "e-")
