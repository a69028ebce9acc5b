"""Influence, pruning and scores, as the Circuit Tracing paper and circuit-tracer define them.

N is |A| with rows (targets) divided by their sums, w the weights of the output targets.
Influence of a node: v = sum over k >= 1 of w N^k, the share of the targets that flows through
it over paths of any length. Because edges only run upwards, one pass over the rows from the
top does it.

    node pruning   keep the nodes whose influence is at least that at which the sorted,
                   cumulated influence reaches the threshold; tokens and outputs always stay
    edge pruning   on the pruned and renormalised graph, score(t <- s) = N[t, s] (v[t] + w[t]);
                   keep to the cumulative threshold, then drop features and errors with nothing
                   to write to and features with nothing to read from, until nothing changes
    replacement    influence of tokens / (tokens + errors)
    completeness   mean over nodes, weighted by v + w, of 1 - (share of its inputs from errors)

Source: Ameisen et al. 2025, Circuit Tracing; circuit-tracer 0.5, graph.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .table import ERROR, FEATURE, GraphTable

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Scores:
    """replacement and completeness, both 0 to 1, higher is better."""

    replacement: float
    completeness: float


@dataclass(frozen=True)
class Pruning:
    """What survives. nodes: [node] bool; edges: [edge] bool, in the table's order."""

    nodes: NDArray[np.bool_]
    edges: NDArray[np.bool_]


def normalised(ptr: NDArray[np.int64], weight: Floats) -> Floats:
    """|weight| divided by the sum of |weight| over its row."""
    size = np.abs(weight)
    sums = row_sums(ptr, size)
    # The floor is circuit-tracer's: a row of zeros stays a row of zeros.
    return size / np.repeat(np.maximum(sums, 1e-10), np.diff(ptr)).astype(size.dtype)


def row_sums(ptr: NDArray[np.int64], values: Floats) -> Floats:
    """Sums over each row of a CSR matrix, [row]; empty rows give 0."""
    out = np.zeros(len(ptr) - 1)
    filled = np.diff(ptr) > 0
    if filled.any():
        out[filled] = np.add.reduceat(values, ptr[:-1][filled], dtype=np.float64)
    return out


def influence(
    ptr: NDArray[np.int64],
    source: NDArray[np.int32],
    share: Floats,
    weight: Floats,
    level: NDArray[np.int32],
) -> Floats:
    """v = sum over k >= 1 of w N^k, [node].

    Args:
        ptr, source, share: N as CSR by target.
        weight: w, [node].
        level: [node], larger is later in the network; edges run from smaller to larger.
    """
    n = len(weight)
    total = np.zeros(n)
    out = weight.astype(np.float64)  # what each node passes on: v + w
    rows = np.flatnonzero(np.diff(ptr))
    # All rows of one level together: their influence is complete once all later levels are done.
    rows = rows[np.argsort(-level[rows], kind="stable")]
    cuts = np.flatnonzero(np.diff(level[rows])) + 1
    for group in np.split(rows, cuts):
        entries, owner = _entries(ptr, group)
        flow = np.bincount(source[entries], share[entries] * out[owner], minlength=n)
        total += flow
        out += flow
    return total


def _entries(
    ptr: NDArray[np.int64], rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of all entries in `rows`, and the row of each."""
    if len(rows) and rows[-1] - rows[0] + 1 == len(rows) and (np.diff(rows) == 1).all():
        first, last = ptr[rows[0]], ptr[rows[-1] + 1]
        return np.arange(first, last), np.repeat(rows, np.diff(ptr)[rows])
    counts = ptr[rows + 1] - ptr[rows]
    ends = np.cumsum(counts)
    start = np.repeat(ptr[rows] - (ends - counts), counts)
    return start + np.arange(ends[-1] if len(ends) else 0), np.repeat(rows, counts)


def cumulative(values: Floats) -> Floats:
    """For each node, the share of all influence held by it and the stronger ones, [node]."""
    order = np.argsort(-values, kind="stable")
    out = np.empty(len(values))
    out[order] = np.cumsum(values[order]) / max(values.sum(), 1e-300)
    return out


def threshold_value(values: Floats, share: float) -> float:
    """The value at which the sorted, cumulated values reach `share` of their sum."""
    ordered = np.sort(values)[::-1]
    running = np.cumsum(ordered, dtype=np.float64)
    index = int(np.searchsorted(running, share * running[-1])) if len(running) else 0
    return float(ordered[min(index, len(ordered) - 1)]) if len(ordered) else 0.0


def prune(
    table: GraphTable,
    node_influence: Floats,
    node_threshold: float = 0.8,
    edge_threshold: float = 0.98,
) -> Pruning:
    """Keep the part of a graph that carries most of its influence.

    Raises ValueError for a threshold outside 0 to 1.
    """
    for what, value in (("node_threshold", node_threshold), ("edge_threshold", edge_threshold)):
        if not 0 <= value <= 1:
            raise ValueError(f"{what} is {value}: give a share between 0 and 1.")
    always = table.kind > ERROR
    nodes = node_influence >= threshold_value(node_influence, node_threshold)
    nodes |= always

    # The pruned graph: entries whose two ends are kept.
    rows = np.flatnonzero(nodes & (np.diff(table.ptr) > 0))
    entries, target = _entries(table.ptr, rows)
    inside = nodes[table.source[entries]]
    entries, target = entries[inside], target[inside]
    source, weight = table.source[entries], table.weight[entries]
    ptr = np.concatenate([[0], np.cumsum(np.bincount(target, minlength=len(nodes)))])
    share = normalised(ptr, weight)
    passed = influence(ptr, source, share, table.target_weight, table.level) + table.target_weight
    score = share * passed.astype(share.dtype)[target]
    # Zero scores are candidates, too, as in a dense matrix: they count only at a threshold of 1.
    keep = score >= threshold_value(score, edge_threshold)

    feature = table.kind == FEATURE
    while True:
        before = nodes.copy()
        written = np.zeros(len(nodes), dtype=bool)
        read = np.zeros(len(nodes), dtype=bool)
        written[source[keep]] = True
        read[target[keep]] = True
        nodes &= always | (written & (read | ~feature))
        if (nodes == before).all():
            break
        keep &= nodes[source] & nodes[target]
    edges = np.zeros(len(table.weight), dtype=bool)
    edges[entries[keep]] = True
    return Pruning(nodes, edges)


def scores(table: GraphTable, node_influence: Floats) -> Scores:
    """Replacement and completeness of a graph; 1.0 where nothing is left unexplained."""
    errors = node_influence[table.kind == ERROR].sum()
    tokens = node_influence[table.kind == 2].sum()
    share = normalised(table.ptr, table.weight)
    from_errors = row_sums(table.ptr, share * (table.kind[table.source] == ERROR))
    passed = node_influence + table.target_weight
    return Scores(
        float(tokens / max(tokens + errors, 1e-300)),
        float(((1 - from_errors) * passed).sum() / max(passed.sum(), 1e-300)),
    )
