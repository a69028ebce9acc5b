"""The texts of a steering while they are written: one run at a time, the newest wins.

A run takes one list of interventions per text. Only texts that are not known yet are written, in
one batch, token by token, in a thread of its own; a run that begins cancels the one before, which
ends within one token. What was written to its end is kept, so going back to it costs nothing.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from ..jobs import Cancelled, Job
from ..models import Model
from ..models.interventions import Intervention
from .steering_rows import LISTED, Row, Settings, Token

TOGETHER = 0.03  # seconds of tokens in one message; the first goes at once
KEPT = 80


class Listener(Protocol):
    """Who is told, under the lock and from the writing thread."""

    def written(self, run: int, start: int, steps: list[list[Token | None]]) -> None:
        """Tokens from the `start`-th on: per step, per text a token, or None where none came."""

    def ended(self) -> None:
        """Done, cancelled or failed."""


class Writing:
    """All texts of one steering.

    Attributes:
        rows: the texts of the last run, the base first.
        run: its number.
        job: its work; None if nothing had to be written.
        message: how long the texts are and how fast they came.
    """

    def __init__(self, model: Model, listener: Listener, lock: Any) -> None:
        self.model, self.listener, self.lock = model, listener, lock
        self.rows: list[Row] = []
        self.run = 0
        self.job: Job[None] | None = None
        self.message = ""
        self._known: OrderedDict[object, Row] = OrderedDict()

    def prepare(
        self, settings: Settings, ids: tuple[int, ...], whats: Sequence[Sequence[Intervention]]
    ) -> None:
        """Ends the last run and makes `rows` those of the next; `go` begins to write them."""
        self.cancel()
        self.run += 1
        self.message = ""
        drawn = (ids, settings.temperature, settings.seed, settings.length, settings.stop)
        keys = [(drawn, tuple(what)) for what in whats]
        missing: dict[object, tuple[Row, Sequence[Intervention]]] = {}
        for key, what in zip(keys, whats, strict=True):
            if key in self._known:
                self._known.move_to_end(key)
            else:
                missing.setdefault(key, (Row(), what))
        self.rows = [missing[key][0] if key in missing else self._known[key] for key in keys]
        run = self.run
        self.job = None
        if missing:
            self.job = Job(
                lambda job: self._write(job, run, settings, ids, missing), lambda: self._ended(run)
            )

    def go(self) -> None:
        if self.job is not None:
            self.job.start()

    def cancel(self) -> None:
        if self.job is not None:
            self.job.cancel()

    def wait(self, timeout: float | None) -> None:
        """Until the newest run has ended. Raises what went wrong, Cancelled or TimeoutError."""
        while True:
            job = self.job
            try:
                if job is not None:
                    job.wait(timeout)
                return
            except Cancelled:
                if job is self.job:
                    raise

    def _write(
        self,
        job: Job[None],
        run: int,
        settings: Settings,
        ids: tuple[int, ...],
        missing: dict[object, tuple[Row, Sequence[Intervention]]],
    ) -> None:
        begun = sent = time.monotonic()
        waiting: list[list[Token | None]] = []
        steps = self.model.generate(
            list(ids),
            [what for _, what in missing.values()],
            max_new_tokens=settings.length,
            temperature=settings.temperature,
            seed=settings.seed,
            stop=settings.stops,
            read_across=True,
            top=LISTED,
            cancelled=job.check,
        )
        for step in steps:
            with self._mine(run):
                new: dict[int, Token] = {}
                for at, (row, what) in enumerate(missing.values()):
                    token = row.add(step, at, bool(what))
                    if token is not None:
                        new[id(row)] = token
                waiting.append([new.get(id(row)) for row in self.rows])
                now = time.monotonic()
                if step.index == 0 or now - sent > TOGETHER or all(step.done):
                    sent = now
                    self.listener.written(run, step.index + 1 - len(waiting), waiting)
                    waiting = []
        with self._mine(run):
            for key, (row, _) in missing.items():
                self._known[key] = row
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
            longest = max(len(row.tokens) for row, _ in missing.values())
            rate = longest / max(1e-6, time.monotonic() - begun)
            self.message = f"{longest} tokens, {rate:.0f} a second."

    def _ended(self, run: int) -> None:
        with self.lock:
            if run == self.run:
                self.listener.ended()

    @contextmanager
    def _mine(self, run: int) -> Iterator[None]:
        """The lock, for as long as this run is the newest; raises Cancelled if it is not."""
        with self.lock:
            if run != self.run:
                raise Cancelled("Another run has begun.")
            yield
