"""Weights with one row per feature, in memory or memory-mapped.

A feature set can be larger than memory while a prompt uses a few thousand of its features.
A mapped tensor is an ordinary CPU tensor whose pages are read when touched, so gathering
the rows of active features reads little more than those rows. Whatever leaves a mapped
tensor is brought to the wanted device and dtype, and checked for NaN and infinity, because
checking all of it on load would read all of it.
"""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from interp_widgets.dictionaries.errors import DictionaryError


def is_finite(tensor: Tensor) -> bool:
    """Whether no entry is NaN or infinite.

    The sum decides in one pass without a mask; only when it overflows or is truly
    non-finite does the exact test run.
    """
    accumulator = torch.float64 if tensor.dtype == torch.float64 else torch.float32
    if bool(tensor.sum(dtype=accumulator).isfinite()):
        return True
    return bool(tensor.isfinite().all())


def finite(tensor: Tensor, source: str) -> Tensor:
    """The tensor itself; raises DictionaryError when an entry is NaN or infinite."""
    if not is_finite(tensor):
        raise DictionaryError(f"{source} holds NaN or infinity (as {tensor.dtype}).")
    return tensor


@dataclass(frozen=True, eq=False)
class Rows:
    """A table [n_features, ...].

    Args:
        tensor: the table as stored; on the CPU when mapped.
        source: where it came from, for error messages ("layer_0.safetensors: W_enc").
        mapped: True when `tensor` lies in a file and is read on demand.
        device: where rows are handed out.
        dtype: what rows are handed out as.
    """

    tensor: Tensor
    source: str
    mapped: bool
    device: torch.device
    dtype: torch.dtype

    @classmethod
    def hold(cls, tensor: Tensor, source: str) -> Self:
        """Rows of a tensor in memory."""
        return cls(finite(tensor, source), source, False, tensor.device, tensor.dtype)

    @classmethod
    def map(cls, tensor: Tensor, source: str) -> Self:
        """Rows of a memory-mapped CPU tensor."""
        return cls(tensor, source, True, tensor.device, tensor.dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.tensor.shape)

    def whole(self) -> Tensor:
        """All rows: [n_features, ...]."""
        if not self.mapped:
            return self.tensor
        return finite(self.tensor.to(self.device, self.dtype), self.source)

    def take(self, features: Tensor, column: int | None = None) -> Tensor:
        """Rows of some features, in their order: [k, ...].

        Args:
            features: [k] int64, may repeat; a mapped row is read once however often it is named.
            column: where given, only this entry of the second dimension.
        """
        table = self.tensor if column is None else self.tensor.select(1, column)
        if not self.mapped:
            return table.index_select(0, features.to(table.device))
        distinct, inverse = torch.unique(features.cpu(), return_inverse=True)
        rows = table.index_select(0, distinct).to(self.device, self.dtype)
        if not is_finite(rows):
            healthy = rows.isfinite().flatten(1).all(1).cpu()
            first = int(distinct[~healthy][0])
            raise DictionaryError(
                f"{self.source} holds NaN or infinity in the row of feature {first} "
                f"(as {self.dtype})."
            )
        return rows.index_select(0, inverse.to(rows.device))

    def to(self, device: torch.device, dtype: torch.dtype) -> Self:
        if self.mapped:
            return replace(self, device=device, dtype=dtype)
        moved = self.tensor.to(device, dtype)
        if dtype != self.dtype:
            finite(moved, self.source)
        return replace(self, tensor=moved, device=moved.device, dtype=dtype)
