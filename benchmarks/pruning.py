"""What a new threshold costs on a large graph: the slider's work.

    python benchmarks/pruning.py

A graph of 4,096 random features on SmolLM2-135M (cases/smollm2.py), made once and kept in the
cache folder. `scores.prune` at each threshold, one thread, CPU time, median of 20, against the same
definition with dense matrices, as circuit-tracer 0.5 computes it (graph.py, prune_graph). Both
must keep the same nodes and edges; an edge may differ where its score equals the threshold's to
rounding, so differences are counted.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import torch
from cases import dense_pruning, meter, smollm2

from interp_widgets import dictionaries, models
from interp_widgets.attribution import Graph
from interp_widgets.attribution.scores import prune
from interp_widgets.attribution.trace import trace

THRESHOLDS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
NODES, GOAL = 4096, 20.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=20)
    parser.add_argument("--ours", action="store_true", help="without the dense matrices")
    args = parser.parse_args()
    meter.one_thread()
    graph = case()
    table, influence = graph.table, graph.influence
    prune(table, influence)
    print(meter.machine() + ", one thread", "", sep="\n")
    print(
        f"{table.n_nodes:,} nodes, {table.n_edges:,} edges; goal: under {GOAL:.0f} ms", "", sep="\n"
    )
    print(
        "| node threshold | nodes kept | edges kept | ours, ms | dense, ms | nodes, edges apart |"
    )
    print("|---|---|---|---|---|---|")
    matrix = None if args.ours else torch.from_numpy(graph.adjacency())
    for threshold in THRESHOLDS:
        times = []
        for _ in range(args.repeat):
            begun = time.process_time()
            kept = prune(table, influence, threshold)
            times.append(1e3 * (time.process_time() - begun))
        theirs = apart = ""
        if matrix is not None:
            begun = time.process_time()
            nodes, edges = dense_pruning.prune(matrix, table, threshold)
            theirs = f"{1e3 * (time.process_time() - begun):,.0f}"
            apart = dense_pruning.apart(kept, nodes, edges, table)
        print(
            f"| {threshold} | {kept.nodes.sum():,} | {kept.edges.sum():,} | "
            f"{statistics.median(times):.1f} | {theirs} | {apart} |",
            flush=True,
        )


def case() -> Graph:
    """The graph, made once."""
    path: Path = smollm2.folder() / f"graph-{NODES}.safetensors"
    if path.exists():
        return Graph.load(path)
    model = models.load(smollm2.NAME, device="cpu")
    dictionary = dictionaries.load(smollm2.transcoders(model))
    graph = Graph(trace(model, smollm2.PROMPT, dictionary, max_nodes=NODES))
    graph.save(path)
    return graph


if __name__ == "__main__":
    main()
