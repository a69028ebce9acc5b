"""A graph to look at without a model, and how a test reads the view that shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

# Twelve layers over ten tokens with three features in every cell: so dense that a click anywhere
# in the middle finds a node. Every feature reads from the cell below; the answer reads the top.
MAKE_VIEW = """
import numpy as np
from interp_widgets.views import GraphView, wire

layers, tokens, each = 12, 10, 3
cell = np.arange(layers * tokens * each) // each
layer = np.r_[np.full(tokens, -1), cell // tokens, layers]
position = np.r_[np.arange(tokens), cell % tokens, tokens - 1]
kind = np.r_[np.full(tokens, wire.TOKEN), np.full(cell.size, wire.FEATURE), wire.LOGIT]
count = kind.size
inputs = [
    np.flatnonzero((layer == layer[i] - 1) & (position == position[i])) for i in range(count)
]
source = np.concatenate(inputs)
buffer = wire.pack(
    {
        "prompt": "one two three",
        "tokens": [f" word{i}" for i in range(tokens)],
        "n_layers": layers,
        "ids": [f"id{i}" for i in range(count)],
        "names": [f"name{i}" for i in range(count)],
    },
    {
        "kind": kind,
        "layer": layer,
        "position": position,
        "feature": np.where(kind == wire.FEATURE, np.arange(count), -1),
        "influence": np.full(count, 1 / count),
        "cumulative": np.linspace(0, 1, count),
        "input_sum": np.array([len(rows) for rows in inputs], float),
        "probability": np.where(kind == wire.LOGIT, 0.5, np.nan),
        "link_ptr": np.cumsum([0] + [len(rows) for rows in inputs]),
        "link_source": source,
        "link_weight": np.ones(source.size),
    },
)
view = GraphView(buffer, threshold=1.0)
"""

SHOW = "view"


def drawn(page: Page) -> Locator:
    """The views on the page that show a complete frame."""
    return page.locator(".iw-root[data-iw-state='drawn']")


def click_inside(view: Locator, *, right: float = 0.0) -> None:
    """Clicks a node near the middle of the drawing; `right` moves by that share of its width."""
    canvas = view.locator("canvas.iw-overlay")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    canvas.click(position={"x": box["width"] * (0.5 + right), "y": box["height"] / 2})
