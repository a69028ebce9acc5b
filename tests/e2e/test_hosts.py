"""The graph view where people meet it; each test pins one fact about a host that we rely on."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING

import pytest

from e2e.browser import SCREENSHOTS, await_code, command, open_and_run, run_code
from e2e.graph_view import click_node, drawn, notebook_with_view, showing, small_graph
from e2e.servers import JupyterServer
from e2e.waiting import until
from interp_widgets.views import GraphView

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.mark.parametrize("host", ["lab", "notebook7"])
def test_a_click_reaches_python_and_python_reaches_the_page(
    page: Page, host: str, request: pytest.FixtureRequest
) -> None:
    server: JupyterServer = request.getfixturevalue(host)
    notebook = notebook_with_view(server, "click.ipynb")
    open_and_run(page, server, notebook)
    drawn(page).wait_for()
    with server.kernel(notebook) as ask:
        assert ask("view.selected") == []
        click_node(drawn(page), "id20")
        until(lambda: ask("view.selected") == ["id20"], "the click to reach Python")
        ask("view.set_trait('selected', ['id30'])")
        showing(page, "id30").wait_for()
        assert ask("view.selected") == ["id30"]


def test_the_theme_follows_jupyterlab(page: Page, lab: JupyterServer) -> None:
    notebook = notebook_with_view(lab, "theme.ipynb")
    open_and_run(page, lab, notebook)
    drawn(page).wait_for()
    assert brightness(page) > 200
    command(page, "apputils:change-theme", theme="JupyterLab Dark")
    page.wait_for_function(f"() => ({BRIGHTNESS})() < 80")
    page.locator("#jupyterlab-splash").wait_for(state="detached")
    page.screenshot(path=SCREENSHOTS / "theme-dark.png")
    # The setting outlives the page: leave it as the other tests expect it.
    command(page, "apputils:change-theme", theme="JupyterLab Light")
    page.wait_for_function(f"() => ({BRIGHTNESS})() > 200")


# From 0 to 255, of what lies inside a node's circle: of the canvas itself, which does not follow a
# style sheet by itself, and not of the page around it.
BRIGHTNESS = """() => {
  const root = document.querySelector(".iw-root");
  const { x, y } = root.iwView.locate("id20");
  const pixels = [...root.querySelectorAll("canvas")].map((canvas) =>
    canvas.getContext("2d").getImageData(x, y, 1, 1).data);
  const [red, green, blue] = pixels.findLast((pixel) => pixel[3] === 255);
  return (red + green + blue) / 3;
}"""


def brightness(page: Page) -> float:
    return float(page.evaluate(BRIGHTNESS))


def test_after_a_kernel_restart_the_view_says_so_and_a_rerun_revives_it(
    page: Page, lab: JupyterServer
) -> None:
    notebook = notebook_with_view(lab, "restart.ipynb")
    open_and_run(page, lab, notebook)
    drawn(page).wait_for()
    page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
    )
    # The drawing stays and looks alive, but nothing that is clicked arrives anywhere.
    notice = drawn(page).get_by_text("run its cell again")
    notice.wait_for()
    command(page, "notebook:run-all-cells")
    notice.wait_for(state="detached")
    drawn(page).wait_for()
    with lab.kernel(notebook) as ask:
        click_node(drawn(page), "id20")
        until(lambda: ask("view.selected") == ["id20"], "a click after the restart")


def test_two_displays_share_their_state_and_outlive_their_outputs(
    page: Page, lab: JupyterServer
) -> None:
    notebook = notebook_with_view(lab, "twice.ipynb", "view")
    open_and_run(page, lab, notebook)
    for one in (0, 1):
        drawn(page).nth(one).wait_for()
    click_node(drawn(page).nth(0), "id20")
    for one in (0, 1):
        showing(page, "id20").nth(one).wait_for()
    with lab.kernel(notebook) as ask:
        command(page, "notebook:clear-all-cell-outputs")
        page.wait_for_function("() => !document.querySelector('.iw-root')")
        assert ask("view.selected") == ["id20"]


def test_a_click_during_an_awaiting_cell_arrives_and_so_do_later_ones(
    page: Page, lab: JupyterServer
) -> None:
    """ipykernel 7.4 never reports such a comm message as done, which holds later traits back."""
    notebook = notebook_with_view(lab, "async.ipynb")
    open_and_run(page, lab, notebook)
    drawn(page).wait_for()
    run_code(page, "import asyncio\nfor _ in range(20): await asyncio.sleep(0.1)")
    click_node(drawn(page), "id20")
    await_code(page)
    with lab.kernel(notebook) as ask:
        until(lambda: ask("view.selected") == ["id20"], "the click during the cell")
        ask("view.set_trait('selected', [])")
        showing(page, "").wait_for()
        click_node(drawn(page), "id30")
        until(lambda: ask("view.selected") == ["id30"], "the click after the cell")


def test_a_thread_may_update_the_view_after_its_cell_has_returned(
    page: Page, lab: JupyterServer
) -> None:
    work = """
import threading, time
def work():
    for i in range(20, 40):
        view.selected = [f"id{i}"]
        time.sleep(0.02)  # an update now and then, as a job sends them
threading.Thread(target=work).start()
"""
    notebook = notebook_with_view(lab, "thread.ipynb", work)
    open_and_run(page, lab, notebook)
    showing(page, "id39").wait_for()


def test_a_saved_page_needs_neither_kernel_nor_network(page: Page, tmp_path: pathlib.Path) -> None:
    path = GraphView(small_graph(), threshold=1.0).save_html(tmp_path / "graph.html")
    page.goto(path.as_uri())
    drawn(page).wait_for()
    click_node(drawn(page), "id20")
    showing(page, "id20").wait_for()
    drawn(page).get_by_text("name20").filter(visible=True).first.wait_for()
