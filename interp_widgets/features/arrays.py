"""Named arrays in one file, memory-mapped for reading and for writing.

The layout is safetensors' own (eight bytes with the header's length, the header as JSON, the arrays
one behind the other), so any safetensors reader opens these files. Written here and not with the
library because an index can be larger than memory: `create` gives arrays that lie in the new file,
to be filled piece by piece, and the file gets its name when it is whole.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..files import write_whole
from .errors import FeatureError

Arrays = Mapping[str, NDArray[Any]]
_NAMES = {
    "uint8": "U8", "uint16": "U16", "uint32": "U32", "int64": "I64", "float16": "F16",
    "float32": "F32",
}  # fmt: skip
_TYPES = {name: np.dtype(dtype) for dtype, name in _NAMES.items()}
_LONGEST_HEADER = 1 << 24


def create(
    path: Path,
    shapes: Mapping[str, tuple[np.dtype[Any], tuple[int, ...]]],
    fill: Callable[[dict[str, NDArray[Any]]], object],
    about: Mapping[str, str] | None = None,
) -> None:
    """A new file at `path`, whole or not at all.

    Args:
        shapes: per array its dtype and shape; `fill` gets them, all zeros, and puts the values in.
        about: words to go with them.
    """
    header: dict[str, Any] = {"__metadata__": dict(about)} if about else {}
    at = 0
    for name, (dtype, shape) in shapes.items():
        size = prod(shape) * dtype.itemsize
        header[name] = {
            "dtype": _NAMES[dtype.name],
            "shape": list(shape),
            "data_offsets": [at, at + size],
        }
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)

    def write(part: Path) -> None:
        with part.open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            file.flush()
            _reserve(file.fileno(), 8 + len(text) + at)
        found, _ = open_arrays(part, "r+")
        fill(found)
        for array in found.values():
            if isinstance(array, np.memmap):
                array.flush()

    write_whole(path, write)


def _reserve(file: int, size: int) -> None:
    """Makes an open file so long, with room on the disk for all of it: writing a map of a file
    that has none would end the process, and not in an error."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file, 0, size)
            return
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                raise
    os.ftruncate(file, size)


def write_arrays(path: Path, arrays: Arrays, about: Mapping[str, str] | None = None) -> None:
    """Arrays that are in memory, as a new file."""

    def fill(found: dict[str, NDArray[Any]]) -> None:
        for name, array in arrays.items():
            found[name][...] = array

    create(path, {name: (a.dtype, a.shape) for name, a in arrays.items()}, fill, about)


def open_arrays(path: Path, mode: Any = "r") -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """The arrays of a file, mapped, and the words that go with them.

    Raises FeatureError for a file that is no such file, or shorter than it says.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= _LONGEST_HEADER:
                raise ValueError("no header")
            header = json.loads(file.read(length))
        words = {str(k): str(v) for k, v in header.pop("__metadata__", {}).items()}
        whole = np.memmap(path, dtype=np.uint8, mode=mode)
        found: dict[str, NDArray[Any]] = {}
        for name, entry in header.items():
            dtype, shape = _TYPES[entry["dtype"]], tuple(map(int, entry["shape"]))
            start, end = (int(offset) + 8 + length for offset in entry["data_offsets"])
            if not 0 <= start <= end <= len(whole) or end - start != prod(shape) * dtype.itemsize:
                raise ValueError(f"{name} does not fit into the file")
            found[name] = whole[start:end].view(dtype).reshape(shape)
        return found, words
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FeatureError(
            f"{path} cannot be read as a file of an index ({error}): remove the folder and make "
            "the index again."
        ) from error
