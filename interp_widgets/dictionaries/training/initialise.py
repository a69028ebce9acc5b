"""Where training starts: centres, scales, directions, and one length per target.

Half of how well a short training ends is decided here.

1. Every place is centred on its mean and scaled so that E|x| = sqrt(d).
2. SAE: encoder and decoder vectors are the same random directions (Gao et al. 2024). Transcoders
   read and write at different places: ...
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .rules import Batch
from .weights import Code, Weights


@torch.no_grad()
def scales(weights: Weights, raw: Sequence[Tensor], side: str) -> None:
    """Sets the centre and scale of each place from raw activations [n, d]."""
    for index, tensor in enumerate(raw):
        tensor = tensor.to(**weights.new)
        mean = tensor.mean(0)
        length = (tensor - mean).norm(dim=1).mean()
        weights.constants[f"mean_{side}.{index}"].copy_(mean)
        # A place where nothing varies stays as it is: all zeros once centred.
        scale = mean.numel() ** 0.5 / length if length > 0 else torch.ones_like(length)
        weights.constants[f"scale_{side}.{index}"].copy_(scale)


@torch.no_grad()
def directions(weights: Weights, generator: torch.Generator) -> None:
    """Random directions for every feature; an SAE's encoder and decoder vectors agree."""
    spec = weights.spec
    for source in range(len(spec.reads)):
        decoder = weights.parameters[f"decoder.{source}"]
        drawn = torch.randn(decoder.shape, generator=generator).to(decoder)
        decoder.copy_(drawn / drawn.norm(dim=1, keepdim=True))
        encoder = weights.parameters[f"encoder.{source}"]
        if spec.reads != spec.writes:
            drawn = torch.randn(encoder.shape, generator=generator).to(encoder)
        encoder.copy_(drawn / drawn.norm(dim=1, keepdim=True))


@torch.no_grad()
def lengths(batch: Batch, codes: list[Code]) -> None:
    """Makes decoders as long as fits the batch best, one factor per target (least squares)."""
    weights = batch.weights
    for target, part in enumerate(weights.predict(codes)):
        if isinstance(part, float):
            continue
        y = batch.y[target]
        factor = (y * part).sum() / part.square().sum().clamp(min=1e-12)
        if factor > 0:
            weights.scale_decoders(target, factor)
