"""A corpus, cut into shards, and what units do on one of them.

Documents are cut into windows of at most `context` tokens, each with the special token in front that
every prompt has; windows in reading order fill shards of some thousand tokens. A shard is encoded
alone and always in the same batches, so whoever does it, again or elsewhere, gets the same bytes.

What is kept of a shard: the tokens (ids, text, where windows begin, which document), and per layer
the active (unit, token, value) triples, sorted by unit and then by token. Values are rounded to
float16, and whatever an index says is said of the rounded values.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..dictionaries.windows import (
    MAX_TOKENS,
    counted,
    cut,
    long_first,
    padded,
    room,
    tokens_at_once,
)
from ..models import Model
from ..models.plan_checks import width_of
from .errors import FeatureError
from .units import DenseUnits, Units

LARGEST = float(np.finfo(np.float16).max)
#: The special token and two more.
LEAST_CONTEXT = 3

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Window:
    """ids: with the special token in front; document: the number of its text."""

    ids: tuple[int, ...]
    document: int

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Shard:
    """number: counted from 0; windows: in reading order."""

    number: int
    windows: tuple[Window, ...]

    @property
    def n_tokens(self) -> int:
        """Tokens that are indexed: all but those in front of windows."""
        return sum(len(window) - 1 for window in self.windows)

    @property
    def fingerprint(self) -> str:
        """A hash of the tokens."""
        found = hashlib.sha256()
        for window in self.windows:
            found.update(np.array([len(window), *window.ids], dtype="<u4").tobytes())
        return found.hexdigest()[:32]


def windows_of(model: Model, documents: Iterable[str], context: int) -> Iterator[Window]:
    """The windows of documents; raises FeatureError for what is no text."""
    size = room(model, context)
    if size < LEAST_CONTEXT - 1:
        raise FeatureError(
            f"A context of {context} tokens is too short: give at least {LEAST_CONTEXT}."
        )
    for number, document in enumerate(documents):
        if not isinstance(document, str):
            raise FeatureError(
                f"Documents are texts, but document {number} is {type(document).__name__}: give "
                'the texts alone, such as [row["text"] for row in rows].'
            )
        for window in cut(model, of_characters(document), size):
            if len(window) > 1:
                yield Window(tuple(window.tolist()), number)


def of_characters(text: str) -> str:
    """A text without halves of characters (surrogates), which tokenizers refuse: they become "�",
    as in files that are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def shards_of(windows: Iterator[Window], known: Iterable[int], tokens: int) -> Iterator[Shard]:
    """Windows in shards.

    Args:
        known: how many windows the first shards have, where they were cut before.
        tokens: at least so many in each further one.
    """
    number = 0
    for count in known:
        taken = tuple(islice(windows, count))
        if taken:
            yield Shard(number, taken)
        number += 1
    some: list[Window] = []
    held = 0
    for window in windows:
        some.append(window)
        held += len(window) - 1
        if held >= tokens:
            yield Shard(number, tuple(some))
            number, some, held = number + 1, [], 0
    if some:
        yield Shard(number, tuple(some))


def encode_shard(
    model: Model, units: Units, shard: Shard, check: Callable[[], object] = lambda: None
) -> Arrays:
    """What a shard's file holds.

    Args:
        check: called before every run of the model; may raise to stop.

    Returns: "ids" u32 [T], "text" u8, "text_ptr" i64 [T + 1], "window_ptr" i64 [W + 1],
    "document" u32 [W], "kept" i64 [1] (tokens that may be active: all but special ones),
    "clipped" i64 [1] (values beyond float16), and per layer "3.ptr" i64 [F + 1],
    "3.position" u32 [n], "3.value" f16 [n].
    """
    starts = _starts(shard)
    found: dict[int, list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float16]]]]
    found = {layer: [] for layer in units.layers}
    kept = clipped = 0
    for there, vectors in _runs(model, units, shard, starts, check):
        kept += len(there)
        for layer, x in vectors:
            token, feature, value = (t.cpu() for t in units.active(layer, x))
            if not bool(value.isfinite().all()):
                raise FeatureError(
                    f"{units.scan}, layer {layer}: an activation is NaN or infinite in shard "
                    f"{shard.number}."
                )
            clipped += int((value.abs() > LARGEST).sum())
            half = value.clamp(-LARGEST, LARGEST).to(torch.float16).numpy()
            active = half != 0
            found[layer].append(
                (feature.numpy()[active], there[token.numpy()[active]], half[active])
            )
    arrays: Arrays = _tokens(model, shard, starts)
    arrays["kept"] = np.array([kept], dtype=np.int64)
    arrays["clipped"] = np.array([clipped], dtype=np.int64)
    for layer, parts in found.items():
        feature, where, values = (np.concatenate([part[i] for part in parts]) for i in range(3))  # type: ignore[assignment]
        order = np.argsort(feature * int(starts[-1] + 1) + where)
        counts = np.bincount(feature, minlength=units.n_features(layer))
        arrays[f"{layer}.ptr"] = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        arrays[f"{layer}.position"] = where[order].astype(np.uint32)
        arrays[f"{layer}.value"] = values[order]
    return arrays


def floors_of(
    model: Model,
    units: DenseUnits,
    shards: Iterable[Shard],
    tokens: int,
    share: float,
    check: Callable[[], object] = lambda: None,
) -> tuple[Tensor, ...]:
    """Per layer [F], from where on a dense unit is active: so that it is on `share` of about the
    first `tokens` tokens.

    check: called before every run of the model; may raise to stop.
    """
    most = max(1, round(share * (tokens + MAX_TOKENS)))
    largest: dict[int, Tensor] = {}
    done = 0
    for shard in shards:
        for there, vectors in _runs(model, units, shard, _starts(shard), check):
            for layer, x in vectors:
                values = units.values(layer, x).abs().float().cpu()
                both = torch.cat([largest[layer], values]) if layer in largest else values
                largest[layer] = both.topk(min(most, len(both)), dim=0).values
            done += len(there)
            if done >= tokens:
                break
        if done >= tokens:
            break
    place_of = max(1, round(share * done))
    return tuple(values[min(place_of, len(values)) - 1] for values in largest.values())


def run_tokens(model: Model, units: Units) -> int:
    """How many tokens run together, at most: the largest tensors are what is read at all layers,
    and [token, F] of one."""
    read = sum(width_of(model, place) for place in units.reads)
    widest = max(read, *(units.n_features(layer) for layer in units.layers))
    return tokens_at_once(widest)


def _starts(shard: Shard) -> NDArray[np.int64]:
    """Where windows begin among the shard's tokens, [W + 1]."""
    return np.concatenate([[0], np.cumsum([len(window) - 1 for window in shard.windows])])


def _runs(
    model: Model,
    units: Units,
    shard: Shard,
    starts: NDArray[np.int64],
    check: Callable[[], object],
) -> Iterator[tuple[NDArray[np.int64], Iterator[tuple[int, Tensor]]]]:
    """Runs the model over a shard, batch by batch: the tokens that may carry active units, by their
    place in the shard [n], and per layer what stands there, [n, d]."""
    for chosen in long_first(shard.windows, run_tokens(model, units)):
        check()
        ids, mask = padded([torch.tensor(shard.windows[i].ids) for i in chosen])
        keep = counted(model, ids) & mask
        there = torch.from_numpy(starts[chosen])[:, None] + torch.arange(ids.shape[1]) - 1
        seen = model.run(ids, mask=mask, read=units.reads, logits=False).seen
        vectors = (
            (layer, seen[place][keep.to(seen[place].device)].to(model.device, model.dtype))
            for layer, place in zip(units.layers, units.reads, strict=True)
        )
        yield there[keep].numpy(), vectors


def _tokens(model: Model, shard: Shard, starts: NDArray[np.int64]) -> Arrays:
    pieces = [
        text.encode("utf-8", "replace")
        for window in shard.windows
        for text in model.texts(window.ids)[1:]
    ]
    ids = [i for window in shard.windows for i in window.ids[1:]]
    ends = np.cumsum([0, *(len(piece) for piece in pieces)])
    return {
        "ids": np.array(ids, dtype=np.uint32),
        "text": np.frombuffer(b"".join(pieces), dtype=np.uint8),
        "text_ptr": ends.astype(np.int64),
        "window_ptr": starts.astype(np.int64),
        "document": np.array([window.document for window in shard.windows], dtype=np.uint32),
    }
