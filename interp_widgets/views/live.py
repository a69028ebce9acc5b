"""A graph in its view: what is computed goes to the browser, what is clicked comes back.

The browser gets the strongest links only (a 73-token graph has millions, and a screen shows
thousands), but sums over all of them, so shares and errors are right. While a graph computes
the buffer is sent again a few times a second, at most as often as it can be packed.
"""

from __future__ import annotations

import threading
from dataclasses import asdict
from typing import Any

import numpy as np

from ..attribution.graph import Graph
from ..attribution.scores import (
    Scores,
    cumulative_influence,
    node_influence,
    normalised,
    row_sums,
    scores,
)
from ..attribution.table import ERROR, GraphTable
from .graph_check import Answers
from .graph_meaning import own_labels
from .graph_view import SHARED, GraphView
from .wire import pack

MAX_LINKS = 200_000


def show(graph: Graph) -> GraphView:
    """The view of a graph, filled now and whenever the graph changes."""
    notes = graph.notes
    view = GraphView(status=_status(graph))
    view.on_cancel = graph.cancel
    view.answers = Answers(graph, view)
    sent: tuple[object, ...] = ()

    # Called from the computing thread, and once from here: one buffer at a time.
    lock = threading.Lock()

    def changed() -> None:
        nonlocal sent
        with lock:
            table, control = graph.so_far, graph.control
            now = (table, control, graph.state)
            if table is not None and now != sent:
                named, sent = sent[-1:] == ("done",), now
                view.data = pack_table(table, control, complete=graph.state == "done")
                if graph.state == "done" and not named:
                    view.labels = own_labels(graph)
            view.status = _status(graph)

    def noted(change: Any) -> None:
        setattr(notes, change["name"], change["new"])

    if graph.so_far is not None:  # what came with a file
        for name in SHARED:
            setattr(view, name, getattr(notes, name))
    view.observe(noted, names=list(SHARED))
    graph.on_change(changed)
    changed()
    return view


def _status(graph: Graph) -> dict[str, Any]:
    progress, message = graph.progress
    return {"state": graph.state, "progress": progress, "message": message}


def pack_table(
    table: GraphTable,
    control: Scores | None = None,
    *,
    complete: bool = True,
    max_links: int = MAX_LINKS,
) -> bytes:
    """The buffer for a table (see docs/how-it-works/graph-on-the-wire.md).

    control: the scores of a random graph, to be shown beside this one's.
    complete: scores of a part of a graph would mislead, so they are left out.
    """
    size = np.abs(table.weight)
    share = normalised(table.ptr, table.weight)
    flow = node_influence(table, share)
    from_errors = size * (table.kind[table.source] == ERROR)
    ptr, source, weight = _strongest_links(table, share, max_links)
    header = {
        "prompt": table.prompt,
        "tokens": list(table.tokens),
        "n_layers": table.n_layers,
        "unit": table.unit,
        "error_name": table.error_name,
        "weight_name": "direct effect, attention frozen",
        "ids": list(table.ids),
        "names": list(table.names),
        "links_total": table.n_edges,
        "scores": asdict(scores(table, flow)) if complete else None,
        "controls": None if control is None else asdict(control),
    }
    arrays = {
        "kind": table.kind,
        "layer": table.layer,
        "position": table.position,
        "feature": table.feature,
        "activation": table.activation,
        "influence": flow,
        "cumulative": cumulative_influence(table, flow),
        "input_sum": row_sums(table.ptr, size),
        "error_input": row_sums(table.ptr, from_errors),
        "bias": np.nan_to_num(table.bias + table.hidden),
        "value": table.value,
        "probability": table.probability,
        "effect": table.effect,
        "link_ptr": ptr,
        "link_source": source,
        "link_weight": weight,
    }
    return pack(header, arrays)


def _strongest_links(
    table: GraphTable, share: np.ndarray, max_links: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The links with the largest share of their target's input, so that every node keeps its
    strongest ones; CSR by target."""
    target = np.repeat(np.arange(table.n_nodes), np.diff(table.ptr))
    if table.n_edges > max_links:
        floor = np.partition(share, -max_links)[-max_links]
        keep = share >= floor
        target, source, weight = target[keep], table.source[keep], table.weight[keep]
    else:
        source, weight = table.source, table.weight
    counts = np.bincount(target, minlength=table.n_nodes)
    return np.concatenate([[0], np.cumsum(counts)]), source, weight
