"""Whatever happens to a graph file, reading it gives a graph that works or one sentence."""

from __future__ import annotations

import copy
import json
import pathlib
import random
from typing import Any

import numpy as np
import pytest
from tiny_graphs import (
    HOSTILE,
    assert_valid,
    differences,
    peer_document,
    read_or_refused,
    tiny_notes,
    tiny_table,
)

from interp_widgets.attribution import Graph
from interp_widgets.attribution.documents import from_document, to_document
from interp_widgets.attribution.storage import load, save

JUNK: list[Any] = [
    None, True, -1, 0, 1, 2**31, 2**63, 10**400, -0.0, 0.5, 1e39, float("nan"), float("inf"),
    "", "0_7_1", "E", "nan", HOSTILE, "\0", "9" * 5000, [], {}, [[]], ["0_7_1"], {"a": []},
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything inside a JSON value."""
    out = []
    items = value.items() if isinstance(value, dict) else ()
    for key, inner in enumerate(value) if isinstance(value, list) else items:
        out += [(*path, key), *places(inner, (*path, key))]
    return out


def damage(document: Any, draw: random.Random) -> None:
    """Remove, replace, repeat or rename one thing somewhere."""
    *steps, last = draw.choice(places(document))
    at = document
    for step in steps:
        at = at[step]
    what = draw.random()
    if what < 0.2:
        del at[last]
    elif what < 0.3 and isinstance(at, list):
        at.append(copy.deepcopy(at[last]))
    elif what < 0.4 and isinstance(at, list):
        draw.shuffle(at)
    elif what < 0.5 and isinstance(at, dict):
        at[draw.choice(["node_id", "layer", "feature", "x", "source"])] = at.pop(last)
    else:
        at[last] = copy.deepcopy(draw.choice(JUNK))


def repr_of(document: Any) -> str:
    """Everything in a document that has no huge integers, to see that it was left alone."""
    try:
        return repr(document)
    except ValueError:
        return ""


def own() -> Any:
    table = tiny_table()
    assert table.cumulative is not None
    return to_document(
        table, tiny_notes(), None, None, table.cumulative, slug="own", node_threshold=0.8
    )


@pytest.mark.parametrize("maker", [peer_document, own])
@pytest.mark.parametrize("seed", range(10))
def test_a_damaged_graph_works_or_is_refused(maker: Any, seed: int, tmp_path: pathlib.Path) -> None:
    draw = random.Random(seed)
    for _ in range(60):
        document = json.loads(json.dumps(maker()))
        for _ in range(draw.choice([1, 1, 2, 5])):
            damage(document, draw)
        before = repr_of(document)
        read = read_or_refused(from_document, document, "The graph document: ")
        assert repr_of(document) == before
        if read is None:
            continue
        table, notes = read
        assert_valid(table, notes)
        graph = Graph(table, notes)
        assert np.isfinite(graph.influence).all()
        again, again_notes = from_document(graph.to_json(node_threshold=1, edge_threshold=1))
        # `notes` and metadata that is no object are cleaned up by the first reading.
        assert set(differences(table, again)) <= {"settings", "cumulative"}
        assert again_notes.pinned == notes.pinned
        assert again_notes.groups == notes.groups
        graph.to_json()
        save(table, notes, tmp_path / "graph")
        assert differences(load(tmp_path / "graph")[0], table) in ([], ["settings"])


@pytest.mark.parametrize("seed", range(10))
def test_damaged_bytes_work_or_are_refused(seed: int) -> None:
    draw = random.Random(seed)
    whole = json.dumps(own() if seed % 2 else peer_document()).encode()
    for _ in range(60):
        damaged = bytearray(whole)
        if draw.random() < 0.3:
            del damaged[draw.randrange(len(damaged)) :]
        for _ in range(draw.choice([0, 1, 2, 10])):
            if damaged:
                damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        read = read_or_refused(from_document, bytes(damaged), "The graph document: ")
        if read:
            assert_valid(*read)
