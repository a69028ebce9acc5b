"""A graph small enough to check by hand, graph files as circuit-tracer writes them, and what
every graph must satisfy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np

from interp_widgets.attribution.errors import GraphFileError
from interp_widgets.attribution.notes import Notes
from interp_widgets.attribution.table import ERROR, FEATURE, OUTPUT, TOKEN, GraphTable, node_id

NAN = float("nan")
HOSTILE = '<img src=x onerror=alert(1)>"\'\\ \u2028 \ud800 {"a": (p=9)}'
TOKENS = ("<bos>", "Mary", HOSTILE)
LAYERS = 3

# kind, layer, position, feature, name, activation, value, bias, hidden, probability, effect, weight
NODES: list[tuple[Any, ...]] = [
    (FEATURE, 0, 1, 2, "", 1.1, 1.3, 0.1, -0.2, NAN, 0.3, 0.0),
    (FEATURE, 0, 2, 7, HOSTILE, 1e-30, 0.1, 0.0, 0.0, NAN, -0.3, 0.0),
    (FEATURE, 1, 1, 4, "names", 2.2, NAN, NAN, NAN, NAN, NAN, 0.0),
    (FEATURE, 2, 2, 100_000, "", 3.3, 16777216.0, -0.0, 1 / 3, NAN, 2e-45, 0.0),
    (ERROR, 0, 1, -1, "", NAN, NAN, NAN, NAN, NAN, NAN, 0.0),
    (ERROR, 2, 1, -1, "", NAN, NAN, NAN, NAN, NAN, NAN, 0.0),
    (TOKEN, -1, 0, 0, "<bos>", NAN, NAN, NAN, NAN, NAN, NAN, 0.0),
    (TOKEN, -1, 1, 55, "Mary", NAN, NAN, NAN, NAN, NAN, NAN, 0.0),
    (TOKEN, -1, 2, 66, HOSTILE, NAN, NAN, NAN, NAN, NAN, NAN, 0.0),
    (OUTPUT, LAYERS, 2, 9, " John", NAN, 5.5, 0.25, 0.5, 0.6, NAN, 0.6),
    (OUTPUT, LAYERS, 2, 301, "Mary − John", NAN, 4.5, 0.25, 0.5, NAN, NAN, 0.5),
    (OUTPUT, LAYERS, 2, 3, HOSTILE, NAN, NAN, NAN, NAN, 0.0, NAN, 0.0),
]
# target, source: places in NODES
EDGES = {
    (0, 7): 0.1,
    (1, 8): -7.25,
    (2, 0): 1 / 3,
    (2, 4): 1e-38,
    (2, 6): 3.3e38,
    (3, 0): 0.7,
    (3, 1): -0.7,
    (3, 4): 1.5,
    (9, 2): 1.0,
    (9, 3): 2.5,
    (9, 5): 0.125,
    (10, 3): -1e-45,
    (10, 8): 0.2,
    (11, 0): 0.3,
}


def tiny_table() -> GraphTable:
    """Twelve nodes with every kind, extreme floats and texts that would harm a careless page."""
    columns = list(zip(*NODES, strict=True))
    kind, layer, position, feature, names = columns[:5]
    floats = [np.array(column, dtype=np.float32) for column in columns[5:]]
    pairs = sorted(EDGES)
    counts = np.bincount([t for t, _ in pairs], minlength=len(NODES))
    return GraphTable(
        prompt="".join(TOKENS),
        tokens=TOKENS,
        n_layers=LAYERS,
        unit="neuron",
        error_name="other neurons",
        scan="lab/set: one",
        model="tiny/model",
        ids=tuple(node_id(*four) for four in zip(kind, layer, position, feature, strict=True)),
        names=names,
        kind=np.array(kind, dtype=np.uint8),
        layer=np.array(layer, dtype=np.int16),
        position=np.array(position, dtype=np.int32),
        feature=np.array(feature, dtype=np.int32),
        activation=floats[0],
        value=floats[1],
        bias=floats[2],
        hidden=floats[3],
        probability=floats[4],
        effect=floats[5],
        target_weight=floats[6],
        ptr=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        source=np.array([s for _, s in pairs], dtype=np.int32),
        weight=np.array([EDGES[pair] for pair in pairs], dtype=np.float32),
        settings={"max_nodes": 4, "source_set": "tiny-16k", "nested": {"list": [1, None, "a"]}},
        cumulative=np.array([k / 12 for k in range(1, 12)] + [NAN], dtype=np.float32),
    )


def tiny_notes() -> Notes:
    """Notes that use every field, one label empty, one on an output."""
    return Notes(
        selected=["0_2_1", "4_9_2"],
        pinned=["1_4_1", "E_55_1"],
        groups=[[HOSTILE, "0_2_1", "0_7_2"], ["empty"], ["", "2_error_1"]],
        labels={
            "0_2_1": HOSTILE,
            "1_4_1": "",
            "4_9_2": "John (p=0.9)",
            "E_55_1": "subject",
            "E_0_0": "",
            "0_7_2": "second",
        },
        threshold=0.65,
    )


def differences(a: GraphTable, b: GraphTable) -> list[str]:
    """Fields in which two tables differ; NaN equals NaN, and -0.0 is not 0.0."""
    out = []
    for field in fields(a):
        left, right = getattr(a, field.name), getattr(b, field.name)
        if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
            same = left.dtype == right.dtype and left.shape == right.shape
            if same and left.dtype == np.float32:
                nan = np.isnan(left) & np.isnan(right)
                same = bool((nan | (left.view(np.uint32) == right.view(np.uint32))).all())
            elif same:
                same = bool((left == right).all())
        else:
            same = type(left) is type(right) and left == right
        if not same:
            out.append(field.name)
    return out


def read_or_refused(
    read: Callable[[Any], tuple[GraphTable, Notes]], given: Any, begins: str
) -> tuple[GraphTable, Notes] | None:
    """What `read` returns, or None if it refuses in one sentence; other exceptions pass."""
    try:
        return read(given)
    except GraphFileError as error:
        message = str(error)
    assert message.startswith(begins)
    assert "\n" not in message
    assert len(message) < 500
    return None


def assert_valid(table: GraphTable, notes: Notes) -> None:
    """What the rest of the package takes for granted, checked node by node and edge by edge."""
    n = table.n_nodes
    assert len(table.ids) == len(set(table.ids)) == len(table.names) == n
    assert len(table.ptr) == n + 1
    assert table.ptr[0] == 0
    assert table.ptr[-1] == len(table.source) == len(table.weight)
    for name in ("activation", "value", "bias", "hidden", "probability", "effect"):
        assert len(getattr(table, name)) == n
        assert getattr(table, name).dtype == np.float32
        assert not np.isinf(getattr(table, name)).any()
    assert table.cumulative is None or len(table.cumulative) == n
    previous = 0
    for i in range(n):
        kind, layer = int(table.kind[i]), int(table.layer[i])
        assert previous <= kind <= OUTPUT
        previous = kind
        assert 0 <= table.position[i] < len(table.tokens)
        assert table.feature[i] >= -1
        if kind == TOKEN:
            assert layer == -1
        elif kind == OUTPUT:
            assert layer == table.n_layers
        else:
            assert 0 <= layer < table.n_layers
        for edge in range(table.ptr[i], table.ptr[i + 1]):
            assert 0 <= table.source[edge] < n
            assert table.source[edge] != i
            assert table.layer[table.source[edge]] <= layer
    assert np.isfinite(table.weight).all()
    assert np.isfinite(table.target_weight).all()
    assert (table.target_weight >= 0).all()
    json_texts = (table.prompt, table.unit, table.error_name, table.scan, table.model)
    assert all(isinstance(t, str) for t in (*json_texts, *table.tokens, *table.ids, *table.names))
    assert 0 <= notes.threshold <= 1
    for group in notes.groups:
        assert group
    marked = [*notes.selected, *notes.pinned, *notes.labels]
    marked += [id for group in notes.groups for id in group[1:]]
    assert all(isinstance(text, str) for text in [*marked, *notes.labels.values()])


# --- files as circuit-tracer writes them ------------------------------------------------------


def peer_node(kind: int, layer: int, position: int, feature: int, **more: Any) -> dict[str, Any]:
    """A node as circuit-tracer 0.5 writes it, for a model of three layers."""
    total = layer + feature
    if kind == FEATURE:
        id, number, where = (
            f"{layer}_{feature}_{position}",
            total * (total + 1) // 2 + feature,
            layer,
        )
    elif kind == ERROR:
        id, number, where = f"0_{layer}_{position}", -1, layer
    elif kind == TOKEN:
        id, number, where = f"E_{feature}_{position}", position, "E"
    else:
        id, number, where = f"{LAYERS + 1}_{feature}_{position}", feature, LAYERS + 1
    types = ("cross layer transcoder", "mlp reconstruction error", "embedding", "logit")
    node = {
        "node_id": id,
        "feature": number,
        "layer": str(where),
        "ctx_idx": position,
        "feature_type": types[kind],
        "token_prob": 0.75 if kind == OUTPUT else 0.0,
        "is_target_logit": kind == OUTPUT,
        "run_idx": 0,
        "reverse_ctx_idx": 0,
        "jsNodeId": f"{where}_{feature}-0",
        "clerp": 'Output " John" (p=0.750)' if kind == OUTPUT else "",
        "influence": 0.5,
        "activation": 2.0 if kind == FEATURE else None,
    }
    return {**node, **more}


def peer_document(**params: Any) -> dict[str, Any]:
    """A small file of circuit-tracer, without collisions; `params` go to qParams."""
    nodes = [
        peer_node(FEATURE, 0, 1, 7),
        peer_node(FEATURE, 2, 2, 14_332),
        peer_node(ERROR, 1, 1, -1),
        peer_node(TOKEN, -1, 0, 0),
        peer_node(TOKEN, -1, 1, 55),
        peer_node(OUTPUT, LAYERS, 2, 9),
    ]
    links = [
        {"source": "E_55_1", "target": "0_7_1", "weight": 0.5},
        {"source": "0_7_1", "target": "2_14332_2", "weight": -1.5},
        {"source": "0_1_1", "target": "2_14332_2", "weight": 0.25},
        {"source": "2_14332_2", "target": "4_9_2", "weight": 3.0},
    ]
    usual = {"pinnedIds": [], "supernodes": [], "linkType": "both", "clickedId": "", "sg_pos": ""}
    return {
        "metadata": {
            "slug": "peer",
            "scan": "set",
            "transcoder_list": [],
            "prompt_tokens": ["<bos>", "Mary", " and"],
            "prompt": "<bos>Mary and",
            "node_threshold": 0.7,
            "schema_version": 1,
        },
        "qParams": {**usual, **params},
        "nodes": nodes,
        "links": links,
    }
