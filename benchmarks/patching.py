"""What activation patching costs, and how soon a click in the ablation view is answered.

    python benchmarks/patching.py
    python benchmarks/patching.py --quick      # the bundled model alone

maps    all four heatmaps, CPU seconds, against one run per part with plain PyTorch hooks on the same
        parts (those at positions with equal tokens, where nothing can change, are left out of both)
click   from a click on a mark until everything about it is there, and until the frame behind that is
        drawn, milliseconds, median [worst]: new (nothing is known), kept in Python (measured there
        before, new to the page), kept in the page (looked at before). In JupyterLab, headless
        Chromium with software rendering.

One thread. Needs a Chromium ($CHROMIUM or the one on PATH) for the clicks.
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
import sys
import tempfile
import time
from typing import Any

import torch

import interp_widgets as iw
from interp_widgets.circuits import PANELS, Comparison, Part, compare_runs, heatmap
from interp_widgets.models import Model
from interp_widgets.models.anatomy import part
from interp_widgets.views.ablation_items import example

TESTS = pathlib.Path(__file__).parents[1] / "tests"
IOI = (
    "When Mary and John went to the store, John gave a drink to",
    "When Mary and John went to the store, Mary gave a drink to",
)

# In the page: clicks a mark and resolves with the milliseconds until its answer is complete.
CLICK = """
(cell) => new Promise((resolve) => {
  const view = document.querySelector(".iw-ablation");
  const el = view.querySelector(`[data-cell='${cell}']`);
  const start = performance.now();
  const look = () => {
    if (view.dataset.iwResult !== "done") return;
    watch.disconnect();
    const there = performance.now() - start;
    requestAnimationFrame(() => setTimeout(() => resolve([there, performance.now() - start])));
  };
  const watch = new MutationObserver(look);
  watch.observe(view, { attributes: true, attributeFilter: ["data-iw-result"] });
  el.click();
  look();
})
"""


def plain_loop(model: Model, comparison: Comparison, some: list[Part]) -> float:
    """CPU seconds for one hooked run per part."""
    blocks = part(model.hf, model.anatomy.layers)
    start = time.process_time()
    for each in some:
        (spot,) = each.spots(comparison.shape)
        source = comparison.source[spot.place]
        row = model.anatomy

        def put(value: torch.Tensor, spot: Any = spot, source: Any = source) -> torch.Tensor:
            new = value.clone()
            new[0][spot.index] = source[spot.index]
            return new

        block = blocks[spot.place.layer]
        if spot.place.site == "resid_pre":
            handle = block.register_forward_pre_hook(lambda m, args, p=put: (p(args[0]), *args[1:]))
        elif spot.place.site == "attn_z":
            module = part(block, row.attn_write)
            handle = module.register_forward_pre_hook(lambda m, args, p=put: (p(args[0]),))
        elif spot.place.site == "attn_out":
            module = part(block, row.attn)
            handle = module.register_forward_hook(lambda m, a, out, p=put: (p(out[0]), *out[1:]))
        else:
            module = part(block, row.mlp)
            handle = module.register_forward_hook(lambda m, a, out, p=put: p(out))
        with torch.no_grad():
            model.hf(input_ids=comparison.ids[None], use_cache=False, logits_to_keep=1)
        handle.remove()
    return time.process_time() - start


def maps(name: str, clean: str, corrupted: str, sample: int) -> None:
    """Prints a row: all four heatmaps, and the plain loop scaled up from every n-th part."""
    model = iw.load(name)
    comparison = compare_runs(model, clean, corrupted)
    heatmap(model, comparison, "heads")  # warm
    parts = [
        Part(panel, layer, column)
        for panel in PANELS
        for layer in range(comparison.shape.layers)
        for column in range(comparison.shape.columns(panel))
        if panel == "heads" or column >= comparison.unchanged
    ]
    some = parts[::sample]
    plain_loop(model, comparison, some[:3])
    start = time.process_time()
    for panel in PANELS:
        heatmap(model, comparison, panel)
    ours = time.process_time() - start
    plain = plain_loop(model, comparison, some) * len(parts) / len(some)
    print(
        f"| {model.name} | {comparison.shape.positions} | {len(parts):,} | {ours:.2f} | "
        f"{plain:.2f} | {plain / ours:.1f} |",
        flush=True,
    )


def clicks(times: int) -> None:
    """Prints what clicks in JupyterLab take on the bundled model."""
    sys.path.insert(0, str(TESTS))
    from playwright.sync_api import sync_playwright

    from e2e.ablation import SHOW, notebook_that_ablates, views
    from e2e.browser import FLAGS, chromium, open_and_run
    from e2e.servers import JupyterServer

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = JupyterServer("lab", pathlib.Path(folder))
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        try:
            notebook = notebook_that_ablates(server, "clicks.ipynb", SHOW)
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            open_and_run(page, server, notebook)
            views(page).wait_for(timeout=180_000)
            with server.kernel(notebook) as ask:
                wide = ask("ablation.shape.positions")
                first = [(wide - 1 - i % 4) + wide * (i // 4) for i in range(times)]
                new = [page.evaluate(CLICK, cell) for cell in first]
                again = [page.evaluate(CLICK, cell) for cell in first]
                ask("setattr(ablation.view, 'direction', 'denoising') or 1")
                page.locator(
                    ".iw-ablation[data-iw-direction='denoising'][data-iw-state='done']"
                ).wait_for()
                ids = [f"residual.L{cell // wide}.p{cell % wide}" for cell in first]
                ask(f"[ablation.measure(i).joint for i in {ids}]")
                kept = []
                for cell in first:
                    ask("setattr(ablation.view, 'selected', []) or 1")
                    page.wait_for_function(
                        "() => document.querySelector('.iw-ablation').dataset.iwSelected === ''"
                    )
                    kept.append(page.evaluate(CLICK, cell))
        finally:
            browser.close()
            server.stop()
    for what, found in (("new", new), ("kept in Python", kept), ("kept in the page", again)):
        cells = [f"{statistics.median(ms):.0f} [{max(ms):.0f}]" for ms in zip(*found, strict=True)]
        print(f"| {what} | {' | '.join(cells)} | {len(found)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the bundled model alone")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    print(
        "| model | tokens | parts | maps, cpu s | plain loop, cpu s | times |\n|---|---|---|---|---|---|"
    )
    maps("organism", *example(iw.load("organism")), sample=1)
    if not quick:
        maps("smollm2", *IOI, sample=12)
    print("\n| click | there, ms | drawn, ms | n |\n|---|---|---|---|")
    clicks(16)


if __name__ == "__main__":
    main()
