"""The fence around every page: what leaves this machine or goes wrong does not pass unseen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e2e.browser import visit

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def test_a_request_to_the_outside_is_stopped_and_noted(browser: Browser) -> None:
    with visit(browser, "fence-outside") as visited:
        answer = visited.page.evaluate(
            "() => fetch('https://example.com/font.woff2').then(() => 'came back', () => 'stopped')"
        )
    assert answer == "stopped"
    assert visited.outside == ["https://example.com/font.woff2"]


def test_errors_of_a_page_are_noted(browser: Browser) -> None:
    with visit(browser, "fence-errors") as visited:
        visited.page.evaluate(
            """() => new Promise((done) => {
              console.error("said by a widget");
              setTimeout(() => { setTimeout(done); throw new Error("thrown by a widget"); });
            })"""
        )
    assert visited.problems == ["said by a widget", "thrown by a widget"]
