"""The last part of the transcoder's training: what the replaced model says next.

Reconstruction errors that look small change the most probable token where a prediction hangs by a
thread, and errors of lower layers reach the encoders of upper ones. So the trained transcoder goes
on for a few steps with the divergence of the whole replaced model from the model, beside the
reconstruction of every layer (Karvonen 2025, "Revisiting end-to-end sparse autoencoder training: a
short finetune is all you need"; Braun et al. 2024). With P the model and Q the replaced model,

    loss = mean over tokens of KL(P || Q) + mean over layers of FVU

Thresholds stay, and gradients reach the features that are active.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice

import torch
from torch import Tensor

from ...dictionaries import CrossLayerTranscoder
from ...dictionaries.layers import Layer
from ...dictionaries.rows import Rows
from .corpus import documents
from .documents import Encoder
from .network import Llama
from .replacement import CrossLayer, answering, mlp_activations, replaced_logits
from .training import padded


@dataclass(frozen=True)
class Recipe:
    """
    Attributes:
        rows: documents per step.
        warmup, decay: steps until the whole learning rate, and the share of the steps in which
            it falls.
    """

    steps: int = 300
    rows: int = 96
    lr: float = 5e-4
    warmup: int = 30
    decay: float = 0.6
    seed: int = 2


def finetune(
    network: Llama,
    encoder: Encoder,
    dictionary: CrossLayerTranscoder,
    recipe: Recipe,
    report: Callable[[str], None],
) -> CrossLayerTranscoder:
    """The dictionary after its last steps; `report` gets a line every fifty."""
    network.requires_grad_(False)
    copies = tuple(_copy(layer) for layer in dictionary.to(dtype=torch.float32).layers)
    tuned = replace(dictionary, layers=copies)
    weights = [weight for layer in tuned.layers for weight in _weights(layer)]
    for weight in weights:
        weight.requires_grad_(True)
    layers = CrossLayer(tuned)
    optimizer = torch.optim.Adam(weights, lr=recipe.lr, betas=(0.9, 0.99))
    stream = documents(recipe.seed)
    start = time.monotonic()
    for step in range(recipe.steps):
        for group in optimizer.param_groups:
            left = (recipe.steps - step) / (recipe.decay * recipe.steps)
            group["lr"] = recipe.lr * min(1.0, (step + 1) / recipe.warmup, left)
        ids = padded([encoder.row(document) for document in islice(stream, recipe.rows)])
        divergence, fvu = _losses(network, layers, ids)
        optimizer.zero_grad()
        (divergence + fvu).backward()
        optimizer.step()
        if (step + 1) % 50 == 0 or step + 1 == recipe.steps:
            report(
                f"step {step + 1} of {recipe.steps}: KL {divergence.item():.4f}, "
                f"FVU {fvu.item():.4f}, {(time.monotonic() - start) / (step + 1):.1f} s a step"
            )
    for weight in weights:
        weight.requires_grad_(False)
    return tuned


def _losses(network: Llama, layers: CrossLayer, ids: Tensor) -> tuple[Tensor, Tensor]:
    """KL of the replaced model's next tokens, and the mean FVU at the model's own activations."""
    counted = answering(ids)
    with torch.no_grad():
        plain = network(ids)[counted].log_softmax(-1)
        x, y = mlp_activations(network, ids)
    replaced = replaced_logits(network, layers, ids)[counted].log_softmax(-1)
    divergence = (plain.exp() * (plain - replaced)).sum(-1).mean()
    real = ids != 0
    real[:, 0] = False
    unexplained = []
    for layer, (read, wanted) in enumerate(zip(x, y, strict=True)):
        wanted = wanted[real]
        missing = layers.predict(layer, read[real]) - wanted
        unexplained.append(missing.square().sum() / (wanted - wanted.mean(0)).square().sum())
    return divergence, torch.stack(unexplained).mean()


def _copy(layer: Layer) -> Layer:
    return replace(
        layer,
        encoder=Rows.hold(layer.encoder.whole().clone(), layer.encoder.source),
        decoder=Rows.hold(layer.decoder.whole().clone(), layer.decoder.source),
        encoder_bias=layer.encoder_bias.clone(),
        decoder_bias=layer.decoder_bias.clone(),
    )


def _weights(layer: Layer) -> list[Tensor]:
    biases = [layer.encoder_bias, layer.decoder_bias]
    return [layer.encoder.whole(), layer.decoder.whole(), *biases]
