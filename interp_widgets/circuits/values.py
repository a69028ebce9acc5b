"""Parts of a heatmap as interventions: the same values steer, ablate and check elsewhere."""

from __future__ import annotations

from ..models.interventions import Heads, Intervention, Target, Vector
from .comparison import Comparison
from .parts import Part, Spot


def interventions(part: Part, comparison: Comparison) -> tuple[Intervention, ...]:
    """What a part's mark of the heatmap did, as values, at positions of the prompt alone."""
    shape = comparison.shape
    return tuple(
        change
        for spot in part.spots(shape)
        for change in _changes(spot, comparison, range(shape.positions))
    )


def _changes(spot: Spot, comparison: Comparison, positions: range) -> list[Intervention]:
    target: Target = spot.place
    if spot.columns is not None:
        first, last = spot.columns
        target = Heads(spot.place.layer, (first // (last - first),))
    at = list(positions) if spot.position is None else [spot.position]
    if comparison.source_ids is not None:
        return [target.patch(tuple(comparison.source_ids.tolist())).at(*at)]
    if comparison.method == "zero":
        return [target.ablate().at(*at)]
    # Means are the same at all positions but the first, which has its own.
    found = []
    for group in ([p for p in at if p == 0], [p for p in at if p > 0]):
        if group:
            mean = comparison.source[spot.place][group[0]][spot.index[1]]
            found.append(target.ablate(mean=Vector.of(mean, "mean")).at(*group))
    return found
