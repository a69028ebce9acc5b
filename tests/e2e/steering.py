"""A steering of the model that comes with the package, with features found by their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e2e.servers import JupyterServer

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

LOAD = """
import interp_widgets as iw
model = iw.load()
prompt = "the capital of the state containing dallas is"
graph = iw.attribute(model, prompt)
"""
SHOW = """
texas = graph.features("texas")
steering = iw.steer(model, prompt, {"texas": texas, "one of them": texas[0]}, length=LENGTH)
steering
"""


def notebook_that_steers(
    server: JupyterServer, name: str, *more_cells: str, length: int = 24
) -> str:
    """A notebook whose second cell shows `steering`; returns its name."""
    show = SHOW.strip().replace("LENGTH", str(length))
    return server.write_notebook(name, LOAD.strip(), show, *more_cells)


def await_text(page: Page, state: str = "done") -> None:
    """Waits until the view is in this state, and its sliders can be moved."""
    page.locator(f".iw-steering[data-iw-state='{state}']").wait_for(timeout=120_000)
    page.wait_for_function(
        "() => [...document.querySelectorAll('.iw-s-knob .iw-slider')].some((slider) => !slider.disabled)"
    )


def await_run(page: Page, run: int) -> None:
    """Waits until a later run than this one is written to its end."""
    page.wait_for_function(
        """(run) => { const { iwRun, iwState } = document.querySelector('.iw-steering').dataset;
             return Number(iwRun) > run && iwState === 'done'; }""",
        arg=run,
    )


def run_of(view: Locator) -> int:
    """The number of the run that is shown."""
    return int(view.get_attribute("data-iw-run") or 0)


def slider(view: Locator, name: str) -> Locator:
    return view.get_by_role("slider", name=f"{name}, slider", exact=True)


_TEXT = """(el) => [...el.childNodes].filter((node) => node.className !== 'iw-s-lead')
             .map((node) => node.textContent).join('')"""


def await_written(page: Page, column: int, text: str) -> None:
    """Waits until a column shows this text: the last tokens are drawn a frame after the state."""
    page.wait_for_function(
        f"""([column, wanted]) => {{
             const el = document.querySelector(`.iw-s-text[data-row='${{column}}']`);
             const words = (text) => text.split(/\\s+/).filter(Boolean).join(' ');
             return el && words(({_TEXT})(el)) === words(wanted); }}""",
        arg=[column, text],
    )
