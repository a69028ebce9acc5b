"""A training as seen and steered in JupyterLab: by mouse, while the kernel goes on answering."""

from __future__ import annotations

import pathlib
import shutil
from typing import TYPE_CHECKING

import pytest

from e2e.browser import SCREENSHOTS, command, open_and_run, save_notebook
from e2e.servers import JupyterServer
from e2e.training import await_charts, drag, notebook_that_trains, views
from e2e.waiting import until

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from e2e.browser import Visit

DEMO = pathlib.Path(__file__).parents[2] / "demos" / "04_train_a_dictionary.ipynb"

pytestmark = pytest.mark.slow


def test_pause_change_k_stop_and_read_the_dictionary(page: Page, lab: JupyterServer) -> None:
    notebook = notebook_that_trains(lab, "train.ipynb")
    open_and_run(page, lab, notebook)
    view = page.locator(".iw-training")
    view.wait_for()
    await_charts(page)
    with lab.kernel(notebook) as ask:
        # The kernel answers while it trains.
        step = ask("training.step")
        until(lambda: ask("training.step") > step, "the training to go on")
        assert ask("training.state") == "computing"

        view.get_by_role("button", name="Pause").click()
        views(page, "paused").wait_for()
        assert ask("training.state") == "paused"
        step = ask("training.step")
        assert ask("training.settings()['k']") == 8

        drag(page, view.locator("[data-setting=k] input[type=range]"), to=0.75)
        view.get_by_text("applies when the training goes on").wait_for()
        asked = int(view.get_by_label("k", exact=True).input_value())
        assert asked > 8
        assert ask("(training.step, training.settings()['k'])") == [step, 8]

        view.get_by_role("button", name="Resume").click()
        until(lambda: ask("training.settings()['k']") == asked, "the new k")
        change = ask("[(c.step, c.what, c.old, c.new) for c in training.changes]")
        assert change == [[step, "k", 8, asked]]
        view.get_by_text(f"k 8 → {asked}, applied from step {step:,}").wait_for()
        until(lambda: ask("training.step") > step + 5, "steps with the new k")
        assert ask("training.history['L1']['k'][-1]") == asked
        # What was asked for happened: a token has that many active features at most, and nearly.
        assert 8 < ask("training.history['L1']['l0'][-1]") <= asked

        view.get_by_role("button", name="undo").click()
        until(lambda: ask("training.settings()['k']") == 8, "the old k")
        view.get_by_text(f"k {asked} → 8").wait_for()

        lr = view.get_by_label("learning rate", exact=True)
        lr.fill("5e-4")
        lr.press("Enter")
        until(lambda: ask("training.settings()['lr']") == 5e-4, "the learning rate")

        view.locator(".iw-t-row").first.click()
        until(lambda: ask("training.view.opened is not None"), "the feature to open")
        opened = ask("training.view.opened")
        view.get_by_text(f"feature {opened}", exact=True).wait_for()
        view.screenshot(path=SCREENSHOTS / "training-feature.png")
        page.keyboard.press("Escape")
        until(lambda: ask("training.view.opened is None"), "the list to be back")

        # A user's own style stays, whatever arrives after it.
        ask("training.figure.update_traces(line_color='#ff0000', selector={'name': 'fvu'}) and 1")
        red = page.locator(".js-plotly-plot path.js-line[style*='rgb(255, 0, 0)']")
        red.first.wait_for()
        step = ask("training.step")
        until(lambda: ask("training.step") > step + 50, "more of the curves")
        assert red.count() == 1
        view.screenshot(path=SCREENSHOTS / "training.png")

        view.get_by_role("button", name="Stop and keep").click()
        views(page, "stopped").wait_for()
        assert ask("training.state") == "stopped"
        assert ask("training.dictionary().n_features") == 256
        assert ask("training.dictionary().weights.activation.k") == 8
        assert view.get_by_role("button", name="Pause").count() == 0


def test_dark_theme_tabs_and_small_cells(page: Page, lab: JupyterServer) -> None:
    notebook = notebook_that_trains(lab, "two.ipynb", layers=(0, 2))
    open_and_run(page, lab, notebook)
    view = page.locator(".iw-training")
    view.wait_for()
    await_charts(page)
    with lab.kernel(notebook) as ask:
        view.get_by_role("tab", name="L2").click()
        until(lambda: ask("training.view.shown") == "L2", "the tab")
        view.get_by_text("TopK transcoder, L2, 256 features").wait_for()
        view.get_by_label("for all 2").check()
        k = view.get_by_label("k", exact=True)
        k.fill("12")
        k.press("Enter")
        until(
            lambda: ask("[training.settings(n)['k'] for n in training.names]") == [12, 12],
            "k of both dictionaries",
        )
        k.fill("100000")
        k.press("Enter")
        view.locator(".iw-t-problem").wait_for()
        assert "256" in view.locator(".iw-t-problem").inner_text()
        assert ask("training.settings('L2')['k']") == 12
        command(page, "apputils:change-theme", theme="JupyterLab Dark")
        page.locator(".iw-training[data-iw-theme='dark']").wait_for()
        until(
            lambda: ask("training.figure.layout.template.layout.paper_bgcolor") == "#1d1c1a",
            "the theme",
        )
        page.locator(".iw-training .main-svg[style*='rgb(29, 28, 26)']").first.wait_for()
        page.locator("#jupyterlab-splash").wait_for(state="detached")
        view.screenshot(path=SCREENSHOTS / "training-dark.png")
        command(page, "apputils:change-theme", theme="JupyterLab Light")
        page.locator(".iw-training[data-iw-theme='light']").wait_for()
        view.get_by_role("button", name="Cancel").click()
        view.get_by_role("button", name="Cancel training").click()
        views(page, "cancelled").wait_for()
        assert ask("training.state") == "cancelled"


def test_two_displays_and_an_output_that_is_cleared(page: Page, lab: JupyterServer) -> None:
    """plotly leaves listeners behind when a view goes; the next update would fail on the page."""
    notebook = notebook_that_trains(lab, "twice.ipynb", "training")
    open_and_run(page, lab, notebook)
    page.locator(".iw-training").nth(1).wait_for()
    await_charts(page, count=2)
    with lab.kernel(notebook) as ask:
        page.evaluate(
            "() => { const { content } = window.jupyterapp.shell.currentWidget;"
            "content.widgets[0].model.clearExecution?.();"
            "content.widgets[0].model.outputs?.clear();"
            "content.widgets[0].model.sharedModel.clearOutputs?.(); }"
        )
        page.wait_for_function("() => document.querySelectorAll('.iw-training').length === 1")
        step = ask("training.step")
        until(lambda: ask("training.step") > step + 100, "more of the curves")
        page.wait_for_function(
            "(step) => Number(document.querySelector('.iw-training').dataset.iwStep) > step",
            arg=step,
        )
        await_charts(page, count=1)
        page.locator(".iw-training").get_by_role("button", name="Pause").click()
        until(lambda: ask("training.state") == "paused", "the click")


def test_after_a_kernel_restart_the_view_says_so(page: Page, lab: JupyterServer) -> None:
    notebook = notebook_that_trains(lab, "restart.ipynb")
    open_and_run(page, lab, notebook)
    await_charts(page)
    page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
    )
    view = page.locator(".iw-training")
    notice = view.get_by_text("No kernel behind this view")
    notice.wait_for()
    assert view.get_by_role("button", name="Pause").count() == 0
    view.screenshot(path=SCREENSHOTS / "training-restarted.png")
    command(page, "notebook:run-all-cells")
    notice.wait_for(state="detached")
    views(page).wait_for()
    await_charts(page)


def test_a_notebook_reopened_without_its_kernel_shows_a_picture(
    page: Page, visited: Visit, lab: JupyterServer
) -> None:
    notebook = notebook_that_trains(lab, "kept.ipynb")
    open_and_run(page, lab, notebook)
    await_charts(page)
    with lab.kernel(notebook) as ask:
        until(lambda: ask("training.step") > 100, "some curves")
    page.locator(".iw-training").get_by_role("button", name="Stop and keep").click()
    views(page, "stopped").wait_for()
    assert not page.locator(".iw-kept").is_visible()
    page.wait_for_function(
        "() => document.querySelector('.iw-kept')?.textContent.includes('Stopped early, and kept')"
    )
    save_notebook(page)
    assert "Stopped early, and kept" in (lab.root / notebook).read_text("utf-8")

    lab.end_kernels()
    page.goto(lab.page_of(notebook, workspace="kept"))
    kept = page.locator(".iw-kept")
    kept.wait_for()
    assert kept.locator("img[src^='data:image/svg+xml']").evaluate("(img) => img.naturalWidth > 0")
    kept.screenshot(path=SCREENSHOTS / "training-kept.png")
    page.get_by_text("Error displaying widget").wait_for()
    visited.forget_dead_widgets()


def test_what_goes_wrong_is_a_sentence_in_the_view(page: Page, lab: JupyterServer) -> None:
    notebook = notebook_that_trains(
        lab,
        "failed.ipynb",
        "def runs_dry():\n    yield from text\n    raise ValueError('The disk with the text is gone.')",
        "broken = iw.train(model, what, runs_dry(), tokens=20_000_000, batch=256, context=16)\n"
        "training.stop()\nbroken",
    )
    open_and_run(page, lab, notebook)
    view = views(page, "failed")
    view.wait_for()
    view.locator(".iw-news").get_by_text("The disk with the text is gone.").wait_for()
    view.screenshot(path=SCREENSHOTS / "training-failed.png")


def test_the_demo_runs_to_its_end_when_the_training_is_stopped_by_mouse(
    page: Page, lab: JupyterServer
) -> None:
    shutil.copy(DEMO, lab.root / DEMO.name)
    open_and_run(page, lab, DEMO.name)
    view = page.locator(".iw-training")
    view.wait_for(timeout=120_000)
    page.wait_for_function(
        "() => Number(document.querySelector('.iw-training').dataset.iwStep) > 20", timeout=240_000
    )
    # A cell awaits the end by now, and the buttons work all the same.
    view.get_by_role("button", name="Stop and keep").click()
    views(page, "stopped").wait_for()
    view.screenshot(path=SCREENSHOTS / "training-demo.png")
    until((lab.root / "training.html").exists, "the last cell", deadline=300)
    assert page.locator(".jp-RenderedText[data-mime-type*='stderr'] >> text=Error").count() == 0
    assert (lab.root / "my-transcoder").is_dir()
