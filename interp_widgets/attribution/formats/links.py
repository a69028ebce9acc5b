"""Links of a graph file as edges, sorted by target and then source.

circuit-tracer gives an error the id of a feature now and then. A link into such an id goes to
the feature, for errors have no inputs. Of two links out of it to the same target the first is
the feature's and the second the error's, because circuit-tracer writes sources in the order of
its nodes, features before errors. A single one is the feature's: an error of layer l feeds
later layers only, and where it could be the error's, that cannot be told; such links are counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import GraphFileError
from .fields import LARGEST, short, shown

Edges = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]


@dataclass(frozen=True)
class Places:
    """Where the nodes of a file's ids are; `error_of`: the errors among those that share one."""

    of_id: dict[str, int]
    error_of: dict[str, int]


def link_table(
    links: list[Any], places: Places, layer: NDArray[np.int16], remarks: list[str]
) -> Edges:
    """ptr, source and weight of a file's links; those between the same two nodes are summed.

    Raises GraphFileError for a link that names no node, has no finite weight or runs down.
    """
    of_id = places.of_id
    try:
        source = np.array([of_id[link["source"]] for link in links], dtype=np.int64)
        target = np.array([of_id[link["target"]] for link in links], dtype=np.int64)
        weights = [link["weight"] for link in links]
        if not set(map(type, weights)) <= {float, int}:
            raise TypeError
        weight = np.array(weights, dtype=np.float64)
    except (KeyError, TypeError, OverflowError):
        raise _first_fault(links, of_id) from None
    if places.error_of:
        _give_to_errors(links, places, source, target, layer, remarks)

    n = len(layer)
    step = layer[target].astype(np.int32) - layer[source]
    wrong = np.flatnonzero((step < 0) | (source == target))
    if len(wrong):
        i = int(wrong[0])
        raise GraphFileError(
            f"links[{i}] runs from {_ends(links[i])}, against the order of computation: "
            "remove it or correct the nodes' layers."
        )
    if not step.all():
        count = int((step == 0).sum())
        remarks.append(f"Links within a layer, which count in influence only in part: {count}.")

    key = target * n + source
    order = np.argsort(key, kind="stable")
    key, weight = key[order], weight[order]
    starts = np.flatnonzero(np.diff(key, prepend=-1))
    if len(starts) < len(key):
        remarks.append(f"Repeated links, added to the first ones: {len(key) - len(starts)}.")
        weight = np.add.reduceat(weight, starts)
        order, key = order[starts], key[starts]
    with np.errstate(over="ignore"):
        single = weight.astype(np.float32)
    wrong = np.flatnonzero(~np.isfinite(single))
    if len(wrong):
        i = int(order[wrong[0]])
        raise _no_weight(i, links[i])
    counts = np.bincount(key // max(n, 1), minlength=n)
    ptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return ptr, (key % max(n, 1)).astype(np.int32), single


def _give_to_errors(
    links: list[Any],
    places: Places,
    source: NDArray[np.int64],
    target: NDArray[np.int64],
    layer: NDArray[np.int16],
    remarks: list[str],
) -> None:
    """Decide which links out of shared ids are the error's; changes `source`."""
    of_pair: dict[tuple[int, int], list[int]] = {}
    error_at = {places.of_id[id]: error for id, error in places.error_of.items()}
    shared = np.flatnonzero(np.isin(source, list(error_at)))
    for i in shared.tolist():
        of_pair.setdefault((int(source[i]), int(target[i])), []).append(i)
    ambiguous = 0
    for (at, to), same in of_pair.items():
        error = error_at[at]
        if layer[to] <= layer[error]:
            continue
        if len(same) == 1:
            ambiguous += 1
        source[same[1:]] = error
    remarks.append(
        f"Ids that stood for a feature and an error: {len(error_at)}; links from them that could "
        f"be either's and were given to the feature: {ambiguous}."
    )


def _first_fault(links: list[Any], of_id: dict[str, int]) -> GraphFileError:
    for i, link in enumerate(links):
        if not isinstance(link, dict):
            return GraphFileError(f"links[{i}] is not an object: give source, target and weight.")
        for end in ("source", "target"):
            id = link.get(end)
            if not isinstance(id, str):
                return GraphFileError(f"links[{i}] has no {end}: name a node.")
            if id not in of_id:
                return GraphFileError(
                    f"links[{i}] runs from {_ends(link)}, but no node is called {short(id)}: "
                    "add the node or remove the link."
                )
        weight = link.get("weight")
        if isinstance(weight, bool) or not isinstance(weight, (int, float)):
            return _no_weight(i, link)
        if not abs(weight) < LARGEST:
            return _no_weight(i, link)
    return GraphFileError("links cannot be read: give source, target and weight each.")


def _no_weight(i: int, link: dict[str, Any]) -> GraphFileError:
    return GraphFileError(
        f"links[{i}] from {_ends(link)} has no finite weight: give a number, or remove the link."
    )


def _ends(link: dict[str, Any]) -> str:
    return f"{shown(link.get('source'))} to {shown(link.get('target'))}"
