"""A trainee: one dictionary while it trains. Pure tensors; it knows no language model.

trainee = make(spec, d_in=576, d_out=576)
trainee.initialise(x, y, generator)          # one [n, d] per place that is read, written
report = trainee.step(x, y, Moment(lr=3e-4, tokens_seen=0))
trainee.dictionary("my transcoders")         # as it is now, for inputs as they come
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from ..coder import SparseCoder
from ..cross_layer import CrossLayerTranscoder
from ..dictionary import ActiveFeatures
from .group import Alone, Group
from .specs import Spec


@dataclass(frozen=True)
class Moment:
    """What a schedule says about one step.

    lr: Adam's learning rate.
    sparsity: multiplies the weight of the sparsity loss (0 to 1 while it is warmed up).
    k: replaces the recipe's k; None leaves it.
    tokens_seen: by all processes, before this step.
    """

    lr: float
    sparsity: float = 1.0
    k: int | None = None
    tokens_seen: int = 0
    group: Group = field(default_factory=Alone)


@dataclass(frozen=True)
class StepReport:
    """One step, over the whole batch (all processes).

    loss: what was minimised. mse: mean over tokens and targets of |y - y'|^2 / d, in scaled units.
    fvu: squared error over squared distance from the batch's mean, mean over targets.
    l0: active features per token and encoder. dead_share: of all features, those that have not
    fired for the recipe's `dead_after` tokens. extras: the terms of the loss, and norms.
    """

    loss: float
    mse: float
    fvu: float
    l0: float
    dead_share: float
    extras: Mapping[str, float]


class Trainee(Protocol):
    spec: Spec

    def initialise(
        self, x: Sequence[Tensor], y: Sequence[Tensor], generator: torch.Generator
    ) -> None:
        """Centres, scales and directions from the first activations.

        x, y: one [n, d] per place of spec.reads and spec.writes. Every process of a group must
        give the same ones. generator: on the CPU.
        """

    def step(self, x: Sequence[Tensor], y: Sequence[Tensor], at: Moment) -> StepReport:
        """One step of Adam on this process's share of a batch."""

    def encode(self, x: Sequence[Tensor]) -> list[ActiveFeatures]:
        """What is active, one per encoder, as the exported dictionary would have it."""

    def density(self) -> Tensor:
        """How often each feature fires, a running mean over about 100 steps: [encoder, F]."""

    def state(self) -> dict[str, Tensor]:
        """Weights, optimiser, counters: all that a later step depends on. Copies, on the CPU."""

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Takes up where `state` was taken. Raises DictionaryError for a state of another spec."""

    def dictionary(
        self, scan: str, model_name: str | None = None
    ) -> SparseCoder | CrossLayerTranscoder:
        """A copy as it is now, with centres and scales folded into its weights.

        BatchTopK, Matryoshka over it and JumpReLU become JumpReLU. Raises DictionaryError for
        what the exported kinds cannot hold (widths that differ).
        """


def make(
    spec: Spec,
    d_in: int,
    d_out: int,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
) -> Trainee:
    """A trainee with random weights; `initialise` fits them to data.

    Args:
        dtype: of the encoder's product, the dearest part of a step; weights and all else are
            float32, or float64 if this is.
    """
    from .learner import Learner

    return Learner(spec, d_in, d_out, torch.device(device), dtype, seed)
