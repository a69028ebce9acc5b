"""A node of a graph knows what its feature means; a label given to it is the feature's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interp_widgets import Graph, attribute, load
from interp_widgets.features import index_for
from interp_widgets.models import Model
from interp_widgets.views.graph_asks import clean_request
from interp_widgets.views.graph_meaning import index_of, unit_of

PROMPT = "the capital of the state containing dallas is"


@pytest.fixture(autouse=True)
def book_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERP_WIDGETS_DATA", str(tmp_path))


@pytest.fixture(scope="module")
def model() -> Model:
    return load("organism")


@pytest.fixture
def graph(model: Model) -> Graph:
    return attribute(model, PROMPT).wait()


def answer(graph: Graph, what: str, **request: Any) -> dict[str, Any]:
    answers = graph.view.answers
    assert answers is not None
    answers.ask(what, request)
    return answers.wait(what, 60)


def test_the_card_is_of_the_nodes_feature_and_says_how_strong_it_is_here(graph: Graph) -> None:
    node = graph.features("texas")[0]
    card = answer(graph, "meaning", ids=[node.id])
    assert (card["layer"], card["feature"]) == (node.layer, node.feature)
    assert card["activations"]["here"] == pytest.approx(node.activation)
    assert card["label"]["kind"] == "shipped"
    assert "texas" in card["label"]["text"]
    assert card["indexed"]
    assert len(card["examples"]) > 0
    assert graph.view.meaning["state"] == "done"
    assert graph.view.meaning["asked"] == {"ids": [node.id]}


def test_a_neuron_graph_means_neurons(model: Model) -> None:
    graph = attribute(model, PROMPT, dictionary="neurons").wait()
    node = graph.features()[0]
    card = answer(graph, "meaning", ids=[node.id])
    assert (card["unit"], card["layer"], card["feature"]) == ("neuron", node.layer, node.feature)
    assert not card["indexed"]


def test_a_test_text_fires_what_the_dictionary_says(graph: Graph) -> None:
    node = graph.features("texas")[0]
    layer, feature = unit_of(graph, node.id)
    fired = answer(graph, "firing", ids=[node.id], text="i live in dallas")
    dictionary, model = graph.origin.dictionary, graph.origin.model
    assert dictionary is not None
    ids = model.tokenize("i live in dallas")
    place = dictionary.reads(layer)  # type: ignore[attr-defined]
    x = model.run(ids[None], read=[place], logits=False).seen[place][0]
    active = dictionary.to(dtype=model.dtype).encode(layer, x[1:])
    expected = np.zeros(len(ids))
    mine = active.feature == feature
    expected[active.position[mine].numpy() + 1] = active.activation[mine].numpy()
    np.testing.assert_allclose(fired["activations"], expected, rtol=1e-4, atol=1e-5)
    assert "".join(fired["tokens"]).endswith("dallas")
    with pytest.raises(ValueError, match="empty"):
        answer(graph, "firing", ids=[node.id], text=" ")
    assert graph.view.firing["state"] == "failed"


def test_a_label_stands_on_every_node_of_the_feature_and_in_the_next_graph(
    graph: Graph, model: Model, tmp_path: Path
) -> None:
    layer, number = graph.table.layer, graph.table.feature
    units = list(zip(layer.tolist(), number.tolist(), strict=True))
    several = next(
        u for i, u in enumerate(units) if graph.table.kind[i] == 0 and units.count(u) > 1
    )
    ids = [id for id, u in zip(graph.table.ids, units, strict=True) if u == several]
    answers = graph.view.answers
    assert answers is not None
    answers.ask("label", {"ids": ids[:1], "text": "lone star", "proposed": None})
    assert {id: graph.view.labels.get(id) for id in ids} == dict.fromkeys(ids, "lone star")
    assert graph.notes.labels == graph.view.labels
    label = answers.wait("meaning", 60)["label"]
    assert (label["text"], label["kind"]) == ("lone star", "by hand")
    # Nobody had tested it: either it was now, or a sentence says why it cannot be.
    assert label.get("why") or 0 <= label["low"] <= label["score"] <= label["high"] <= 1
    assert {n.id for n in graph.features("lone star")} == set(ids)

    path = graph.save(tmp_path / "graph.safetensors")
    again = Graph.load(path)
    assert {again.node(id).label for id in ids} == {"lone star"}

    new = attribute(model, PROMPT).wait()
    assert {new.view.labels.get(id) for id in ids} == {"lone star"}
    assert index_for(model, graph.origin.dictionary).label(*several) == "lone star"

    answers.ask("label", {"ids": ids[:1], "text": "", "proposed": None})
    assert all(graph.view.labels.get(id) != "lone star" for id in ids)


def test_what_is_no_label_is_refused_with_a_sentence(graph: Graph) -> None:
    node = graph.features("texas")[0]
    before = dict(graph.view.labels)
    answers = graph.view.answers
    assert answers is not None
    answers.ask("label", {"ids": [node.id], "text": "x" * 5000, "proposed": None})
    assert "200" in graph.view.told
    assert graph.view.labels == before


def test_suggested_labels_come_with_scores_and_can_be_taken_over(graph: Graph) -> None:
    node = graph.features("texas")[0]
    found = answer(graph, "naming", ids=[node.id])["proposals"]
    assert found
    for row in found:
        assert 0 <= row["low"] <= row["score"] <= row["high"] <= 1
        assert 0.2 < row["control"] < 0.8
        assert row["samples"] > 0
    answers = graph.view.answers
    assert answers is not None
    answers.ask("label", {"ids": [node.id], "text": found[0]["text"], "proposed": 0})
    label = index_of(graph).book.get(node.layer, node.feature)
    assert label is not None
    assert (label.text, label.kind) == (found[0]["text"], "proposed")
    answers.ask("label", {"ids": [node.id], "text": "x", "proposed": 99})
    assert "ask for suggestions again" in graph.view.told


def test_a_graph_from_a_file_says_that_it_knows_no_meaning(graph: Graph, tmp_path: Path) -> None:
    graph.save(tmp_path / "graph.safetensors")
    again = Graph.load(tmp_path / "graph.safetensors")
    assert "came from a file" in again.view.unable
    assert again.view.labels == again.notes.labels


@pytest.mark.parametrize(
    "request_",
    [
        {"ids": ["a", "b"]},
        {"ids": []},
        {"ids": "a"},
        {"ids": ["a"], "text": 3},
        {"ids": ["a"], "text": "x" * 30_000},
        {"ids": ["a"], "text": "x", "proposed": "0"},
        None,
    ],
)
def test_what_a_page_may_send_is_checked(request_: Any) -> None:
    assert clean_request("label", request_, {"a", "b"}, 0) is None
