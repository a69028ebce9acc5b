"""One model for several threads, and many runs: none fails, none is wrong, nothing piles up."""

from __future__ import annotations

import resource
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import torch
from tiny_models import dictionary, model
from torch import Tensor

from interp_widgets.jobs import Job
from interp_widgets.models import Model
from interp_widgets.models.interventions import (
    What,
    feature,
    head,
    mlp,
    neuron,
    pattern,
    residual,
)

IDS = torch.tensor([1, 3, 14, 15, 9, 26, 5])
D = dictionary()
CLT = dictionary("clt", activation="jumprelu")
V = torch.linspace(-1, 1, 32)
RUNS = 200


def asked(turn: int) -> tuple[What, str, str]:
    """One of eight different runs: what, how attention is run, and what is constrained."""
    what: list[What] = [
        residual(1).add(2, V),
        head(1, 2),
        [neuron(0, 3).scale(2), mlp(2)],
        pattern(1, [0, 2]).scale(0.5).from_(2),
        feature(D, 1, [3, 4]).clamp(2),
        feature(CLT, 0, 5).scale(-2),
        residual(0).patch([1, 8, 8, 31, 12, 7, 30]).at(-1),
        residual(1).scale(1),
    ]
    attention = ("free", "frozen", "free")[turn % 3]
    return what[turn % len(what)], attention, "all" if turn % 5 == 0 else ""


def run(m: Model, turn: int) -> Tensor:
    what, attention, constrained = asked(turn)
    return m.intervene(
        IDS,
        what,
        attention=attention,  # type: ignore[arg-type]
        constrained="all" if constrained else (),
    ).logits


def test_200_runs_from_each_of_three_threads_are_all_right() -> None:
    m = model("llama grouped")
    expected = [run(m, turn) for turn in range(120)]  # every combination, alone

    def many(offset: int) -> list[int]:
        turns = [(7 * i + offset) % len(expected) for i in range(RUNS)]
        return [turn for turn in turns if not torch.equal(run(m, turn), expected[turn])]

    wrong: list[list[int]] = []
    # As in a notebook: a cell, a widget's callback in a thread of its own, and a background job.
    with ThreadPoolExecutor(1) as pool:
        job = Job(lambda job: many(1), lambda: None)
        job.start()
        callback = pool.submit(many, 2)
        wrong.append(many(0))
        wrong += [callback.result(timeout=300), job.wait(timeout=300)]
    assert wrong == [[], [], []]


def test_the_lock_is_free_between_the_passes_of_many() -> None:
    m = model("llama grouped")
    free: list[bool] = []

    def try_it(share: float, sentence: str) -> None:
        def take() -> None:
            free.append(m.lock.acquire(blocking=False))
            if free[-1]:
                m.lock.release()

        other = threading.Thread(target=take)
        other.start()
        other.join()

    m.intervene_each(IDS, [neuron(1, i) for i in range(40)] * 4, progress=try_it)
    assert free
    assert all(free)


def test_1000_interventions_take_no_more_memory() -> None:
    m = model("llama grouped")
    assert m.config.vocab_size < 100  # small logits: what grows is what is kept by mistake
    big = dictionary(width=32)

    def several(first: int, count: int) -> None:
        for turn in range(first, first + count):
            run(m, turn)
            # New values each time, so that a cache by content would grow.
            fresh = torch.randn(32, generator=torch.Generator().manual_seed(turn))
            m.intervene(IDS, [residual(0).add(turn, fresh), feature(big, 1, turn % 24)])

    several(0, 60)
    before = peak()
    several(60, 500)
    assert peak() - before < 50e6


def peak() -> float:
    """The most memory that this process has held, in bytes."""
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held if sys.platform == "darwin" else held * 1024
