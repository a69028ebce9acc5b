"""Work in the background: progress, cancel, and the result when it is wanted.

A job runs one function in a thread, so the kernel stays free and the view fills while the
next cell is typed. Cancelling is cooperative: the work asks `check()` between steps, which is
often enough to stop within a second and never leaves a model half-edited.

What a job fills (an index, a graph, a training) is asked how far it is, and tells who listens.
"""

from __future__ import annotations

import atexit
import threading
import time
import traceback
import weakref
from collections.abc import Callable
from typing import Any, Generic, Literal, Self, TypeVar

T = TypeVar("T")
State = Literal["computing", "done", "cancelled", "failed"]


# A thread that is inside torch when Python ends takes the process down with an error, so what still
# runs then is asked to stop, and waited for a little.
_RUNNING: weakref.WeakSet[Job[Any]] = weakref.WeakSet()
_LAST_SECONDS = 5.0


@atexit.register
def _stop_all() -> None:
    jobs = list(_RUNNING)
    for job in jobs:
        job.cancel()
    until = time.monotonic() + _LAST_SECONDS
    for job in jobs:
        job._finished.wait(max(0.0, until - time.monotonic()))


class Cancelled(Exception):
    """Raised inside the work when its job was cancelled, and by `wait` afterwards."""


class Job(Generic[T]):
    """One piece of work in a thread of its own.

    Args:
        work: called with the job; reports through `report`, asks `check`, returns the result.
        on_change: called from the thread after every change of state or progress.
    """

    def __init__(self, work: Callable[[Job[T]], T], on_change: Callable[[], None]) -> None:
        self.state: State = "computing"
        self.progress = 0.0
        self.message = "starting"
        self.error: BaseException | None = None
        self._result: T | None = None
        self._work, self._on_change = work, on_change
        self._stop = threading.Event()
        self._finished = threading.Event()
        self._thread = threading.Thread(target=self._run, name="interp_widgets job", daemon=True)

    def start(self) -> None:
        _RUNNING.add(self)
        self._thread.start()

    def cancel(self) -> None:
        """Ask the work to stop; it does at its next step."""
        self._stop.set()

    def check(self) -> None:
        """Raises Cancelled if somebody asked the work to stop."""
        if self._stop.is_set():
            raise Cancelled("Cancelled.")

    def report(self, progress: float, message: str) -> None:
        """Say how far the work is, 0 to 1, and what it is doing."""
        self.progress, self.message = progress, message
        self._on_change()

    @property
    def result(self) -> T | None:
        """The result if it is there; never waits, so that `on_change` may ask."""
        return self._result if self.state == "done" else None

    def wait(self, timeout: float | None = None) -> T:
        """The result. Raises what the work raised, Cancelled, or TimeoutError."""
        if not self._finished.wait(timeout):
            raise TimeoutError(f"Still computing after {timeout} s ({self.message}).")
        if self.error is not None:
            raise self.error
        return self._result  # type: ignore[return-value]

    def _run(self) -> None:
        try:
            self._result = self._work(self)
            self.state, self.progress, self.message = "done", 1.0, ""
        except Cancelled as error:
            self.state, self.error = "cancelled", error
            self.message = "Cancelled: this is what was found so far."
        except BaseException as error:  # the thread ends here: `wait` raises it where it is read
            self.state, self.error = "failed", error
            self.message = _sentence(error)
        try:
            self._on_change()  # before anybody who waits goes on: views show what `wait` promises
        finally:
            _RUNNING.discard(self)
            self._finished.set()


class Filling(Generic[T]):
    """A result that a job fills in the background; one without a job was whole from the start."""

    _job: Job[T] | None = None

    def __init__(self) -> None:
        self._listeners: list[Callable[[], None]] = []

    @property
    def state(self) -> str:
        """computing, done, cancelled or failed."""
        return self._job.state if self._job else "done"

    @property
    def progress(self) -> tuple[float, str]:
        """How far it is, 0 to 1, and a sentence."""
        return (self._job.progress, self._job.message) if self._job else (1.0, "")

    def wait(self, timeout: float | None = None) -> Self:
        """Wait until it is whole.

        Raises what went wrong, Cancelled, or TimeoutError; what was there by then stays.
        """
        if self._job:
            self._job.wait(timeout)
        return self

    def on_change(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` whenever there is more, from another thread; returns what ends that. What
        it raises is printed, and stops nothing."""
        self._listeners.append(listener)

        def end() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return end

    def _changed(self) -> None:
        for listener in list(self._listeners):
            try:
                listener()
            except Exception:  # of whoever listens: what is being filled goes on
                traceback.print_exc()


def _sentence(error: BaseException) -> str:
    """What a reader of the view is told; our own errors are sentences already."""
    if isinstance(error, (ValueError, MemoryError)) and str(error):
        return str(error)
    where = traceback.extract_tb(error.__traceback__)
    place = f" ({where[-1].name}, {where[-1].filename.rsplit('/', 1)[-1]})" if where else ""
    return f"{type(error).__name__}: {error}{place}"
