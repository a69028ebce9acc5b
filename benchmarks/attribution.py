"""What an attribution graph costs: circuit-tracer and ours, on the same graph.

    python benchmarks/attribution.py             # 1,024 and 4,096 nodes, about ten minutes
    python benchmarks/attribution.py --quick     # 256 nodes
    python benchmarks/attribution.py --peer ENV  # an environment that has circuit-tracer

SmolLM2-135M, random transcoders, 12 tokens (cases/smollm2.py). Each graph is made in a fresh
process with one thread, loading excluded, forward passes included; the two tools take turns,
and the smallest of the repetitions counts. Both rank after every 256 features, so they choose
the same nodes; the last columns show that they made the same graph.

cpu       CPU seconds            peak      memory at most, and above what it was after loading
products  share of our CPU time inside matrix products
first     CPU seconds until the first edges can be drawn; the peer has none before the end
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from cases import meter, smollm2
from peers import environment

from interp_widgets import models
from interp_widgets.models import catalog

HERE = Path(__file__).parent
GOAL, AIM = 1 / 12, 1 / 20
BATCH, INTERVAL = 64, 4


@dataclass
class Runs:
    """The repetitions of one way to make one graph."""

    name: str
    python: Path
    script: Path
    job: dict[str, Any]

    def __post_init__(self) -> None:
        self.costs: list[dict[str, Any]] = []

    def again(self, **changes: Any) -> dict[str, Any]:
        alone = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        paths = os.pathsep.join([str(HERE), str(HERE.parent)])
        done = subprocess.run(
            [self.python, self.script, json.dumps(self.job | changes)],
            env=os.environ | alone | {"PYTHONPATH": paths},
            stdout=subprocess.PIPE,
            text=True,
        )
        if done.returncode:
            raise SystemExit(f"{self.name} failed; what it said is above.")
        cost: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        print(f"  {self.name}: {cost['cpu']:.2f} s CPU, {_mb(cost['peak'])} MB", file=sys.stderr)
        return cost

    def best(self, key: str) -> float:
        return min(cost[key] for cost in self.costs)

    @property
    def extra(self) -> float:
        return min(cost["peak"] - cost["before"] for cost in self.costs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="256 nodes only, once")
    parser.add_argument(
        "--peer", help=f"environment with circuit-tracer; also ${environment.VARIABLE}"
    )
    parser.add_argument("--nodes", type=int, nargs="*", help="numbers of feature nodes")
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--ours", action="store_true", help="measure ours only")
    args = parser.parse_args()
    sizes = args.nodes or ([256] if args.quick else [1024, 4096])
    repeat = 1 if args.quick else args.repeat

    home = smollm2.folder()
    peer = None if args.ours else environment.python(args.peer, home)
    model = models.load(smollm2.NAME, device="cpu")
    transcoders = smollm2.transcoders(model)
    common = {
        "transcoders": str(transcoders),
        "tokens": model.tokenize(smollm2.PROMPT).tolist(),
        "n_layers": model.n_layers,
        "input_hook": smollm2.INPUT,
        "output_hook": smollm2.OUTPUT,
    }
    folder = (
        environment.older_words(Path(catalog.resolve(smollm2.NAME).path), home) if peer else None
    )
    del model
    print(meter.machine() + ", one thread", "", sep="\n")
    print(_HEAD)
    for size in sizes:
        for line in compare(common | {"max_nodes": size}, peer, folder, repeat):
            print(line, flush=True)


_HEAD = """\
| nodes | | cpu, s | of the peer's | peak, MB | above loading, MB | products | first, s | same nodes | max abs(A - B) of max abs(A) |
|---|---|---|---|---|---|---|---|---|---|"""


def compare(job: dict[str, Any], peer: Path | None, model: Path | None, repeat: int) -> list[str]:
    """The table's lines for one size."""
    with tempfile.TemporaryDirectory() as scratch:
        graphs = {name: Path(scratch) / f"{name}.npz" for name in ("peer", "ours")}
        mine = HERE / "cases" / "trace_ours.py"
        every = Runs(
            f"ours, ranking every {BATCH * INTERVAL}",
            Path(sys.executable),
            mine,
            job | {"rank_every": BATCH * INTERVAL, "graph": str(graphs["ours"])},
        )
        ways = [every, Runs("ours, default ranking", Path(sys.executable), mine, job)]
        theirs = None
        if peer:
            settings = {"batch_size": BATCH, "update_interval": INTERVAL}
            theirs = Runs(
                "circuit-tracer 0.5.0",
                peer,
                HERE / "peers" / "trace_circuit_tracer.py",
                job | settings | {"model": str(model), "graph": str(graphs["peer"])},
            )
            ways.insert(0, theirs)
        for _ in range(repeat):
            for way in ways:
                way.costs.append(way.again())
        lines = []
        for way in ways:
            products = first = same = apart = ""
            if way is not theirs:
                # Watching costs time outside the products, so the whole is a run without it.
                timed = way.again(products=True, graph=None)
                products = f"{timed['products'] / way.best('cpu'):.0%}"
                first = f"{way.again(offers=True, graph=None)['first']:.2f}"
            if theirs and way is every:
                same, apart = difference(graphs["peer"], graphs["ours"])
            ratio = way.best("cpu") / theirs.best("cpu") if theirs else float("nan")
            shown = (
                "1" if way is theirs else f"1/{1 / ratio:.1f} ({_verdict(ratio)})" if theirs else ""
            )
            lines.append(
                f"| {job['max_nodes']:,} | {way.name} | {way.best('cpu'):.2f} | {shown} | "
                f"{_mb(way.best('peak'))} | {_mb(way.extra)} | {products} | {first} | {same} | {apart} |"
            )
        return lines


def difference(a: Path, b: Path) -> tuple[str, str]:
    """Whether two graphs have the same nodes, and how far their edges are apart."""
    with np.load(a) as x, np.load(b) as y:
        features = np.array_equal(x["features"], y["features"])
        outputs = np.array_equal(x["outputs"], y["outputs"])
        if not (features and outputs):
            shared = len({*map(tuple, x["features"])} & {*map(tuple, y["features"])})
            return f"no ({shared} of {len(x['features'])} shared)", ""
        largest = np.abs(x["adjacency"]).max()
        apart = np.abs(x["adjacency"] - y["adjacency"]).max()
        return "yes", f"{apart:.1e} of {largest:.1f}"


def _verdict(ratio: float) -> str:
    return (
        "aim met" if ratio <= AIM else "goal met" if ratio <= GOAL else f"goal is 1/{1 / GOAL:.0f}"
    )


def _mb(size: float) -> str:
    return f"{size / 1e6:,.0f}"


if __name__ == "__main__":
    main()
