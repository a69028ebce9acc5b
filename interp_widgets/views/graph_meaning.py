"""What a graph's view asks about one feature or neuron: what it means, what it is called.

A node of a graph is one unit at one token; what the unit means is known by the index of its
dictionary (`features.known.index_for`). A label is given to the unit: it goes into the book of labels,
which outlives the graph, and onto every node of the unit in this graph, with which it is saved.
Labels that a user gave elsewhere stand in each new graph from the start.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from ..attribution.table import FEATURE
from ..features.card import card, weighed
from ..features.card_rows import label_row
from ..features.errors import FeatureError
from ..features.known import book_for, index_for
from ..features.labelling.scoring import is_scored, score_label
from ..json_numbers import each_finite
from .features_scores import proposal_row
from .graph_asks import Request
from .graph_signals import Answer, Signals

if TYPE_CHECKING:
    from ..attribution.graph import Graph
    from ..features.index import Index
    from ..features.labelling.book import LabelBook
    from ..features.labelling.proposing import Proposal

Unit = tuple[int, int]
# An index is remembered for as long as somebody holds it: here, for as long as its graph.
_INDEX: WeakKeyDictionary[Graph, Index] = WeakKeyDictionary()
# What was suggested last, and of which unit.
_PROPOSED: WeakKeyDictionary[Graph, tuple[Unit, list[Proposal]]] = WeakKeyDictionary()


def index_of(graph: Graph) -> Index:
    """The index of the graph's dictionary or neurons; the same object every time.

    Raises ValueError for a graph from a file.
    """
    found = _INDEX.get(graph)
    if found is None:
        found = index_for(graph.origin.model, graph.origin.dictionary)  # type: ignore[arg-type]
        _INDEX[graph] = found
    return found


def unit_of(graph: Graph, id: str) -> Unit:
    """Layer and number of a node; raises ValueError for one that is no feature or neuron."""
    node = graph.node(id)
    if node.kind not in ("feature", "neuron"):
        raise ValueError(f"{node.place} is no {graph.table.unit}, so nothing is known of it.")
    return node.layer, node.feature


def nodes_of(graph: Graph, units: Collection[Unit]) -> dict[str, Unit]:
    """The nodes of some units, by id."""
    table = graph.so_far  # a graph that has just become complete says so before `table` may be read
    found: dict[str, Unit] = {}
    if table is None:
        return found
    for i in np.flatnonzero(table.kind == FEATURE).tolist():
        unit = int(table.layer[i]), int(table.feature[i])
        if unit in units:
            found[table.ids[i]] = unit
    return found


def meaning(graph: Graph, request: Request, signals: Signals) -> Answer:
    """The card of a node's unit: what the corpus says at once, what the weights say behind it."""
    (id,) = request["ids"]
    index, (layer, feature) = index_of(graph), unit_of(graph, id)
    here = graph.node(id).activation
    first = card(index, layer, feature, here=here, weights=False)
    signals.draw({**first, "pending": True}, 0.3, "reading the weights")
    whole = weighed(index, first)
    called = index.label_of(layer, feature)  # it may have been given meanwhile
    whole["label"] = label_row(called)
    if called and whole["indexed"] and not is_scored(index, called):
        signals.offer({**whole, "label": {**whole["label"], "testing": True}})
        signals.report(0.6, "testing the label on held-out text")
        try:
            whole["label"] = label_row(score_label(index, layer, feature))
        except FeatureError as error:
            whole["label"] = {**whole["label"], "why": str(error)}
    return whole


def firing(graph: Graph, request: Request, signals: Signals) -> Answer:
    """A unit's activations on a text that somebody typed."""
    (id,) = request["ids"]
    unit = unit_of(graph, id)
    signals.report(0.1, "running the model")
    found = index_of(graph).fire(request["text"])
    return {"tokens": list(found.tokens), "activations": each_finite(found.of(*unit))}


def naming(graph: Graph, request: Request, signals: Signals) -> Answer:
    """Labels that a unit's examples suggest, each with how well it holds on other text."""
    (id,) = request["ids"]
    index, unit = index_of(graph), unit_of(graph, id)
    signals.report(0.1, "comparing examples with other text")
    found = index[unit].propose()
    _PROPOSED[graph] = (unit, found)
    return {"proposals": [proposal_row(each) for each in found]}


def label(graph: Graph, id: str, text: str, proposed: int | None = None) -> dict[str, str]:
    """Give a node's unit a label; the graph's labels as they are now, by node.

    Args:
        text: "" takes the label away.
        proposed: the number of the proposal that was accepted; None: written by hand.

    Raises ValueError for a text that is no label.
    """
    index, unit = index_of(graph), unit_of(graph, id)
    if proposed is not None:
        of, found = _PROPOSED.get(graph, (None, []))
        if of != unit or not 0 <= proposed < len(found):
            raise ValueError("That suggestion is gone: ask for suggestions again.")
        index.book.put(*unit, found[proposed].label)
    elif text.strip():
        index.book.put(*unit, text)
    else:
        index.book.remove(*unit)
    return with_book(graph, index.book, {unit})


def with_book(graph: Graph, book: LabelBook, units: Collection[Unit]) -> dict[str, str]:
    """The graph's labels, with what the book says now of some units."""
    labels = dict(graph.notes.labels)
    table = graph.so_far
    name = dict(zip(table.ids, table.names, strict=True)) if table is not None else {}
    for id, unit in nodes_of(graph, units).items():
        found = book.get(*unit)
        text = found.text if found else ""
        if text and text != name[id]:  # the node's own name is no label
            labels[id] = text
        else:
            labels.pop(id, None)
    return labels


def own_labels(graph: Graph) -> dict[str, str]:
    """The graph's labels, with what its user called units elsewhere; nodes named here keep that."""
    if not graph.has_model:
        return dict(graph.notes.labels)
    book = book_for(graph.origin.model, graph.origin.dictionary)  # type: ignore[arg-type]
    own = {unit for unit, found in book.items() if found.kind != "shipped"}
    return {**with_book(graph, book, own), **graph.notes.labels}
