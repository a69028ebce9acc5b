"""Pruning as circuit-tracer 0.5 does it, with dense matrices (graph.py, prune_graph).

Written out here so that it runs beside ours on the same graph, without its environment.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interp_widgets.attribution import GraphTable, Pruning
from interp_widgets.attribution.table import ERROR, FEATURE


def prune(
    matrix: Tensor, table: GraphTable, node_threshold: float, edge_threshold: float = 0.98
) -> tuple[Tensor, Tensor]:
    """Which nodes [node] and which entries [target, source] are kept."""
    weights = torch.from_numpy(table.target_weight)
    n_features = int((table.kind == FEATURE).sum())
    n_prunable = int((table.kind <= ERROR).sum())

    influence = _influence(_normalised(matrix), weights)
    nodes = influence >= _threshold(influence, node_threshold)
    nodes[n_prunable:] = True

    pruned = matrix.clone()
    pruned[~nodes] = 0
    pruned[:, ~nodes] = 0
    share = _normalised(pruned)
    scores = share * (_influence(share, weights) + weights)[:, None]
    edges = scores >= _threshold(scores.flatten(), edge_threshold)

    before = nodes.clone()
    nodes[:n_prunable] &= edges[:, :n_prunable].any(0)
    nodes[:n_features] &= edges[:n_features].any(1)
    while not torch.equal(nodes, before):
        before[:] = nodes
        edges[~nodes] = False
        edges[:, ~nodes] = False
        nodes[:n_prunable] &= edges[:, :n_prunable].any(0)
        nodes[:n_features] &= edges[:n_features].any(1)
    return nodes, edges


def apart(kept: Pruning, nodes: Tensor, edges: Tensor, table: GraphTable) -> str:
    """How many nodes and edges only one of the two keeps."""
    target = np.repeat(np.arange(table.n_nodes), np.diff(table.ptr))
    entries: NDArray[np.bool_] = edges.numpy()[target, table.source]
    return f"{(kept.nodes != nodes.numpy()).sum()}, {(kept.edges != entries).sum()}"


def _normalised(matrix: Tensor) -> Tensor:
    size = matrix.abs()
    return size / size.sum(dim=1, keepdim=True).clamp(min=1e-10)


def _influence(share: Tensor, weights: Tensor) -> Tensor:
    current = weights @ share
    total = current.clone()
    while current.any():
        current = current @ share
        total += current
    return total


def _threshold(scores: Tensor, share: float) -> Tensor:
    ordered = torch.sort(scores, descending=True).values
    running = torch.cumsum(ordered, dim=0) / torch.sum(ordered)
    index = int(torch.searchsorted(running, share).item())
    return ordered[min(index, len(running) - 1)]
