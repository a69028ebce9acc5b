"""What an intervention costs, in plain forward passes of Hugging Face on the same prompt.

    python benchmarks/interventions.py
    python benchmarks/interventions.py --ours    # without circuit-tracer
    python benchmarks/interventions.py --peer ENVIRONMENT

SmolLM2-135M, random transcoders, 12 tokens (cases/smollm2.py), one thread. Each run comes right behind
a plain pass (eager attention, logits at all positions, as in every run here), and the median of the
ratios of CPU time counts; compiling the plan and keeping all logits is included. circuit-tracer does
the same in an environment of its own, with its own plain pass as the unit, and without activations
(with them: the line below the table). Goal: 1.5 with attention free, 2 with it frozen. The last column
is the largest difference of the logits.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cases import meter, smollm2
from cases.turns import in_plain_passes
from peers import environment

from interp_widgets import dictionaries, models
from interp_widgets.models import Model, catalog
from interp_widgets.models.interventions import (
    feature,
    head,
    mlp,
    neuron,
    pattern,
    residual,
)

HERE = Path(__file__).parent
OTHER = "When Tom and Sarah went to the park, Tom gave"
MANY = 40
MODES = ("free", "frozen")
Shares = dict[str, float]  # costs in plain passes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=20)
    parser.add_argument("--ours", action="store_true", help="measure ours only")
    parser.add_argument(
        "--peer", help=f"environment with circuit-tracer; also ${environment.VARIABLE}"
    )
    args = parser.parse_args()
    meter.one_thread()
    torch.set_grad_enabled(False)
    home = smollm2.folder()
    peer = None if args.ours else environment.python(args.peer, home)
    model = models.load(smollm2.NAME, device="cpu")
    folder = smollm2.transcoders(model)
    dictionary = dictionaries.load(folder)
    ids = model.tokenize(smollm2.PROMPT)

    job = shared_job(model, dictionary, folder)
    logits: dict[str, Any] = {}
    work: dict[str, Callable[[], Any]] = {}

    def plain() -> Any:
        return model.hf(input_ids=ids[None], use_cache=False).logits

    for name, (listed, options) in job["interventions"].items():
        if "return_activations" in options:
            continue
        what = [feature(dictionary, layer, f).clamp(v).at(p) for layer, p, f, v in listed]
        mode = "frozen" if options.get("freeze_attention") else "free"
        constrained = "all" if "constrained_layers" in options else ()
        work[name] = run(model, ids, what, logits, name, attention=mode, constrained=constrained)
    for name, (what, mode) in others(model).items():
        work[name] = run(model, ids, what, logits, name, attention=mode)
    many = [neuron(i % model.n_layers, 10 * i).ablate().at(-1) for i in range(MANY)]
    work["many free"] = lambda: model.intervene_each(ids, many)
    work["many frozen"] = lambda: model.intervene_each(ids, many, attention="frozen")
    seconds, ours = in_plain_passes(plain, work, args.repeat)

    theirs: Shares = {}
    apart: dict[str, float] = {}
    if peer:
        theirs, found = measure_peer(peer, job | {"repeat": args.repeat}, home)
        apart = {
            name: float(np.abs(found[name] - logits[name].numpy()).max())
            for name in logits
            if name in found
        }
    print(meter.machine() + ", one thread", "", sep="\n")
    print(f"A plain pass of {len(ids)} tokens: {1e3 * seconds:.0f} ms", "", sep="\n")
    for line in table(ours, theirs, apart):
        print(line)
    if theirs:
        shares = [theirs[f"with activations {mode}"] for mode in MODES]
        print("", "circuit-tracer with activations: {:.2f} and {:.2f}".format(*shares), sep="\n")


def shared_job(model: Model, dictionary: Any, folder: Path) -> dict[str, Any]:
    """What both tools do, as circuit-tracer is told: layer, position, feature, value."""
    ids = model.tokenize(smollm2.PROMPT)
    last, middle = len(ids) - 1, model.n_layers // 2
    seen = model.run(ids[None], read=[dictionary.reads(i) for i in range(model.n_layers)]).seen

    def strongest(layer: int) -> int:
        active = dictionary.encode(layer, seen[dictionary.reads(layer)][0])
        here = active.position == last
        return int(active.feature[here][active.activation[here].argmax()])

    one = [[middle, last, strongest(middle), 0.0]]
    spread = range(1, model.n_layers, 4)
    several = [[i, last, strongest(i), 0.0] for i in spread]
    free, frozen = {"freeze_attention": False}, {"freeze_attention": True}
    direct = {"constrained_layers": "all"}
    return {
        "transcoders": str(folder),
        # It tokenizes text itself, and puts nothing in front of it.
        "prompt": model.token_text(int(ids[0])) + smollm2.PROMPT,
        "tokens": ids.tolist(),
        "n_layers": model.n_layers,
        "input_hook": smollm2.INPUT,
        "output_hook": smollm2.OUTPUT,
        "interventions": {
            "one feature free": [one, free],
            "one feature frozen": [one, frozen],
            "one feature direct": [one, direct],
            "several features free": [several, free],
            "several features frozen": [several, frozen],
            # What it does unless told otherwise: encode every layer, too.
            "with activations free": [one, free | {"return_activations": True}],
            "with activations frozen": [one, frozen | {"return_activations": True}],
        },
    }


def others(model: Model) -> dict[str, tuple[Any, Any]]:
    """What circuit-tracer has no word for: interventions, and how attention is run."""
    direction = torch.randn(model.d_model, generator=torch.Generator().manual_seed(0))
    middle = model.n_layers // 2
    what = {
        "neuron": neuron(middle, 100),
        "head": head(middle, 2),
        "mlp": mlp(middle),
        "stream": residual(middle).add(4, direction),
        "pattern": pattern(middle, 2).scale(0.5),
        "patch": residual(middle).patch(OTHER).at(-1),
    }
    return {f"{name} {mode}": (item, mode) for name, item in what.items() for mode in MODES}


def run(
    model: Model, ids: Any, what: Any, logits: dict[str, Any], name: str, **options: Any
) -> Callable[[], None]:
    def do() -> None:
        logits[name] = model.intervene(ids, what, **options).logits

    return do


def measure_peer(peer: Path, job: dict[str, Any], home: Path) -> tuple[Shares, dict[str, Any]]:
    folder = environment.older_words(Path(catalog.resolve(smollm2.NAME).path), home)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "logits.npz"
        alone = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        done = subprocess.run(
            [
                peer,
                HERE / "peers" / "intervene_circuit_tracer.py",
                json.dumps(job | {"model": str(folder), "logits": str(path)}),
            ],
            env=os.environ | alone | {"PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)])},
            stdout=subprocess.PIPE,
            text=True,
        )
        if done.returncode:
            raise SystemExit("circuit-tracer failed; what it said is above.")
        with np.load(path) as file:
            return json.loads(done.stdout.strip().splitlines()[-1]), dict(file)


ROWS = {
    "one feature": "one feature, one position",
    "several features": "eight features in eight layers",
    "neuron": "a neuron",
    "head": "a head",
    "mlp": "an MLP",
    "stream": "a direction added to the stream",
    "pattern": "a head's pattern scaled",
    "patch": "the stream patched, the other prompt's run included",
}


def table(ours: Shares, theirs: Shares, apart: dict[str, float]) -> list[str]:
    def cell(shares: Shares, name: str, of: int = 1) -> str:
        return f"{shares[name] / of:.2f}" if name in shares else ""

    lines = [
        "| | attention free | frozen | direct | circuit-tracer 0.5.0: free | frozen | direct | logits apart |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for key, name in ROWS.items():
        modes = [f"{key} {mode}" for mode in (*MODES, "direct")]
        cells = [cell(ours, m) for m in modes] + [cell(theirs, m) for m in modes]
        off = [apart[m] for m in modes if m in apart]
        lines.append(f"| {name} | {' | '.join(cells)} | {f'{max(off):.1e}' if off else ''} |")
    cells = [cell(ours, f"many {mode}", MANY) for mode in MODES]
    lines.append(
        f"| each of {MANY} neurons, one after another in one call | {' | '.join(cells)} | | | | | |"
    )
    return lines


if __name__ == "__main__":
    main()
