"""The features view's Python half: what it shows of a real index, what a page may ask of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import held_models
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import interp_widgets as iw
from interp_widgets import load
from interp_widgets.dictionaries import load as load_dictionary
from interp_widgets.features import FeatureError, Index, index, index_for
from interp_widgets.features.card import card
from interp_widgets.features.labelling.detection import detect
from interp_widgets.features.stored import StoredIndex
from interp_widgets.jobs import Cancelled
from interp_widgets.models import Model
from interp_widgets.views.features_asks import clean_ask
from interp_widgets.views.features_live import Live, show
from interp_widgets.views.features_view import FeaturesView

HOSTILE = "</script><img src=x onerror=alert(1)><!--"
PATIENCE = 60
PROMPT = "the capital of the state containing dallas is"


@pytest.fixture(scope="module")
def model() -> Model:
    return load("organism")


@pytest.fixture(scope="module")
def shipped(model: Model) -> StoredIndex:
    """What lies beside the organism's dictionary."""
    stored = index_for(model, load_dictionary(model.dictionary)).so_far
    assert stored is not None
    return stored


@pytest.fixture
def organism(
    model: Model, shipped: StoredIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Index:
    """The organism's index with a book of labels of its own."""
    monkeypatch.setenv("INTERP_WIDGETS_DATA", str(tmp_path))
    dictionary = load_dictionary(model.dictionary)
    return Index(model, dictionary, index_for(model, dictionary).units, shipped)


@pytest.fixture
def live(organism: Index) -> Live:
    return Live(organism)


@pytest.fixture
def texas(organism: Index) -> tuple[int, int]:
    found = organism.search("texas")[0]
    return found.layer, found.feature


def send(view: FeaturesView, **content: Any) -> None:
    """As a page does."""
    view._handle_custom_msg(content, [])


def find(live: Live, text: str = "", mode: str = "label", **more: Any) -> dict[str, Any]:
    query = {"text": text, "mode": mode, "sort": "match", "layer": None, "rows": 20, "seq": 1}
    send(live.view, type="search", **{**query, **more})
    live.wait("page", PATIENCE)
    page: dict[str, Any] = live.view.page
    return page


def spots(page: dict[str, Any]) -> list[tuple[int, int]]:
    return [(row["layer"], row["feature"]) for row in page["found"]]


class TestTheList:
    def test_every_unit_is_in_it_and_a_page_is_sent(self, live: Live, organism: Index) -> None:
        page = find(live)
        assert page["total"] == sum(organism.n_features(layer) for layer in organism.layers)
        assert len(page["found"]) == 20
        assert page["seq"] == 1
        json.dumps(page, allow_nan=False)

    def test_by_density_the_most_frequent_come_first(
        self, live: Live, organism: Index, shipped: StoredIndex
    ) -> None:
        plain = sorted(
            (-int(shipped.counts(layer)[feature]), layer, feature)
            for layer in organism.layers
            for feature in range(organism.n_features(layer))
        )
        page = find(live, sort="density")
        assert spots(page) == [(layer, feature) for _, layer, feature in plain[:20]]

    def test_by_strength_in_one_layer(self, live: Live, shipped: StoredIndex) -> None:
        page = find(live, sort="strength", layer=3)
        assert page["total"] == shipped.n_features(3)
        strongest = shipped.strongest(3)
        plain = sorted(range(len(strongest)), key=lambda i: (-strongest[i], i))[:20]
        assert spots(page) == [(3, i) for i in plain]

    def test_by_score_the_best_labels_come_first_and_unlabelled_ones_last(
        self, live: Live, organism: Index
    ) -> None:
        scores = {key: label.score for key, label in organism.book.items()}
        page = find(live, sort="score")
        best = max(score for score in scores.values() if score is not None)
        assert scores[spots(page)[0]] == best
        shown = [scores[spot] for spot in spots(page)]
        assert shown == sorted(shown, reverse=True)  # type: ignore[type-var]

    def test_a_row_says_what_its_unit_is(
        self, live: Live, texas: tuple[int, int], organism: Index, shipped: StoredIndex
    ) -> None:
        row = find(live, "texas")["found"][0]
        assert (row["layer"], row["feature"]) == texas
        label = organism.book.get(*texas)
        assert label is not None
        assert (row["label"], row["score"]) == (label.text, label.score)
        assert row["density"] == shipped.counts(texas[0])[texas[1]] / shipped.n_tokens
        example = row["example"]
        strongest = max(example["activations"])
        assert example["activations"][example["trigger"]] == strongest
        assert strongest == shipped.strongest(texas[0])[texas[1]]

    @pytest.mark.parametrize("mode", ["token", "prompt", "promotes"])
    def test_each_way_to_search_finds_something_and_says_why(self, live: Live, mode: str) -> None:
        page = find(live, "austin", mode)
        assert page["state"] == "done"
        assert len(page["found"]) > 0
        assert all(row["why"] and row["value"] is not None for row in page["found"])

    def test_what_fires_on_a_text_is_what_the_model_says(self, live: Live, organism: Index) -> None:
        firing = organism.fire("i live in dallas")
        page = find(live, "i live in dallas", "prompt")
        for row in page["found"]:
            assert row["value"] == pytest.approx(
                max(firing.of(row["layer"], row["feature"]), key=abs), abs=1e-5
            )

    def test_nothing_found_is_no_failure(self, live: Live) -> None:
        page = find(live, "zanzibar")
        assert (page["state"], page["total"], page["found"]) == ("done", 0, [])

    def test_a_text_that_cannot_be_run_is_a_sentence(self, live: Live) -> None:
        send(
            live.view, type="search", text="a " * 1500, mode="prompt", sort="match", layer=None,
            rows=5, seq=1,
        )  # fmt: skip
        with pytest.raises(ValueError, match="tokens"):
            live.wait("page", PATIENCE)
        assert live.view.page["state"] == "failed"
        assert "tokens" in live.view.page["message"]


class TestCards:
    def test_what_the_corpus_says_comes_first_and_then_the_weights(
        self, live: Live, texas: tuple[int, int], organism: Index
    ) -> None:
        sent: list[dict[str, Any]] = []
        live.view.observe(lambda change: sent.append(change["new"]), names=["card"])
        send(live.view, type="open", layer=texas[0], feature=texas[1], seq=7)
        live.wait("card", PATIENCE)
        first, full = sent
        assert first["card"]["pending"] is True
        assert first["card"]["logits"] is None
        assert first["card"]["examples"] == full["card"]["examples"]
        assert full == {"seq": 7, "name": f"L{texas[0]}/{texas[1]}", "card": full["card"]} | {
            "message": ""
        }
        assert full["card"] == card(organism, *texas)
        assert live.opened == live.view.opened == texas

    def test_a_number_that_there_is_not_is_answered_with_a_sentence(self, live: Live) -> None:
        send(live.view, type="open", layer=2, feature=999_999, seq=1)
        with pytest.raises(FeatureError):
            live.wait("card", PATIENCE)
        assert live.view.card["card"] is None
        assert "there is no 999999" in live.view.card["message"]

    def test_of_two_asked_for_in_a_row_the_later_one_is_shown(
        self, live: Live, texas: tuple[int, int], model: Model
    ) -> None:
        for seq in range(1, 30):
            send(live.view, type="open", layer=seq % 5, feature=seq, seq=seq)
        send(live.view, type="open", layer=texas[0], feature=texas[1], seq=30)
        live.wait("card", PATIENCE)
        assert live.view.card["seq"] == 30
        assert live.view.card["name"] == f"L{texas[0]}/{texas[1]}"

    def test_two_are_compared_until_the_second_is_closed(
        self, live: Live, texas: tuple[int, int]
    ) -> None:
        live.open(*texas)
        send(live.view, type="compare", layer=0, feature=3, seq=2)
        live.wait("other", PATIENCE)
        assert live.beside == (0, 3)
        assert live.view.other["card"]["name"] == "L0/3"
        send(live.view, type="compare", layer=None, feature=None, seq=3)
        assert live.beside is None
        assert live.view.other["card"] is None

    def test_who_listens_hears_what_is_opened(self, live: Live, texas: tuple[int, int]) -> None:
        heard: list[tuple[int, int]] = []
        end = live.on_open(lambda layer, feature: heard.append((layer, feature)))
        live.open(*texas)
        end()
        live.open(0, 0)
        assert heard == [texas]

    def test_python_opens_one_and_refuses_what_there_is_not(
        self, live: Live, texas: tuple[int, int]
    ) -> None:
        live.view.opened = texas
        live.wait("card", PATIENCE)
        assert live.view.card["card"]["name"] == f"L{texas[0]}/{texas[1]}"
        with pytest.raises(FeatureError, match="there is no"):
            live.view.opened = (2, 999_999)
        with pytest.raises(ValueError, match="no index"):
            FeaturesView().opened = (0, 0)

    def test_one_feature_shows_its_card_alone(
        self, organism: Index, texas: tuple[int, int]
    ) -> None:
        view = show(organism, texas)
        view.source.wait("card", PATIENCE)
        assert view.live["mode"] == "one"
        assert view.card["card"]["layer"] == texas[0]
        assert repr(view) == f"FeaturesView(organism, done, L{texas[0]}/{texas[1]} open)"


class TestTestText:
    def test_a_text_is_shown_on_every_open_feature(
        self, live: Live, texas: tuple[int, int], organism: Index
    ) -> None:
        live.open(*texas)
        send(live.view, type="compare", layer=0, feature=3, seq=2)
        live.wait("card", PATIENCE)
        live.wait("other", PATIENCE)
        send(live.view, type="test", text="i live in dallas", seq=3)
        live.wait("firing", PATIENCE)
        shown = live.view.firing
        assert (shown["seq"], shown["state"], shown["text"]) == (3, "done", "i live in dallas")
        assert "".join(shown["tokens"]).split() == ["i", "live", "in", "dallas"]
        expected = organism.fire("i live in dallas")
        for layer, feature in (texas, (0, 3)):
            # The special token in front is not shown.
            assert shown["of"][f"L{layer}/{feature}"] == expected.of(layer, feature)[1:].tolist()

    def test_the_next_feature_is_tried_on_the_same_text(
        self, live: Live, texas: tuple[int, int]
    ) -> None:
        live.open(0, 3)
        live.wait("card", PATIENCE)
        send(live.view, type="test", text="i live in dallas", seq=3)
        live.wait("firing", PATIENCE)
        live.open(*texas)
        live.wait("card", PATIENCE)
        assert list(live.view.firing["of"]) == [f"L{texas[0]}/{texas[1]}"]

    def test_an_empty_text_clears_and_a_long_one_is_a_sentence(self, live: Live) -> None:
        send(live.view, type="test", text="a " * 1500, seq=1)
        with pytest.raises(ValueError, match="tokens"):
            live.wait("firing", PATIENCE)
        assert live.view.firing["state"] == "failed"
        send(live.view, type="test", text="  ", seq=2)
        assert live.view.firing["state"] == "done"
        assert live.view.firing["tokens"] == []


class TestLabels:
    def test_a_label_by_hand_is_kept_and_shown_everywhere(
        self, live: Live, texas: tuple[int, int], organism: Index
    ) -> None:
        find(live, "texas")
        live.open(*texas)
        live.wait("card", PATIENCE)
        send(live.view, type="label", layer=texas[0], feature=texas[1], text=" lone star ", seq=5)
        shown = live.view.card["card"]["label"]
        assert (shown["text"], shown["kind"]) == ("lone star", "by hand")
        assert live.view.page["found"][0]["label"] == "lone star"
        again = Index(organism.model, organism.dictionary, organism.units, organism.so_far)
        kept = again.book.get(*texas)
        assert kept is not None
        assert kept.text == "lone star"

        assert live.view.live["undoable"] is True
        send(live.view, type="undo", seq=6)
        assert live.view.live["undoable"] is False
        assert live.view.card["card"]["label"]["kind"] == "shipped"
        send(live.view, type="undo", seq=7)
        assert "no label to take back" in live.view.told["text"]

    def test_a_label_by_hand_is_tested_by_the_examples_it_was_given_for(
        self, live: Live, texas: tuple[int, int], organism: Index
    ) -> None:
        live.open(*texas)
        live.wait("card", PATIENCE)
        organism.book.put(*texas, "lone star state")
        live.wait("label of card", PATIENCE)
        shown = live.view.card["card"]["label"]
        found = detect(organism, *texas, "lone star state")
        numbers = (found.auroc, found.low, found.control)
        assert (shown["score"], shown["low"], shown["control"]) == tuple(
            round(number, 3) for number in numbers
        )
        assert (shown["active"], shown["samples"]) == (
            found.n_active,
            found.n_active + found.n_other,
        )
        assert shown["by"] == "examples"
        assert shown["testing"] is False
        kept = organism.book.get(*texas)
        assert kept is not None
        assert (kept.score, kept.by) == (shown["score"], "examples")
        # A score of the examples says nothing of the words, so it does not bring them to the front.
        assert kept.words_score is None
        organism.book.put(*texas, "“texas”")
        live.wait("label of card", PATIENCE)
        assert live.view.card["card"]["label"]["by"] == "rule"

    def test_an_empty_label_takes_it_away(
        self, live: Live, texas: tuple[int, int], organism: Index
    ) -> None:
        send(live.view, type="label", layer=texas[0], feature=texas[1], text="", seq=5)
        assert organism.book.get(*texas) is None

    def test_a_label_given_in_python_appears(
        self, live: Live, texas: tuple[int, int], organism: Index
    ) -> None:
        live.open(*texas)
        live.wait("card", PATIENCE)
        organism.book.put(*texas, "from a cell")
        assert live.view.card["card"]["label"]["text"] == "from a cell"

    def test_a_label_that_cannot_be_is_a_sentence(self, live: Live, texas: tuple[int, int]) -> None:
        send(live.view, type="label", layer=texas[0], feature=texas[1], text="a\nb", seq=5)
        assert live.view.told["text"]
        assert live.view.told["seq"] == 5

    def test_suggestions_come_with_scores_and_one_is_taken(
        self, live: Live, texas: tuple[int, int], organism: Index
    ) -> None:
        live.open(*texas)
        send(live.view, type="propose", layer=texas[0], feature=texas[1], seq=5)
        assert live.view.proposals["state"] == "computing"
        live.wait("proposals", PATIENCE)
        first = live.view.proposals["proposals"][0]
        assert 0.5 < first["score"] <= 1
        assert first["low"] <= first["score"] <= first["high"]
        assert first["samples"] > 0
        send(live.view, type="accept", layer=0, feature=0, at=0, seq=6)  # of another feature
        assert organism.book.get(*texas).kind == "shipped"  # type: ignore[union-attr]
        send(live.view, type="accept", layer=texas[0], feature=texas[1], at=0, seq=7)
        label = organism.book.get(*texas)
        assert label is not None
        assert (label.text, label.kind) == (first["text"], "proposed")
        assert live.view.proposals == {}


class TestSteering:
    def test_alone_it_gives_the_line_to_run(
        self, live: Live, texas: tuple[int, int], organism: Index
    ) -> None:
        send(live.view, type="steer", layer=texas[0], feature=texas[1], seq=5)
        code = live.view.told["code"]
        assert code == f"iw.steer(model, text, index[{texas[0]}, {texas[1]}])"
        found = {"index": organism, "model": organism.model, "text": PROMPT, "iw": iw}
        (knob,) = eval(code, found).knobs
        assert (knob.name, knob.parts) == ("texas", (organism[texas].target,))

    def test_linked_it_sends_the_feature_and_says_what_became_of_it(
        self, live: Live, texas: tuple[int, int], organism: Index
    ) -> None:
        taken: list[Any] = []

        def take(index: Index, spot: tuple[int, int]) -> str:
            taken.append((index, spot))
            return "The steering has a slider texas."

        end = live.send_to(take)
        send(live.view, type="steer", layer=texas[0], feature=texas[1], seq=5)
        assert taken == [(organism, texas)]
        assert live.view.told["text"] == "The steering has a slider texas."
        end()
        send(live.view, type="steer", layer=texas[0], feature=texas[1], seq=6)
        assert live.view.told["code"]


class TestAnIndexThatIsMade:
    @pytest.fixture
    def held(self, model: Model, tmp_path: Path) -> Iterator[tuple[Index, threading.Event]]:
        """Somebody has the model: nothing is read before the event."""
        text = [f"the capital of the state containing dallas is austin . {n}" for n in range(40)]
        dictionary = load_dictionary(model.dictionary)
        with held_models.held(model) as release:
            made = index(model, dictionary, text, folder=tmp_path / "index", shard_tokens=64)
            yield made, release
        made.cancel()

    def test_the_view_is_there_at_once_and_fills(self, held: tuple[Index, threading.Event]) -> None:
        made, release = held
        live = Live(made)
        assert live.view.live["state"] == "computing"
        assert live.view.live["indexed"] is False
        before = find(live, sort="density")
        assert before["total"] == 5760
        assert before["found"][0]["density"] is None
        live.open(0, 3)
        live.wait("card", PATIENCE)
        assert "being read" in live.view.card["card"]["notes"][0]
        release.set()
        made.wait(PATIENCE)
        assert live.view.live["state"] == "done"
        assert live.view.live["tokens"] == made.stored.n_tokens > 0
        live.wait("page", PATIENCE)
        live.wait("card", PATIENCE)
        assert live.view.page["found"][0]["density"] > 0  # looked up once more
        assert live.view.card["card"]["indexed"] is True

    def test_a_page_may_cancel_it(self, held: tuple[Index, threading.Event]) -> None:
        made, release = held
        live = Live(made)
        send(live.view, type="cancel", seq=1)
        release.set()
        with pytest.raises(Cancelled):
            made.wait(PATIENCE)
        assert live.view.live["state"] == "cancelled"


# --- what a page may send ----------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
KINDS = ("search", "open", "compare", "test", "label", "propose", "accept", "steer", "undo")
FIELDS = ("text", "mode", "sort", "layer", "rows", "feature", "at", "seq")


def size(layer: int) -> int | None:
    return {0: 10, 2: 20}.get(layer)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(KINDS) | json_values,
    st.dictionaries(st.sampled_from(FIELDS), json_values | st.sampled_from([0, 1, 2, "label"])),
)
def test_whatever_a_page_sends_is_an_ask_or_nothing(kind: Any, fields: dict[str, Any]) -> None:
    clean = clean_ask({"type": kind, **fields}, size)
    if clean is None:
        return
    assert clean["type"] in (*KINDS, "cancel")
    assert type(clean["seq"]) is int
    if clean.get("spot") is not None and clean["type"] not in ("open", "compare"):
        layer, feature = clean["spot"]
        assert 0 <= feature < (size(layer) or 0)


@pytest.mark.parametrize(
    "content",
    [
        None,
        "search",
        {"type": "open", "layer": 0, "feature": 1},  # no seq
        {"type": "open", "layer": True, "feature": 1, "seq": 1},
        {"type": "open", "layer": 0, "feature": -1, "seq": 1},
        {"type": "open", "layer": 0, "feature": 1.5, "seq": 1},
        {"type": "label", "layer": 0, "feature": 10, "text": "a", "seq": 1},  # 0 to 9 there are
        {"type": "label", "layer": 1, "feature": 0, "text": "a", "seq": 1},
        {"type": "label", "layer": 0, "feature": 0, "text": "a" * 201, "seq": 1},
        {"type": "label", "layer": 0, "feature": 0, "text": "\ud800", "seq": 1},
        {"type": "test", "text": "a" * 4001, "seq": 1},
        {"type": "search", "text": "", "mode": "eval", "sort": "match", "layer": None, "rows": 5}
        | {"seq": 1},
        {"type": "search", "text": "", "mode": "label", "sort": "match", "layer": None, "rows": 0}
        | {"seq": 1},
        {"type": "accept", "layer": 0, "feature": 0, "at": -1, "seq": 1},
        {"type": "cancel"},
        {"type": "close_kernel", "seq": 1},
    ],
)
def test_what_is_malformed_asks_for_nothing(content: Any) -> None:
    assert clean_ask(content, size) is None


def test_a_number_that_somebody_typed_is_asked_even_where_there_is_none() -> None:
    asked = {"type": "open", "layer": 7, "feature": 3, "seq": 1}
    assert clean_ask(asked, size) == {"type": "open", "seq": 1, "spot": (7, 3)}


# --- without a kernel --------------------------------------------------------------------------


def test_an_empty_view_says_so_and_answers_nothing() -> None:
    view = FeaturesView()
    assert view.live == {"state": "empty"}
    assert repr(view) == "FeaturesView(empty)"
    send(view, type="open", layer=0, feature=0, seq=1)
    assert view.card == {}


def test_the_picture_shows_the_open_card_and_takes_texts_for_text(
    live: Live, texas: tuple[int, int], organism: Index
) -> None:
    kept: list[Any] = []
    find(live, "texas")
    live.keep(kept.append)
    assert "L1/" in kept[-1].data  # the list, before a card is open
    live.open(*texas)
    live.wait("card", PATIENCE)
    organism.book.put(*texas, HOSTILE)
    page = kept[-1].data
    assert "&lt;/script&gt;&lt;img" in page
    assert "<img" not in page
    assert "iw-kept" in page
    assert f"L{texas[0]}/{texas[1]}" in page
    assert f"active on {organism[texas].density:.2%} of {organism.stored.n_tokens:,} tokens" in page


def test_a_page_without_a_kernel_holds_the_open_cards(
    live: Live, texas: tuple[int, int], tmp_path: Path
) -> None:
    live.open(*texas)
    live.wait("card", PATIENCE)
    page = live.view.save_html(tmp_path / "features.html").read_text("utf-8")
    assert f'"name": "L{texas[0]}/{texas[1]}"' in page
    assert "interpWidgetsFeatures.mountPage(document)" in page
