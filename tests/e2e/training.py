"""A real training on a tiny model, long enough that nobody clicks too late."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tiny_models

from e2e.servers import JupyterServer

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

# 256 features; by its speed on two cores, 20 million tokens take a quarter of an hour.
TRAIN = """
import interp_widgets as iw
from interp_widgets.dictionaries.training import recipes, transcoder
model = iw.load("tiny-model")
text = [" ".join(f"w{5 + (i * j * 7 + j) % 35}" for j in range(120)) for i in range(60)]
what = [transcoder(layer, 256, recipes.TopK(8), name=f"L{layer}") for layer in LAYERS]
training = iw.train(model, what, text, tokens=20_000_000, batch=256, context=16)
training
"""


def notebook_that_trains(
    server: JupyterServer, name: str, *more_cells: str, layers: tuple[int, ...] = (1,)
) -> str:
    """A notebook whose first cell trains `training` and shows it; returns its name."""
    folder = server.root / "tiny-model"
    if not folder.exists():
        tiny_models.hugging_face("llama grouped").save_pretrained(folder)
        tiny_models.tokenizer().save_pretrained(folder)
    return server.write_notebook(
        name, TRAIN.strip().replace("LAYERS", repr(list(layers))), *more_cells
    )


def views(page: Page, state: str = "computing") -> Locator:
    """The views on the page in this state."""
    return page.locator(f".iw-training[data-iw-state='{state}']")


def await_charts(page: Page, count: int = 1) -> None:
    """Waits until that many figures are drawn, with bars and the four curves."""
    page.wait_for_function(
        """(count) => [...document.querySelectorAll(".iw-training .js-plotly-plot")]
             .filter((plot) => plot.querySelectorAll(".scatterlayer path.js-line").length >= 4
                            && plot.querySelectorAll(".barlayer path").length > 0)
             .length === count""",
        arg=count,
        # Importing torch and plotly comes first; on a machine with other work that takes a while.
        timeout=180_000,
    )


def drag(page: Page, slider: Locator, to: float) -> None:
    """Drags a slider's handle by mouse to a share of its length, and lets go."""
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box is not None
    low, high = float(slider.get_attribute("min") or 0), float(slider.get_attribute("max") or 1)
    handle = 11  # its diameter: it travels that much less than the slider's length
    share = (float(slider.input_value()) - low) / (high - low)
    x = [box["x"] + handle / 2 + s * (box["width"] - handle) for s in (share, to)]
    y = box["y"] + box["height"] / 2
    page.mouse.move(x[0], y)
    page.mouse.down()
    page.mouse.move((x[0] + x[1]) / 2, y)
    page.mouse.move(x[1], y)
    page.mouse.up()
