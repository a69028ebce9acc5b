"""How close each decoder vector is to its nearest neighbour in the same layer.

Many near-copies (a cosine near 1) mean that features were split or learned twice. Two random
directions in d dimensions have a cosine of about 1 / sqrt(d).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from interp_widgets.dictionaries.coder import SparseCoder
from interp_widgets.dictionaries.replaced import AnyDictionary

CHUNK = 256


@dataclass(frozen=True)
class Spread:
    """Of a sample of n numbers: their mean, and the values below which 50, 90 and 99% lie."""

    mean: float
    median: float
    p90: float
    p99: float
    n: int

    @classmethod
    def of(cls, values: Tensor) -> Spread:
        x = values.double()
        median, p90, p99 = (float(x.quantile(q)) for q in (0.5, 0.9, 0.99))
        return cls(float(x.mean()), median, p90, p99, len(x))


def decoder_cosines(
    dictionary: AnyDictionary, *, sample: int = 1024, seed: int = 0
) -> tuple[Tensor, ...]:
    """Per layer, the largest cosine of features' decoder vectors with any other's, [n].

    A feature that writes to several layers has the vectors to all of them as one long vector.

    Args:
        sample: of how many features per layer, drawn without replacement; they are compared
            with all others. More cost time in proportion.
    """
    random = torch.Generator().manual_seed(seed)
    layers = (dictionary.weights,) if isinstance(dictionary, SparseCoder) else dictionary.layers
    found = []
    for layer in layers:
        decoder = (
            layer.decoder.whole().flatten(1).to(torch.promote_types(layer.dtype, torch.float32))
        )
        unit = torch.nn.functional.normalize(decoder, dim=1)
        n = len(unit)
        chosen = torch.randperm(n, generator=random)[:sample].to(unit.device)
        largest = []
        for start in range(0, len(chosen), CHUNK):
            rows = chosen[start : start + CHUNK]
            cosines = unit[rows] @ unit.T
            cosines.scatter_(1, rows[:, None], -1.0)  # not with itself
            largest.append(cosines.amax(1))
        found.append(torch.cat(largest).cpu())
    return tuple(found)
