"""Indexes made, and killed, in processes of their own; and what their tests share.

    python index_worker.py        reads requests, one JSON object a line, and answers each with a line

A request names a folder, what is indexed there ("features" or "neurons"), and when to be killed:
{"folder": "…", "what": "features", "kill": ["writing", 120]} is SIGKILL just before the 120th
line of that part of the pass. A request is answered by a fork, which has the model already and so
starts at once; the answer says whether it was killed, or how many lines of each part it executed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import tiny_models

from interp_widgets import files
from interp_widgets.dictionaries import windows
from interp_widgets.features import (
    about,
    arrays,
    building,
    folder,
    merged,
    merging,
    shards,
    stored,
    stored_text,
)
from interp_widgets.features.units import Units, units_of
from interp_widgets.models import Model

SHARD_TOKENS = 60
WRITING = {module.__file__ for module in (files, arrays, merging)}
READING = {module.__file__ for module in (about, merged, stored, stored_text)}
WATCHED = WRITING | READING | {m.__file__ for m in (building, folder, shards, windows)}
PARTS = ("all", "encoding", "writing", "merging")


def texts(n: int = 30) -> list[str]:
    """Documents of 1 to 25 words for the tiny models, the same every time."""
    random = np.random.default_rng(7)
    words = [f"w{i}" for i in range(3, tiny_models.VOCAB) if i != 4]
    return [" ".join(random.choice(words, size=random.integers(1, 26))) for _ in range(n)]


def tiny(what: str) -> tuple[Model, Units]:
    model = tiny_models.model("llama grouped")
    dictionary = tiny_models.dictionary(activation="topk", width=model.d_model)
    return model, units_of(model, dictionary if what == "features" else "neurons")


def folder_bytes(folder: Path) -> dict[str, bytes]:
    """Everything that lies in a folder: names and contents."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"folder"
        for path in folder.rglob("*")
    }


class Killed:
    """Counts the lines of a pass by part, and ends the process before one of them.

    all: in the files that make an index; encoding: of the functions that run the model; writing: in
    the files that write; merging: from when the shards are put together until the end.
    """

    def __init__(self, kill: tuple[str, int] | None) -> None:
        self.lines = dict.fromkeys(PARTS, 0)
        self._kill, self._merging = kill, False

    def enter(self, frame: Any, event: str, arg: Any) -> Any:
        self._merging |= frame.f_code is folder.IndexFolder.merge.__code__
        return self._line if frame.f_code.co_filename in WATCHED else None

    def _line(self, frame: Any, event: str, arg: Any) -> Any:
        if event == "line":
            code = frame.f_code
            self._count("all")
            if code is shards.encode_shard.__code__:
                self._count("encoding")
            if code.co_filename in WRITING:
                self._count("writing")
            if self._merging:
                self._count("merging")
        return self._line

    def _count(self, part: str) -> None:
        self.lines[part] += 1
        if self._kill == (part, self.lines[part]):
            os.kill(os.getpid(), signal.SIGKILL)


def answer(request: dict[str, Any], known: dict[str, tuple[Model, Units]]) -> dict[str, Any]:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            counter = Killed(tuple(request["kill"]) if request["kill"] else None)
            sys.settrace(counter.enter)
            model, units = known[request["what"]]
            building.build(
                model,
                units,
                texts(),
                Path(request["folder"]),
                context=tiny_models.CONTEXT,
                shard_tokens=SHARD_TOKENS,
            )
            sys.settrace(None)
            os.write(write, json.dumps(counter.lines).encode())
            os._exit(0)
        finally:
            os._exit(1)  # an error's traceback is on stderr already
    os.close(write)
    _, status = os.waitpid(child, 0)
    said = os.read(read, 1000)
    os.close(read)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    return {"killed": killed, "lines": json.loads(said) if said else None}


def main() -> None:
    known = {what: tiny(what) for what in ("features", "neurons")}
    assert threading.active_count() == 1, "a fork would lose the other threads"
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line), known)), flush=True)


if __name__ == "__main__":
    main()
