"""How large a strength is: beside what the model itself does, and beside the stream it is added to.

    sigma     the spread over natural tokens of what the direction measures: for a feature its
              activation; else the coefficient x . v / |v|^2 of the vector v in the model's own x
    alpha     the length of what is added, as a share of the residual stream's median norm there

Both are linear in the strength, so a scale is a pair of factors. Tokens whose vectors are outsize
(the first one, special tokens, and any with more than ten times the median norm: "massive
activations", Sun et al. 2024) would fill both numbers and are left out, and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..dictionaries.metrics import Text
from ..dictionaries.windows import counted, long_first, padded, tokens_at_once
from ..models import Model, Place
from .directions import Direction
from .neutral import Neutral, neutral
from .watch import Watch

MASSIVE = 10.0


@dataclass(frozen=True)
class NaturalScale:
    """What strength 1 of a direction is worth.

    Attributes:
        measures: "activation" (of the direction's feature) or "projection" (at its first place).
        mean, sigma, highest: of the natural values, in units of strength; sigma is 0 for a feature
            that was never active.
        active: share of tokens with a value that is not 0.
        residual_norm: median norm of the stream at the direction's first place.
        alpha_of_one: length added by strength 1 over the stream's median norm, at the place where
            that is largest.
        n_tokens, n_excluded: natural tokens used, and outsize ones left out (of those that are
            neither first nor special).
        text: what was read.
    """

    measures: Literal["activation", "projection"]
    mean: float
    sigma: float
    highest: float
    active: float
    residual_norm: float
    alpha_of_one: float
    n_tokens: int
    n_excluded: int
    text: str

    def sigmas(self, strength: float) -> float | None:
        """The strength in standard deviations of the natural value; None where it never varies."""
        return strength / self.sigma if self.sigma else None

    def alpha(self, strength: float) -> float:
        """The strength as a share of the residual norm."""
        return strength * self.alpha_of_one

    def from_alpha(self, alpha: float) -> float:
        """The strength that adds this share of the residual norm."""
        return alpha / self.alpha_of_one


def natural_scales(
    model: Model,
    directions: Sequence[Direction],
    text: Text | Neutral | None = None,
    watch: Watch | None = None,
) -> tuple[NaturalScale, ...]:
    """The scale of each direction, from one pass over natural text (default: `neutral`)."""
    watch = watch or Watch()
    source = text if isinstance(text, Neutral) else neutral(model, text, watch.stretch(0, 0.2))
    streams = {place: stream_at(place) for d in directions for place, _ in d.parts}
    reads = {d.place if d.feature is None else d.feature.reads for d in directions}
    norms: dict[Place, list[Tensor]] = {place: [] for place in streams.values()}
    values: list[list[Tensor]] = [[] for _ in directions]
    done = 0
    for chosen in long_first(source.windows, tokens_at_once()):
        watch.step(0.2 + 0.8 * done / len(source.windows), "measuring natural scales")
        done += len(chosen)
        ids, mask = padded([source.windows[i] for i in chosen])
        keep = counted(model, ids) & mask
        seen = model.run(ids, mask=mask, read={*norms, *reads}, logits=False).seen
        kept = {place: seen[place][keep.to(seen[place].device)] for place in seen}
        for place, found in norms.items():
            found.append(kept[place].double().norm(dim=-1).cpu())
        for direction, numbers in zip(directions, values, strict=True):
            numbers.append(_natural(direction, kept))
    medians = {place: float(torch.cat(found).median()) for place, found in norms.items()}
    return tuple(
        _scale(direction, torch.cat(numbers), streams, norms, medians, source.source)
        for direction, numbers in zip(directions, values, strict=True)
    )


def stream_at(place: Place) -> Place:
    """The residual stream that a vector at this place is in, or is added to."""
    own = place.site.startswith("resid")
    return place if own else Place(place.layer, "resid_post")


def _natural(direction: Direction, kept: dict[Place, Tensor]) -> Tensor:
    """[token], in units of strength."""
    if direction.feature is not None:
        return direction.feature.activation(kept[direction.feature.reads])
    v = direction.vector.double()
    return kept[direction.place].double().cpu() @ v / v.square().sum()


def _scale(
    direction: Direction,
    values: Tensor,
    streams: dict[Place, Place],
    norms: dict[Place, list[Tensor]],
    medians: dict[Place, float],
    text: str,
) -> NaturalScale:
    here = streams[direction.place]
    usual = torch.cat(norms[here]) <= MASSIVE * medians[here]
    kept = values[usual]
    alphas = [float(v.norm()) / medians[streams[place]] for place, v in direction.parts]
    return NaturalScale(
        measures="projection" if direction.feature is None else "activation",
        mean=float(kept.mean()),
        sigma=float(kept.std(correction=0)),
        highest=float(kept.max()),
        active=float((kept != 0).double().mean()),
        residual_norm=medians[here],
        alpha_of_one=max(alphas),
        n_tokens=len(kept),
        n_excluded=int((~usual).sum()),
        text=text,
    )
