"""What a feature index costs: one pass for all features against SAEDashboard's passes per batch.

    python benchmarks/index.py                # both parts, about ten minutes
    python benchmarks/index.py --part size    # memory, look-ups and cards, at 16M activations
    python benchmarks/index.py --part peer    # against SAEDashboard

Against SAEDashboard 0.8.0, in an environment of its own (made once): SmolLM2, transcoders of 4,096
random features in front of every MLP, each with the threshold that makes it active on 32/4096 of the
tokens, the same 16,256 tokens (and a special one in front of every window), one thread, CPU time.
SAEDashboard makes what its dashboard shows of some features of one block, 256 at once (its default)
or 1,024; ours indexes all blocks in one pass, and one block alone. What its dashboard shows and an
index does not hold (logits, neighbours) is in our cards, made when somebody looks. The strongest
activations of both must be the same.

Size: the organism with a random TopK SAE (k = 32, 4,096 features), 500,000 tokens of its corpus: 16
million activations. Memory is what the process takes at most above what it had with the model loaded,
mapped files included.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from cases import meter, random_features, smollm2
from cases.random_features import CONTEXT, FEATURES
from peers import environment

from interp_widgets import dictionaries, models
from interp_widgets.dictionaries import SparseCoder, Transcoders
from interp_widgets.features import Index, open_index
from interp_widgets.features.building import build
from interp_widgets.features.card import card
from interp_widgets.features.stored import StoredIndex
from interp_widgets.features.units import units_of
from interp_widgets.labs.organism import corpus
from interp_widgets.models import Model, Place, catalog

HERE = Path(__file__).parent
BLOCKS, SAMPLED, CARDS, COMPARED = (4, 14, 24), 256, 64, range(24)
GOAL, MEMORY_GOAL, LOOK_UP_GOAL, CARD_GOAL = 50, 1e9, 1e-3, 0.1
TOP, BUFFER = 20, 5  # what SAEDashboard shows, and how far from a window's ends its examples stay


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=["peer", "size"])
    parser.add_argument("--tokens", type=int, default=500_000, help="of the part about size")
    given = parser.parse_args()
    meter.one_thread()
    print(f"{meter.machine()}, one thread\n")
    with tempfile.TemporaryDirectory() as scratch:
        if given.part != "peer":
            size(Path(scratch) / "size", given.tokens)
        if given.part != "size":
            against_peer(Path(scratch) / "peer")


# --- against SAEDashboard --------------------------------------------------------------------------


def against_peer(scratch: Path) -> None:
    scratch.mkdir()
    home = smollm2.folder()
    python = environment.made(home / environment.DASHBOARD[0], environment.DASHBOARD[1])
    older = environment.older_words(Path(catalog.resolve(smollm2.NAME).path), home)
    model = models.load(smollm2.NAME, device="cpu")
    text, tokens = random_features.whole_windows(model)
    np.save(scratch / "tokens.npy", tokens)
    every = random_features.transcoders(model, tokens)
    middle = random_features.one_of(every, BLOCKS[1])
    job = {
        "model": str(older),
        "tokens": str(scratch / "tokens.npy"),
        "saes": [str(scratch / f"block {block}") for block in BLOCKS],
        "batches": [SAMPLED, 4 * SAMPLED],
        "compare": list(COMPARED),
    }
    for block, folder in zip(BLOCKS, job["saes"], strict=True):
        dictionaries.save(random_features.one_of(every, block), folder, "saelens")
    print(f"SmolLM2, {tokens[:, 1:].size:,} tokens")
    print("| | features | cpu per feature, ms | of which the language model |")
    print("|---|---|---|---|")
    stored, all_blocks = indexed(model, every, text, scratch / "every")
    row(f"ours, all {model.n_layers} blocks", all_blocks)
    _, one_block = indexed(model, middle, text, scratch / "one")
    row(f"ours, block {BLOCKS[1]} alone", one_block)
    index = open_index(scratch / "every", model, every)
    cards = times(lambda f: card(index, BLOCKS[1], f), range(CARDS))
    row("ours, a card with all it shows", Cost(CARDS, sum(cards), 0.0))
    strongest: dict[int, Any] = {}
    costs: dict[tuple[int, int], Cost] = {}
    for found in peer(python, job):
        at = BLOCKS[found["sae"]], found["batch"]
        costs[at] = Cost(found["batch"], found["cpu"], found["model"])
        strongest[at[0]] = found["strongest"]
        row(f"SAEDashboard, block {at[0]}, {at[1]:,} features at once", costs[at])
    for batch in job["batches"]:
        theirs = statistics.mean(costs[block, batch].each for block in BLOCKS)
        ratio, alone = theirs / all_blocks.each, costs[BLOCKS[1], batch].each / one_block.each
        said = f"{ratio:.0f} times ours (goal {GOAL}: {'met' if ratio >= GOAL else 'missed'})"
        print(f"{batch:,} at once: {said}; {alone:.0f} times with one block indexed alone")
    worst = max(apart(stored, block, found) for block, found in strongest.items())
    print(f"Largest difference of the {TOP} strongest activations: {worst:.1e} of the largest")


@dataclass(frozen=True)
class Cost:
    """CPU seconds for some features, and those of them inside the language model."""

    features: int
    cpu: float
    model: float

    @property
    def each(self) -> float:
        return self.cpu / self.features


def row(name: str, cost: Cost) -> None:
    inside = 1e3 * cost.model / cost.features
    print(f"| {name} | {cost.features:,} | {1e3 * cost.each:.2f} | {inside:.2f} |", flush=True)


def indexed(
    model: Model, dictionary: SparseCoder | Transcoders, text: str, folder: Path
) -> tuple[StoredIndex, Cost]:
    """An index, and what it cost."""
    units = units_of(model, dictionary)
    build(model, units, text[:2000], folder.with_name("warm " + folder.name), context=CONTEXT)
    with clocked(model) as inside, meter.measured() as cost:
        stored = build(model, units, text, folder, context=CONTEXT)
    features = sum(units.n_features(layer) for layer in units.layers)
    return stored, Cost(features, cost.cpu, inside[0])


def peer(python: Path, job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What SAEDashboard says, run by run."""
    alone = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    offline = {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(HERE)}
    done = subprocess.run(
        [python, HERE / "peers" / "dashboards_sae_dashboard.py", json.dumps(job)],
        env=os.environ | alone | offline,
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        raise SystemExit("SAEDashboard failed; what it said is above.")
    for line in done.stdout.splitlines():
        if line.startswith('{"sae"'):
            yield json.loads(line)


def apart(stored: StoredIndex, layer: int, theirs: dict[str, list[float]]) -> float:
    """The largest difference between what both call the strongest activations of a feature, of the
    largest. SAEDashboard takes tokens a few places away from the ends of windows."""
    worst = 0.0
    for feature, values in theirs.items():
        entries = stored.entries(layer, int(feature))
        column = entries.position % (CONTEXT - 1) + 1
        inner = entries.value[(column > BUFFER) & (column < CONTEXT - BUFFER)]
        ours = np.sort(np.append(inner, np.zeros(TOP)))[::-1][:TOP]
        worst = max(worst, float(np.abs(ours - np.array(values)).max() / ours.max()))
    return worst


# --- size --------------------------------------------------------------------------------------


def size(folder: Path, tokens: int) -> None:
    model = models.load("organism", device="cpu")
    place = Place(2, "resid_post")
    coder = random_features.top_k(model, place)
    documents = texts(tokens)
    units = units_of(model, coder)
    build(model, units, documents[:40], folder.with_name("warm"))
    with clocked(model) as inside, meter.measured() as cost:
        stored = build(model, units, documents, folder, tokens=tokens)
    entries = int(stored.counts(2).sum())
    above = cost.peak - cost.before
    print(f"{entries:,} activations of {FEATURES:,} features on {stored.n_tokens:,} tokens")
    print(f"  CPU {cost.cpu:.0f} s, {inside[0]:.0f} s of it in the language model")
    print(f"  on disk {stored.n_bytes / 1e6:.0f} MB, {stored.n_bytes / entries:.1f} per activation")
    print(f"  memory {above / 1e6:.0f} MB above the loaded model's ({verdict(above, MEMORY_GOAL)})")
    index = open_index(folder, model, coder)
    alive = np.flatnonzero(stored.counts(2))
    chosen = np.random.default_rng(0).permutation(alive)[:200].tolist()
    report("examples(20) and histogram", look_ups(StoredIndex(folder), chosen), LOOK_UP_GOAL)
    report("card without weights", cards(index, chosen, False), CARD_GOAL)
    report("card with weights", cards(index, chosen, True), CARD_GOAL)
    print()


def texts(tokens: int) -> list[str]:
    """Documents of the organism's corpus, five in one, that make at least so many tokens."""
    found: list[str] = []
    documents = corpus.documents(seed=5)
    words = 0
    while words < 1.05 * tokens:
        found.append(" ".join(str(document) for document in islice(documents, 5)))
        words += len(found[-1].split())
    return found


def look_ups(stored: StoredIndex, features: list[int]) -> list[float]:
    def one(feature: int) -> None:
        stored.examples(2, feature, 20)
        stored.histogram(2, feature)

    return times(one, features)


def cards(index: Index, features: list[int], weights: bool) -> list[float]:
    return times(lambda feature: card(index, 2, feature, weights=weights), features)


def report(what: str, seconds: list[float], goal: float) -> None:
    first, rest = seconds[0], seconds[1:]
    middle, high = np.percentile(rest, [50, 95])
    print(
        f"  {what}: first {1e3 * first:.2f} ms, then median {1e3 * middle:.2f}, "
        f"95% below {1e3 * high:.2f} ({verdict(middle, goal)}), {len(seconds)} features"
    )


def verdict(value: float, goal: float) -> str:
    return f"goal {goal:g}: {'met' if value <= goal else 'missed'}"


def times(work: Callable[[int], Any], features: list[int] | range) -> list[float]:
    """CPU seconds of each piece of work."""
    found = []
    for feature in features:
        begun = time.process_time()
        work(feature)
        found.append(time.process_time() - begun)
    return found


@contextmanager
def clocked(model: Model) -> Iterator[list[float]]:
    """CPU seconds inside the model's runs."""
    run, seconds = model.run, [0.0]

    def timed(*args: Any, **options: Any) -> Any:
        begun = time.process_time()
        out = run(*args, **options)
        seconds[0] += time.process_time() - begun
        return out

    model.run = timed  # type: ignore[method-assign]
    try:
        yield seconds
    finally:
        del model.run


if __name__ == "__main__":
    main()
