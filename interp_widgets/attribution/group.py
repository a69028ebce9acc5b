"""Several nodes of one graph, as a list that can be acted with.

    texas = graph.features("texas")
    iw.steer(model, "once upon a time", texas.scale(-2).everywhere())

Each method gives interventions: plain values, at the positions that the nodes have in the graph's
prompt. Features of one layer and position are changed together, by one intervention.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

from ..models.interventions import Clamp, Intervention, Neurons, Target, feature, neuron
from .node import Node

if TYPE_CHECKING:
    from .acting import Acting


class Interventions(tuple[Intervention, ...]):
    """Interventions that belong together; where they act is changed for all of them at once."""

    __slots__ = ()

    def at(self, *positions: int) -> Interventions:
        """The same at these positions; negative ones count from the prompt's end."""
        return self._moved(lambda one: one.at(*positions))

    def from_(self, position: int) -> Interventions:
        """The same from a position on, also over generated text."""
        return self._moved(lambda one: one.from_(position))

    def generated(self) -> Interventions:
        """The same on generated tokens only."""
        return self._moved(lambda one: one.generated())

    def everywhere(self) -> Interventions:
        """The same at every position, of the prompt and of generated text."""
        return self._moved(lambda one: one.everywhere())

    def _moved(self, move: Callable[[Intervention], Intervention]) -> Interventions:
        return Interventions(move(one) for one in _merged(self))

    def __repr__(self) -> str:
        return "; ".join(map(str, self)) or "no interventions"


class Nodes(list[Node]):
    """Nodes of one graph. A list; slices and sums of it are Nodes again."""

    def __init__(self, nodes: Iterable[Node], graph: Acting) -> None:
        super().__init__(nodes)
        self.graph = graph

    @property
    def ids(self) -> list[str]:
        return [node.id for node in self]

    def scale(self, factor: float) -> Interventions:
        """Multiply each node's activation."""
        return self._changed(lambda target, nodes: target.scale(factor))

    def clamp(self, value: float | None = None, *, times: float = 1.0) -> Interventions:
        """Put a value there; None: each node's own activation in this graph, `times` a factor."""

        def clamp(target: Target, nodes: Sequence[Node]) -> Intervention:
            own = [times * (node.activation or 0.0) if value is None else value for node in nodes]
            return target.clamp(own)

        return self._changed(clamp)

    def add(self, amount: float) -> Interventions:
        """Add to each node's activation."""
        return self._changed(lambda target, nodes: target.add(amount))

    def ablate(self) -> Interventions:
        """Put 0 there."""
        return self._changed(lambda target, nodes: target.ablate())

    def _changed(self, change: Callable[[Target, Sequence[Node]], Intervention]) -> Interventions:
        return Interventions(
            change(target, nodes).at(nodes[0].position) for target, nodes in self._targets()
        )

    def _targets(self) -> list[tuple[Target, list[Node]]]:
        """What can be intervened on, block by block and position by position.

        Raises ValueError for a graph from a file, for no nodes, and for a node that is no feature
        or neuron.
        """
        dictionary = self.graph.origin.dictionary
        self.graph.units_among(self)
        cells: dict[tuple[int, int], dict[int, Node]] = defaultdict(dict)
        for node in self:
            cells[node.layer, node.position][node.feature] = node
        out: list[tuple[Target, list[Node]]] = []
        for (layer, _), named in sorted(cells.items()):
            numbers = tuple(named)
            target: Target = (
                neuron(layer, numbers)
                if dictionary is None
                else feature(dictionary, layer, numbers)
            )
            out.append((target, list(named.values())))
        return out

    @overload
    def __getitem__(self, index: SupportsIndex) -> Node: ...
    @overload
    def __getitem__(self, index: slice) -> Nodes: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Node | Nodes:
        if isinstance(index, slice):
            return Nodes(super().__getitem__(index), self.graph)
        return super().__getitem__(index)

    def __add__(self, other: Any) -> Nodes:  # type: ignore[override]
        if not isinstance(other, list):
            return NotImplemented
        if isinstance(other, Nodes) and other.graph is not self.graph:
            raise ValueError("These nodes are of two graphs: act with each of them by itself.")
        return Nodes([*self, *other], self.graph)


def _merged(interventions: Iterable[Intervention]) -> Iterator[Intervention]:
    """One intervention per layer, each unit once: the same unit may be a node at many positions.

    Raises ValueError where a unit would be clamped to two values: nobody knows which is meant.
    """
    layers: dict[int, dict[int, Any]] = defaultdict(dict)
    first: dict[int, Intervention] = {}
    for one in interventions:
        target: Any = one.target
        first.setdefault(target.layer, one)
        units = target.neurons if isinstance(target, Neurons) else target.features
        values = one.operation.value if isinstance(one.operation, Clamp) else None
        each = values if isinstance(values, tuple) else (values,) * len(units)
        for unit, value in zip(units, each, strict=True):
            if layers[target.layer].setdefault(unit, value) != value:
                raise ValueError(
                    f"L{target.layer}/{unit} has several values at several positions: clamp it to "
                    f"one value to do that elsewhere."
                )
    for layer, found in sorted(layers.items()):
        one = first[layer]
        name = "neurons" if isinstance(one.target, Neurons) else "features"
        target = replace(one.target, **{name: tuple(found)})  # type: ignore[type-var]
        operation = one.operation
        if isinstance(operation, Clamp):
            operation = Clamp(tuple(found.values()))
        yield replace(one, target=target, operation=operation)
