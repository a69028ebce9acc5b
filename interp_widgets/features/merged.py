"""The files of an index, opened and looked at: arrays that point beyond others are refused here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .arrays import Arrays, open_arrays
from .errors import FeatureError
from .merging import layer_file, tokens_file

_OF_TOKENS = ("ids", "text", "text_ptr", "window_ptr", "document")
_OF_LAYER = ("ptr", "position", "value", "strongest", "token_ptr", "token_unit")


def open_tokens(folder: Path, generation: int) -> Arrays:
    """The tokens and their text (merging.py has the layout), mapped.

    Raises FeatureError for files that are none, or do not fit together.
    """
    path = tokens_file(folder, generation)
    found = _opened(path, _OF_TOKENS)
    tokens, windows, text = (len(found[name]) for name in ("ids", "document", "text"))
    fits = _points(found["text_ptr"], tokens, text) and _points(
        found["window_ptr"], windows, tokens
    )
    return _fitting(path, found, fits)


def open_layer(folder: Path, generation: int, layer: int, n_units: int, n_tokens: int) -> Arrays:
    """Where the units of a layer are active, by unit and by token; as `open_tokens`."""
    path = layer_file(folder, generation, layer)
    found = _opened(path, _OF_LAYER)
    entries = len(found["position"])
    fits = (
        all(len(found[name]) == entries for name in ("value", "token_unit"))
        and len(found["strongest"]) == n_units
        and _points(found["ptr"], n_units, entries)
        and bool((np.diff(found["ptr"]) >= 0).all())
        and _points(found["token_ptr"], n_tokens, entries)
    )
    return _fitting(path, found, fits)


def _opened(path: Path, names: tuple[str, ...]) -> Arrays:
    # Without memmap's bookkeeping, which costs more than a small slice.
    found = {name: np.asarray(array) for name, array in open_arrays(path)[0].items()}
    return _fitting(path, found, set(names) <= set(found))


def _fitting(path: Path, found: Arrays, fits: bool) -> Arrays:
    if not fits:
        raise FeatureError(
            f"{path} does not belong to this index: remove the folder and make the index again."
        )
    return found


def _points(pointer: NDArray[np.int64], n: int, end: int) -> bool:
    """Whether n spans are pointed to that lie behind each other, from 0 to `end`."""
    return len(pointer) == n + 1 and int(pointer[0]) == 0 and int(pointer[-1]) == end
