"""A graph while it computes, when it is stopped, and when it fails: as seen in JupyterLab."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from e2e.browser import SCREENSHOTS, open_and_run
from e2e.servers import JupyterServer
from e2e.waiting import until

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow

LOAD = "import interp_widgets as iw\nmodel = iw.load('smollm2-q4')"
PROMPT = "When Mary and John went to the store, John gave a drink to"


def test_cancel_in_the_view_stops_the_work_and_keeps_the_edges(
    page: Page, lab: JupyterServer
) -> None:
    # Half a minute of work: nobody clicks too late, and it fits where little memory is free.
    cell = f"graph = iw.attribute(model, {PROMPT!r}, max_nodes=12_000)\ngraph"
    notebook = lab.write_notebook("cancel.ipynb", LOAD, cell)
    open_and_run(page, lab, notebook)
    view = page.locator(".iw-root").first
    page.locator(".iw-root[data-iw-state='computing']:not(.iw-blank)").wait_for(timeout=120_000)
    view.screenshot(path=SCREENSHOTS / "computing.png")
    with lab.kernel(notebook) as ask:
        assert ask("graph.state") == "computing"
        view.get_by_role("button", name="Cancel").click()
        until(lambda: ask("graph.state") == "cancelled", "the work to stop")
        page.locator(".iw-root[data-iw-state='drawn'][data-iw-status='cancelled']").wait_for()
        view.screenshot(path=SCREENSHOTS / "cancelled.png")
        assert ask("graph.so_far.n_edges") > 0
        # The model goes on as if nothing had happened.
        assert ask("float(model.record('one two').logits.sum())") != 0


def test_what_goes_wrong_is_a_sentence_in_the_view(page: Page, lab: JupyterServer) -> None:
    damage = "model.hf.model.layers[2].mlp.down_proj.weight[0, 0] = float('nan')"
    cell = f"graph = iw.attribute(model, {PROMPT!r})\ngraph"
    notebook = lab.write_notebook("damaged.ipynb", LOAD, damage, cell)
    open_and_run(page, lab, notebook)
    view = page.locator(".iw-root[data-iw-status='failed']")
    view.wait_for(timeout=120_000)
    assert "first in block 2 (MLP)" in view.inner_text()
    view.screenshot(path=SCREENSHOTS / "failed.png")
