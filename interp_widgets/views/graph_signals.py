"""What every answer to a graph's view has in common: how it reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Answer = dict[str, Any]
#: So many random controls stand beside every effect.
DRAWS = 20


@dataclass(frozen=True)
class Signals:
    """How an answer reports while it is computed.

    report: called with the share done and a sentence; check: raises to stop; offer: called with
    the part that is there, shown with the next report; draw: the same for a part that somebody
    waits for, with what is done next: it is shown at once, and the work gives way until the page
    has drawn it.
    """

    report: Callable[[float, str], None]
    check: Callable[[], None]
    offer: Callable[[Answer], None]
    draw: Callable[[Answer, float, str], None]

    def part(self, start: float, end: float, name: str = "") -> Callable[[float, str], None]:
        """`report` for a step that takes the work from one share to another."""
        return lambda share, message: self.report(start + share * (end - start), name or message)
