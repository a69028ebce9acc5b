"""Background work at the end of a script."""

from __future__ import annotations

import subprocess
import sys

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
