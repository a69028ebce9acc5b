"""Linked views: one selection in all of them, and nodes sent from a graph to where they are changed."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import pytest
import tiny_models
import torch

from interp_widgets.attribution import Graph, attribute
from interp_widgets.features import index_for
from interp_widgets.models.interventions import head
from interp_widgets.views import GraphView
from interp_widgets.views.ablation_live import Ablation, ablate
from interp_widgets.views.linked import join, link
from interp_widgets.views.steering_live import Steering, steer

PROMPT = tiny_models.PROMPT
OTHER = "w14 w3 w9 w26 w5"


@functools.cache
def tiny() -> Any:
    return tiny_models.model("llama grouped")


@functools.cache
def features() -> Any:
    return tiny_models.dictionary()


@pytest.fixture
def graph() -> Graph:
    return attribute(tiny(), PROMPT, features(), ["w9", "w20"]).wait()


@pytest.fixture
def ablation(graph: Graph) -> Ablation:
    strongest = graph.features()[:2].ablate()
    return ablate(tiny(), PROMPT, {"strongest": list(strongest), "a head": head(1, 2)}).wait(60)


@pytest.fixture
def steering(graph: Graph) -> Iterator[Steering]:
    made = steer(tiny(), PROMPT, graph.features()[0], length=4, dictionary=features())
    yield made.wait(60)
    made.cancel()


def click(view: GraphView, *ids: str) -> None:
    """As a page does."""
    view._handle_custom_msg({"type": "set", "values": {"selected": list(ids)}}, [])


def test_two_graphs_of_one_prompt_select_the_same_nodes(graph: Graph) -> None:
    other = attribute(tiny(), PROMPT, features(), "w11").wait()
    link(graph, other)
    ids = graph.features()[3:6].ids
    click(graph.view, *ids)
    assert set(other.notes.selected) == set(ids)
    click(other.view, ids[0])
    assert graph.notes.selected == [ids[0]]


def test_a_graph_of_another_prompt_selects_the_same_units_wherever_they_are(graph: Graph) -> None:
    other = attribute(tiny(), OTHER, features(), "w9").wait()
    link(graph, other)
    units = {(n.layer, n.feature) for n in other.features()}
    node = next(n for n in graph.features() if (n.layer, n.feature) in units)
    click(graph.view, node.id)
    found = other.selected
    assert {(n.layer, n.feature) for n in found} == {(node.layer, node.feature)}
    assert len(found) == sum(
        (n.layer, n.feature) == (node.layer, node.feature) for n in other.features()
    )


def test_an_ablation_shows_the_mlp_of_a_node_and_a_graph_the_nodes_of_a_mark(
    graph: Graph, ablation: Ablation
) -> None:
    link(graph, ablation)
    node = graph.features()[4]
    click(graph.view, node.id)
    assert ablation.selected == [f"mlp.L{node.layer}.p{node.position}"]
    graph.view.threshold = 1.0
    layer, position = 1, 3
    ablation.view.selected = [f"mlp.L{layer}.p{position}"]
    there = {n.id for n in graph.features() if (n.layer, n.position) == (layer, position)}
    assert set(graph.notes.selected) == there != set()


def test_what_an_ablation_was_given_is_known_again(graph: Graph, ablation: Ablation) -> None:
    link(ablation, graph)
    ids = graph.features()[:2].ids
    # What the first view had selected is selected in all.
    ablation.view.selected = ["strongest"]
    assert set(graph.notes.selected) == set(ids)
    click(graph.view, graph.features()[5].id)
    click(graph.view, *reversed(ids))
    assert ablation.selected == ["strongest"]


def test_a_mark_that_a_graph_cannot_show_leaves_it_as_it_is(
    graph: Graph, ablation: Ablation
) -> None:
    link(graph, ablation)
    click(graph.view, graph.features()[0].id)
    for mark in (["a head"], ["heads.L1.h2"], ["residual.L1.p2", "mlp.L1.p2"]):
        ablation.view.selected = mark
        assert graph.notes.selected == [graph.features()[0].id]
        assert ablation.selected == mark


def test_what_a_selection_makes_of_another_does_not_come_back(
    graph: Graph, ablation: Ablation
) -> None:
    """One node of a cell stays one, though the ablation selects the whole MLP there."""
    link(graph, ablation)
    node = graph.features()[4]
    changes: list[Any] = []
    graph.view.observe(lambda change: changes.append(change["new"]), "selected")
    click(graph.view, node.id)
    assert changes == [[node.id]]


def test_nodes_sent_to_an_ablation_are_measured_there(graph: Graph, ablation: Ablation) -> None:
    link(graph, ablation)
    (neighbour,) = graph.view.neighbours
    assert neighbour["verb"] == "ablate this"
    ids = graph.features()[2:5].ids
    graph.view.groups = [["a group", *ids]]
    send(graph.view, ids, to=0)
    assert graph.view.told == "The ablation measures a group."
    assert ablation.selected == ["a group"]
    logits = tiny().intervene(PROMPT, list(graph.features()[2:5].ablate())).logits[-1]
    effect = ablation.measure("a group")
    torch.testing.assert_close(effect.after, logits)
    assert effect.joint != 0


def test_the_same_nodes_are_given_once(graph: Graph, ablation: Ablation) -> None:
    link(graph, ablation)
    ids = graph.features()[:2].ids
    send(graph.view, ids, to=0)
    assert ablation.selected == ["strongest"]
    assert [each.id for each in ablation.items.given] == ["strongest", "a head"]


def test_an_ablation_of_another_prompt_does_not_take_nodes(graph: Graph) -> None:
    other = ablate(tiny(), OTHER).wait(60)
    link(graph, other)
    send(graph.view, graph.features()[:1].ids, to=0)
    assert "another prompt" in graph.view.told
    assert other.selected == []


def test_nodes_sent_to_a_steering_become_a_slider_at_rest(graph: Graph, steering: Steering) -> None:
    link(graph, steering)
    steering.add_variant()
    before = steering.texts
    ids = graph.features()[3:5].ids
    graph.view.groups = [["a group", *ids]]
    send(graph.view, ids, to=0)
    steering.wait(60)
    assert steering.knobs[-1].name == "a group"
    assert steering.knobs[-1].size is not None
    assert steering.texts == before
    assert graph.view.told == "The steering has a slider a group."
    # It works, in every variant, and what was tried before can still be gone back to.
    steering.turn("a group", 0.5, unit="raw")
    assert steering.interventions()
    steering.back(steering.history[-1].id)
    assert steering.interventions() == []
    # A second slider for the same nodes has another name.
    send(graph.view, ids, to=0)
    steering.wait(60)
    assert [knob.name for knob in steering.knobs[-2:]] == ["a group", "a group (2)"]


def send(view: GraphView, ids: list[str], to: int) -> None:
    request = {"ids": ids, "to": to}
    view._handle_custom_msg({"type": "ask", "what": "send", "request": request}, [])


def test_views_made_of_a_graphs_nodes_are_linked_by_themselves(graph: Graph) -> None:
    steering = steer(tiny(), PROMPT, graph.features()[:2], length=1, dictionary=features())
    ablation = ablate(tiny(), PROMPT, {"strongest": graph.features()[:2], "a head": head(1, 2)})
    assert [n["name"] for n in graph.view.neighbours] == ["steering", "ablation"]
    click(graph.view, *graph.features()[:2].ids)
    assert ablation.selected == ["strongest"]
    steering.cancel()
    ablation.cancel()


def test_views_made_of_anything_else_are_linked_to_nothing(graph: Graph) -> None:
    made = ablate(tiny(), PROMPT, [head(1, 2)])
    join([head(1, 2)], made)
    assert graph.view.neighbours == []
    made.cancel()


def test_unlinked_views_go_their_own_way(graph: Graph, ablation: Ablation) -> None:
    linked = link(graph, ablation)
    linked.unlink()
    click(graph.view, graph.features()[0].id)
    assert ablation.selected == ["strongest", "a head"]
    assert graph.view.neighbours == []
    assert "unlinked" in repr(linked)


def test_what_cannot_be_linked_is_said(graph: Graph) -> None:
    with pytest.raises(TypeError, match="a graph, features, a text, an ablation or a steering"):
        link(graph, 3)
    with pytest.raises(ValueError, match="two views"):
        link(graph)


def test_a_card_opens_where_its_unit_is_selected_and_selects_its_nodes(graph: Graph) -> None:
    index = index_for(tiny(), features())
    joined = link(graph, index)
    node = graph.features()[0]
    click(graph.view, node.id)
    live = index.view.source
    assert live.opened == (node.layer, node.feature)
    live.wait("card", 60)
    assert index.view.card["card"]["name"] == f"L{node.layer}/{node.feature}"

    other = next(n for n in graph.features() if (n.layer, n.feature) != live.opened)
    index.view._handle_custom_msg(
        {"type": "open", "layer": other.layer, "feature": other.feature, "seq": 1}, []
    )
    same = {n.id for n in graph.features() if (n.layer, n.feature) == (other.layer, other.feature)}
    assert set(graph.view.selected) == same

    # Several units have no card in common: the open one stays.
    click(graph.view, node.id, other.id)
    assert live.opened == (other.layer, other.feature)
    joined.unlink()
    click(graph.view, node.id)
    assert live.opened == (other.layer, other.feature)


def test_a_card_sends_its_feature_to_a_linked_steering(graph: Graph, steering: Steering) -> None:
    index = index_for(tiny(), features())
    link(index, steering)
    knobs = len(steering.knobs)
    index.view._handle_custom_msg({"type": "steer", "layer": 1, "feature": 3, "seq": 2}, [])
    assert len(steering.knobs) == knobs + 1
    assert steering.knobs[-1].name in index.view.told["text"]
