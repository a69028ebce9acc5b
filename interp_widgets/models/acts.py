"""Interventions in the rows of a batch, and the pass that they change while it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .anatomy import heads_of
from .errors import InterventionError
from .feature_access import FeatureAccess
from .interventions import Features, Heads, Neurons
from .places import Place
from .running import Edit
from .sources import Sources
from .targets import Intervention, Target

if TYPE_CHECKING:
    from .model import Model

# One change of what stands at a place: it changes its first argument, [batch, position, d], in
# place, and reads what was seen before.
Step = Callable[[Tensor, Mapping[Place, Tensor]], None]


@dataclass(frozen=True, eq=False)
class Act:
    """An intervention in a row of the batch."""

    row: int
    what: Intervention

    def between(self, start: int, stop: int, prompt_length: int) -> list[int]:
        """The positions it changes in [start, stop), counted from start."""
        found = self.what.positions.below(stop, prompt_length)
        if isinstance(found, range):
            found = range(max(found.start, start), found.stop)
        return [p - start for p in found if p >= start]


@dataclass(frozen=True, eq=False)
class Bound:
    """Features of one layer at hand, and which column each is."""

    access: FeatureAccess
    column: Mapping[int, int]

    def columns(self, target: Features) -> Tensor:
        return torch.tensor([self.column[f] for f in target.features])


@dataclass(frozen=True, eq=False)
class Setting:
    """What every step of a plan knows.

    prompt_length: in tokens; total: how many positions there will be, None if that is not known.
    sources: runs on other prompts.
    base_row: the row that features' current activations are read from; None: their own.
    held: the only layers that features write to; none: all.
    bound: per dictionary and layer (`key_of`), the features that are named in any row.
    """

    model: Model
    prompt_length: int
    total: int | None
    sources: Sources
    base_row: int | None
    held: frozenset[int]
    bound: Mapping[tuple[int, int], Bound]

    def features(self, act: Act) -> Bound:
        target = act.what.target
        assert isinstance(target, Features)
        return self.bound[key_of(target)]

    def reached(self, place: Place) -> bool:
        """Whether features write there: layers that are not held make up their own outputs."""
        return not self.held or place.layer in self.held


@dataclass(eq=False)
class Forward:
    """One forward pass while it runs.

    Attributes:
        written: what stands where it was written, after that.
        activations: per row and `key_of` features, activations [position, k] as interventions so
            far left them, and what they were encoded from.
        patterns: per row and block, the changed pattern [head, query, key].
    """

    start: int
    written: dict[Place, Tensor] = field(default_factory=dict)
    activations: dict[tuple[int, int, int], tuple[Tensor, Tensor]] = field(default_factory=dict)
    patterns: dict[tuple[int, int], Tensor] = field(default_factory=dict)

    def now(self, place: Place, seen: Mapping[Place, Tensor]) -> Tensor:
        """What the rest of the pass finds at a place."""
        return self.written[place] if place in self.written else seen[place]

    def edit(self, place: Place, steps: Sequence[Step]) -> Edit:
        """These steps, one behind the other."""

        def write(value: Tensor, seen: Mapping[Place, Tensor]) -> Tensor:
            out = self.written[place] = value.clone()
            for step in steps:
                step(out, seen)
            # In a parallel block, writing the stream's middle changes this very tensor.
            return out.clone() if place.site in ("resid_pre", "resid_post") else out

        return write


def key_of(target: Features) -> tuple[int, int]:
    """What names a dictionary's layer within a plan."""
    return id(target.dictionary), target.layer


def place_of(target: Target) -> Place:
    """Where the values of places, heads and neurons stand."""
    match target:
        case Place():
            return target
        case Heads(layer=layer):
            return Place(layer, "attn_z")
        case Neurons(layer=layer):
            return Place(layer, "neurons")
    raise InterventionError(f"{target} stands at no single place.")


def columns_of(model: Model, target: Target) -> Tensor | None:
    """Which numbers of the vectors there are the target's; None: all."""
    match target:
        case Heads(heads=heads):
            d_head = heads_of(model.hf)[2]
            return torch.cat([head * d_head + torch.arange(d_head) for head in heads])
        case Neurons(neurons=neurons):
            return torch.tensor(neurons)
    return None


def by_unit(target: Target, x: Tensor) -> Tensor:
    """[position, d] as [position, unit] for numbers, [position, unit, width] for vectors."""
    return x if target.kind == "numbers" else x.unflatten(-1, (target.n_units, -1))
