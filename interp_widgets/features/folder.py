"""The folder of an index while it is made: what is there already, and putting it together.

Every file is put down whole, and `index.json` says last which of them hold. So what a killed process
leaves is either named there, or a shard that can be used, or to be removed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from filelock import FileLock, Timeout

from ..files import write_whole
from ..models.cache import cache_folder
from .about import FILE, About, read_about
from .arrays import open_arrays, write_arrays
from .errors import FeatureError
from .merging import merge
from .shards import Arrays, Shard

Row = tuple[int, int, str]
"""What is on record of a shard: windows, tokens, hash."""

#: One lock for each folder that this process has written.
_HERE: dict[str, threading.Lock] = {}
_SECONDS_BETWEEN_CHECKS = 0.1


@contextmanager
def locked(folder: Path, waiting: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Nobody else writes the folder meanwhile.

    Somebody of this process is waited for, such as the pass of a cell that is run again;
    `waiting` is called now and then and may raise to stop. Raises FeatureError where another process
    writes.
    """
    # Elsewhere, so that a folder holds its index alone.
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:32]
    here = _HERE.setdefault(name, threading.Lock())
    while not here.acquire(timeout=_SECONDS_BETWEEN_CHECKS):
        waiting()
    try:
        with _of_processes(folder, name):
            yield
    finally:
        here.release()


@contextmanager
def _of_processes(folder: Path, name: str) -> Iterator[None]:
    path = cache_folder() / "locks" / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise FeatureError(f"Another process is writing {folder}: wait for it to end.") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Raises FeatureError where the disk takes no more, or lets nobody write."""
    try:
        yield
    except OSError as error:
        raise FeatureError(
            f"{folder} cannot be written ({error.strerror or error}). What is done is kept: once "
            "that is mended the same call goes on, or give another folder."
        ) from error


class IndexFolder:
    """A folder, locked by who uses this.

    Args:
        wanted: what is to be indexed.

    Raises FeatureError for a folder that holds something else.
    """

    def __init__(self, folder: Path, wanted: About) -> None:
        self.folder = folder
        self.about = self._begun(wanted)
        self.shards = folder / "shards"
        self.shards.mkdir(exist_ok=True)
        self._sweep()

    def path(self, number: int) -> Path:
        """A shard's file."""
        return self.shards / f"{number:05d}.safetensors"

    def windows(self) -> list[int]:
        """How many windows each of the first shards has, which were cut before."""
        counts = [windows for windows, _, _ in self.about.shards]
        while self.path(len(counts)).exists():  # not merged yet
            counts.append(self._row(len(counts))[0])
        return counts

    def write(self, shard: Shard, arrays: Arrays) -> Row:
        """Put down a shard; returns what is on record of it now."""
        row = (len(shard.windows), shard.n_tokens, shard.fingerprint)
        with writing(self.folder):
            write_arrays(self.path(shard.number), arrays, {"shard": json.dumps(row)})
        return row

    def known(self, shard: Shard) -> Row | None:
        """What is on record of a shard; raises FeatureError if it is of another text."""
        number = shard.number
        if number < len(self.about.shards):
            row = self.about.shards[number]
        elif self.path(number).exists():
            row = self._row(number)
        else:
            return None
        if row != (len(shard.windows), shard.n_tokens, shard.fingerprint):
            raise FeatureError(
                f"{self.folder} holds an index of another text: from shard {number} on this one "
                "differs. Give the text it was begun with (it may go on), or another folder."
            )
        return row

    def _row(self, number: int) -> Row:
        _, about = open_arrays(self.path(number))
        windows, count, hash = json.loads(about["shard"])
        return int(windows), int(count), str(hash)

    def merge(
        self, ready: dict[int, Row], ended: bool, progress: Callable[[float], object]
    ) -> None:
        """Put shards together with what was there.

        Args:
            ready: the shards that have a file, by number.
            ended: whether they are the last ones of the text.
            progress: called with the share that is done.
        """
        first = len(self.about.shards)
        # Shards may come in any order; what stands behind a gap waits for the next pass.
        numbers = list(range(first, first + len(ready)))
        while numbers and not set(numbers) <= set(ready):
            numbers.pop()
        if numbers:
            generation = self.about.generation + 1
            paths = [self.path(number) for number in numbers]
            kept = clipped = last = 0
            for path in paths:
                found, _ = open_arrays(path)
                kept, clipped = kept + int(found["kept"][0]), clipped + int(found["clipped"][0])
                last = int(found["document"][-1]) + 1
            merge(self.folder, generation, self.about.layers, paths, progress)
            self.about = replace(
                self.about,
                shards=(*self.about.shards, *(ready[number] for number in numbers)),
                kept=self.about.kept + kept,
                clipped=self.about.clipped + clipped,
                documents=last,
                generation=generation,
            )
        complete = ended and len(numbers) == len(ready)
        if numbers or complete != self.about.complete:
            self.about = replace(self.about, complete=complete)
            write_whole(self.folder / FILE, self.about.as_json())
        self._sweep()
        if not any(self.shards.iterdir()):
            self.shards.rmdir()

    def _begun(self, wanted: About) -> About:
        """The folder's description, written now if it has none."""
        found = read_about(self.folder)
        if found is None:
            # A process killed over this very file leaves a part of it.
            if any(".tmp-" not in path.name for path in self.folder.iterdir()):
                raise FeatureError(
                    f"{self.folder} holds other files: give an empty or a new folder."
                )
            write_whole(self.folder / FILE, wanted.as_json())
            return wanted
        for name, what in (
            ("fingerprint", "other units"),
            ("model", "another model"),
            ("sizes", "other layers"),
            ("context", "windows of another length"),
            ("weights", "a model of this name with other weights, or in another precision"),
        ):
            ours, theirs = getattr(wanted, name), getattr(found, name)
            if ours != theirs and theirs != "":
                raise FeatureError(
                    f"{self.folder} holds an index of {what} ({name} {theirs!r}, not {ours!r}): "
                    "give another folder."
                )
        # Shards that are there keep their size; a resumed pass goes on as it began.
        return found

    def _sweep(self) -> None:
        """Remove what a killed process left behind."""
        current = self.about.generation
        for path in [*self.folder.iterdir(), *self.shards.iterdir()]:
            generation = path.name.removesuffix(".safetensors").rpartition("-")[2]
            merged = path.name.startswith(("tokens-", "layer-")) and path.parent == self.folder
            stale = merged and generation != str(current)
            if ".tmp-" in path.name or stale:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        for number in range(len(self.about.shards)):
            self.path(number).unlink(missing_ok=True)
