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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .table import ERROR, FEATURE, TOKEN, GraphTable

Floats = NDArray[np.floating]

# Longer arrays are not sorted to find a threshold; a sample of this size brackets it.
_SORTED_WHOLE, _SAMPLE, _BLOCK = 1 << 16, 1 << 13, 1 << 15


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
    # Divided in place, and cast before it is repeated: these arrays are as long as the graph.
    size /= np.repeat(np.maximum(sums, 1e-10).astype(size.dtype), np.diff(ptr))
    return size


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
    total = np.zeros(len(weight))
    out = weight.astype(np.float64)  # what each node passes on: v + w
    for rows in _levels(np.flatnonzero(np.diff(ptr)), level):
        starts, (sources, shares) = _gather(ptr, rows, source, share)
        flow = _flow(starts, sources, shares, out[rows], len(weight))
        total += flow
        out += flow
    return total


def node_influence(table: GraphTable, share: Floats | None = None) -> Floats:
    """`influence` of a graph's nodes, [node]; share: its normalised weights, if at hand."""
    if share is None:
        share = normalised(table.ptr, table.weight)
    return influence(table.ptr, table.source, share, table.target_weight, table.level)


def cumulative_influence(table: GraphTable, node_influence: Floats) -> Floats:
    """`cumulative` of a graph's nodes; what came with a file counts more than its own edges."""
    own = cumulative(node_influence)
    given = table.cumulative
    return own if given is None else np.where(np.isnan(given), own, given)


def _levels(rows: NDArray[np.int64], level: NDArray[np.int32]) -> list[NDArray[np.int64]]:
    """Rows of one level together, the latest first: their influence is complete once all later
    levels are done."""
    rows = rows[np.argsort(-level[rows], kind="stable")]
    return np.split(rows, np.flatnonzero(np.diff(level[rows])) + 1) if len(rows) else []


def _flow(
    starts: NDArray[np.int64], source: NDArray[np.int32], share: Floats, out: Floats, n: int
) -> Floats:
    """What rows that pass on `out` [row] send to each of n nodes."""
    flow = np.bincount(source, share * np.repeat(out, np.diff(starts)), minlength=n)
    return flow.astype(np.float64, copy=False)


def _gather(
    ptr: NDArray[np.int64], rows: NDArray[np.int64], *arrays: NDArray[Any]
) -> tuple[NDArray[np.int64], list[NDArray[Any]]]:
    """The entries of `rows`, in that order: where each row begins, and each array's part.

    Rows are copied whole: that is several times faster than an index per entry.
    """
    starts = np.concatenate([[0], np.cumsum(ptr[rows + 1] - ptr[rows])])
    parts = [slice(*ends) for ends in zip(ptr[rows].tolist(), ptr[rows + 1].tolist(), strict=True)]
    return starts, [np.concatenate([array[part] for part in parts]) for array in arrays]


def cumulative(values: Floats) -> Floats:
    """For each node, the share of all influence held by it and the stronger ones, [node]."""
    order = np.argsort(-values, kind="stable")
    out = np.empty(len(values))
    out[order] = np.cumsum(values[order]) / max(values.sum(), 1e-300)
    return out


def threshold_value(values: Floats, share: float) -> float:
    """The value at which the sorted, cumulated values reach `share` of their sum.

    Args:
        values: not negative.
    """
    if len(values) > _SORTED_WHOLE and share < 1:
        found = _threshold_between(values, share)
        if found is not None:
            return found
    ordered = np.sort(values)[::-1]
    running = np.cumsum(ordered, dtype=np.float64)
    index = int(np.searchsorted(running, share * running[-1])) if len(running) else 0
    return float(ordered[min(index, len(ordered) - 1)]) if len(ordered) else 0.0


def _threshold_between(values: Floats, share: float) -> float | None:
    """The same without sorting all values: a sample says about where the threshold lies, and
    only values near it are sorted. None if it does not lie there after all."""
    # Blocks stay in the processor's cache.
    blocks = [values[start : start + _BLOCK] for start in range(0, len(values), _BLOCK)]
    total = sum(float(block.sum(dtype=np.float64)) for block in blocks)
    # A few large values decide about a sample's sum. What lies below the threshold has none.
    sample = np.sort(values[:: len(values) // _SAMPLE])
    below = np.cumsum(sample, dtype=np.float64) * (len(values) / len(sample))
    guess, margin = int(np.searchsorted(below, (1 - share) * total)), len(sample) // 50
    low = sample[max(guess - margin, 0)]
    high = sample[min(guess + margin, len(sample) - 1)]
    above, near = 0.0, []
    for block in blocks:
        larger = block > high
        near.append(block[np.flatnonzero((block >= low) & ~larger)])
        # Adding up max(value, high) is much faster than picking the larger ones out.
        smaller = len(block) - np.count_nonzero(larger)
        above += float(np.maximum(block, high).sum(dtype=np.float64)) - smaller * float(high)
    ordered = np.sort(np.concatenate(near))[::-1]
    running = above + np.cumsum(ordered, dtype=np.float64)
    wanted = share * total
    if not len(running) or not above < wanted <= running[-1]:
        return None
    return float(ordered[np.searchsorted(running, wanted)])


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

    # On the pruned graph: influence from the last level down, and each level's edge scores.
    # A level's arrays fit the processor's cache, all edges at once would not.
    passed = table.target_weight.astype(np.float64)
    levels = []
    for rows in _levels(np.flatnonzero(nodes & (np.diff(table.ptr) > 0)), table.level):
        level = _Inner.of(table, rows, nodes)
        passed += _flow(level.starts, level.source, level.share, passed[rows], len(nodes))
        own = passed[rows].astype(level.share.dtype)
        levels.append((level, level.share * np.repeat(own, np.diff(level.starts))))
    # Zero scores are candidates, too, as in a dense matrix: they count only at a threshold of 1.
    every = _joined([score for _, score in levels])
    least = threshold_value(every, edge_threshold)
    kept = [level.chosen(np.flatnonzero(score >= least)) for level, score in levels]
    source, target, entry = (_joined([part[i] for part in kept]) for i in range(3))

    feature = table.kind == FEATURE
    while True:
        written = np.zeros(len(nodes), dtype=bool)
        read = np.zeros(len(nodes), dtype=bool)
        written[source] = True
        read[target] = True
        staying = nodes & (always | (written & (read | ~feature)))
        if (staying == nodes).all():
            break
        nodes = staying
        left = np.flatnonzero(nodes[source] & nodes[target])
        source, target, entry = source[left], target[left], entry[left]
    edges = np.zeros(len(table.weight), dtype=bool)
    edges[entry] = True
    return Pruning(nodes, edges)


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class _Inner:
    """The edges of some rows whose sources are kept, row by row.

    starts: [row + 1]; source, share: [edge]; entry: [edge], the place among all edges less
    `offset` [row].
    """

    rows: NDArray[np.int64]
    offset: NDArray[np.int64]
    starts: NDArray[np.int64]
    source: NDArray[np.int32]
    share: Floats
    entry: NDArray[np.int64]

    @classmethod
    def of(cls, table: GraphTable, rows: NDArray[np.int64], nodes: NDArray[np.bool_]) -> _Inner:
        whole, (source, weight) = _gather(table.ptr, rows, table.source, table.weight)
        inside = np.flatnonzero(nodes[source])
        starts = np.searchsorted(inside, whole)
        share = normalised(starts, weight[inside])
        offset = table.ptr[rows] - whole[:-1]
        return cls(rows, offset, starts, source[inside], share, inside)

    def chosen(self, some: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Source, target and entry of some edges, given by their place in here."""
        counts = np.diff(np.searchsorted(some, self.starts))
        entry = self.entry[some] + np.repeat(self.offset, counts)
        return self.source[some], np.repeat(self.rows, counts), entry


def scores(table: GraphTable, node_influence: Floats) -> Scores:
    """Replacement and completeness of a graph; 1.0 where nothing is left unexplained."""
    errors = node_influence[table.kind == ERROR].sum()
    tokens = node_influence[table.kind == TOKEN].sum()
    share = normalised(table.ptr, table.weight)
    from_errors = row_sums(table.ptr, share * (table.kind[table.source] == ERROR))
    passed = node_influence + table.target_weight
    return Scores(
        float(tokens / max(tokens + errors, 1e-300)),
        float(((1 - from_errors) * passed).sum() / max(passed.sum(), 1e-300)),
    )
