"""Nodes of a graph turn into interventions: plain values at the places where the nodes are."""

from __future__ import annotations

import functools

import pytest
import torch
from plain_interventions import plain_logits
from tiny_models import PROMPT, dictionary, model

from interp_widgets.attribution import Graph, Nodes, attribute
from interp_widgets.models.interventions import (
    Ablate,
    Add,
    At,
    Clamp,
    Everywhere,
    Features,
    From,
    Neurons,
    Scale,
    head,
)


@functools.cache
def graph_of(kind: str) -> Graph:
    d = "neurons" if kind == "neurons" else dictionary(kind)
    graph = attribute(model("llama grouped"), PROMPT, d, max_nodes=30).wait()
    units = graph.features()
    graph.notes.labels = {units[0].id: "Texas", units[1].id: "texas, too"}
    return graph


@pytest.mark.parametrize("kind", ["transcoder", "clt", "neurons"])
def test_nodes_are_changed_where_they_are(kind: str) -> None:
    graph = graph_of(kind)
    nodes = graph.features()
    assert isinstance(nodes, Nodes)
    found = nodes.scale(-2)
    named = {
        (one.target.layer, p, unit)
        for one in found
        for p in one.positions.positions
        for unit in (one.target.neurons if kind == "neurons" else one.target.features)
    }
    assert named == {(n.layer, n.position, n.feature) for n in nodes}
    assert all(one.operation == Scale(-2.0) for one in found)
    cells = [(one.target.layer, one.positions) for one in found]
    assert len(set(cells)) == len(cells)  # one intervention for a layer and position
    assert {type(one.target) for one in found} == {Neurons if kind == "neurons" else Features}


def test_a_label_finds_what_is_changed() -> None:
    graph = graph_of("transcoder")
    texas = graph.features("texas")
    assert len(texas) == 2
    assert [n.id for n in texas] == [n.id for n in graph.features()[:2]]
    assert {one.operation for one in texas.ablate()} == {Ablate()}
    assert {one.operation for one in texas.add(1.5)} == {Add(1.5)}
    clamped = texas[:1].clamp(3)[0]
    assert clamped.operation == Clamp((3.0,))
    own = texas[:1].clamp(times=2)[0].operation
    assert own == Clamp((2 * texas[0].activation,))
    assert [n.id for n in graph.group([graph.table.ids.index(texas[1].id)])] == [texas[1].id]


def test_scaling_by_hand_gives_the_same_logits() -> None:
    graph = graph_of("transcoder")
    d, m = graph.origin.dictionary, graph.origin.model
    node = next(n for n in graph.features() if n.layer < 2)
    weights = d.layer(node.layer)
    encoder = weights.encoder.whole()[node.feature]
    decoder = weights.decoder.whole()[node.feature]
    held: dict[str, torch.Tensor] = {}

    def write(x: torch.Tensor) -> torch.Tensor:
        out = x.clone()
        a = torch.relu(held["x"] @ encoder + weights.encoder_bias[node.feature])
        out[node.position] += -3 * a * decoder
        return out

    changes = [
        (node.layer, "mlp_in", lambda x: held.update(x=x[node.position].clone())),
        (node.layer, "mlp_raw", write),
    ]
    expected = plain_logits(m.hf, graph.origin.token_ids, changes)
    nodes = Nodes([node], graph)
    found = m.intervene(PROMPT, list(nodes.scale(-2))).logits
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert (m.run(graph.origin.token_ids[None]).logits[0] - found).abs().max() > 1e-3


def test_elsewhere_each_unit_is_changed_once() -> None:
    """The same feature is a node at several positions; scaled twice it would be squared."""
    graph = graph_of("transcoder")
    nodes = graph.features()
    units = {(n.layer, n.feature) for n in nodes}
    assert len(units) < len(nodes)
    for moved, positions in (
        (nodes.scale(2).everywhere(), Everywhere()),
        (nodes.scale(2).at(-1), At((-1,))),
        (nodes.ablate().from_(2), From(2)),
    ):
        named = [(one.target.layer, f) for one in moved for f in one.target.features]
        assert sorted(named) == sorted(units)
        assert {one.positions for one in moved} == {positions}
    assert len(nodes.clamp(1.0).everywhere()) == len({layer for layer, _ in units})
    with pytest.raises(ValueError, match="has several values at several positions"):
        nodes.clamp().everywhere()


def test_slices_and_sums_are_nodes_again() -> None:
    graph, other = graph_of("transcoder"), graph_of("clt")
    nodes = graph.features()
    assert isinstance(nodes[2:4], Nodes)
    both = nodes[:1] + nodes[3:5]
    assert both.ids == [nodes[i].id for i in (0, 3, 4)]
    assert len(both.ablate()) >= 1
    with pytest.raises(ValueError, match="two graphs"):
        nodes[:1] + other.features()[:1]


def test_what_stands_in_the_notes_can_be_acted_with() -> None:
    graph = graph_of("neurons")
    ids = graph.features().ids[:3]
    graph.notes.groups = [["mine", *ids]]
    graph.notes.pinned, graph.notes.selected = ids[:1], ids[1:]
    assert graph.groups["mine"].ids == ids
    assert graph.pinned.scale(0)[0].target.layer == graph.node(ids[0]).layer
    assert sum(one.target.n_units for one in graph.selected.ablate()) == 2


def test_nodes_and_their_interventions_stand_in_lists_beside_others() -> None:
    graph = graph_of("transcoder")
    texas = graph.features("texas")
    m = graph.origin.model
    one = m.intervene(PROMPT, [head(1, 2), texas, graph.features()[2:4].scale(2)]).logits
    flat = [head(1, 2).ablate(), *texas.ablate(), *graph.features()[2:4].scale(2)]
    assert torch.equal(one, m.intervene(PROMPT, flat).logits)
    assert torch.equal(
        m.intervene(PROMPT, texas).logits, m.intervene(PROMPT, texas.ablate()).logits
    )


def test_a_token_is_not_to_be_changed() -> None:
    graph = graph_of("transcoder")
    with pytest.raises(ValueError, match="only features can be changed, because tokens"):
        graph.nodes(kind="token").ablate()
    with pytest.raises(ValueError, match="There are no nodes to change"):
        graph.features("no such label").scale(2)
