"""What a user names to steer with, as sliders: each turns one value into interventions.

    a feature             `iw.feature(dictionary, 3, 117)`, `index[3, 117]`, a node of a graph, or a
                          direction made of a feature: its activation is added to, pinned or scaled
    a direction           `steering.difference_in_means(...)` and its like: so much of its vector is
                          added, or the stream's part along it is pinned
    anything else         heads, neurons, places: scaled
    a list of these       a slider for each; in a dict, name -> list, one slider for all of them
    an intervention       a slider that starts where the intervention is, and acts where it does

Values are raw: activations, or multiples of the direction as it is. How large that is (sigma, share
of the residual norm) is measured in `steering.scales`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from ..attribution.group import Interventions, Nodes
from ..attribution.node import Node
from ..dictionaries import load
from ..features.feature import Feature
from ..models import Model, Place
from ..models.interventions import (
    Add,
    Clamp,
    Everywhere,
    Features,
    Intervention,
    Neurons,
    Positions,
    Scale,
    Target,
    Vector,
)
from ..steering.directions import Direction, from_feature, together
from ..steering.errors import SteeringError
from ..steering.scales import NaturalScale, natural_scales
from ..steering.watch import Watch

if TYPE_CHECKING:
    from ..dictionaries.metrics import Text

Mode = Literal["add", "pin", "scale"]
Part = Features | Direction | Target
REST: dict[Mode, float | None] = {"add": 0.0, "pin": None, "scale": 1.0}
SCALED = (-4.0, 4.0)
UNSIZED = 10.0


@dataclass(frozen=True)
class Turn:
    """Where a slider stands: add 3.2, pin at 0, scale by -2."""

    mode: Mode = "add"
    value: float = 0.0

    @property
    def rests(self) -> bool:
        """Whether it changes nothing."""
        return self.value == REST[self.mode]


@dataclass(frozen=True)
class Size:
    """How large 1 raw is: sigma and the largest natural value in raw, the share of the norm.

    n_tokens, text: what sigma and top were measured on.
    """

    sigma: float
    top: float
    share: float
    n_tokens: int
    text: str


@dataclass(frozen=True, eq=False)
class Knob:
    """One slider.

    parts: features, directions or other targets that it turns together.
    places: where along the text each part is changed; None: where the settings say.
    size: None until it is measured, and for what can only be scaled.
    start: where it stands at first.
    """

    name: str
    parts: tuple[Part, ...]
    places: tuple[Positions | None, ...]
    start: Turn
    size: Size | None = None

    @property
    def modes(self) -> tuple[Mode, ...]:
        if all(isinstance(part, Features | Neurons) for part in self.parts):
            return ("add", "pin", "scale")
        if all(isinstance(part, Features | Neurons | Direction) for part in self.parts):
            return ("add", "pin")
        return ("scale",)

    @property
    def place(self) -> str:
        """Where it is, for a reader: L4/117, or L2/3, L4/117 and 4 more."""
        named: list[str] = []
        for part in self.parts:
            if isinstance(part, Features):
                named += [f"L{part.layer}/{index}" for index in part.features]
            else:
                named.append(str(part.place) if isinstance(part, Direction) else str(part))
        more = f" and {len(named) - 2} more" if len(named) > 2 else ""
        fixed = {str(place) for place in self.places if place is not None}
        where = f" {fixed.pop()}" if len(fixed) == 1 else " at several places" if fixed else ""
        return ", ".join(named[:2]) + more + where

    @property
    def directions(self) -> tuple[Direction, ...]:
        """What strength 1 adds, part by part; none for neurons and what can only be scaled."""
        found: list[Direction] = []
        for part in self.parts:
            if isinstance(part, Direction):
                found.append(part)
            elif isinstance(part, Features):
                found += [from_feature(part.dictionary, part.layer, i) for i in part.features]
        sized = all(isinstance(part, Features | Direction) for part in self.parts)
        return tuple(found) if sized else ()

    @property
    def direction(self) -> Direction:
        """All of them together. Raises SteeringError where there are none."""
        found = self.directions
        if not found:
            raise SteeringError(f"{self.name} is neither features nor a direction to add.")
        return found[0] if len(found) == 1 else together([(d, 1.0) for d in found], self.name)

    @property
    def limits(self) -> dict[Mode, tuple[float, float]]:
        """The ends of its slider: half the stream's norm, where steering is often at its best, and
        beyond what is natural. A typed number may go further."""
        far = UNSIZED
        if self.size is not None:
            far = max(0.5 / self.size.share, 1.25 * self.size.top)
            digits = 1 - math.floor(math.log10(far))
            far = round(far, digits)
        start = abs(self.start.value)
        far = max(far, 1.25 * start) if self.start.mode != "scale" else far
        low = 0.0 if all(isinstance(part, Features) for part in self.parts) else -far
        return {"add": (-far, far), "pin": (low, far), "scale": SCALED}

    def interventions(self, turn: Turn, where: Positions) -> list[Intervention]:
        """What a run is given for it; nothing at rest.

        Raises SteeringError for a mode that it does not have.
        """
        if turn.mode not in self.modes:
            raise SteeringError(
                f"{self.name} takes {' or '.join(self.modes)}, and not {turn.mode!r}."
            )
        if turn.rests:
            return []
        return [
            replace(change, positions=place or where)
            for part, place in zip(self.parts, self.places, strict=True)
            for change in _changes(part, turn)
        ]


def _changes(part: Part, turn: Turn) -> list[Intervention]:
    if not isinstance(part, Direction):
        if turn.mode == "add":
            return [part.add(turn.value)]
        return [part.clamp(turn.value) if turn.mode == "pin" else part.scale(turn.value)]
    found: list[Intervention] = []
    for place, vector in part.parts:
        along = Vector.of(vector, part.name)
        if turn.mode == "pin":
            found.append(place.project_out(along))
        if turn.value != 0:
            found.append(place.add(turn.value, along))
    return found


def knobs_of(model: Model, what: Any, dictionary: Any = None) -> tuple[Knob, ...]:
    """The sliders for what a user named.

    dictionary: whose features graph nodes are; default: the one that comes with the model.

    Raises SteeringError, saying what cannot be steered and what can.
    """
    if isinstance(what, Mapping):
        found = [_knob(model, each, dictionary, str(name)) for name, each in what.items()]
    elif isinstance(what, list | tuple) and not isinstance(what, Interventions):
        dictionary = _dictionary_of(what, dictionary)
        found = [_knob(model, each, dictionary) for each in _without_repeats(what)]
    else:
        found = [_knob(model, what, dictionary)]
    if not found:
        raise SteeringError("There is nothing to steer with: the list is empty.")
    names = [knob.name for knob in found]
    unique = [
        replace(knob, name=f"{knob.name} {knob.place}") if names.count(knob.name) > 1 else knob
        for knob in found
    ]
    again = [knob.name for knob in unique]
    for name in again:
        if again.count(name) > 1:
            raise SteeringError(f"Two sliders would be called {name!r}: give names in a dict.")
    return tuple(unique)


def measured(
    model: Model, knobs: Sequence[Knob], text: Text | None = None, watch: Watch | None = None
) -> tuple[Knob, ...]:
    """The same sliders with their natural sizes, from one pass over neutral text.

    Of several features together, sigma is the root mean square of theirs and top the largest.
    """
    asked = [(knob, [*knob.directions, knob.direction]) for knob in knobs if knob.directions]
    scales = iter(natural_scales(model, [d for _, ds in asked for d in ds], text, watch))
    sizes = {knob: _size([next(scales) for _ in ds]) for knob, ds in asked}
    return tuple(replace(knob, size=sizes.get(knob)) for knob in knobs)


def _size(scales: list[NaturalScale]) -> Size:
    *parts, whole = scales
    sigma = math.sqrt(sum(s.sigma**2 for s in parts) / len(parts))
    top = max(s.highest for s in parts)
    return Size(sigma, top, whole.alpha_of_one, whole.n_tokens, whole.text)


def _knob(model: Model, what: Any, dictionary: Any, name: str = "") -> Knob:
    several = what if isinstance(what, list | tuple) else [what]
    if not several:
        raise SteeringError(f"There is nothing to steer with in {name!r}: the list is empty.")
    dictionary = _dictionary_of(what, dictionary)
    parts: list[Part] = []
    places: list[Positions | None] = []
    starts: set[Turn] = set()
    names: list[str] = []
    for each in _without_repeats(several):
        part, called, start = _part(model, each, dictionary)
        parts.append(part)
        names.append(called)
        fixed = isinstance(each, Intervention) and not isinstance(each.positions, Everywhere)
        places.append(each.positions if fixed else None)
        if start is not None:
            starts.add(start)
    if len(starts) > 1:
        raise SteeringError(
            f"The interventions of {name or names[0]!r} differ, and one slider has one value: "
            f"give each a slider of its own."
        )
    unique = list(dict.fromkeys(names))
    called = " and ".join(unique) if len(unique) < 3 else f"{unique[0]} and {len(unique) - 1} more"
    knob = Knob(name or called, tuple(parts), tuple(places), Turn())
    resting = Turn() if "add" in knob.modes else Turn("scale", 1.0)
    start = starts.pop() if starts else resting
    knob.interventions(start, Everywhere())  # raises where it has no such mode
    return replace(knob, start=start)


def _part(model: Model, what: Any, dictionary: Any) -> tuple[Part, str, Turn | None]:
    """What is turned, its name, and where it starts if that was said."""
    if isinstance(what, Intervention):
        return _started(model, what, dictionary)
    if isinstance(what, Node):
        target = _of_node(model, what, dictionary)
        return target, what.label or what.place.split(" ")[0], None
    if isinstance(what, Direction):
        if what.feature is None:
            return what, what.name, None
        of = what.feature
        return Features(of.dictionary, of.layer, (of.index,)), what.name, None
    if isinstance(what, Features):
        return what, _label(what), None
    if isinstance(what, Feature):
        name = what.label.text if what.label else what.name
        direction = what.direction
        return (what.target if direction is None else Direction((direction,), name)), name, None
    if isinstance(what, Target):
        return what, str(what), None
    raise SteeringError(
        f"{str(what)[:80]!r} is nothing to steer with: give a feature, a direction, nodes of a "
        f"graph, a list of these, or a dict of names."
    )


def _started(model: Model, what: Intervention, dictionary: Any) -> tuple[Part, str, Turn | None]:
    match what.target, what.operation:
        case Features() | Neurons() as target, Add(float() as value) | Clamp(float() as value):
            mode: Mode = "add" if isinstance(what.operation, Add) else "pin"
            return target, _label(target), Turn(mode, value)
        case Place() as target, Add(float() as amount, Vector() as vector):
            name = vector.name or "vector"
            return Direction(((target, vector.tensor()),), name), name, Turn("add", amount)
        case target, Scale(factor):
            part, name, _ = _part(model, target, dictionary)
            return part, name, Turn("scale", factor)
    raise SteeringError(
        f"A slider cannot show “{what}”: it adds, pins or scales features, adds a vector to a "
        f"place, or scales. For ablations and patches there is iw.ablate."
    )


def _of_node(model: Model, node: Node, dictionary: Any) -> Target:
    if node.kind == "neuron":
        return Neurons(node.layer, (node.feature,))
    if node.kind != "feature":
        raise SteeringError(f"{node!r} is no feature: steer with the graph's features.")
    if dictionary is None:
        dictionary = _own_dictionary(model)
    return Features(dictionary, node.layer, (node.feature,))


def _dictionary_of(what: Any, dictionary: Any) -> Any:
    """Nodes know whose features they are."""
    if dictionary is None and isinstance(what, Nodes):
        return what.graph.origin.dictionary
    return dictionary


# One dictionary object for all nodes of a model: interventions compare it by identity.
_OWN: dict[str, Any] = {}


def _own_dictionary(model: Model) -> Any:
    if model.dictionary is None:
        raise SteeringError(
            f"{model.name} brings no dictionary: say with dictionary= whose features these are."
        )
    key = str(model.dictionary)
    if key not in _OWN:
        _OWN[key] = load(model.dictionary)
    return _OWN[key]


def _label(target: Features | Neurons) -> str:
    if isinstance(target, Features) and len(target.features) == 1:
        label = getattr(target.dictionary, "labels", {}).get((target.layer, target.features[0]))
        if label is not None:
            return str(label.text)
    return str(target)


def _without_repeats(what: Sequence[Any]) -> list[Any]:
    """A feature is active at several tokens: as many nodes, but one slider."""
    seen: set[object] = set()
    out = []
    for each in what:
        key = (each.kind, each.layer, each.feature) if isinstance(each, Node) else id(each)
        if key not in seen:
            seen.add(key)
            out.append(each)
    return out
