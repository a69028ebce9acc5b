"""Waiting for a fact instead of for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Fact = TypeVar("Fact")


def until(fact: Callable[[], Fact], what: str, *, deadline: float = 30) -> Fact:
    """Asks until `fact()` is true or more, and returns what it said; fails after `deadline` s.

    A question may be asked too early (no file yet, no server yet), so an exception counts as no.
    This is for facts outside the browser: a page is waited for by playwright's own means, whose
    listeners stand still in here.
    """
    end = time.monotonic() + deadline
    while True:
        answer: object
        try:
            answer = result = fact()
            if result:
                return result
        except (OSError, LookupError, ValueError) as too_early:
            answer = too_early
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline} s in vain for {what}; last seen: {answer!r}")
        time.sleep(0.05)
