"""Interventions as values: what is changed in a run, how, and where.

    feature(dictionary, 3, 117).scale(-2).from_(1)
    head(5, 2).patch("When Tom and Mary went to the store,")
    residual(8).add(4, direction).generated()

An intervention is the same object for steering, ablation, a graph's check and an audit: it is
frozen, hashable, printable and goes to JSON and back. What several of them mean together:

    a run meets them in forward order, whatever the order in a list;
    at one place they act in the order given, each on what the one before left;
    each sees a pass that the ones below have changed already.

So `[residual(3).project_out(u), residual(3).add(2, u)]` pins the stream's part along a unit
vector u at 2.

A feature's intervention keeps the error term: where the feature writes, (new - current
activation) times its decoder is added, and everything else stays. Position 0, the special token
in front, carries no features, as in attribution: there the current activation counts as 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from . import feature_access
from .errors import InterventionError
from .operations import (
    Ablate,
    Add,
    At,
    Clamp,
    Everywhere,
    From,
    Generated,
    Operation,
    Patch,
    Positions,
    ProjectOut,
    Scale,
    Vector,
    whole_numbers,
)
from .places import Place
from .targets import Intervention, Target, What, interventions_of

__all__ = [
    "Ablate",
    "Add",
    "At",
    "Clamp",
    "Everywhere",
    "Features",
    "From",
    "Generated",
    "Heads",
    "Intervention",
    "Neurons",
    "Operation",
    "Patch",
    "Patterns",
    "Place",
    "Positions",
    "ProjectOut",
    "Scale",
    "Target",
    "Vector",
    "What",
    "attention",
    "feature",
    "head",
    "interventions_of",
    "mlp",
    "neuron",
    "pattern",
    "residual",
]


class _Units(Target):
    """Some units of one layer.

    field_name: which field names them; word: what one of them is called.
    """

    field_name: ClassVar[str]
    word: ClassVar[str]
    layer: int

    def __post_init__(self) -> None:
        _name_units(self, self.field_name)

    @property
    def units(self) -> tuple[int, ...]:
        named: tuple[int, ...] = getattr(self, self.field_name)
        return named

    @property
    def n_units(self) -> int:
        return len(self.units)

    def __str__(self) -> str:
        listed = ", ".join(map(str, self.units[:6])) + (", …" if self.n_units > 6 else "")
        return f"L{self.layer} {self.word}{'' if self.n_units == 1 else 's'} {listed}"


@dataclass(frozen=True)
class Heads(_Units):
    """The outputs of attention heads before the output projection, each [d_head].

    Vectors for these have d_head numbers (the same for each head), or d_head for each head.
    """

    field_name: ClassVar[str] = "heads"
    word: ClassVar[str] = "head"
    layer: int
    heads: tuple[int, ...]


@dataclass(frozen=True)
class Patterns(_Units):
    """The attention weights of heads; positions are those of the queries.

    A pattern that is scaled or ablated to 0 no longer adds up to 1 over the keys.
    """

    kind: ClassVar[Literal["patterns"]] = "patterns"
    field_name: ClassVar[str] = "heads"
    word: ClassVar[str] = "pattern"
    layer: int
    heads: tuple[int, ...]


@dataclass(frozen=True)
class Neurons(_Units):
    """Inner values of an MLP, in front of its down projection."""

    kind: ClassVar[Literal["numbers"]] = "numbers"
    field_name: ClassVar[str] = "neurons"
    word: ClassVar[str] = "neuron"
    layer: int
    neurons: tuple[int, ...]


@dataclass(frozen=True)
class Features(_Units):
    """Features of a dictionary (transcoders, cross-layer transcoder, SAE).

    dictionary: compared as the very object it is.
    layer: where the features read.
    """

    kind: ClassVar[Literal["numbers"]] = "numbers"
    field_name: ClassVar[str] = "features"
    word: ClassVar[str] = "feature"
    dictionary: Any
    layer: int
    features: tuple[int, ...]

    @property
    def scan(self) -> str:
        """The name of the feature set."""
        return str(getattr(self.dictionary, "scan", type(self.dictionary).__name__))

    def __repr__(self) -> str:
        return f"Features({self.scan!r}, layer={self.layer}, features={self.features})"

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """In a notebook one feature shows what it means, if there is an index of its dictionary."""
        return feature_access.show(self, options) if self.n_units == 1 else None


def residual(layer: int) -> Place:
    """The residual stream behind a block; `Place(layer, "resid_pre")` is the one in front."""
    return Place(layer, "resid_post")


def attention(layer: int) -> Place:
    """What attention adds to the stream."""
    return Place(layer, "attn_out")


def mlp(layer: int) -> Place:
    """What the MLP adds to the stream."""
    return Place(layer, "mlp_out")


def head(layer: int, head: int | Sequence[int]) -> Heads:
    """One head's output, or several heads' of one layer."""
    return Heads(layer, head)  # type: ignore[arg-type]


def pattern(layer: int, head: int | Sequence[int]) -> Patterns:
    """One head's attention weights, or several heads' of one layer."""
    return Patterns(layer, head)  # type: ignore[arg-type]


def neuron(layer: int, neuron: int | Sequence[int]) -> Neurons:
    """One neuron of an MLP, or several of one layer."""
    return Neurons(layer, neuron)  # type: ignore[arg-type]


def feature(dictionary: Any, layer: int, feature: int | Sequence[int]) -> Features:
    """One feature of a dictionary, or several of one layer."""
    return Features(dictionary, layer, feature)  # type: ignore[arg-type]


def _name_units(target: Any, units: str) -> None:
    """Units as a tuple of whole numbers; raises InterventionError for repeated or negative ones."""
    (layer,) = whole_numbers((target.layer,), "layers")
    named = whole_numbers(getattr(target, units), units)
    if layer < 0 or min(named) < 0:
        raise InterventionError(f"Layers and {units} are counted from 0: no {layer}, {named}.")
    if len(set(named)) < len(named):
        raise InterventionError(f"One of the {units} {named} is named twice.")
    object.__setattr__(target, "layer", layer)
    object.__setattr__(target, units, named)
