"""Indexes whose units are known: a made-up language, and units that fire where a function says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interp_widgets.features.about import FILE, About
from interp_widgets.features.arrays import write_arrays
from interp_widgets.features.merging import merge
from interp_widgets.features.stored import StoredIndex

Plant = Callable[[Sequence[str], int], float]
"""What a unit does on the i-th token of a window."""

NOUNS = ["cat", "dog", "bird", "fish", "horse", "cow", "fox", "owl", "bee", "ant"]
PLACES = ["texas", "ohio", "maine", "utah", "iowa", "idaho"]
VERBS = ["saw", "met", "ate", "liked", "heard", "chased"]


def sentences(count: int = 600, seed: int = 0) -> list[list[str]]:
    """Windows of tokens, each with the blank in front that it adds to the text; "chased" and "idaho"
    are of two pieces."""
    random = Random(seed)
    found = []
    for _ in range(count):
        a, b = random.sample(NOUNS, 2)
        words = ["in", random.choice(PLACES), "the", a, random.choice(VERBS), "the", b]
        if random.random() < 0.4:
            words += ["and", "the", random.choice(NOUNS)]
        words.append(random.choice([".", "?"]))
        pieces = {"chased": [" cha", "sed"], "idaho": [" id", "aho"]}
        found.append([piece for word in words for piece in pieces.get(word, [f" {word}"])])
    return found


def planted(
    folder: Path,
    windows: Sequence[Sequence[str]],
    units: Mapping[tuple[int, int], Plant],
    ids: Sequence[int] | None = None,
) -> StoredIndex:
    """An index on disk, as a pass over a corpus leaves it, of units that do what they are told.

    ids: of all tokens; None: equal texts have equal ones.
    """
    numbers = {text: number for number, text in enumerate(sorted({t for w in windows for t in w}))}
    tokens = [token for window in windows for token in window]
    ids = [numbers[token] for token in tokens] if ids is None else ids
    pieces = [token.encode() for token in tokens]
    starts = np.cumsum([0, *map(len, windows)])
    arrays: dict[str, NDArray[Any]] = {
        "ids": np.array(ids, dtype=np.uint32),
        "text": np.frombuffer(b"".join(pieces), dtype=np.uint8),
        "text_ptr": np.cumsum([0, *map(len, pieces)]).astype(np.int64),
        "window_ptr": starts.astype(np.int64),
        "document": np.arange(len(windows), dtype=np.uint32),
        "kept": np.array([len(tokens)], dtype=np.int64),
        "clipped": np.array([0], dtype=np.int64),
    }
    layers = sorted({layer for layer, _ in units})
    sizes = [1 + max(f for other, f in units if other == layer) for layer in layers]
    for layer, size in zip(layers, sizes, strict=True):
        position, value, ends = [], [], [0]
        for feature in range(size):
            does = units.get((layer, feature), lambda window, i: 0.0)
            for start, window in zip(starts.tolist(), windows, strict=False):
                for i in range(len(window)):
                    if found := does(window, i):
                        position.append(start + i)
                        value.append(found)
            ends.append(len(position))
        arrays[f"{layer}.ptr"] = np.array(ends, dtype=np.int64)
        arrays[f"{layer}.position"] = np.array(position, dtype=np.uint32)
        arrays[f"{layer}.value"] = np.array(value, dtype=np.float16)
    folder.mkdir(parents=True)
    shard = folder / "shard.safetensors"
    write_arrays(shard, arrays)
    merge(folder, 1, layers, [shard], lambda share: None)
    shard.unlink()
    about = About(
        model="made up",
        units="feature",
        scan="planted",
        fingerprint="0" * 32,
        layers=tuple(layers),
        sizes=tuple(sizes),
        context=32,
        shard_tokens=1,
        shards=((len(windows), len(tokens), "0"),),
        kept=len(tokens),
        documents=len(windows),
        generation=1,
        complete=True,
    )
    (folder / FILE).write_text(about.as_json(), "utf-8")
    return StoredIndex(folder)
