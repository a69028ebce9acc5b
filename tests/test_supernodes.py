"""Proposals for supernodes find what was planted, and nothing is applied by itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
from planted_graphs import TOKENS, planted_table
from tiny_models import PROMPT, dictionary, model

from interp_widgets.attribution import Graph, attribute
from interp_widgets.attribution.supernodes import likeness

# Two teams at the last token: each reads its own token and writes to its own middle man; and two
# loners that read and write at random. Names of the teams in the second argument.
TEAMS = ([0, 1, 2], [3, 4, 5, 6])


def planted(names: tuple[str, str] = ("", ""), seed: int = 0, apart: bool = False) -> Graph:
    rng = np.random.default_rng(seed)
    units = [(k % 2, 4, names[0]) for k in range(3)] + [(k % 2, 4, names[1]) for k in range(4)]
    if apart:  # one member of the first team stands at another token
        units[2] = (0, 2, names[0])
    units += [(0, 4, ""), (1, 4, ""), (4, 4, "one way"), (4, 4, "other way")]
    m = len(units)
    first, second, tokens, output = m - 2, m - 1, m, m + len(TOKENS)
    edges = {(output, first): 2.0, (output, second): 1.5}
    for team, token, middle in ((TEAMS[0], tokens + 1, first), (TEAMS[1], tokens + 4, second)):
        for i in team:
            edges[i, token] = 1 + 0.2 * rng.random()
            edges[middle, i] = 1 + 0.2 * rng.random()
    for loner, sign in ((m - 4, 1), (m - 3, -1)):
        edges[loner, tokens + 2] = 1.0
        edges[first, loner] = edges[second, loner] = 0.4 * sign
        edges[output, loner] = 1.0 * sign
    return Graph(planted_table(units, edges))


def groups(graph: Graph) -> list[list[int]]:
    place = graph.table.ids.index
    return sorted(sorted(place(id) for id in p.ids) for p in graph.suggest_groups(1.0))


@pytest.mark.parametrize("seed", range(3))
def test_what_reads_and_writes_alike_is_proposed_together(seed: int) -> None:
    assert groups(planted(seed=seed)) == [list(team) for team in TEAMS]


def test_a_shared_name_names_the_proposal_and_says_why() -> None:
    found = planted(("texas", "capital")).suggest_groups(1.0)
    by_name = {p.name: p for p in found}
    assert set(by_name) == {"texas", "capital"}
    texas = by_name["texas"]
    assert texas.reason.startswith('3 features at "dallas", L0–1: all named “texas”; likeness ')
    assert texas.cohesion > 0.95
    mean, low, high = texas.control
    assert low <= mean <= high
    assert mean < 0.6 < texas.cohesion
    assert texas.draws >= 100


def test_two_names_speak_against_one_group() -> None:
    graph = planted()
    ids = graph.table.ids
    assert [0, 1, 2] in groups(graph)
    assert likeness(graph.table, np.arange(3), np.arange(graph.table.n_nodes)).min() > 0.9
    graph.notes.labels = {ids[0]: "texas", ids[1]: "ohio", ids[2]: "utah"}
    assert groups(graph) == [[3, 4, 5, 6]]
    graph.notes.labels |= {ids[2]: "texas"}
    assert groups(graph) == [[0, 2], [3, 4, 5, 6]]


def test_a_group_stays_at_one_token() -> None:
    assert groups(planted(apart=True)) == [[0, 1], [3, 4, 5, 6]]


def test_the_same_graph_gives_the_same_proposals() -> None:
    assert planted().suggest_groups(1.0) == planted().suggest_groups(1.0)


def test_likeness_is_the_mean_cosine_of_what_is_read_and_written() -> None:
    graph = attribute(model("llama grouped"), PROMPT, dictionary()).wait()
    table = graph.table
    matrix = graph.adjacency().astype(np.float64)
    share = matrix / np.abs(matrix).sum(1, keepdims=True).clip(1e-10)
    nodes, among = np.array([3, 8, 20]), np.sort(np.r_[np.arange(40), table.n_nodes - 1])

    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        size = math.sqrt(a @ a) * math.sqrt(b @ b)
        return float(a @ b / size) if size else 0.0

    expected = [
        [(cosine(share[i, among], share[j, among]) + cosine(share[among, i], share[among, j])) / 2 for j in nodes]
        for i in nodes
    ]  # fmt: skip
    np.testing.assert_allclose(likeness(table, nodes, among), expected, atol=1e-6)


def test_nothing_is_applied_before_it_is_accepted() -> None:
    graph = planted()
    proposal = graph.suggest_groups(1.0)[0]
    assert graph.notes.groups == []
    graph.accept(proposal)
    assert graph.notes.groups == [[proposal.name, *proposal.ids]]
    assert [n.id for n in graph.groups[proposal.name]] == list(proposal.ids)
    # What is in a group already is not proposed again.
    assert not {id for p in graph.suggest_groups(1.0) for id in p.ids} & set(proposal.ids)


def test_an_accepted_proposal_appears_in_an_open_view() -> None:
    graph = attribute(model("llama grouped"), PROMPT, dictionary()).wait()
    view = graph.view
    proposals = graph.suggest_groups(0.95)
    assert proposals
    graph.accept(proposals[0])
    assert view.groups == [[proposals[0].name, *proposals[0].ids]]
    assert list(graph.groups) == [proposals[0].name]


def test_a_graph_of_one_node_has_no_proposals() -> None:
    assert Graph(planted_table([(0, 1, "")], {(0, 2): 1.0, (6, 0): 1.0})).suggest_groups(1.0) == []
