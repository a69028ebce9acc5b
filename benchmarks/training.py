"""One TopK training step: sparsify, dictionary_learning, SAELens and ours, on the same vectors.

    python benchmarks/training.py              # about ten minutes on an idle core
    python benchmarks/training.py --quick      # timing only
    python benchmarks/training.py --lr 1e-3    # another learning rate for all

d = 256, F = 4,096, k = 32, batch 1,024, float32, one thread; vectors of cases/superposition.py. Each
tool runs in an environment of its own, made once, with the same torch, as a process that answers
requests; the tools take turns, a few steps each, so that whatever else the machine does meets all.
CPU time per step. Then each trains a fresh dictionary for 500 steps over the same batches in the same
order, Adam at the same rate, each with its own initialisation and constraints: fraction of variance
unexplained, on the last 8,192 vectors seen and on 8,192 held out.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cases import smollm2, superposition
from peers import environment

HERE = Path(__file__).parent
D, FEATURES, K, BATCH, STEPS = 256, 4096, 32, 1024, 500
GOAL = 1.5
ENVIRONMENTS = {
    "ours": None,
    "sparsify": "sparsify-1.3.3",
    "dictionary_learning": "dictionary_learning-0.1.0",
    "SAELens": "saelens-6.54.0",
}


@dataclass
class Worker:
    """A tool's process."""

    name: str
    process: subprocess.Popen[str]

    def __post_init__(self) -> None:
        self.cpu: list[float] = []
        self.torch = self._answer()["ready"]

    def ask(self, request: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        """The next line that is JSON; tools print other things, too."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise SystemExit(f"{self.name} ended early.")


def start(name: str, home: Path, job: dict[str, Any]) -> Worker:
    folder = ENVIRONMENTS[name]
    python = Path(sys.executable)
    if folder is not None:
        python = environment.made(home / folder, environment.TOOLS[folder])
    alone = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    paths = os.pathsep.join([str(HERE), str(HERE.parent)])
    process = subprocess.Popen(
        [python, HERE / "peers" / "train_topk.py", name, json.dumps(job)],
        env=os.environ | alone | {"PYTHONPATH": paths},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    return Worker(name, process)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--lr", type=float, default=2e-4 * (2**14 / FEATURES) ** 0.5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    home = smollm2.folder()
    with tempfile.TemporaryDirectory() as temporary:
        data, held_out = Path(temporary, "data.npy"), Path(temporary, "held_out.npy")
        np.save(data, superposition.vectors(BATCH * (64 if given.quick else STEPS), D, 1).numpy())
        np.save(held_out, superposition.vectors(8 * BATCH, D, 2).numpy())
        job = dict(data=str(data), held_out=str(held_out), features=FEATURES, k=K, lr=given.lr)
        workers = [start(name, home, job) for name in ENVIRONMENTS]
        for worker in workers:
            worker.ask("time 3")
        for _ in range(10):
            for worker in workers:
                worker.cpu += worker.ask("time 5")["cpu"]
        trained = [] if given.quick else [worker.ask(f"train {STEPS}") for worker in workers]
        report(workers, trained, given.lr)
        for worker in workers:
            worker.process.kill()


def report(workers: list[Worker], trained: list[dict[str, float]], lr: float) -> None:
    ours = statistics.median(workers[0].cpu)
    print(f"torch {', '.join(sorted({worker.torch for worker in workers}))}; lr {lr:.1e}")
    print("| | min, ms | p25, ms | median, ms | median of ours | FVU | FVU, held out |")
    print("|---|---|---|---|---|---|---|")
    for at, worker in enumerate(workers):
        low, middle = np.percentile(worker.cpu, [25, 50])
        fvu = [f"{trained[at][key]:.4f}" for key in ("fvu", "held_out")] if trained else ["", ""]
        cells = [worker.name, *(f"{1e3 * t:.1f}" for t in (min(worker.cpu), low, middle))]
        print("| " + " | ".join([*cells, f"{middle / ours:.2f}", *fvu]) + " |")
    ratio = statistics.median(workers[1].cpu) / ours
    fast = f"{ratio:.2f}x sparsify (goal {GOAL}: {'met' if ratio >= GOAL else 'missed'})"
    if trained:
        good = all(trained[0][key] <= trained[1][key] for key in ("fvu", "held_out"))
        fast += f"; FVU {'no higher' if good else 'higher'} than sparsify's"
    print(fast)


if __name__ == "__main__":
    main()
