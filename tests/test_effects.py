"""Predicted and measured effects are what hand-written runs of the model give.

`PlainEffects` (plain_effects.py) runs the model with PyTorch hooks: linear where a graph is linear, held
where a measurement holds. Derivatives are compared with central differences and with autograd.
"""

from __future__ import annotations

import functools
import threading

import numpy as np
import pytest
import torch
from plain_effects import PlainEffects, Unit
from plain_runs import parts
from tiny_models import LAYERS, PROMPT, dictionary, model
from torch import Tensor

from interp_widgets.attribution import Graph, attribute
from interp_widgets.attribution.live import gradient_along, live_effects, live_gradient
from interp_widgets.attribution.readings import Readings

TARGETS = [("w9", "w20"), "w11"]
CASES = {
    "llama, transcoder": ("llama grouped", dict()),
    "llama, cross-layer with skip": (
        "llama grouped",
        dict(kind="clt", skip=True, reads="hook_resid_mid", writes="hook_mlp_out"),
    ),
    "gpt2, cross-layer": ("gpt2", dict(kind="clt")),
    "gpt_neox parallel, transcoder with skip": ("gpt_neox parallel", dict(skip=True)),
    "gemma2, transcoder": ("gemma2", dict(writes="hook_mlp_out")),
    "gemma2, cross-layer": ("gemma2", dict(kind="clt", reads="hook_resid_mid")),
    "llama, neurons": ("llama grouped", None),
    "gpt2, neurons": ("gpt2", None),
    "gemma2, neurons": ("gemma2", None),
}
every_case = pytest.mark.parametrize("case", CASES)


@pytest.fixture(autouse=True)
def softmax_in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers rounds attention patterns to float32."""
    softmax = torch.nn.functional.softmax

    def exact(x: Tensor, dim: int | None = None, dtype: torch.dtype | None = None) -> Tensor:
        return softmax(x, dim=dim, dtype=None if x.dtype == torch.float64 else dtype)

    monkeypatch.setattr(torch.nn.functional, "softmax", exact)


@functools.cache
def graph_of(case: str, max_nodes: int | None = None) -> Graph:
    name, kind = CASES[case]
    m = model(name, torch.float64)
    d = "neurons" if kind is None else dictionary(dtype=torch.float64, **kind)
    return attribute(
        m, PROMPT, d, TARGETS, max_nodes=max_nodes or (40 if kind is None else None)
    ).wait()


@functools.cache
def plain(case: str) -> PlainEffects:
    origin = graph_of(case).origin
    return PlainEffects(origin.model.hf, origin.token_ids, origin.dictionary)


def vectors(graph: Graph) -> Tensor:
    """The targets in the space of the last norm's output, from the unembedding itself."""
    w = parts(graph.origin.model.hf).unembed.weight
    return torch.stack([w[9] - w[20], w[11] - w.mean(0)])


def groups(graph: Graph) -> list[list[str]]:
    """A strong node, and a group that spans layers and positions."""
    units = graph.features()
    lowest = min(units, key=lambda n: (n.layer, n.position))
    several = dict.fromkeys([*(n.id for n in units[:5]), lowest.id])
    return [[units[0].id], list(several)]


def unit(graph: Graph, id: str) -> Unit:
    node = graph.node(id)
    return node.layer, node.position, node.feature


def by_hand(case: str, ids: list[str], targets: tuple[str, ...], factor: float, how: str) -> Tensor:
    graph = graph_of(case)
    outputs = [graph.table.ids[-2], graph.table.ids[-1]]
    assert list(targets[:2]) == outputs
    found = plain(case).change(
        [unit(graph, id) for id in ids],
        factor,
        how,
        [unit(graph, id) for id in targets[2:]],
        vectors(graph),
    )
    return torch.cat([found[-2:], found[:-2]])


def agree(found: np.ndarray, expected: Tensor, tolerance: float) -> None:
    np.testing.assert_allclose(found, expected.numpy(), rtol=tolerance, atol=tolerance)


@every_case
def test_a_direct_prediction_is_the_linear_model_run_with_the_group_held(case: str) -> None:
    graph = graph_of(case)
    for ids in groups(graph):
        for factor in (0.0, -1.0):
            found = graph.predict(ids, "direct", factor=factor)
            expected = by_hand(case, ids, found.targets, factor, "linear")
            agree(found.change, expected, 2e-6)
    assert expected.abs().max() > 1e-3


@every_case
def test_an_edge_is_what_is_measured_with_everything_else_held(case: str) -> None:
    """Edges are exact for features and outputs; neurons answer with a curve."""
    graph = graph_of(case)
    exact = slice(None) if graph.table.unit == "feature" else slice(2)
    for ids in groups(graph):
        predicted, measured = (f(ids, "edges") for f in (graph.predict, graph.measure))
        expected = by_hand(case, ids, measured.targets, 0.0, "still")
        agree(measured.change, expected, 2e-6)
        assert predicted.targets == measured.targets
        np.testing.assert_allclose(
            predicted.change[exact], measured.change[exact], rtol=2e-6, atol=2e-6
        )


@every_case
@pytest.mark.parametrize(("how", "way"), [("direct", "frozen"), ("total", "free")])
def test_a_measurement_is_a_run_with_hooks(case: str, how: str, way: str) -> None:
    graph = graph_of(case)
    for ids in groups(graph):
        for factor in (0.0, 2.0):
            found = graph.measure(ids, how, factor=factor)  # type: ignore[arg-type]
            agree(found.change, by_hand(case, ids, found.targets, factor, way), 2e-6)


@every_case
def test_a_total_prediction_is_the_slope_of_what_is_measured(case: str) -> None:
    graph = graph_of(case)
    for ids in groups(graph):
        found = graph.predict(ids, "total", factor=2.0)
        tiny = 1e-6
        above, below = (
            sum(by_hand(case, [id], found.targets, 1 + sign * tiny, "free") for id in ids)
            for sign in (1, -1)
        )
        agree(found.change, (above - below) / (2 * tiny), 1e-5)


@every_case
def test_forwards_and_backwards_give_one_derivative(case: str) -> None:
    graph = graph_of(case)
    replica, nodes = graph.replica, graph.units_among(graph.features()[:6])
    units = torch.from_numpy(replica.unit[nodes])
    last = np.array([graph.table.n_nodes - 1])
    each = [(u[None], -1.0) for u in units]
    forwards = live_effects(replica, each, Readings(replica, last))[:, 0]
    backwards = gradient_along(replica, live_gradient(replica, vectors(graph)[1]), units, -1.0)
    agree(backwards, forwards, 1e-9)


@every_case
def test_what_runs_through_patterns_and_norms_is_what_holding_them_takes_away(case: str) -> None:
    """With both held, the slope is that of the frozen run; patterns and norms make up the rest."""
    graph = graph_of(case)
    ids = groups(graph)[1]
    found = graph.predict(ids, "total", factor=2.0)
    tiny = 1e-6
    above, below = (
        sum(by_hand(case, [id], found.targets, 1 + sign * tiny, "frozen") for id in ids)
        for sign in (1, -1)
    )
    linear = (above - below) / (2 * tiny)
    rest = found.change - found.parts["patterns"] - found.parts["norms"]
    agree(rest, linear, 1e-5)
    assert np.abs(found.parts["patterns"]).max() > 1e-4
    assert np.abs(found.parts["norms"]).max() > 1e-4


@pytest.mark.parametrize("case", ["llama, transcoder", "llama, neurons"])
def test_units_outside_the_graph_pass_on_what_reaches_them(case: str) -> None:
    """A graph with few nodes predicts the same; what its own edges lack is told as hidden."""
    small = graph_of(case, 8)
    strongest = min(small.features(), key=lambda n: n.layer)
    found = small.predict(strongest, "direct")
    expected = by_hand(case, [strongest.id], found.targets, 0.0, "linear")
    agree(found.change, expected, 2e-6)
    assert np.abs(found.parts["hidden"]).max() > 1e-3
    whole = graph_of("llama, transcoder")
    strongest = whole.features()[0]
    assert np.abs(whole.predict(strongest, "direct").parts["hidden"]).max() < 1e-6


def test_a_graph_from_a_file_predicts_along_its_edges_and_asks_for_a_model_otherwise(
    tmp_path: object,
) -> None:
    graph = graph_of("llama, transcoder")
    back = Graph.load(graph.save(tmp_path / "graph.safetensors"))  # type: ignore[operator]
    id = graph.features()[0].id
    for how in ("edges", "direct"):
        mine, its = graph.predict(id, how), back.predict(id, how)  # type: ignore[arg-type]
        np.testing.assert_allclose(its.change, mine.change, rtol=1e-5, atol=1e-6)
    assert np.isnan(back.predict(id, "direct").parts["hidden"]).all()
    assert not back.has_model
    for ask in (
        lambda: back.predict(id, "total"),
        lambda: back.measure(id),
        lambda: back.faithfulness(),
        lambda: back.swap(id, graph.features()[:1]),
        lambda: back.features()[:1].scale(2),
    ):
        with pytest.raises(ValueError, match="came from a file and has no model"):
            ask()


def test_probabilities_before_and_after_stand_beside_a_measurement() -> None:
    graph = graph_of("llama, transcoder")
    found = graph.measure(graph.features()[:3])
    pair, token = graph.table.ids[-2:]
    assert set(found.probability) == {token}
    before, after = found.probability[token]
    logits = graph.origin.model.run(graph.origin.token_ids[None]).logits
    assert logits is not None
    assert before == pytest.approx(float(torch.softmax(logits[0, -1], -1)[11]), abs=1e-7)
    assert 0 < after < 1
    assert after != before
    assert pair in found.targets
    assert found[pair] == pytest.approx(float(found.change[0]))


def test_nothing_changes_where_nothing_is_changed() -> None:
    graph = graph_of("llama, transcoder")
    ids = [n.id for n in graph.features()[:4]]
    for how in ("edges", "direct", "total"):
        for found in (graph.predict(ids, how, factor=1.0), graph.measure(ids, how, factor=1.0)):  # type: ignore[arg-type]
            np.testing.assert_allclose(found.change, 0, atol=1e-6)


def test_threads_that_ask_at_once_get_what_one_alone_gets() -> None:
    graph = graph_of("llama, transcoder")
    ids = graph.features().ids[:3]
    alone = {id: graph.predict(id, "total").change for id in ids}
    wrong: list[str] = []

    def ask() -> None:
        for id in ids:
            if not np.allclose(graph.predict(id, "total").change, alone[id], atol=1e-9):
                wrong.append(id)
            if not np.isfinite(graph.measure(id, "direct").change).all():
                wrong.append(id)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda g: g.predict([]), "There are no nodes to change"),
        (lambda g: g.measure([g.nodes(kind="token")[0]]), "is no feature"),
        (lambda g: g.predict(g.features()[0], "indirect"), "how is 'indirect': it is one of edges"),
        (lambda g: g.predict(g.features()[0], targets=g.features()[0].id), "changed itself"),
        (lambda g: g.predict(g.features()[0], targets=g.nodes(kind="token")[0]), "which nothing changes"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused_with_a_sentence(ask: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        ask(graph_of("llama, transcoder"))  # type: ignore[operator]
    with pytest.raises(KeyError, match="no node 'nobody'"):
        graph_of("llama, transcoder").predict("nobody")


def test_layers_are_as_the_tests_assume() -> None:
    assert {n.layer for n in graph_of("llama, transcoder").features()} == set(range(LAYERS))
