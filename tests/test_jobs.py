"""Background work at the end of a script."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from interp_widgets.jobs import Filling, Job

# The thread is busy in torch for minutes unless it is asked to stop.
SCRIPT = """
import threading
import torch
from interp_widgets.jobs import Job

begun = threading.Event()

def work(job):
    x = torch.ones(600, 600)
    while True:
        job.check()
        x @ x
        begun.set()

job = Job(work, lambda: print(job.state, flush=True))
job.start()
assert begun.wait(60)
"""


def test_a_script_that_ends_stops_what_still_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "cancelled\n", "")


class Counted(Filling[int]):
    """Counts to three, as far as it is let."""

    def __init__(self, let: threading.Semaphore) -> None:
        super().__init__()

        def work(job: Job[int]) -> int:
            for number in (1, 2, 3):
                assert let.acquire(timeout=60)
                job.report(number / 4, f"{number} of 3")
            return 3

        self._job = Job(work, self._changed)
        self._job.start()


def test_what_fills_tells_all_who_listen_until_they_end_it() -> None:
    let = threading.Semaphore(0)
    counted = Counted(let)
    heard: dict[str, list[object]] = {"all": [], "once": []}
    first = threading.Event()

    def once() -> None:
        heard["once"].append(counted.progress)
        end()  # ends itself while others are still to be told
        first.set()

    end = counted.on_change(once)
    counted.on_change(lambda: heard["all"].append((counted.state, *counted.progress)))
    with pytest.raises(TimeoutError):
        counted.wait(0)
    let.release()
    assert first.wait(60)
    let.release(2)
    assert counted.wait(60) is counted
    assert heard["once"] == [(0.25, "1 of 3")]
    assert heard["all"] == [
        ("computing", 0.25, "1 of 3"),
        ("computing", 0.5, "2 of 3"),
        ("computing", 0.75, "3 of 3"),
        ("done", 1.0, ""),
    ]


def test_a_listener_that_fails_is_heard_and_stops_nothing(
    capfd: pytest.CaptureFixture[str],
) -> None:
    let = threading.Semaphore(0)
    counted = Counted(let)

    def fail() -> None:
        raise RuntimeError("a listener's own fault")

    counted.on_change(fail)
    end = counted.on_change(lambda: None)
    let.release(3)
    assert counted.wait(60).state == "done"
    assert "a listener's own fault" in capfd.readouterr().err
    end()
    end()  # nothing is left to end


def test_what_has_no_job_is_whole() -> None:
    whole: Filling[int] = Filling()
    assert (whole.state, whole.progress, whole.wait()) == ("done", (1.0, ""), whole)
