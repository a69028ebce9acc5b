"""A text view of the bundled model in a notebook, and how a test finds its way in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e2e.servers import JupyterServer

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

PROMPT = "the capital of the state containing dallas is"
LOAD = f"""
import interp_widgets as iw

model = iw.load()
PROMPT = {PROMPT!r}
"""
SHOW = "seen = iw.text(model, PROMPT)\nseen"


def notebook_with_text(server: JupyterServer, name: str, *cells: str) -> str:
    """A notebook that loads the bundled model and runs these cells; returns its name."""
    return server.write_notebook(name, LOAD.strip(), *(cell.strip() for cell in cells))


def views(page: Page, state: str = "done") -> Locator:
    """The views on the page in this state."""
    return page.locator(f".iw-prompttext[data-iw-state='{state}']")


def token(view: Locator, position: int) -> Locator:
    return view.locator(f"[data-at='{position}'] .iw-x-mark")


def drag(page: Page, view: Locator, start: int, end: int) -> None:
    """Over the tokens of the running text, as a hand does."""
    for number, at in enumerate((start, end)):
        box = token(view, at).bounding_box()
        assert box
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=4)
        if number == 0:
            page.mouse.down()
    page.mouse.up()


def rows(view: Locator) -> list[tuple[str, str]]:
    """Names and labels of the rows in sight, from the top."""
    found: list[tuple[str, str]] = view.evaluate(
        """(view) => [...view.querySelectorAll("[data-row]")]
          .sort((a, b) => parseInt(a.style.top) - parseInt(b.style.top))
          .map((row) => [row.dataset.code, row.querySelector(".iw-x-label").textContent])"""
    )
    return [(code, label) for code, label in found]


def shaded(view: Locator) -> list[int]:
    """Positions of the tokens that are shaded."""
    found: list[int] = view.evaluate(
        """(view) => [...view.querySelectorAll("[data-at]")]
          .filter((el) => Number(el.querySelector(".iw-x-mark").style
            .getPropertyValue("--iw-alpha")) > 0)
          .map((el) => Number(el.dataset.at))"""
    )
    return found
