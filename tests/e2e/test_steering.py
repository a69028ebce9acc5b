"""A steering in JupyterLab: by mouse and keyboard, while the kernel does something else."""

from __future__ import annotations

import pathlib
import shutil
from typing import TYPE_CHECKING

import pytest

from e2e.browser import SCREENSHOTS, command, open_and_run, save_notebook
from e2e.servers import JupyterServer
from e2e.steering import (
    await_run,
    await_text,
    await_written,
    notebook_that_steers,
    run_of,
    slider,
)
from e2e.training import drag
from e2e.waiting import until

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from e2e.browser import Visit

DEMO = pathlib.Path(__file__).parents[2] / "demos" / "02_steering.ipynb"

pytestmark = pytest.mark.slow


def test_turn_type_compare_and_go_back(page: Page, lab: JupyterServer) -> None:
    page.set_viewport_size({"width": 1340, "height": 900})
    notebook = notebook_that_steers(lab, "steer.ipynb")
    open_and_run(page, lab, notebook)
    view = page.locator(".iw-steering")
    await_text(page)
    view.get_by_text("Move a slider below.").wait_for()
    with lab.kernel(notebook) as ask:
        base = ask("steering.texts['unsteered']")
        await_written(page, 0, base)
        assert ask("len(steering.interventions())") == 0

        run = run_of(view)
        drag(page, slider(view, "texas"), to=0.9)
        await_run(page, run)
        mode, value = ask("[(t.mode, t.value) for t in steering.variants[0].turns][0]")
        assert (mode, value > 0) == ("add", True)
        await_written(page, 1, ask("steering.texts['A']"))
        assert len(ask("steering.interventions()[0].to_json() and [1]")) == 1
        view.screenshot(path=SCREENSHOTS / "steering.png")

        # The same slider by keyboard, and by a typed number.
        run = run_of(view)
        slider(view, "texas").press("ArrowLeft")
        await_run(page, run)
        assert ask("steering.variants[0].turns[0].value") < value
        run = run_of(view)
        field = view.get_by_label("texas", exact=True)
        field.fill("-12.5")
        field.press("Enter")
        await_run(page, run)
        sigmas = "steering.variants[0].turns[0].value / steering.knobs[0].size.sigma"
        assert abs(ask(sigmas) + 12.5) < 1e-6
        assert field.input_value() == "−12.5"

        # Pinned at 0: the feature is off, for the prompt and all that is written.
        run = run_of(view)
        view.get_by_label("How texas is changed").select_option("pin")
        await_run(page, run)
        assert ask("{str(each.operation) for each in steering.interventions()} == {'= 0'}")

        # Two variants, each with its text, on the same draws.
        run = run_of(view)
        view.get_by_role("button", name="another variant").click()
        await_run(page, run)
        run = run_of(view)
        drag(page, slider(view, "one of them"), to=0.2)
        await_run(page, run)
        run = run_of(view)
        temperature = view.get_by_label("temperature")
        temperature.fill("0.8")
        temperature.press("Enter")
        await_run(page, run)
        assert ask("[v.name for v in steering.variants]") == ["A", "B"]
        assert view.locator(".iw-s-column").count() == 3
        for column, name in enumerate(("unsteered", "A", "B")):
            await_written(page, column, ask(f"steering.texts['{name}']"))

        # What could have stood there, before and after.
        token = view.locator(".iw-s-text[data-row='2'] [data-at='3']")
        token.click()
        page.wait_for_function(
            "() => document.querySelector('[data-row=\"2\"] [aria-selected=true]')?.dataset.at === '3'"
        )
        until(
            lambda: ask("[steering.view.next['row'], steering.view.next['at']]") == [2, 3], "next"
        )
        view.screenshot(path=SCREENSHOTS / "steering-variants.png")

        # One click is enough to be back where nothing was turned; nothing is written again.
        view.locator(".iw-s-entry", has_text="unsteered").last.click()
        page.wait_for_function("() => document.querySelectorAll('.iw-s-column').length === 2")
        until(lambda: ask("len(steering.interventions())") == 0, "the way back")
        assert ask("steering.writing.job") is None
        await_written(page, 0, base)

        command(page, "apputils:change-theme", theme="JupyterLab Dark")
        page.locator(".iw-steering[data-iw-theme='dark']").wait_for()
        page.locator("#jupyterlab-splash").wait_for(state="detached")
        run = run_of(view)
        drag(page, slider(view, "texas"), to=0.2)
        await_run(page, run)
        view.screenshot(path=SCREENSHOTS / "steering-dark.png")
        command(page, "apputils:change-theme", theme="JupyterLab Light")
        page.locator(".iw-steering[data-iw-theme='light']").wait_for()


def test_dragging_while_a_cell_is_running(page: Page, lab: JupyterServer) -> None:
    """Older and newer ipykernels differ: some act at once, others when the cell is done."""
    gate = lab.root / "gate"
    cell = (
        "import pathlib, time\n"
        f"while not pathlib.Path({str(gate)!r}).exists():\n"
        "    time.sleep(0.02)"
    )
    notebook = notebook_that_steers(lab, "busy.ipynb", "_ = steering.wait()", cell, length=50)
    open_and_run(page, lab, notebook)
    view = page.locator(".iw-steering")
    await_text(page)
    page.wait_for_function(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'busy'"
    )
    run = run_of(view)
    drag(page, slider(view, "texas"), to=0.85)
    held = slider(view, "texas").input_value()
    page.wait_for_function(
        """(run) => Number(document.querySelector('.iw-steering').dataset.iwRun) > run
             || document.querySelector('.iw-news').textContent.includes('busy with a cell')""",
        arg=run,
    )
    # The page is alive: another slider can be dragged, and none jumps back.
    drag(page, slider(view, "one of them"), to=0.3)
    assert slider(view, "texas").input_value() == held
    view.screenshot(path=SCREENSHOTS / "steering-busy.png")
    gate.touch()
    with lab.kernel(notebook) as ask:
        until(
            lambda: ask("[not turn.rests for turn in steering.variants[0].turns]") == [True, True],
            "both sliders to be heard",
        )
        until(lambda: ask("steering.state") == "done", "the text")
        await_run(page, run)
        page.wait_for_function(
            "() => !document.querySelector('.iw-news').textContent.includes('busy')"
        )
        await_written(page, 1, ask("steering.texts['A']"))
        assert slider(view, "texas").input_value() == held


def test_tokens_arrive_while_a_cell_is_running(page: Page, lab: JupyterServer) -> None:
    """They come from a thread of their own; the cell ends when the page has shown the last."""
    gate = lab.root / "stream-gate"
    cell = (
        "import pathlib, time\n"
        "steering.turn('texas', -10)\n"
        f"while not pathlib.Path({str(gate)!r}).exists():\n"
        "    time.sleep(0.02)"
    )
    notebook = notebook_that_steers(lab, "stream.ipynb", "_ = steering.wait()", cell)
    open_and_run(page, lab, notebook)
    await_text(page)
    page.wait_for_function(
        "() => Number(document.querySelector('.iw-steering').dataset.iwSteered) > 0"
    )
    await_run(page, 1)
    assert not gate.exists()
    gate.touch()
    with lab.kernel(notebook) as ask:
        await_written(page, 1, ask("steering.texts['A']"))


def test_a_release_while_text_streams_starts_over_and_cancel_stops(
    page: Page, lab: JupyterServer
) -> None:
    notebook = notebook_that_steers(lab, "latest.ipynb", length=50)
    open_and_run(page, lab, notebook)
    view = page.locator(".iw-steering")
    await_text(page)
    with lab.kernel(notebook) as ask:
        for to in (0.9, 0.7, 0.1):
            drag(page, slider(view, "texas"), to=to)
        turned = ask("steering.knobs[0].limits['add'][0]")
        until(lambda: ask("steering.variants[0].turns[0].value") < 0.7 * turned, "the last release")
        page.locator(".iw-steering[data-iw-state='done']").wait_for()
        await_written(page, 1, ask("steering.texts['A']"))

        drag(page, slider(view, "texas"), to=0.95)
        view.get_by_role("button", name="Cancel").click()
        page.locator(".iw-steering[data-iw-state='cancelled']").wait_for()
        assert ask("steering.state") == "cancelled"
        assert ask("len(steering.tokens())") < 50
        view.get_by_text("Cancelled: this is the text so far.").first.wait_for()
        view.screenshot(path=SCREENSHOTS / "steering-cancelled.png")
        view.get_by_role("button", name="Write again").click()
        page.locator(".iw-steering[data-iw-state='done']").wait_for()
        await_written(page, 1, ask("steering.texts['A']"))


def test_after_a_kernel_restart_and_without_a_kernel(
    page: Page, visited: Visit, lab: JupyterServer
) -> None:
    notebook = notebook_that_steers(
        lab, "kept.ipynb", "steering.turn('texas', -12)\nsteering.wait().texts['A']"
    )
    open_and_run(page, lab, notebook)
    view = page.locator(".iw-steering")
    await_text(page)
    await_run(page, 1)
    with lab.kernel(notebook) as ask:
        steered = ask("steering.texts['A']").strip()
    page.wait_for_function(
        "(text) => document.querySelector('.iw-s-kept')?.textContent.includes(text)", arg=steered
    )
    assert not page.locator(".iw-s-kept").is_visible()
    save_notebook(page)
    assert "iw-s-kept" in (lab.root / notebook).read_text("utf-8")
    page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
    )
    view.get_by_text("No kernel behind this view").wait_for()
    assert slider(view, "texas").is_disabled()
    view.screenshot(path=SCREENSHOTS / "steering-restarted.png")

    lab.end_kernels()
    page.goto(lab.page_of(notebook, workspace="kept-steering"))
    kept = page.locator(".iw-s-kept")
    kept.wait_for()
    page.wait_for_function(
        "(text) => document.querySelector('.iw-s-kept')?.innerText.includes(text)", arg=steered
    )
    kept.screenshot(path=SCREENSHOTS / "steering-kept.png")
    page.get_by_text("Error displaying widget").wait_for()
    visited.forget_dead_widgets()


def test_the_demo_runs_and_its_doses_are_drawn(page: Page, lab: JupyterServer) -> None:
    page.set_viewport_size({"width": 1340, "height": 1100})
    shutil.copy(DEMO, lab.root / DEMO.name)
    open_and_run(page, lab, DEMO.name)
    until((lab.root / "steering.html").exists, "the last cell", deadline=500)
    assert page.locator(".jp-RenderedText[data-mime-type*='stderr'] >> text=Error").count() == 0
    language = page.locator(".iw-steering").last
    language.scroll_into_view_if_needed()
    dose = language.locator(".iw-s-dose[data-iw-dose='done']")
    dose.locator(".js-plotly-plot .scatterlayer path.js-line").first.wait_for()
    dose.get_by_text("20 random directions, 95%").wait_for()
    language.screenshot(path=SCREENSHOTS / "steering-demo.png")
    command(page, "apputils:change-theme", theme="JupyterLab Dark")
    page.locator(".iw-steering[data-iw-theme='dark']").last.wait_for()
    page.locator("#jupyterlab-splash").wait_for(state="detached")
    language.locator(".main-svg[style*='rgb(29, 28, 26)']").first.wait_for()
    language.screenshot(path=SCREENSHOTS / "steering-demo-dark.png")
    command(page, "apputils:change-theme", theme="JupyterLab Light")
    page.locator(".iw-steering[data-iw-theme='light']").last.wait_for()
