"""Random controls for one group: changes of equal size on other units of the same cells.

What a group does says little as long as it is not known what a change of that size does anyway. So the
changes of the group's activations are put on random features (or neurons) of the same layers and
positions, scaled so that what they write is as long, block by block (the control of swap.py), and the
same targets are measured.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..models.interventions import Intervention
from . import swap
from .effects import How
from .measured import measure
from .readings import Readings
from .scores import Floats

if TYPE_CHECKING:
    from .graph import Graph


def random_groups(
    graph: Graph, nodes: Sequence[str], factor: float, draws: int, seed: int = 0
) -> list[list[Intervention]]:
    """Interventions as large as setting `nodes` to `factor` times their activations, on other units.

    Raises ValueError for nodes that cannot be changed, and for a layer with too few other units.
    """
    table, replica = graph.table, graph.replica
    change: swap.Cells = defaultdict(dict)
    for i in graph.units_among(nodes):
        cell = int(table.layer[i]), int(table.position[i])
        change[cell][int(table.feature[i])] = (factor - 1) * float(table.activation[i])
    rng = np.random.default_rng(seed)
    drawn = [swap.random_change(replica, change, rng) for _ in range(draws)]
    return [swap.interventions_for(replica, cells, clamp=False) for cells in drawn]


def random_effects(
    graph: Graph,
    nodes: Sequence[str],
    targets: Sequence[str],
    how: How = "total",
    *,
    factor: float = 0.0,
    draws: int = swap.CONTROLS,
    seed: int = 0,
    progress: Callable[[float, str], None] | None = None,
    cancelled: Callable[[], None] | None = None,
) -> Floats:
    """Measured changes of `targets` under `random_groups`: [draw, target].

    Args:
        nodes, targets: ids; the rest as in `Graph.measure`.
        draws: how many random groups.

    Raises ValueError as `Graph.measure` and `random_groups` do.
    """
    runs = random_groups(graph, nodes, factor, draws, seed)
    place = {id: i for i, id in enumerate(graph.table.ids)}
    wanted = np.array([place[id] for id in targets], dtype=np.int64)
    readings = Readings(graph.replica, wanted)
    found = measure(graph.replica, readings, runs, how, progress=progress, cancelled=cancelled)
    return np.asarray(found.changes.double().cpu().numpy())
