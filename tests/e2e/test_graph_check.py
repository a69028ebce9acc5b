"""The graph view that acts, in JupyterLab: click a node, press a button, read the model's answer."""

from __future__ import annotations

import pathlib
import shutil
from typing import TYPE_CHECKING

import pytest

from e2e.browser import SCREENSHOTS, command, open_and_run
from e2e.graph_view import click_node, drawn, showing
from e2e.servers import JupyterServer
from e2e.waiting import until

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.slow

DEMO = pathlib.Path(__file__).parents[2] / "demos" / "03_does_the_graph_hold.ipynb"

PROMPT = "the capital of the state containing dallas is"
ELSEWHERE = "the capital of the state containing oakland is"
CELL = f"""
import interp_widgets as iw
model = iw.load()
graph = iw.attribute(model, {PROMPT!r}).wait()
graph
"""

# What stands for the state where the city's name ends, strongest first.
TEXAS = "[n.id for n in graph.features('texas') if not n.label.startswith('asks')]"


def open_graph(page: Page, lab: JupyterServer, notebook: str, *cells: str) -> Locator:
    """A notebook that shows the graph; returns its view, wide enough for the panel."""
    lab.write_notebook(notebook, CELL.strip(), *cells)
    open_and_run(page, lab, notebook)
    view = drawn(page).first
    view.wait_for(timeout=120_000)
    return view


def tab(view: Locator, name: str) -> None:
    view.locator(f"[data-tab='{name}']").click()


def test_click_a_node_press_check_and_read_prediction_and_measurement(
    page: Page, lab: JupyterServer
) -> None:
    view = open_graph(page, lab, "check.ipynb")
    with lab.kernel("check.ipynb") as ask:
        node = ask(f"{TEXAS}[0]")
        click_node(view, node)
        showing(page, node).wait_for()
        tab(view, "check")
        view.locator("[data-iw-check='done']").wait_for()
        rows = view.locator(".iw-effects tr.iw-line")
        assert {row.split("\t")[0].strip() for row in rows.all_inner_texts()[:3]} == {
            "graph predicts",
            "model says",
            "20 random",
        }
        # What stands there is what Python says when it is asked directly.
        said = ask(f"float(graph.measure({node!r}, 'total').change[0])")
        shown = view.locator("tr.iw-measured .iw-linenum").nth(1).inner_text()
        assert float(shown.replace("−", "-")) == pytest.approx(said, rel=0.01)
        view.screenshot(path=SCREENSHOTS / "graph-check-light.png")

        command(page, "apputils:change-theme", theme="JupyterLab Dark")
        view.locator("xpath=self::*[@data-iw-theme='dark']").wait_for()
        view.screenshot(path=SCREENSHOTS / "graph-check-dark.png")
        command(page, "apputils:change-theme", theme="JupyterLab Light")
        view.locator("xpath=self::*[@data-iw-theme='light']").wait_for()

        # The kernel was never blocked, and a second look asks nobody.
        asked = ask("graph.view.check['asked']")
        view.get_by_role("button", name="× 2").click()
        view.locator("[data-iw-check='done']").wait_for()
        assert ask("graph.view.check['asked']") == {**asked, "factor": 2}
        view.get_by_role("button", name="ablate").click()
        view.locator("[data-iw-check='done']").wait_for()
        assert ask("graph.view.check['asked']['factor']") == 2


def test_many_nodes_stream_in_and_can_be_cancelled(page: Page, lab: JupyterServer) -> None:
    view = open_graph(page, lab, "many.ipynb")
    with lab.kernel("many.ipynb") as ask:
        tab(view, "many")
        # While the model is held by somebody else, nobody can click too late.
        assert ask("model.lock.acquire()")
        view.locator(".iw-many .iw-ask").click()
        view.locator("[data-iw-many='computing']").get_by_role("button", name="Cancel").click()
        view.get_by_role("button", name="Cancelling").wait_for()
        ask("model.lock.release()")
        view.locator("[data-iw-many='cancelled']").wait_for()
        view.locator(".iw-many .iw-ask").click()
        view.locator("[data-iw-many='done']").wait_for()
        assert view.locator(".iw-point").count() == 40
        assert view.locator(".iw-controlpoint").count() == 40
        assert "n = 40" in view.locator(".iw-agree").inner_text()
        view.screenshot(path=SCREENSHOTS / "graph-many.png")
        # A point is its node.
        view.locator(".iw-point").first.dispatch_event("click")
        first = ask("graph.view.many['result']['series'][0]['ids'][0]")
        until(lambda: ask("graph.notes.selected") == [first], "the click on a point")


def test_swap_a_group_for_another_prompts(page: Page, lab: JupyterServer) -> None:
    view = open_graph(page, lab, "swap.ipynb")
    with lab.kernel("swap.ipynb") as ask:
        ids = ask(TEXAS)
        ask(f"graph.view.set_trait('groups', [['texas', *{ids!r}]])")
        ask(f"graph.view.set_trait('selected', {ids!r})")
        showing(page, " ".join(ids)).wait_for()
        tab(view, "swap")
        prompt, label = view.get_by_label("the prompt to take from"), view.get_by_label("label of")
        prompt.fill(ELSEWHERE)
        label.fill("california")
        label.press("Enter")
        view.locator("[data-iw-swap='done']").wait_for(timeout=120_000)
        view.screenshot(path=SCREENSHOTS / "graph-swap.png")
        first = {row["token"]: row for row in ask("graph.view.swap['result']['answers']")}
        view.get_by_role("button", name="× 1.5").click()
        # The page may still show the first answer as done: ask Python.
        state = "[graph.view.swap['asked']['strength'], graph.view.swap['state']]"
        until(lambda: ask(state) == [1.5, "done"], "the stronger swap")
        answers = {row["token"]: row for row in ask("graph.view.swap['result']['answers']")}
        # Sacramento gains by the swap, and not by any random one of the same size.
        sacramento = answers["sacramento"]
        assert sacramento["after"] > first["sacramento"]["after"] > 10 * sacramento["random"][2]
        rows = view.locator(".iw-answers tr.iw-line")
        until(lambda: rows.count() == len(answers), "the answers' rows")


def test_suggested_groups_are_accepted_renamed_rejected_and_undone(
    page: Page, lab: JupyterServer
) -> None:
    view = open_graph(page, lab, "groups.ipynb")
    with lab.kernel("groups.ipynb") as ask:
        tab(view, "groups")
        view.locator("[data-iw-proposals='done']").wait_for()
        view.screenshot(path=SCREENSHOTS / "graph-suggested.png")
        proposed = ask("graph.view.proposals['result']['proposals']")
        rows = view.locator(".iw-proposal")
        assert rows.count() == len(proposed) > 1
        assert ask("graph.notes.groups") == []
        rows.first.get_by_role("button", name="reject").click()
        until(lambda: rows.count() == len(proposed) - 1, "the proposal to go")
        rows.first.get_by_label("Name of the proposed group").fill("my name")
        rows.first.get_by_role("button", name="accept").click()
        group = ["my name", *proposed[1]["ids"]]
        until(lambda: ask("graph.notes.groups") == [group], "the group to reach Python")
        undo = view.get_by_role("button", name="undo")
        undo.click()
        until(lambda: ask("graph.notes.groups") == [], "undo to reach Python")
        undo.click()
        until(lambda: rows.count() == len(proposed), "both proposals to be back")


def test_a_graph_from_a_file_says_that_it_has_no_model(page: Page, lab: JupyterServer) -> None:
    view = open_graph(page, lab, "file.ipynb", "iw.Graph.load(graph.save('g.safetensors'))")
    loaded = drawn(page).nth(1)
    loaded.wait_for()
    tab(loaded, "many")
    assert "came from a file" in loaded.locator(".iw-many").inner_text()
    assert loaded.locator(".iw-ask").is_disabled()
    assert view.locator(".iw-ask").count() == 0


def test_a_selection_goes_to_linked_views_and_comes_from_them(
    page: Page, lab: JupyterServer
) -> None:
    page.set_viewport_size({"width": 1010, "height": 1500})
    make = (
        f"ablation = iw.ablate(model, {PROMPT!r})\n"
        f"steering = iw.steer(model, {PROMPT!r}, graph.features()[-1:], length=3)\n"
        "linked = iw.link(graph, ablation)"
    )
    view = open_graph(page, lab, "linked.ipynb", make, "ablation")
    with lab.kernel("linked.ipynb") as ask:
        until(lambda: ask("'linked' in globals()"), "the views", deadline=120)
        node = ask(f"{TEXAS}[0]")
        click_node(view, node)
        place = ask(f"(lambda n: f'mlp.L{{n.layer}}.p{{n.position}}')(graph.node({node!r}))")
        until(lambda: ask("ablation.selected") == [place], "the selection to reach the ablation")
        # A steering made of the graph's nodes is linked by itself.
        view.get_by_role("button", name="steer this").click()
        name = ask(f"graph.node({node!r}).label")
        view.get_by_text(f"The steering has a slider {name}.").wait_for()
        assert ask("[knob.name for knob in steering.knobs]")[-1] == name
        view.get_by_role("button", name="ablate this").click()
        view.get_by_text(f"The ablation measures {name}.").wait_for()
        page.locator(".iw-ablation").get_by_text(name).first.wait_for()
        assert ask("ablation.selected") == [name]
        view.screenshot(path=SCREENSHOTS / "graph-linked.png")
        # And back: a mark of the heatmap selects the graph's nodes there.
        ask(f"ablation.view.set_trait('selected', [{place!r}])")
        there = ask("[n.id for n in graph.selected]")
        assert there
        showing(page, " ".join(there)).wait_for()


def test_the_demo_runs_from_top_to_bottom(page: Page, lab: JupyterServer) -> None:
    shutil.copy(DEMO, lab.root / DEMO.name)
    open_and_run(page, lab, DEMO.name)
    with lab.kernel(DEMO.name) as ask:
        until(lambda: ask("'steering' in globals()"), "the last cell", deadline=400)
        assert ask("found.n") == 60
        assert ask("'texas' in graph.groups")
        random = ask("[found.controls['direct'].low, found.controls['direct'].high]")
        assert random[0] < 0 < random[1]
    assert page.locator(".jp-RenderedText[data-mime-type*='stderr'] >> text=Error").count() == 0
    page.locator(".js-plotly-plot .scatterlayer .trace").first.wait_for(timeout=120_000)
    page.locator(".iw-steering").first.wait_for()
