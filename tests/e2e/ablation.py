"""An ablation of the bundled model in a notebook, and how a test finds its way in the view."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e2e.held import HOLD
from e2e.servers import JupyterServer

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

LOAD = """
import interp_widgets as iw
from interp_widgets.models.interventions import head, mlp
model = iw.load()
"""
SHOW = "ablation = iw.ablate(model)\nablation"

HELD = f"""{HOLD}
hold()
ablation = iw.ablate(model)
ablation
"""


def notebook_that_ablates(server: JupyterServer, name: str, *cells: str) -> str:
    """A notebook that loads the bundled model and runs these cells; returns its name."""
    return server.write_notebook(name, LOAD.strip(), *(cell.strip() for cell in cells))


def views(page: Page, state: str = "done") -> Locator:
    """The views on the page in this state."""
    return page.locator(f".iw-ablation[data-iw-state='{state}']")


def await_result(page: Page, *ids: str) -> None:
    """Waits until everything about this selection is on screen."""
    page.wait_for_function(
        """(ids) => {
          const view = document.querySelector(".iw-ablation");
          return view?.dataset.iwSelected === ids && view.dataset.iwResult === "done";
        }""",
        arg=" ".join(ids),
    )
