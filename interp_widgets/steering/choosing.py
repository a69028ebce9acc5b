"""Choosing a strength honestly: on one half of the prompts, reported on the other.

The same holds for the damage: whether a strength stays within the budget is seen on one half of
the windows of neutral text, and what it costs is told from the other half.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..dictionaries.metrics import Estimate
from .dose import Band, DoseResponse, band, loss_change, moves_wrong
from .errors import SteeringError
from .intervals import mean


@dataclass(frozen=True)
class Chosen:
    """A strength, what it promised, and what it keeps on prompts that had no part in choosing it.

    Attributes:
        strength: the one with the largest mean effect within the budget, on the first half.
        chosen_on: its effect there, which is biased upwards.
        effect, wrong_way, random, damage: on the other half (of prompts, of neutral text).
        budget: the most damage that was allowed, nats per token.
    """

    strength: float
    chosen_on: Estimate
    effect: Estimate
    wrong_way: Estimate
    random: Band
    damage: Estimate
    budget: float


def choose(response: DoseResponse, budget: float = 0.5, *, seed: int = 0) -> Chosen:
    """The strength with the largest effect whose damage stays within the budget.

    Args:
        response: measured on at least 4 prompts and 4 windows of neutral text.
        budget: in nats per token of neutral text.
        seed: of the halves.

    Raises SteeringError for too few prompts or windows, or if every strength breaks the budget.
    """
    first, second = _halves(response.n_prompts, "prompts", seed)
    windows, others = _halves(len(response.window_tokens), "windows of neutral text", seed)
    costs = [_damage(response, i, windows).value for i in range(len(response.doses))]
    affordable = [i for i, cost in enumerate(costs) if cost <= budget]
    if not affordable:
        raise SteeringError(
            f"Every strength costs more than {budget:g} nats per token (the least: "
            f"{min(costs):.2f}): measure smaller ones, or allow more."
        )
    best = max(affordable, key=lambda i: float(response.changes[i, first].mean()))
    strength = response.doses[best].strength
    return Chosen(
        strength=strength,
        chosen_on=mean(response.changes[best, first]),
        effect=mean(response.changes[best, second]),
        wrong_way=mean(moves_wrong(response.changes[best, second], strength)),
        random=band(response.random_changes[:, best, second].mean(-1)),
        damage=_damage(response, best, others),
        budget=budget,
    )


def _damage(response: DoseResponse, index: int, windows: Tensor) -> Estimate:
    return loss_change(response.losses[:, windows], response.window_tokens[windows], index)


def _halves(n: int, what: str, seed: int) -> tuple[Tensor, Tensor]:
    if n < 4:
        raise SteeringError(f"To choose on one half and report on the other takes 4 {what}: {n}.")
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    return order[: n // 2].sort().values, order[n // 2 :].sort().values
