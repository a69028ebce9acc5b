"""SAEs and transcoders made, saved, loaded and run by sparsify. Runs in its environment.

    python open_sparsify.py '{"folder": ..., "inputs": ...}'

Saves an SAE, a transcoder and a skip transcoder under `folder`, opens them, and puts activations
and outputs for the inputs beside the weights, in peer.npz.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sparsify import SparseCoder, SparseCoderConfig

D, F, K = 16, 64, 6
KINDS = {
    "SAE": {},
    "transcoder": {"transcode": True},
    "skip transcoder": {"transcode": True, "skip_connection": True},
}


def main(job: dict[str, Any]) -> None:
    torch.manual_seed(0)
    x = torch.from_numpy(np.load(job["inputs"]))
    for kind, settings in KINDS.items():
        path = Path(job["folder"]) / kind / "layers.3.mlp"
        coder = SparseCoder(D, SparseCoderConfig(num_latents=F, k=K, **settings))
        with torch.no_grad():
            for parameter in coder.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.5)
        coder.save_to_disk(path)
        opened = SparseCoder.load_from_disk(path)
        with torch.no_grad():
            values, indices, _ = opened.encode(x)
            a = torch.zeros(len(x), F).scatter(-1, indices, values)
            np.savez(path / "peer.npz", a=a.numpy(), y=opened(x).sae_out.numpy())


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
