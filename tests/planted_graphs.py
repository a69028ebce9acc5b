"""Graphs made up edge by edge, with known answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from interp_widgets.attribution.table import FEATURE, OUTPUT, TOKEN, GraphTable, node_id

Unit = tuple[int, int, str]  # layer, position, name
N_LAYERS = 6
TOKENS = ("<bos>", "the", "capital", "of", "dallas")


def planted_table(
    units: Sequence[Unit],
    edges: Mapping[tuple[int, int], float],
    activation: Sequence[float] | None = None,
    outputs: int = 1,
) -> GraphTable:
    """Units, then tokens, then outputs.

    edges: (target, source) to weight; numbers count the units first, then the tokens, then the outputs.
    """
    m, n = len(units), len(TOKENS)
    kind = np.repeat([FEATURE, TOKEN, OUTPUT], [m, n, outputs]).astype(np.uint8)
    layer = [u[0] for u in units] + [-1] * n + [N_LAYERS] * outputs
    position = [u[1] for u in units] + list(range(n)) + [n - 1] * outputs
    feature = list(range(len(kind)))
    pairs = sorted(edges)
    counts = np.bincount([t for t, _ in pairs], minlength=len(kind))
    none = np.full(len(kind), np.nan, dtype=np.float32)
    active = none.copy()
    active[:m] = 1.0 if activation is None else activation
    weight = np.zeros(len(kind), dtype=np.float32)
    weight[-outputs:] = 1 / outputs
    four = zip(kind.tolist(), layer, position, feature, strict=True)
    return GraphTable(
        prompt=" ".join(TOKENS),
        tokens=TOKENS,
        n_layers=N_LAYERS,
        unit="feature",
        error_name="unexplained",
        scan="planted",
        model="none",
        ids=tuple(node_id(*node) for node in four),
        names=(*(u[2] for u in units), *TOKENS, *(f"answer {i}" for i in range(outputs))),
        kind=kind,
        layer=np.array(layer, dtype=np.int16),
        position=np.array(position, dtype=np.int32),
        feature=np.array(feature, dtype=np.int32),
        activation=active,
        value=none,
        bias=none,
        hidden=none,
        probability=none,
        effect=none,
        target_weight=weight,
        ptr=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        source=np.array([s for _, s in pairs], dtype=np.int32),
        weight=np.array([edges[pair] for pair in pairs], dtype=np.float32),
    )
