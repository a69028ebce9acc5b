"""Weights with one row per feature, in memory or memory-mapped.

A feature set can be larger than memory while a prompt uses a few thousand of its features.
A mapped tensor is an ordinary CPU tensor whose pages are read when touched, so gathering
the rows of active features reads little more than those rows. Whatever leaves a mapped
tensor is brought to the wanted device and dtype, and checked for NaN and infinity, because
checking all of it on load would read all of it. A mapped table may come with one factor per
vector: how int8 weights are stored (value = integer * factor, |integer| <= 127), and how what
a file leaves to be folded is folded without reading it all.
"""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

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


def quantised(table: Tensor) -> tuple[Tensor, Tensor]:
    """A table [..., d] as int8 and one float32 scale per vector [...]; 0 stays exactly 0."""
    values = table.float()
    scale = values.abs().amax(-1) / 127
    steps = (values / scale.clamp(min=torch.finfo(torch.float32).tiny)[..., None]).round()
    return steps.clamp(-127, 127).to(torch.int8), scale


@dataclass(frozen=True, eq=False)
class Rows:
    """A table [n_features, ...].

    Args:
        tensor: the table as stored; on the CPU when mapped.
        source: where it came from, for error messages ("layer_0.safetensors: W_enc").
        mapped: True when `tensor` lies in a file and is read on demand.
        device: where rows are handed out.
        dtype: what rows are handed out as.
        scale: the factor of each vector, the shape of `tensor` without its last dimension;
            None for 1. Only where mapped.
    """

    tensor: Tensor
    source: str
    mapped: bool
    device: torch.device
    dtype: torch.dtype
    scale: Tensor | None = None

    @classmethod
    def hold(cls, tensor: Tensor, source: str) -> Self:
        """Rows of a tensor in memory."""
        return cls(finite(tensor, source), source, False, tensor.device, tensor.dtype)

    @classmethod
    def map(cls, tensor: Tensor, source: str, scale: Tensor | None = None) -> Self:
        """Rows of a memory-mapped CPU tensor; int8 ones come with their scale."""
        dtype = tensor.dtype if scale is None else torch.promote_types(tensor.dtype, scale.dtype)
        return cls(tensor, source, True, tensor.device, dtype, scale)

    def scaled(self, factor: Tensor) -> Self:
        """These rows times a factor per vector, [n_features] or as many dimensions as needed."""
        factor = factor.reshape(*factor.shape, *[1] * (self.tensor.ndim - 1 - factor.ndim))
        factor = factor.expand(self.tensor.shape[:-1])
        dtype = torch.promote_types(self.dtype, factor.dtype)
        if not self.mapped:
            return replace(self, tensor=self.tensor.to(dtype) * factor[..., None], dtype=dtype)
        scale = factor if self.scale is None else self.scale * factor
        return replace(self, scale=scale, dtype=dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.tensor.shape)

    def whole(self) -> Tensor:
        """All rows: [n_features, ...]."""
        if not self.mapped:
            return self.tensor
        return finite(self._handed_out(self.tensor, self.scale), self.source)

    def take(self, features: Tensor, column: int | None = None) -> Tensor:
        """Rows of some features, in their order: [k, ...].

        Args:
            features: [k] int64, may repeat; a mapped row is read once however often it is named.
            column: where given, only this entry of the second dimension.
        """
        table, scale = self._columns(column)
        if not self.mapped:
            return table.index_select(0, features.to(table.device))
        distinct, inverse = torch.unique(features.cpu(), return_inverse=True)
        scale = None if scale is None else scale.index_select(0, distinct)
        rows = self._handed_out(table.index_select(0, distinct), scale)
        if not is_finite(rows):
            healthy = rows.isfinite().flatten(1).all(1).cpu()
            first = int(distinct[~healthy][0])
            raise DictionaryError(
                f"{self.source} holds NaN or infinity in the row of feature {first} "
                f"(as {self.dtype})."
            )
        return rows.index_select(0, inverse.to(rows.device))

    def add_up(
        self,
        position: Tensor,
        features: Tensor,
        weights: Tensor,
        n_positions: int,
        column: int | None = None,
    ) -> Tensor:
        """Per position, the sum of weights * rows: [n_positions, d].

        Args:
            position, features, weights: [k] each, sorted by position.
            column: which entry of the second dimension, for a table [n_features, n, d].
        """
        table, _ = self._columns(column)
        if self.mapped:
            distinct, features = torch.unique(features, return_inverse=True)
            table = self.take(distinct, column)
        starts = torch.searchsorted(position, torch.arange(n_positions, device=position.device))
        if not len(table):
            return torch.zeros(n_positions, table.shape[-1], device=table.device, dtype=self.dtype)
        return embedding_bag(
            features, table.contiguous(), starts, mode="sum", per_sample_weights=weights
        )

    def to(self, device: torch.device, dtype: torch.dtype) -> Self:
        if self.mapped:
            return replace(self, device=device, dtype=dtype)
        moved = self.tensor.to(device, dtype)
        if dtype != self.dtype:
            finite(moved, self.source)
        return replace(self, tensor=moved, device=moved.device, dtype=dtype)

    def _columns(self, column: int | None) -> tuple[Tensor, Tensor | None]:
        if column is None:
            return self.tensor, self.scale
        scale = None if self.scale is None else self.scale.select(1, column)
        return self.tensor.select(1, column), scale

    def _handed_out(self, table: Tensor, scale: Tensor | None) -> Tensor:
        if scale is not None:
            table = table * scale[..., None]
        return table.to(self.device, self.dtype)
