"""ReLU with an L1 penalty (Bricken et al. 2023; Anthropic's update of April 2024).

    loss = |y - y'|^2 + l1 * sum of a_j |W_j|, mean over tokens

With |W_j| in it, the penalty cannot be evaded by long decoder vectors and small activations.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .. import activations
from . import recipes
from .rules import Batch, Loss, errors, squared, weighted
from .sparse_ops import where
from .weights import Code, Weights


class ReLU:
    def __init__(self, recipe: recipes.ReLU) -> None:
        self.recipe = recipe
        self.dead_after = recipe.dead_after
        self.state: dict[str, Tensor] = {}

    def initialise(self, weights: Weights, x: Sequence[Tensor]) -> None:
        """There is nothing but encoders and decoders."""

    def codes(self, batch: Batch) -> list[Code]:
        codes = []
        for source, pre in enumerate(batch.pre):
            picked = batch.picked(source, where(pre.detach() > 0))
            codes.append(Code(picked.entries, picked.values.relu()))
        return codes

    def loss(self, batch: Batch, codes: list[Code]) -> Loss:
        left = errors(batch, batch.weights.predict(codes))
        parts = {
            "error": squared(left),
            "l1": self.recipe.l1 * batch.sparsity * weighted(batch, codes),
        }
        return Loss(torch.stack(list(parts.values())).sum(), parts, left)

    def activation(self, weights: Weights, source: int) -> activations.Activation:
        return activations.ReLU()
