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


def errors(batch: Batch, predicted: Sequence[Tensor | float]) -> list[Tensor]:
    """y - y' of every target, where features predict this much of it."""
    return [
        y - (batch.weights.base(target, batch.x[target]) + predicted[target])
        for target, y in enumerate(batch.y)
    ]


def squared(errors: Sequence[Tensor]) -> Tensor:
    """|e|^2, mean over tokens, summed over targets."""
    return torch.stack([error.square().sum(1).mean() for error in errors]).sum()
