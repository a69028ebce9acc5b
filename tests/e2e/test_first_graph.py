"""The first demo, as a newcomer meets it: run all, click, group, read it in Python, keep it."""

from __future__ import annotations

import json
import pathlib
import shutil
from typing import TYPE_CHECKING

import pytest

from e2e.browser import SCREENSHOTS, open_and_run
from e2e.graph_view import click_node, drawn, showing
from e2e.servers import JupyterServer
from e2e.waiting import until

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

DEMOS = pathlib.Path(__file__).parents[2] / "demos"
DEMO = DEMOS / "01_first_graph.ipynb"

# What asks for the capital: the word, and the strongest feature of that name.
QUESTION = """[n.id for kind, name in (("token", "capital"), ("feature", "asks for the capital"))
    for n in graph.nodes(kind=kind) if n.label == name][:2]""".replace("\n", " ")

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("host", ["lab", "notebook7"])
def test_run_all_click_group_and_read_it_in_python(
    page: Page, host: str, request: pytest.FixtureRequest, tmp_path: pathlib.Path
) -> None:
    server: JupyterServer = request.getfixturevalue(host)
    shutil.copy(DEMO, server.root / DEMO.name)
    open_and_run(page, server, DEMO.name)
    with server.kernel(DEMO.name) as ask:
        until(lambda: ask("'graph' in globals()"), "the graph's cell to run", deadline=120)
        view = page.locator(".iw-root").first
        view.wait_for(timeout=60_000)
        # The last cell writes the files, so all cells have run without an error.
        until((server.root / "first-graph.safetensors").exists, "the last cell", deadline=240)
        assert ask("graph.state") == "done"
        until(lambda: ask("graph.control is not None"), "the random graph beside", deadline=120)
        page.locator(".iw-root[data-iw-state='drawn'] >> text=random decoders").first.wait_for()
        # The step that the prompt does not name stands where the name ends.
        assert ask("[n.id for n in graph.groups['texas']]") == ask("[n.id for n in texas]") != []
        assert "asks about texas" in ask("[n.label for n in graph.pinned]")
        assert ask("graph.nodes(kind='output')[0].label") == "austin"
        assert page.locator(".jp-RenderedText[data-mime-type*='stderr'] >> text=Error").count() == 0

        first, second = ask(QUESTION)
        page.evaluate("() => document.activeElement?.blur()")
        click_node(view, first)
        until(lambda: ask("[n.id for n in graph.selected]") == [first], "the click")
        showing(page, first).first.wait_for()
        modified_click(view, second)
        until(lambda: ask("[n.id for n in graph.selected]") == [first, second], "the second click")
        page.screenshot(path=SCREENSHOTS / f"first-graph-{host}-selected.png")
        name_group(page, view, "the question")
        until(
            lambda: ask("[n.id for n in graph.groups.get('the question', [])]") == [first, second],
            "the group to reach Python",
        )
        view.screenshot(path=SCREENSHOTS / f"first-graph-{host}.png")
        # What Python knows of the graph is what the file says.
        document = json.loads((server.root / "first-graph.json").read_text("utf-8"))
        assert document["metadata"]["prompt_tokens"][-1] == "is"
        assert ask("graph.residual()") < 1e-4

    offline_page(page, server.root / "first-graph.html", tmp_path)


def test_a_real_language_model_is_drawn_by_its_neurons(page: Page, lab: JupyterServer) -> None:
    demo = DEMOS / "05_your_own_model.ipynb"
    shutil.copy(demo, lab.root / demo.name)
    open_and_run(page, lab, demo.name)
    with lab.kernel(demo.name) as ask:
        until(lambda: ask("'why_mary_not_john' in globals()"), "the last graph", deadline=240)
        until(lambda: ask("why_mary_not_john.state") == "done", "its edges", deadline=240)
        assert ask("[n.kind for n in graph.pinned]") == ["neuron"] * 5
        assert ask("graph.nodes(kind='output')[0].label") == " Mary"
    drawn(page).first.wait_for()
    page.screenshot(path=SCREENSHOTS / "your-own-model.png")
    assert page.locator(".jp-RenderedText[data-mime-type*='stderr'] >> text=Error").count() == 0


def modified_click(view: Locator, node: str) -> None:
    canvas = view.locator("canvas.iw-overlay")
    place = view.evaluate("(root, node) => root.iwView.locate(node)", node)
    canvas.click(position=place, modifiers=["ControlOrMeta"])


def name_group(page: Page, view: Locator, name: str) -> None:
    view.get_by_role("button", name="group", exact=True).first.click()
    page.keyboard.type(name)
    page.keyboard.press("Enter")


def offline_page(page: Page, path: pathlib.Path, folder: pathlib.Path) -> None:
    """The exported page works alone, in a folder with nothing beside it."""
    alone = folder / "alone.html"
    alone.write_bytes(path.read_bytes())
    page.goto(alone.as_uri())
    view = drawn(page)
    view.wait_for()
    pinned = page.evaluate("() => document.querySelectorAll('.iw-root').length")
    assert pinned == 1
    node = view.evaluate(
        "(root) => JSON.parse(document.querySelector('script.iw-data').textContent).state.pinned[0]"
    )
    click_node(view, node)
    showing(page, node).wait_for()
