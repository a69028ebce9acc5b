"""Shards, merged into one index: per layer a matrix [unit, token] in compressed sparse columns.

    tokens-1.safetensors       ids u32 [T]; text u8 and text_ptr i64 [T + 1], what each token adds to
                               the text; window_ptr i64 [W + 1]; document u32 [W]
    layer-003-1.safetensors    ptr i64 [F + 1], position u32 [n], value f16 [n]: where each unit is
                               active, by position; strongest f32 [F]; the same by token: token_ptr
                               i64 [T + 1], token_unit u16 or u32 [n]

The 1 is the generation: an index that grows is merged again, under new names, and `index.json`,
written last, says which names hold. So whoever reads, and whoever dies, finds one whole index.
Written through memory maps, layer by layer and shard by shard: memory holds one shard at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrays import Arrays, create, open_arrays

Open = Callable[[], Arrays]


def tokens_file(folder: Path, generation: int) -> Path:
    return folder / f"tokens-{generation}.safetensors"


def layer_file(folder: Path, generation: int, layer: int) -> Path:
    return folder / f"layer-{layer:03d}-{generation}.safetensors"


def merge(
    folder: Path,
    generation: int,
    layers: Sequence[int],
    shards: Sequence[Path],
    check: Callable[[float], object],
) -> None:
    """Writes the files of `generation` from those of the one before, if there is one, and shards.

    check: called between steps with the share that is done; may raise to stop.
    """
    before = generation - 1
    old = [] if before < 1 else [lambda: open_arrays(tokens_file(folder, before))[0]]
    new: list[Open] = [lambda path=path: open_arrays(path)[0] for path in shards]  # type: ignore[misc]
    check(0.0)
    n_tokens = _merge_tokens(tokens_file(folder, generation), [*old, *new])
    for number, layer in enumerate(layers):
        check((number + 1) / (len(layers) + 1))
        first: list[Open] = []
        if before >= 1:
            first = [lambda layer=layer: open_arrays(layer_file(folder, before, layer))[0]]  # type: ignore[misc]
        rest = [_of_layer(path, layer) for path in shards]
        _merge_layer(layer_file(folder, generation, layer), [*first, *rest], n_tokens)


def _of_layer(path: Path, layer: int) -> Open:
    def arrays() -> Arrays:
        found, _ = open_arrays(path)
        part = {name: found[f"{layer}.{name}"] for name in ("ptr", "position", "value")}
        return part | {"ids": found["ids"]}

    return arrays


def _merge_tokens(path: Path, parts: Sequence[Open]) -> list[int]:
    """Returns how many tokens each part has."""
    sizes = []
    for part in parts:
        found = part()
        sizes.append((len(found["ids"]), len(found["text"]), len(found["document"])))
    tokens, text, windows = (sum(size[i] for size in sizes) for i in range(3))
    shapes: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {
        "text_ptr": (np.dtype(np.int64), (tokens + 1,)),
        "window_ptr": (np.dtype(np.int64), (windows + 1,)),
        "ids": (np.dtype(np.uint32), (tokens,)),
        "document": (np.dtype(np.uint32), (windows,)),
        "text": (np.dtype(np.uint8), (text,)),
    }

    def fill(out: dict[str, NDArray[Any]]) -> None:
        token = byte = window = 0
        for part, (n_tokens, n_bytes, n_windows) in zip(parts, sizes, strict=True):
            found = part()
            out["ids"][token : token + n_tokens] = found["ids"]
            out["text"][byte : byte + n_bytes] = found["text"]
            out["document"][window : window + n_windows] = found["document"]
            out["text_ptr"][token + 1 : token + n_tokens + 1] = found["text_ptr"][1:] + byte
            ends = found["window_ptr"][1:] + token
            out["window_ptr"][window + 1 : window + n_windows + 1] = ends
            token, byte, window = token + n_tokens, byte + n_bytes, window + n_windows

    create(path, shapes, fill)
    return [size[0] for size in sizes]


def _merge_layer(path: Path, parts: Sequence[Open], n_tokens: Sequence[int]) -> None:
    counts = sum(np.diff(part()["ptr"]) for part in parts)
    assert isinstance(counts, np.ndarray)
    n_units, total = len(counts), int(counts.sum())
    unit = np.dtype(np.uint16 if n_units <= 1 << 16 else np.uint32)
    shapes: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {
        "ptr": (np.dtype(np.int64), (n_units + 1,)),
        "token_ptr": (np.dtype(np.int64), (sum(n_tokens) + 1,)),
        "position": (np.dtype(np.uint32), (total,)),
        "strongest": (np.dtype(np.float32), (n_units,)),
        "value": (np.dtype(np.float16), (total,)),
        "token_unit": (unit, (total,)),
    }

    def fill(out: dict[str, NDArray[Any]]) -> None:
        out["ptr"][1:] = np.cumsum(counts)
        free = np.array(out["ptr"][:-1])  # where the next entry of each unit goes
        token = entry = 0
        for part, size in zip(parts, n_tokens, strict=True):
            found = part()
            own = np.diff(found["ptr"])
            position, value = found["position"], found["value"]
            place = np.repeat(free - found["ptr"][:-1], own) + np.arange(len(position))
            out["position"][place] = position + np.uint32(token)
            out["value"][place] = value
            free += own
            if len(value):
                units = np.flatnonzero(own)
                size_of = np.abs(value).astype(np.float32)
                most = np.maximum.reduceat(size_of, found["ptr"][:-1][units])
                out["strongest"][units] = np.maximum(out["strongest"][units], most)
            # A stable sort by token leaves the units of each token in order.
            by_token = np.argsort(position, kind="stable")
            named = np.repeat(np.arange(n_units, dtype=unit), own)[by_token]
            out["token_unit"][entry : entry + len(named)] = named
            per_token = np.bincount(position, minlength=size)
            out["token_ptr"][token + 1 : token + size + 1] = entry + np.cumsum(per_token)
            token, entry = token + size, entry + len(named)

    create(path, shapes, fill)
