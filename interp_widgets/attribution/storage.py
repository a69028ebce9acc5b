"""Graphs as one safetensors file: every array as it is, everything else as JSON beside them.

Numbers only: nothing in such a file is ever executed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from ..files import write_whole
from .errors import GraphFileError
from .formats.fields import optional_object, texts
from .formats.plain import plain
from .notes import Notes
from .table import OUTPUT, GraphTable

_FORMAT = "interp_widgets.graph"
_VERSION = "1"
_TEXTS = ("prompt", "unit", "error_name", "scan", "model")
_OF_NODES = {
    "kind": np.uint8,
    "layer": np.int16,
    "position": np.int32,
    "feature": np.int32,
    "activation": np.float32,
    "value": np.float32,
    "bias": np.float32,
    "hidden": np.float32,
    "probability": np.float32,
    "effect": np.float32,
    "target_weight": np.float32,
}
_OF_EDGES = {"source": np.int32, "weight": np.float32}


def save(table: GraphTable, notes: Notes, path: Path) -> Path:
    """Write a graph and its notes to `path`; returns the path. Raises OSError."""
    path = Path(path)
    arrays = {
        name: np.ascontiguousarray(getattr(table, name), dtype=dtype)
        for name, dtype in {**_OF_NODES, **_OF_EDGES, "ptr": np.int64}.items()
    }
    if table.cumulative is not None:
        arrays["cumulative"] = np.ascontiguousarray(table.cumulative, dtype=np.float32)
    about = {name: getattr(table, name) for name in _TEXTS}
    about |= {
        "n_layers": table.n_layers,
        "tokens": list(table.tokens),
        "ids": list(table.ids),
        "names": list(table.names),
        "settings": plain(table.settings),
        "notes": plain(vars(notes)),
    }
    metadata = {"format": _FORMAT, "version": _VERSION, "graph": json.dumps(about, allow_nan=False)}
    return write_whole(path, to_bytes(arrays, metadata))


def load(path: Path) -> tuple[GraphTable, Notes]:
    """Read what `save` wrote. Raises GraphFileError, naming the file."""
    path = Path(path)
    try:
        arrays, metadata = _contents(path)
        if metadata.get("format") != _FORMAT:
            raise GraphFileError(
                "these are tensors, but no graph: give a file that Graph.save wrote."
            )
        if metadata.get("version") != _VERSION:
            raise GraphFileError("a newer interp_widgets wrote this file: update the package.")
        return _graph(arrays, _about(metadata.get("graph", "")))
    except GraphFileError as error:
        raise GraphFileError(f"{path.name}: {error}") from None


def _contents(path: Path) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, str]]:
    try:
        with safe_open(path, framework="numpy") as file:
            names = [*_OF_NODES, *_OF_EDGES, "ptr", "cumulative"]
            found = set(file.keys())
            return {n: file.get_tensor(n) for n in names if n in found}, file.metadata() or {}
    except (OSError, SafetensorError, ValueError, TypeError, KeyError) as error:
        raise GraphFileError(
            f"this cannot be read as safetensors ({error}): save the graph again."
        ) from None


def _about(text: str) -> dict[str, Any]:
    try:
        about = json.loads(text)
    except (ValueError, RecursionError):
        about = None
    if not isinstance(about, dict):
        raise _damaged("its description is not JSON")
    return about


def _graph(
    arrays: dict[str, np.ndarray[Any, Any]], about: dict[str, Any]
) -> tuple[GraphTable, Notes]:
    ids = _all_texts(about, "ids")
    wanted = {name: (len(ids), dtype) for name, dtype in _OF_NODES.items()}
    n_edges = arrays["source"].size if "source" in arrays else 0
    wanted |= {name: (n_edges, dtype) for name, dtype in _OF_EDGES.items()}
    wanted["ptr"] = (len(ids) + 1, np.int64)
    if "cumulative" in arrays:
        wanted["cumulative"] = (len(ids), np.float32)
    for name, (length, dtype) in wanted.items():
        array = arrays.get(name)
        if array is None or array.dtype != dtype or array.shape != (length,):
            found = "missing" if array is None else f"{array.dtype} {list(array.shape)}"
            raise _damaged(f"{name} is {found} instead of {np.dtype(dtype)} [{length}]")
    fields: dict[str, Any] = {name: about.get(name) for name in _TEXTS}
    for name, value in fields.items():
        if not isinstance(value, str):
            raise _damaged(f"{name} is not a text")
    fields |= arrays
    table = GraphTable(
        tokens=_all_texts(about, "tokens"),
        n_layers=about["n_layers"] if type(about.get("n_layers")) is int else -1,
        ids=ids,
        names=_all_texts(about, "names"),
        settings=optional_object(about.get("settings")),
        **fields,
    )
    fault = _fault(table)
    if fault:
        raise _damaged(fault)
    return table, _notes(optional_object(about.get("notes")))


def _fault(t: GraphTable) -> str:
    """What is wrong with a table of right lengths; empty if nothing is."""
    if len(set(t.ids)) < len(t.ids):
        return "its node ids are not unique"
    if len(t.names) != len(t.ids):
        return "its names are not as many as its nodes"
    if t.ptr[0] != 0 or t.ptr[-1] != t.n_edges or (np.diff(t.ptr) < 0).any():
        return "ptr does not divide the edges among the nodes"
    for name, low, high in (
        ("source", 0, t.n_nodes - 1),
        ("kind", 0, OUTPUT),
        ("position", 0, len(t.tokens) - 1),
        ("feature", -1, 2**31 - 1),
    ):
        values = getattr(t, name)
        if len(values) and (values.min() < low or values.max() > high):
            return f"{name} is outside {low} to {high}"
    if not 0 <= t.n_layers < 2**15:
        return "n_layers is not a number of layers"
    if not np.isfinite(t.weight).all():
        return "a weight is not finite"
    if not (np.isfinite(t.target_weight) & (t.target_weight >= 0)).all():
        return "a target weight is not a share"
    if (np.diff(t.kind.astype(np.int16)) < 0).any():
        return "its nodes are not sorted by kind"
    least, most = (
        np.array([0, 0, -1, t.n_layers]),
        np.array([t.n_layers - 1] * 2 + [-1, t.n_layers]),
    )
    if ((t.layer < least[t.kind]) | (t.layer > most[t.kind])).any():
        return "layer does not fit kind"
    target = np.repeat(np.arange(t.n_nodes), np.diff(t.ptr))
    if (t.level[t.source] > t.level[target]).any() or (t.source == target).any():
        return "an edge runs against the order of computation"
    return ""


def _notes(given: dict[str, Any]) -> Notes:
    groups, labels, threshold = given.get("groups"), given.get("labels"), given.get("threshold")
    notes = Notes(selected=texts(given.get("selected")), pinned=texts(given.get("pinned")))
    if isinstance(groups, list):
        notes.groups = [names for names in map(texts, groups) if names]
    if isinstance(labels, dict):
        notes.labels = {id: label for id, label in labels.items() if isinstance(label, str)}
    if isinstance(threshold, (int, float)) and 0 <= threshold <= 1:
        notes.threshold = threshold
    return notes


def _all_texts(about: dict[str, Any], name: str) -> tuple[str, ...]:
    values = about.get(name)
    if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
        raise _damaged(f"{name} is not a list of texts")
    return tuple(values)


def _damaged(what: str) -> GraphFileError:
    return GraphFileError(f"the file is damaged ({what}): save the graph again.")
