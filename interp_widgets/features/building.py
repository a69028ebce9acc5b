"""One pass over a corpus, for all units of all layers.

    <folder>/index.json               what is indexed; written first and, when merged, last
    <folder>/floors.safetensors       where neurons and directions count as active
    <folder>/shards/00003.safetensors what was found in one shard; gone when merged
    <folder>/tokens-1..., layer-...   the index (merging.py)

Every file is put down whole, and a shard is encoded the same way whoever does it. So a pass that was
killed goes on behind its last whole shard and ends with the same bytes; one that is cancelled merges
what it has, and can go on later; and an index grows when the same call gets a longer corpus.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import torch
from filelock import FileLock, Timeout

from ..dictionaries.training.corpus import Corpus
from ..files import write_whole
from ..jobs import Cancelled
from ..models import Model
from ..models.cache import cache_folder
from .arrays import open_arrays, write_arrays
from .errors import FeatureError
from .merging import merge
from .shards import Arrays, Shard, encode_shard, floors_of, run_tokens, shards_of, windows_of
from .stored import FILE, About, StoredIndex, read_about
from .units import DenseUnits, Units

CONTEXT, SHARD_TOKENS = 128, 8192
#: Neurons and directions are active on this share of the first tokens.
DENSE_SHARE, DENSE_TOKENS = 0.01, 4096
#: Per entry: a position and a value, and the unit once more, by token.
_BYTES = 4 + 2 + 2
#: Id, where its text begins, five letters, and a share of its window.
_BYTES_PER_TOKEN = 4 + 8 + 5 + 1
#: Where its entries begin, and the strongest.
_BYTES_PER_UNIT = 8 + 4
#: So many windows are run to tell the size.
_PROBE = 4

_NO_TOKENS = "The text holds no tokens: give at least one document."

Progress = Callable[[float, str], object]
Text = str | Path | Iterable[str]


class Encoder(Protocol):
    """Whoever encodes shards: this process (`local`), or many (distributed.py)."""

    def __call__(
        self, model: Model, units: Units, shards: Iterator[Shard], check: Callable[[], object]
    ) -> Iterator[tuple[Shard, Arrays]]:
        """Each shard with what its file holds; in any order."""


def local(
    model: Model, units: Units, shards: Iterator[Shard], check: Callable[[], object]
) -> Iterator[tuple[Shard, Arrays]]:
    """One shard after the other, in this process."""
    for shard in shards:
        yield shard, encode_shard(model, units, shard, check)


def build(
    model: Model,
    units: Units,
    text: Text,
    folder: Path,
    *,
    context: int = CONTEXT,
    tokens: int | None = None,
    shard_tokens: int = SHARD_TOKENS,
    encoder: Encoder = local,
    progress: Progress = lambda share, message: None,
    check: Callable[[], object] = lambda: None,
) -> StoredIndex:
    """Index a corpus into a folder, or go on with what is there.

    Args:
        text: one text, several, or the path of a .txt or .jsonl file or of a folder of such files.
        tokens: stop behind the shard in which so many are reached; None: the whole text.
        shard_tokens: at least so many tokens are encoded between two looks at `check`.
        progress: called with the share that is done and a sentence.
        check: asked between steps; when it raises Cancelled, what is done is merged first.

    Raises FeatureError for a folder that holds another index, a text without tokens, or a disk
    that is too full; Cancelled.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = _lock(folder)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise FeatureError(f"Another process is writing {folder}: wait for it to end.") from None
    try:
        corpus = Corpus(text, model.tokenizer, context)
        pass_ = _Pass(model, units, corpus, folder, context, shard_tokens)
        return pass_.run(tokens, encoder, progress, check)
    finally:
        lock.release()


def _lock(folder: Path) -> FileLock:
    """Held by whoever writes; elsewhere, so that a folder holds the index alone."""
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:32]
    path = cache_folder() / "locks" / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path)


class _Pass:
    """One call of `build`, which holds the folder's lock."""

    def __init__(
        self,
        model: Model,
        units: Units,
        corpus: Corpus,
        folder: Path,
        context: int,
        shard_tokens: int,
    ) -> None:
        self.model, self.corpus, self.folder = model, corpus, folder
        self.about = self._begun(
            About(
                model=model.name,
                units=units.kind,
                scan=units.scan,
                fingerprint=units.fingerprint,
                layers=units.layers,
                sizes=tuple(units.n_features(layer) for layer in units.layers),
                context=context,
                shard_tokens=shard_tokens,
                names={f"{layer}/{i}": name for (layer, i), name in units.names.items()},
            )
        )
        self.shards = folder / "shards"
        self.shards.mkdir(exist_ok=True)
        self._sweep()
        self.units = units
        self.read = 0  # letters of the documents that were read

    def run(
        self,
        tokens: int | None,
        encoder: Encoder,
        progress: Progress,
        check: Callable[[], object],
    ) -> StoredIndex:
        total = _letters(self.corpus)
        done = sum(count for _, count, _ in self.about.shards)
        before, current, ended = done, 0, False
        ready: dict[int, tuple[int, int, str]] = {}

        def unread() -> Iterator[Shard]:
            """The shards that nobody has encoded yet."""
            nonlocal done, ended, current
            for shard in self._shards():
                if tokens is not None and done >= tokens:
                    return
                known = self._known(shard)
                if known is not None:
                    if shard.number >= len(self.about.shards):
                        ready[shard.number] = known
                        done += shard.n_tokens
                    continue
                done += shard.n_tokens
                current = shard.n_tokens
                yield shard
            ended = True

        def told(inside: int) -> None:
            """How far it is: whole shards, and so many tokens of the one at hand."""
            count = before + sum(t for _, t, _ in ready.values()) + inside
            share = self.read / total * count / max(1, done) if total else 0.0
            if tokens is not None:
                share = max(share, count / tokens)
            progress(min(0.97, 0.97 * share), f"{count:,} tokens read")

        at_once, inside = run_tokens(self.model, self.units), 0

        def step() -> None:
            """Asked before every run of the model in this process."""
            nonlocal inside
            check()
            if inside:
                told(min(inside, current))
            inside += at_once

        reason: Cancelled | None = None
        try:
            check()
            self.units = self._with_floors(self.units, progress, check)
            expected = self._expected(total, tokens)
            if expected:
                progress(0.0, f"begun; the index will take {expected}")
            ask = step if encoder is local else check
            for shard, arrays in encoder(self.model, self.units, unread(), ask):
                row = (len(shard.windows), shard.n_tokens, shard.fingerprint)
                about = {"shard": json.dumps(row)}
                write_arrays(self._path(shard.number), arrays, about)
                ready[shard.number] = row
                inside = 0
                told(inside)
                check()
        except Cancelled as cancelled:
            reason = cancelled
        self._merge(ready, ended and reason is None, progress)
        if reason is not None:
            raise reason
        if not self.about.shards:
            raise FeatureError(_NO_TOKENS)
        return StoredIndex(self.folder)

    # --- the corpus --------------------------------------------------------------------------

    def _shards(self) -> Iterator[Shard]:
        counts = [windows for windows, _, _ in self.about.shards]
        number = len(counts)
        while self._path(number).exists():  # not merged yet
            counts.append(self._row(number)[0])
            number += 1
        windows = windows_of(self.model, self._documents(), self.about.context)
        return shards_of(windows, counts, self.about.shard_tokens)

    def _documents(self) -> Iterator[str]:
        self.read = 0
        for document in self.corpus.documents():
            self.read += len(document) if isinstance(document, str) else 0
            yield document

    def _known(self, shard: Shard) -> tuple[int, int, str] | None:
        """What is on record of a shard; raises FeatureError if it is of another text."""
        number = shard.number
        if number < len(self.about.shards):
            row = self.about.shards[number]
        elif self._path(number).exists():
            row = self._row(number)
        else:
            return None
        if row != (len(shard.windows), shard.n_tokens, shard.fingerprint):
            raise FeatureError(
                f"{self.folder} holds an index of another text: from shard {number} on this one "
                "differs. Give the text it was begun with (it may go on), or another folder."
            )
        return row

    def _row(self, number: int) -> tuple[int, int, str]:
        _, about = open_arrays(self._path(number))
        windows, count, hash = json.loads(about["shard"])
        return int(windows), int(count), str(hash)

    def _path(self, number: int) -> Path:
        return self.shards / f"{number:05d}.safetensors"

    # --- the folder --------------------------------------------------------------------------

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
        ):
            ours, theirs = getattr(wanted, name), getattr(found, name)
            if ours != theirs:
                raise FeatureError(
                    f"{self.folder} holds an index of {what} ({name} {theirs!r}, not {ours!r}): "
                    "give another folder."
                )
        # Shards that are there keep their size; a resumed pass goes on as it began.
        return found

    def _with_floors(self, units: Units, progress: Progress, check: Callable[[], object]) -> Units:
        """Neurons and directions get their floors, which are found once for an index."""
        if not isinstance(units, DenseUnits):
            return units
        path = self.folder / "floors.safetensors"
        if not path.exists():
            windows = windows_of(self.model, self.corpus.documents(), self.about.context)
            shards = shards_of(windows, (), self.about.shard_tokens)
            read = 0

            def step() -> None:
                nonlocal read
                check()
                what = f"finding from where on {units.kind}s count as active"
                progress(0.0, f"{what}: {min(read, DENSE_TOKENS):,} of {DENSE_TOKENS:,} tokens")
                read += run_tokens(self.model, units)

            floors = floors_of(self.model, units, shards, DENSE_TOKENS, DENSE_SHARE, step)
            if not floors:
                raise FeatureError(_NO_TOKENS)
            named = {str(n): f.numpy() for n, f in zip(units.layers, floors, strict=True)}
            write_arrays(path, named)
        return units.above(floors_in(self.folder, units.layers))

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
            self._path(number).unlink(missing_ok=True)

    def _merge(
        self, ready: dict[int, tuple[int, int, str]], ended: bool, progress: Progress
    ) -> None:
        first = len(self.about.shards)
        # Shards may come in any order; what stands behind a gap waits for the next pass.
        numbers = list(range(first, first + len(ready)))
        while numbers and not set(numbers) <= set(ready):
            numbers.pop()
        if numbers:
            generation = self.about.generation + 1
            paths = [self._path(number) for number in numbers]
            kept = clipped = 0
            last = 0
            for path in paths:
                found, _ = open_arrays(path)
                kept, clipped = kept + int(found["kept"][0]), clipped + int(found["clipped"][0])
                last = int(found["document"][-1]) + 1
            merge(
                self.folder,
                generation,
                self.about.layers,
                paths,
                lambda share: progress(0.97 + 0.03 * share, "putting the index together"),
            )
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

    def _expected(self, letters: int, tokens: int | None) -> str:
        """What the index will take on disk, in words, judged by its first windows; "" if unknown.

        Raises FeatureError where the disk has less.
        """
        if self.about.shards or self._path(0).exists() or isinstance(self.corpus._text, Iterator):
            return ""
        windows = windows_of(self.model, self.corpus.documents(), self.about.context)
        first = Shard(0, tuple(islice(windows, _PROBE)))
        if not first.windows or not (letters or tokens):
            return ""
        arrays = encode_shard(self.model, self.units, first)
        needed = predicted(arrays, self.about, letters, tokens)
        free = shutil.disk_usage(self.folder).free
        if 2 * needed > free:  # shards and the merged index are there at once
            raise FeatureError(
                f"The index will take about {_size(needed)} and the same again while it is put "
                f"together, but {self.folder} has {_size(free)} left: give another folder, or "
                "fewer tokens."
            )
        return f"about {_size(needed)} on disk"


def floors_in(folder: Path, layers: Iterable[int]) -> tuple[torch.Tensor, ...]:
    """Per layer [F]: above which absolute value a neuron or direction of an index is active."""
    found, _ = open_arrays(folder / "floors.safetensors")
    return tuple(torch.from_numpy(found[str(layer)].copy()) for layer in layers)


def predicted(arrays: Arrays, about: About, letters: int, tokens: int | None) -> float:
    """Bytes that a whole index will take, judged by the arrays of some of its windows.

    letters: of the whole text, 0 if unknown; tokens: at which it stops, if it does.
    """
    n_tokens = len(arrays["ids"])
    entries = sum(len(arrays[f"{layer}.value"]) for layer in about.layers)
    expected = n_tokens * letters / max(1, len(arrays["text"])) if letters else float("inf")
    if tokens is not None:
        expected = min(expected, tokens + about.shard_tokens)
    per_token = _BYTES * entries / max(1, n_tokens) + _BYTES_PER_TOKEN + 8 * len(about.layers)
    return expected * per_token + _BYTES_PER_UNIT * sum(about.sizes)


def _size(bytes: float) -> str:
    return f"{bytes / 1e9:.1f} GB" if bytes >= 1e9 else f"{bytes / 1e6:.1f} MB"


def _letters(corpus: Corpus) -> int:
    """About how many letters a corpus has; 0 if that cannot be told before it is read."""
    text: Any = corpus.path if corpus.path is not None else corpus._text
    if isinstance(text, Path):
        from ..dictionaries.training.corpus import _files

        return sum(path.stat().st_size for path in _files(text))
    if isinstance(text, list | tuple):
        return sum(len(document) for document in text if isinstance(document, str))
    return 0
