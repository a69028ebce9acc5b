"""Path sums over the edges of a graph are the paths, enumerated one by one.

The sums in the model are compared with hand-written linear runs in test_effects.py.
"""

from __future__ import annotations

import numpy as np
import pytest
from planted_graphs import N_LAYERS, planted_table

from interp_widgets.attribution.paths import edge_effects, shares, table_paths
from interp_widgets.attribution.table import FEATURE, GraphTable


def random_table(seed: int) -> GraphTable:
    """Fourteen features in no order, half of all edges that run upwards."""
    rng = np.random.default_rng(seed)
    layers = rng.integers(0, N_LAYERS, 14)
    units = [(int(layer), int(rng.integers(1, 5)), "") for layer in layers]
    level = [*layers, *[-1] * 5, N_LAYERS, N_LAYERS]
    edges = {
        (t, s): float(rng.normal())
        for t in range(len(level))
        for s in range(len(level))
        if level[s] < level[t] and rng.random() < 0.5
    }
    return planted_table(units, edges, rng.uniform(0.2, 3, 14).tolist(), outputs=2)


def along_every_path(table: GraphTable, source: int, held: set[int]) -> np.ndarray:
    """What ablating `source` does to every value; a path ends where it meets what is held."""
    edges = [[] for _ in range(table.n_nodes)]
    for target in range(table.n_nodes):
        for entry in range(table.ptr[target], table.ptr[target + 1]):
            edges[table.source[entry]].append((target, float(table.weight[entry])))
    out = np.zeros(table.n_nodes)

    def walk(node: int, share: float) -> None:
        for target, weight in edges[node]:
            out[target] += share * weight
            if target not in held and table.kind[target] == FEATURE:
                walk(target, share * weight / float(table.activation[target]))

    walk(source, -1.0)
    return out


@pytest.mark.parametrize("seed", range(4))
def test_a_path_sum_is_the_sum_over_all_paths(seed: int) -> None:
    table = random_table(seed)
    for source in range(14):
        found = table_paths(table, shares(table, np.array([source]), -1.0))
        np.testing.assert_allclose(found, along_every_path(table, source, {source}), atol=1e-5)


def test_a_group_is_held_so_its_members_stop_each_others_paths() -> None:
    table = random_table(7)
    group = np.argsort(table.layer[:14], kind="stable")[[0, 5, 9]]
    found = table_paths(table, shares(table, group, -1.0))
    expected = sum(along_every_path(table, int(g), set(group.tolist())) for g in group)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_one_step_is_the_edges_alone() -> None:
    table = random_table(3)
    share = np.zeros(table.n_nodes)
    share[[2, 5]] = 2.0
    expected = np.zeros(table.n_nodes)
    for target in range(table.n_nodes):
        for entry in range(table.ptr[target], table.ptr[target + 1]):
            if table.source[entry] in (2, 5):
                expected[target] += 2 * table.weight[entry]
    np.testing.assert_allclose(edge_effects(table, share), expected, atol=1e-6)


def test_a_silent_unit_passes_nothing_on() -> None:
    edges = {(1, 0): 0.5, (7, 1): 3.0, (7, 0): 1.0}
    table = planted_table([(0, 1, ""), (1, 1, "")], edges, [1.0, 0.0])
    found = table_paths(table, shares(table, np.array([0]), -1.0))
    assert found[1] == -0.5
    assert found[7] == -1.0
