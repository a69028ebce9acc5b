"""The training view's Python half: what it shows of a real training, what a page may ask of it."""

from __future__ import annotations

import json
import pathlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import tiny_models
import traitlets
from html_pages import Page

from interp_widgets.dictionaries.training import Training, cross_layer, recipes, sae, train
from interp_widgets.dictionaries.training import transcoder as transcoder_of
from interp_widgets.jobs import Cancelled
from interp_widgets.models import Place
from interp_widgets.views import training_figure, training_picture
from interp_widgets.views.training_features import ranked
from interp_widgets.views.training_view import TrainingView
from interp_widgets.views.training_words import describe, limits

HOSTILE = "</script><img src=x onerror=alert(1)><!--"
TEXT = [" ".join(f"w{5 + (i * j * 7 + j) % 35}" for j in range(60)) for i in range(30)]
FEATURES = 64


def training_of(*names: str, tokens: int = 2048, k: int = 4, text: Any = TEXT) -> Training:
    what = [
        transcoder_of(layer, FEATURES, recipes.TopK(k), name=name)
        for layer, name in enumerate(names)
    ]
    return train(
        tiny_models.model("llama grouped"), what, text, tokens=tokens, batch=128, context=16
    )


def send(view: TrainingView, **content: Any) -> None:
    """As a page does."""
    view._handle_custom_msg(content, [])


@pytest.fixture(scope="module")
def finished() -> Training:
    """Two dictionaries, 16 steps each, ended."""
    training = training_of("one", HOSTILE)
    assert training.view.live["state"] in ("computing", "done")
    return training.wait(60)


@pytest.fixture
def running() -> Iterator[Training]:
    """Two dictionaries, more tokens than any test waits for."""
    training = training_of("one", "two", tokens=100_000_000)
    yield training
    training.cancel()
    with pytest.raises(Cancelled):
        training.wait(60)


def happens(training: Training, fact: Callable[[], bool]) -> None:
    """Waits until a fact holds, asked whenever the training says that something has changed."""
    seen = threading.Event()
    training.on_change(lambda: seen.set() if fact() else None)
    assert fact() or seen.wait(60)


class TestWhatIsShown:
    def test_who_waited_for_the_end_finds_it_shown(self, finished: Training) -> None:
        live = finished.view.live
        assert (live["state"], live["step"], live["tokens"]) == ("done", 16, 2048)
        assert live["numbers"]["l0"] == finished.history["one"]["l0"][-1]
        assert live["settings"] == finished.settings("one")
        assert [each["name"] for each in live["dictionaries"]] == ["one", HOSTILE]
        json.dumps(live, allow_nan=False)  # a page cannot read NaN

    def test_the_list_is_by_how_often_features_fire(self, finished: Training) -> None:
        view = finished.view
        density = finished.density("one")
        view.order = "active"
        rows = view.features["rows"]
        assert [row["density"] for row in rows] == sorted(density, reverse=True)[: len(rows)]
        assert view.features["alive"] == (density > 0).sum()
        row = rows[0]
        (example,) = row["examples"]
        best = finished.examples("one", row["feature"])[0]
        assert example["tokens"] == list(best.tokens)
        assert max(example["activations"]) == example["activations"][example["trigger"]]

    def test_by_number_the_dead_are_listed_too(self) -> None:
        density = np.array([0.0, 0.5, 0.0, 0.2])
        born = np.array([0, 0, 0, 7])
        assert ranked("number", density, born, 2, 10) == [2, 3]
        assert ranked("active", density, born, 0, 10) == [1, 3]
        assert ranked("newest", density, born, 0, 10) == [3, 1]
        assert ranked("active", density, born, 0, 1) == [1]

    def test_an_opened_feature_brings_all_its_examples(self, finished: Training) -> None:
        view = finished.view
        feature = view.features["rows"][0]["feature"]
        view.opened = feature
        assert view.detail["row"]["feature"] == feature
        assert len(view.detail["row"]["examples"]) == len(finished.examples("one", feature))
        view.shown = HOSTILE
        assert view.opened is None
        assert view.detail == {}
        assert view.features["name"] == HOSTILE
        view.shown = "one"

    def test_what_is_not_there_is_refused_in_a_sentence(self, finished: Training) -> None:
        with pytest.raises(ValueError, match="no dictionary is called 'three'"):
            finished.view.shown = "three"
        with pytest.raises(ValueError, match="one has features 0 to 63, not 64"):
            finished.view.opened = 64
        with pytest.raises(traitlets.TraitError):
            finished.view.order = "alphabetical"

    def test_what_goes_wrong_is_shown_as_a_sentence(self) -> None:
        def text() -> Iterator[str]:
            yield from TEXT
            raise ValueError("The disk with the text is gone.")

        training = training_of("one", tokens=1_000_000, text=text())
        view = training.view
        with pytest.raises(ValueError, match="disk"):
            training.wait(60)
        assert view.live["state"] == "failed"
        assert view.live["message"] == "The disk with the text is gone."

    def test_a_view_without_a_training_is_empty(self) -> None:
        view = TrainingView()
        assert repr(view) == "TrainingView(empty)"
        send(view, type="do", what="pause")
        with pytest.raises(ValueError, match="no training"):
            _ = view.figure


class TestWhatAPageMayAsk:
    def test_pause_change_and_resume(self, running: Training) -> None:
        view = running.view
        happens(running, lambda: running.step > 0)
        send(view, type="do", what="pause")
        happens(running, lambda: running.state == "paused")
        step = running.step
        send(view, type="change", values={"k": 7}, everywhere=False)
        send(view, type="change", values={"lr": 0.001}, everywhere=True)
        assert view._source is not None
        view._source.publish(everything=True)
        assert view.live["state"] == "paused"
        assert view.live["pending"] == {"k": 7.0, "lr": 0.001}
        send(view, type="do", what="resume")
        happens(running, lambda: running.step > step)
        assert [running.settings(name)["k"] for name in running.names] == [7, 4]
        assert [running.settings(name)["lr"] for name in running.names] == [0.001, 0.001]
        view._source.publish(everything=True)
        assert view.live["pending"] == {}
        assert {"step": step, "what": "k", "old": 4.0, "new": 7.0} in view.live["changes"]

    def test_stop_keeps_and_is_shown_at_once(self) -> None:
        training = training_of("one", tokens=100_000_000)
        happens(training, lambda: training.step > 2)
        send(training.view, type="do", what="stop")
        training.wait(60)
        assert training.view.live["state"] == "stopped"

    def test_what_cannot_be_set_is_said(self, running: Training) -> None:
        view = running.view
        send(view, type="change", values={"k": FEATURES + 1})
        assert view._source is not None
        view._source.publish(everything=True)
        assert str(FEATURES) in view.live["problem"]
        assert view.live["pending"] == {}

    @pytest.mark.parametrize(
        "content",
        [
            None,
            "x",
            {},
            {"type": "do", "what": "__init__"},
            {"type": "do", "what": ["pause"]},
            {"type": "change", "values": {"k": "8"}},
            {"type": "change", "values": {"lr": True}},
            {"type": "change", "values": {"lr": float("nan")}},
            {"type": "change", "values": [1]},
            {"type": "set", "values": {"shown": "three", "order": 3, "opened": -1, "rows": 0}},
            {"type": "set", "values": {"height": 2, "live": {}}},
            {"type": "set", "values": "x"},
        ],
    )
    def test_malformed_messages_change_nothing(self, finished: Training, content: object) -> None:
        view = finished.view
        names = ("shown", "order", "start", "rows", "opened", "height", "live")
        before = {name: getattr(view, name) for name in names}
        view._handle_custom_msg(content, [])
        assert {name: getattr(view, name) for name in names} == before
        assert finished.changes == ()

    def test_clicks_on_a_finished_training_are_answered(self, finished: Training) -> None:
        view = finished.view
        send(view, type="set", values={"order": "number", "start": 60})
        assert [row["feature"] for row in view.features["rows"]] == [60, 61, 62, 63]
        send(view, type="set", values={"order": "active", "start": 0, "opened": 5})
        assert view.detail["row"]["feature"] == 5
        send(view, type="set", values={"opened": None})
        assert view.detail == {}


class TestCharts:
    def test_they_hold_the_history(self, finished: Training) -> None:
        traces = {trace.name: trace for trace in finished.figure.data}
        history = finished.history["one"]
        assert list(traces["fvu"].x) == list(history["tokens"])
        assert list(traces["fvu"].y) == list(history["fvu"])
        assert sum(traces["density"].y) == (finished.density("one") > 0).sum()

    def test_long_histories_become_block_means(self) -> None:
        history = {"tokens": np.arange(1.0, 1001), "loss": np.arange(1000.0)}
        history["loss"][3] = np.nan
        x, y = training_figure.thinned(history, "loss", points=10)
        assert x.size == y.size == 10
        assert y[0] == np.mean([n for n in range(101) if n != 3])
        assert (x[0], x[-1]) == (101, 1000)
        x, y = training_figure.thinned({"tokens": np.zeros(0), "loss": np.zeros(0)}, "loss")
        assert x.size == y.size == 0

    def test_marks_say_where_a_setting_was_changed(self) -> None:
        figure = training_figure.make("light")
        figure.add_vline(5, line_color="green", row=1, col=1)
        figure.add_annotation(text="mine", x=1, y=1)
        nothing = {name: np.zeros(0) for name in ("tokens", "loss", "fvu", "l0", "dead_share")}
        marks = [training_figure.Mark(100, "k 64"), training_figure.Mark(200, "lr 0.001")]
        for given in (marks[:1], marks, marks):
            training_figure.fill(figure, nothing, np.zeros(0), None, given, "light")
        ours = [s for s in figure.layout.shapes if s.name == training_figure.CHANGED]
        assert [shape.x0 for shape in ours] == [100] * 4 + [200] * 4
        assert [n.text for n in figure.layout.annotations][-2:] == ["mine", "lr 0.001"]
        training_figure.fill(figure, nothing, np.zeros(0), None, [], "light")
        (mine,) = figure.layout.shapes
        assert mine.line.color == "green"
        assert figure.layout.annotations[-1].text == "mine"

    def test_a_theme_changes_what_the_user_has_not_set(self) -> None:
        figure = training_figure.make("light")
        figure.update_layout(paper_bgcolor="pink")
        figure.update_traces(line_color="red", selector={"name": "loss"})
        training_figure.dress(figure, "dark")
        dark = training_figure.COLOURS["dark"]
        assert figure.layout.template.layout.plot_bgcolor == dark["paper"]
        assert figure.layout.paper_bgcolor == "pink"
        assert figure.data[0].line.color == "red"

    def test_a_deleted_trace_is_not_missed(self) -> None:
        figure = training_figure.make("light")
        figure.data = [trace for trace in figure.data if trace.name != "l0"]
        history = {n: np.arange(3.0) for n in ("tokens", "loss", "fvu", "l0", "dead_share")}
        training_figure.fill(figure, history, np.array([0.01, 0.0]), 0.5, [], "light")
        traces = {trace.name: trace for trace in figure.data}
        assert list(traces["dead_share"].y) == [0, 1, 2]
        assert list(traces["control"].y) == [0.5, 0.5]

    def test_densities_are_counted_by_powers_of_ten(self) -> None:
        middles, counts = training_figure.histogram(np.array([0.0, 1.0, 0.05, 0.051, 1e-9]))
        found = {round(m, 1): int(c) for m, c in zip(middles, counts, strict=True) if c}
        assert found == {-0.1: 1, -1.3: 2, -5.9: 1}


class TestPictures:
    def test_a_page_needs_no_script_and_no_network(
        self, finished: Training, tmp_path: pathlib.Path
    ) -> None:
        path = finished.view.save_html(tmp_path / "training.html")
        text = path.read_text("utf-8")
        page = Page(text)
        assert "script" not in page.tags
        assert [source[:26] for source in page.links] == ["data:image/svg+xml;base64,"]
        assert "Finished." in text
        assert "2,048 of 2,048 tokens, step 16" in text

    def test_hostile_text_stays_text(self) -> None:
        example = {"tokens": ["a", HOSTILE], "activations": [0.0, 2.0], "trigger": 1}
        row = {"feature": 1, "density": 0.1, "examples": [example]}
        live = {
            "state": "failed",
            "message": HOSTILE,
            "dictionaries": [{"name": HOSTILE, "title": HOSTILE}],
        }
        page = Page(training_picture.picture(live, {"name": HOSTILE, "rows": [row]}, None))
        assert not {"img", "script"} & set(page.tags)

    def test_the_charts_are_drawn_as_the_user_has_set_them(self, finished: Training) -> None:
        figure = training_figure.make("light")
        history = {n: np.arange(1.0, 9) for n in ("tokens", "loss", "fvu", "l0", "dead_share")}
        training_figure.fill(figure, history, np.array([0.01]), None, [], "light")
        figure.update_traces(line_color="#123456", selector={"name": "fvu"})
        drawn = training_picture.svg(figure)
        assert drawn.count('stroke="#123456"') == 1
        assert ">FVU<" in drawn


class TestWords:
    def test_what_is_trained(self) -> None:
        top = recipes.TopK(8)
        assert describe(transcoder_of(3, 2048, top)) == "TopK transcoder, L3, 2,048 features"
        skip = transcoder_of(3, 2048, recipes.ReLU(), skip=True)
        assert describe(skip) == "ReLU skip transcoder, L3, 2,048 features"
        place = Place(1, "resid_post")
        nested = recipes.Matryoshka(top, (16, 32))
        assert describe(sae(place, 32, nested)) == "Matryoshka TopK SAE, L1 resid_post, 32 features"
        clt = describe(cross_layer(6, 1000, recipes.JumpReLU()))
        assert clt == "JumpReLU cross-layer transcoder, 6 layers, 1,000 features a layer"

    def test_sliders_end_around_their_values(self) -> None:
        assert limits("k", 8, 256) == [1, 256]
        assert limits("sparsity", 5.0, 256) == [1e-2, 1e4]
        low, high = limits("lr", 3e-4, 256)
        assert low < 3e-4 < high

    def test_what_the_view_reads_of_a_training_is_there(self, finished: Training) -> None:
        from interp_widgets.views.training_live import Watched

        wanted = {name for name in vars(Watched) if not name.startswith("_")}
        wanted |= set(Watched.__annotations__)
        assert wanted
        assert not [name for name in wanted if not hasattr(finished, name)]
        assert isinstance(finished.view, TrainingView)
