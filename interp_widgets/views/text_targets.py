"""Features, neurons and directions of an index, as what can be steered with and intervened on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..features.index import Index
from ..features.units import DenseUnits
from ..models.interventions import feature, neuron
from ..steering.directions import Direction


def targets_of(index: Index, units: Sequence[tuple[int, int]]) -> list[Any]:
    """One target for each layer, in the order of first mention; directions one by one."""
    held, layers = index.units, dict[int, list[int]]()
    for layer, number in units:
        layers.setdefault(layer, []).append(number)
    if held.kind == "feature":
        return [feature(index.dictionary, layer, layers[layer]) for layer in layers]
    if held.kind == "neuron":
        return [neuron(layer, layers[layer]) for layer in layers]
    return [_direction(held, layer, number) for layer, number in units]


def _direction(units: Any, layer: int, number: int) -> Direction:
    assert isinstance(units, DenseUnits)
    assert units.vectors is not None
    at = units.layers.index(layer)
    vector = units.vectors[at][:, number]
    return Direction(((units.reads[at], vector),), units.names[layer, number])
