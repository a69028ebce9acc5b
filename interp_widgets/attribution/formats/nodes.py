"""Nodes of a graph file, one by one: what they are, where, and what they are called."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ..errors import GraphFileError
from ..table import ERROR, FEATURE, OUTPUT, TOKEN, node_id
from .fields import (
    lenient_integer,
    optional_number,
    optional_object,
    optional_text,
    required_integer,
    short,
)
from .naming import OURS, clerp_of, feature_of, kind_of, name_of, probability_in

# Layers are int16, and an output's layer is written as n_layers + 1.
MAX_LAYERS = 2**15 - 2
# Ids are put into arrays of equally long texts: one endless id would cost gigabytes.
_LONGEST_ID = 500


@dataclass(eq=False)
class FileNode:
    """A node as read; `file_id` is what links call it, `number` the file's feature number."""

    file_id: str
    js_id: str
    id: str
    kind: int
    feature_type: str
    layer: int
    position: int
    feature: int
    number: int | None
    name: str
    label: str | None
    activation: float
    value: float
    bias: float
    hidden: float
    effect: float
    probability: float
    target_weight: float
    cumulative: float


def read_node(node: dict[str, Any], i: int, tokens: tuple[str, ...]) -> FileNode:
    """One node; `i` is its place in the file. Raises GraphFileError."""
    id = node.get("node_id")
    if not isinstance(id, str) or not 0 < len(id) <= _LONGEST_ID:
        raise GraphFileError(
            f"nodes[{i}] has no node_id: give every node a text of up to {_LONGEST_ID} characters."
        )
    where = f"nodes[{i}] ({short(id)})"
    feature_type = node.get("feature_type")
    if not isinstance(feature_type, str):
        raise GraphFileError(f"{where} has no feature_type: say what it is, as text.")
    kind = kind_of(feature_type)
    position = required_integer(node.get("ctx_idx"), f"{where}.ctx_idx", 0, len(tokens) - 1)
    if kind == TOKEN:
        layer = -1
    elif kind == OUTPUT:
        # Any number past the last layer: circuit-tracer writes n_layers + 1, others n_layers.
        layer = lenient_integer(node.get("layer"), -1)
    else:
        layer = required_integer(node.get("layer"), f"{where}.layer", 0, MAX_LAYERS - 1)
    number = node.get("feature")
    if number is not None:
        number = required_integer(number, f"{where}.feature", -(2**63), 2**63)

    ours = optional_object(node.get(OURS))
    feature = lenient_integer(ours.get("feature"), feature_of(kind, layer, position, id, number))
    if not -1 <= feature < 2**31:
        # A number of another scheme; the node is told by its id alone.
        feature = -1
    clerp = optional_text(node.get("clerp"), "")
    token_prob = optional_number(node.get("token_prob"))
    probability, target_weight = math.nan, 0.0
    if kind == OUTPUT:
        # Some writers leave token_prob at 0 and say it in the label only.
        probability = token_prob if token_prob > 0 else probability_in(clerp)
        probability = token_prob if math.isnan(probability) else probability
        target_weight = probability
    if "probability" in ours:
        probability = optional_number(ours["probability"])
    if "target_weight" in ours:
        target_weight = optional_number(ours["target_weight"])
    # Neither can be negative, and -0.0 would not survive another reading.
    probability = probability + 0.0 if probability >= 0 else math.nan
    target_weight = target_weight + 0.0 if target_weight >= 0 else 0.0
    name, label = _name_and_label(ours, kind, clerp, tokens[position], token_prob)
    return FileNode(
        file_id=id,
        js_id=optional_text(node.get("jsNodeId"), id),
        id=id,
        kind=kind,
        feature_type=feature_type,
        layer=layer,
        position=position,
        feature=feature,
        number=number,
        name=name,
        label=label,
        activation=optional_number(node.get("activation")),
        value=optional_number(ours.get("value")),
        bias=optional_number(ours.get("bias")),
        hidden=optional_number(ours.get("hidden")),
        effect=optional_number(ours.get("effect")),
        probability=probability,
        target_weight=target_weight,
        cumulative=optional_number(node.get("influence")),
    )


def _name_and_label(
    ours: dict[str, Any], kind: int, clerp: str, token: str, token_prob: float
) -> tuple[str, str | None]:
    shown, name, label = name_of(kind, clerp, token), ours.get("name"), ours.get("label")
    if not isinstance(name, str):
        name = None
    if not isinstance(label, str):
        return shown if name is None else name, None
    name = name or ""
    plain_name = "" if kind == TOKEN and name == token else name
    if clerp != clerp_of(kind, label or plain_name, token_prob if token_prob > 0 else 0.0):
        # Somebody has relabelled it in another program since we wrote it.
        label = shown
    return name, label


def order(node: FileNode) -> tuple[int, int, int, int]:
    """The table's order; sorting is stable, so outputs stay as the file has them."""
    if node.kind == OUTPUT:
        return node.kind, 0, 0, 0
    feature = node.feature if node.kind == FEATURE else 0
    return node.kind, node.layer, node.position, feature


def make_unique(nodes: list[FileNode]) -> list[tuple[FileNode, FileNode]]:
    """Rename errors that share their id with a feature; those (feature, error) pairs.

    circuit-tracer's id of an error, `0_{layer}_{position}`, is also that of feature `layer` of
    layer 0.
    """
    first: dict[str, FileNode] = {}
    pairs: list[tuple[FileNode, FileNode]] = []
    shared: set[str] = set()
    for node in nodes:
        other = first.setdefault(node.id, node)
        if other is node:
            continue
        if {node.kind, other.kind} != {FEATURE, ERROR} or node.id in shared:
            raise GraphFileError(
                f"two nodes have the node_id {short(node.id)}: give every node its own."
            )
        shared.add(node.id)
        pairs.append((other, node) if node.kind == ERROR else (node, other))
    taken = set(first)
    for _, error in pairs:
        plain_id = new = node_id(ERROR, error.layer, error.position, -1)
        count = 1
        while new in taken:
            count += 1
            new = f"{plain_id}_{count}"
        taken.add(new)
        error.id = new
    return pairs


def count_layers(nodes: list[FileNode], ours: dict[str, Any]) -> int:
    """How many layers the model has, as far as a pruned graph tells."""
    least = 1 + max((n.layer for n in nodes if n.kind in (FEATURE, ERROR)), default=0)
    known = lenient_integer(ours.get("n_layers"), -1)
    if least <= known <= MAX_LAYERS:
        return known
    written = max((n.layer for n in nodes if n.kind == OUTPUT), default=-1)
    if not least <= written <= MAX_LAYERS + 1:
        return least
    # circuit-tracer writes n_layers + 1, others n_layers, which shows if the last layer is there.
    return max(written - 1, least)
