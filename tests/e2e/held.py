"""A cell that lets somebody else have the model, so that a view can be seen while it waits."""

from __future__ import annotations

# After `hold()` nothing is computed with `model` before `release.set()`.
HOLD = """
import threading
def hold():
    global release
    taken, release = threading.Event(), threading.Event()
    def holding(release=release):
        with model.lock:
            taken.set()
            release.wait()
    threading.Thread(target=holding, daemon=True).start()
    taken.wait()
"""
