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

import shutil
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Protocol

import torch

from ..dictionaries.training.corpus import Corpus, n_bytes
from ..jobs import Cancelled
from ..models import Model
from .about import About
from .arrays import open_arrays, write_arrays
from .errors import FeatureError
from .folder import IndexFolder, Row, locked, writing
from .marks import weights_of
from .shards import Arrays, Shard, encode_shard, floors_of, run_tokens, shards_of, windows_of
from .sizes import in_words, predicted
from .stored import StoredIndex
from .units import DenseUnits, Units

CONTEXT, SHARD_TOKENS = 128, 8192
#: Neurons and directions are active on this share of the first tokens.
DENSE_SHARE, DENSE_TOKENS = 0.01, 4096
#: So many windows are run to tell the size.
_PROBE = 4

_NO_TOKENS = "The text holds no tokens but special ones: give at least one document with words."

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
        text: one text, several, or the path of a .txt or .jsonl file or of a folder of such files
            (see `located`).
        tokens: stop behind the shard in which so many are reached; None: the whole text.
        shard_tokens: at least so many tokens are encoded between two looks at `check`.
        progress: called with the share that is done and a sentence.
        check: asked between steps; when it raises Cancelled, what is done is merged first.

    Raises FeatureError for a folder that holds another index, a text without tokens, or a disk
    that is too full; Cancelled.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)

    def waiting() -> None:
        check()
        progress(0.0, "waiting for the pass over this folder that began before")

    with locked(folder, waiting):
        wanted = About(
            model=model.name,
            units=units.kind,
            scan=units.scan,
            fingerprint=units.fingerprint,
            layers=units.layers,
            sizes=tuple(units.n_features(layer) for layer in units.layers),
            context=context,
            shard_tokens=shard_tokens,
            names={f"{layer}/{i}": name for (layer, i), name in units.names.items()},
            weights=weights_of(model),
        )
        corpus = Corpus(text, model.tokenizer, context)
        with writing(folder):
            begun = IndexFolder(folder, wanted)
        pass_ = _Pass(model, units, corpus, begun)
        return pass_.run(tokens, encoder, progress, check)


class _Pass:
    """One call of `build`, which holds the folder's lock."""

    def __init__(self, model: Model, units: Units, corpus: Corpus, folder: IndexFolder) -> None:
        self.model, self.units, self.corpus, self.folder = model, units, corpus, folder
        self.read = 0  # bytes of the documents that were read

    def run(
        self,
        tokens: int | None,
        encoder: Encoder,
        progress: Progress,
        check: Callable[[], object],
    ) -> StoredIndex:
        total = self.corpus.size()
        done = sum(count for _, count, _ in self.folder.about.shards)
        before, current, ended = done, 0, False
        ready: dict[int, Row] = {}

        def unread() -> Iterator[Shard]:
            """The shards that nobody has encoded yet."""
            nonlocal done, ended, current
            for shard in self._shards():
                if tokens is not None and done >= tokens:
                    return
                known = self.folder.known(shard)
                if known is not None:
                    if shard.number >= len(self.folder.about.shards):
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
                ready[shard.number] = self.folder.write(shard, arrays)
                inside = 0
                told(inside)
                check()
        except Cancelled as cancelled:
            reason = cancelled
        with writing(self.folder.folder):
            self.folder.merge(
                ready,
                ended and reason is None,
                lambda share: progress(0.97 + 0.03 * share, "putting the index together"),
            )
        if reason is not None:
            raise reason
        if not self.folder.about.kept:
            raise FeatureError(_NO_TOKENS)
        return StoredIndex(self.folder.folder)

    # --- the corpus --------------------------------------------------------------------------

    def _shards(self) -> Iterator[Shard]:
        about = self.folder.about
        windows = windows_of(self.model, self._documents(), about.context)
        return shards_of(windows, self.folder.windows(), about.shard_tokens)

    def _documents(self) -> Iterator[str]:
        self.read = 0
        for document in self.corpus.documents():
            self.read += n_bytes(document) if isinstance(document, str) else 0
            yield document

    def _with_floors(self, units: Units, progress: Progress, check: Callable[[], object]) -> Units:
        """Neurons and directions get their floors, which are found once for an index."""
        if not isinstance(units, DenseUnits):
            return units
        path = self.folder.folder / "floors.safetensors"
        if not path.exists():
            about = self.folder.about
            windows = windows_of(self.model, self.corpus.documents(), about.context)
            shards = shards_of(windows, (), about.shard_tokens)
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
            with writing(self.folder.folder):
                write_arrays(path, named)
        return units.above(floors_in(self.folder.folder, units.layers))

    def _expected(self, size: int, tokens: int | None) -> str:
        """What the index will take on disk, in words, judged by its first windows; "" if unknown.

        Raises FeatureError where the disk has less.
        """
        about = self.folder.about
        if about.shards or self.folder.path(0).exists() or self.corpus.once:
            return ""
        windows = windows_of(self.model, self.corpus.documents(), about.context)
        first = Shard(0, tuple(islice(windows, _PROBE)))
        if not first.windows or not (size or tokens):
            return ""
        arrays = encode_shard(self.model, self.units, first)
        needed = predicted(arrays, about, size, tokens)
        free = shutil.disk_usage(self.folder.folder).free
        if 2 * needed > free:  # shards and the merged index are there at once
            raise FeatureError(
                f"The index will take about {in_words(needed)} and the same again while it is put "
                f"together, but {self.folder.folder} has {in_words(free)} left: give another folder, or "
                "fewer tokens."
            )
        return f"about {in_words(needed)} on disk"


def floors_in(folder: Path, layers: Iterable[int]) -> tuple[torch.Tensor, ...]:
    """Per layer [F]: above which absolute value a neuron or direction of an index is active."""
    found, _ = open_arrays(folder / "floors.safetensors")
    return tuple(torch.from_numpy(found[str(layer)].copy()) for layer in layers)
