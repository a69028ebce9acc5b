"""One attribution graph by circuit-tracer, measured. Runs in the peer's environment.

    python trace_circuit_tracer.py '{"model": ..., "transcoders": ..., "tokens": [...], ...}'

Writes the graph to an .npz file and prints its cost as the last line, as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cases.meter import measured, one_thread
from circuit_tracer import ReplacementModel, attribute
from circuit_tracer.transcoder.single_layer_transcoder import load_transcoder_set


def main(job: dict[str, Any]) -> None:
    one_thread()
    device = torch.device("cpu")
    folder = Path(job["transcoders"])
    paths = {i: str(folder / f"layer_{i}.safetensors") for i in range(job["n_layers"])}
    # Eager encoder and lazy decoder are what ReplacementModel.from_pretrained chooses.
    transcoders = load_transcoder_set(
        paths,
        scan="random",
        feature_input_hook=job["input_hook"],
        feature_output_hook=job["output_hook"],
        device=device,
        lazy_encoder=False,
        lazy_decoder=True,
    )
    model = ReplacementModel.from_pretrained_and_transcoders(
        job["model"], transcoders, backend="nnsight", device=device, dtype=torch.float32
    )
    with measured() as cost:
        graph = attribute(
            job["tokens"],
            model,
            max_feature_nodes=job["max_nodes"],
            batch_size=job["batch_size"],
            update_interval=job["update_interval"],
        )
    if job.get("graph"):
        np.savez(
            job["graph"],
            features=graph.active_features[graph.selected_features].numpy(),
            adjacency=graph.adjacency_matrix.numpy(),
            outputs=graph.logit_token_ids.numpy(),
            probabilities=graph.logit_probabilities.detach().numpy(),
        )
    print(json.dumps(cost.as_dict() | {"active": len(graph.active_features)}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
