"""What a recipe has to say in a step; one module per recipe says it.

A step goes: pre-activations -> `codes` -> predictions -> `loss`. `Batch` carries what has been
computed so far; a rule's own parameters live in the weights, its counters in `state`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..activations import Activation
from .group import Group
from .sparse_ops import Entries
from .weights import Code, Weights


@dataclass(frozen=True, eq=False)
class Batch:
    """One step's tensors.

    x, y: scaled inputs and targets, one [n, d] per place.
    pre: pre-activations [n, F] per source, with their gradient.
    dead: bool [F] per source: the features that have not fired for long.
    sparsity: the schedule's multiplier. k: the schedule's k, or None.
    """

    weights: Weights
    x: Sequence[Tensor]
    y: Sequence[Tensor]
    pre: Sequence[Tensor]
    dead: Sequence[Tensor]
    sparsity: float
    k: int | None
    group: Group

    def picked(self, source: int, entries: Entries) -> Code:
        """Some pre-activations of a source."""
        weight, bias = self.weights.encoder(source)
        return Code(entries, entries.pick(self.pre[source], self.x[source], weight, bias))


@dataclass(frozen=True, eq=False)
class Loss:
    """What is minimised, its parts by name, and the prediction's errors y - y' [n, d] per target."""

    total: Tensor
    parts: dict[str, Tensor]
    errors: list[Tensor]


class Rule(Protocol):
    dead_after: int
    state: dict[str, Tensor]

    def initialise(self, weights: Weights, x: Sequence[Tensor]) -> None:
        """Sets its parameters, given scaled inputs; encoders and decoders are set already."""

    def codes(self, batch: Batch) -> list[Code]:
        """The activations of each source."""

    def loss(self, batch: Batch, codes: list[Code]) -> Loss: ...

    def activation(self, weights: Weights, source: int) -> Activation:
        """The same outside training, on scaled inputs."""


def errors(batch: Batch, predicted: Sequence[Tensor | float], frozen: bool = False) -> list[Tensor]:
    """y - y' of every target, where features predict this much of it.

    frozen: decoder biases and skip paths get no gradient.
    """
    base = [batch.weights.base(target, x) for target, x in enumerate(batch.x)]
    if frozen:
        base = [part.detach() for part in base]
    return [y - (b + part) for y, b, part in zip(batch.y, base, predicted, strict=True)]


def squared(errors: Sequence[Tensor]) -> Tensor:
    """|e|^2, mean over tokens, summed over targets."""
    return torch.stack([error.square().sum(1).mean() for error in errors]).sum()


def weighted(batch: Batch, codes: Sequence[Code]) -> Tensor:
    """Sum of a_j |W_j| over features and sources, mean over tokens."""
    sums = [
        (code.values * code.entries.spread(batch.weights.lengths(source))).sum()
        for source, code in enumerate(codes)
    ]
    return torch.stack(sums).sum() / len(batch.x[0])
