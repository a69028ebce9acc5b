"""The thread that trains: step after step, until it is done or somebody wants otherwise.

What a user asks for only sets a flag or waits in a queue; the thread looks between any two pieces
of work (a step, a forward pass). It holds the model's lock for a forward pass at a time, and its
own for a step, so that a copy of the dictionary is never one of half a step.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from interp_widgets.dictionaries.training import checkpoint, parallel
from interp_widgets.dictionaries.training.loop import Loop
from interp_widgets.dictionaries.training.plan import Plan
from interp_widgets.dictionaries.training.stream import Source
from interp_widgets.jobs import Cancelled, Job

_DENSITY_EVERY = 0.5  # seconds


class Stopped(Exception):
    """Ends the work early, with what there is."""


class Runner:
    """A loop in a thread of its own.

    Args:
        plan, source, device: see Loop.
        to: the folder of the checkpoints, or None.
        begin: the checkpoint to go on from, or None.
        on_change: called from the thread after every step and report.

    Attributes:
        densities: by name [F], as they were at most half a second ago.
        times: (seconds, tokens) of the last steps.
        holding: whether it stands still in a pause.
    """

    def __init__(
        self,
        plan: Plan,
        source: Source,
        device: torch.device,
        to: Path | None,
        begin: checkpoint.Checkpoint | None,
        on_change: Callable[[], None],
    ) -> None:
        self.loop = Loop(plan, source, device, parallel.join(device), self._reading)
        self.to, self._plan, self._on_change = to, plan, on_change
        self.wanted: deque[tuple[str, str, float]] = deque()
        self.times: deque[tuple[float, int]] = deque(maxlen=32)
        self.holding = self.stopping = False
        self._pausing = self._cancelling = False
        self._wake = threading.Condition()
        self._stepping = threading.Lock()
        self._visitors = 0
        if begin is not None:
            self.loop.restore(begin.tensors, begin.about)
            self._pausing = bool(begin.about["paused"])
        self.densities: dict[str, NDArray[np.floating]] = {
            name: np.zeros(part.spec.n_features * len(part.spec.reads))
            for name, part in self.loop.parts.items()
        }
        self._density_at = 0.0
        self.job: Job[None] = Job(self._work, on_change)

    def pause(self) -> None:
        self._pausing = True

    def resume(self) -> None:
        with self._wake:
            self._pausing = False
            self._wake.notify_all()

    def stop(self) -> None:
        with self._wake:
            self.stopping = True
            self._wake.notify_all()

    def cancel(self) -> None:
        with self._wake:
            self._cancelling = True
            self.job.cancel()
            self._wake.notify_all()

    @contextmanager
    def between_steps(self) -> Iterator[None]:
        """While this is open no step is taken."""
        with self._wake:
            self._visitors += 1
        try:
            with self._stepping:
                yield
        finally:
            with self._wake:
                self._visitors -= 1
                self._wake.notify_all()

    # --- in the thread -----------------------------------------------------------------------

    def _work(self, job: Job[None]) -> None:
        try:
            with suppress(Stopped):
                while self._one_step(job):
                    pass
            self._keep()
        except Cancelled:
            self._keep()
            raise
        finally:
            self.loop.buffer.release()

    def _one_step(self, job: Job[None]) -> bool:
        loop, steps = self.loop, self._plan.steps
        self._check()
        if loop.step == steps:
            return False
        loop.prepare()
        self._apply_changes()
        # A lock alone would let the thread that has just had it have it again.
        with self._wake:
            self._wake.wait_for(lambda: not self._visitors)
        with self._stepping:
            if not loop.advance():
                return False
        now = time.monotonic()
        self.times.append((now, loop.tokens))
        if now > self._density_at + _DENSITY_EVERY:
            self._note_densities()
        if loop.step % self._plan.checkpoint_every == 0 and loop.step < steps:
            self._checkpoint()
        job.report(loop.step / steps, f"step {loop.step:,} of {steps:,}")
        return True

    def _apply_changes(self) -> None:
        changed = bool(self.wanted)
        while self.wanted:
            self.loop.change(*self.wanted.popleft())
        if changed:
            self._checkpoint()

    def _check(self) -> None:
        """Between any two pieces of work: end, or wait, if the user wants that."""
        if self._pausing and not (self.stopping or self._cancelling):
            self._keep()
            self.holding = True
            self._on_change()
            with self._wake:
                self._wake.wait_for(lambda: not self._pausing or self.stopping or self._cancelling)
            self.holding = False
            self.times.clear()
            self._apply_changes()
            self._on_change()
        self.job.check()
        if self.stopping:
            raise Stopped

    def _reading(self, share: float) -> None:
        self._check()
        self.job.report(self.loop.step / self._plan.steps, f"reading text, {share:.0%}")

    def _keep(self) -> None:
        self._checkpoint()
        if self.loop.step:
            self._note_densities()

    def _note_densities(self) -> None:
        for name, part in self.loop.parts.items():
            self.densities[name] = part.trainee.density().reshape(-1).numpy()
        self._density_at = time.monotonic()

    def _checkpoint(self) -> None:
        if self.to is None or self.loop.group.rank != 0 or not self.loop.step:
            return
        tensors, about = self.loop.state()
        checkpoint.write(self.to, self.loop.step, tensors, about | {"paused": self._pausing})
