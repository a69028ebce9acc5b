"""Muon (Jordan et al. 2024): momentum whose update is the nearest orthogonal matrix.

For a weight matrix the momentum M is replaced by U V^T of its singular value decomposition,
approximated by five Newton-Schulz steps, so that every direction is learned at the same speed.
Embeddings and norms keep Adam. Matrices of one shape are orthogonalised together.
"""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor, nn

_STEPS = 5
_A, _B, _C = 3.4445, -4.7750, 2.0315  # coefficients of the reference implementation


class MuonWithAdam:
    """Muon on the matrices of the blocks, Adam on embeddings and norms."""

    def __init__(
        self,
        model: nn.Module,
        *,
        lr: float = 0.02,
        adam_lr: float = 3e-3,
        momentum: float = 0.95,
        weight_decay: float = 0.1,
    ) -> None:
        groups: dict[tuple[int, ...], list[nn.Parameter]] = defaultdict(list)
        rest: list[nn.Parameter] = []
        for name, weight in model.named_parameters():
            if weight.ndim == 2 and "embed" not in name:
                groups[tuple(weight.shape)].append(weight)
            else:
                rest.append(weight)
        self.groups = list(groups.values())
        self.moments = [torch.zeros(len(g), *g[0].shape) for g in self.groups]
        self.lr, self.momentum, self.weight_decay = lr, momentum, weight_decay
        self.adam_lr = adam_lr
        self.adam = torch.optim.Adam(rest, lr=adam_lr, betas=(0.9, 0.95), fused=True)

    @torch.no_grad()
    def step(self, scale: float) -> None:
        """One update at `scale` times the learning rates; clears the gradients."""
        for weights, moment in zip(self.groups, self.moments, strict=True):
            gradient = torch.stack([_gradient(w) for w in weights])
            moment.lerp_(gradient, 1 - self.momentum)
            update = orthogonal(gradient.lerp(moment, self.momentum))
            update *= max(1, update.shape[1] / update.shape[2]) ** 0.5
            for weight, change in zip(weights, update, strict=True):
                weight.mul_(1 - scale * self.lr * self.weight_decay)
                weight.sub_(change, alpha=scale * self.lr)
                weight.grad = None
        for group in self.adam.param_groups:
            group["lr"] = scale * self.adam_lr
        self.adam.step()
        self.adam.zero_grad()


def _gradient(weight: nn.Parameter) -> Tensor:
    return torch.zeros_like(weight) if weight.grad is None else weight.grad


def orthogonal(matrices: Tensor) -> Tensor:
    """Nearly U V^T of each of `matrices` [n, rows, columns]."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(_STEPS):
        square = x @ x.mT
        x = _A * x + (_B * square + _C * square @ square) @ x
    return x.mT if tall else x
