"""BatchTopK (Bussmann, Leask and Nanda 2024): tokens, and layers, share one budget.

Of the pre-activations of the whole batch, over all layers and processes, the k * tokens * layers
largest stay, behind a ReLU. They are not weighed by the lengths of decoder vectors: that favours
what is long already (in a trial of a cross-layer transcoder, two thirds of the features never fired).

Outside training the threshold is t, the running mean of the smallest that stayed. t also makes the
choice cheap: only what is above 0.7 t is looked at, unless fewer than needed are there.
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
        budget = k * len(batch.x[0]) * len(batch.x) * batch.group.size
        pre = [part.detach() for part in batch.pre]
        threshold = self.state["threshold"]
        low = _largest(pre, LOOK_FROM * threshold, budget, batch.group)
        if low is None:
            low = _largest(pre, torch.zeros_like(threshold), budget, batch.group)
        smallest = torch.zeros_like(threshold) if low is None else low.to(threshold)
        threshold.lerp_(smallest, 1 - MEMORY if bool(threshold > 0) else 1.0)
        return [above(part, smallest) for part in pre]

    def activation(self, weights: Weights, source: int) -> activations.Activation:
        threshold: Tensor = self.state["threshold"]
        return activations.JumpReLU(threshold.repeat(weights.spec.n_features))


def _largest(pre: list[Tensor], floor: Tensor, budget: int, group: Group) -> Tensor | None:
    """The budget-th largest of all processes; None where fewer are above the floor."""
    found = torch.cat([part[part > floor] for part in pre])
    if group.size > 1:
        mine = found.topk(min(budget, len(found))).values
        padded = mine.new_full((budget,), -torch.inf)
        padded[: len(mine)] = mine
        found = group.gather(padded)
        found = found[found.isfinite()]
    return found.topk(budget).values.min() if len(found) >= budget else None
