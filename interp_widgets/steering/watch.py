"""Telling how far long work is, and stopping it when asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..jobs import Cancelled

Progress = Callable[[float, str], None]
"""Called with a share from 0 to 1 and what is being done; `Job.report` is one."""


@dataclass(frozen=True)
class Watch:
    """Both callbacks of one piece of work, which may be a stretch of a longer one.

    cancelled: asked before each step; work stops if it answers yes, or raises (`Job.check`).
    """

    progress: Progress | None = None
    cancelled: Callable[[], object] | None = None
    first: float = 0.0
    last: float = 1.0

    def step(self, share: float, message: str) -> None:
        """Raises Cancelled if somebody asked for that; otherwise reports."""
        if self.cancelled is not None and self.cancelled():
            raise Cancelled("Cancelled.")
        if self.progress is not None:
            self.progress(self.first + share * (self.last - self.first), message)

    def stretch(self, first: float, last: float) -> Watch:
        """A part of this work, from one share of it to another."""
        width = self.last - self.first
        return Watch(
            self.progress, self.cancelled, self.first + first * width, self.first + last * width
        )
