"""Vectors with known features: sparse positive sums of more directions than dimensions.

Feature g is active with a frequency that falls like g^-0.7, at a strength between 0.5 and 1.5; about
30 are active per vector, and a little noise is added. Scaled so that E|x| = sqrt(d).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, normalize

N_FEATURES, ACTIVE, NOISE = 4096, 30, 0.02


def vectors(n: int, d: int, seed: int) -> Tensor:
    """[n, d]; the directions are the same for every seed."""
    directions = normalize(
        torch.randn(N_FEATURES, d, generator=torch.Generator().manual_seed(0)), dim=1
    )
    generator = torch.Generator().manual_seed(seed)
    frequency = torch.arange(1, N_FEATURES + 1).float() ** -0.7
    made = []
    for size in torch.arange(n).split(65536):
        shape = len(size), ACTIVE
        chosen = frequency.multinomial(len(size) * ACTIVE, replacement=True, generator=generator)
        strength = 0.5 + torch.rand(shape, generator=generator)
        x = embedding_bag(chosen.view(shape), directions, per_sample_weights=strength, mode="sum")
        made.append(x + NOISE * torch.randn(x.shape, generator=generator))
    x = torch.cat(made)
    return x * d**0.5 / x.norm(dim=1).mean()
