"""How soon a click shows what a feature means, on an index of 16 million activations.

    python benchmarks/cards.py               # reads the index first, 3 min of CPU time
    python benchmarks/cards.py --tokens 9000   # a small one, for comparison

The organism with the transcoders that ship with it, all 5,760 features of five layers, and 330,000
tokens of its corpus. In JupyterLab, headless Chromium with software rendering; by the page's clock,
milliseconds since the click, median, 95% below and worst:

list       a click on a row of the browser of features: the first of each layer ordered by how often
           they are active (dense: the most there is to read), and as they are numbered (others);
           until the card stands there with its examples ("first"), and until what the weights say
           stands in it, too ("whole")
graph      a click on a node of an attribution graph, until three examples stand beside its links
compare    the same features in Python, without a browser: `card(weights=False)`, and the whole card
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import numpy as np
from cases import meter

import interp_widgets as iw
from interp_widgets.features.card import card
from interp_widgets.features.index import Index
from interp_widgets.labs.organism.corpus import documents

TESTS = pathlib.Path(__file__).parents[1] / "tests"
SEED, EACH = 12_345, 8
PROMPT = "the capital of the state containing dallas is"

SHOW = """
import interp_widgets as iw
model = iw.load()
index = iw.open_index({folder!r}, model)
"""

# In the page: clicks a row, and resolves with the milliseconds until its card is there and is drawn,
# and until the whole of it is.
CLICK_ROW = """
(name) => new Promise((resolve) => {
  const view = document.querySelector(".iw-features");
  const row = view.querySelector(`[data-row='${name}']`);
  const start = performance.now();
  const since = () => performance.now() - start;
  const drawn = (then) => requestAnimationFrame(() => setTimeout(then));
  let there = 0, first = 0, whole = false;
  const look = () => {
    const card = view.querySelector(`.iw-card[data-iw-card='${name}']`);
    if (!card?.querySelector(".iw-c-example")) return;
    if (there === 0) {
      there = since();
      drawn(() => { first = since(); look(); });
    }
    if (first > 0 && !whole && card.dataset.iwPending === "false") {
      whole = true;
      watch.disconnect();
      drawn(() => resolve([there, first, since()]));
    }
  };
  const watch = new MutationObserver(look);
  watch.observe(view, { subtree: true, childList: true, attributes: true });
  row.click();
})
"""

# Nodes of a graph are drawn on a canvas, so the mouse clicks them, and the page only watches: the
# time is from the press until examples that were not there stand beside the node's links.
WATCH = """
(id) => {
  const view = document.querySelector(".iw-root");
  const old = new Set(view.querySelectorAll(".iw-brief .iw-c-example"));
  let start = 0;
  view.addEventListener("pointerdown", () => { start = performance.now(); }, { once: true, capture: true });
  window.shown = new Promise((resolve) => {
    const look = () => {
      const now = [...view.querySelectorAll(".iw-brief .iw-c-example")];
      if (view.dataset.iwSelected !== id || !now.some((one) => !old.has(one))) return;
      watch.disconnect();
      const there = performance.now() - start;
      requestAnimationFrame(() => setTimeout(() => resolve([there, performance.now() - start])));
    };
    const watch = new MutationObserver(look);
    watch.observe(view, { subtree: true, childList: true, attributes: true });
  });
}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=330_000)
    parser.add_argument("--index", type=pathlib.Path, help="one that such a call has made")
    given = parser.parse_args()
    meter.one_thread()
    print(f"{meter.machine()}, one thread\n")
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.index or pathlib.Path(scratch) / "index"
        model = iw.load("organism")
        texts = (str(d) for d in islice(documents(SEED), given.tokens // 12))
        index = iw.index(model, text=texts, folder=folder).wait()
        stored = index.stored
        entries = sum(int(stored.counts(layer).sum()) for layer in stored.layers)
        print(f"{entries:,} activations on {stored.n_tokens:,} tokens\n")
        dense, others = chosen(index)
        print("| what | n | median | 95% below | worst |\n|---|---|---|---|---|")
        for what, spots in (("dense", dense), ("others", others)):
            row(f"Python, first, {what}", [took(index, spot, False) for spot in spots])
            row(f"Python, whole, {what}", [took(index, spot, True) for spot in spots])
        in_the_browser(folder, pathlib.Path(scratch))


def chosen(index: Index) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Of each layer the densest features, and some at random."""
    rng, dense, others = np.random.default_rng(0), [], []
    for layer in index.stored.layers:
        counts = index.stored.counts(layer)
        dense += [(layer, int(i)) for i in np.argsort(-counts, kind="stable")[:EACH]]
        alive = np.flatnonzero(counts)
        others += [(layer, int(i)) for i in rng.permutation(alive)[:EACH]]
    return dense, others


def took(index: Index, spot: tuple[int, int], weights: bool) -> float:
    start = time.perf_counter()
    card(index, *spot, weights=weights)
    return 1000 * (time.perf_counter() - start)


def in_the_browser(folder: pathlib.Path, scratch: pathlib.Path) -> None:
    sys.path.insert(0, str(TESTS))
    from playwright.sync_api import sync_playwright

    from e2e.browser import FLAGS, chromium, open_and_run
    from e2e.servers import JupyterServer

    scratch.joinpath("server").mkdir()
    with sync_playwright() as playwright:
        server = JupyterServer("lab", scratch / "server")
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        try:
            shown = SHOW.format(folder=str(folder)).strip()
            graph = f"graph = iw.attribute(model, {PROMPT!r}).wait()\ngraph"
            server.write_notebook("list.ipynb", shown, "index")
            server.write_notebook("graph.ipynb", shown, graph)
            page = browser.new_page(viewport={"width": 1340, "height": 900})
            open_and_run(page, server, "list.ipynb")
            page.locator(".iw-features[data-iw-list='done']").wait_for(timeout=180_000)
            for what, order in (("dense", "density"), ("others", "number")):
                found = [
                    page.evaluate(CLICK_ROW, name)
                    for layer in range(5)
                    for name in rows(page, layer, order)
                ]
                for name, times in zip(
                    ("there", "drawn", "whole"), zip(*found, strict=True), strict=True
                ):
                    row(f"list, {what}, {name}", times)
            open_and_run(page, server, "graph.ipynb")
            page.locator(".iw-root[data-iw-state='drawn']").first.wait_for(timeout=180_000)
            with server.kernel("graph.ipynb") as ask:
                nodes = ask("[n.id for n in sorted(graph.features(), key=lambda n: -n.influence)]")
                found = [noticed(page, node, ask) for node in nodes[:24]]
            for name, times in zip(("there", "drawn"), zip(*found, strict=True), strict=True):
                row(f"graph, {name}", times)
        finally:
            browser.close()
            server.stop()


def rows(page: Any, layer: int, order: str) -> list[str]:
    """The names of the first features of a layer in the browser of features."""
    for name, value in (("Layer", str(layer)), ("Order", order)):
        page.get_by_role("combobox", name=name).select_option(value)
        page.locator(".iw-f-list:not(.iw-f-waiting)").wait_for()
    page.locator(f".iw-f-list:not(.iw-f-waiting) [data-row^='L{layer}/']").first.wait_for()
    found = page.locator("[data-row]").evaluate_all("rows => rows.map((row) => row.dataset.row)")
    assert all(name.startswith(f"L{layer}/") for name in found), found
    return list(found[:EACH])


def noticed(page: Any, node: str, ask: Callable[[str], Any]) -> list[float]:
    """Clicks a node of the graph, when the page has nothing left to draw of the one before."""
    view = page.locator(".iw-root").first
    at = view.evaluate("(root, id) => root.iwView.locate(id)", node)
    page.evaluate(WATCH, node)
    view.locator("canvas.iw-overlay").click(position=at)
    shown: list[float] = page.evaluate("() => window.shown")
    ask("len(graph.view.answers.wait('meaning'))")
    page.evaluate("() => new Promise((quiet) => requestIdleCallback(quiet))")
    return shown


def row(what: str, found: Sequence[float]) -> None:
    middle, high = np.percentile(found, (50, 95))
    print(f"| {what} | {len(found)} | {middle:.0f} | {high:.0f} | {max(found):.0f} |", flush=True)


if __name__ == "__main__":
    main()
