"""The graph's view asks its model: what a page may ask, who answers, and what the answer says."""

from __future__ import annotations

import functools
import json
import threading
from typing import Any

import numpy as np
import pytest
import torch
from plain_runs import parts
from test_views import small
from tiny_models import PROMPT, dictionary, model

from interp_widgets.attribution import Graph, Nodes, attribute
from interp_widgets.attribution.equal_size import random_effects, random_groups
from interp_widgets.jobs import Cancelled
from interp_widgets.models.interventions import Features, Neurons
from interp_widgets.views import GraphView, graph_answers
from interp_widgets.views.graph_asks import clean_request
from interp_widgets.views.graph_check import Answers
from interp_widgets.views.graph_signals import Signals

IDS = {"a", "b"}
OTHER = "w3 w14 w15 w7 w26 w5"
both = pytest.mark.parametrize("unit", ["feature", "neuron"])


@functools.cache
def graph(unit: str = "feature", prompt: str = PROMPT) -> Graph:
    of = dictionary(dtype=torch.float64) if unit == "feature" else "neurons"
    return attribute(tiny(), prompt, of, ["w9", "w20"], max_nodes=30).wait()


@functools.cache
def tiny() -> Any:
    return model("llama grouped", torch.float64)


def answering(of: Graph) -> tuple[GraphView, Answers]:
    """A view of its own for every test, so that none finds another's answers."""
    view = GraphView(of.view.data)
    return view, Answers(of, view)


def strongest(of: Graph, count: int) -> list[str]:
    return of.features()[:count].ids


class TestQuestions:
    def test_ids_that_are_gone_are_left_out(self) -> None:
        asked = {"ids": ["b", "gone", "a", "b"], "factor": 2, "more": 1}
        assert clean_request("check", asked, IDS, 0) == {"ids": ["b", "a"], "factor": 2}

    @pytest.mark.parametrize(
        ("what", "request_"),
        [
            ("check", None),
            ("check", {"ids": "a", "factor": 0}),
            ("check", {"ids": [1], "factor": 0}),
            ("check", {"ids": ["gone"], "factor": 0}),
            ("check", {"ids": ["a"], "factor": 3}),
            ("check", {"ids": ["a"], "factor": False}),
            ("check", {"ids": ["a"], "factor": "0"}),
            ("check", {"ids": ["a"], "factor": float("nan")}),
            ("many", {"nodes": 2, "factor": 0}),
            ("many", {"nodes": 10**9, "factor": 0}),
            ("many", {"nodes": 12.5, "factor": 0}),
            ("many", {"nodes": True, "factor": 0}),
            ("swap", {"ids": ["a"], "prompt": "", "label": "x"}),
            ("swap", {"ids": ["a"], "prompt": "x" * 10**6, "label": "x"}),
            ("swap", {"ids": ["a"], "prompt": 3, "label": "x"}),
            ("swap", {"ids": ["a"], "prompt": "x", "label": "x", "strength": 0}),
            ("swap", {"ids": ["a"], "prompt": "x", "label": "x", "strength": "1"}),
            ("swap", {"ids": ["a"], "prompt": "x", "label": "x", "strength": float("inf")}),
            ("send", {"ids": ["a"], "to": 2}),
            ("send", {"ids": ["a"], "to": -1}),
            ("send", {"ids": ["a"], "to": True}),
            ("delete everything", {}),
        ],
    )
    def test_a_malformed_question_is_none(self, what: str, request_: Any) -> None:
        assert clean_request(what, request_, IDS, 2) is None

    @pytest.mark.parametrize(
        "content",
        [
            {"type": "ask"},
            {"type": "ask", "what": ["check"], "request": {}},
            {"type": "ask", "what": "check", "request": {"ids": []}},
            {"type": "cancel", "what": "everything"},
        ],
    )
    def test_strange_messages_are_passed_over(self, content: Any) -> None:
        view = GraphView(small(), unable="")
        view.on_ask = lambda *asked: pytest.fail(f"asked {asked}")
        view.on_stop = lambda what: pytest.fail(f"stopped {what}")
        before = view.get_state()
        view._handle_custom_msg(content, [])
        assert view.get_state() == before

    def test_a_view_without_a_graph_says_so_and_asks_nobody(self) -> None:
        view = GraphView(small())
        assert "no model behind" in view.unable
        view.on_ask = lambda *asked: pytest.fail(f"asked {asked}")
        ask = {"type": "ask", "what": "check", "request": {"ids": ["f"], "factor": 0}}
        view._handle_custom_msg(ask, [])
        assert view.check == {}

    def test_a_graph_from_a_file_says_what_to_do(self, tmp_path: Any) -> None:
        loaded = Graph.load(graph().save(tmp_path / "graph.safetensors"))
        assert "came from a file" in loaded.view.unable
        assert "attribute(" in loaded.view.unable


class TestAnswers:
    @both
    def test_a_check_says_what_prediction_and_measurement_say(self, unit: str) -> None:
        of = graph(unit)
        view, answers = answering(of)
        ids = strongest(of, 2)
        answers.ask("check", {"ids": ids, "factor": -1})
        answer = answers.wait("check")
        assert view.check["state"] == "done"
        assert view.check["result"] == answer
        assert [way["name"] for way in answer["ways"]] == ["direct", "total"]
        for k, how in enumerate(("direct", "total")):
            for line, effects in enumerate(
                (of.predict(ids, how, factor=-1), of.measure(ids, how, factor=-1))
            ):
                for target in answer["targets"]:
                    shown = target["lines"][line]["changes"][k]["value"]
                    assert shown == pytest.approx(effects[target["id"]], abs=1e-6)
        outputs = [t for t in answer["targets"] if t["unit"] == "logit"]
        assert [t["name"] for t in outputs] == ["w9", "w20"]
        json.dumps(answer, allow_nan=False)

    @both
    def test_every_effect_has_its_control_and_says_on_how_many_it_rests(self, unit: str) -> None:
        _, answers = answering(graph(unit))
        answers.ask("check", {"ids": strongest(graph(unit), 1), "factor": 0})
        for target in answers.wait("check")["targets"]:
            line = target["lines"][2]
            assert line["name"] == "20 random"
            for change in line["changes"]:
                assert change["low"] < change["value"] < change["high"]

    def test_a_check_offers_each_number_as_soon_as_it_is_known(self) -> None:
        known: list[list[int]] = []

        def look(answer: Any) -> None:
            lines = answer["targets"][0]["lines"]
            shown = [[c["value"] is not None for c in line["changes"]] for line in lines]
            known.append([sum(way) for way in shown])

        request = {"ids": strongest(graph(), 1), "factor": 2}
        signals = Signals(
            report=lambda share, message: None,
            check=lambda: None,
            offer=look,
            draw=lambda part, share, message: look(part),
        )
        look(graph_answers.check(graph(), request, signals))
        # Predicted, measured, random; of direct, then of total.
        assert known == [[1, 1, 0], [2, 2, 0], [2, 2, 1], [2, 2, 2], [2, 2, 2]]

    def test_many_nodes_come_in_parts_and_end_as_faithfulness(self) -> None:
        of = graph()
        seen: list[int] = []

        def look(part: Any) -> None:
            seen.append(len(part["series"][0]["ids"]))

        signals = Signals(
            report=lambda share, message: None,
            check=lambda: None,
            offer=look,
            draw=lambda part, share, message: look(part),
        )
        answer = graph_answers.many(of, {"nodes": 24, "factor": 0}, signals)
        assert sorted(seen) == seen
        assert 0 < seen[0] < 24 == seen[-1]
        found = of.faithfulness(n=24)
        for series, how in zip(answer["series"], ("direct", "total"), strict=True):
            np.testing.assert_allclose(series["measured"], found.measured[how], atol=1e-9)
            assert series["agreement"]["value"] == pytest.approx(found.correlations[how].rho)
            assert series["control"]["agreement"]["n"] == 24

    def test_the_same_question_is_answered_from_memory(self) -> None:
        view, answers = answering(graph())
        one, other = strongest(graph(), 2)
        answers.ask("check", {"ids": [one, other], "factor": 0})
        first = answers.wait("check")
        states: list[str] = []
        view.observe(lambda change: states.append(change["new"]["state"]), "check")
        answers.ask("check", {"ids": [other, one], "factor": 0})
        assert states == ["done"]
        assert view.check["result"] == first
        assert view.check["asked"]["ids"] == [other, one]

    def test_what_goes_wrong_is_a_sentence(self) -> None:
        view, answers = answering(graph())
        ids = strongest(graph(), 1)
        answers.ask("swap", {"ids": ids, "prompt": OTHER, "label": "california"})
        with pytest.raises(ValueError, match="california"):
            answers.wait("swap")
        assert view.swap["state"] == "failed"
        assert "No feature of the other prompt is labelled “california”" in view.swap["message"]

    def test_the_last_question_wins(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An old job that ends late shows nothing."""
        late, began = threading.Event(), threading.Event()

        def slow(_graph: Any, request: Any, signals: Any) -> dict[str, Any]:
            if request["ids"] == ["old"]:
                began.set()
                late.wait(10)
                return {"targets": "old"}
            return {"targets": "new"}

        monkeypatch.setitem(graph_answers.ANSWERS, "check", slow)
        view, answers = answering(graph())
        answers.ask("check", {"ids": ["old"], "factor": 0})
        began.wait(10)
        old = answers._jobs["check"]
        answers.ask("check", {"ids": ["new"], "factor": 0})
        assert answers.wait("check") == {"targets": "new"}
        late.set()
        old.wait(10)
        assert view.check["result"] == {"targets": "new"}
        assert view.check["asked"]["ids"] == ["new"]

    def test_cancel_stops_the_work_and_keeps_the_part_that_is_there(self) -> None:
        view, answers = answering(graph())

        def stop(change: Any) -> None:
            if change["new"]["result"]:
                view._handle_custom_msg({"type": "cancel", "what": "many"}, [])

        view.observe(stop, "many")
        answers.ask("many", {"nodes": 30, "factor": 0})
        with pytest.raises(Cancelled):
            answers.wait("many")
        assert view.many["state"] == "cancelled"
        assert 0 < len(view.many["result"]["series"][0]["ids"]) < 30

    def test_a_page_without_a_kernel_keeps_the_answers(self) -> None:
        view, answers = answering(graph())
        answers.ask("check", {"ids": strongest(graph(), 1), "factor": 0})
        answers.wait("check")
        view.many = {"state": "computing", "progress": 0.3, "message": "", "result": None}
        kept = view.kept_answers()
        assert kept["check"] == view.check
        assert kept["many"]["state"] == "cancelled"
        assert view.many["state"] == "computing"

    def test_proposals_change_nothing(self) -> None:
        of = graph()
        view, answers = answering(of)
        answers.ask("proposals", {})
        for proposal in answers.wait("proposals")["proposals"]:
            assert set(proposal["ids"]) <= set(of.table.ids)
            assert len(proposal["control"]) == 3
        assert view.groups == []
        assert of.notes.groups == []


class TestSwap:
    def test_nodes_at_a_token_stand_in_where_nothing_is_labelled(self) -> None:
        """Neurons have no labels: a token's name means the neurons there."""
        view, answers = answering(graph("neuron"))
        ids = [n.id for n in graph("neuron").features() if n.token.strip() == "w9"][:4]
        answers.ask("swap", {"ids": ids, "prompt": OTHER, "label": "w7"})
        answer = answers.wait("swap")
        assert all("w7" in name for name in answer["brought"])
        other = attribute(tiny(), OTHER, "neurons").wait()
        there = [n for n in other.features() if n.token.strip() == "w7"][: len(ids)]
        direct = graph("neuron").swap(ids, Nodes(there, other))
        after = dict(zip(direct.answers, direct.after, strict=True))
        for row in answer["answers"]:
            assert row["after"] == pytest.approx(after[row["token"]], abs=1e-9)
            low, high = row["random"][1:]
            assert low <= row["random"][0] <= high
        assert view.swap["asked"]["label"] == "w7"


class TestEqualSize:
    @both
    def test_random_changes_write_as_much_as_the_group_in_every_cell(self, unit: str) -> None:
        of = graph(unit)
        ids = strongest(of, 5)
        wanted: dict[tuple[int, int], torch.Tensor] = {}
        for id in ids:
            n = of.node(id)
            cell = n.layer, n.position
            wanted[cell] = wanted.get(cell, 0) - 3 * n.activation * written(of, n.layer, n.feature)
        chosen = {(of.node(i).layer, of.node(i).position, of.node(i).feature) for i in ids}
        for run in random_groups(of, ids, factor=-2, draws=4):
            found: dict[tuple[int, int], torch.Tensor] = {}
            for one in run:
                (position,) = one.positions.positions
                units = units_of(one.target)
                assert not {(one.target.layer, position, u) for u in units} & chosen
                amounts = one.operation.amount
                amounts = amounts if isinstance(amounts, tuple) else (amounts,) * len(units)
                cell = one.target.layer, position
                pairs = zip(amounts, units, strict=True)
                vectors = [a * written(of, one.target.layer, u) for a, u in pairs]
                found[cell] = torch.stack(vectors).sum(0)
            assert found.keys() == wanted.keys()
            for cell, vector in wanted.items():
                assert float(found[cell].norm()) == pytest.approx(float(vector.norm()), rel=1e-5)

    @both
    def test_their_effects_are_those_of_runs_with_them(self, unit: str) -> None:
        of = graph(unit)
        ids, output = strongest(of, 3), of.table.ids[-2]
        found = random_effects(of, ids, [output], factor=0, draws=3, seed=5)
        runs = random_groups(of, ids, factor=0, draws=3, seed=5)
        m = of.origin.model
        ids_ = of.origin.token_ids
        with torch.no_grad():
            base = m.hf(ids_[None]).logits[0, -1]
        for row, run in zip(found, runs, strict=True):
            logits = m.intervene(ids_.tolist(), run).logits[-1]
            change = (logits - logits.mean()) - (base - base.mean())
            assert row[0] == pytest.approx(float(change[9]), abs=1e-9)


def written(of: Graph, layer: int, number: int) -> torch.Tensor:
    """What one unit of activation writes, from the weights themselves."""
    origin = of.origin
    if origin.dictionary is None:
        return parts(origin.model.hf).blocks[layer].mlp.down_proj.weight[:, number].detach()
    return origin.dictionary.decoder(layer, torch.tensor([number]), layer)[0]


def units_of(target: Any) -> tuple[int, ...]:
    assert isinstance(target, Features | Neurons)
    return target.features if isinstance(target, Features) else target.neurons
