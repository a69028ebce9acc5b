"""What the weights say, as values; the tops of long lists, and the controls beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..errors import FeatureError
from ..values import Control, Histogram, Neighbour, TokenWeight

Neighbours = tuple[list[Neighbour], Control | None]


@dataclass(frozen=True)
class Logits:
    """Tokens whose logits a unit raises most, and lowers most, at activation 1 and norm scale 1.

    Values are above the mean over the vocabulary. control: the largest of random directions.
    histogram: of all tokens.
    """

    positive: tuple[TokenWeight, ...]
    negative: tuple[TokenWeight, ...]
    control: Control
    histogram: Histogram = field(compare=False)  # arrays have no truth value


class Promotion(NamedTuple):
    """A unit that raises a token: by how much, and in standard deviations of its own logits."""

    layer: int
    feature: int
    value: float
    z: float


@dataclass(frozen=True)
class Share:
    """Where a unit's output goes: "L3", or "output".

    share: of all that is above chance; strength: the mean squared cosine of the strongest readers
    there with what the unit writes; control: the same for random directions.
    """

    to: str
    share: float
    strength: float
    control: float


def check_count(n: int) -> None:
    if n < 1:
        raise FeatureError(f"A list has at least 1 entry, not {n}.")


def largest(found: Mapping[int, Tensor], n: int) -> list[tuple[int, int]]:
    """(layer, feature) of the n largest values, per layer [F] each; ties by layer and feature."""
    best: list[tuple[float, int, int]] = []
    for at, values in found.items():
        top = values.topk(min(n, len(values)))
        pairs = zip(top.values.tolist(), top.indices.tolist(), strict=True)
        best += [(-value, at, feature) for value, feature in pairs]
    return [(at, feature) for _, at, feature in sorted(best)[:n]]


def neighbours(found: Mapping[int, Tensor], top: list[tuple[int, int]]) -> list[Neighbour]:
    return [Neighbour(at, feature, float(found[at][feature])) for at, feature in top]


def control_of(drawn: Mapping[int, Tensor]) -> Control:
    """The largest of several places' values [draw] each, over draws."""
    values = torch.stack(list(drawn.values())).amax(0).double().cpu().numpy()
    low, high = np.quantile(values, (0.025, 0.975))
    return Control(float(values.mean()), float(low), float(high), len(values))


def limits_of(drawn: Mapping[int, Tensor]) -> dict[int, float]:
    """What 97.5% of draws [draw] stay below at all of several places, each place's limit as many
    standard deviations above its mean."""
    values = {at: each.double().cpu().numpy() for at, each in drawn.items()}
    spread = {at: max(float(each.std()), np.finfo(float).tiny) for at, each in values.items()}
    outest = np.max([(each - each.mean()) / spread[at] for at, each in values.items()], axis=0)
    wide = float(np.quantile(outest, 0.975))
    return {at: float(each.mean()) + wide * spread[at] for at, each in values.items()}
