"""The organism's features in a notebook, and how a test finds its way in the view."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e2e.held import HOLD
from e2e.servers import JupyterServer

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

LOAD = """
import interp_widgets as iw
from interp_widgets.dictionaries import load as load_dictionary
from interp_widgets.features import index as index_of
from interp_widgets.features import index_for
model = iw.load()
dictionary = load_dictionary(model.dictionary)
"""
SHOW = "index = index_for(model, dictionary)\nindex"

HELD = f"""{HOLD}
hold()
text = [f"the capital of the state containing dallas is austin . {{n}}" for n in range(40)]
index = index_of(model, dictionary, text, folder="an-index", shard_tokens=64)
index
"""


def notebook_with_features(server: JupyterServer, name: str, *cells: str) -> str:
    """A notebook that loads the bundled model and runs these cells; returns its name."""
    return server.write_notebook(name, LOAD.strip(), *(cell.strip() for cell in cells))


def views(page: Page, state: str = "done") -> Locator:
    """The views on the page in this state."""
    return page.locator(f".iw-features[data-iw-state='{state}']")


def find(view: Locator, text: str, by: str = "label") -> None:
    """Looks for something and waits until the list holds the answer."""
    view.get_by_role("combobox", name="Search by").select_option(by)
    field = view.get_by_role("searchbox", name="Find features")
    field.fill(text)
    field.press("Enter")
    view.and_(view.page.locator("[data-iw-list='done']")).wait_for()
    view.locator(".iw-f-list:not(.iw-f-waiting)").wait_for()


def card(view: Locator, name: str) -> Locator:
    """A card that is complete, its weights included."""
    return view.locator(f".iw-card[data-iw-card='{name}'][data-iw-pending='false']")


def try_text(card: Locator, text: str) -> None:
    """Types a text into a card's test field and waits until its tokens have come back."""
    card.get_by_role("textbox", name="Test text").fill(text)
    last = text.split()[-1]
    card.locator(".iw-c-fired:not(.iw-c-waiting)").get_by_text(last).first.wait_for()
