"""A graph to look at without a model, and how a test reads the view that shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from e2e.servers import JupyterServer
from interp_widgets.views import wire

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page


def small_graph() -> bytes:
    """Six layers over eight tokens, one feature in every cell; `id0`, `id1`, … from the bottom.

    Every feature reads from the layer below it, up to its own token, and the answer at the end
    from the top layer; so all of them matter, and none is pruned.
    """
    layers, tokens = 6, 8
    cell = np.arange(layers * tokens)
    layer = np.r_[np.full(tokens, -1), cell // tokens, layers]
    position = np.r_[np.arange(tokens), cell % tokens, tokens - 1]
    kind = np.r_[np.full(tokens, wire.TOKEN), np.full(cell.size, wire.FEATURE), wire.LOGIT]
    count = kind.size
    inputs = [
        np.flatnonzero((layer == layer[node] - 1) & (position <= position[node]))
        for node in range(count)
    ]
    sizes = np.array([sources.size for sources in inputs])
    return wire.pack(
        {
            "prompt": "one two three",
            "tokens": [f" word{token}" for token in range(tokens)],
            "n_layers": layers,
            "ids": [f"id{node}" for node in range(count)],
            "names": [f"name{node}" for node in range(count)],
        },
        {
            "kind": kind,
            "layer": layer,
            "position": position,
            "feature": np.where(kind == wire.FEATURE, np.arange(count), -1),
            "influence": np.full(count, 1 / count),
            "cumulative": np.linspace(0, 1, count),
            "input_sum": sizes,
            "probability": np.where(kind == wire.LOGIT, 0.5, np.nan),
            "link_ptr": np.r_[0, np.cumsum(sizes)],
            "link_source": np.concatenate(inputs),
            "link_weight": np.ones(sizes.sum()),
        },
    )


def notebook_with_view(server: JupyterServer, name: str, *more_cells: str) -> str:
    """A notebook that makes `view` and shows it; returns its name."""
    (server.root / "graph.bin").write_bytes(small_graph())
    make_view = (
        "from pathlib import Path\n"
        "from interp_widgets.views import GraphView\n"
        "view = GraphView(Path('graph.bin').read_bytes(), threshold=1.0)"
    )
    return server.write_notebook(name, make_view, "view", *more_cells)


def drawn(page: Page) -> Locator:
    """The views on the page that show a complete frame."""
    return page.locator(".iw-root[data-iw-state='drawn']")


def showing(page: Page, selected: str) -> Locator:
    """The views in which exactly this node is selected; "" for those with none."""
    return page.locator(f".iw-root[data-iw-selected='{selected}']")


def click_node(view: Locator, node: str) -> None:
    """Clicks where the view has drawn a node."""
    canvas = view.locator("canvas.iw-overlay")
    canvas.scroll_into_view_if_needed()
    canvas.click(position=view.evaluate("(root, node) => root.iwView.locate(node)", node))
