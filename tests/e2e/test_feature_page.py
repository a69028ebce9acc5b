"""A saved page of features, opened as a file: it reads, it asks for nothing, text stays text."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING, Any

import pytest

from e2e.browser import SCREENSHOTS
from interp_widgets.features.neuronpedia import from_neuronpedia
from interp_widgets.views.feature_page import save_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HOSTILE = "</script></noscript><img src=x onerror=document.title='gone'>"
TURNED = "\u202eevil\x00"


def cards() -> list[dict[str, Any]]:
    """One as somebody wrote it, one full of traps, one of which next to nothing is known."""
    tokens = ["the", " capital", " of", " texas", " is"]
    top = [{"tokens": tokens, "values": [0, 0, 0.5, 2.5, 0.1 * i]} for i in range(12)]
    group = {"tokens": tokens, "values": [0, 0, 0, 1.5, 0], "binMin": 1, "binMax": 2}
    fine = {
        "index": 117,
        "layer": "2-res",
        "modelId": "a model",
        "frac_nonzero": 0.0123,
        "maxActApprox": 2.5,
        "freq_hist_data_bar_values": [0.25, 0.75, 1.25, 1.75, 2.25],
        "freq_hist_data_bar_heights": [9, 7, 4, 2, 1],
        "pos_str": [" austin", " dallas"],
        "pos_values": [1.5, 0.75],
        "neg_str": [" ohio"],
        "neg_values": [-1.0],
        "activations": [*top, group],
        "explanations": [{"description": "states of the south", "typeName": "by a method"}],
    }
    row = {"tokens": [HOSTILE, TURNED, " end"], "values": [1.0, 2.0, 0]}
    hostile = fine | {
        "index": 5,
        "modelId": HOSTILE,
        "pos_str": [HOSTILE, TURNED],
        "activations": [row, row | {"binMin": 1, "binMax": 2}, row | {"dataSource": "bottom"}],
        "explanations": [{"description": HOSTILE, "typeName": HOSTILE}],
        "source": {"dataset": HOSTILE},
    }
    bare = {"index": 9, "examples_quantiles": [{"quantile_name": "some", "examples": []}]}
    return [from_neuronpedia(document).card(here=1.7) for document in (fine, hostile, bare)]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return save_page(cards(), tmp_path_factory.mktemp("page") / "page.html", title="Three of them")


def test_the_page_shows_every_card_and_nothing_of_it_runs(page: Page, saved: pathlib.Path) -> None:
    page.set_viewport_size({"width": 900, "height": 500})
    page.goto(saved.as_uri())
    shown = page.locator("article.iw-card")
    assert shown.count() == 3
    first = shown.first
    assert first.locator(".iw-c-title:visible").inner_text() == "states of the south"
    assert "active on 1.2% of tokens" in first.inner_text()
    assert "activation 1 to 2" in first.inner_text().replace(".00", "")
    assert first.get_by_text("here 1.70").is_visible()
    # The token that an example stands for is marked.
    assert "texas" in first.locator("ol.iw-c-examples li").first.locator("mark").all_inner_texts()
    # A text of a stranger is on the page as it is, and nowhere an element.
    assert HOSTILE in shown.nth(1).inner_text()
    assert "⟨202E⟩evil" in shown.nth(1).inner_text()
    assert page.locator("img").count() == 0
    assert page.title() == "Three of them"
    assert shown.nth(2).locator(".iw-c-title:visible").inner_text() == "feature 9"
    # No part of the page is wider than the window.
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.screenshot(path=SCREENSHOTS / "feature-page-900.png", full_page=True)


def test_the_page_is_dark_where_its_reader_is_and_white_on_paper(
    page: Page, saved: pathlib.Path
) -> None:
    def ground() -> list[int]:
        found = page.evaluate(
            "getComputedStyle(document.querySelector('.iw-root')).backgroundColor"
        )
        return [int(n) for n in found.removeprefix("rgb(").removesuffix(")").split(",")]

    page.emulate_media(color_scheme="dark")
    page.goto(saved.as_uri())
    page.locator("article.iw-card").first.wait_for()
    assert max(ground()) < 60
    page.screenshot(path=SCREENSHOTS / "feature-page-dark.png", full_page=True)
    page.emulate_media(color_scheme="dark", media="print")
    assert min(ground()) == 255
    assert not page.locator(".iw-c-testbox").first.is_visible()
    assert page.locator("ol.iw-c-examples").first.is_visible()


def test_a_foreign_feature_in_a_cell_stays_in_its_frame(page: Page) -> None:
    text = "<u id=got>up</u><script>parent.document.title = 'gone'</script>"
    row = {"tokens": ["go", text], "values": [0, 1.5]}
    feature = from_neuronpedia({"index": 3, "layer": "1-res", "activations": [row]})
    page.set_content(f"<title>cell</title>{feature._repr_html_()}")
    inside = page.frame_locator("iframe")
    assert text in inside.locator("article.iw-card").inner_text()
    assert inside.locator("#got").count() == 0
    assert page.title() == "cell"


def test_without_scripts_the_page_is_a_table(browser: Browser, saved: pathlib.Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    try:
        page = context.new_page()
        page.goto(saved.as_uri())
        assert page.get_by_role("heading", name="L2/117: states of the south").is_visible()
        rows = page.locator("section").first.locator("table").first.locator("tr")
        assert rows.nth(1).inner_text().split("\t") == ["2.5", "the capital of texas is"]
        assert rows.nth(1).locator("mark").inner_text() == " texas"
        assert HOSTILE in page.locator("section").nth(1).inner_text()
        assert page.locator("img").count() == 0
    finally:
        context.close()
