"""Answers in two parts, of which the second gives way until the page has drawn the first.

While Python computes, nothing gets out of a kernel for tens of milliseconds, and on a small machine the
browser has no processor to draw with.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

#: Seconds that a second part waits at most: a page that nobody sees draws nothing.
PATIENCE = 0.25


class Drawn:
    """What a page says of the first part that it was last shown."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def say(self) -> None:
        """The page has drawn it."""
        self._event.set()

    def after(self, show: Callable[[], object]) -> None:
        """Show a first part, and return when it is drawn."""
        self._event.clear()
        show()
        self._event.wait(PATIENCE)
