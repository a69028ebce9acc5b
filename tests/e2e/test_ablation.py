"""Patching and ablation as seen and clicked in JupyterLab."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from e2e.ablation import HELD, SHOW, await_result, notebook_that_ablates, views
from e2e.browser import SCREENSHOTS, command, open_and_run, save_notebook
from e2e.servers import JupyterServer

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from e2e.browser import Visit

pytestmark = pytest.mark.slow


def test_click_add_turn_around_and_read_in_the_next_cell(page: Page, lab: JupyterServer) -> None:
    notebook = notebook_that_ablates(lab, "ablate.ipynb", SHOW)
    open_and_run(page, lab, notebook)
    view = views(page)
    view.wait_for(timeout=180_000)
    with lab.kernel(notebook) as ask:
        last = ask("ablation.shape.positions") - 1
        view.get_by_role("tab", name="attention").click()
        cell = view.locator(f"[role=gridcell][data-cell='{last + 4 * (last + 1)}']")  # L4, last
        cell.click()
        await_result(page, f"attention.L4.p{last}")
        assert ask("ablation.selected") == [f"attention.L4.p{last}"]
        effect = ask(f"round(ablation.heatmap('attention').effect[4, {last}], 3)")
        assert effect != 0
        shown = view.locator(".iw-a-figure").inner_text()
        assert shown.startswith(("−" if effect < 0 else "+") + f"{abs(effect):.1f} logits")
        assert "20 random changes as large" in view.locator(".iw-a-control").inner_text()
        view.get_by_text("text, always the likeliest token").wait_for()
        view.screenshot(path=SCREENSHOTS / "ablation.png")

        page.keyboard.press("ArrowDown")
        page.keyboard.press("Shift+Enter")
        both = [f"attention.L4.p{last}", f"attention.L3.p{last}"]
        await_result(page, *both)
        assert ask("ablation.selected") == both
        joint = ask(f"round(ablation.measure(*{both}).joint, 4)")
        assert ask("round(ablation.view.result['effect']['joint'], 4)") == joint
        view.get_by_text("all together").wait_for()
        view.screenshot(path=SCREENSHOTS / "ablation-two.png")

        view.get_by_role("radio", name="denoising").click()
        page.locator(".iw-ablation[data-iw-direction='denoising'][data-iw-state='done']").wait_for()
        await_result(page, *both)
        assert ask("ablation.direction") == "denoising"
        assert ask("ablation.view.result['effect']['joint']") > 0
        view.screenshot(path=SCREENSHOTS / "ablation-denoising.png")

        # What Python selects is selected on the page.
        ask("setattr(ablation.view, 'selected', ['heads.L4.h0']) or 1")
        await_result(page, "heads.L4.h0")
        command(page, "apputils:change-theme", theme="JupyterLab Dark")
        page.locator(".iw-ablation[data-iw-theme='dark']").wait_for()
        view.get_by_role("tab", name="heads").click()
        page.locator("#jupyterlab-splash").wait_for(state="detached")
        view.screenshot(path=SCREENSHOTS / "ablation-dark.png")
        command(page, "apputils:change-theme", theme="JupyterLab Light")
        page.locator(".iw-ablation[data-iw-theme='light']").wait_for()


def test_a_second_look_needs_no_kernel(page: Page, lab: JupyterServer) -> None:
    notebook = notebook_that_ablates(lab, "second.ipynb", SHOW)
    open_and_run(page, lab, notebook)
    views(page).wait_for(timeout=180_000)
    page.evaluate("() => document.querySelector(\"[data-cell='9']\").click()")
    await_result(page, "residual.L0.p9")
    page.evaluate("() => document.querySelector(\"[data-cell='8']\").click()")
    await_result(page, "residual.L0.p8")
    # In the very call of the click, so nobody was asked.
    seen = page.evaluate(
        """() => {
          document.querySelector("[data-cell='9']").click();
          const view = document.querySelector(".iw-ablation");
          return [view.dataset.iwSelected, view.dataset.iwResult, view.innerText];
        }"""
    )
    assert seen[:2] == ["residual.L0.p9", "done"]
    assert "20 random changes as large" in seen[2]


def test_interventions_by_name_and_the_warning_about_zeros(page: Page, lab: JupyterServer) -> None:
    cell = (
        'what = {"two heads": [head(1, 2), head(3, 0)], "MLP 3": mlp(3)}\n'
        'ablation = iw.ablate(model, "the capital of the state containing dallas is", what)\nablation'
    )
    notebook = notebook_that_ablates(lab, "given.ipynb", cell)
    open_and_run(page, lab, notebook)
    view = views(page)
    view.wait_for(timeout=180_000)
    await_result(page, "two heads", "MLP 3")
    view.get_by_text("a model may never see zeros there").wait_for()
    view.screenshot(path=SCREENSHOTS / "ablation-given.png")
    view.get_by_role("button", name="two heads", exact=True).click()
    await_result(page, "MLP 3")
    with lab.kernel(notebook) as ask:
        assert ask("ablation.selected") == ["MLP 3"]


def test_cancel_while_it_computes_and_go_on(page: Page, lab: JupyterServer) -> None:
    notebook = notebook_that_ablates(lab, "cancel.ipynb", HELD)
    open_and_run(page, lab, notebook)
    view = views(page, "computing")
    view.wait_for(timeout=180_000)
    view.get_by_text("Running the prompts").first.wait_for()
    view.screenshot(path=SCREENSHOTS / "ablation-computing.png")
    view.get_by_role("button", name="Cancel").click()
    views(page, "cancelled").wait_for()
    with lab.kernel(notebook) as ask:
        assert ask("ablation.state") == "cancelled"
        ask("release.set() or 1")
        views(page, "cancelled").get_by_role("button", name="Resume").click()
        views(page).wait_for()
        assert ask("ablation.state") == "done"


def test_after_a_kernel_restart_the_view_says_so(page: Page, lab: JupyterServer) -> None:
    notebook = notebook_that_ablates(lab, "restart.ipynb", SHOW)
    open_and_run(page, lab, notebook)
    view = views(page)
    view.wait_for(timeout=180_000)
    page.evaluate("() => document.querySelector(\"[data-cell='9']\").click()")
    await_result(page, "residual.L0.p9")
    page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
    )
    notice = view.get_by_text("No kernel behind this view")
    notice.wait_for()
    # What was measured can still be looked at.
    page.evaluate("() => document.querySelector(\"[data-cell='8']\").click()")
    page.evaluate("() => document.querySelector(\"[data-cell='9']\").click()")
    assert view.get_attribute("data-iw-result") == "done"
    view.screenshot(path=SCREENSHOTS / "ablation-restarted.png")
    command(page, "notebook:run-all-cells")
    notice.wait_for(state="detached", timeout=180_000)
    views(page).wait_for()


def test_a_notebook_reopened_without_its_kernel_shows_a_picture(
    page: Page, visited: Visit, lab: JupyterServer
) -> None:
    notebook = notebook_that_ablates(lab, "kept.ipynb", SHOW)
    open_and_run(page, lab, notebook)
    views(page).wait_for(timeout=180_000)
    assert not page.locator(".iw-kept").is_visible()
    page.wait_for_function(
        "() => document.querySelectorAll('.iw-kept img').length === 4"
        " && !document.querySelector('.iw-kept').textContent.includes('Still computing')"
    )
    save_notebook(page)
    assert "Noising: the clean prompt runs" in (lab.root / notebook).read_text("utf-8")

    lab.end_kernels()
    page.goto(lab.page_of(notebook, workspace="kept"))
    kept = page.locator(".iw-kept")
    kept.wait_for()
    for picture in kept.locator("img[src^='data:image/svg+xml']").all():
        assert picture.evaluate("(img) => img.decode().then(() => img.naturalWidth > 0)")
    kept.screenshot(path=SCREENSHOTS / "ablation-kept.png")
    page.get_by_text("Error displaying widget").wait_for()
    visited.forget_dead_widgets()


def test_what_goes_wrong_is_a_sentence_in_the_view(page: Page, lab: JupyterServer) -> None:
    damage = "model.hf.model.layers[2].mlp.down_proj.weight[0, 0] = float('nan')"
    notebook = notebook_that_ablates(lab, "damaged.ipynb", damage, SHOW)
    open_and_run(page, lab, notebook)
    view = views(page, "failed")
    view.wait_for(timeout=180_000)
    view.locator(".iw-news").get_by_text("logits that are not finite").wait_for()
    view.screenshot(path=SCREENSHOTS / "ablation-failed.png")
