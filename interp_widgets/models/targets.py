"""What can be intervened on, and the intervention itself: target, operation, positions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from torch import Tensor

from .errors import InterventionError
from .operations import (
    Ablate,
    Add,
    At,
    Clamp,
    Everywhere,
    From,
    Generated,
    Numbers,
    Operation,
    Patch,
    Positions,
    ProjectOut,
    Scale,
    Vector,
    is_identity,
)

if TYPE_CHECKING:
    from .model import Prompt


class Target:
    """Something in a model that holds values at every position.

    kind: "vectors" (each unit holds a vector), "numbers" (each holds one number) or "patterns"
        (each holds attention weights over the keys).
    n_units: how many heads, neurons or features it names; 1 for a place.
    """

    kind: ClassVar[Literal["vectors", "numbers", "patterns"]] = "vectors"

    @property
    def n_units(self) -> int:
        return 1

    def clamp(self, value: Any) -> Intervention:
        """Put a value there: numbers (one, or one for each), or a vector for places and heads."""
        return Intervention(self, Clamp(self._value(value)))

    def scale(self, factor: float) -> Intervention:
        """Multiply what is there."""
        return Intervention(self, Scale(factor))

    def add(
        self, amount: Any, vector: Vector | Tensor | Sequence[float] | None = None
    ) -> Intervention:
        """Add an amount; for places and heads, an amount of a vector (used as long as it is)."""
        return Intervention(self, Add(amount, None if vector is None else Vector.of(vector)))

    def ablate(self, mean: Any = None) -> Intervention:
        """Put 0 there, or a mean."""
        return Intervention(self, Ablate(None if mean is None else self._value(mean)))

    def patch(self, prompt: Prompt, positions: Any = None) -> Intervention:
        """Put there what a run on another prompt has, at the same positions or at others."""
        return Intervention(self, Patch(prompt, positions))  # type: ignore[arg-type]

    def project_out(self, vector: Vector | Tensor | Sequence[float]) -> Intervention:
        """Take a direction out of the vectors there."""
        return Intervention(self, ProjectOut(Vector.of(vector)))

    def _value(self, value: Any) -> Any:
        """Where units hold vectors, plain numbers are one."""
        several = isinstance(value, Sequence) or (isinstance(value, Tensor) and value.ndim > 0)
        return Vector.of(value) if self.kind == "vectors" and several else value


@dataclass(frozen=True)
class Intervention:
    """One change to a run: what is changed, how, and at which positions.

    Raises InterventionError for an operation that the target does not have (`head.clamp(3)`:
    a head's output is a vector, not a number).
    """

    target: Target
    operation: Operation
    positions: Positions = field(default_factory=Everywhere)

    def __post_init__(self) -> None:
        if not isinstance(self.target, Target):
            raise InterventionError(
                f"{self.target!r} is nothing to intervene on: give a place, heads, patterns, "
                f"neurons or features."
            )
        if not isinstance(self.operation, Operation):
            raise InterventionError(f"{self.operation!r} is no operation, such as Scale(2).")
        if not isinstance(self.positions, Positions):
            raise InterventionError(f"{self.positions!r} says no positions, such as At((3,)).")
        _check(self.target, self.operation)

    def at(self, *positions: int) -> Intervention:
        """The same at these positions; negative ones count from the prompt's end."""
        return replace(self, positions=At(positions))

    def from_(self, position: int) -> Intervention:
        """The same from a position on, also over generated text."""
        return replace(self, positions=From(position))

    def generated(self) -> Intervention:
        """The same on generated tokens only."""
        return replace(self, positions=Generated())

    def everywhere(self) -> Intervention:
        return replace(self, positions=Everywhere())

    @property
    def is_identity(self) -> bool:
        """Whether it is of strength 0: scaled by 1, or nothing added."""
        return is_identity(self.operation)

    def to_json(self) -> dict[str, Any]:
        """As JSON; vectors in base64, dictionaries by their scan."""
        from .intervention_json import to_json

        return to_json(self)

    @classmethod
    def from_json(
        cls, data: Mapping[str, Any], dictionaries: Mapping[str, Any] | None = None
    ) -> Intervention:
        """From `to_json`; dictionaries by scan, where features are named.

        Raises InterventionError where the data is none, or a dictionary is missing.
        """
        from .intervention_json import from_json

        return from_json(data, dictionaries or {})

    def __str__(self) -> str:
        where = "" if isinstance(self.positions, Everywhere) else f" {self.positions}"
        return f"{self.target} {self.operation}{where}"


What = Intervention | Target | Sequence["Intervention | Target"]


def interventions_of(what: What) -> tuple[Intervention, ...]:
    """What a caller named, as interventions in the order given; a bare target is ablated.

    A list may hold lists, and nodes of a graph, which are ablated like targets.

    Raises InterventionError for an empty list and for anything else in it.
    """
    named = [what] if isinstance(what, Intervention) or hasattr(what, "ablate") else what
    if isinstance(named, str) or not isinstance(named, Sequence):
        raise InterventionError(
            f"{named!r} is no intervention: give one, a target, or a list of them."
        )
    if not named:
        raise InterventionError("There is nothing to intervene on: the list is empty.")
    found: list[Intervention] = []
    for item in named:
        if not isinstance(item, Intervention) and hasattr(item, "ablate"):
            item = item.ablate()
        if isinstance(item, Sequence) and not isinstance(item, str):
            found.extend(interventions_of(item))
            continue
        if not isinstance(item, Intervention):
            raise InterventionError(f"{item!r} is neither an intervention nor a target.")
        found.append(item)
    return tuple(found)


def _check(target: Target, operation: Operation) -> None:
    """Raises InterventionError unless the operation means something for the target."""

    def refuse(reason: str) -> None:
        raise InterventionError(f"{type(operation).__name__} on {target}: {reason}")

    value: Numbers | Vector | None = None
    match operation:
        case Clamp(value) | Ablate(value):
            pass
        case Add(amount, vector):
            value = vector if target.kind == "vectors" else amount
            if target.kind == "vectors" and vector is None:
                refuse("there stands a vector, so say which vector to add that much of.")
            if target.kind == "numbers" and vector is not None:
                refuse("each holds one number, so give an amount and no vector.")
    if target.kind == "patterns":
        if not isinstance(operation, Scale | Patch) and operation != Ablate():
            refuse("attention patterns can be scaled, ablated to 0 or patched.")
    elif target.kind == "numbers":
        if isinstance(operation, ProjectOut):
            refuse("each holds one number; only vectors have directions.")
        if isinstance(value, tuple | Vector) and len(value) != target.n_units:
            refuse(f"{len(value)} values for {target.n_units}.")
    elif value is not None and not isinstance(value, Vector):
        refuse("there stands a vector, so give a vector and not a number.")
