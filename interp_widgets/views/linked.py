"""Linked views: what is selected in one is selected in the others, and a selection can be sent.

    link(graph, ablation, steering)

Views speak of different things, so a selection travels as spots: a layer, a position, and a unit where
the view knows one. A graph shows the nodes at these spots. An ablation shows the MLP mark of the place,
or what it was given, if that is exactly the units selected; its attention and head marks have no nodes,
so selecting those leaves a graph as it is. A graph of another prompt shows the same units wherever it
has them. A text selects the features, and brushes the tokens. A view of features opens the card
of the unit that is selected, if it is one. A steering has sliders and no places:
it takes part by being sent to.

Views made from a graph's nodes are linked to its view by themselves (`join`).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from ..attribution.group import Nodes
from .linked_ports import TAKES, port_of


class Link:
    """Views that share what is selected; ends with `unlink`."""

    def __init__(self, ports: list[Any]) -> None:
        self._ports = ports
        self._busy = threading.RLock()
        self._passing = False
        self._ends = [port.watch(lambda port=port: self._pass_on(port)) for port in ports]
        takers = [port for port in ports if hasattr(port, "take")]
        for port in ports:
            if hasattr(port, "send_to"):
                self._ends += [port.send_to(t.name, t.take) for t in takers]
        first = next((p for p in ports if p.selection), None)
        if first is not None:
            self._pass_on(first)

    def _pass_on(self, port: Any) -> None:
        """A selection goes to the others, and what they make of it goes nowhere."""
        with self._busy:
            if self._passing:
                return
            self._passing = True
            try:
                spots, tokens = port.selection, port.tokens
                for other in self._ports if spots is not None else ():
                    if other is not port:
                        other.show(spots, tokens == other.tokens)
            finally:
                self._passing = False

    def unlink(self) -> None:
        """From now on every view goes its own way."""
        for end in self._ends:
            end()
        self._ends = []

    def __repr__(self) -> str:
        state = ", ".join(port.name for port in self._ports)
        return f"Link({state})" if self._ends else f"Link({state}; unlinked)"


def link(*views: Any) -> Link:
    """What is selected in one view is selected in the others, from now on.

    Graphs and texts get a button for each linked ablation and steering: it sends what is selected
    there; so does “steer” on a feature's card. What the first view with a selection has selected
    is selected in all.

    Args:
        views: graphs, indexes, texts, ablations, steerings, or their views.

    Raises TypeError for anything else, ValueError for fewer than two.
    """
    ports = [port_of(view) for view in views]
    if len(ports) < 2:
        raise ValueError(f"A link needs two views at least: {TAKES}.")
    return Link(ports)


def join(what: Any, view: Any) -> None:
    """Links a view to the views of the graphs whose nodes it was made of, if there are any.

    what: what the view was made of: Nodes, or lists or dictionaries with Nodes inside.
    """
    for graph in _graphs_in(what):
        link(graph, view)


def _graphs_in(what: Any) -> list[Any]:
    if isinstance(what, Nodes):
        return [what.graph]
    if isinstance(what, Mapping):
        what = list(what.values())
    found = [g for each in what for g in _graphs_in(each)] if isinstance(what, list | tuple) else []
    return list(dict.fromkeys(found))
