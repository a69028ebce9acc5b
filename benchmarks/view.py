"""How fast the graph view is: ready, hover and click, against the budget.

    python benchmarks/view.py                # three sizes, a table
    python benchmarks/view.py --nodes 5000 --links 100000

Opens the kernel-less page in headless Chromium ($CHROMIUM or the one on PATH, software
rendering), so that what is measured is the view and nothing else.

ready  from handing over the data to the first complete frame
hover  from a pointer move to the end of its frame (median and 95th percentile of 80 moves)
click  from a click to the end of its frame, panel included (median of 20)
slider from a step of the keep slider to the end of its frame (median of 20)

Ready is the median of three loads.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import shutil
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np

from interp_widgets.views import GraphView, wire

WORDS = [
    "texas",
    "say a capital",
    "city",
    "state",
    "names of cities",
    "after “the”",
    "plural",
    "verb",
    "country",
]
TOKENS = [
    "<bos>",
    "the",
    "capital",
    "of",
    "the",
    "state",
    "containing",
    "dal",
    "las",
    "is",
    "in",
    "the",
    "south",
    "of",
]

#          nodes    links  layers tokens  ready  hover p50, p95  click   (milliseconds)
SIZES = [
    (1_000, 50_000, 26, 14, 1000, 16, 50, 50),
    (5_000, 200_000, 26, 32, 2000, 16, 50, 50),
    (10_000, 200_000, 26, 48, 2000, 16, 50, 50),
]


def synthetic(
    nodes: int = 1000,
    links: int = 20_000,
    layers: int = 30,
    tokens: list[str] | int = 14,
    seed: int = 0,
    named: float = 0.3,
) -> bytes:
    """A graph with the statistics of a real one, packed.

    Activity grows towards the last token, weights are heavy-tailed, influence is what the
    weights give: normalised absolute weights carried down from the outputs.
    """
    rng = np.random.default_rng(seed)
    if isinstance(tokens, int):
        tokens = (TOKENS * (tokens // len(TOKENS) + 1))[:tokens]
    n_tokens, n_logits = len(tokens), 6
    n_errors = min(layers * (n_tokens - 1), nodes // 5)
    n_features = nodes - n_tokens - n_logits - n_errors
    recency = np.linspace(0.4, 2.2, n_tokens) ** 1.5
    recency[0] = 0.05

    def spread(count: int) -> np.ndarray:
        return rng.choice(n_tokens, count, p=recency / recency.sum())

    cells = rng.permutation(layers * (n_tokens - 1))[:n_errors]
    kind = np.repeat([2, 0, 1, 3], [n_tokens, n_features, n_errors, n_logits])
    depth = rng.beta(1.1, 0.9, n_features)
    layer = np.concatenate(
        [
            np.full(n_tokens, -1),
            (depth * layers).astype(int).clip(0, layers - 1),
            cells // (n_tokens - 1),
            np.full(n_logits, layers),
        ]
    )
    position = np.concatenate(
        [
            np.arange(n_tokens),
            spread(n_features),
            cells % (n_tokens - 1) + 1,
            np.full(n_logits, n_tokens - 1),
        ]
    )
    order = np.lexsort((position, layer))
    kind, layer, position = kind[order], layer[order], position[order]

    # Each target reads from nodes below it and not after it.
    source, target = [], []
    targets = np.flatnonzero((kind == 0) | (kind == 3))
    per_target = max(1, links // len(targets))
    for i in targets:
        below = np.flatnonzero((layer < layer[i]) & (position <= position[i]))
        closeness = np.exp(-(position[i] - position[below]) / 3.0) + 0.03
        size = min(len(below), int(rng.poisson(per_target * (3 if kind[i] == 3 else 1))) + 1)
        chosen = rng.choice(below, size, replace=False, p=closeness / closeness.sum())
        source.append(chosen)
        target.append(np.full(len(chosen), i))
    src, tgt = np.concatenate(source), np.concatenate(target)
    if len(src) > links:
        pick = np.sort(rng.choice(len(src), links, replace=False))
        src, tgt = src[pick], tgt[pick]
    weight = rng.standard_normal(len(src)) * rng.lognormal(0, 1.4, len(src))
    weight = np.where(rng.random(len(src)) < 0.7, np.abs(weight), weight)

    input_sum = np.bincount(tgt, np.abs(weight), nodes)
    share = np.abs(weight) / np.maximum(input_sum[tgt], 1e-9)
    p = np.sort(rng.dirichlet(np.full(n_logits, 0.35)))[::-1] * 0.97
    probability = np.full(nodes, np.nan)
    probability[kind == 3] = p
    influence = np.where(kind == 3, np.nan_to_num(probability), 0.0)
    ptr = np.concatenate([[0], np.cumsum(np.bincount(tgt, minlength=nodes))])
    for i in range(nodes - 1, -1, -1):
        row = slice(ptr[i], ptr[i + 1])
        np.add.at(influence, src[row], share[row] * influence[i])
    ranked = np.argsort(-np.where(kind <= 1, influence, -1))
    total = influence[kind <= 1].sum()
    cumulative = np.zeros(nodes)
    cumulative[ranked] = np.cumsum(np.where(kind <= 1, influence, 0)[ranked]) / total
    cumulative[kind > 1] = 0
    inputs = np.bincount(tgt, weight, nodes)
    bias = rng.normal(0, 0.5, nodes) * (kind == 0)

    feature = np.where(kind == 0, rng.integers(0, 16_000, nodes), -1)
    ids, names, logit = [], [], 0
    answers = ["austin", "dallas", "houston", "texas", "the", "sacramento"]
    for i in range(nodes):
        ids.append(f"{layer[i]}-{feature[i]}-{position[i]}-{i}")
        if kind[i] == 3:
            names.append(answers[logit])
            logit += 1
        elif kind[i] == 0 and rng.random() < named:
            names.append(WORDS[int(rng.integers(len(WORDS)))])
        else:
            names.append("")
    header = {
        "prompt": " ".join(tokens[1:]),
        "tokens": tokens,
        "n_layers": layers,
        "ids": ids,
        "names": names,
        "links_total": len(src),
        "scores": {"replacement": 0.71, "completeness": 0.94},
    }
    arrays = {
        "kind": kind,
        "layer": layer,
        "position": position,
        "feature": feature,
        "activation": np.where(kind == 0, np.abs(rng.normal(3, 2, nodes)), np.nan),
        "influence": influence,
        "cumulative": cumulative,
        "input_sum": input_sum,
        "error_input": np.bincount(tgt, np.abs(weight) * (kind[src] == 1), nodes),
        "bias": bias,
        "value": inputs + bias,
        "probability": probability,
        "link_ptr": ptr,
        "link_source": src,
        "link_weight": weight,
    }
    return wire.pack(header, arrays)


# Input is real (it goes through the browser's own queue); the page takes the time from when it
# hears of the event to the first task after the drawing in which data-iw-state left "pending".
LISTEN = """
() => {
  const root = document.querySelector(".iw-root");
  const log = (window.iwLog = []);
  let start = 0;
  for (const type of ["pointermove", "pointerup", "input"]) {
    root.addEventListener(type, () => { start = performance.now(); }, true);
  }
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => { if (start) log.push(performance.now() - start); start = 0; };
  new MutationObserver(() => {
    if (root.dataset.iwState !== "pending" && start) port2.postMessage(0);
  }).observe(root, { attributes: true, attributeFilter: ["data-iw-state"] });
}
"""

LOADS, MOVES, CLICKS = 3, 80, 20


def measure(page: Any, html: str, folder: pathlib.Path) -> dict[str, list[float]]:
    path = folder / "view.html"
    path.write_text(html, "utf-8")
    drawn = '.iw-root[data-iw-state="drawn"]'
    times: dict[str, list[float]] = {"ready": []}
    for _ in range(LOADS):
        page.goto(path.as_uri())
        page.wait_for_selector(drawn, timeout=60_000)
        page.wait_for_function("!Number.isNaN(interpWidgetsGraph.readyMs())")
        times["ready"].append(page.evaluate("interpWidgetsGraph.readyMs()"))
    page.evaluate(LISTEN)
    box = page.query_selector(".iw-overlay").bounding_box()
    rng = np.random.default_rng(1)

    def spot() -> tuple[float, float]:
        x, y = rng.uniform(0.1, 0.95), rng.uniform(0.1, 0.8)
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    def take(act: Callable[[], object], count: int) -> list[float]:
        page.evaluate("window.iwLog.length = 0")
        for _ in range(count):
            act()
            page.wait_for_selector(drawn)
        taken: list[float] = page.evaluate("window.iwLog")
        return taken

    times["hover"] = take(lambda: page.mouse.move(*spot()), MOVES)
    times["click"] = take(lambda: page.mouse.click(*spot()), CLICKS)
    page.focus("input[type=range]")
    times["slider"] = take(lambda: page.keyboard.press("ArrowLeft"), CLICKS)
    return times


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--nodes", type=int)
    parser.add_argument("--links", type=int, default=50_000)
    args = parser.parse_args()
    sizes = [(args.nodes, args.links, 26, 32, 2000, 16, 50, 50)] if args.nodes else SIZES

    from playwright.sync_api import sync_playwright

    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    late = False
    print(f"{'nodes':>7} {'links':>8} {'ready':>13} {'hover p50':>13} {'p95':>13} {'click':>13} "
          f"{'slider':>8}   (ms / budget)")  # fmt: skip
    with sync_playwright() as play, tempfile.TemporaryDirectory() as folder:
        browser = play.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-dev-shm-usage", "--use-angle=swiftshader"],
        )
        page = browser.new_page(viewport={"width": 1200, "height": 800})
        for nodes, links, layers, tokens, *budget in sizes:
            buffer = synthetic(nodes, links, layers, tokens)
            view = GraphView(buffer, threshold=1.0, height=800)
            times = measure(page, view.to_html(), pathlib.Path(folder))
            values = [
                float(np.median(times["ready"])),
                float(np.median(times["hover"])),
                float(np.percentile(times["hover"], 95)),
                float(np.median(times["click"])),
            ]
            cells = [f"{v:6.1f} /{b:5d}" for v, b in zip(values, budget, strict=True)]
            late |= any(v > b for v, b in zip(values, budget, strict=True))
            slider = float(np.median(times["slider"]))
            print(f"{nodes:7d} {links:8d} {' '.join(cells)} {slider:8.1f}", flush=True)
        browser.close()
    return int(late)


if __name__ == "__main__":
    sys.exit(main())
