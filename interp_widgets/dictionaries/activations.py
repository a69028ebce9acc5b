"""The nonlinearities that make features sparse, as plain values.

Each maps pre-activations [.., n_features] to activations of the same shape, exactly as the
tools whose files we read define them, so that active sets agree. BatchTopK and Matryoshka
dictionaries keep a learned threshold for use outside training: here they are JumpReLU.
"""

from dataclasses import dataclass, fields

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
    """The k largest pre-activations of each row, else 0 (Gao et al. 2024).

    relu: whether a ReLU stands behind the selection, as in sparsify, SAELens and
        dictionary_learning. Without it (circuit-tracer) a row with fewer than k positive
        entries keeps negative ones.
    """

    k: int
    relu: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.k, bool) or not isinstance(self.k, int) or self.k < 1:
            raise DictionaryError(
                f"TopK needs a whole number k of at least 1, but k is {self.k!r}."
            )

    def __call__(self, pre: Tensor) -> Tensor:
        kept = pre.topk(self.k, dim=-1)
        values = kept.values.relu() if self.relu else kept.values
        return torch.zeros_like(pre).scatter_(-1, kept.indices, values)


@dataclass(frozen=True, eq=False)
class Gated:
    """relu(pre * scale + shift) where pre > 0, else 0 (Rajamanoharan et al. 2024a).

    The gate and the magnitude share one encoder: magnitude = exp(r_mag) (pre - b_gate) + b_mag,
    hence scale = exp(r_mag) and shift = b_mag - b_gate exp(r_mag), both [n_features].
    """

    scale: Tensor
    shift: Tensor

    def __call__(self, pre: Tensor) -> Tensor:
        return torch.relu(pre * self.scale + self.shift) * (pre > 0)


Activation = ReLU | JumpReLU | TopK | Gated


def parameters(activation: Activation) -> dict[str, Tensor]:
    """The tensors [n_features] that an activation holds, by name."""
    held = {field.name: getattr(activation, field.name) for field in fields(activation)}
    return {name: value for name, value in held.items() if isinstance(value, Tensor)}
