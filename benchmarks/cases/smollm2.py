"""SmolLM2-135M with seeded random transcoders: a case that any machine can rebuild.

Random features explain nothing, but what a graph costs depends on how many features are active
and where, not on what they mean. Encoder rows are Gaussian; each layer's bias is set so that
`ACTIVE` features per token are active on the prompt; decoders are scaled so that together the
features are as large as what the MLP wrote.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from torch import Tensor

from interp_widgets import dictionaries
from interp_widgets.dictionaries import ReLU, Transcoders
from interp_widgets.dictionaries.layers import Layer
from interp_widgets.dictionaries.rows import Rows
from interp_widgets.models import FrozenModel, Model
from interp_widgets.models.cache import cache_folder

NAME = "smollm2-q4"
"""The one whose numbers are the same on every machine, and always in a folder."""
PROMPT = "When Mary and John went to the store, John gave"
"""12 tokens with the special one in front."""
FEATURES, ACTIVE, SEED = 2048, 28, 0
INPUT, OUTPUT = "mlp.hook_in", "mlp.hook_out"


def folder() -> Path:
    """Where the benchmarks keep what is made once."""
    path = cache_folder() / "benchmarks"
    path.mkdir(parents=True, exist_ok=True)
    return path


def transcoders(model: Model) -> Path:
    """The folder of the transcoders, in circuit-tracer's layout, written once."""
    path = folder() / f"smollm2-random-{FEATURES}-{ACTIVE}-{SEED}"
    if not (path / "config.yaml").exists():
        shutil.rmtree(path, ignore_errors=True)
        dictionaries.save(random_transcoders(model), path, "circuit-tracer")
    return path


def random_transcoders(model: Model) -> Transcoders:
    recording = model.record(PROMPT)
    frozen = FrozenModel(model, recording)
    rng = torch.Generator().manual_seed(SEED)
    layers = []
    for index in range(model.n_layers):
        read = frozen.mlp_input(index, INPUT).cpu()
        wrote = frozen.mlp_output(index, OUTPUT).cpu()
        layers.append(_layer(f"layer {index}", read, wrote, rng))
    return Transcoders(tuple(layers), INPUT, OUTPUT, "random", model.name)


def _layer(name: str, read: Tensor, wrote: Tensor, rng: torch.Generator) -> Layer:
    d = read.shape[1]
    encoder = torch.randn(FEATURES, d, generator=rng) / d**0.5
    decoder = torch.randn(FEATURES, d, generator=rng)
    # Position 0 is an attention sink with outsize values, and carries no features.
    pre = read[1:] @ encoder.T
    ranked = pre.flatten().sort(descending=True).values
    place = ACTIVE * len(pre)
    # Halfway between two values, so that rounding decides about no feature.
    bias = -(ranked[place - 1] + ranked[place]) / 2
    active = torch.relu(pre + bias)
    decoder *= wrote[1:].norm() / (active @ decoder).norm()
    return Layer(
        source=name,
        encoder=Rows.hold(encoder, name),
        decoder=Rows.hold(decoder, name),
        encoder_bias=bias.repeat(FEATURES),
        decoder_bias=torch.zeros(d),
        activation=ReLU(),
    )
