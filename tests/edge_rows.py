"""All rows of a graph at the model's own precision; a GraphTable keeps float32."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from interp_widgets.attribution.rows import EdgeRows
from interp_widgets.attribution.sweep import Targets
from interp_widgets.attribution.targets import OutputTargets
from interp_widgets.models import FrozenModel


@torch.no_grad()
def edge_rows(frozen: FrozenModel, units: Any, outputs: OutputTargets) -> tuple[Tensor, Tensor]:
    """Edges [target, source] into all units, then into all outputs; and biases [target]."""
    of_units = units.readers(torch.arange(len(units.layer)))
    vectors, constant = frozen.read_final(outputs.vectors)
    k = len(outputs)
    targets = Targets(
        torch.cat([of_units.layer, torch.full((k,), frozen.n_layers)]),
        torch.cat([of_units.position, torch.full((k,), frozen.n_positions - 1)]),
        torch.cat([of_units.vector, vectors]),
        torch.cat([of_units.constant, constant + outputs.constant]),
    )
    rows = EdgeRows(frozen, units)
    matrix = torch.zeros(len(targets), rows.n_sources, dtype=frozen.dtype)
    bias = torch.zeros(len(targets), dtype=frozen.dtype)
    rows.compute(targets, matrix, bias)
    return matrix, bias


def off(found: Tensor, expected: Tensor) -> float:
    """The largest difference, relative to the largest value."""
    return float((found - expected).abs().max() / expected.abs().max())
