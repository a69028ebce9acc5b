"""What nodes do to other nodes: three predictions of a graph, each with its measurement.

A group of nodes is set to `factor` times their activations (0: ablated, −1: turned over, 2: doubled),
and the values of other nodes change. There are three ways to say by how much, from the narrowest to
the widest, and each is predicted and measured under the same name:

                predicted                               measured, the model being run with
    edges       the graph's edges, one step             patterns, norm scales and all other MLP outputs
                                                        held: only what is written directly
    direct      path sums: patterns and norm scales     patterns and norm scales held, MLPs free
                frozen, units linear (paths.py)
    total       the live derivative, nothing frozen     everything free
                (live.py)

What `total` has beyond `direct` is what a graph cannot show: the part through attention patterns, and the
part through norm scales. A prediction of `total` tells them apart, as derivatives with one and then the
other held. What a measurement has beyond its prediction is curvature (predictions are linear, and setting
a strong node to zero is no small step) and, in `direct`, what a dictionary leaves unexplained.

In `edges` and `direct` the group is held: what one member does to another is overridden, as it is in
the measurement. `total` adds the members' derivatives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from .live import Hold, live_effects
from .paths import edge_effects, shares, table_paths, unit_paths
from .readings import Readings
from .replica import Replica
from .scores import Floats
from .table import ERROR, FEATURE, OUTPUT, TOKEN, GraphTable

Kind = Literal["predicted", "measured"]
How = Literal["edges", "direct", "total"]
HOWS: tuple[How, ...] = get_args(How)
#: So many of the nodes that a group writes to directly are targets, if none are named.
MOST_TARGETS = 20


@dataclass(frozen=True, eq=False)
class Effects:
    """Changes of the values of targets when nodes are set to `factor` times their activations.

    A value is a feature's pre-activation, a neuron's value, or an output target's value (for a token:
    its logit minus the mean logit, before a softcap).

    kind: "predicted" or "measured"; how: "edges", "direct" or "total".
    nodes: ids of what was changed; targets: ids, outputs first, then by size.
    value: [target], before the change; change: [target].
    parts: of a prediction, by name, [target] each, in `change` as well. `direct` has "hidden": what
        runs through units outside the graph (NaN for a graph from a file, which does not know
        them). `total` has "patterns" and "norms": what runs through attention patterns, and through
        norm scales.
    probability: of the outputs that are tokens, id to (before, after); of measurements only.
    """

    kind: Kind
    how: How
    factor: float
    nodes: tuple[str, ...]
    targets: tuple[str, ...]
    value: NDArray[np.float32]
    change: NDArray[np.float32]
    parts: Mapping[str, NDArray[np.float32]]
    probability: dict[str, tuple[float, float]]

    def __getitem__(self, target: str) -> float:
        """The change of one target, by its id."""
        try:
            return float(self.change[self.targets.index(target)])
        except ValueError:
            raise KeyError(
                f"{target!r} is no target here; targets are {', '.join(self.targets[:3])}, …"
            ) from None

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{t}: {c:+.3g}"
            for t, c in zip(self.targets[:4], self.change[:4].tolist(), strict=True)
        )
        more = f", … ({len(self.targets)} targets)" if len(self.targets) > 4 else ""
        what = f"{len(self.nodes)} node{'s' * (len(self.nodes) != 1)} × {self.factor:g}"
        return f"Effects({self.kind}, {self.how}, {what}; {shown}{more})".replace("-", "−")


def check_how(how: str) -> None:
    """Raises ValueError unless it is one of the three."""
    if how not in HOWS:
        raise ValueError(f"how is {how!r}: it is one of {', '.join(HOWS)}.")


def targets_of(
    table: GraphTable, nodes: NDArray[np.integer], wanted: NDArray[np.integer] | None
) -> NDArray[np.integer]:
    """Which nodes an effect is told for: all outputs, and what the group writes to most strongly.

    Raises ValueError for a target that is a token or an error (nothing changes them), or a member of
    the group.
    """
    if wanted is not None:
        for i in wanted:
            if table.kind[i] in (TOKEN, ERROR):
                raise ValueError(
                    f"{table.ids[i]} is a token or an error, which nothing changes: "
                    f"a target is a {table.unit} or an output."
                )
            if i in nodes:
                raise ValueError(f"{table.ids[i]} is changed itself, so it is no target.")
        return wanted
    share = np.zeros(table.n_nodes)
    share[nodes] = 1
    size = np.abs(edge_effects(table, share))
    size[(table.kind != FEATURE) | np.isin(np.arange(table.n_nodes), nodes)] = 0
    strongest = np.argsort(-size, kind="stable")[:MOST_TARGETS]
    return np.concatenate([np.flatnonzero(table.kind == OUTPUT), strongest[size[strongest] > 0]])


Found = tuple[Floats, dict[str, Floats]]  # change [target], and its parts


def predict_in_table(
    table: GraphTable,
    nodes: NDArray[np.integer],
    targets: NDArray[np.integer],
    how: How,
    factor: float,
) -> Found:
    """From the edges alone, as a graph from a file has them."""
    if how == "edges":
        share = np.zeros(table.n_nodes)
        share[nodes] = factor - 1
        return edge_effects(table, share)[targets], {}
    change = table_paths(table, shares(table, nodes, factor - 1))[targets]
    return change, {"hidden": np.full(len(targets), np.nan)}


def predict(
    replica: Replica,
    nodes: NDArray[np.integer],
    targets: NDArray[np.integer],
    how: How,
    factor: float,
) -> Found:
    """In the model; see the top of this file."""
    table = replica.table
    if how == "edges":
        return predict_in_table(table, nodes, targets, how, factor)
    unit = torch.from_numpy(replica.unit[nodes]).to(replica.units.layer.device)
    if how == "total":
        readings = Readings(replica, targets)

        def along(hold: Hold) -> Floats:
            found = live_effects(replica, [(unit, factor - 1)], readings, hold=hold)[0]
            return np.asarray(found.double().cpu().numpy())

        free, without, linear = along("nothing"), along("patterns"), along("norms")
        return free, {"patterns": free - without, "norms": without - linear}
    responds = torch.ones_like(replica.units.layer, dtype=torch.bool)
    responds[unit] = False
    paths = unit_paths(replica, replica.readers(targets), responds=responds)
    change: Floats = (factor - 1) * paths[:, unit].double().sum(1).cpu().numpy()
    shown = table_paths(table, shares(table, nodes, factor - 1))[targets]
    return change, {"hidden": change - shown}


def nodes_of(table: GraphTable, index: Sequence[int]) -> NDArray[np.int64]:
    """Nodes that can be changed, each once, in the graph's order.

    Raises ValueError if there are none, or one is no feature or neuron.
    """
    nodes = np.unique(np.asarray(index, dtype=np.int64))
    if not len(nodes):
        raise ValueError(f"There are no nodes to change: give at least one {table.unit}.")
    for i in nodes:
        if table.kind[i] != FEATURE:
            raise ValueError(
                f"{table.ids[i]} is no {table.unit}: only {table.unit}s can be changed, because "
                f"tokens, errors and outputs stand for what the graph takes as given."
            )
    return nodes
