"""Graphs as the JSON that circuit-tracer and Neuronpedia read and write.

A document is {metadata, qParams, nodes, links}; docs/how-it-works/graph-files.md has the
fields. What the format lacks is kept in a field of our own, `interp_widgets`, at the root and
at nodes, so a graph that is written and read is the same to the last bit of float32. Other
readers skip the field.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import GraphFileError
from .formats.fields import optional_object
from .formats.naming import (
    FEATURE_TYPES,
    GENERATOR,
    NO_SCAN,
    OURS,
    clerp_of,
    feature_number,
    feature_of,
    name_of,
    sanitised,
)
from .formats.plain import plain, shortest
from .formats.reading import from_document
from .notes import Notes
from .table import OUTPUT, TOKEN, GraphTable

__all__ = ["GraphFileError", "from_document", "to_document"]


def to_document(
    table: GraphTable,
    notes: Notes,
    nodes: NDArray[np.bool_] | None,
    edges: NDArray[np.bool_] | None,
    cumulative: NDArray[np.floating],
    *,
    slug: str,
    node_threshold: float,
) -> dict[str, Any]:
    """A graph as one JSON value.

    Args:
        nodes, edges: which to write, as `scores.prune` gives them; None writes all. Edges of
            nodes that are not written, and notes about them, are left out; what such edges
            brought to a node is added to its `hidden`, so its parts still sum to its value.
        cumulative: [node], what viewers' influence sliders compare with.
        slug: name of the graph in addresses and file names.
        node_threshold: where viewers' influence sliders start.

    Raises GraphFileError for an edge weight that JSON cannot hold.
    """
    keep = np.ones(table.n_nodes, dtype=bool) if nodes is None else np.asarray(nodes, dtype=bool)
    ids = {table.ids[i] for i in np.flatnonzero(keep).tolist()}
    written = keep[_targets(table)] & keep[table.source]
    if edges is not None:
        written &= edges
    pinned = [id for id in notes.pinned if id in ids]
    selected = [id for id in notes.selected if id in ids]
    # A group that loses all its nodes goes; one that never had any stays.
    groups = [
        [name, *(id for id in members if id in ids)]
        for name, *members in notes.groups
        if not members or ids.intersection(members)
    ]
    settings = plain(table.settings)
    params = optional_object(settings.pop("qParams", None))
    return {
        "metadata": _metadata(table, settings, slug, node_threshold),
        "qParams": {
            "linkType": "both",
            "sg_pos": "",
            **params,
            "pinnedIds": pinned,
            "supernodes": groups,
            "clickedId": selected[-1] if selected else "",
        },
        "nodes": _nodes(table, notes, keep, _hidden(table, written), cumulative),
        "links": _links(table, written),
        OURS: {
            "version": 1,
            "unit": table.unit,
            "error_name": table.error_name,
            "model": table.model,
            "scan": table.scan,
            "n_layers": table.n_layers,
            "threshold": float(notes.threshold),
            "selected": selected,
            "settings": settings,
        },
    }


def _metadata(
    table: GraphTable, settings: dict[str, Any], slug: str, node_threshold: float
) -> dict[str, Any]:
    """metadata; takes out of `settings` what is written here."""
    settings.pop("slug", None)
    metadata: dict[str, Any] = optional_object(settings.pop("metadata", None))
    source_set = settings.get("source_set")
    info = {"generator": GENERATOR, **optional_object(metadata.get("info"))}
    if source_set:
        info["neuronpedia_source_set"] = source_set
        details = optional_object(metadata.get("feature_details"))
        metadata["feature_details"] = {**details, "neuronpedia_source_set": source_set}
    return {
        "transcoder_list": [],
        **metadata,
        "info": info,
        "slug": sanitised(slug, "graph"),
        "scan": sanitised(table.scan, NO_SCAN),
        "prompt_tokens": list(table.tokens),
        "prompt": table.prompt,
        "node_threshold": float(node_threshold),
        "schema_version": 1,
    }


def _nodes(
    table: GraphTable,
    notes: Notes,
    keep: NDArray[np.bool_],
    hidden: NDArray[np.floating],
    cumulative: NDArray[np.floating],
) -> list[dict[str, Any]]:
    types = optional_object(table.settings.get("feature_types"))
    influence, activation = shortest(cumulative), shortest(table.activation)
    probability, target_weight = shortest(table.probability), shortest(table.target_weight)
    extras = {
        "value": shortest(table.value),
        "bias": shortest(table.bias),
        "hidden": shortest(hidden),
        "effect": shortest(table.effect),
    }
    first_output = int(np.searchsorted(table.kind, OUTPUT))
    out: list[dict[str, Any]] = []
    for i in np.flatnonzero(keep).tolist():
        id, name = table.ids[i], table.names[i]
        kind, layer = int(table.kind[i]), int(table.layer[i])
        position, feature = int(table.position[i]), int(table.feature[i])
        token = table.tokens[position]
        number = feature_number(kind, layer, position, feature)
        # The viewers weigh outputs by token_prob; a direction has a weight without being a token.
        token_prob = (probability[i] if probability[i] is not None else target_weight[i]) or 0.0
        label = notes.labels.get(id)
        # Viewers write token nodes' labels themselves.
        shown = label or ("" if kind == TOKEN and name == token else name)
        clerp = clerp_of(kind, shown, token_prob)

        # Only what a reader would not conclude from the fields above.
        ours: dict[str, Any] = {k: v[i] for k, v in extras.items() if v[i] is not None}
        if feature_of(kind, layer, position, id, number) != feature:
            ours["feature"] = feature
        if probability[i] != (token_prob if kind == OUTPUT else None):
            ours["probability"] = probability[i]
        if target_weight[i] != (token_prob if kind == OUTPUT else 0.0):
            ours["target_weight"] = target_weight[i]
        if label is not None:
            ours["label"] = label
        if label is not None or name_of(kind, clerp, token) != name:
            ours["name"] = name
        node = {
            "node_id": id,
            "feature": number,
            "layer": "E" if kind == TOKEN else str(layer + (kind == OUTPUT)),
            "ctx_idx": position,
            "feature_type": types.get(id, FEATURE_TYPES[kind]),
            "token_prob": token_prob,
            "is_target_logit": kind == OUTPUT and i == first_output,
            "run_idx": 0,
            "reverse_ctx_idx": 0,
            # One viewer pins and groups by this field, the others by node_id.
            "jsNodeId": id,
            "clerp": clerp,
            "influence": influence[i],
            "activation": activation[i],
        }
        if ours:
            node[OURS] = ours
        out.append(node)
    return out


def _links(table: GraphTable, written: NDArray[np.bool_]) -> list[dict[str, Any]]:
    target, source = _targets(table)[written].tolist(), table.source[written].tolist()
    weights = shortest(table.weight[written])
    ids = table.ids
    if None in weights:
        i = weights.index(None)
        raise GraphFileError(
            f"The edge from {ids[source[i]]} to {ids[target[i]]} has no finite weight, which "
            "JSON cannot hold: compute the graph again, in float32 if it was in half precision."
        )
    return [
        {"source": ids[s], "target": ids[t], "weight": w}
        for s, t, w in zip(source, target, weights, strict=True)
    ]


def _hidden(table: GraphTable, written: NDArray[np.bool_]) -> NDArray[np.floating]:
    """`hidden` with what the edges that are not written brought."""
    if written.all():
        return table.hidden
    left = np.bincount(_targets(table)[~written], table.weight[~written], minlength=table.n_nodes)
    return table.hidden + left


def _targets(table: GraphTable) -> NDArray[np.intp]:
    return np.repeat(np.arange(table.n_nodes), np.diff(table.ptr))
