"""The unembedding, as a reader of the residual stream.

    logit_t = (u_t - mean of u) . x        x: behind the final norm and its weight

Adding a constant to all logits changes nothing, so rows count from the mean row (as the targets of
attribution do). Rows behind the tokenizer's last token, which pad the matrix, are left out. Biases
and softcaps are, too: neither depends on what a unit writes, and a softcap keeps the order.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ...models import Model
from ...models.anatomy import part
from .kept import kept
from .stream import Linear, final_norm, floating

SLICE = 16384


class Output:
    """The unembedding of one model; V counts the tokenizer's tokens."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._weight = floating(part(model.hf, model.anatomy.unembed).weight)
        self._kept = kept(model, model)
        self.n_tokens = min(len(self._weight), len(model.tokenizer))

    def row(self, token: int) -> Tensor:
        """u_t - mean of u, [d_model]."""
        model = self._model
        return self._weight[token].to(model.device, model.dtype) - self._mean

    def logits(self, x: Tensor) -> Tensor:
        """x [k, d_model], behind the final norm's weight: [V, k]."""
        return torch.cat([some @ x.T for some in self._slices()]) - x @ self._mean

    @property
    def lengths(self) -> Tensor:
        """How long the vectors are that tokens read the stream with, [V]."""
        norm = Linear(final_norm(self._model))

        def make() -> Tensor:
            return torch.cat([norm.back(u - self._mean).norm(dim=1) for u in self._slices()])

        return self._kept.get("lengths", make)

    def spread(self, x: Tensor) -> Tensor:
        """The standard deviation of logits over the vocabulary, for x [k, d_model]: [k].

        By the covariance of rows [d_model, d_model], so the logits are never there as a whole.
        """
        return ((x @ self._covariance) * x).sum(1).clamp(min=0).sqrt()

    @property
    def _mean(self) -> Tensor:
        def make() -> Tensor:
            total = torch.zeros((), dtype=torch.float64, device=self._model.device)
            for some in self._slices():
                total = total + some.sum(0, dtype=torch.float64)
            return (total / self.n_tokens).to(self._model.dtype)

        return self._kept.get("mean", make)

    @property
    def _covariance(self) -> Tensor:
        def make() -> Tensor:
            total = torch.zeros((), dtype=torch.float64, device=self._model.device)
            for some in self._slices():
                rows = some - self._mean
                total = total + (rows.T @ rows).double()
            return (total / self.n_tokens).to(self._model.dtype)

        return self._kept.get("covariance", make)

    def _slices(self) -> Iterator[Tensor]:
        for some in self._weight[: self.n_tokens].split(SLICE):
            yield some.to(self._model.device, self._model.dtype)
