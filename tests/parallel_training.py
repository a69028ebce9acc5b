"""One process of a training, as torchrun starts it; process 0 writes what it saw.

torchrun --nproc-per-node 2 parallel_training.py FOLDER [resume]
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import tiny_models
from small_training import TEXT

from interp_widgets.dictionaries.training import Training, recipes, sae, train, transcoder
from interp_widgets.models import Place


def specs() -> list:
    return [
        transcoder(1, 96, recipes.TopK(4, dead_after=500), skip=True, name="topk"),
        transcoder(1, 64, recipes.BatchTopK(4, dead_after=500), name="batch topk"),
        sae(Place(2, "resid_post"), 64, recipes.JumpReLU(target_l0=5.0), name="jumprelu"),
    ]


def learn(folder: Path, resume: bool) -> Training:
    model = tiny_models.model("llama grouped")
    if resume:
        return Training.resume_from(folder, model, TEXT).wait()
    return train(
        model,
        specs(),
        TEXT,
        tokens=100 * 64,
        batch=64,
        context=12,
        buffer=1024,
        checkpoint_every=40,
        to=folder,
    ).wait()


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    training = learn(folder, resume=len(sys.argv) > 2)
    if os.environ.get("RANK", "0") == "0":
        found = {
            f"{name} {metric}": values
            for name, history in training.history.items()
            for metric, values in history.items()
        }
        np.savez(folder / "history.npz", **found)
