"""An index whose process is killed with SIGKILL, again and again, ends as if nothing had happened.

The moments are lines of the pass, drawn at random: from all of it, from what writes files, and from
where shards are put together. The process that goes on is killed, too, at another line if it gets
that far, and a third one finishes. Then the folder has the names and the bytes of an undisturbed one.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import index_worker
import pytest
from index_worker import folder_bytes

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks a process that is ready")

SCRIPT = Path(index_worker.__file__)
# 20 moments of a pass over features; neurons have one more file, found out before the pass.
MOMENTS = [
    (what, part)
    for what, parts in {
        "features": {"all": 10, "writing": 5, "merging": 5},
        "neurons": {"all": 3, "writing": 2},
    }.items()
    for part, count in parts.items()
    for _ in range(count)
]


@dataclass(frozen=True)
class Undisturbed:
    """The folder of a pass that nobody killed, and how many lines each part of it took."""

    content: dict[str, bytes]
    lines: dict[str, int]


class Worker:
    """The process that answers requests, see index_worker.py."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def index(self, folder: Path, what: str, kill: tuple[str, int] | None = None) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        request = {"folder": str(folder), "what": what, "kill": kill}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.process.kill()
    worker.process.wait()


@pytest.fixture(scope="module")
def undisturbed(worker: Worker, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Undisturbed]:
    found = {}
    for what in ("features", "neurons"):
        folder = tmp_path_factory.mktemp("undisturbed") / what
        answer = worker.index(folder, what)
        assert all(answer["lines"].values())
        found[what] = Undisturbed(folder_bytes(folder), answer["lines"])
    return found


@pytest.mark.parametrize("seed", range(len(MOMENTS)))
def test_a_killed_index_goes_on_to_the_same_bytes(
    seed: int, worker: Worker, undisturbed: dict[str, Undisturbed], tmp_path: Path
) -> None:
    what, part = MOMENTS[seed]
    whole, draw, folder = undisturbed[what], random.Random(seed), tmp_path / "index"
    assert worker.index(folder, what, (part, draw.randint(1, whole.lines[part])))["killed"]
    worker.index(folder, what, ("all", draw.randint(1, whole.lines["all"])))
    assert worker.index(folder, what)["lines"], "the pass that went on failed"
    assert folder_bytes(folder) == whole.content


@pytest.mark.parametrize("line", [4, 9, 14])
def test_a_process_killed_over_its_first_file_leaves_nothing_in_the_way(
    line: int, worker: Worker, undisturbed: dict[str, Undisturbed], tmp_path: Path
) -> None:
    folder = tmp_path / "index"
    assert worker.index(folder, "features", ("writing", line))["killed"]
    assert worker.index(folder, "features")["lines"]
    assert folder_bytes(folder) == undisturbed["features"].content


def test_shards_that_are_done_are_not_encoded_again(
    worker: Worker, undisturbed: dict[str, Undisturbed], tmp_path: Path
) -> None:
    whole, folder = undisturbed["features"], tmp_path / "index"
    assert worker.index(folder, "features", ("encoding", whole.lines["encoding"] // 2))["killed"]
    assert worker.index(folder, "features", ("merging", 1))["killed"]
    last = worker.index(folder, "features")
    assert last["lines"]["encoding"] == 0
    assert folder_bytes(folder) == whole.content
