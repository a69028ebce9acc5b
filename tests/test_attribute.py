"""`attribute` from outside: it returns at once, fills, can be stopped, and fails in sentences."""

from __future__ import annotations

import pathlib
import threading

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny_models import CONTEXT, PROMPT, dictionary, model

import interp_widgets.attribution.memory as memory
import interp_widgets.attribution.trace as tracing
from interp_widgets.attribution import Graph, OutOfMemory, attribute
from interp_widgets.attribution.table import FEATURE, GraphTable
from interp_widgets.attribution.trace import trace
from interp_widgets.attribution.units import Features
from interp_widgets.dictionaries import DictionaryError, save
from interp_widgets.jobs import Cancelled
from interp_widgets.models import FrozenModel, Model, ModelError, PromptError


@pytest.fixture(scope="module")
def llama() -> Model:
    return model("llama grouped")


def dense(table: GraphTable) -> NDArray[np.float32]:
    out = np.zeros((table.n_nodes, table.n_nodes), dtype=np.float32)
    for target in range(table.n_nodes):
        for entry in range(table.ptr[target], table.ptr[target + 1]):
            out[target, table.source[entry]] = table.weight[entry]
    return out


def test_a_graph_returns_at_once_and_its_sums_add_up(llama: Model) -> None:
    with llama.lock:  # the run cannot start, so what returns has not been computed
        graph = attribute(llama, PROMPT, max_nodes=20)
        assert graph.state == "computing"
        assert "computing" in repr(graph)
    table = graph.wait(60).table
    assert graph.state == "done"
    assert (table.kind == FEATURE).sum() == 20
    total = dense(table).sum(1) + table.bias + table.hidden
    known = ~np.isnan(table.value)
    np.testing.assert_allclose(total[known], table.value[known], rtol=1e-4, atol=1e-5)
    assert graph.residual() < 1e-4


def test_partial_graphs_grow_into_the_final_one(
    llama: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    partial: list[GraphTable] = []
    done: list[float] = []

    def keep(table: GraphTable, progress: float, message: str) -> None:
        partial.append(table)
        done.append(progress)
        assert message

    monkeypatch.setattr(tracing, "_OFFER_EVERY", 0)
    monkeypatch.setattr(tracing, "_OFFER_REST", 0)
    final = trace(llama, PROMPT, max_nodes=20, offer=keep)
    assert len(partial) > 3
    assert done == sorted(done)
    assert done[-1] <= 1
    whole = dense(final)
    for earlier in partial:
        if earlier.ids == final.ids:
            part = dense(earlier)
            np.testing.assert_array_equal(part[part != 0], whole[part != 0])
    assert [t.n_edges for t in partial] == sorted(t.n_edges for t in partial)
    # From the output downwards: the first edges are those into the answer.
    first = partial[0]
    assert set(np.flatnonzero(np.diff(first.ptr))) <= set(np.flatnonzero(first.target_weight))


@pytest.mark.parametrize("step", [0, 1, 2, 4, 7])
def test_cancelled_at_any_step_the_model_goes_on_as_before(llama: Model, step: int) -> None:
    before = llama.record(PROMPT).logits
    asked = 0

    def stop_there() -> None:
        nonlocal asked
        if asked == step:
            raise Cancelled
        asked += 1

    with pytest.raises(Cancelled):
        trace(llama, PROMPT, max_nodes=20, cancelled=stop_there)
    assert torch.equal(llama.record(PROMPT).logits, before)
    assert trace(llama, PROMPT, max_nodes=20).n_edges > 0


def test_cancelling_keeps_the_edges_so_far(llama: Model) -> None:
    with llama.lock:
        graph = attribute(llama, PROMPT, max_nodes=20)
        graph.on_change(graph.cancel)
    with pytest.raises(Cancelled):
        graph.wait(60)
    assert graph.state == "cancelled"
    assert graph.so_far is not None
    assert graph.so_far.n_edges > 0
    assert graph.view.status["state"] == "cancelled"


def test_two_graphs_at_once_are_the_graphs_one_after_the_other(llama: Model) -> None:
    prompts = [PROMPT, "w7 w8 w9 w10"]
    alone = [dense(trace(llama, p, max_nodes=20)) for p in prompts]
    for _ in range(5):
        together = [attribute(llama, p, max_nodes=20) for p in prompts]
        for graph, expected in zip(together, alone, strict=True):
            np.testing.assert_array_equal(graph.wait(60).adjacency(), expected)


@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [
        ("", "The prompt is empty"),
        ("   \n", "The prompt is empty"),
        (" ".join(["w3"] * 50), f"reads at most {CONTEXT}"),
        ([3, 10**6], "outside the vocabulary"),
        ([], "no tokens"),
    ],
)
def test_a_prompt_that_cannot_be_run_is_told_at_once(
    llama: Model, prompt: str | list[int], sentence: str
) -> None:
    with pytest.raises(PromptError, match=sentence):
        attribute(llama, prompt)


@pytest.mark.parametrize(
    ("targets", "sentence"),
    [
        ("nowhere", "not in this tokenizer's vocabulary"),
        (10**6, "outside the vocabulary"),
        ([], "No targets"),
        ([("w5", "w6", "w7")], "pair"),
        (torch.zeros(5), "d_model"),
    ],
)
def test_a_target_that_cannot_be_had_is_told_at_once(
    llama: Model, targets: object, sentence: str
) -> None:
    with pytest.raises(PromptError, match=sentence):
        attribute(llama, PROMPT, targets=targets)  # type: ignore[arg-type]


def test_a_dictionary_for_another_model_is_told_at_once(llama: Model) -> None:
    other = model("gpt2")
    fitting = dictionary()
    fewer = type(fitting)(
        fitting.layers[:-1], fitting.input_hook, fitting.output_hook, fitting.scan
    )
    assert attribute(llama, PROMPT, fitting).wait(60).residual() < 1e-4
    assert other.d_model == llama.d_model
    with pytest.raises(DictionaryError, match="2 layers of width 32.*has 3 layers of width 32"):
        attribute(llama, PROMPT, fewer)


def test_a_folder_of_transcoders_can_be_named(llama: Model, tmp_path: pathlib.Path) -> None:
    kept = dictionary()
    save(kept, tmp_path / "set")
    by_path = attribute(llama, PROMPT, tmp_path / "set").wait(60)
    by_value = attribute(llama, PROMPT, kept).wait(60)
    np.testing.assert_allclose(by_path.adjacency(), by_value.adjacency(), atol=1e-6)
    with pytest.raises(DictionaryError, match="not a folder"):
        attribute(llama, PROMPT, tmp_path / "nothing")


def test_damaged_weights_fail_in_the_view_with_a_sentence() -> None:
    broken = model("llama grouped")
    broken.hf.model.layers[1].mlp.down_proj.weight[3, 3] = float("nan")
    graph = attribute(broken, PROMPT)
    with pytest.raises(ModelError, match=r"first in block 1 \(MLP\)"):
        graph.wait(60)
    assert graph.state == "failed"
    assert "block 1 (MLP)" in graph.view.status["message"]


def test_quantised_weights_are_refused_with_a_sentence() -> None:
    packed = model("llama grouped")
    recording = packed.record(PROMPT)
    value = packed.hf.model.layers[0].self_attn.v_proj
    value.weight = torch.nn.Parameter(value.weight.to(torch.int8), requires_grad=False)
    with pytest.raises(ModelError, match=r"quantised weights \(torch.int8\)"):
        FrozenModel(packed, recording)


def test_a_graph_that_would_not_fit_is_refused_before_it_is_allocated(
    llama: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda device: 10_000)
    graph = attribute(llama, PROMPT, max_nodes=100)
    with pytest.raises(OutOfMemory, match=r"needs about .* GB; .* GB are free"):
        graph.wait(60)
    monkeypatch.undo()
    assert attribute(llama, PROMPT, max_nodes=100).wait(60).table.n_edges > 0


def test_what_the_view_holds_is_read_from_the_graph(llama: Model) -> None:
    graph = attribute(llama, PROMPT, max_nodes=20).wait(60)
    first, second = graph.nodes(kind="neuron")[:2]
    graph.view.selected = [first.id]
    graph.view.groups = [["pair", first.id, second.id]]
    graph.view.labels = {first.id: "<img onerror=alert(1)>"}
    assert [n.id for n in graph.selected] == [first.id]
    assert [n.id for n in graph.groups["pair"]] == [first.id, second.id]
    assert graph.node(first.id).label == "<img onerror=alert(1)>"
    with pytest.raises(ValueError, match="no node 'nobody'"):
        graph.view.pinned = ["nobody"]
    assert graph.view is graph.view


def test_a_view_opened_before_the_end_fills(llama: Model) -> None:
    with llama.lock:
        graph = attribute(llama, PROMPT, max_nodes=20)
        view = graph.view
        assert view.status["state"] == "computing"
        assert view.data == b""
    graph.wait(60)
    assert view.status["state"] == "done"
    assert f"{graph.table.n_edges:,} links" in repr(view)


def test_edges_are_told_strongest_first(llama: Model) -> None:
    graph = attribute(llama, PROMPT, max_nodes=20).wait(60)
    answer = graph.nodes(kind="output")[0]
    edges = graph.inputs(answer)
    row = dense(graph.table)[graph.table.ids.index(answer.id)]
    assert [e.weight for e in edges] == sorted(row[row != 0], key=abs, reverse=True)
    back = graph.outputs(edges[0].source)
    assert edges[0].weight in [e.weight for e in back if e.target.id == answer.id]


def test_the_control_draws_as_many_units_in_every_place(llama: Model) -> None:
    graph = attribute(llama, PROMPT, max_nodes=30).wait(60)
    drawn = trace(llama, PROMPT, like=graph.table, seed=3)

    def places(table: GraphTable) -> list[tuple[int, int]]:
        shown = table.kind == FEATURE
        return sorted(zip(table.layer[shown].tolist(), table.position[shown].tolist(), strict=True))

    assert places(drawn) == places(graph.table)
    assert set(drawn.ids) != set(graph.table.ids)
    again = trace(llama, PROMPT, like=graph.table, seed=3)
    assert again.ids == drawn.ids
    assert len(graph.random_scores(samples=2)) == 2


def test_the_control_for_features_turns_their_decoders(llama: Model) -> None:
    kept = dictionary()
    graph = attribute(llama, PROMPT, kept, max_nodes=12).wait(60)
    control = trace(llama, PROMPT, kept, like=graph.table, seed=1)
    assert control.ids == graph.table.ids
    np.testing.assert_array_equal(control.activation, graph.table.activation)
    # It explains the same values, so its edges, too, add up to them.
    total = dense(control).sum(1) + control.bias + control.hidden
    known = ~np.isnan(control.value)
    np.testing.assert_allclose(total[known], graph.table.value[known], rtol=1e-4, atol=1e-5)
    assert not np.array_equal(dense(control), dense(graph.table))
    assert len({s.replacement for s in graph.random_scores(samples=2)}) == 2


def test_the_control_is_a_dictionary_with_random_decoders(llama: Model) -> None:
    """Features that turn up twice write the same; errors are what such a dictionary leaves."""
    frozen = FrozenModel(llama, llama.record(PROMPT))
    plain, turned = (Features(frozen, dictionary(), seed) for seed in (None, 5))
    for layer in range(frozen.n_layers):
        before, after = plain.writes(layer), turned.writes(layer)
        assert torch.equal(before.unit, after.unit)
        lengths = after.vectors.norm(dim=1)
        torch.testing.assert_close(before.vectors.norm(dim=1), lengths)
        direction = {}
        for unit, vector in zip(after.unit.tolist(), after.vectors, strict=True):
            key = int(turned.layer[unit]), int(turned.feature[unit])
            vector = vector / turned.activation[unit]
            torch.testing.assert_close(vector, direction.setdefault(key, vector))
        written = [w.vectors.sum(0) for w in (before, after)]
        errors = [u.errors[layer].sum(0) for u in (plain, turned)]
        torch.testing.assert_close(written[0] + errors[0], written[1] + errors[1])
        assert not torch.allclose(before.vectors, after.vectors)


def test_a_graph_survives_its_file(llama: Model, tmp_path: pathlib.Path) -> None:
    graph = attribute(llama, PROMPT, max_nodes=20).wait(60)
    node = graph.nodes(kind="neuron")[0]
    graph.view.pinned = [node.id]
    back = Graph.load(graph.save(tmp_path / "graph.safetensors"))
    np.testing.assert_array_equal(back.adjacency(), graph.adjacency())
    assert [n.id for n in back.pinned] == [node.id]
    assert back.scores == graph.scores
    with pytest.raises(ValueError, match="from a file"):
        back.random_scores()


def test_threads_of_one_model_take_turns(llama: Model) -> None:
    expected = llama.record(PROMPT).logits
    wrong: list[str] = []

    def work() -> None:
        for _ in range(10):
            if not torch.equal(llama.record(PROMPT).logits, expected):
                wrong.append(threading.current_thread().name)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_control_waits_for_the_graph(llama: Model) -> None:
    with llama.lock:
        graph = attribute(llama, PROMPT, max_nodes=20)
    assert len(graph.random_scores(samples=1)) == 1
