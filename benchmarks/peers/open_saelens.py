"""SAEs and transcoders made, saved, loaded and run by SAELens. Runs in its environment.

    python open_saelens.py '{"folder": ..., "inputs": ..., "open": [...]}'

Saves one of each architecture under `folder`, then opens these and the folders of `open`, each in
float32, and puts activations and outputs for the inputs beside the weights, in peer.npz.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sae_lens import SAE, BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig
from sae_lens.registry import get_sae_class
from sae_lens.saes.sae import SAEMetadata

D, F, K = 16, 64, 6
ARCHITECTURES = (
    "standard", "topk", "jumprelu", "gated", "transcoder", "skip_transcoder", "jumprelu_transcoder",
    "jumprelu_skip_transcoder",
)  # fmt: skip


def main(job: dict[str, Any]) -> None:
    torch.manual_seed(0)
    folder = Path(job["folder"])
    made = [folder / name for name in save_each(folder)]
    x = torch.from_numpy(np.load(job["inputs"]))
    for path in [*made, *map(Path, job["open"])]:
        sae = SAE.load_from_disk(path)
        with torch.no_grad():
            np.savez(path / "peer.npz", a=sae.encode(x).numpy(), y=sae(x).numpy())


def save_each(folder: Path) -> list[str]:
    names = []
    for architecture in ARCHITECTURES:
        for norm in ("none", "layer_norm", "constant_norm_rescale"):
            for rescale in (False, True):
                if (rescale and architecture != "topk") or (
                    norm != "none" and "transcoder" in architecture
                ):
                    continue
                sae = one(architecture, norm, rescale)
                name = architecture + (f", {norm}" if norm != "none" else "")
                names.append(name + (", by decoder norm" if rescale else ""))
                sae.save_model(folder / names[-1])
    config = BatchTopKTrainingSAEConfig(d_in=D, d_sae=F, k=K, metadata=about())
    batch = BatchTopKTrainingSAE(config)
    shake(batch)
    batch.topk_threshold.fill_(0.8)
    batch.save_inference_model(folder / "batchtopk, saved for inference")
    return [*names, "batchtopk, saved for inference"]


def one(architecture: str, norm: str, rescale: bool) -> Any:
    cls, config_cls = get_sae_class(architecture)
    settings: dict[str, Any] = {"d_in": D, "d_sae": F, "normalize_activations": norm}
    settings["metadata"] = about()
    if architecture == "topk":
        settings |= {"k": K, "rescale_acts_by_decoder_norm": rescale}
    if "transcoder" in architecture:
        settings |= {"d_out": D, "apply_b_dec_to_input": False}
    sae = cls(config_cls(**settings))
    shake(sae)
    return sae


def about() -> SAEMetadata:
    return SAEMetadata(
        model_name="gpt2-small",
        hook_name="blocks.4.mlp.hook_in",
        hook_name_out="blocks.4.hook_mlp_out",
    )


def shake(sae: Any) -> None:
    """Weights as after training: nothing zero, nothing normalised."""
    with torch.no_grad():
        for name, parameter in sae.named_parameters():
            noise = torch.randn_like(parameter) * 0.5
            parameter.copy_(noise.abs() if name == "threshold" else parameter + noise)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
