"""The nonlinearities that make features sparse, as plain values.

Each maps pre-activations [.., n_features] to activations of the same shape, exactly as
circuit-tracer defines them, so that active sets agree.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from interp_widgets.dictionaries.errors import DictionaryError


@dataclass(frozen=True)
class ReLU:
    """max(pre, 0)."""

    def __call__(self, pre: Tensor) -> Tensor:
        return torch.relu(pre)


@dataclass(frozen=True, eq=False)
class JumpReLU:
    """pre where it exceeds its feature's threshold, else 0 (Rajamanoharan et al. 2024).

    threshold: [n_features]. A negative threshold lets negative activations through.
    """

    threshold: Tensor

    def __call__(self, pre: Tensor) -> Tensor:
        return pre * (pre > self.threshold)


@dataclass(frozen=True)
class TopK:
    """The k largest pre-activations of each row as they are, else 0 (Gao et al. 2024).

    There is no ReLU behind it: a row with fewer than k positive entries keeps negative ones.
    """

    k: int

    def __post_init__(self) -> None:
        if isinstance(self.k, bool) or not isinstance(self.k, int) or self.k < 1:
            raise DictionaryError(
                f"TopK needs a whole number k of at least 1, but k is {self.k!r}."
            )

    def __call__(self, pre: Tensor) -> Tensor:
        kept = pre.topk(self.k, dim=-1)
        return torch.zeros_like(pre).scatter_(-1, kept.indices, kept.values)


Activation = ReLU | JumpReLU | TopK
