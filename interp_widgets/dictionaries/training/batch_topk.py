"""BatchTopK (Bussmann, Leask and Nanda 2024): tokens, and layers, share one budget.

Of the scores relu(pre) * |W_j| of the whole batch, over all layers and processes, the k * tokens *
layers largest stay. |W_j| is in the score so that the choice does not depend on how a feature's
strength is split between its encoder and decoder; layers whose outputs matter more get more.

Outside training each feature has the threshold t / |W_j|, t being the running mean of the smallest
score that stayed. t also makes the choice cheap: only scores above 0.7 t are looked at, unless
fewer than needed are there.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .. import activations
from . import recipes
from .group import Group
from .rules import Batch
from .sparse_ops import Sparse, above
from .topk import TopK
from .weights import Weights

MEMORY = 0.95  # of the running mean, per step
LOOK_FROM = 0.7


class BatchTopK(TopK):
    def __init__(self, recipe: recipes.BatchTopK, weights: Weights) -> None:
        super().__init__(recipe)
        self.state["threshold"] = torch.zeros((), **weights.new)

    @torch.no_grad()
    def entries(self, batch: Batch, k: int) -> list[Sparse]:
        weights = batch.weights
        scores = [pre * weights.lengths(source) for source, pre in enumerate(batch.pre)]
        budget = k * len(scores[0]) * len(scores) * batch.group.size
        threshold = self.state["threshold"]
        low = _largest(scores, LOOK_FROM * threshold, budget, batch.group)
        if low is None:
            low = _largest(scores, torch.zeros_like(threshold), budget, batch.group)
        smallest = torch.zeros_like(threshold) if low is None else low
        threshold.lerp_(smallest, 1 - MEMORY if bool(threshold > 0) else 1.0)
        return [above(score, smallest) for score in scores]

    def activation(self, weights: Weights, source: int) -> activations.Activation:
        return activations.JumpReLU(self.state["threshold"] / weights.lengths(source))


def _largest(scores: list[Tensor], floor: Tensor, budget: int, group: Group) -> Tensor | None:
    """The budget-th largest score of all processes; None where fewer are above the floor."""
    found = torch.cat([score[score > floor] for score in scores])
    if group.size > 1:
        mine = found.topk(min(budget, len(found))).values
        padded = mine.new_full((budget,), -torch.inf)
        padded[: len(mine)] = mine
        found = group.gather(padded)
        found = found[found.isfinite()]
    return found.topk(budget).values.min() if len(found) >= budget else None
