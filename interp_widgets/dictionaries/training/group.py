"""The processes that train one dictionary together: each has its share of every batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor


class Group(Protocol):
    """All shares of a batch have the same number of tokens."""

    size: int
    rank: int

    def mean_(self, tensors: Sequence[Tensor]) -> None:
        """Replaces each tensor, in place, by its mean over the processes."""

    def gather(self, tensor: Tensor) -> Tensor:
        """The tensors of all processes, joined along the first dimension in order of rank."""


class Alone:
    """One process."""

    size = 1
    rank = 0

    def mean_(self, tensors: Sequence[Tensor]) -> None:
        pass

    def gather(self, tensor: Tensor) -> Tensor:
        return tensor
