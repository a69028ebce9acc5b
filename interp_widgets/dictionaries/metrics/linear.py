"""The linear map: what a linear path alone explains of what a dictionary predicts.

Layer by layer the affine map from what the encoder reads to what the layer writes, of full rank,
that has the least squared error on the fitting text (ridge regression):

    W = (cov(x, x) + r I)^-1 cov(x, y),   y' = mean(y) + (x - mean(x)) W,   r = RIDGE tr cov(x, x) / d

A skip transcoder whose features were worth nothing could be this map, so its features are worth
what it explains beyond it. It reads the one layer that it writes to; a cross-layer transcoder
reads all layers below, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from interp_widgets.dictionaries.dictionary import ActiveFeatures
from interp_widgets.dictionaries.metrics.controls import doubled
from interp_widgets.models import Place

Pair = tuple[Place, Place]

# Of the mean variance of an input dimension: only against directions that the text does not have.
RIDGE = 1e-6
# Fitting tokens for each of the d + 1 numbers per output. With t of them least squares has about
# 1 + 1 / (t - 1) times the error of the best linear map: 11% more at 10, twice the error at 2, and
# a control as bad as that would only flatter the dictionary beside it.
TOKENS_EACH = 10


@dataclass(frozen=True)
class LinearMap:
    """x W + bias at each place written.

    matrix, bias: per place written [d_read, d_written] and [d_written].
    """

    reads: tuple[Place, ...]
    writes: tuple[Place, ...]
    matrix: tuple[Tensor, ...]
    bias: tuple[Tensor, ...]

    def n_features(self, index: int) -> int:
        return 0

    def encode(self, index: int, x: Tensor) -> ActiveFeatures:
        none = torch.empty(0, dtype=torch.int64, device=x.device)
        return ActiveFeatures(none, none, x.new_empty(0), x.new_empty(0))

    def predict(
        self, index: int, value: Tensor, x: Sequence[Tensor], active: Sequence[ActiveFeatures]
    ) -> Tensor:
        return x[index] @ self.matrix[index] + self.bias[index]


class LeastSquares:
    """The map between two places from streamed second moments, in float64.

    Sums are taken around the first batch's means, so that large means cost no digits.
    """

    def __init__(self) -> None:
        self.n = 0

    def add(self, x: Tensor, y: Tensor) -> None:
        """x: [token, d_read], y: [token, d_written], of the same tokens."""
        x, y = doubled(x), doubled(y)
        if not self.n:
            self._shift = x.mean(0), y.mean(0)
            self._first = torch.zeros_like(x[0]), torch.zeros_like(y[0])
            self._reads = x.new_zeros(x.shape[1], x.shape[1])
            self._cross = x.new_zeros(x.shape[1], y.shape[1])
        x, y = x - self._shift[0], y - self._shift[1]
        self.n += len(x)
        self._first[0].add_(x.sum(0))
        self._first[1].add_(y.sum(0))
        self._reads.addmm_(x.T, x)
        self._cross.addmm_(x.T, y)

    @property
    def width(self) -> int:
        """d_read."""
        return len(self._reads)

    def solve(self) -> tuple[Tensor, Tensor]:
        """The matrix [d_read, d_written] and the bias [d_written], float64."""
        x, y = (first / self.n for first in self._first)
        covariance = self._reads / self.n - torch.outer(x, x)
        cross = self._cross / self.n - torch.outer(x, y)
        ridge = RIDGE * covariance.diagonal().mean()
        # Inputs that are all the same have no variance, and their map is 0.
        covariance.diagonal().add_(ridge.clamp(min=torch.finfo(ridge.dtype).tiny))
        matrix = torch.linalg.solve(covariance, cross)
        return matrix, self._shift[1] + y - (self._shift[0] + x) @ matrix


def linear_map(
    reads: tuple[Place, ...],
    writes: tuple[Place, ...],
    fits: Mapping[Pair, LeastSquares],
    like: Tensor,
) -> LinearMap:
    """The control at these places, on the device and in the dtype of `like`."""
    solved = [fits[pair].solve() for pair in zip(reads, writes, strict=True)]
    matrix, bias = (
        tuple(part.to(like.device, like.dtype) for part in parts)
        for parts in zip(*solved, strict=True)
    )
    return LinearMap(reads, writes, matrix, bias)


def enough(width: int, n_fitted: int) -> tuple[bool, str]:
    """Whether a map of inputs [width] can be fitted on so many tokens, and a caption's words."""
    numbers, least = f"{width + 1} numbers per output dimension", TOKENS_EACH * (width + 1)
    if n_fitted < least:
        return False, f"no linear map, whose {numbers} need at least {least} such tokens"
    return True, f"linear map of {numbers}, {n_fitted / (width + 1):.0f} tokens each"
