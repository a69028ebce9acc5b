"""Answers that take time: one job for each kind of question, the latest wins.

A new question of a kind takes the place of the one before it: the old job is cancelled, and what it
still finds is not shown. What goes wrong is a sentence.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import traitlets as t

from ..jobs import Job

#: Sets a trait, unless something newer of this kind was asked for.
Show = Callable[[str, dict[str, Any]], None]
Work = Callable[[Job[None], Show], None]


class Latest:
    """The jobs of one view.

    lock: held while a trait is set, so that answers from several threads do not mix.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._jobs: dict[str, Job[None]] = {}

    def begin(
        self, kind: str, view: t.HasTraits, work: Work, failed: Callable[[str], None]
    ) -> None:
        """Start the answer to a question; `failed` gets the sentence if it fails."""

        def show(trait: str, value: dict[str, Any]) -> None:
            with self.lock:
                job.check()
                if self._jobs.get(kind) is job:
                    setattr(view, trait, value)

        def ended() -> None:
            with self.lock:
                if job.state == "failed" and self._jobs.get(kind) is job:
                    failed(job.message)

        job: Job[None] = Job(lambda job: work(job, show), ended)
        with self.lock:
            self.stop(kind)
            self._jobs[kind] = job
        job.start()

    def stop(self, kind: str) -> None:
        """Nobody waits for this answer any more."""
        with self.lock:
            before = self._jobs.pop(kind, None)
            if before is not None:
                before.cancel()

    def wait(self, kind: str, timeout: float | None = None) -> None:
        """Wait for the last answer of a kind.

        Raises what went wrong, Cancelled or TimeoutError.
        """
        with self.lock:
            job = self._jobs.get(kind)
        if job is not None:
            job.wait(timeout)
