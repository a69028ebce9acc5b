"""What linked views have in common: places in a run, and a way in and out of each view (linked.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from ..attribution.graph import Graph
from ..attribution.group import Nodes
from ..jobs import Job
from ..models.interventions import At, Features, Neurons, interventions_of
from . import wire
from .ablation_items import Given, given
from .ablation_live import Ablation
from .ablation_view import AblationView
from .graph_view import GraphView
from .steering_knobs import knobs_of, measured
from .steering_live import Steering
from .steering_view import SteeringView

TAKES = "a graph, features, a text, an ablation or a steering, or the view of one"


@dataclass(frozen=True)
class Spot:
    """A place in a run. unit: ("feature" or "neuron", number); None: whatever is there."""

    layer: int
    position: int
    unit: tuple[str, int] | None = None


class Port(Protocol):
    """One linked view: what is selected in it, and how to select something there.

    tokens: of the prompt that positions count; None for a view without places.
    """

    name: str
    tokens: tuple[str, ...] | None

    @property
    def selection(self) -> frozenset[Spot] | None:
        """What is selected; None if that is nothing another view could show."""

    def show(self, spots: frozenset[Spot], same_prompt: bool) -> None:
        """Select what is at these spots."""

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call `changed` after every new selection; returns what ends that."""


class GraphPort:
    """The view of a graph."""

    name = "graph"

    def __init__(self, view: GraphView) -> None:
        self.view = view

    @property
    def tokens(self) -> tuple[str, ...] | None:
        header = wire.read_header(self.view.data)
        return tuple(header["tokens"]) if header else None

    @property
    def selection(self) -> frozenset[Spot]:
        chosen = set(self.view.selected)
        return frozenset(spot for id, spot, _ in self._units() if id in chosen)

    def show(self, spots: frozenset[Spot], same_prompt: bool) -> None:
        units = {(s.layer, s.position if same_prompt else None, s.unit) for s in spots}
        found = []
        for id, spot, kept in self._units():
            place = spot.layer, spot.position if same_prompt else None
            whole = same_prompt and kept and (*place, None) in units
            if whole or (*place, spot.unit) in units:
                found.append(id)
        self.view.selected = found

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        return _watch(self.view, changed)

    def send_to(self, name: str, take: Callable[[str, Any], str]) -> Callable[[], None]:
        """A button that sends the selected nodes; returns what removes it."""
        answers = self.view.answers
        return (lambda: None) if answers is None else answers.send_to(name, take)

    def _units(self) -> Iterable[tuple[str, Spot, bool]]:
        """Features or neurons: id, spot, and whether the slider keeps them."""
        if not self.view.data:
            return
        header, table = wire.unpack(self.view.data)
        kept = table["cumulative"] <= self.view.threshold + 1e-6
        for i in np.flatnonzero(table["kind"] == wire.FEATURE).tolist():
            layer, position, number = (int(table[k][i]) for k in ("layer", "position", "feature"))
            unit = str(header["unit"]), number
            yield header["ids"][i], Spot(layer, position, unit), bool(kept[i])


class AblationPort:
    """An ablation: marks of its heatmaps, and what it was given."""

    name = "ablation"

    def __init__(self, ablation: Ablation) -> None:
        self.ablation = ablation

    @property
    def tokens(self) -> tuple[str, ...]:
        return self.ablation.clean_tokens

    @property
    def selection(self) -> frozenset[Spot] | None:
        spots: set[Spot] = set()
        for id in self.ablation.selected:
            found = self._spots(id)
            if found is None:
                return None
            spots |= found
        return frozenset(spots)

    def show(self, spots: frozenset[Spot], same_prompt: bool) -> None:
        if not same_prompt:
            return
        for each in self.ablation.items.given:
            if _spots_of(each) == spots:
                self.ablation.view.selected = [each.id]
                return
        cells = sorted({(s.layer, s.position) for s in spots})
        self.ablation.view.selected = [f"mlp.L{layer}.p{position}" for layer, position in cells]

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        return _watch(self.ablation.view, changed)

    def take(self, name: str, what: Sequence[Any]) -> str:
        """Measure what was selected: a graph's nodes where they are, or targets, everywhere.

        Returns what was done, in a sentence.
        """
        ablation, items = self.ablation, self.ablation.items
        if isinstance(what, Nodes) and tuple(what.graph.table.tokens) != self.tokens:
            raise ValueError("The ablation reads another prompt than the graph.")
        changes = tuple(what.ablate()) if isinstance(what, Nodes) else interventions_of(what)
        known = next((each for each in items.given if set(each.what) == set(changes)), None)
        if known is None:
            names = {each.id for each in items.given}
            (known,) = given({_unused(name, names): changes})
            ablation.items = replace(items, given=(*items.given, known))
        ablation.view.selected = [known.id]
        return f"The ablation measures {known.id}."

    def _spots(self, id: str) -> frozenset[Spot] | None:
        item = self.ablation.items.item(id)
        if isinstance(item, tuple):
            return _spots_of(Given(id, item))
        if item.panel != "mlp" or item.layer is None or item.index is None:
            return None
        return frozenset({Spot(item.layer, item.index)})


class SteeringPort:
    """A steering: it has no places to select, and takes what is sent to it."""

    name = "steering"
    tokens = None

    def __init__(self, steering: Steering) -> None:
        self.steering = steering

    @property
    def selection(self) -> None:
        return None

    def show(self, spots: frozenset[Spot], same_prompt: bool) -> None:
        pass

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        return lambda: None

    def take(self, name: str, what: Sequence[Any]) -> str:
        """A slider, at rest, for what was selected: a graph's nodes, or targets.

        Returns what was done, in a sentence.
        """
        steering = self.steering
        (knob,) = knobs_of(
            steering.model,
            {_unused(name, {k.name for k in steering.knobs}): list(what)},
            what.graph.origin.dictionary if isinstance(what, Nodes) else None,
        )
        with steering.lock:
            before, count = steering.sizing, len(steering.knobs)

            def longer(variants: Any) -> Any:
                return tuple(replace(v, turns=(*v.turns, knob.start)) for v in variants)

            steering.knobs = (*steering.knobs, knob)
            steering.variants = longer(steering.variants)
            steering.history[:] = [
                replace(t, variants=longer(t.variants)) for t in steering.history
            ]

            def work(job: Job[None]) -> None:
                before.wait()  # it writes the knobs that it knew
                job.check()
                (sized,) = measured(steering.model, [knob], steering.neutral)
                with steering.lock:
                    knobs = list(steering.knobs)
                    knobs[count:] = [sized, *knobs[count + 1 :]]
                    steering.knobs = tuple(knobs)

            steering.sizing = Job(work, steering.page.live)
        steering.sizing.start()
        steering.page.live()
        return f"The steering has a slider {knob.name}."


def port_of(view: Any) -> Any:
    """The port of a view; raises TypeError for what has none."""
    from ..features.index import Index
    from .features_live import Live
    from .features_port import FeaturesPort
    from .features_view import FeaturesView
    from .text_live import Text
    from .text_port import TextPort
    from .text_view import TextView

    if isinstance(view, Graph):
        return GraphPort(view.view)
    if isinstance(view, GraphView):
        return GraphPort(view)
    if (
        isinstance(view, AblationView | SteeringView | TextView | FeaturesView)
        and getattr(view, "_source", None) is not None
    ):
        view = view._source
    if isinstance(view, Ablation):
        return AblationPort(view)
    if isinstance(view, Steering):
        return SteeringPort(view)
    if isinstance(view, Text):
        return TextPort(view)
    if isinstance(view, Index):
        return FeaturesPort(view.view.source)
    if isinstance(view, Live):
        return FeaturesPort(view)
    raise TypeError(f"{view!r} cannot be linked: give {TAKES}.")


def _spots_of(item: Given) -> frozenset[Spot] | None:
    """Where interventions on features or neurons act; None for any others."""
    spots: set[Spot] = set()
    for one in item.what:
        target, positions = one.target, one.positions
        if not isinstance(positions, At) or not isinstance(target, Features | Neurons):
            return None
        if isinstance(target, Features):
            units = [("feature", number) for number in target.features]
        else:
            units = [("neuron", number) for number in target.neurons]
        spots |= {Spot(target.layer, p, u) for p in positions.positions for u in units}
    return frozenset(spots)


def _watch(view: Any, changed: Callable[[], None]) -> Callable[[], None]:
    def handler(_change: Any) -> None:
        changed()

    view.observe(handler, names=["selected"])
    return lambda: view.unobserve(handler, names=["selected"])


def _unused(name: str, taken: set[str]) -> str:
    number, unused = 2, name
    while unused in taken:
        unused, number = f"{name} ({number})", number + 1
    return unused
