"""Reads the JSON graphs of circuit-tracer, Neuronpedia and ourselves into a GraphTable.

1. Parse; every complaint is one GraphFileError that names the file and the place.
2. Read nodes one by one, give each a unique id, sort them into the table's order.
3. Find the links' ends (links.py).
4. Read the notes: pins, groups and labels, which viewers have written in several forms.

Tolerant about what other programs are known to write, strict about the rest. What was dropped
or decided on the way is told in settings["notes"].
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import GraphFileError
from ..notes import Notes
from ..table import OUTPUT, GraphTable
from .fields import described, optional_object, optional_text, part, required_object, short
from .links import Places, link_table
from .naming import OURS
from .nodes import FileNode, count_layers, make_unique, order, read_node
from .notes import read_notes, read_scan, read_settings


def from_document(document: dict[str, Any] | str | bytes | Path) -> tuple[GraphTable, Notes]:
    """Read a graph.

    Args:
        document: parsed JSON, JSON text or bytes, or the path of a file (a text that does not
            begin with a brace or bracket is a path).

    Returns the graph and what a user did to it. `table.cumulative` has the influence scores of
    the file, if any.
    Raises GraphFileError.
    """
    if isinstance(document, str) and document.lstrip("\ufeff \t\r\n")[:1] not in ("{", "["):
        document = Path(document)
    where = short(document.name) if isinstance(document, Path) else "The graph document"
    try:
        return _read(_parsed(document))
    except GraphFileError as error:
        raise GraphFileError(f"{where}: {error}") from None


def _parsed(document: dict[str, Any] | str | bytes | Path) -> dict[str, Any]:
    content: Any = document
    try:
        if isinstance(content, Path):
            content = content.read_bytes()
        if isinstance(content, bytes):
            content = content.decode("utf-8-sig")
        if isinstance(content, str):
            content = json.loads(content.removeprefix("\ufeff"))
    except OSError as error:
        raise GraphFileError(
            f"the file cannot be read ({error.strerror or error}): check the path."
        ) from None
    except RecursionError:
        raise GraphFileError("this is nested too deeply for a graph: check the file.") from None
    except ValueError as error:
        raise GraphFileError(
            f"this is not JSON ({error}): give a graph file of circuit-tracer or Neuronpedia."
        ) from None
    if not isinstance(content, dict):
        raise GraphFileError(
            f"this is {described(content)} where an object with metadata, nodes and links should be: "
            "give a graph file of circuit-tracer or Neuronpedia."
        )
    return content


def _read(document: dict[str, Any]) -> tuple[GraphTable, Notes]:
    metadata = part(document, "metadata", dict)
    nodes = [required_object(n, f"nodes[{i}]") for i, n in enumerate(part(document, "nodes", list))]
    links = part(document, "links", list)
    ours = optional_object(document.get(OURS))
    tokens = _tokens(metadata)
    remarks: list[str] = []

    read = [read_node(node, i, tokens) for i, node in enumerate(nodes)]
    collided = make_unique(read)
    n_layers = count_layers(read, ours)
    for node in read:
        if node.kind == OUTPUT:
            node.layer = n_layers
    read.sort(key=order)
    kind = np.array([n.kind for n in read], dtype=np.uint8)
    layer = np.array([n.layer for n in read], dtype=np.int16)
    places = _places(read, collided)
    ptr, source, weight = link_table(links, places, layer, remarks)

    def column(name: str) -> NDArray[np.float32]:
        return np.array([getattr(n, name) for n in read], dtype=np.float32)

    target_weight = column("target_weight")
    outputs = kind == OUTPUT
    if not ours and outputs.any() and not target_weight.any():
        # Without probabilities the outputs weigh the same: a graph needs some to have influence.
        target_weight[outputs] = 1 / outputs.sum()
    cumulative = column("cumulative")
    notes = read_notes(document, metadata, ours, read, places, remarks)
    prompt = metadata.get("prompt")
    table = GraphTable(
        prompt=prompt if isinstance(prompt, str) else "".join(tokens),
        tokens=tokens,
        n_layers=n_layers,
        unit=optional_text(ours.get("unit"), "feature"),
        error_name=optional_text(ours.get("error_name"), "unexplained"),
        scan=read_scan(metadata, ours),
        model=optional_text(ours.get("model"), ""),
        ids=tuple(n.id for n in read),
        names=tuple(n.name for n in read),
        kind=kind,
        layer=layer,
        position=np.array([n.position for n in read], dtype=np.int32),
        feature=np.array([n.feature for n in read], dtype=np.int32),
        activation=column("activation"),
        value=column("value"),
        bias=column("bias"),
        hidden=column("hidden"),
        probability=column("probability"),
        effect=column("effect"),
        target_weight=target_weight,
        ptr=ptr,
        source=source,
        weight=weight,
        settings=read_settings(document, metadata, ours, read, remarks),
        cumulative=None if np.isnan(cumulative).all() else cumulative,
    )
    return table, notes


def _places(nodes: list[FileNode], collided: list[tuple[FileNode, FileNode]]) -> Places:
    place = {id(node): i for i, node in enumerate(nodes)}
    of_id = {n.file_id: i for i, n in enumerate(nodes)}
    error_of = {}
    for feature, error in collided:
        of_id[feature.file_id] = place[id(feature)]
        error_of[feature.file_id] = place[id(error)]
    return Places(of_id, error_of)


def _tokens(metadata: dict[str, Any]) -> tuple[str, ...]:
    tokens = metadata.get("prompt_tokens")
    if not isinstance(tokens, list) or not all(isinstance(t, str) for t in tokens):
        raise GraphFileError(
            "metadata.prompt_tokens is not a list of texts: give the tokens of the prompt."
        )
    return tuple(tokens)
