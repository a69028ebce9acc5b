"""The sixth demo, run in JupyterLab from top to bottom: cards, a table, a page, and no error."""

from __future__ import annotations

import pathlib
import shutil
from typing import TYPE_CHECKING

import pytest

from e2e.browser import SCREENSHOTS, open_and_run
from e2e.servers import JupyterServer
from e2e.waiting import until

if TYPE_CHECKING:
    from playwright.sync_api import Page

DEMO = pathlib.Path(__file__).parents[2] / "demos" / "06_what_a_feature_means.ipynb"

pytestmark = pytest.mark.slow


def test_the_demo_runs_from_top_to_bottom(page: Page, lab: JupyterServer) -> None:
    page.set_viewport_size({"width": 1340, "height": 900})
    shutil.copy(DEMO, lab.root / DEMO.name)
    open_and_run(page, lab, DEMO.name)
    with lab.kernel(DEMO.name) as ask:
        until(lambda: ask("'document' in globals()"), "the last cell", deadline=300)
        # What the text promises of these features still holds.
        assert ask("{e.tokens[e.trigger] for e in odd.examples(10)} == {' whose'}")
        assert ask("list({e.tokens[e.trigger] for g in odd.groups()[1:] for e in g.examples})") == [
            " fact"
        ]
        assert ask("index.stored.about.complete")
        assert ask("best.score.auroc > 0.9 and best.score.control < 0.6")
        assert ask("held.auroc > 0.9 and 'examples' in held.how")
        assert ask("index.label(3, 518)") == "“:” “is”"
        assert ask("neurons.units.kind") == "neuron"
    saved = (lab.root / "feature.html").read_text("utf-8")
    assert "texas" in saved
    assert page.locator(".jp-RenderedText[data-mime-type*='stderr'] >> text=Error").count() == 0
    view = page.locator(".iw-root", has=page.locator(".iw-card .iw-c-example")).first
    view.scroll_into_view_if_needed(timeout=60_000)
    view.screenshot(path=SCREENSHOTS / "what-a-feature-means.png")
