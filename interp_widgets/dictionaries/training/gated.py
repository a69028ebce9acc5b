"""Gated (Rajamanoharan et al. 2024, "Improving dictionary learning with gated SAEs").

A gate decides what is active; a rescaled copy of the same direction decides how strongly:

    a    = relu(exp(r_mag) W_enc x + b_mag) where pre = W_enc x + b_enc > 0, else 0
    loss = |y - y'|^2 + l1 * sum of relu(pre_j) |W_j| + |y - y''|^2

The step has no gradient, so the gate learns from the two last terms: y'' is decoded from relu(pre)
with decoder, bias and skip path taken as given. The first term cannot be shrunk by the penalty.
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


class Gated:
    def __init__(self, recipe: recipes.Gated, weights: Weights) -> None:
        self.recipe = recipe
        self.dead_after = recipe.dead_after
        self.state: dict[str, Tensor] = {}
        for source in range(len(weights.spec.reads)):
            for name in ("r_mag", "b_mag"):
                weights.add_parameter(f"{name}.{source}", torch.zeros(weights.spec.n_features))

    def initialise(self, weights: Weights, x: Sequence[Tensor]) -> None:
        """Gate and magnitude start as one: r_mag = b_mag = b_enc = 0."""

    def codes(self, batch: Batch) -> list[Code]:
        self._gates = [
            batch.picked(source, where(pre.detach() > 0)) for source, pre in enumerate(batch.pre)
        ]
        codes = []
        for source, gate in enumerate(self._gates):
            scale, shift = self._magnitude(batch.weights, source)
            spread = gate.entries.spread
            value = (gate.values * spread(scale) + spread(shift)).relu()
            codes.append(Code(gate.entries, value * (gate.values > 0)))
        return codes

    def loss(self, batch: Batch, codes: list[Code]) -> Loss:
        gates = [Code(gate.entries, gate.values.relu()) for gate in self._gates]
        left = errors(batch, batch.weights.predict(codes))
        from_gates = batch.weights.predict(gates, rows=torch.Tensor.detach)
        parts = {
            "error": squared(left),
            "l1": self.recipe.l1 * batch.sparsity * weighted(batch, gates),
            "gate": squared(errors(batch, from_gates, frozen=True)),
        }
        return Loss(torch.stack(list(parts.values())).sum(), parts, left)

    def activation(self, weights: Weights, source: int) -> activations.Activation:
        return activations.Gated(*self._magnitude(weights, source))

    def _magnitude(self, weights: Weights, source: int) -> tuple[Tensor, Tensor]:
        """exp(r_mag) W_enc x + b_mag as pre * scale + shift."""
        scale = weights.parameters[f"r_mag.{source}"].exp()
        bias = weights.encoder(source)[1]
        return scale, weights.parameters[f"b_mag.{source}"] - scale * bias
