"""From a node of a graph to what it means, and back with a label, in JupyterLab."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from e2e.browser import SCREENSHOTS, command, open_and_run, save_notebook
from e2e.graph_view import click_node, drawn, showing
from e2e.servers import JupyterServer

if TYPE_CHECKING:
    from e2e.browser import Visit

pytestmark = pytest.mark.slow

CELLS = (
    """
import interp_widgets as iw
model = iw.load()
graph = iw.attribute(model, "the capital of the state containing dallas is").wait()
graph
""".strip(),
)
NODE = "[n for n in graph.features('texas') if n.token.strip() == 'as' or n.position == 9][0].id"


def test_click_a_node_try_a_text_name_it_and_find_the_name_again(
    visited: Visit, lab: JupyterServer
) -> None:
    page = visited.page
    page.set_viewport_size({"width": 1340, "height": 900})
    lab.write_notebook("meaning.ipynb", *CELLS)
    open_and_run(page, lab, "meaning.ipynb")
    view = drawn(page).first
    view.wait_for(timeout=120_000)
    with lab.kernel("meaning.ipynb") as ask:
        node = ask(NODE)
        layer, feature = ask(f"[graph.node({node!r}).layer, graph.node({node!r}).feature]")
        click_node(view, node)
        showing(page, node).wait_for()
        # A few examples stand beside the links, without being asked for.
        brief = view.locator(".iw-brief .iw-c-example")
        brief.first.wait_for()
        assert brief.count() == 3
        view.screenshot(path=SCREENSHOTS / "meaning-brief.png")

        view.get_by_role("button", name="all of its meaning").click()
        card = view.locator(f".iw-card[data-iw-card='L{layer}/{feature}'][data-iw-pending='false']")
        card.wait_for()
        assert "texas" in card.locator("button.iw-c-title").inner_text()
        card.get_by_text("writes to the output").wait_for()
        view.screenshot(path=SCREENSHOTS / "meaning.png")

        # Type, and see it fire where Python says it does.
        field = card.get_by_role("textbox", name="Test text")
        field.fill("the bird of the state containing dallas is")
        shaded = card.locator(".iw-c-fired mark").first
        shaded.wait_for()
        said = ask(
            "[t for t, a in zip(*(graph.view.firing['result'][k] for k in "
            "('tokens', 'activations'))) if a > 0]"
        )
        assert [t.strip() for t in card.locator(".iw-c-fired mark").all_inner_texts()] == [
            t.strip() for t in said
        ]
        view.screenshot(path=SCREENSHOTS / "meaning-test-text.png")

        # A label is the feature's: it stands in the graph, and in the file, and in the next graph.
        card.locator("button.iw-c-title").click()
        name = card.get_by_role("textbox", name="Label")
        name.fill("lone star state")
        name.press("Enter")
        card.locator("button.iw-c-title", has_text="lone star state").wait_for()
        view.locator(".iw-head .iw-title", has_text="lone star state").wait_for()
        assert ask(f"graph.node({node!r}).label") == "lone star state"
        view.screenshot(path=SCREENSHOTS / "meaning-label.png")
        command(page, "apputils:change-theme", theme="JupyterLab Dark")
        view.locator("xpath=self::*[@data-iw-theme='dark']").wait_for()
        view.screenshot(path=SCREENSHOTS / "meaning-dark.png")
        command(page, "apputils:change-theme", theme="JupyterLab Light")
        view.locator("xpath=self::*[@data-iw-theme='light']").wait_for()
        assert ask(
            f"(graph.save('l.safetensors'), iw.Graph.load('l.safetensors').node({node!r}).label)[1]"
        ) == ("lone star state")

    save_notebook(page)
    page.goto("about:blank")  # a page complains about a kernel that goes away under it
    lab.end_kernels()
    open_and_run(page, lab, "meaning.ipynb")
    again = drawn(page).first
    again.wait_for(timeout=120_000)
    with lab.kernel("meaning.ipynb") as ask:
        assert ask(f"graph.node({node!r}).label") == "lone star state"
        click_node(again, node)
        again.locator(".iw-head .iw-title", has_text="lone star state").wait_for()
    visited.forget_dead_widgets()  # what the first kernel left in the notebook
