"""Features as found, read, tried and named in JupyterLab."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from e2e.browser import PANEL, SCREENSHOTS, command, open_and_run, save_notebook
from e2e.features import HELD, SHOW, card, find, notebook_with_features, try_text, views
from e2e.servers import JupyterServer
from e2e.waiting import until

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from e2e.browser import Visit

pytestmark = pytest.mark.slow


def test_search_open_try_a_text_and_name_it_for_good(page: Page, lab: JupyterServer) -> None:
    notebook = notebook_with_features(lab, "features.ipynb", SHOW)
    open_and_run(page, lab, notebook)
    view = views(page)
    view.wait_for(timeout=180_000)
    view.locator(".iw-f-row").first.wait_for()
    find(view, "texas")
    row = view.locator(".iw-f-row").first
    assert "texas" in (row.text_content() or "")
    name = row.get_attribute("data-row") or ""
    row.click()
    shown = card(view, name)
    shown.wait_for()
    assert "random labels" in shown.locator(".iw-c-provenance").inner_text()
    shown.get_by_role("heading", name="writes to the output").wait_for()

    with lab.kernel(notebook) as ask:
        layer, feature = (int(part) for part in name[1:].split("/"))
        assert ask("index.view.opened") == [layer, feature]
        try_text(shown, "the capital of the state containing dallas is")
        fired = ask(
            f"index.fire('the capital of the state containing dallas is').of({layer}, {feature})"
            ".tolist()"
        )
        # The special token in front is not shown.
        active = [at for at, value in enumerate(fired[1:]) if value > 0]
        assert active
        tokens = shown.locator(".iw-c-token")
        shaded = tokens.evaluate_all(
            "(all) => all.flatMap((el, at) => (el.querySelector('mark') ? [at] : []))"
        )
        assert shaded == active
        tokens.nth(active[0]).hover()
        assert f"{max(fired):.2f}" in shown.locator(".iw-c-testbox").inner_text()
        view.screenshot(path=SCREENSHOTS / "features.png")

        # An example is copied by a click, and tried.
        example = shown.locator(".iw-c-example").first
        example.click()
        shown.get_by_text("strongest in the index").wait_for()

        shown.locator(".iw-c-title").first.click()
        page.keyboard.type("lone star state")
        page.keyboard.press("Enter")
        shown.get_by_text("by hand").wait_for()
        shown.get_by_text("its examples separate").wait_for()
        assert ask(f"index.book.get({layer}, {feature}).text") == "lone star state"
        assert "lone star state" in (view.locator(".iw-f-row").first.text_content() or "")

    # A new kernel, a new page: the label is the feature's.
    page.goto("about:blank")  # a page complains about a kernel that goes away under it
    lab.end_kernels()
    open_and_run(page, lab, notebook)
    view = views(page)
    view.wait_for(timeout=180_000)
    find(view, "lone star state")
    view.locator(f".iw-f-row[data-row='{name}']").click()
    again = card(view, name)
    again.wait_for()
    assert again.locator(".iw-c-title").first.inner_text() == "lone star state"

    command(page, "apputils:change-theme", theme="JupyterLab Dark")
    page.locator(".iw-features[data-iw-theme='dark']").wait_for()
    page.locator("#jupyterlab-splash").wait_for(state="detached")
    try_text(again, "i live in dallas , texas")
    view.screenshot(path=SCREENSHOTS / "features-dark.png")
    command(page, "apputils:change-theme", theme="JupyterLab Light")
    page.locator(".iw-features[data-iw-theme='light']").wait_for()


def test_every_way_to_search_and_two_beside_each_other(page: Page, lab: JupyterServer) -> None:
    notebook = notebook_with_features(lab, "search.ipynb", SHOW)
    open_and_run(page, lab, notebook)
    # The room that a notebook leaves on a laptop: about 900 x 500.
    page.set_viewport_size({"width": 1280, "height": 720})
    view = views(page)
    view.wait_for(timeout=180_000)
    for by, text in (("token", "texas"), ("prompt", "i live in dallas"), ("promotes", "austin")):
        find(view, text, by)
        view.locator(".iw-f-row").first.wait_for()
        view.screenshot(path=SCREENSHOTS / f"features-{by}.png")
    first, second = (
        view.locator(".iw-f-row").nth(at).get_attribute("data-row") or "" for at in (0, 1)
    )
    view.locator(".iw-f-row").nth(0).click()
    card(view, first).wait_for()
    view.get_by_role("button", name="compare").click()
    view.locator(".iw-f-row").nth(1).click()
    card(view, second).wait_for()
    try_text(card(view, second), "the capital of texas is austin")
    card(view, first).locator(".iw-c-fired").get_by_text("austin").wait_for()
    view.screenshot(path=SCREENSHOTS / "features-compare.png")
    with lab.kernel(notebook) as ask:
        beside = ask("index.view.source.beside")
    assert f"L{beside[0]}/{beside[1]}" == second
    view.get_by_role("button", name="close", exact=True).click()
    card(view, second).wait_for(state="hidden")

    find(view, "texas")
    name = view.locator(".iw-f-row").first.get_attribute("data-row") or ""
    view.locator(".iw-f-row").first.click()
    card(view, name).wait_for()
    view.get_by_role("button", name="suggest").click()
    view.locator(".iw-c-suggestion").first.wait_for()
    view.screenshot(path=SCREENSHOTS / "features-suggest.png")
    view.get_by_role("button", name="steer").click()
    view.get_by_text("Steer with it in the next cell").wait_for()
    code = view.locator("code").inner_text()
    with lab.kernel(notebook) as ask:
        target = code.removeprefix("iw.steer(model, text, ").removesuffix(")")
        assert ask(f"{target}.name") == name


def test_one_feature_is_a_cards_own_view_with_a_way_back(page: Page, lab: JupyterServer) -> None:
    notebook = notebook_with_features(
        lab, "one.ipynb", SHOW.replace("\nindex", ""), "feature = index[1, 151]\nfeature"
    )
    open_and_run(page, lab, notebook)
    view = page.locator(".iw-features[data-iw-mode='one']")
    shown = card(view, "L1/151")
    shown.wait_for(timeout=180_000)
    assert view.locator(".iw-f-side").is_hidden()
    neighbour = shown.locator("[data-open]").first
    other = f"L{neighbour.get_attribute('data-open')}"
    neighbour.click()
    card(view, other).wait_for()
    view.get_by_role("button", name="back").click()
    shown.wait_for()
    view.screenshot(path=SCREENSHOTS / "feature.png")


def test_an_index_that_is_made_says_so_and_can_be_cancelled(page: Page, lab: JupyterServer) -> None:
    notebook = notebook_with_features(lab, "making.ipynb", HELD)
    open_and_run(page, lab, notebook)
    view = views(page, "computing")
    view.wait_for(timeout=180_000)
    view.get_by_text("The texts are being read").wait_for()
    view.screenshot(path=SCREENSHOTS / "features-computing.png")
    view.get_by_role("button", name="Cancel").click()
    with lab.kernel(notebook) as ask:
        ask("release.set() or 1")
        views(page, "cancelled").wait_for()
        assert ask("index.state") == "cancelled"
    views(page, "cancelled").get_by_text("Run its cell again").first.wait_for()
    view = views(page, "cancelled")
    view.screenshot(path=SCREENSHOTS / "features-cancelled.png")
    command(page, "notebook:run-cell")  # the last cell is the selected one
    with lab.kernel(notebook) as ask:
        until(lambda: ask("index.state") == "computing", "the cell to run again")
        ask("release.set() or 1")
    views(page).wait_for()


def test_after_a_kernel_restart_the_view_says_so(page: Page, lab: JupyterServer) -> None:
    notebook = notebook_with_features(lab, "again.ipynb", SHOW)
    open_and_run(page, lab, notebook)
    view = views(page)
    view.wait_for(timeout=180_000)
    view.locator(".iw-f-row").first.click()
    name = view.locator(".iw-f-row").first.get_attribute("data-row") or ""
    card(view, name).wait_for()
    page.evaluate(f"() => {PANEL}.sessionContext.session.kernel.restart()")
    notice = view.get_by_text("No kernel behind this view")
    notice.wait_for()
    assert card(view, name).get_by_role("textbox", name="Test text").is_disabled()
    view.screenshot(path=SCREENSHOTS / "features-restarted.png")
    command(page, "notebook:run-all-cells")
    notice.wait_for(state="detached", timeout=180_000)
    views(page).locator(".iw-f-row").first.wait_for()


def test_a_notebook_reopened_without_its_kernel_shows_a_picture(
    page: Page, visited: Visit, lab: JupyterServer
) -> None:
    notebook = notebook_with_features(lab, "kept.ipynb", SHOW + ".view")
    open_and_run(page, lab, notebook)
    view = views(page)
    view.wait_for(timeout=180_000)
    find(view, "texas")
    row = view.locator(".iw-f-row").first
    name = row.get_attribute("data-row") or ""
    row.click()
    card(view, name).wait_for()
    assert not page.locator(".iw-kept").is_visible()
    page.wait_for_function(
        "(name) => document.querySelector('.iw-kept')?.textContent.includes(name)", arg=name
    )
    save_notebook(page)
    assert "best of 20 random directions" in (lab.root / notebook).read_text("utf-8")

    lab.end_kernels()
    page.goto(lab.page_of(notebook, workspace="kept-features"))
    kept = page.locator(".iw-kept")
    kept.get_by_text("random labels").wait_for()
    kept.screenshot(path=SCREENSHOTS / "features-kept.png")
    page.get_by_text("Error displaying widget").wait_for()
    visited.forget_dead_widgets()
