"""The graph view's Python half: wire format, traits, messages, pages without a kernel."""

from __future__ import annotations

import base64
import json
import pathlib
import re

import numpy as np
import pytest
import traitlets
from html_pages import Page

from interp_widgets.views import GraphView, wire

HOSTILE = "</script><img src=x onerror=alert(1)><!--"


def small(**header: object) -> bytes:
    """Two tokens, a feature, an error, a logit."""
    full = {
        "prompt": "the capital of texas is",
        "tokens": ["<bos>", " texas"],
        "n_layers": 2,
        "ids": ["t0", "t1", "f", "e", "out"],
        "names": ["", "", "texas", "", "austin"],
        **header,
    }
    arrays = {
        "kind": np.array([2, 2, 0, 1, 3]),
        "layer": np.array([-1, -1, 0, 0, 2]),
        "position": np.array([0, 1, 1, 1, 1]),
        "link_ptr": np.array([0, 0, 0, 2, 2, 4]),
        "link_source": np.array([0, 1, 3, 2]),
        "link_weight": np.array([0.5, -2.0, 0.25, 3.0]),
    }
    return wire.pack(full, arrays)


class TestWire:
    def test_a_graph_survives_the_round_trip(self) -> None:
        header, arrays = wire.unpack(small())
        assert header["nodes"] == 5
        assert header["links"] == 4
        assert header["links_total"] == 4
        assert header["tokens"] == ["<bos>", " texas"]
        assert arrays["kind"].tolist() == [2, 2, 0, 1, 3]
        assert np.isnan(arrays["activation"]).all()

    def test_rows_are_sorted_by_descending_absolute_weight(self) -> None:
        _, arrays = wire.unpack(small())
        assert arrays["link_weight"].tolist() == [-2.0, 0.5, 3.0, 0.25]
        assert arrays["link_source"].tolist() == [1, 0, 2, 3]

    @pytest.mark.parametrize("prompt", ["", "a", "ab", "abc", "über", "語" * 7, HOSTILE])
    def test_every_section_starts_at_a_multiple_of_eight(self, prompt: str) -> None:
        buffer = small(prompt=prompt)
        length = int.from_bytes(buffer[:4], "little")
        assert (4 + length) % 8 == 0
        header, _ = wire.unpack(buffer)
        assert header["prompt"] == prompt
        assert all(section["offset"] % 8 == 0 for section in header["sections"].values())
        assert header["sections"]["kind"]["offset"] == 4 + length

    def test_scores_that_are_not_numbers_become_null(self) -> None:
        header, _ = wire.unpack(small(scores={"replacement": float("nan"), "completeness": 0.9}))
        assert header["scores"] == {"replacement": None, "completeness": 0.9}

    def test_an_empty_graph_packs(self) -> None:
        empty = np.zeros(0)
        buffer = wire.pack(
            {"prompt": "", "tokens": [], "n_layers": 0, "ids": []},
            {"kind": empty, "layer": empty, "position": empty},
        )
        assert wire.unpack(buffer)[0]["nodes"] == 0

    @pytest.mark.parametrize(
        ("header", "arrays", "message"),
        [
            ({}, {}, "needs prompt"),
            (None, {"colour": np.zeros(2)}, "Unknown section colour"),
            (None, {"layer": np.zeros(3)}, "3 values for 2 nodes"),
            (None, {"link_ptr": np.array([0, 1, 2])}, "run from 0 to 0"),
            (
                None,
                {
                    "link_ptr": np.array([0, 0, 1]),
                    "link_source": np.array([9]),
                    "link_weight": np.array([1.0]),
                },
                "source 9 is not one of the 2",
            ),
        ],
    )
    def test_mistakes_are_named(
        self, header: dict | None, arrays: dict[str, np.ndarray], message: str
    ) -> None:
        full = {"prompt": "", "tokens": ["a"], "n_layers": 1, "ids": ["a", "b"]}
        base = {"kind": np.zeros(2), "layer": np.zeros(2), "position": np.zeros(2)}
        with pytest.raises(ValueError, match=message):
            wire.pack(full if header is None else header, base | arrays)

    def test_ids_must_be_unique(self) -> None:
        with pytest.raises(ValueError, match="unique"):
            small(ids=["a", "a", "b", "c", "d"])

    @pytest.mark.parametrize("cut", [3, 40, 900])
    def test_a_cut_buffer_is_refused(self, cut: int) -> None:
        with pytest.raises(ValueError, match="short|Unterminated|Expecting"):
            wire.unpack(small()[:cut])


class TestTraits:
    def test_a_view_without_a_graph_waits(self) -> None:
        view = GraphView()
        assert view.status["state"] == "empty"
        view.selected = ["not known yet"]
        assert repr(view) == "GraphView(empty)"

    def test_a_view_with_a_graph_is_done(self) -> None:
        view = GraphView(small(), selected=["f"], threshold=0.5)
        assert view.status["state"] == "done"
        assert view.selected == ["f"]
        assert "5 nodes, 4 links, 1 selected" in repr(view)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("selected", ["f", "nope"]),
            ("pinned", ["nope"]),
            ("groups", [["texas", "f", "nope"]]),
            ("labels", {"nope": "x"}),
        ],
    )
    def test_an_unknown_id_is_named(self, name: str, value: object) -> None:
        view = GraphView(small())
        before = getattr(view, name)
        with pytest.raises(ValueError, match="'nope'"):
            setattr(view, name, value)
        assert getattr(view, name) == before

    def test_other_mistakes_are_explained(self) -> None:
        view = GraphView(small())
        with pytest.raises(ValueError, match="0 to 1"):
            view.threshold = 80
        with pytest.raises(ValueError, match="at least one id"):
            view.groups = [["alone"]]
        with pytest.raises(ValueError, match="at least 240"):
            view.height = 10
        with pytest.raises(TypeError, match="no colour"):
            GraphView(small(), colour="red")

    def test_ids_are_kept_once_each(self) -> None:
        assert GraphView(small(), selected=["f", "e", "f"]).selected == ["f", "e"]

    def test_data_must_be_a_graph(self) -> None:
        view = GraphView(small())
        with pytest.raises(traitlets.TraitError, match=r"wire\.pack"):
            view.data = b"something else entirely"

    def test_progress_stays_between_zero_and_one(self) -> None:
        view = GraphView()
        view.status = {"state": "computing", "progress": 7}
        assert view.status == {"state": "computing", "progress": 1.0, "message": ""}


class TestMessages:
    def send(self, view: GraphView, content: object) -> None:
        view._handle_custom_msg(content, [])

    def test_what_the_browser_sets_arrives_and_is_observed(self) -> None:
        view = GraphView(small())
        seen: list[object] = []
        view.observe(lambda change: seen.append(change["new"]), "selected")
        values = {"selected": ["f"], "groups": [["g", "f", "e"]], "labels": {"f": "x"}}
        self.send(view, {"type": "set", "values": {**values, "threshold": 1}})
        assert view.selected == ["f"]
        assert seen == [["f"]]
        assert view.groups == [["g", "f", "e"]]
        assert view.labels == {"f": "x"}
        assert view.threshold == 1.0

    def test_ids_that_are_gone_are_left_out(self) -> None:
        view = GraphView(small())
        self.send(view, {"type": "set", "values": {"selected": ["f", "gone"]}})
        self.send(view, {"type": "set", "values": {"groups": [["a", "gone"], ["b", "f", "gone"]]}})
        assert view.selected == ["f"]
        assert view.groups == [["b", "f"]]

    @pytest.mark.parametrize(
        "values",
        [
            {"selected": "f"},
            {"selected": [1]},
            {"selected": None},
            {"pinned": {"f": 1}},
            {"groups": [["a", 3]]},
            {"groups": [[]]},
            {"groups": "x"},
            {"labels": ["f"]},
            {"threshold": 2},
            {"threshold": "1"},
            {"threshold": True},
            {"threshold": float("nan")},
            {"data": "x"},
            {"height": 1},
            {},
        ],
    )
    def test_malformed_values_change_nothing(self, values: dict[str, object]) -> None:
        view = GraphView(small(), selected=["e"])
        before = view.get_state()
        self.send(view, {"type": "set", "values": values})
        assert view.get_state() == before

    @pytest.mark.parametrize("content", [None, 3, "x", [], {}, {"type": "set"}, {"type": "ping"}])
    def test_strange_messages_are_passed_over(self, content: object) -> None:
        self.send(GraphView(small()), content)

    def test_cancel_calls_the_owner(self) -> None:
        called: list[bool] = []
        view = GraphView(small(), on_cancel=lambda: called.append(True))
        self.send(view, {"type": "cancel"})
        assert called == [True]
        view.on_cancel = None
        self.send(view, {"type": "cancel"})


BUNDLE = pathlib.Path(wire.__file__).parent.parent / "static" / "graph-standalone.js"
needs_bundle = pytest.mark.skipif(not BUNDLE.exists(), reason="npm run build has not run")


@needs_bundle
class TestPages:
    def test_a_page_is_complete_and_asks_for_nothing(self) -> None:
        text = GraphView(small()).to_html()
        page = Page(text)
        assert page.links == []
        assert page.tags.count("script") == 3
        assert "<title>the capital of texas is</title>" in text
        assert not re.search(r"https?://(?!www\.w3\.org)", text)

    def test_a_page_keeps_what_the_user_made(self) -> None:
        view = GraphView(
            small(),
            selected=["f"],
            pinned=["e"],
            groups=[["g", "f", "e"]],
            labels={"f": "mine"},
            threshold=0.4,
            height=640,
        )
        found = re.search(r'class="iw-data">(.*?)</script>', view.to_html(), re.S)
        assert found
        page = json.loads(found[1])
        state = page["state"]
        assert (state["selected"], state["pinned"]) == (["f"], ["e"])
        assert state["groups"] == [["g", "f", "e"]]
        assert state["labels"] == {"f": "mine"}
        assert (state["threshold"], state["height"]) == (0.4, 640)
        assert base64.b64decode(page["data"]) == view.data

    def test_hostile_text_stays_text(self) -> None:
        ids = [HOSTILE + str(i) for i in range(5)]
        buffer = small(prompt=HOSTILE, tokens=[HOSTILE] * 2, names=[HOSTILE] * 5, ids=ids)
        view = GraphView(
            buffer, labels={ids[2]: HOSTILE}, groups=[[HOSTILE, ids[2]]], selected=[ids[2]]
        )
        for title in ("", HOSTILE):
            page = Page(view.to_html(title))
            assert page.tags.count("script") == 3
            assert "img" not in page.tags

    def test_a_page_of_a_running_job_says_that_it_is_cut_off(self) -> None:
        view = GraphView(small())
        view.status = {"state": "computing", "progress": 0.5, "message": "Layer 3"}
        assert "Saved before the computation was complete." in view.to_html()
        assert view.status["state"] == "computing"

    def test_a_page_is_written_where_asked(self, tmp_path: pathlib.Path) -> None:
        path = GraphView(small()).save_html(tmp_path / "graph.html", "A title & more")
        assert "<title>A title &amp; more</title>" in path.read_text("utf-8")
