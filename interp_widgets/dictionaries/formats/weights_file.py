"""The tensors of one file, read without running anything, and in a sentence why not.

Damaged downloads are common: a truncated file, a Git LFS pointer or a renamed pickle must end
in a sentence that names the file. Safetensors files are memory-mapped, .npz archives of arrays
that are stored as they are, too. A pickle can run code when it is opened: .npz is read array by
array with numpy's own header reader, which knows no objects, and .pt, which only
dictionary_learning leaves us no way around, by torch's unpickler that knows tensors alone.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import torch
from numpy.lib import format as npy
from safetensors import SafetensorError, safe_open
from torch import Tensor

from interp_widgets.dictionaries.errors import DictionaryError
from interp_widgets.dictionaries.rows import Rows

FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
PICKLE_STARTS = (b"PK\x03\x04", *(bytes([0x80, protocol]) for protocol in range(2, 6)))

# Beyond this size a file's matrices stay on disk and rows are read when used.
LAZY_BYTES = 256 * 2**20


class Weights:
    """The tensors of a file, taken out by name.

    Args:
        lazy: whether `rows` leaves matrices on disk; None: where the file is large.
        integers: names of tensors that may be whole numbers.
    """

    def __init__(
        self, path: Path, lazy: bool | None = None, integers: tuple[str, ...] = ()
    ) -> None:
        readers = {".npz": read_npz, ".pt": read_pt}
        self.path = path
        self._left = readers.get(path.suffix, read_safetensors)(path)
        self.lazy = path.stat().st_size > LAZY_BYTES if lazy is None else lazy
        for name, tensor in self._left.items():
            if tensor.dtype not in FLOATS and name not in integers:
                raise DictionaryError(
                    f"{path}: {name} is stored as {tensor.dtype}, "
                    "expected float32, float16, bfloat16 or float64."
                )

    def names(self) -> list[str]:
        """The tensors that nobody took yet."""
        return sorted(self._left)

    def has(self, name: str) -> bool:
        return name in self._left

    def source(self, name: str) -> str:
        return f"{self.path}: {name}"

    def stored(self, name: str) -> Tensor:
        """The tensor as it lies in the file."""
        if name not in self._left:
            found = ", ".join(self.names()) or "none"
            raise DictionaryError(
                f"{self.path} lacks the tensor {name} (unread tensors there: {found})."
            )
        return self._left.pop(name)

    def take(self, name: str) -> Tensor:
        """The tensor in memory."""
        return self.stored(name).clone()

    def peek(self, name: str) -> Tensor:
        """The tensor as it lies in the file, still to be taken."""
        tensor = self.stored(name)
        self._left[name] = tensor
        return tensor

    def vector(self, name: str, size: int) -> Tensor:
        """A tensor of shape [size] in memory."""
        tensor = self.take(name)
        self.expect(name, tensor, [size])
        return tensor

    def expect(self, name: str, tensor: Tensor, shape: list[int]) -> None:
        if list(tensor.shape) != shape:
            raise DictionaryError(
                f"{self.source(name)} has shape {list(tensor.shape)}, expected {shape}."
            )

    def matrix(self, name: str, dimensions: int = 2) -> Tensor:
        """A tensor of so many dimensions as it lies in the file."""
        tensor = self.stored(name)
        if tensor.ndim != dimensions:
            raise DictionaryError(
                f"{self.source(name)} has shape {list(tensor.shape)}, expected {dimensions} dimensions."
            )
        return tensor

    def rows(self, name: str, transposed: bool = False) -> Rows:
        """A matrix with one row per feature, in memory or left on disk."""
        tensor = self.matrix(name).T if transposed else self.stored(name)
        return self.as_rows(tensor, name)

    def as_rows(self, tensor: Tensor, name: str) -> Rows:
        if self.lazy:
            return Rows.map(tensor, self.source(name))
        held = tensor.clone(memory_format=torch.contiguous_format)
        return Rows.hold(held, self.source(name))

    def finish(self) -> None:
        """Ignoring a weight that we do not know would silently change what the features do."""
        if self._left:
            raise DictionaryError(
                f"{self.path} has tensors that this format does not define: "
                f"{', '.join(self.names())}."
            )


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file, by name, as CPU tensors whose pages lie in the file.

    Raises DictionaryError when the file is missing or is not intact safetensors. Values are
    not looked at.
    """
    size, start = _start(path)
    header = int.from_bytes(start[:8], "little")
    if size < 8 or header > size - 8:
        if start.startswith(PICKLE_STARTS):
            raise DictionaryError(
                f"{path} is a pickle, which is never opened because it can run code; "
                "convert the weights to safetensors."
            )
        raise DictionaryError(
            f"{path} is damaged or not a safetensors file: it has {size} bytes, but its header "
            f"would need {header + 8 if size >= 8 else 'at least 8'}."
        )
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split()).removeprefix("Error while deserializing header: ")
        raise DictionaryError(f"{path} is damaged or not a safetensors file ({reason}).") from error


def read_npz(path: Path) -> dict[str, Tensor]:
    """All arrays of an .npz archive; stored ones as CPU tensors whose pages lie in the file.

    Raises DictionaryError when the file is missing or damaged, or holds Python objects.
    """
    _start(path)
    try:
        with zipfile.ZipFile(path) as archive:
            return {
                entry.filename.removesuffix(".npy"): torch.from_numpy(_array(archive, entry, path))
                for entry in archive.infolist()
            }
    except DictionaryError:
        raise
    # The zip and header readers raise errors of many classes on damaged bytes.
    except (
        zipfile.BadZipFile, zlib.error, OSError, ValueError, TypeError, KeyError, IndexError,
        RuntimeError, EOFError, MemoryError, OverflowError, NotImplementedError, SyntaxError,
        RecursionError, AttributeError,
    ) as error:  # fmt: skip
        raise DictionaryError(
            f"{path} is damaged or not an .npz archive of numbers ({_reason(error)})."
        ) from error


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> np.ndarray[Any, Any]:
    with archive.open(entry) as file:
        shape, by_columns, dtype = _npy_header(file)
        begin = file.tell()
        count: int = math.prod(shape)
        if dtype.hasobject or dtype.kind not in "fi":
            raise DictionaryError(
                f"{path}: {entry.filename} holds {dtype.name} values instead of numbers; "
                "Python objects are never unpickled."
            )
        if begin + count * dtype.itemsize != entry.file_size:
            raise DictionaryError(
                f"{path}: {entry.filename} has {entry.file_size - begin} bytes of numbers, but its "
                f"header promises {list(shape)} of {dtype.name}."
            )
        order: Literal["C", "F"] = "F" if by_columns else "C"
        if entry.compress_type == zipfile.ZIP_STORED and count:
            # The zip reader has checked the local header on opening; its two lengths say
            # where the bytes of this entry begin.
            with path.open("rb") as raw:
                raw.seek(entry.header_offset + 26)
                lengths = raw.read(4)
            skipped = int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")
            offset = entry.header_offset + 30 + skipped + begin
            return np.memmap(path, dtype, "c", offset, shape, order)
        # A few bytes can unpack to gigabytes of zeros; weights do not compress like that.
        if entry.file_size > 100 * max(entry.compress_size, 1):
            raise DictionaryError(f"{path}: {entry.filename} unpacks to {entry.file_size} bytes.")
        return np.ndarray(shape, dtype, file.read(), order=order).copy()


def _npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = npy.read_magic(file)
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"array format {version}")
    shape, by_columns, dtype = readers[version](file)
    if any(size < 0 for size in shape):
        raise ValueError(f"a shape of {shape}")
    return shape, by_columns, dtype


def read_pt(path: Path) -> dict[str, Tensor]:
    """The state dict in a torch file, by torch's unpickler for tensors alone.

    Raises DictionaryError when the file is missing or damaged, or holds anything but a flat
    dict of dense tensors.
    """
    size, _ = _start(path)
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    # On damaged bytes the unpickler raises errors of nearly every class.
    except Exception as error:
        raise DictionaryError(
            f"{path} is damaged, or holds more than tensors, which is never unpickled "
            f"({_reason(error)})."
        ) from error
    if not isinstance(held, dict):
        raise DictionaryError(f"{path} holds a {type(held).__name__}, expected named tensors.")
    for name, tensor in held.items():
        dense = isinstance(tensor, Tensor) and tensor.layout == torch.strided
        if not (isinstance(name, str) and dense and tensor.device.type == "cpu"):
            raise DictionaryError(f"{path} holds {name!r}, which is no plain tensor.")
        # Strides of 0 let a few bytes stand for any number of them.
        if tensor.is_quantized or tensor.numel() * tensor.element_size() > size:
            raise DictionaryError(f"{path}: {name} is no plain tensor of the size of its file.")
    return {name: tensor.detach() for name, tensor in held.items()}


def _start(path: Path) -> tuple[int, bytes]:
    """The size and the first bytes of a file, and the mistakes that these give away."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(64)
    except FileNotFoundError as error:
        raise DictionaryError(f"{path} does not exist.") from error
    except (OSError, ValueError) as error:
        raise DictionaryError(f"{path} cannot be read ({error}).") from error
    if start.startswith(b"version https://git-lfs"):
        raise DictionaryError(
            f"{path} is a Git LFS pointer; run `git lfs pull` to get the weights."
        )
    return size, start


def _reason(error: Exception) -> str:
    """The first words of another library's message, on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:160]}" if text else type(error).__name__
