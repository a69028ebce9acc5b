"""Steering's Python half: what is written, what sliders do, what a page may ask, what is shown."""

from __future__ import annotations

import json
import math
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
import tiny_models
import torch
from html_pages import Page
from torch import Tensor

import interp_widgets as iw
from interp_widgets.jobs import Cancelled
from interp_widgets.models import Model, Place
from interp_widgets.models.interventions import (
    At,
    Features,
    From,
    Neurons,
    feature,
    head,
    neuron,
    residual,
)
from interp_widgets.steering.directions import Direction, from_feature, from_vector
from interp_widgets.steering.errors import SteeringError
from interp_widgets.steering.scales import natural_scales
from interp_widgets.views import steering_figure, steering_picture
from interp_widgets.views.steering_dose import DoseQuestion, verdict
from interp_widgets.views.steering_knobs import Turn, knobs_of
from interp_widgets.views.steering_live import Steering, steer
from interp_widgets.views.steering_rows import Settings
from interp_widgets.views.steering_view import SteeringView

HOSTILE = "</script><img src=x onerror=alert(1)><!--"
PROMPT = tiny_models.PROMPT
NEW = 8  # the tiny model reads 16 tokens, and the prompt has 7
PLACE = residual(1)
TEXT = [" ".join(f"w{5 + (i * 7 + j * j) % 30}" for j in range(14)) for i in range(20)]
END = 2  # the token that ends a text; nothing of it is shown


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_models.model("llama grouped")


@pytest.fixture(scope="module")
def dictionary() -> Any:
    return tiny_models.dictionary()


@pytest.fixture(scope="module")
def direction() -> Direction:
    draw = torch.randn(tiny_models.WIDTH, generator=torch.Generator().manual_seed(3))
    return from_vector(draw, PLACE, "push")


@pytest.fixture
def steering(model: Model, direction: Direction) -> Iterator[Steering]:
    made = steer(model, PROMPT, direction, length=NEW, text=TEXT)
    yield made.wait(60)
    made.cancel()


def send(view: SteeringView, **content: Any) -> None:
    """As a page does."""
    view._handle_custom_msg(content, [])


class PlainLoop:
    """Greedy writing without a cache, and steering by a PyTorch hook on a block's output."""

    def __init__(self, model: Model, vector: Tensor, amount: float) -> None:
        self.hf, self.push = model.hf, amount * vector
        self.ids = model.tokenize(PROMPT).tolist()

    def log_p(self, ids: list[int], steered: bool) -> Tensor:
        def add(_module: Any, _inputs: Any, output: Any) -> Any:
            hidden = output[0] if isinstance(output, tuple) else output
            hidden = hidden.clone()
            hidden[:, 1:] += self.push
            return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

        layer = self.hf.model.layers[PLACE.layer]
        handle = layer.register_forward_hook(add) if steered else None
        try:
            with torch.no_grad():
                logits = self.hf(torch.tensor([ids]), use_cache=False).logits[0, -1]
        finally:
            if handle is not None:
                handle.remove()
        return torch.as_tensor(logits.log_softmax(-1))

    def written(self) -> list[tuple[int, float, float]]:
        """(token, log-probability, its change by steering) of every new token, the last one's too."""
        ids, out = list(self.ids), []
        while len(out) < NEW and ids[-1] != END:
            steered, base = self.log_p(ids, True), self.log_p(ids, False)
            token = int(steered.argmax())
            out.append((token, float(steered[token]), float(steered[token] - base[token])))
            ids.append(token)
        return out


def spelled(model: Model, written: list[tuple[int, float, float]]) -> list[str]:
    return [model.token_text(token) for token, _, _ in written if token != END]


class TestTexts:
    def test_they_are_what_a_plain_loop_with_a_hook_writes(
        self, steering: Steering, model: Model, direction: Direction
    ) -> None:
        steering.turn("push", 0.7, unit="raw")
        steering.wait(60)
        expected = PlainLoop(model, direction.vector, 0.7).written()
        assert steering.texts["A"].split() == spelled(model, expected)
        for token, (_, logprob, change) in zip(steering.tokens(), expected, strict=True):
            assert token.logprob == pytest.approx(logprob, abs=2e-4)
            assert token.change == pytest.approx(change, abs=2e-4)
        base = PlainLoop(model, direction.vector, 0.0).written()
        assert steering.texts["unsteered"].split() == spelled(model, base)
        assert steering.texts["A"] != steering.texts["unsteered"]
        assert all(token.change is None for token in steering.tokens("unsteered"))

    def test_at_rest_it_is_the_base(self, steering: Steering) -> None:
        assert steering.interventions() == []
        assert steering.texts["A"] == steering.texts["unsteered"]
        steering.turn("push", 0.7, unit="raw")
        steering.turn("push", 0.0, unit="raw")
        assert steering.interventions() == []
        assert steering.wait(60).texts["A"] == steering.texts["unsteered"]

    def test_the_newest_request_wins(
        self, steering: Steering, model: Model, direction: Direction
    ) -> None:
        for amount in (0.1, 0.9, -0.4, 0.3, -0.8, 0.7):
            steering.turn("push", amount, unit="raw")
        steering.wait(60)
        expected = PlainLoop(model, direction.vector, 0.7).written()
        assert steering.texts["A"].split() == spelled(model, expected)
        assert steering.history[0].text == steering.texts["A"].strip()

    def test_cancelling_ends_it_within_a_token_and_keeps_what_is_written(
        self, steering: Steering
    ) -> None:
        # The page's news of the first token arrives in the thread that writes.
        steering.view.observe(lambda _: steering.cancel(), names=["next"])
        steering.turn("push", 0.7, unit="raw")
        with pytest.raises(Cancelled):
            steering.wait(60)
        assert steering.state == "cancelled"
        assert len(steering.tokens()) <= 1
        steering.view.unobserve_all()
        steering.change()
        assert len(steering.wait(60).tokens()) == NEW

    def test_what_goes_wrong_is_a_sentence_and_the_next_turn_goes_on(self, model: Model) -> None:
        late = PLACE.add(1, torch.ones(tiny_models.WIDTH)).at(40)
        steering = steer(model, PROMPT, late, length=2)
        with pytest.raises(ValueError, match="40"):
            steering.wait(60)
        live = steering.view.live
        assert (live["state"], "40" in live["message"]) == ("failed", True)
        steering.rest()
        assert steering.wait(60).state == "done"

    def test_texts_that_are_known_are_not_written_again(self, steering: Steering) -> None:
        steering.turn("push", 0.7, unit="raw")
        text = steering.wait(60).texts["A"]
        steering.turn("push", -0.7, unit="raw")
        steering.wait(60)
        steering.turn("push", 0.7, unit="raw")
        assert steering.writing.job is None
        assert steering.texts["A"] == text

    def test_where_it_is_steered_and_until_what(self, steering: Steering) -> None:
        steering.turn("push", 0.7, unit="raw")
        everywhere = steering.wait(60).texts["A"]
        steering.change(where="new")
        base = steering.texts["unsteered"].split()
        # The first new token is said before any new token is read.
        assert steering.wait(60).texts["A"].split()[0] == base[0]
        assert str(steering.interventions()[0].positions) == "on generated tokens"
        steering.change(where="all", stop=f"{everywhere.split()[1]}|w99")
        assert steering.wait(60).texts["A"].split() == everywhere.split()[:2]

    def test_a_chat_template_is_used_where_there_is_one(self, direction: Direction) -> None:
        own = tiny_models.model("llama grouped")
        with pytest.raises(ValueError, match="no chat template"):
            steer(own, PROMPT, direction, chat=True)
        own.tokenizer.chat_template = "{% for m in messages %}w7 {{ m['content'] }} w8{% endfor %}"
        steering = steer(own, PROMPT, direction, chat=True, length=2)
        assert steering.prompt_ids == tuple(own.tokenize(f"w7 {PROMPT} w8").tolist())
        assert steering.wait(60).view.live["template"] is True

    def test_settings_that_make_no_sense_change_nothing(self, steering: Steering) -> None:
        before = steering.settings
        for said, wrong in (
            ("The prompt is empty", {"prompt": "  "}),
            ("The temperature is a number of at least 0", {"temperature": -1}),
            ("The temperature is a number of at least 0", {"temperature": math.nan}),
            ("seed is a whole number", {"seed": 1.5}),
            ("length is a whole number of at least 1", {"length": 0}),
            ("where is one of all, end, new", {"where": "nowhere"}),
            ("shorten it by", {"prompt": "w3 " * 40}),
        ):
            with pytest.raises(ValueError, match=said):
                steering.change(**wrong)
        assert steering.settings == before


class TestSliders:
    def test_what_they_do_is_a_list_of_values(
        self, model: Model, dictionary: Any, direction: Direction
    ) -> None:
        target = feature(dictionary, 1, 5)
        steering = steer(model, PROMPT, {"f": target, "push": direction}, length=1)
        steering.turn("f", 2.0, unit="raw")
        assert steering.interventions() == [target.add(2.0).from_(1)]
        steering.pin("f", 0.0)
        assert steering.interventions() == [target.clamp(0.0).from_(1)]
        steering.turn("f", -2, mode="scale")
        assert steering.interventions() == [target.scale(-2).from_(1)]
        steering.rest()
        steering.turn("push", 1.5, mode="pin", unit="raw")
        v = direction.vector
        assert steering.interventions() == [
            PLACE.project_out(v).from_(1),
            PLACE.add(1.5, v).from_(1),
        ]
        with pytest.raises(ValueError, match="add or pin, and not 'scale'"):
            steering.turn("push", 2, mode="scale")
        with pytest.raises(ValueError, match="no slider 'g'; there are 'f', 'push'"):
            steering.turn("g", 1)

    def test_nodes_of_a_graph_are_features_and_each_is_one_slider(
        self, model: Model, dictionary: Any
    ) -> None:
        graph = iw.attribute(model, PROMPT, dictionary=dictionary).wait(60)
        nodes = graph.features()
        knobs = knobs_of(model, nodes, dictionary)
        assert len(knobs) == len({(n.layer, n.feature) for n in nodes}) < len(nodes)
        assert knobs[0].parts == (Features(dictionary, nodes[0].layer, (nodes[0].feature,)),)
        (together,) = knobs_of(model, {"all": nodes}, dictionary)
        assert len(together.parts) == len(knobs)
        assert together.name == "all"
        (apart,) = knobs_of(model, nodes[:3].scale(-2))
        assert apart.start == Turn("scale", -2.0)
        assert apart.interventions(apart.start, From(1)) == list(nodes[:3].scale(-2))
        with pytest.raises(SteeringError, match="no feature"):
            knobs_of(model, graph.nodes(kind="token"), dictionary)
        with pytest.raises(SteeringError, match="brings no dictionary"):
            knobs_of(model, list(nodes))

    def test_a_feature_of_an_index_is_turned_as_what_it_is(
        self, model: Model, dictionary: Any, tmp_path: pathlib.Path
    ) -> None:
        vector = torch.arange(1.0, 1 + tiny_models.WIDTH)
        for number, (what, parts) in enumerate(
            (
                (dictionary, (Features(dictionary, 1, (3,)),)),
                ("neurons", (Neurons(1, (3,)),)),
                ({"up": (Place(1, "resid_post"), vector)}, None),
            )
        ):
            index = iw.index(model, what, [PROMPT], folder=tmp_path / str(number)).wait()
            feature = index[1, 0 if parts is None else 3]
            (knob,) = knobs_of(model, feature)
            if parts is not None:
                assert (knob.name, knob.parts) == (feature.name, parts)
                continue
            (direction,) = knob.parts
            assert isinstance(direction, Direction)
            ((place, found),) = direction.parts
            assert (knob.name, place) == ("up", Place(1, "resid_post"))
            torch.testing.assert_close(found, vector)

    def test_they_start_where_an_intervention_is(self, model: Model, dictionary: Any) -> None:
        target = feature(dictionary, 1, 5)
        for intervention, turn in (
            (target.clamp(3), Turn("pin", 3.0)),
            (target.scale(-2), Turn("scale", -2.0)),
            (target.add(0.5), Turn("add", 0.5)),
            (head(1, 2).scale(0), Turn("scale", 0.0)),
            (neuron(2, 7).add(-1.5).at(-1), Turn("add", -1.5)),
            (PLACE.add(2, torch.ones(32)), Turn("add", 2.0)),
        ):
            (knob,) = knobs_of(model, intervention)
            assert knob.start == turn
            own = intervention.positions == At((-1,))
            where = intervention if own else intervention.from_(1)
            assert knob.interventions(turn, From(1)) == [where]
        with pytest.raises(SteeringError, match=r"iw\.ablate"):
            knobs_of(model, target.patch(PROMPT))
        with pytest.raises(SteeringError, match="differ"):
            knobs_of(model, {"two": [target.add(1), target.add(2)]})

    def test_what_cannot_be_steered_is_said(self, model: Model) -> None:
        for wrong in ("texas", 3, None):
            with pytest.raises(SteeringError, match="nothing to steer with"):
                knobs_of(model, wrong)
        with pytest.raises(SteeringError, match="the list is empty"):
            knobs_of(model, [])

    def test_sizes_are_those_of_the_natural_text(self, model: Model, dictionary: Any) -> None:
        pair = [from_feature(dictionary, 1, 5), from_feature(dictionary, 1, 6)]
        one, two = natural_scales(model, pair, TEXT)
        steering = steer(model, PROMPT, {"one": pair[0], "both": pair}, length=1, text=TEXT).wait(
            60
        )
        alone, both = (knob.size for knob in steering.knobs)
        assert alone is not None
        assert both is not None
        assert (alone.sigma, alone.top, alone.n_tokens) == (one.sigma, one.highest, one.n_tokens)
        assert both.sigma == pytest.approx(math.sqrt((one.sigma**2 + two.sigma**2) / 2))
        assert both.top == max(one.highest, two.highest)
        steering.turn("one", 3)
        assert steering.variants[0].turns[0].value == pytest.approx(3 * one.sigma)
        steering.turn("one", 0.25, unit="share")
        assert steering.variants[0].turns[0].value == pytest.approx(0.25 / one.alpha_of_one)

    def test_measuring_them_can_be_cancelled_and_goes_on_with_the_next_text(
        self, model: Model, direction: Direction
    ) -> None:
        steering = steer(model, PROMPT, direction, length=1)
        steering.writing.wait(60)
        steering.cancel()
        with pytest.raises(Cancelled):
            steering.wait(60)
        assert steering.view.live["state"] == "cancelled"
        steering.change()
        assert steering.wait(60).knobs[0].size is not None

    def test_text_in_another_language_is_said_and_raw_values_still_work(
        self, model: Model, direction: Direction
    ) -> None:
        steering = steer(
            model, PROMPT, direction, length=1, text="w5 w6 and nothing more that it can read"
        )
        with pytest.raises(ValueError, match="does not know"):
            steering.wait(60)
        assert "Natural sizes are not known" in steering.view.live["problem"]
        assert steering.view.live["knobs"][0]["ready"] is True
        steering.turn("push", 1.0, unit="raw")
        with pytest.raises(ValueError, match="does not know"):
            steering.turn("push", 1.0)


class TestWhatAPageMayAsk:
    def test_everything_that_its_controls_do(self, steering: Steering) -> None:
        view = steering.view
        send(view, type="turn", knob=0, mode="add", value=0.7, seq=1)
        assert view.live["variants"][0]["turns"] == [{"mode": "add", "value": 0.7}]
        assert view.live["seq"] == 1
        send(view, type="do", what="add", seq=2)
        send(view, type="turn", knob=0, mode="pin", value=-2, seq=3)
        assert [each["name"] for each in view.live["variants"]] == ["A", "B"]
        assert steering.variants[1].turns == (Turn("pin", -2.0),)
        send(view, type="choose", variant=0, seq=4)
        assert steering.active == 0
        send(view, type="set", values={"temperature": 1.0, "seed": 5}, seq=5)
        steering.wait(60)
        assert (steering.settings.temperature, steering.settings.seed) == (1.0, 5)
        send(view, type="look", row=1, at=3, seq=6)
        assert (view.next["row"], view.next["at"]) == (1, 3)
        send(view, type="do", what="drop", seq=7)
        assert [variant.name for variant in steering.variants] == ["B"]
        send(view, type="do", what="rest", seq=8)
        assert steering.interventions() == []
        json.dumps(view.live, allow_nan=False)
        json.dumps(view.texts, allow_nan=False)

    def test_tokens_arrive_one_by_one_and_are_the_text(
        self, steering: Steering, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        heard: list[Any] = []
        monkeypatch.setattr(steering.view, "send", heard.append)
        steering.turn("push", 0.7, unit="raw")
        steering.wait(60)
        rows: list[list[Any]] = [[], []]
        for message in heard:
            assert (message["type"], message["run"]) == ("tokens", steering.writing.run)
            for at, step in enumerate(message["steps"]):
                for row, token in enumerate(step):
                    if token is not None:
                        assert len(rows[row]) == message["from"] + at
                        rows[row].append(token)
        assert rows[0] == []  # it was there already
        assert rows[1] == [list(token) for token in steering.tokens()]
        assert heard[0]["from"] == 0
        assert len(heard[0]["steps"]) == 1  # the first token waits for no other
        assert steering.view.texts["rows"][1]["tokens"] == rows[1]

    def test_the_next_token_before_and_after(
        self, steering: Steering, model: Model, direction: Direction
    ) -> None:
        steering.turn("push", 0.7, unit="raw")
        steering.wait(60)
        loop = PlainLoop(model, direction.vector, 0.7)
        tokens = [token for token, _, _ in loop.written()]
        steering.look(1, 2)
        ids = loop.ids + tokens[:2]
        before, after = (loop.log_p(ids, steered).exp() for steered in (False, True))
        likeliest = sorted(
            range(tiny_models.VOCAB), key=lambda t: -max(float(before[t]), float(after[t]))
        )
        shown = steering.view.next["tokens"]
        assert [text for text, _, _ in shown] == [model.token_text(t) for t in likeliest[:6]]
        for (_, b, a), token in zip(shown, likeliest, strict=False):
            assert b is None or b == pytest.approx(float(before[token]), abs=1e-4)
            assert a is None or a == pytest.approx(float(after[token]), abs=1e-4)

    def test_one_click_brings_back_what_was_tried(self, steering: Steering) -> None:
        steering.turn("push", 0.7, unit="raw")
        first = steering.wait(60).texts
        steering.change(temperature=1.0, seed=3)
        steering.turn("push", 0.2, mode="pin", unit="raw")
        steering.wait(60)
        tried = [(each["id"], each["label"]) for each in steering.view.live["tried"]]
        number = next(id for id, label in tried if label.endswith("σ") and "pinned" not in label)
        send(steering.view, type="back", tried=number, seq=1)
        assert steering.wait(60).texts == first
        assert steering.settings == Settings(PROMPT, length=NEW)
        assert steering.view.live["now"] == number
        assert len(steering.history) == len(tried)

    def test_what_cannot_be_done_is_a_sentence_in_the_view(self, steering: Steering) -> None:
        send(steering.view, type="set", values={"prompt": "w3 " * 40}, seq=1)
        assert "shorten it" in steering.view.live["problem"]
        send(steering.view, type="set", values={"length": NEW}, seq=2)
        assert steering.view.live["problem"] == ""
        send(steering.view, type="do", what="drop", seq=3)
        assert "only" in steering.view.live["problem"]

    @pytest.mark.parametrize(
        "content",
        [
            None,
            "x",
            {},
            {"type": "turn", "knob": 0, "mode": "add", "value": 1.0},  # no number
            {"type": "turn", "knob": 1, "mode": "add", "value": 1.0, "seq": 1},
            {"type": "turn", "knob": True, "mode": "add", "value": 1.0, "seq": 1},
            {"type": "turn", "knob": 0, "mode": "explode", "value": 1.0, "seq": 1},
            {"type": "turn", "knob": 0, "mode": "add", "value": math.nan, "seq": 1},
            {"type": "turn", "knob": 0, "mode": "add", "value": "1", "seq": 1},
            {"type": "set", "values": [1], "seq": 1},
            {"type": "set", "values": {"seed": "3"}, "seq": 1},
            {"type": "set", "values": {"model": None, "knobs": ()}, "seq": 1},
            {"type": "choose", "variant": 7, "seq": 1},
            {"type": "look", "row": -1, "at": 0, "seq": 1},
            {"type": "look", "row": 0, "at": 999, "seq": 1},
            {"type": "back", "tried": 999, "seq": 1},
            {"type": "dose", "values": {"prompts": 3}, "seq": 1},
            {"type": "do", "what": "__init__", "seq": 1},
            {"type": "do", "what": ["cancel"], "seq": 1},
        ],
    )
    def test_malformed_messages_change_nothing(self, steering: Steering, content: object) -> None:
        before = (steering.settings, steering.variants, steering.active, steering.looked)
        steering.view._handle_custom_msg(content, [])
        assert before == (steering.settings, steering.variants, steering.active, steering.looked)

    def test_a_view_without_a_steering_is_empty(self) -> None:
        view = SteeringView()
        send(view, type="do", what="cancel", seq=1)
        assert repr(view) == "SteeringView(empty)"


@pytest.fixture(scope="module")
def measured(model: Model, direction: Direction) -> Steering:
    prompts = tuple(f"w{a} w14 w15 w{a + 3}" for a in range(5, 13))
    question = DoseQuestion(prompts, ("w9",), "w20 w21")
    steering = steer(model, PROMPT, direction, length=1, dose=question).wait(60)
    steering.dose(strengths=[-0.5, 0.0, 0.5], n_new_tokens=4)
    return steering


class TestDoses:
    def test_the_chart_holds_the_result(self, measured: Steering) -> None:
        response = measured.doses.response
        assert response is not None
        traces = {trace.meta: trace for trace in measured.figure.data}
        size = measured.knobs[0].size
        assert size is not None
        x = [100 * share * size.share for share in (-0.5, 0.0, 0.5)]
        assert list(traces["effect"].x) == pytest.approx(x)
        assert list(traces["effect"].y) == [dose.effect.value for dose in response.doses]
        assert list(traces["damage"].y) == [dose.damage.value for dose in response.doses]
        band = [dose.random.high for dose in response.doses]
        assert list(traces["random"].y)[:3] == band
        assert traces["effect"].name == "effect on 8 prompts, 95%"
        assert traces["random"].name == "20 random directions, 95%"
        assert traces["words"].name == "asked in words"
        assert len(traces["contrast"].x) == 0
        assert measured.view.live["dose"]["message"] == verdict(response)

    def test_what_a_user_sets_on_the_chart_stays(self) -> None:
        figure = steering_figure.make("light")
        figure.update_layout(paper_bgcolor="pink")
        figure.update_traces(line_color="red", selector={"meta": "damage"})
        steering_figure.dress(figure, "dark")
        assert figure.layout.template.layout.plot_bgcolor == "#1d1c1a"
        assert figure.layout.paper_bgcolor == "pink"
        (damage,) = (trace for trace in figure.data if trace.meta == "damage")
        assert damage.line.color == "red"

    def test_questions_are_typed_as_they_are_shown(self) -> None:
        question = DoseQuestion(("one", "two"), (" a", " b"), "say it", (("x",), ("y",)))
        typed = question.typed(question.wire())
        assert typed == DoseQuestion(("one", "two"), ("a", "b"), "say it", (("x",), ("y",)))

    def test_one_prompt_is_not_enough(self, steering: Steering) -> None:
        values = {"prompts": PROMPT, "tokens": "w9", "instruction": ""}
        send(steering.view, type="dose", values=values, seq=1)
        assert "at least two prompts" in steering.view.live["problem"]
        with pytest.raises(ValueError, match="turn a slider first"):
            steering.dose(DoseQuestion((PROMPT, "w5 w6")))


class TestPictures:
    def test_a_page_needs_no_script_and_has_both_texts(
        self, steering: Steering, tmp_path: pathlib.Path
    ) -> None:
        steering.turn("push", 0.7, unit="raw")
        steering.wait(60)
        page = Page(steering.save_html(tmp_path / "steering.html").read_text("utf-8"))
        assert not {"script", "img", "link"} & set(page.tags)
        assert steering.texts["unsteered"].strip() in page.text
        assert steering.texts["A"].strip() in page.text
        assert "seed 0" in page.text

    def test_hostile_text_stays_text(self, model: Model, direction: Direction) -> None:
        steering = steer(model, f"w3 {HOSTILE}", {HOSTILE: direction}, length=1).wait(60)
        steering.turn(HOSTILE, 1.0, unit="raw")
        page = Page(steering_picture.picture(steering.wait(60)))
        assert not {"script", "img"} & set(page.tags)
        assert page.text.count(HOSTILE) == 2
