"""TopK with AuxK (Gao et al. 2024, "Scaling and evaluating sparse autoencoders").

    a    = relu of the k largest pre-activations of each token
    loss = FVU + aux * min(1, dead / aux_k) * |e - e'|^2 / |y|^2

e is what the live features left over, taken as given; e' is what the aux_k strongest dead features
make of it. Its gradient reaches their encoders as well as their decoders. For |y|^2, in the FVU
too, stands what scaled targets have: d each.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .. import activations
from . import recipes
from .rules import Batch, Loss, errors, squared
from .sparse_ops import Sparse, top_of_rows
from .weights import Code, Rows, Weights


class TopK:
    def __init__(self, recipe: recipes.TopK | recipes.BatchTopK) -> None:
        self.recipe = recipe
        self.dead_after = recipe.dead_after
        self.state = {"k": torch.tensor(recipe.k)}

    def initialise(self, weights: Weights, x: Sequence[Tensor]) -> None:
        """There is nothing but encoders and decoders."""

    def codes(self, batch: Batch) -> list[Code]:
        k = batch.k or self.recipe.k
        self.state["k"].fill_(k)
        return [
            Code(entries, batch.picked(source, entries).values.relu())
            for source, entries in enumerate(self.entries(batch, k))
        ]

    def entries(self, batch: Batch, k: int) -> list[Sparse]:
        return [top_of_rows(pre.detach(), k) for pre in batch.pre]

    def loss(self, batch: Batch, codes: list[Code]) -> Loss:
        left = errors(batch, batch.weights.predict(codes))
        return self.with_aux(batch, fraction(batch, left), left)

    def with_aux(self, batch: Batch, fvu: Tensor, left: list[Tensor]) -> Loss:
        """The loss once AuxK has had its say."""
        parts = {"fvu": fvu}
        if self.recipe.aux:
            aux = auxiliary(batch, left, self.recipe.aux_k or batch.weights.d_out // 2)
            if aux is not None:
                parts["aux"] = self.recipe.aux * aux
        return Loss(torch.stack(list(parts.values())).sum(), parts, left)

    def activation(self, weights: Weights, source: int) -> activations.Activation:
        return activations.TopK(int(self.state["k"]), relu=True)


def fraction(batch: Batch, left: list[Tensor]) -> Tensor:
    """|e|^2 per token, target and dimension."""
    return squared(left) / (len(left) * batch.weights.d_out)


def auxiliary(batch: Batch, left: list[Tensor], aux_k: int) -> Tensor | None:
    """AuxK, without its weight; None where no feature is dead."""
    dead = [mask.nonzero().squeeze(1) for mask in batch.dead]
    n_dead = sum(len(features) for features in dead)
    if not n_dead:
        return None
    codes: list[Code | None] = [None] * len(dead)
    for source, features in enumerate(dead):
        if not len(features):
            continue
        weight, bias = (part[features] for part in batch.weights.encoder(source))
        pre = batch.pre[source].detach()[:, features]
        entries = top_of_rows(pre, aux_k)
        codes[source] = Code(entries, entries.pick(pre, batch.x[source], weight, bias).relu())
    explained = batch.weights.predict(codes, rows=[_rows(features) for features in dead])
    again = [error.detach() - part for error, part in zip(left, explained, strict=True)]
    return min(1.0, n_dead / (aux_k * len(dead))) * fraction(batch, again)


def _rows(features: Tensor) -> Rows:
    return lambda table: table[features]
