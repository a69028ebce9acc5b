"""Whether we read what SAELens, sparsify and dictionary_learning wrote, and they what we wrote.

    python benchmarks/interop.py

Each tool runs in an environment of its own (made once). With its own classes it saves one of each
kind it has, with weights that are neither zero nor normalised, and opens it with its own loader;
ours opens the same folder. Both encode and decode the same 256 vectors. Then SAELens opens what we
wrote. The largest differences are told, of activations and of outputs, relative to the largest
value; the goal is 1e-5.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cases import meter, smollm2
from peers import environment

from interp_widgets import dictionaries
from interp_widgets.dictionaries import Gated, JumpReLU, Layer, ReLU, Rows, SparseCoder, TopK
from interp_widgets.models.places import Place

HERE = Path(__file__).parent
D, F, K, N = 16, 64, 6, 256
GOAL = 1e-5


@dataclass(frozen=True)
class Difference:
    """The largest differences of one folder, of the largest value."""

    activations: float
    outputs: float
    same_features: bool


def main() -> None:
    print(meter.machine(), "", sep="\n")
    print("| written by | read by both | activations | outputs | same active features |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        inputs = root / "inputs.npy"
        np.save(inputs, np.random.default_rng(0).normal(size=(N, D)).astype(np.float32))
        worst = 0.0
        for tool in environment.TOOLS:
            script = f"open_{tool.split('-')[0]}.py"
            job: dict[str, Any] = {"folder": str(root / tool), "inputs": str(inputs), "open": []}
            ours = write_ours(root / "ours") if script == "open_saelens.py" else {}
            job["open"] = [str(folder) for folder in ours.values()]
            run(environment.made(smollm2.folder() / tool, environment.TOOLS[tool]), script, job)
            theirs = sorted(path.parent for path in (root / tool).rglob("peer.npz"))
            found = {f"{tool} | {name(path, root / tool)}": path for path in theirs}
            found |= {f"ours, for {tool} | {kind}": folder for kind, folder in ours.items()}
            for line, folder in found.items():
                apart = difference(folder, inputs)
                worst = max(worst, apart.activations, apart.outputs)
                same = "yes" if apart.same_features else "no"
                print(
                    f"| {line} | {apart.activations:.1e} | {apart.outputs:.1e} | {same} |",
                    flush=True,
                )
    print(f"\nLargest: {worst:.1e}, goal {GOAL:.0e}: {'met' if worst <= GOAL else 'missed'}.")


def run(python: Path, script: str, job: dict[str, Any]) -> None:
    alone = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [python, HERE / "peers" / script, json.dumps(job)]
    if subprocess.run(command, env=os.environ | alone, stdout=subprocess.DEVNULL).returncode:
        raise SystemExit(f"{script} failed; what it said is above.")


def name(folder: Path, root: Path) -> str:
    return folder.relative_to(root).parts[0]


def difference(folder: Path, inputs: Path) -> Difference:
    """Ours against what the peer left in peer.npz."""
    x = torch.from_numpy(np.load(inputs))
    coder = dictionaries.load(folder)
    assert isinstance(coder, SparseCoder)
    active = coder.encode(x)
    a = torch.zeros(N, coder.n_features)
    a[active.position, active.feature] = active.activation
    with np.load(folder / "peer.npz") as peer:
        their_a, their_y = (torch.from_numpy(peer[key]) for key in ("a", "y"))
    y = coder.decode(active, x)
    return Difference(
        float((a - their_a).abs().max() / their_a.abs().max()),
        float((y - their_y).abs().max() / their_y.abs().max()),
        bool(((a != 0) == (their_a != 0)).all()),
    )


def write_ours(root: Path) -> dict[str, Path]:
    """One of each kind that SAELens has, written by us."""
    random = torch.Generator().manual_seed(1)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=random)

    activations = {
        "ReLU": lambda: ReLU(),
        "TopK": lambda: TopK(K, relu=True),
        "JumpReLU": lambda: JumpReLU(draw(F).abs()),
        "Gated": lambda: Gated(draw(F).exp(), draw(F)),
    }
    folders = {}
    for kind, activation in activations.items():
        for norm in ("none", "layer_norm", "constant_norm", "skip"):
            if norm == "skip" and kind in ("TopK", "Gated"):
                continue
            layer = Layer(
                kind,
                Rows.hold(draw(F, D), "encoder"),
                Rows.hold(draw(F, D), "decoder"),
                draw(F),
                draw(D),
                activation(),
                draw(D, D) if norm == "skip" else None,
            )
            reads = Place(4, "mlp_in")
            writes = Place(4, "mlp_out") if norm == "skip" else reads
            own = "none" if norm == "skip" else norm
            coder = SparseCoder(layer, reads, writes, kind, "gpt2-small", own)  # type: ignore[arg-type]
            what = "skip transcoder" if norm == "skip" else "SAE"
            title = f"{kind} {what}" + (f", {norm}" if norm.endswith("norm") else "")
            folders[title] = root / title
            dictionaries.save(coder, folders[title], "saelens")
    return folders


if __name__ == "__main__":
    main()
