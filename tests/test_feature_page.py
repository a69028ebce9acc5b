"""A page of features: whole, without any request, and text that stays text whoever wrote it."""

from __future__ import annotations

import html.parser
import json
import re
from pathlib import Path
from typing import Any

import pytest

from interp_widgets.features.neuronpedia import from_neuronpedia
from interp_widgets.views import built
from interp_widgets.views.feature_page import feature_page, save_page

HOSTILE = "</script></noscript><img src=x onerror=alert(1)><!--"
TURNED = "\u202eevil\x00\u2028"


def document(**changes: Any) -> dict[str, Any]:
    """A feature in Neuronpedia's form."""
    return {
        "index": 117,
        "layer": "2-tiny",
        "modelId": "a model",
        "frac_nonzero": 0.0123,
        "pos_str": [" up"],
        "pos_values": [0.5],
        "neg_str": [" down"],
        "neg_values": [-0.25],
        "activations": [
            {"tokens": ["we", " go", " up"], "values": [0, 0.5, 2.25]},
            {"tokens": ["down", "\n"], "values": [1.5, 0], "binMin": 1.0, "binMax": 2.0},
            {"tokens": ["low"], "values": [-3.5], "dataSource": "bottom"},
        ],
        "explanations": [{"description": "directions", "typeName": "by a method"}],
    } | changes


@pytest.fixture(autouse=True)
def static(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle that would end its own element if nobody took care."""
    folder = tmp_path / "static"
    folder.mkdir()
    (folder / "features-standalone.js").write_text('var a = "</script>";')
    (folder / "features.css").write_text('.iw-card::after{content:"</style>"}')
    monkeypatch.setattr(built, "STATIC", folder)
    return folder


class Page(html.parser.HTMLParser):
    """Elements and text of a page as a browser without scripts sees them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.cells: list[str] = []
        self.marked: list[str] = []
        self.shown = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "img", "br"):
            self._open.append(tag)
        if tag == "td":
            self.cells.append("")
        if tag == "mark":
            self.marked.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if "td" in self._open:
            self.cells[-1] += data
        if "mark" in self._open:
            self.marked[-1] += data
        if "section" in self._open:
            self.shown += data


def cards_in(text: str) -> Any:
    found = re.search(r'class="iw-data">(.*?)</script>', text, re.S)
    assert found
    return json.loads(found[1])


def test_a_page_carries_its_cards_script_and_style() -> None:
    card = from_neuronpedia(document()).card()
    text = feature_page([card, card], "Two of them")
    assert cards_in(text) == {"title": "Two of them", "cards": [card, card]}
    page = Page(text)
    assert page.tags.count("script") == 3
    assert page.tags.count("style") == 1
    assert page.tags.count("section") == 2
    assert "<title>Two of them</title>" in text
    assert 'var a = "<\\/script>";' in text
    assert 'content:"<\\/style>"' in text
    assert "interpWidgetsFeatures.mountPage(document)" in text


def test_a_page_asks_for_nothing_and_may_not() -> None:
    text = feature_page([from_neuronpedia(document()).card()])
    page = Page(text)
    assert not [name for name, _ in page.attributes if name in ("src", "href", "srcset", "action")]
    assert not re.search(r"https?://|@import|url\(", text)
    policy = _policy(page)
    assert "default-src 'none'" in policy
    assert "connect-src" not in policy


def _policy(page: Page) -> str:
    return next(value or "" for _, value in page.attributes if value and "default-src" in value)


def test_without_scripts_the_examples_are_tables() -> None:
    page = Page(feature_page([from_neuronpedia(document()).card()]))
    assert page.cells == ["2.25", "we go up", "−3.5", "low", "1.5", "down⏎"]
    assert page.marked == [" up", "low", "down"]
    assert "L2/117: directions" in page.shown
    assert "active on 1.23% of the tokens" in page.shown
    assert "label imported, Neuronpedia, by a method" in page.shown
    assert "raises:  up 0.5" in page.shown
    assert "lowers:  down −0.25" in page.shown
    assert "The file says nothing of what chance alone would give." in page.shown


def test_without_scripts_numbers_have_their_controls_too() -> None:
    ours = {"control": {"value": 0.71, "low": 0.6, "high": 0.8, "draws": 20}, "tokens": 8532}
    ours["label"] = {"text": "up", "score": 0.9, "control": 0.5, "samples": 240, "source": "rules"}
    page = Page(feature_page([from_neuronpedia(document(interp_widgets=ours)).card()]))
    assert "random directions of equal norm: 0.71 (0.6 to 0.8, 20 draws)" in page.shown
    assert (
        "separates 0.90 (area under the ROC curve; random labels 0.50; 240 samples)" in page.shown
    )
    assert "active on 1.23% of 8,532 tokens" in page.shown


def test_hostile_text_stays_text_everywhere() -> None:
    row = {"tokens": [HOSTILE, TURNED], "values": [1.0, 2.0]}
    hostile = document(
        layer=f"2-{HOSTILE}",
        modelId=HOSTILE,
        pos_str=[HOSTILE],
        neg_str=[TURNED],
        activations=[row, row | {"binMin": 1, "binMax": 2}, row | {"dataSource": "bottom"}],
        explanations=[{"description": HOSTILE, "typeName": HOSTILE}],
        source={"dataset": HOSTILE},
        interp_widgets={"scan": HOSTILE},
    )
    card = from_neuronpedia(hostile).card()
    assert card["examples"][0]["tokens"] == [HOSTILE, TURNED]
    for title in ("", HOSTILE, TURNED):
        text = feature_page([card], title)
        page = Page(text)
        assert page.tags.count("script") == 3
        assert page.tags.count("noscript") == 1
        assert "img" not in page.tags
        # What turns text around or ends it stands by its code, and never as itself.
        assert not set("\u202e\x00\u2028") & set(text)
        assert "⟨202E⟩evil⟨0000⟩⟨2028⟩" in page.shown
        assert page.shown.count(HOSTILE) >= 6
        # With scripts, the page gets the very text.
        assert cards_in(text)["cards"] == [card]


def test_a_foreign_feature_shows_itself_in_a_sandbox(static: Path, tmp_path: Path) -> None:
    feature = from_neuronpedia(document(explanations=[{"description": HOSTILE}]))
    page = Page(feature._repr_html_())
    assert page.tags == ["iframe"]
    found = dict(page.attributes)
    assert found["sandbox"] == "allow-scripts"
    assert found["srcdoc"] == feature_page([feature.card()], "L2/117")
    saved = feature.save_html(tmp_path / "it.html")
    assert saved.read_text("utf-8") == found["srcdoc"]
    # Where nothing is built, its tables are there all the same.
    (static / "features-standalone.js").unlink()
    bare = Page(feature._repr_html_())
    assert set(bare.tags) & {"iframe", "img", "script"} == set()
    assert "we go up" in bare.cells


def test_a_card_without_anything_is_shown() -> None:
    bare = from_neuronpedia({"index": 3, "examples_quantiles": []}).card()
    page = Page(feature_page([bare]))
    assert "feature 3" in page.shown
    assert "table" not in page.tags
    assert feature_page([]).count("<title>Features</title>") == 1


def test_numbers_that_json_lacks_are_refused() -> None:
    card = from_neuronpedia(document()).card()
    card["density"]["value"] = float("nan")
    with pytest.raises(ValueError, match="not JSON compliant"):
        feature_page([card])


def test_views_that_are_not_built_say_so(static: Path, tmp_path: Path) -> None:
    (static / "features-standalone.js").unlink()
    with pytest.raises(FileNotFoundError, match=r"npm install.*npm run build"):
        save_page([], tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_a_page_is_saved_whole_and_its_path_returned(tmp_path: Path) -> None:
    card = from_neuronpedia(document()).card()
    path = save_page([card], tmp_path / "page.html", title="über & unter")
    assert path == tmp_path / "page.html"
    assert path.read_text("utf-8") == feature_page([card], "über & unter")
    assert "<title>über &amp; unter</title>" in path.read_text("utf-8")
