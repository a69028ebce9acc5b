"""Influence, pruning and scores agree with their definitions, written as dense loops."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from interp_widgets.attribution.scores import (
    cumulative,
    influence,
    normalised,
    prune,
    row_sums,
    scores,
    threshold_value,
)
from interp_widgets.attribution.table import ERROR, FEATURE, OUTPUT, TOKEN, GraphTable, node_id

LAYERS, POSITIONS = 4, 3
THRESHOLDS = (0.0, 0.5, 0.8, 0.98, 1.0)
SEEDS = range(6)


def graph(seed: int, *, ties: bool = False, outputs: int = 3, crowd: int = 5) -> GraphTable:
    """A random layered graph with nodes that read nothing and nodes that nothing reads.

    With `ties` each row has 2, 4 or 8 edges of weight 1 or -1, and the output weights are
    powers of two: equal influences are then equal to the last bit, whatever the order of sums.
    """
    random = np.random.default_rng(seed)
    nodes = [
        (FEATURE, layer, position, feature)
        for layer in range(LAYERS)
        for position in range(POSITIONS)
        for feature in range(random.integers(0, crowd))
    ]
    nodes += [(ERROR, layer, p, -1) for layer in range(LAYERS) for p in range(POSITIONS)]
    nodes += [(TOKEN, -1, p, 7) for p in range(POSITIONS)]
    nodes += [(OUTPUT, LAYERS, POSITIONS - 1, 10 + k) for k in range(outputs)]
    kind, layer, position, feature = np.array(nodes).T
    n = len(nodes)
    rows: list[np.ndarray] = []
    weights: list[np.ndarray] = []
    for target in range(n):
        below = np.flatnonzero((layer < layer[target]) & (position <= position[target]))
        silent = kind[target] in (ERROR, TOKEN) or (
            kind[target] == FEATURE and random.random() < 0.2
        )
        if silent or not len(below):
            rows.append(np.empty(0, int))
            weights.append(np.empty(0))
        elif ties:
            count = 2 ** int(random.integers(1, 4))
            while count > len(below):
                count //= 2
            rows.append(np.sort(random.choice(below, count, replace=False)))
            weights.append(random.choice([-1.0, 1.0], count))
        else:
            rows.append(below[random.random(len(below)) < 0.6])
            weights.append(
                random.lognormal(size=len(rows[-1])) * random.choice([-1, 1], len(rows[-1]))
            )
    w = np.zeros(n, np.float32)
    share = 2.0 ** -np.arange(1, outputs + 1) if ties else random.dirichlet(np.ones(outputs)) * 0.9
    w[kind == OUTPUT] = share
    unknown = np.full(n, np.nan, np.float32)
    return GraphTable(
        prompt="a b c", tokens=("a", "b", "c"), n_layers=LAYERS, unit="feature",
        error_name="unexplained", scan="", model="",
        ids=tuple(node_id(*map(int, node)) for node in nodes), names=("",) * n,
        kind=kind.astype(np.uint8), layer=layer.astype(np.int16),
        position=position.astype(np.int32), feature=feature.astype(np.int32),
        activation=unknown, value=unknown, bias=unknown, hidden=unknown, probability=unknown,
        effect=unknown, target_weight=w,
        ptr=np.concatenate([[0], np.cumsum([len(r) for r in rows])]),
        source=np.concatenate(rows).astype(np.int32),
        weight=np.concatenate(weights).astype(np.float32),
    )  # fmt: skip


def dense(table: GraphTable) -> np.ndarray:
    """A, rows are targets."""
    out = np.zeros((table.n_nodes, table.n_nodes))
    for target in range(table.n_nodes):
        for edge in range(table.ptr[target], table.ptr[target + 1]):
            out[target, table.source[edge]] = table.weight[edge]
    return out


def shares(a: np.ndarray) -> np.ndarray:
    """N: each row of |A| divided by its sum; an empty row stays empty."""
    out = np.abs(a)
    for row in out:
        if row.sum() > 0:
            row /= row.sum()
    return out


def power_iteration(a: np.ndarray, w: np.ndarray) -> np.ndarray:
    """v = w N + w N^2 + w N^3 + ..., until nothing is left."""
    n, step, total = shares(a), np.asarray(w, np.float64), np.zeros(len(w))
    while step.any():
        step = step @ n
        total = total + step
    return total


def reached_at(values: np.ndarray, share: float) -> float:
    """The value at which the sorted, cumulated values reach a share of their sum."""
    running, ordered = 0.0, sorted(values.tolist(), reverse=True)
    total = 0.0
    for value in ordered:
        total += value
    for value in ordered:
        running += value
        if running >= share * total:
            return value
    return ordered[-1] if ordered else 0.0


def prune_literally(
    table: GraphTable, node_threshold: float, edge_threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """(kept nodes [node], kept edges [node, node]), sentence by sentence."""
    a, w = dense(table), table.target_weight.astype(np.float64)
    always = (table.kind == TOKEN) | (table.kind == OUTPUT)
    v = power_iteration(a, w)
    nodes = (v >= reached_at(v, node_threshold)) | always
    a[~nodes] = 0
    a[:, ~nodes] = 0
    score = shares(a) * (power_iteration(a, w) + w)[:, None]
    edges = (score >= reached_at(score[a != 0], edge_threshold)) & (a != 0)
    while True:
        before = nodes.copy()
        for i in range(len(nodes)):
            if always[i]:
                continue
            nothing_reads_it = not edges[:, i].any()
            reads_nothing = table.kind[i] == FEATURE and not edges[i].any()
            if nothing_reads_it or reads_nothing:
                nodes[i] = False
        edges[~nodes] = False
        edges[:, ~nodes] = False
        if (nodes == before).all():
            return nodes, edges


def influence_of(table: GraphTable) -> np.ndarray:
    share = normalised(table.ptr, table.weight)
    return influence(table.ptr, table.source, share, table.target_weight, table.level)


every_graph = pytest.mark.parametrize(
    "table",
    [
        pytest.param(graph(s, ties=t), id=f"{'ties' if t else 'random'}-{s}")
        for s in SEEDS
        for t in (0, 1)
    ],
)


@every_graph
def test_influence_is_the_sum_over_paths_of_all_lengths(table: GraphTable) -> None:
    expected = power_iteration(dense(table), table.target_weight)
    np.testing.assert_allclose(influence_of(table), expected, rtol=1e-6, atol=1e-9)


@every_graph
def test_influence_that_leaves_the_outputs_arrives_at_nodes_that_read_nothing(
    table: GraphTable,
) -> None:
    ends = np.diff(table.ptr) == 0
    np.testing.assert_allclose(
        influence_of(table)[ends].sum(), table.target_weight.sum(), rtol=1e-6
    )


@every_graph
def test_pruning_follows_its_definition_at_every_threshold(table: GraphTable) -> None:
    v = influence_of(table)
    for node_threshold in THRESHOLDS:
        for edge_threshold in THRESHOLDS:
            nodes, edges = prune_literally(table, node_threshold, edge_threshold)
            found = prune(table, v, node_threshold, edge_threshold)
            targets = np.repeat(np.arange(table.n_nodes), np.diff(table.ptr))
            assert (found.nodes == nodes).all(), (node_threshold, edge_threshold)
            assert (found.edges == edges[targets, table.source]).all(), (
                node_threshold,
                edge_threshold,
            )


@every_graph
def test_what_survives_pruning_is_a_graph_without_loose_ends(table: GraphTable) -> None:
    v = influence_of(table)
    targets = np.repeat(np.arange(table.n_nodes), np.diff(table.ptr))
    for threshold in THRESHOLDS:
        kept = prune(table, v, threshold, threshold)
        assert kept.nodes[table.kind > ERROR].all()
        assert kept.nodes[table.source[kept.edges]].all()
        assert kept.nodes[targets[kept.edges]].all()
        inner = np.flatnonzero(kept.nodes & (table.kind <= ERROR))
        assert set(inner) <= set(table.source[kept.edges])
        features = inner[table.kind[inner] == FEATURE]
        assert set(features) <= set(targets[kept.edges])


@every_graph
def test_a_higher_threshold_keeps_at_least_as_many_candidates(table: GraphTable) -> None:
    v = influence_of(table)
    kept = [(v >= threshold_value(v, share)).sum() for share in np.linspace(0, 1, 21)]
    assert kept == sorted(kept)


@every_graph
def test_replacement_and_completeness_follow_their_definitions(table: GraphTable) -> None:
    a, w = dense(table), table.target_weight
    v, n = power_iteration(a, w), shares(a)
    tokens, errors = v[table.kind == TOKEN].sum(), v[table.kind == ERROR].sum()
    explained = [1 - n[i, table.kind == ERROR].sum() for i in range(table.n_nodes)]
    found = scores(table, influence_of(table))
    assert found.replacement == pytest.approx(tokens / (tokens + errors), rel=1e-6)
    assert found.completeness == pytest.approx(np.average(explained, weights=v + w), rel=1e-6)
    assert 0 <= found.replacement <= 1
    assert 0 <= found.completeness <= 1


@every_graph
def test_shares_of_a_row_add_up_to_one_and_an_empty_row_stays_empty(table: GraphTable) -> None:
    sums = row_sums(table.ptr, normalised(table.ptr, table.weight))
    filled = np.diff(table.ptr) > 0
    np.testing.assert_allclose(sums[filled], 1, rtol=1e-6)
    assert (sums[~filled] == 0).all()


def test_a_row_of_zeros_passes_nothing_on() -> None:
    ptr, zeros = np.array([0, 0, 1, 3]), np.zeros(3, np.float32)
    share = normalised(ptr, zeros)
    assert (share == 0).all()
    v = influence(
        ptr, np.array([0, 0, 1], np.int32), share, np.array([0, 0, 1.0]), np.array([0, 1, 2])
    )
    assert (v == 0).all()


def test_cumulative_is_the_share_held_by_a_node_and_the_stronger_ones() -> None:
    np.testing.assert_allclose(cumulative(np.array([1.0, 4, 2, 3])), [1.0, 0.4, 0.9, 0.7])
    values = np.random.default_rng(0).random(50)
    expected = [values[values >= value].sum() / values.sum() for value in values]
    np.testing.assert_allclose(cumulative(values), expected)


LONG = 200_000


def long_values(which: str) -> np.ndarray:
    random = np.random.default_rng(0)
    if which == "spread over many orders":
        return random.lognormal(sigma=4, size=LONG)
    if which == "even":
        return random.random(LONG)
    if which == "all equal":
        return np.ones(LONG)
    if which == "one outweighs all":
        return np.concatenate([[1e12], random.random(LONG - 1)])
    if which == "mostly zero":
        return np.where(random.random(LONG) < 0.01, random.random(LONG), 0)
    if which == "sorted":
        return np.sort(random.lognormal(sigma=2, size=LONG))
    assert which == "few distinct"
    return random.integers(0, 4, LONG).astype(float)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "which",
    [
        "spread over many orders",
        "even",
        "all equal",
        "one outweighs all",
        "mostly zero",
        "sorted",
        "few distinct",
    ],
)
def test_the_threshold_of_many_values_is_found_as_exactly_as_by_sorting(
    which: str, dtype: type
) -> None:
    values = long_values(which).astype(dtype)
    exact = values.astype(np.float64)
    total = exact.sum()
    for share in (0, 0.01, 0.5, 0.8, 0.98, 0.999, 1 - 1e-9, 1):
        found = threshold_value(values, share)
        assert found in values
        # Down to this value the share is reached, and without it it is not yet.
        assert exact[exact >= found].sum() >= share * total * (1 - 1e-12)
        without = exact[exact > found].sum()
        assert without <= share * total * (1 + 1e-12), share


@pytest.mark.parametrize("ties", [False, True])
def test_a_graph_of_many_edges_is_pruned_like_a_small_one(ties: bool) -> None:
    table = graph(1, ties=ties, crowd=140)
    assert ties or table.n_edges > 70_000
    targets = np.repeat(np.arange(table.n_nodes), np.diff(table.ptr))
    for node_threshold in (0.8, 1.0):
        nodes, edges = prune_literally(table, node_threshold, 0.98)
        found = prune(table, influence_of(table), node_threshold, 0.98)
        assert (found.nodes == nodes).all()
        assert (found.edges == edges[targets, table.source]).all()


def test_a_graph_of_zeros_has_no_shares_and_no_division_by_zero() -> None:
    with np.errstate(all="raise"):
        assert (cumulative(np.zeros(3)) == 0).all()
        assert threshold_value(np.zeros(3), 0.8) == 0
        assert threshold_value(np.empty(0), 0.8) == 0


def test_a_threshold_of_zero_keeps_only_the_strongest_node_and_the_frame() -> None:
    table = graph(1)
    v = influence_of(table)
    kept = prune(table, v, 0.0, 1.0).nodes
    assert set(np.flatnonzero(kept & (table.kind <= ERROR))) <= {int(np.argmax(v))}


def test_thresholds_of_one_keep_everything_that_reaches_the_output() -> None:
    table = graph(2, ties=True)
    kept = prune(table, influence_of(table), 1.0, 1.0)
    a, reaches = dense(table) != 0, table.kind == OUTPUT
    for _ in range(LAYERS + 1):
        reaches = reaches | a[reaches].any(0)
    # A feature whose row is empty is a loose end, and so may be what only it reads.
    assert not (kept.nodes & ~reaches)[table.kind <= ERROR].any()
    assert kept.nodes[(table.kind == ERROR) & a[table.kind == OUTPUT].any(0)].all()


@pytest.mark.parametrize("changes", [{"node_threshold": 1.01}, {"node_threshold": -0.1},
                                     {"edge_threshold": 2}, {"edge_threshold": float("nan")}])  # fmt: skip
def test_a_threshold_outside_zero_to_one_is_refused_by_name(changes: dict[str, Any]) -> None:
    table = graph(0)
    name = next(iter(changes))
    with pytest.raises(ValueError, match=f"{name} is .*: give a share between 0 and 1"):
        prune(table, influence_of(table), **changes)


def test_a_graph_without_edges_has_only_its_frame() -> None:
    full = graph(3)
    table = replace(
        full,
        ptr=np.zeros(full.n_nodes + 1, np.int64),
        source=np.empty(0, np.int32),
        weight=np.empty(0, np.float32),
    )
    v = influence_of(table)
    assert (v == 0).all()
    kept = prune(table, v)
    assert (kept.nodes == (table.kind > ERROR)).all()
    assert len(kept.edges) == 0
    assert scores(table, v).completeness == 1
