"""Faithfulness: the single effects side by side, a correlation, and a control that means nothing."""

from __future__ import annotations

import functools
import threading

import numpy as np
import pytest
import torch
from tiny_models import PROMPT, dictionary, model

import interp_widgets as iw
from interp_widgets.attribution import Graph, attribute
from interp_widgets.attribution.correlation import spearman
from interp_widgets.attribution.faithfulness import Faithfulness, random_graph
from interp_widgets.attribution.trace import trace
from interp_widgets.jobs import Cancelled, Job

LLAMA = model("llama grouped")
SETS = {"transcoder": dictionary(), "clt": dictionary("clt"), "neurons": "neurons"}
TARGETS = ["w9", "w20", ("w11", "w30")]
every_kind = pytest.mark.parametrize("kind", list(SETS))


@functools.cache
def graph_of(kind: str) -> Graph:
    return attribute(LLAMA, PROMPT, SETS[kind], TARGETS, max_nodes=40).wait()


@functools.cache
def found_for(kind: str) -> Faithfulness:
    return graph_of(kind).faithfulness(n=12, how=("edges", "direct", "total"), draws=3, seed=5)


@every_kind
def test_every_point_is_the_effect_of_one_node(kind: str) -> None:
    graph, found = graph_of(kind), found_for(kind)
    first, second = (graph.table.ids[-3], graph.table.ids[-2])
    assert found.metric == '"w9" − "w20"'
    for how in ("edges", "direct", "total"):
        for k, id in enumerate(found.nodes):
            for side, ask in ((found.predicted, graph.predict), (found.measured, graph.measure)):
                one = ask(id, how, targets=[first, second])
                assert side[how][k] == pytest.approx(one[first] - one[second], rel=1e-3, abs=2e-5)


@every_kind
def test_one_step_is_predicted_without_error(kind: str) -> None:
    """Edges into an output are exact, so the measured order is the predicted one."""
    found = found_for(kind)
    np.testing.assert_allclose(
        found.predicted["edges"], found.measured["edges"], rtol=1e-3, atol=2e-5
    )
    strong = np.abs(found.predicted["edges"]) > 1e-3
    assert spearman(found.predicted["edges"][strong], found.measured["edges"][strong]) > 0.99


@pytest.mark.parametrize("kind", ["transcoder", "clt"])
def test_the_control_is_what_random_graphs_say(kind: str) -> None:
    """The same graphs that stand beside the scores, node by node: `trace(like=)`."""
    graph, found = graph_of(kind), found_for(kind)
    d = graph.origin.dictionary
    place = [graph.table.ids.index(id) for id in found.nodes]
    for draw in range(3):
        drawn = trace(LLAMA, PROMPT, d, TARGETS, like=graph.table, seed=5 + draw)
        rows = Graph(drawn).adjacency()[-3:-1]
        expected = -(rows[0] - rows[1])[place]
        np.testing.assert_allclose(found.control["edges"][draw], expected, rtol=1e-3, atol=1e-5)


def test_the_control_for_neurons_writes_as_much_elsewhere() -> None:
    replica = graph_of("neurons").replica
    drawn = random_graph(replica, 3)
    for name in ("layer", "position", "feature", "activation"):
        assert torch.equal(getattr(drawn.units, name), getattr(replica.units, name))
    for layer in range(3):
        before, after = replica.units.writes(layer), drawn.units.writes(layer)
        torch.testing.assert_close(before.vectors.norm(dim=1), after.vectors.norm(dim=1))
        assert not torch.allclose(before.vectors, after.vectors)


@every_kind
def test_the_control_knows_nothing(kind: str) -> None:
    found = found_for(kind)
    assert found.control["total"].shape == (3, 12)
    for one in found.controls.values():
        assert one.n == 12
        assert one.low < 0 < one.high


def test_half_of_the_nodes_are_the_strongest() -> None:
    graph, found = graph_of("transcoder"), found_for("transcoder")
    ranked = graph.features().ids
    assert found.strongest is not None
    assert found.strongest.sum() == 6
    assert [id for id, top in zip(found.nodes, found.strongest, strict=True) if top] == ranked[:6]
    assert len(set(found.nodes)) == found.n == 12
    again, other = (graph.faithfulness(n=12, draws=0, how=("total",), seed=s) for s in (5, 6))
    assert again.nodes == found.nodes
    assert other.nodes[:6] == found.nodes[:6]
    assert other.nodes != found.nodes
    np.testing.assert_allclose(again.measured["total"], found.measured["total"], atol=1e-6)


def test_given_nodes_are_measured_and_a_factor_is_a_change_of_its_size() -> None:
    graph = graph_of("transcoder")
    ids = graph.features().ids[3:8]
    twice, thrice = (
        graph.faithfulness(ids, factor=f, how=("edges",), target="w9", draws=0) for f in (2.0, 3.0)
    )
    assert sorted(twice.nodes) == sorted(ids)
    assert twice.strongest is None
    assert twice.metric == '"w9"'
    np.testing.assert_allclose(thrice.measured["edges"], 2 * twice.measured["edges"], atol=2e-5)


def test_a_repr_says_on_how_much_it_rests() -> None:
    text = repr(found_for("transcoder"))
    assert text.startswith("Faithfulness(6 strongest and 6 random features, each × 0")
    assert "total (live derivative, everything free): +" in text
    assert "random decoders: " in text
    assert "(3 draws)" in text
    assert "direct prediction, everything free" in text
    assert "random decoders: " in repr(found_for("neurons"))


def test_it_runs_in_the_background_and_says_how_far_it_is() -> None:
    seen: list[float] = []
    job = Job(
        lambda job: graph_of("transcoder").faithfulness(
            n=20, draws=2, progress=job.report, cancelled=job.check
        ),
        lambda: seen.append(job.progress),
    )
    job.start()
    assert job.wait(60).n == 20
    assert seen == sorted(seen)
    assert len(seen) > 4


def test_it_can_be_stopped_and_the_model_goes_on_as_before() -> None:
    graph = graph_of("transcoder")
    before = LLAMA.run(graph.origin.token_ids[None]).logits
    asked = threading.Event()

    def stop(share: float, message: str) -> None:
        if message.startswith("measured"):
            asked.set()

    def check() -> None:
        if asked.is_set():
            raise Cancelled

    with pytest.raises(Cancelled):
        graph.faithfulness(n=40, draws=1, progress=stop, cancelled=check)
    after = LLAMA.run(graph.origin.token_ids[None]).logits
    assert before is not None
    assert after is not None
    assert torch.equal(before, after)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (dict(target="nowhere"), "'nowhere' is no output of this graph; its outputs are"),
        (dict(n=2), "at least three nodes, and these are 2"),
        (dict(how=("sideways",)), "it is one of edges, direct, total"),
    ],
)
def test_what_cannot_be_asked_is_refused(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        graph_of("transcoder").faithfulness(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["features", "neurons"])
def test_the_organisms_graphs_are_better_than_random_ones(kind: str) -> None:
    organism = iw.load("organism")
    graph = iw.attribute(
        organism,
        "the capital of the state containing dallas is",
        "neurons" if kind == "neurons" else None,
        max_nodes=200 if kind == "neurons" else None,
    )
    found = graph.faithfulness(n=40, draws=10)
    for how in ("direct", "total"):
        assert found.correlations[how].low > 0.3
        assert found.controls[how].low < 0 < found.controls[how].high
