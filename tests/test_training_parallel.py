"""Two processes under torchrun learn what one process learns."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from parallel_training import learn
from safetensors.torch import load_file

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("parallel_training.py")


def run(folder: Path, *words: str) -> Any:
    """Two processes; what process 0 saw."""
    folder.mkdir(exist_ok=True)
    places = (str(SCRIPT.parent), str(SCRIPT.parents[1]))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(places)}
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*start, str(SCRIPT), str(folder), *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return np.load(folder / "history.npz")


def test_the_loss_curve_of_two_processes_is_that_of_one(tmp_path: Path) -> None:
    one, two = learn(tmp_path / "one", resume=False), run(tmp_path / "two")
    for name, history in one.history.items():
        for metric in ("loss", "fvu", "l0", "dead_share"):
            mine, theirs = history[metric], two[f"{name} {metric}"]
            assert len(mine) == len(theirs) == 100
            assert np.abs(mine - theirs).max() <= 1e-4 * np.abs(mine).max(), (name, metric)
    # What two processes began, two go on with, to the same bits.
    newest = max((tmp_path / "two").glob("checkpoint-*.safetensors"))
    expected = load_file(newest)
    newest.unlink()
    again = run(tmp_path / "two", "resume")
    assert np.array_equal(again["topk loss"], two["topk loss"])
    found = load_file(newest)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
