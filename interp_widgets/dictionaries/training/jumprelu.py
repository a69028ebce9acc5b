"""JumpReLU (Rajamanoharan et al. 2024; Anthropic's update of January 2025; Ameisen et al. 2025).

    a = jump(pre, t) = pre where pre > t, else 0        t = exp(log_threshold), per feature

The jump at t has no derivative. With the rectangle K(u) = 1 for |u| < bandwidth / 2, else 0, divided
by the bandwidth, it gets a straight-through one:

    d jump = [pre > t] d pre + t K(pre - t) (d pre - d t)
    d step = K(pre - t) (d pre - d t)                   step = [pre > t], for the L0

This is what differentiating a smoothed jump gives: let u be uniform in +- bandwidth / 2. Then
E jump(pre + u, t) has the derivative -t K(pre - t) to t, exactly; E step(pre + u, t) both of step's,
exactly; and the derivative of E jump(pre + u, t) to pre is t K(pre - t) + E [pre + u > t], of which
[pre > t] is the value at u = 0. The gradient goes on to the encoder (Anthropic's choice).

Losses: see `recipes.JumpReLU`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .. import activations
from . import recipes
from .rules import Batch, Loss, errors, squared
from .sparse_ops import where
from .weights import Code, Weights

# How fast the weight follows the L0, per step and e-fold of L0, and how far: where no weight in reach
# leads there, one that grew on would only shrink the decoders until nothing is reconstructed.
FOLLOW, FARTHEST = 0.005, 100.0


class JumpReLU:
    def __init__(self, recipe: recipes.JumpReLU, weights: Weights) -> None:
        self.recipe = recipe
        self.dead_after = recipe.dead_after
        self.state = {"weight": torch.ones((), **weights.new)}
        start = torch.full((weights.spec.n_features,), math.log(recipe.threshold))
        for source in range(len(weights.spec.reads)):
            weights.add_parameter(f"log_threshold.{source}", start)

    def initialise(self, weights: Weights, x: Sequence[Tensor]) -> None:
        """Biases such that each feature fires for 10,000 / F of the inputs, at most for a tenth."""
        share = min(1e4 / weights.spec.n_features, 0.1)
        for source, inputs in enumerate(x):
            pre = weights.pre(source, inputs)
            rank = max(1, round(len(pre) * (1 - share)))
            bias = weights.encoder(source)[1]
            bias += self.recipe.threshold - pre.kthvalue(rank, dim=0).values

    def codes(self, batch: Batch) -> list[Code]:
        width = self.recipe.bandwidth
        self._picked, codes = [], []
        for source, pre in enumerate(batch.pre):
            threshold = _threshold(batch.weights, source)
            picked = batch.picked(source, where(pre.detach() > threshold.detach() - width / 2))
            spread = picked.entries.spread(threshold)
            self._picked.append((picked, spread))
            codes.append(Code(picked.entries, jump(picked.values, spread, width)))
        return codes

    def loss(self, batch: Batch, codes: list[Code]) -> Loss:
        left = errors(batch, batch.weights.predict(codes))
        l0 = torch.stack(
            [
                code.entries.per_row(step(code.values, threshold, self.recipe.bandwidth)).mean()
                for code, threshold in self._picked
            ]
        )
        whole = l0.detach().clone()
        batch.group.mean_([whole])
        recipe = self.recipe
        if recipe.loss == "tanh":
            sparsity = self._weight(whole) * self._tanh(batch, codes)
        else:
            assert recipe.target_l0 is not None
            # The square is of the whole batch's L0; its gradient is that of this share.
            l0 = whole + (l0 - l0.detach())
            sparsity = (l0 / recipe.target_l0 - 1).square().sum()
        parts = {
            "error": squared(left),
            "sparsity": recipe.sparsity * batch.sparsity * sparsity,
        }
        revival = self._revival(batch)
        if revival is not None:
            parts["revival"] = recipe.revive * revival
        return Loss(torch.stack(list(parts.values())).sum(), parts, left)

    def activation(self, weights: Weights, source: int) -> activations.Activation:
        return activations.JumpReLU(_threshold(weights, source))

    def _tanh(self, batch: Batch, codes: list[Code]) -> Tensor:
        sums = []
        for source, code in enumerate(codes):
            length = code.entries.spread(batch.weights.lengths(source))
            sums.append(torch.tanh(self.recipe.c * code.values * length).sum())
        return torch.stack(sums).sum() / len(batch.x[0])

    def _weight(self, l0: Tensor) -> Tensor:
        """Follows the L0, where there is one to aim at."""
        weight = self.state["weight"]
        if self.recipe.target_l0 is not None:
            away = (l0.mean() / self.recipe.target_l0).clamp(min=1e-6).log().clamp(-1, 1)
            weight.mul_((FOLLOW * away).exp()).clamp_(1 / FARTHEST, FARTHEST)
        return weight.clone()

    def _revival(self, batch: Batch) -> Tensor | None:
        sums = []
        for source, mask in enumerate(batch.dead):
            dead = mask.nonzero().squeeze(1)
            if not len(dead):
                continue
            weight, bias = (part[dead] for part in batch.weights.encoder(source))
            pre = torch.nn.functional.linear(batch.x[source], weight, bias)
            short = (_threshold(batch.weights, source)[dead] - pre).relu()
            sums.append((short * batch.weights.lengths(source)[dead]).sum(1).mean())
        return torch.stack(sums).sum() if sums else None


def _threshold(weights: Weights, source: int) -> Tensor:
    return weights.parameters[f"log_threshold.{source}"].exp()


def jump(pre: Tensor, threshold: Tensor, bandwidth: float) -> Tensor:
    """pre where pre > threshold, else 0; threshold: one per entry or per column of pre."""
    value: Tensor = _Jump.apply(pre, threshold, bandwidth)
    return value


def step(pre: Tensor, threshold: Tensor, bandwidth: float) -> Tensor:
    """1 where pre > threshold, else 0."""
    value: Tensor = _Step.apply(pre, threshold, bandwidth)
    return value


def _kernel(pre: Tensor, threshold: Tensor, bandwidth: float) -> Tensor:
    return ((pre - threshold).abs() < bandwidth / 2).to(pre.dtype) / bandwidth


class _Jump(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pre: Tensor, threshold: Tensor, bandwidth: float) -> Tensor:
        ctx.save_for_backward(pre, threshold)
        ctx.bandwidth = bandwidth
        return pre * (pre > threshold)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        pre, threshold = ctx.saved_tensors
        at_jump = gradient * threshold * _kernel(pre, threshold, ctx.bandwidth)
        to_pre = gradient * (pre > threshold) + at_jump
        return to_pre, -at_jump.sum_to_size(threshold.shape), None


class _Step(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pre: Tensor, threshold: Tensor, bandwidth: float) -> Tensor:
        ctx.save_for_backward(pre, threshold)
        ctx.bandwidth = bandwidth
        return (pre > threshold).to(pre.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        pre, threshold = ctx.saved_tensors
        to_pre = gradient * _kernel(pre, threshold, ctx.bandwidth)
        return to_pre, -to_pre.sum_to_size(threshold.shape), None
