"""One attribution graph by interp_widgets, measured, in a process of its own.

    python trace_ours.py '{"transcoders": ..., "tokens": [...], "max_nodes": 1024, ...}'

Writes the graph to an .npz file and prints its cost as the last line, as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np

from cases import smollm2
from cases.meter import measured, one_thread
from interp_widgets import dictionaries, models
from interp_widgets.attribution import GraphTable
from interp_widgets.attribution.table import FEATURE, OUTPUT
from interp_widgets.attribution.trace import trace


def main(job: dict[str, Any]) -> None:
    one_thread()
    model = models.load(smollm2.NAME, device="cpu")
    dictionary = dictionaries.load(job["transcoders"])
    first: list[float] = []
    begun = 0.0

    def offer(table: GraphTable, done: float, message: str) -> None:
        if not first and table.n_edges:
            first.append(time.process_time() - begun)

    with measured(products=job.get("products", False)) as cost:
        begun = time.process_time()
        table = trace(
            model,
            job["tokens"],
            dictionary,
            max_nodes=job["max_nodes"],
            rank_every=job.get("rank_every"),
            offer=offer if job.get("offers") else None,
        )
    if job.get("graph"):
        _save(table, job["graph"])
    active = table.settings["units_active"]
    print(json.dumps(cost.as_dict() | {"active": active, "first": first[0] if first else None}))


def _save(table: GraphTable, path: str) -> None:
    n = table.n_nodes
    adjacency = np.zeros((n, n), dtype=np.float32)
    adjacency[np.repeat(np.arange(n), np.diff(table.ptr)), table.source] = table.weight
    units, outputs = table.kind == FEATURE, table.kind == OUTPUT
    features = np.stack([table.layer, table.position, table.feature], axis=1)[units]
    np.savez(
        path,
        features=features.astype(np.int64),
        adjacency=adjacency,
        outputs=table.feature[outputs],
        probabilities=table.probability[outputs],
    )


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
