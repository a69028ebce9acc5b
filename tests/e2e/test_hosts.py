"""The graph view where people meet it; each test pins one fact about a host that we rely on."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING

import pytest

from e2e.browser import SCREENSHOTS, await_code, command, open_and_run, run_code
from e2e.graph_view import MAKE_VIEW, SHOW, click_inside, drawn
from e2e.servers import JupyterServer
from e2e.waiting import until

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.mark.parametrize("host", ["lab", "notebook7"])
def test_a_click_reaches_python_and_python_reaches_the_page(
    page: Page, host: str, request: pytest.FixtureRequest
) -> None:
    server: JupyterServer = request.getfixturevalue(host)
    notebook = server.write_notebook("click.ipynb", MAKE_VIEW, SHOW)
    open_and_run(page, server, notebook)
    drawn(page).wait_for()
    with server.kernel(notebook) as ask:
        assert ask("view.selected") == []
        click_inside(drawn(page))
        until(lambda: len(ask("view.selected")) == 1, "the click to reach Python")
        ask("view.set_trait('selected', ['id200'])")
        drawn(page).get_by_text("name200").first.wait_for()
        assert ask("view.selected") == ["id200"]


def test_the_theme_follows_jupyterlab(page: Page, lab: JupyterServer) -> None:
    notebook = lab.write_notebook("theme.ipynb", MAKE_VIEW, SHOW)
    open_and_run(page, lab, notebook)
    drawn(page).wait_for()
    assert paper(page) > 200
    command(page, "apputils:change-theme", theme="JupyterLab Dark")
    page.wait_for_function(f"() => ({PAPER})() < 80")
    page.screenshot(path=SCREENSHOTS / "theme-dark.png")
    # The setting outlives the page: leave it as the other tests expect it.
    command(page, "apputils:change-theme", theme="JupyterLab Light")
    page.wait_for_function(f"() => ({PAPER})() > 200")


# The brightness, 0 to 255, of the drawing's corner: the canvas itself, not the page around it.
PAPER = """() => {
  const canvas = document.querySelector(".iw-root canvas");
  const [red, green, blue] = canvas.getContext("2d").getImageData(2, 2, 1, 1).data;
  return (red + green + blue) / 3;
}"""


def paper(page: Page) -> float:
    return float(page.evaluate(PAPER))


def test_after_a_kernel_restart_the_view_says_so_and_a_rerun_revives_it(
    page: Page, lab: JupyterServer
) -> None:
    notebook = lab.write_notebook("restart.ipynb", MAKE_VIEW, SHOW)
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
        click_inside(drawn(page))
        until(lambda: len(ask("view.selected")) == 1, "a click after the restart")


def test_two_displays_share_their_state_and_outlive_their_outputs(
    page: Page, lab: JupyterServer
) -> None:
    notebook = lab.write_notebook("twice.ipynb", MAKE_VIEW, SHOW, SHOW)
    open_and_run(page, lab, notebook)
    for one in (0, 1):
        drawn(page).nth(one).wait_for()
    click_inside(drawn(page).nth(0))
    with lab.kernel(notebook) as ask:
        (selected,) = until(lambda: ask("view.selected"), "the click to reach Python")
        name = selected.replace("id", "name")
        for one in (0, 1):
            drawn(page).nth(one).get_by_text(name, exact=True).first.wait_for()
        command(page, "notebook:clear-all-cell-outputs")
        page.wait_for_function("() => !document.querySelector('.iw-root')")
        assert ask("view.selected") == [selected]


def test_a_click_during_an_awaiting_cell_arrives_and_so_do_later_ones(
    page: Page, lab: JupyterServer
) -> None:
    """ipykernel 7.4 never reports such a comm message as done, which holds later traits back."""
    notebook = lab.write_notebook("async.ipynb", MAKE_VIEW, SHOW)
    open_and_run(page, lab, notebook)
    drawn(page).wait_for()
    run_code(page, "import asyncio\nfor _ in range(20): await asyncio.sleep(0.1)")
    click_inside(drawn(page))
    await_code(page)
    with lab.kernel(notebook) as ask:
        first = until(lambda: ask("view.selected"), "the click during the cell")
        click_inside(drawn(page), right=0.2)
        until(lambda: ask("view.selected") != first, "the click after the cell")


def test_a_thread_may_update_the_view_after_its_cell_has_returned(
    page: Page, lab: JupyterServer
) -> None:
    work = """
import threading, time
def work():
    for i in range(200, 220):
        view.selected = [f"id{i}"]
        time.sleep(0.02)  # an update now and then, as a job sends them
threading.Thread(target=work).start()
"""
    notebook = lab.write_notebook("thread.ipynb", MAKE_VIEW, SHOW, work)
    open_and_run(page, lab, notebook)
    drawn(page).get_by_text("name219").first.wait_for()


def test_a_saved_page_needs_neither_kernel_nor_network(page: Page, tmp_path: pathlib.Path) -> None:
    names: dict[str, object] = {}
    exec(MAKE_VIEW, names)
    path = tmp_path / "graph.html"
    path.write_text(names["view"].to_html(), encoding="utf-8")  # type: ignore[attr-defined]
    page.goto(path.as_uri())
    drawn(page).wait_for()
    before = drawn(page).inner_text()
    click_inside(drawn(page))
    page.wait_for_function(
        "(before) => document.querySelector('.iw-root').innerText !== before", arg=before
    )
