"""The ablation view's Python half: what it computes and keeps, what a page may ask of it."""

from __future__ import annotations

import json
import pathlib
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import held_models
import numpy as np
import pytest
import tiny_models
import torch
import traitlets
from html_pages import Page
from plain_places import hooks
from torch import Tensor

from interp_widgets.attribution import attribute
from interp_widgets.circuits import PANELS, CircuitError, compare_runs, heatmap
from interp_widgets.circuits.effects import _marks, changes, continuations, measure, with_controls
from interp_widgets.circuits.parts import Part
from interp_widgets.circuits.values import interventions
from interp_widgets.jobs import Cancelled
from interp_widgets.models import Model, ModelError, PromptError
from interp_widgets.models.errors import InterventionError
from interp_widgets.models.interventions import Place, feature, head, mlp, neuron, residual
from interp_widgets.views import ablation_picture, pictures
from interp_widgets.views.ablation_items import example, given
from interp_widgets.views.ablation_live import Ablation, ablate
from interp_widgets.views.ablation_view import AblationView

CLEAN = "w3 w14 w15 w9 w26 w5"
CORRUPTED = "w3 w14 w33 w9 w8 w5"
HOSTILE = "</script><img src=x onerror=alert(1)><!--"
METRIC = ("w12", "w27")


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_models.model("llama grouped")


@pytest.fixture(scope="module")
def done(model: Model) -> Ablation:
    """Heatmaps of one direction, complete, and two things given."""
    what = {"two heads": [head(1, 2), head(2, 0)], "an MLP": mlp(1)}
    return ablate(model, CLEAN, what, CORRUPTED, METRIC).wait(60)


def send(view: AblationView, **content: Any) -> None:
    """As a page does."""
    view._handle_custom_msg(content, [])


def answered(ablation: Ablation, ids: list[str]) -> dict[str, Any]:
    """Selects, and waits for the complete answer."""
    there = threading.Event()

    def look(change: Any) -> None:
        if change["new"].get("ids") == ids and change["new"]["stage"] != "computing":
            there.set()

    ablation.view.observe(look, names=["result"])
    ablation.view.selected = ids
    look({"new": ablation.view.result})
    assert there.wait(60)
    ablation.view.unobserve(look, names=["result"])
    result: dict[str, Any] = ablation.view.result
    return result


@torch.no_grad()
def plain_metric(model: Model, puts: list[tuple[int, str, Any]]) -> float:
    """The metric of a run where zeros are put at places, by hooks of our own."""
    ids = model.tokenize(CLEAN)[None]

    def put(value: Tensor, where: Any) -> Tensor:
        new = value.clone()
        new[0][where] = 0
        return new

    with model.lock, ExitStack() as stack:  # an ablation may be at work
        for layer, site, where in puts:
            stack.enter_context(hooks(model.hf, layer, site, lambda v, w=where: put(v, w)))
        logits = model.hf(input_ids=ids).logits[0, -1].double()
    return float(logits[12] - logits[27])


class TestWhatIsComputed:
    def test_heatmaps_are_those_of_patching_and_reach_the_page(
        self, model: Model, done: Ablation
    ) -> None:
        expected = {
            panel: heatmap(model, compare_runs(model, CLEAN, CORRUPTED, metric=METRIC), panel)
            for panel in PANELS
        }
        sent = np.frombuffer(done.view.values, "<f4")
        start = 0
        for panel in PANELS:
            found = done.heatmap(panel)
            np.testing.assert_array_equal(found.effect, expected[panel].effect)
            assert (found.base, found.full) == (expected[panel].base, expected[panel].full)
            size = found.effect.size
            np.testing.assert_allclose(sent[start : start + size], found.effect.ravel(), rtol=1e-6)
            start += size
        assert start == sent.size
        live = done.view.live
        assert (live["state"], live["progress"], live["method"]) == ("done", 1.0, "noising")
        assert live["clean"][1:] == CLEAN.split()
        assert live["corrupted"][1:] == CORRUPTED.split()
        assert live["metric"]["tokens"] == list(METRIC)
        json.dumps(live, allow_nan=False)  # a page cannot read NaN

    def test_what_is_given_is_measured_at_once_singly_and_together(
        self, model: Model, done: Ablation
    ) -> None:
        result = answered(done, ["two heads", "an MLP"])
        assert result["stage"] == "done"
        nothing = plain_metric(model, [])
        d_head = done.shape.d_head
        every = slice(None)
        heads: list[tuple[int, str, Any]] = [
            (1, "attn_z", (every, slice(2 * d_head, 3 * d_head))),
            (2, "attn_z", (every, slice(0, d_head))),
        ]
        block: list[tuple[int, str, Any]] = [(1, "mlp_out", every)]
        expected = [plain_metric(model, puts) - nothing for puts in (heads, block, heads + block)]
        effect = result["effect"]
        assert effect["singles"] == pytest.approx(expected[:2], abs=1e-5)
        assert effect["joint"] == pytest.approx(expected[2], abs=1e-5)
        assert effect["sum"] == pytest.approx(sum(expected[:2]), abs=1e-5)
        assert effect["controls"]["n"] == 20
        assert effect["controls"]["low"] < effect["controls"]["high"]
        named = [row["text"] for row in effect["tokens"] if row["named"]]
        assert sorted(named) == sorted(METRIC)
        before, after = result["text"]
        assert before
        assert after
        json.dumps(result, allow_nan=False)

    def test_a_part_as_interventions_does_the_same(self, model: Model) -> None:
        """The heatmap's own batches against the engine that everything else uses."""
        for options in (
            {"counterfactual": CORRUPTED},
            {"counterfactual": CORRUPTED, "direction": "denoising"},
            {},
            {"reference": ["w7 w8 w9 w21", "w30 w31"]},
        ):
            comparison = compare_runs(model, CLEAN, metric=METRIC, **options)  # type: ignore[arg-type]
            parts = [
                Part("residual", 1, 4),
                Part("heads", 2, 1),
                Part("attention", 0),
                Part("mlp", None, 6),
            ]
            own = measure(model, comparison, parts)
            values = [interventions(part, comparison) for part in parts]
            theirs = measure(model, comparison, values)
            assert theirs.singles == pytest.approx(own.singles, abs=1e-5)
            assert theirs.joint == pytest.approx(own.joint, abs=1e-5)
            mixed = measure(model, comparison, [*parts[:2], *values[2:]])
            assert mixed.joint == pytest.approx(own.joint, abs=1e-5)

    def test_controls_of_interventions_leave_a_mark_of_the_same_length(
        self, model: Model, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        comparison = compare_runs(model, CLEAN, metric=METRIC)
        items = [(neuron(1, [3, 5]).clamp(4.0).at(5),)]
        place = residual(1)
        plain = model.run(comparison.ids[None], read=[place]).seen[place][0]
        outcome = model.intervene(comparison.ids, items[0], read=[place])
        far = (outcome.activations[place] - plain).norm(dim=-1)
        seen = []
        run_each = type(model).intervene_each

        def watched(self: Model, *given: Any, **options: Any) -> Any:
            found = run_each(self, *given, **(options | {"read": [place]}))
            seen.append([o.activations[place] - plain for o in found])
            return found

        monkeypatch.setattr(type(model), "intervene_each", watched)
        effect = with_controls(model, comparison, items, measure(model, comparison, items), n=6)
        assert effect.controls is not None
        assert effect.controls.n == len(seen[-1]) == 6
        for moved in seen[-1]:
            torch.testing.assert_close(moved.norm(dim=-1), far, atol=1e-4, rtol=1e-4)

    def test_a_cross_layer_feature_leaves_marks_in_every_block_it_writes_to(
        self, model: Model
    ) -> None:
        dictionary = tiny_models.dictionary("clt")
        comparison = compare_runs(model, CLEAN, metric=METRIC)
        more = feature(dictionary, 0, 7).add(2.0).at(5)
        marks = dict(_marks(model, comparison, [more], None))
        decoder = dictionary.layers[0].decoder.whole()[7]  # [layer written to, d_model]
        for layer in (1, 2):
            expected = torch.zeros(comparison.shape.positions, model.d_model)
            expected[5] = 2 * decoder[layer]
            found = marks[Place(layer, "mlp_out")]
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
        torch.testing.assert_close(
            marks[residual(0)][5], 2 * decoder[0], atol=1e-5, rtol=0
        )  # nothing else in its own block comes behind it

    def test_nodes_of_a_graph_are_measured_and_linked_to_it(self, model: Model) -> None:
        graph = attribute(model, CLEAN).wait(60)
        nodes = graph.nodes(kind="neuron")[:3]
        ablation = ablate(model, CLEAN, nodes, CORRUPTED, METRIC)
        ids = [each.id for each in ablation.items.given]
        assert len(ids) == 3
        effect = ablation.measure(*ids)
        first = nodes[0]
        outcome = model.intervene(
            CLEAN, neuron(first.layer, first.feature).ablate().at(first.position)
        )
        logits = outcome.logits[-1]
        expected = float(logits[12] - logits[27]) - effect.base
        assert effect.singles[0] == pytest.approx(expected, abs=1e-5)
        ablation.view.selected = [ids[1]]
        assert graph.view.selected == [nodes[1].id]

    def test_the_text_is_the_greedy_one(self, model: Model) -> None:
        comparison = compare_runs(model, CLEAN, CORRUPTED)
        part = Part("residual", 0)  # everything of the corrupted prompt
        before, after = continuations(model, comparison, [part], tokens=6)
        for ids, text in ((comparison.ids, before), (comparison.source_ids, after)):
            assert ids is not None
            with model.lock, torch.no_grad():
                out = model.hf.generate(ids[None], max_new_tokens=6, do_sample=False)
            words = model.tokenizer.decode(out[0, len(ids) :]).removesuffix("<eos>").split()
            assert text.split() == words

    def test_measure_gives_numbers_and_changes_come_back_as_values(self, done: Ablation) -> None:
        effect = done.measure("mlp.L1.p6", "heads.L0.h1")
        assert effect.singles[0] == pytest.approx(done.heatmap("mlp").effect[1, 6], abs=1e-5)
        assert effect.controls is not None
        (patch,) = changes([Part("mlp", 1, 6)], done.comparison)
        assert str(patch).startswith("L1 mlp_out")
        with pytest.raises(CircuitError, match="Name at least one part"):
            done.measure()
        with pytest.raises(CircuitError, match="positions 0 to 6"):
            done.measure("mlp.L1.p7")


class TestClicks:
    def test_a_second_look_asks_the_model_nothing(
        self, done: Ablation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = answered(done, ["attention.L2.p6"])
        answered(done, ["mlp.L0.p4"])

        def refuse(*given: Any, **options: Any) -> Any:
            raise AssertionError("the model was run")

        monkeypatch.setattr(type(done.model), "run", refuse)
        send(done.view, type="set", values={"selected": ["attention.L2.p6"]})
        assert done.view.result == first

    def test_what_is_kept_has_an_end(self, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
        """A result holds logits: of a large vocabulary a few hundred would fill a memory."""
        monkeypatch.setattr("interp_widgets.views.ablation_result.KEPT", 0)
        ablation = ablate(model, CLEAN, None, CORRUPTED, METRIC).wait(60)
        ids = [f"{panel}.L{layer}.p6" for panel in PANELS[:3] for layer in range(3)]
        pairs = [(a, b) for a in ids[:3] for b in ids]
        for pair in pairs:
            if len(set(pair)) == 2:
                ablation.measure(*pair)
        assert len(ablation._results) == 20
        assert ("noising", pairs[-1]) in ablation._results

    def test_the_other_direction_has_heatmaps_of_its_own(self, model: Model) -> None:
        ablation = ablate(model, CLEAN, None, CORRUPTED, METRIC).wait(60)
        before = ablation.heatmap("residual")
        send(ablation.view, type="set", values={"direction": "denoising"})
        after = ablation.wait(60).heatmap("residual")
        assert (after.base, after.full) == (before.full, before.base)
        comparison = compare_runs(model, CLEAN, CORRUPTED, direction="denoising", metric=METRIC)
        np.testing.assert_array_equal(after.effect, heatmap(model, comparison, "residual").effect)
        assert ablation.view.live["method"] == "denoising"
        ablation.view.direction = "noising"
        np.testing.assert_array_equal(ablation.heatmap("residual").effect, before.effect)

    def test_an_intervention_that_touches_nothing_is_a_sentence(self, model: Model) -> None:
        ablation = ablate(model, CLEAN, {"nowhere": mlp(1).ablate().at(40)})
        result = answered(ablation, ["nowhere"])
        assert result["stage"] == "failed"
        assert "40" in result["message"]
        assert ablation.wait(60).state == "done"  # the heatmaps are not concerned
        with pytest.raises(InterventionError):
            ablation.measure("nowhere")

    @pytest.mark.parametrize(
        "content",
        [
            None,
            "x",
            {},
            {"type": "do", "what": "__init__"},
            {"type": "do", "what": ["cancel"]},
            {"type": "set", "values": "x"},
            {"type": "set", "values": {"selected": ["mlp.L9.p1"], "shown": "keys"}},
            {"type": "set", "values": {"selected": "mlp.L1.p1", "direction": 3}},
            {"type": "set", "values": {"selected": [3], "height": 2, "live": {}}},
            {"type": "set", "values": {"selected": [HOSTILE]}},
        ],
    )
    def test_malformed_messages_change_nothing(self, done: Ablation, content: object) -> None:
        view = done.view
        names = ("selected", "shown", "direction", "height", "live", "values")
        before = {name: getattr(view, name) for name in names}
        view._handle_custom_msg(content, [])
        assert {name: getattr(view, name) for name in names} == before

    def test_what_is_not_there_is_refused_from_python_too(self, done: Ablation) -> None:
        with pytest.raises(CircuitError, match="names no part"):
            done.view.selected = ["texas"]
        with pytest.raises(traitlets.TraitError):
            done.view.direction = "sideways"
        done.view.selected = ["mlp.L1.p2", "mlp.L1.p2"]
        assert done.selected == ["mlp.L1.p2"]


class TestStopping:
    @pytest.fixture
    def held(self, model: Model) -> Iterator[tuple[Ablation, threading.Event]]:
        """An ablation whose heatmaps cannot go on before an event: somebody has the model."""
        with held_models.held(model) as release:
            yield ablate(model, CLEAN, None, CORRUPTED, METRIC), release

    def test_it_shows_itself_before_anything_is_computed(
        self, held: tuple[Ablation, threading.Event]
    ) -> None:
        ablation, _ = held
        live = ablation.view.live
        assert (live["state"], live["metric"], ablation.view.values) == ("computing", None, b"")
        assert live["clean"][1:] == CLEAN.split()
        with pytest.raises(TimeoutError, match="Still computing"):
            ablation.wait(0.01)

    def test_cancel_keeps_what_is_there_and_clicks_are_answered(
        self, held: tuple[Ablation, threading.Event]
    ) -> None:
        ablation, release = held
        send(ablation.view, type="do", what="cancel")
        assert ablation.view.live["state"] == "cancelled"
        release.set()
        with pytest.raises(Cancelled):
            ablation.wait(60)
        result = answered(ablation, ["mlp.L2.p6"])
        assert result["stage"] == "done"
        assert ablation.state == "cancelled"
        send(ablation.view, type="do", what="resume")
        assert ablation.wait(60).state == "done"
        found = ablation.heatmap("mlp").effect[2, 6]
        assert found == pytest.approx(result["effect"]["joint"], abs=1e-5)

    def test_the_last_click_wins(self, held: tuple[Ablation, threading.Event]) -> None:
        ablation, release = held
        for column in range(3, 7):
            ablation.view.selected = [f"attention.L1.p{column}"]
        release.set()
        result = answered(ablation, ["attention.L1.p6"])
        assert result["stage"] == "done"
        kept = {ids for _, ids in ablation._results if ablation._results[_, ids].is_complete}
        assert ("attention.L1.p6",) in kept
        assert len(kept) < 4

    def test_what_fails_is_a_sentence(self) -> None:
        model = tiny_models.model("gpt2")
        broken = ablate(model, CLEAN, None, CORRUPTED, broken_metric())
        with pytest.raises(ValueError, match="The metric is out of order."):
            broken.wait(60)
        assert broken.view.live["state"] == "failed"
        assert broken.view.live["message"] == "The metric is out of order."

    def test_a_damaged_model_is_a_sentence(self) -> None:
        model = tiny_models.model("gpt2")
        model.hf.transformer.h[1].mlp.c_proj.weight[0, 0] = float("nan")
        with pytest.raises(ModelError, match="not finite"):
            ablate(model, CLEAN).wait(60)


def broken_metric() -> Any:
    class Broken:
        name, unit, tokens = "broken", "", ()

        def __call__(self, logits: Tensor, clean: Tensor) -> Tensor:
            raise ValueError("The metric is out of order.")

    return Broken()


class TestWhatCanBeAsked:
    def test_prompts_and_metrics_are_refused_before_anything_runs(self, model: Model) -> None:
        with pytest.raises(CircuitError, match="from position 2 on they read 'w5' \\(1\\)"):
            ablate(model, "w3 w5 w9", None, "w3 w7 w8 w9")
        with pytest.raises(CircuitError, match="There is no metric 'accuracy'"):
            ablate(model, CLEAN, None, CORRUPTED, "accuracy")
        with pytest.raises(PromptError, match="empty"):
            ablate(model, " ", None, CORRUPTED)
        with pytest.raises(CircuitError, match="Say which prompt"):
            ablate(model)
        with pytest.raises(InterventionError):
            ablate(model, CLEAN, "mlp")
        with pytest.raises(InterventionError, match="empty"):
            ablate(model, CLEAN, [])

    def test_lists_groups_and_names(self) -> None:
        assert given(None) == ()
        (one,) = given(mlp(1))
        assert (one.id, one.what) == ("L1 mlp_out ablated", (mlp(1).ablate(),))
        two = given([mlp(1), mlp(1)])
        assert [each.id for each in two] == ["L1 mlp_out ablated", "L1 mlp_out ablated (2)"]
        (group,) = given([[head(0, 1), mlp(2).scale(2)]])
        assert group.id == "L0 head 1 ablated and 1 more"
        assert group.title == "L0 head 1 ablated; L2 mlp_out × 2"

    def test_only_the_bundled_model_has_prompts_of_its_own(self) -> None:
        import interp_widgets as iw

        organism = iw.load("organism")
        clean, corrupted = example(organism)
        assert clean == "the capital of the state containing dallas is"
        assert clean != corrupted
        assert len(organism.tokenize(clean)) == len(organism.tokenize(corrupted))


class TestPictures:
    def test_a_page_needs_no_script_and_no_network(
        self, done: Ablation, tmp_path: pathlib.Path
    ) -> None:
        answered(done, ["mlp.L1.p6", "heads.L0.h1"])
        text = done.save_html(tmp_path / "ablation.html").read_text("utf-8")
        page = Page(text)
        assert "script" not in page.tags
        assert {source[:26] for source in page.links} == {"data:image/svg+xml;base64,"}
        assert len(page.links) == 4
        assert "Noising: the clean prompt runs" in text
        assert "20 random changes of the same size" in text
        assert "mlp.L1.p6" in text

    def test_a_heatmap_has_a_mark_for_every_number(self) -> None:
        live = {
            "corrupted": None,
            "clean": ["a", HOSTILE, "b\x01"],
            "metric": {"scale": 2.0},
            "layers": 2,
        }
        values = np.array([[1.0, -2.0, 0.0], [np.nan, 5.0, -0.5]])
        panel = {"id": "mlp", "title": "MLP", "columns": 3}
        drawn = ablation_picture.svg(panel, values, live, ["mlp.L1.p1"])
        page = Page(drawn)
        assert drawn.count(f'fill="{pictures.POS}"') == 3
        assert drawn.count(f'fill="{pictures.NEG}"') == 2
        assert drawn.count(f'stroke="{pictures.SEL}"') == 1
        assert 'fill-opacity="0.500"' in drawn
        assert not {"img", "script"} & set(page.tags)
        assert "\x01" not in drawn

    def test_hostile_text_stays_text(self, done: Ablation) -> None:
        live = {**done.view.live, "clean": [HOSTILE] * 7, "state": "failed", "message": HOSTILE}
        live["metric"] = {**live["metric"], "tokens": [HOSTILE]}
        result = {"ids": [HOSTILE], "text": [HOSTILE, HOSTILE]}
        result["effect"] = {"singles": [1.0], "joint": 1.0, "sum": 1.0, "controls": None}
        page = Page(ablation_picture.picture(live, done.view.values, result))
        assert page.tags.count("img") == 4
        assert "script" not in page.tags

    def test_a_view_without_an_ablation_is_empty(self) -> None:
        view = AblationView()
        assert repr(view) == "AblationView(empty)"
        send(view, type="do", what="cancel")
        assert "No ablation." in view.to_html()
