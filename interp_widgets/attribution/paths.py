"""Path sums: what a change of one unit adds up to, over paths of any length through a graph.

In the linear model of a graph an edge A[t, s] is what s, at its activation a_s, adds to the value of t.
If the activation of s changes by the share f_s, what s writes changes by the same share, and for a unit
t the share f_t = (change of its value) / a_t passes on. So, in matrices with D = diag(1 / a),

    effect = A f + A D A f + A D A D A f + ...,

a finite sum, because edges run upwards. Errors are constants of the linear model: nothing reaches
them and nothing passes through. A unit that is held at a value passes nothing on either.

`table_paths` sums along the edges of a finished graph. `unit_paths` does it in the model: one pull-back
in which MLPs let the gradient through as far as their units respond, so that active units outside the
node budget pass on what reaches them, too.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .neurons import NeuronUnits
from .replica import Replica
from .scores import Floats, row_sums
from .sweep import EMBEDDING, Site, Targets, pull_back
from .table import FEATURE, GraphTable
from .units import Features


def edge_effects(table: GraphTable, share: Floats) -> Floats:
    """A f: what changed sources add to each target over one edge, [node].

    share: [node], the change of each source over its activation (-1: it is ablated).
    """
    return row_sums(table.ptr, table.weight * share[table.source])


def table_paths(table: GraphTable, share: Floats) -> Floats:
    """The path sum over the edges of a graph, [node]: the change of every node's value.

    share: [node], as in `edge_effects`; NaN where a node is free to respond, a number where it is
        held there. What is held gets its direct change of value all the same.
    """
    held = ~np.isnan(share)
    passed = np.where(held, share, 0.0)
    change = np.zeros(table.n_nodes)
    filled = np.diff(table.ptr) > 0
    for layer in np.unique(table.layer[filled]):
        rows = np.flatnonzero(filled & (table.layer == layer))
        for run in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1):
            part = slice(table.ptr[run[0]], table.ptr[run[-1] + 1])
            ptr = table.ptr[run[0] : run[-1] + 2] - table.ptr[run[0]]
            change[run] = row_sums(ptr, table.weight[part] * passed[table.source[part]])
        free = rows[(table.kind[rows] == FEATURE) & ~held[rows]]
        activation = table.activation[free].astype(np.float64)
        alive = activation != 0  # a silent unit writes nothing, whatever it reads
        passed[free[alive]] = change[free[alive]] / activation[alive]
    return change


@torch.no_grad()
def unit_paths(
    replica: Replica,
    targets: Targets,
    *,
    responds: Tensor | None = None,
    others_respond: bool = True,
    cancelled: Callable[[], None] = lambda: None,
) -> Tensor:
    """The path sum from every unit of a replica to some targets, [target, unit].

    Entry (t, u) is what u at its activation adds to the value of t in the end; a change of u by the
    share f changes t by f times that.

    Args:
        targets: from `Replica.readers`.
        responds: [unit] bool, which units pass on what reaches them; None: all.
        others_respond: whether neurons that are no units pass on, too.
        cancelled: called once per block; raises to stop.
    """
    units = replica.units
    if responds is None:
        responds = torch.ones(len(units.layer), dtype=torch.bool, device=units.layer.device)
    effects = targets.vector.new_zeros(len(targets), len(units.layer))
    through: Callable[[Site], Tensor]
    if isinstance(units, NeuronUnits):
        through = _through_neurons(replica, units, responds, others_respond)
    else:
        through = _through_features(units, responds, effects)
    pulled: dict[int, Tensor] = {}

    def through_mlp(layer: int, gradient: Tensor, position: Tensor) -> Tensor:
        skipped = units.through_mlp(layer, gradient, position)
        own = pulled.pop(layer)
        return own if skipped is None else own + skipped

    for site in pull_back(replica.frozen, targets, through_mlp=through_mlp, cancelled=cancelled):
        if site.layer == EMBEDDING:
            break
        writes = units.writes(site.layer)
        for q, seen, gradient in site.positions():
            here = slice(writes.start[q], writes.start[q + 1])
            # A cross-layer feature writes at several blocks: its effects add up.
            effects[seen[:, None], writes.unit[here]] += gradient @ writes.vectors[here].T
        pulled[site.layer] = through(site)
    return effects


def _through_features(
    units: Features, responds: Tensor, effects: Tensor
) -> Callable[[Site], Tensor]:
    """From the gradient behind a block's MLP to the stream that its features read."""

    def through(site: Site) -> Tensor:
        out = torch.zeros_like(site.gradient)
        own = (responds & (units.layer == site.layer)).nonzero()[:, 0]
        if not len(own):
            return out
        readers = units.readers(own).vector / units.activation[own, None]
        position = units.position[own]
        first = 0
        for q, seen, _ in site.positions():
            here = position == q
            # All blocks that these features write at lie above: their effects are complete.
            out[first : first + len(seen)] = effects[seen[:, None], own[here]] @ readers[here]
            first += len(seen)
        return out

    return through


def _through_neurons(
    replica: Replica, units: NeuronUnits, responds: Tensor, others_respond: bool
) -> Callable[[Site], Tensor]:
    """The same for neurons: all of them pass on, less the units that do not respond."""
    frozen = replica.frozen
    n, d_mlp = units.neurons[0].value.shape

    def through(site: Site) -> Tensor:
        layer, device = site.layer, site.gradient.device
        own = units.layer == layer
        passes = torch.zeros(n, d_mlp, dtype=torch.bool, device=device)
        if others_respond:
            passes[units.keep] = True
        passes[units.position[own], units.feature[own]] = responds[own]
        position = torch.repeat_interleave(
            torch.arange(n, device=device), torch.tensor(site.counts, device=device)
        )
        weights, _ = frozen.mlp(layer)
        written = frozen.write(layer, position, site.gradient, "mlp.hook_out")
        reaching = (written @ weights.down.detach().to(written)) * passes[position]
        read = units.pulled(layer, reaching, position)
        return frozen.read(layer, position, read, "mlp.hook_in")[0]

    return through


def shares(table: GraphTable, nodes: NDArray[np.integer], share: float) -> Floats:
    """[node], as `table_paths` takes it: `share` at some nodes, free elsewhere."""
    out = np.full(table.n_nodes, np.nan)
    out[nodes] = share
    return out
