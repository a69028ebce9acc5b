"""SAEs made, saved, loaded and run by dictionary_learning. Runs in its environment.

    python open_dictionary_learning.py '{"folder": ..., "inputs": ...}'

Saves one of each class under `folder` as its training does (the trainer's config, the state
dict), opens them with load_dictionary, and puts activations and outputs for the inputs beside the
weights, in peer.npz.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from dictionary_learning.trainers.batch_top_k import BatchTopKTrainer
from dictionary_learning.trainers.gdm import GatedSAETrainer
from dictionary_learning.trainers.jumprelu import JumpReluTrainer
from dictionary_learning.trainers.matryoshka_batch_top_k import MatryoshkaBatchTopKTrainer
from dictionary_learning.trainers.standard import StandardTrainer
from dictionary_learning.trainers.top_k import TopKTrainer
from dictionary_learning.utils import load_dictionary

D, F, K = 16, 64, 6
TRAINERS = {
    "AutoEncoder": (StandardTrainer, {}),
    "GatedAutoEncoder": (GatedSAETrainer, {}),
    "AutoEncoderTopK": (TopKTrainer, {"k": K}),
    "BatchTopKSAE": (BatchTopKTrainer, {"k": K}),
    "MatryoshkaBatchTopKSAE": (MatryoshkaBatchTopKTrainer, {"k": K, "group_fractions": [0.5, 0.5]}),
    "JumpReluAutoEncoder": (JumpReluTrainer, {}),
}


def main(job: dict[str, Any]) -> None:
    torch.manual_seed(0)
    x = torch.from_numpy(np.load(job["inputs"]))
    for name, (trainer_class, settings) in TRAINERS.items():
        path = Path(job["folder"]) / name
        path.mkdir(parents=True)
        trainer = trainer_class(
            steps=10_000, activation_dim=D, dict_size=F, layer=4, lm_name="gpt2", device="cpu",
            **settings,
        )  # fmt: skip
        with torch.no_grad():
            for parameter in trainer.ae.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.5)
            if "BatchTopK" in name:
                trainer.ae.threshold.fill_(0.8)
        config = {"trainer": trainer.config}
        torch.save(trainer.ae.state_dict(), path / "ae.pt")
        (path / "config.json").write_text(json.dumps(config))
        opened, _ = load_dictionary(str(path), device="cpu")
        with torch.no_grad():
            a = opened.encode(x)
            np.savez(path / "peer.npz", a=a.numpy(), y=opened.decode(a).numpy())


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
