"""TopK training steps by one tool, on request. Runs in that tool's environment.

    python train_topk.py TOOL '{"data": ..., "held_out": ..., "features": 4096, "k": 32, ...}'

Each line of standard input is a request, each answer one line of JSON:

    time N     N steps of a dictionary kept for this; CPU seconds of each
    train N    N steps of a fresh dictionary; its FVU on the last vectors it saw and on held-out ones

A step is what the tool's own trainer does with a batch, from activations to the update, with its
initialisation, its optimiser (Adam) and its bookkeeping. The learning rate is the same for all: the
job's, falling linearly to 0 over the last fifth.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

BATCH, SEED = 1024, 0


class Tool(Protocol):
    def step(self, x: Tensor, lr: float) -> None: ...

    def reconstruct(self, x: Tensor) -> Tensor: ...


class Ours:
    def __init__(self, job: dict[str, Any], first: Tensor) -> None:
        from interp_widgets.dictionaries.training import recipes, sae
        from interp_widgets.dictionaries.training.trainee import Moment, make
        from interp_widgets.models.places import Place

        self.moment = Moment
        spec = sae(Place(0, "resid_post"), job["features"], recipes.TopK(job["k"]))
        self.trainee = make(spec, first.shape[1], first.shape[1], seed=SEED)
        generator = torch.Generator().manual_seed(SEED)
        self.trainee.initialise([first], [first], generator)
        self.seen = 0

    def step(self, x: Tensor, lr: float) -> None:
        self.trainee.step([x], [x], self.moment(lr=lr, tokens_seen=self.seen))
        self.seen += len(x)

    def reconstruct(self, x: Tensor) -> Tensor:
        return self.trainee.dictionary("benchmark").reconstruct(x)


class Sparsify:
    """sparsify/trainer.py, with optimizer="adam" and without a model."""

    def __init__(self, job: dict[str, Any], first: Tensor) -> None:
        from sparsify import SparseCoderConfig
        from sparsify.sparse_coder import SparseCoder

        torch.manual_seed(SEED)
        config = SparseCoderConfig(num_latents=job["features"], k=job["k"])
        self.coder = SparseCoder(first.shape[1], config)
        self.coder.b_dec.data = first.mean(0)
        self.adam = torch.optim.Adam(self.coder.parameters())
        self.since_fired = torch.zeros(job["features"], dtype=torch.long)

    def step(self, x: Tensor, lr: float) -> None:
        self.coder.set_decoder_norm_to_unit_norm()
        variance = (x - x.mean(0)).pow(2).sum()
        out = self.coder(x=x, y=x, dead_mask=None, total_variance=variance)
        fired = torch.zeros_like(self.since_fired, dtype=torch.bool)
        fired[out.latent_indices.flatten()] = True
        float(out.fvu.detach())
        (out.fvu + out.multi_topk_fvu / 8).backward()
        self.coder.remove_gradient_parallel_to_decoder_directions()
        self.adam.param_groups[0]["lr"] = lr
        self.adam.step()
        self.adam.zero_grad()
        self.since_fired += len(x)
        self.since_fired[fired] = 0

    def reconstruct(self, x: Tensor) -> Tensor:
        return self.coder(x).sae_out


class DictionaryLearning:
    def __init__(self, job: dict[str, Any], first: Tensor) -> None:
        from dictionary_learning.trainers.top_k import TopKTrainer

        self.trainer = TopKTrainer(
            steps=10**9,
            activation_dim=first.shape[1],
            dict_size=job["features"],
            k=job["k"],
            layer=0,
            lm_name="none",
            lr=1.0,
            warmup_steps=0,
            seed=SEED,
            device="cpu",
        )
        # Its schedule multiplies by 1; the rate is set from outside, as for the others.
        self.at = 0

    def step(self, x: Tensor, lr: float) -> None:
        self.trainer.optimizer.param_groups[0]["lr"] = lr
        self.trainer.update(self.at, x)
        self.at += 1

    def reconstruct(self, x: Tensor) -> Tensor:
        return self.trainer.ae(x)


class SAELens:
    """sae_lens/training/sae_trainer.py, _train_step."""

    def __init__(self, job: dict[str, Any], first: Tensor) -> None:
        from sae_lens.saes.sae import TrainStepInput
        from sae_lens.saes.topk_sae import TopKTrainingSAE, TopKTrainingSAEConfig

        torch.manual_seed(SEED)
        self.input = TrainStepInput
        self.sae = TopKTrainingSAE(
            TopKTrainingSAEConfig(d_in=first.shape[1], d_sae=job["features"], k=job["k"])
        )
        self.adam = torch.optim.Adam(self.sae.parameters(), betas=(0.9, 0.999))
        self.since_fired = torch.zeros(job["features"])
        self.fires = torch.zeros(job["features"])
        self.at = 0

    def step(self, x: Tensor, lr: float) -> None:
        self.sae.train()
        dead = (self.since_fired > 1000).bool()
        out = self.sae.training_forward_pass(
            step_input=self.input(
                sae_in=x,
                dead_neuron_mask=dead,
                coefficients={},
                n_training_steps=self.at,
                is_logging_step=False,
            )
        )
        with torch.no_grad():
            firing = out.feature_acts.bool().float()
            fired = firing.sum(-2).bool()
            self.since_fired += 1
            self.since_fired[fired] = 0
            self.fires += firing.sum(0)
        out.loss.backward()
        torch.nn.utils.clip_grad_norm_(self.sae.parameters(), 1.0)
        self.adam.param_groups[0]["lr"] = lr
        self.adam.step()
        self.adam.zero_grad()
        self.at += 1

    def reconstruct(self, x: Tensor) -> Tensor:
        return self.sae(x)


TOOLS = {
    "ours": Ours,
    "sparsify": Sparsify,
    "dictionary_learning": DictionaryLearning,
    "SAELens": SAELens,
}


def main(tool: str, job: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    data = torch.from_numpy(np.load(job["data"]))
    held_out = torch.from_numpy(np.load(job["held_out"]))
    timed = TOOLS[tool](job, data[: 4 * BATCH])
    answer = {"ready": torch.__version__}
    print(json.dumps(answer), flush=True)
    for line in sys.stdin:
        what, number = line.split()
        if what == "time":
            answer = {"cpu": [_timed(timed, batch) for batch in _batches(data, int(number))]}
        else:
            answer = _trained(TOOLS[tool](job, data[: 4 * BATCH]), data, held_out, int(number), job)
        print(json.dumps(answer), flush=True)


def _batches(data: Tensor, number: int) -> list[Tensor]:
    whole = len(data) // BATCH
    return [data[(i % whole) * BATCH :][:BATCH] for i in range(number)]


def _timed(tool: Tool, x: Tensor) -> float:
    start = time.process_time()
    tool.step(x, 1e-4)
    return time.process_time() - start


def _trained(
    tool: Tool, data: Tensor, held_out: Tensor, steps: int, job: dict[str, Any]
) -> dict[str, float]:
    start = time.process_time()
    for at, x in enumerate(_batches(data, steps)):
        tool.step(x, job["lr"] * min(1.0, (steps - at) / (0.2 * steps)))
    seconds = time.process_time() - start
    seen = torch.cat(_batches(data, steps)[-8:])
    return {"cpu": seconds, "fvu": _fvu(tool, seen), "held_out": _fvu(tool, held_out)}


@torch.no_grad()
def _fvu(tool: Tool, x: Tensor) -> float:
    left = torch.cat([part - tool.reconstruct(part) for part in x.split(BATCH)])
    return float(left.pow(2).sum() / (x - x.mean(0)).pow(2).sum())


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
