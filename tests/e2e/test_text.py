"""A prompt's tokens and features as seen and brushed in JupyterLab."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING

import pytest

from e2e.browser import SCREENSHOTS, command, open_and_run, save_notebook, visit
from e2e.held import HOLD
from e2e.servers import JupyterServer
from e2e.text import SHOW, drag, notebook_with_text, rows, shaded, token, views
from e2e.waiting import until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

    from e2e.browser import Visit

pytestmark = pytest.mark.slow

LAST_OF_DALLAS = 9


def selecting(page: Page, selected: str) -> Locator:
    return page.locator(f".iw-prompttext[data-iw-selected='{selected}']")


def brushing(page: Page, tokens: str) -> Locator:
    return page.locator(f".iw-prompttext[data-iw-tokens='{tokens}']")


def test_brush_the_city_find_the_state_and_click_it(page: Page, lab: JupyterServer) -> None:
    # As wide as a view of 900 px in JupyterLab's default layout.
    page.set_viewport_size({"width": 1300, "height": 1400})
    linked = "graph = iw.attribute(model, PROMPT).wait()\nlinked = iw.link(seen, graph)\ngraph"
    notebook = notebook_with_text(lab, "text.ipynb", SHOW, linked)
    open_and_run(page, lab, notebook)
    view = views(page)
    view.wait_for(timeout=180_000)
    page.locator(".iw-root[data-iw-state='drawn']").wait_for(timeout=60_000)
    with lab.kernel(notebook) as ask:
        until(lambda: ask("'linked' in globals()"), "the link", deadline=60)
        assert ask("seen.firing.tokens[9]") == "as"
        drag(page, view, LAST_OF_DALLAS, LAST_OF_DALLAS)
        brushing(page, "9").wait_for()
        until(lambda: ask("seen.tokens") == [9], "the brush to reach Python")
        first = rows(view)[:5]
        assert sum("texas" in label for _, label in first) >= 3, first
        ranked = ask("[f'L{r.layer}/{r.feature}' for r in seen.ranked(n=8)]")
        assert [code for code, _ in rows(view)[:8]] == ranked
        # All nodes of the graph at this token are selected with it.
        assert ask("{n.position for n in graph.selected} == {9}")
        view.screenshot(path=SCREENSHOTS / "text-brushed.png")

        texas = next(code for code, label in first if label == "texas")
        view.locator(f"[data-code='{texas}']").click()
        selecting(page, texas).wait_for()
        assert shaded(view) == [9]
        until(lambda: len(ask("seen.selected")) == 1, "the selection to reach Python")
        layer, number = ask("seen.selected[0]")
        assert f"L{layer}/{number}" == texas
        assert ask("[(t.layer, t.features) for t in seen.features]") == [[layer, [number]]]
        # The graph selects the feature's node at this token, and nothing else.
        until(lambda: ask("len(graph.selected)") == 1, "the graph to follow")
        assert ask("[(n.layer, n.feature, n.position) for n in graph.selected]") == [
            [layer, number, 9]
        ]
        view.screenshot(path=SCREENSHOTS / "text.png")

        # And back: another node of the graph selects its row and its token.
        other = ask("next(n.id for n in graph.features() if n.position == 5 and n.label)")
        place = ask(f"(lambda n: [n.layer, n.feature])(graph.node({other!r}))")
        ask(f"graph.view.set_trait('selected', [{other!r}])")
        selecting(page, f"L{place[0]}/{place[1]}").wait_for()
        brushing(page, "5").wait_for()

        page.keyboard.press("Escape")
        brushing(page, "").wait_for()
        until(lambda: ask("[seen.selected, seen.tokens]") == [[], []], "Python to hear of it")
        view.get_by_role("button", name="undo").click()
        brushing(page, "5").wait_for()

        view.get_by_role("radio", name="position").click()
        drag(page, view, LAST_OF_DALLAS, 10)
        command(page, "apputils:change-theme", theme="JupyterLab Dark")
        page.locator(".iw-prompttext[data-iw-theme='dark']").wait_for()
        page.locator("#jupyterlab-splash").wait_for(state="detached")
        view.screenshot(path=SCREENSHOTS / "text-dark.png")
        command(page, "apputils:change-theme", theme="JupyterLab Light")
        page.locator(".iw-prompttext[data-iw-theme='light']").wait_for()


def test_columns_are_brushed_and_cells_read_on_the_matrix(page: Page, lab: JupyterServer) -> None:
    linked = (
        "steering = iw.steer(model, PROMPT, iw.head(1, 2), length=2)\n"
        "linked = iw.link(seen, steering)"
    )
    notebook = notebook_with_text(lab, "matrix.ipynb", SHOW, linked)
    open_and_run(page, lab, notebook)
    view = views(page)
    view.wait_for(timeout=180_000)
    page.locator(".iw-prompttext[data-iw-indexed='true']").wait_for()
    canvas = view.locator("canvas.iw-x-canvas")
    box = canvas.bounding_box()
    assert box
    column = view.evaluate(
        "(v) => v.querySelector('.iw-x-sizer').getBoundingClientRect().width / 11.6"
    )
    first = rows(view)[0][0]
    row = view.locator(f"[data-code='{first}']").bounding_box()
    assert row
    middle = row["y"] + row["height"] / 2
    # The strongest feature's own cell says what it holds, and how usual that is.
    with lab.kernel(notebook) as ask:
        peak = ask("(lambda r: [r.peak, r.position])(seen.ranked(n=1)[0])")
        x = box["x"] + (peak[1] + 0.45) * column
        page.mouse.move(x, middle)
        view.get_by_text(f"{peak[0]:.2f}, strength").wait_for()
        assert "of its" in view.locator(".iw-x-read").inner_text()
        # A drag along a row brushes, a click takes the row.
        page.mouse.down()
        page.mouse.move(x + 2 * column, middle, steps=5)
        page.mouse.up()
        brushed = list(range(peak[1], peak[1] + 3))
        until(lambda: ask("seen.tokens") == brushed, "the columns")
        page.keyboard.press("Escape")
        brushing(page, "").wait_for()
        page.mouse.move(x, middle)
        page.mouse.click(x, middle)
        selecting(page, first).wait_for()
        assert shaded(view)
        # What is selected becomes a slider, at rest, of a linked steering.
        view.get_by_role("button", name="steer these").click()
        view.locator(".iw-x-told").get_by_text("The steering has a slider").wait_for()
        assert ask("steering.knobs[-1].place") == first


def test_another_prompt_in_place_cancelled_and_run_again(page: Page, lab: JupyterServer) -> None:
    notebook = notebook_with_text(lab, "edit.ipynb", HOLD, SHOW)
    open_and_run(page, lab, notebook)
    view = views(page)
    view.wait_for(timeout=180_000)
    with lab.kernel(notebook) as ask:
        ask("hold() or 1")
        view.get_by_role("button", name="edit").click()
        field = view.get_by_label("Prompt", exact=True).locator("visible=true").last
        field.fill("the capital of the state containing miami is")
        field.press("Enter")
        busy = views(page, "computing")
        busy.wait_for()
        busy.get_by_text(
            "Running the prompt: “the capital of the state containing miami"
        ).wait_for()
        busy.screenshot(path=SCREENSHOTS / "text-computing.png")
        # What was there can be brushed while the model is busy.
        drag(page, busy, 3, 4)
        brushing(page, "3 4").wait_for()
        busy.get_by_role("button", name="Cancel").click()
        ask("release.set() or 1")
        stopped = views(page, "cancelled")
        stopped.wait_for()
        stopped.get_by_text("Cancelled.").first.wait_for()
        assert ask("seen.state") == "cancelled"
        stopped.get_by_role("button", name="Run").click()
        miami = page.locator(".iw-prompttext[data-iw-prompt*='miami'][data-iw-state='done']")
        miami.wait_for()
        assert ask("seen.prompt") == "the capital of the state containing miami is"
        # A prompt that is too long is a sentence, and what was there stays.
        view.get_by_role("button", name="edit").click()
        field.fill("the state " * 60)
        field.press("Enter")
        view.get_by_text("reads at most 64").first.wait_for()
        assert miami.count() == 1
        view.screenshot(path=SCREENSHOTS / "text-too-long.png")


def test_after_a_kernel_restart_brushing_goes_on(page: Page, lab: JupyterServer) -> None:
    notebook = notebook_with_text(lab, "restart.ipynb", SHOW)
    open_and_run(page, lab, notebook)
    view = views(page)
    view.wait_for(timeout=180_000)
    page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
    )
    notice = view.get_by_text("No kernel behind this view")
    notice.wait_for()
    drag(page, view, 7, LAST_OF_DALLAS)
    brushing(page, "7 8 9").wait_for()
    view.locator("[data-row]").first.click()
    assert shaded(view)
    view.screenshot(path=SCREENSHOTS / "text-restarted.png")


def test_a_notebook_reopened_without_its_kernel_shows_a_picture(
    page: Page, visited: Visit, lab: JupyterServer
) -> None:
    notebook = notebook_with_text(lab, "kept_text.ipynb", SHOW)
    open_and_run(page, lab, notebook)
    view = views(page)
    view.wait_for(timeout=180_000)
    kept = page.locator(".iw-kept")
    assert not kept.is_visible()
    drag(page, view, LAST_OF_DALLAS, LAST_OF_DALLAS)
    page.wait_for_function(
        "() => document.querySelector('.iw-kept')?.textContent.includes('underlined tokens')"
    )
    save_notebook(page)
    assert "underlined tokens" in (lab.root / notebook).read_text("utf-8")

    lab.end_kernels()
    page.goto(lab.page_of(notebook, workspace="kept-text"))
    kept.wait_for()
    picture = kept.locator("img[src^='data:image/svg+xml']")
    assert picture.evaluate("(img) => img.decode().then(() => img.naturalWidth > 0)")
    kept.screenshot(path=SCREENSHOTS / "text-kept.png")
    page.get_by_text("Error displaying widget").wait_for()
    visited.forget_dead_widgets()


def test_neurons_have_two_colours(page: Page, lab: JupyterServer) -> None:
    notebook = notebook_with_text(lab, "neurons.ipynb", 'iw.text(model, PROMPT, "neurons")')
    open_and_run(page, lab, notebook)
    view = views(page)
    view.wait_for(timeout=180_000)
    view.get_by_text("below 0", exact=True).wait_for()
    view.locator("[data-row]").first.click()
    assert len(shaded(view)) > 3
    assert view.locator(".iw-x-mark.iw-x-neg").count() > 0
    view.screenshot(path=SCREENSHOTS / "text-neurons.png")


def test_a_saved_page_is_brushed_without_kernel_and_network(
    browser: Browser, tmp_path: pathlib.Path
) -> None:
    import interp_widgets as iw
    from interp_widgets.views.text_live import text

    seen = text(iw.load(), "the capital of the state containing dallas is").wait(120)
    path = seen.save_html(tmp_path / "text.html")
    with visit(browser, "text_saved_page", width=900, height=500) as visited:
        page = visited.page
        page.goto(path.as_uri())
        view = views(page)
        view.wait_for()
        drag(page, view, LAST_OF_DALLAS, LAST_OF_DALLAS)
        brushing(page, "9").wait_for()
        assert sum("texas" in label for _, label in rows(view)[:5]) >= 3
        view.locator("[data-row]").first.click()
        assert shaded(view) == [9]
        token(view, 3).hover()
        view.get_by_text("fire here").wait_for()
        assert view.get_by_role("button", name="edit").count() == 0
        # Nothing sticks out at 900 x 500.
        wide = page.evaluate("() => document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0
    assert not visited.outside
    assert not visited.problems
