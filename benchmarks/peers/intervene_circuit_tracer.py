"""Interventions by circuit-tracer, timed in plain forward passes. Runs in the peer's environment.

    python intervene_circuit_tracer.py '{"model": ..., "transcoders": ..., "prompt": ..., ...}'

Writes the logits to an .npz file and prints the ratios as the last line, as JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cases.meter import one_thread
from cases.turns import in_plain_passes
from circuit_tracer import ReplacementModel
from circuit_tracer.transcoder.single_layer_transcoder import load_transcoder_set


def main(job: dict[str, Any]) -> None:
    one_thread()
    torch.set_grad_enabled(False)
    device, folder = torch.device("cpu"), Path(job["transcoders"])
    paths = {i: str(folder / f"layer_{i}.safetensors") for i in range(job["n_layers"])}
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
    ids = torch.tensor(job["tokens"])
    logits: dict[str, np.ndarray] = {}

    def intervene(name: str, interventions: list[Any], options: dict[str, Any]) -> None:
        if "constrained_layers" in options:
            options = options | {"constrained_layers": range(job["n_layers"])}
        # Given ids instead of text, the nnsight backend fails with attention free.
        out, _ = model.feature_intervention(
            job["prompt"], interventions, **({"return_activations": False} | options)
        )
        logits[name] = out[0].numpy()

    work: dict[str, Callable[[], Any]] = {}
    for name, (interventions, options) in job["interventions"].items():
        work[name] = lambda n=name, i=interventions, o=options: intervene(n, i, o)

    def plain() -> Any:
        return model._model(input_ids=ids[None], use_cache=False)

    _, shares = in_plain_passes(plain, work, job["repeat"])
    np.savez(job["logits"], **logits)
    print(json.dumps(shares))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
