"""Trains a small dictionary, is killed with SIGKILL at random moments, and goes on each time.

    python small_training.py FOLDER KILLS SEED

Importing takes seconds and a training takes two, so one process imports everything and forks a
child for every life; what is killed is a real process in the middle of its work. Prints the
number of kills. FOLDER/whole is trained without one, FOLDER/killed-0 with KILLS of them; where
that comes to its end before, FOLDER/killed-1 is begun, and so on.
"""

from __future__ import annotations

import os
import random
import select
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import tiny_models

from interp_widgets.dictionaries.training import Training, recipes, sae, train, transcoder
from interp_widgets.models import Place

TEXT = [" ".join(f"w{(7 * i + i * j * j) % 35 + 5}" for j in range(25)) for i in range(90)]
STEPS, BATCH = 240, 64


def until(training: Training, condition: Callable[[], bool]) -> None:
    """Wait for something that the training will come to."""
    changed = threading.Event()
    training.on_change(changed.set)
    while not condition():
        assert changed.wait(60), training
        changed.clear()


def learn(folder: Path) -> None:
    """Begin, or go on; to the end."""
    model = tiny_models.model("llama grouped")
    if list(folder.glob("checkpoint-*.safetensors")):
        training = Training.resume_from(folder, model, TEXT)
    else:
        training = train(
            model,
            [
                transcoder(1, 96, recipes.TopK(4, dead_after=500), skip=True),
                sae(Place(2, "resid_post"), 96, recipes.JumpReLU()),
            ],
            TEXT,
            tokens=STEPS * BATCH,
            batch=BATCH,
            context=12,
            buffer=1024,
            checkpoint_every=3,
            to=folder,
        )
    training.wait()


def life(folder: Path, longest: float | None) -> bool:
    """One process that learns; killed after at most `longest` seconds. Whether it came to its end."""
    child = os.fork()
    if child == 0:
        learn(folder)
        os._exit(0)
    handle = os.pidfd_open(child)
    select.select([handle], [], [], longest)
    os.kill(child, signal.SIGKILL)
    os.close(handle)
    return os.waitpid(child, 0)[1] == 0


def main(folder: Path, kills: int, seed: int) -> None:
    assert life(folder / "whole", None)
    chance = random.Random(seed)
    killed = ended = 0
    while killed < kills:
        if life(folder / f"killed-{ended}", chance.uniform(0, 0.5)):
            ended += 1
        else:
            killed += 1
    assert life(folder / f"killed-{ended}", None)
    print(f"killed {killed} times")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
