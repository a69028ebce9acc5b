"""Matryoshka (Bussmann et al. 2025): each prefix of the features is a dictionary of its own.

    loss = mean over prefixes p of the FVU when only features [0, p) are decoded + the base's AuxK

What is active is the base's choice from all features. Early features take part in every term, so
they learn what is common, and later ones what is special.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from .. import activations
from . import recipes
from .rules import Batch, Loss, errors
from .topk import TopK, fraction
from .weights import Code, Rows, Weights


class Matryoshka:
    def __init__(self, recipe: recipes.Matryoshka, base: TopK) -> None:
        self.recipe, self.base = recipe, base
        self.state, self.dead_after = base.state, base.dead_after

    def initialise(self, weights: Weights, x: Sequence[Tensor]) -> None:
        self.base.initialise(weights, x)

    def codes(self, batch: Batch) -> list[Code]:
        return self.base.codes(batch)

    def loss(self, batch: Batch, codes: list[Code]) -> Loss:
        ends = sorted({0, *self.recipe.prefixes, batch.weights.spec.n_features})
        so_far: list[Tensor | float] = [0.0] * len(batch.y)
        fvus = []
        for low, high in pairwise(ends):
            parts = [code.between(low, high) for code in codes]
            added = batch.weights.predict(parts, rows=_slice(low, high))
            so_far = [before + more for before, more in zip(so_far, added, strict=True)]
            left = errors(batch, so_far)
            fvus.append(fraction(batch, left))
        return self.base.with_aux(batch, torch.stack(fvus).mean(), left)

    def activation(self, weights: Weights, source: int) -> activations.Activation:
        return self.base.activation(weights, source)


def _slice(low: int, high: int) -> Rows:
    return lambda table: table[low:high]
