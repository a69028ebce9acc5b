"""A model that somebody else has: what a view says before anything can be computed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from interp_widgets.models import Model


@contextmanager
def held(model: Model) -> Iterator[threading.Event]:
    """Another thread has the model, until the event is set or the block ends."""
    release, taken = threading.Event(), threading.Event()

    def hold() -> None:
        with model.lock:
            taken.set()
            release.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    assert taken.wait(60)
    try:
        yield release
    finally:
        release.set()
        holder.join()
