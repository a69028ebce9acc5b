"""Pins, groups, labels and settings of a graph file, in the forms viewers have written them."""

from __future__ import annotations

import json
from typing import Any

from ..errors import GraphFileError
from ..notes import Notes
from ..table import FEATURE
from .fields import lenient_integer, optional_number, optional_object, shown, texts
from .links import Places
from .naming import FEATURE_TYPES, GENERATOR, NO_SCAN, sanitised
from .nodes import FileNode

_UNDERSTOOD = ("slug", "scan", "prompt_tokens", "prompt", "node_threshold", "schema_version")
# Far below the interpreter's limit, so that what was read can be copied and written again.
_DEEPEST = 50
_PARAMS = ("pinnedIds", "supernodes", "clickedId", "clerps", "pruningThreshold")


def read_notes(
    document: dict[str, Any],
    metadata: dict[str, Any],
    ours: dict[str, Any],
    nodes: list[FileNode],
    places: Places,
    remarks: list[str],
) -> Notes:
    params = optional_object(document.get("qParams"))
    known = {file_id: nodes[i].id for file_id, i in places.of_id.items()}
    known |= {n.id: n.id for n in nodes}
    # Anthropic's viewer pins by jsNodeId, which in circuit-tracer's files is not unique.
    counts: dict[str, int] = {}
    for node in nodes:
        counts[node.js_id] = counts.get(node.js_id, 0) + 1
    for node in nodes:
        if counts[node.js_id] == 1:
            known.setdefault(node.js_id, node.id)
    unknown: dict[str, None] = {}

    def resolve(ids: list[Any]) -> list[str]:
        out = []
        for id in ids:
            if isinstance(id, str) and id in known:
                out.append(known[id])
            elif id != "":
                unknown[shown(id)] = None
        return list(dict.fromkeys(out))

    pinned = resolve(_list(params.get("pinnedIds"), "qParams.pinnedIds", remarks))
    groups = []
    for group in _list(params.get("supernodes"), "qParams.supernodes", remarks):
        if not isinstance(group, list) or not group or not isinstance(group[0], str):
            remarks.append("A supernode was dropped: it is not a list that begins with a name.")
            continue
        members = resolve(group[1:])
        if members or len(group) == 1:
            groups.append([group[0], *members])
    clicked = params.get("clickedId")
    clicked = clicked if isinstance(clicked, str) else ""
    selected = [known[i] for i in texts(ours.get("selected")) if i in known]
    if (selected[-1] if selected else "") != known.get(clicked, ""):
        # Another program has saved since: its click is the newer one.
        selected = [known[clicked]] if clicked in known else []

    labels = {n.id: n.label for n in nodes if n.label is not None}
    of_number: dict[int, list[str]] = {}
    for node in nodes:
        if node.kind == FEATURE and node.number is not None and node.number >= 0:
            of_number.setdefault(node.number, []).append(node.id)
    for key, label in _clerps(params.get("clerps"), remarks):
        if isinstance(key, str) and key in known:
            labels[known[key]] = label
        else:
            labels |= dict.fromkeys(of_number.get(lenient_integer(key, -1), []), label)
    if unknown:
        some = ", ".join(list(unknown)[:3])
        remarks.append(f"Pinned or grouped ids that name no node: {len(unknown)} ({some}).")
    return Notes(selected, pinned, groups, labels, _threshold(params, ours, metadata))


def _threshold(params: dict[str, Any], ours: dict[str, Any], metadata: dict[str, Any]) -> float:
    # A viewer's slider, saved as text or number, is newer than what the file started with.
    slider = params.get("pruningThreshold")
    if isinstance(slider, str):
        try:
            slider = float(slider)
        except ValueError:
            slider = None
    for given in (slider, ours.get("threshold"), metadata.get("node_threshold")):
        threshold = optional_number(given)
        if 0 <= threshold <= 1:
            return threshold
    return Notes().threshold


def _list(value: Any, where: str, remarks: list[str]) -> list[Any]:
    """A list; circuit-tracer's Save writes lists as JSON text or joined by commas."""
    if isinstance(value, list):
        return value
    if value is None or value == "":
        return []
    if isinstance(value, str):
        if not value.lstrip().startswith("["):
            return [part.strip() for part in value.split(",")]
        try:
            inner = json.loads(value)
        except (ValueError, RecursionError):
            inner = None
        if isinstance(inner, list):
            return inner
    remarks.append(f"{where} was dropped: it is not a list.")
    return []


def _clerps(value: Any, remarks: list[str]) -> list[tuple[Any, str]]:
    """Labels that circuit-tracer's viewer saved: [[feature number or id, label], ...]."""
    pairs = []
    for pair in _list(value, "qParams.clerps", remarks):
        if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[1], str):
            pairs.append((pair[0], pair[1]))
        else:
            remarks.append("A label was dropped: it is not a pair of a node and a text.")
    return pairs


def read_settings(
    document: dict[str, Any],
    metadata: dict[str, Any],
    ours: dict[str, Any],
    nodes: list[FileNode],
    remarks: list[str],
) -> dict[str, Any]:
    """What is known about how the graph was made, and what of the file we do not understand."""
    settings = dict(optional_object(ours.get("settings")))
    rest = {k: v for k, v in metadata.items() if k not in _UNDERSTOOD}
    for field in ("info", "feature_details"):
        if isinstance(rest.get(field), dict):
            inner = dict(rest[field])
            source_set = inner.pop("neuronpedia_source_set", None)
            if isinstance(source_set, str) and source_set:
                settings["source_set"] = source_set
            if inner.get("generator") == GENERATOR:
                del inner["generator"]
            rest[field] = inner
        elif field in rest:
            del rest[field]
    rest = {k: v for k, v in rest.items() if v not in ({}, [], None)}
    params = optional_object(document.get("qParams"))
    usual = {"linkType": "both", "sg_pos": ""}
    params = {k: v for k, v in params.items() if k not in _PARAMS and v != usual.get(k)}
    settings |= {"metadata": rest} if rest else {}
    settings |= {"qParams": params} if params else {}
    if isinstance(metadata.get("slug"), str) and metadata["slug"]:
        settings["slug"] = metadata["slug"]
    types = {n.id: n.feature_type for n in nodes if n.feature_type not in FEATURE_TYPES}
    settings |= {"feature_types": types} if types else {}
    if _depth(settings) > _DEEPEST:
        raise GraphFileError(
            "metadata is nested too deeply for a graph: take out what is not needed."
        )
    if remarks:
        settings["notes"] = [*texts(settings.get("notes")), *remarks]
    return settings


def _depth(value: Any) -> int:
    """How deeply lists and objects are nested, counted level by level."""
    depth, level = 0, [value]
    while level and depth <= _DEEPEST:
        depth += 1
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                inner += item.values()
            elif isinstance(item, list):
                inner += item
        level = inner
    return depth


def read_scan(metadata: dict[str, Any], ours: dict[str, Any]) -> str:
    """Which dictionary the graph is over; our own field has what addresses do not allow."""
    written, exact = metadata.get("scan"), ours.get("scan")
    if isinstance(exact, str) and written == sanitised(exact, NO_SCAN):
        return exact
    return written if isinstance(written, str) else ""
