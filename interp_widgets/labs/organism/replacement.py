"""The organism's cross-layer transcoder: trained here (and in finetuning.py), and put in the place
of the MLPs.

BatchTopK (interp_widgets.dictionaries.training) on MLP inputs and outputs of the training corpus,
BOS left out: at BOS every document is the same, and values are outsize.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor
from torch.nn.functional import linear

from ...dictionaries import CrossLayerTranscoder
from ...dictionaries.training import cross_layer, recipes
from ...dictionaries.training.trainee import Moment, make
from .corpus import documents
from .documents import Encoder, Row
from .network import Llama, Mlp
from .training import padded

_ROWS = 1024  # documents per forward pass


@dataclass(frozen=True)
class Recipe:
    """
    Attributes:
        k: active features per token and layer at the end; it comes down from `k_start` over
            `k_anneal` of the steps.
    """

    steps: int = 2400
    batch: int = 2048
    n_features: int = 1152
    k: int = 10
    k_start: int = 32
    k_anneal: float = 0.4
    lr: float = 2e-3
    decay: float = 0.5
    dead_after: int = 200_000
    seed: int = 0


def train(
    network: Llama, encoder: Encoder, recipe: Recipe, report: Callable[[str], None]
) -> CrossLayerTranscoder:
    n_layers, d = network.shape.layers, network.shape.d_model
    sparse = recipes.BatchTopK(recipe.k, dead_after=recipe.dead_after)
    spec = cross_layer(n_layers, recipe.n_features, sparse, reads="mlp_in")
    trainee = make(spec, d, d, seed=recipe.seed)
    generator = torch.Generator().manual_seed(recipe.seed)
    batches = _batches(network, encoder, recipe, generator)
    x, y = next(batches)
    trainee.initialise(x, y, generator)
    start = time.monotonic()
    for step in range(recipe.steps):
        done = step / recipe.steps
        k = recipe.k + (recipe.k_start - recipe.k) * max(0.0, 1 - done / recipe.k_anneal)
        lr = recipe.lr * min(1.0, (step + 1) / 50, (1 - done) / recipe.decay)
        at = Moment(lr=lr, k=round(k), tokens_seen=step * recipe.batch)
        told = trainee.step(*next(batches), at)
        if (step + 1) % 100 == 0 or step + 1 == recipe.steps:
            speed = (step + 1) * recipe.batch / (time.monotonic() - start)
            report(
                f"step {step + 1} of {recipe.steps}: FVU {told.fvu:.4f}, L0 {told.l0:.1f}, "
                f"dead {told.dead_share:.3f}, {speed:,.0f} tokens per second"
            )
    dictionary = trainee.dictionary("organism", "organism")
    assert isinstance(dictionary, CrossLayerTranscoder)
    return dictionary


@torch.no_grad()
def mlp_activations(network: Llama, ids: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Inputs and outputs of every MLP, each [batch, position, d_model]."""
    x: list[Tensor] = []
    y: list[Tensor] = []
    with ExitStack() as stack:
        for mlp in mlps(network):

            def keep(module: object, inputs: tuple[Tensor], output: Tensor) -> None:
                x.append(inputs[0])
                y.append(output)

            handle = mlp.register_forward_hook(keep)
            stack.callback(handle.remove)
        network(ids)
    return x, y


@torch.no_grad()
def agreement(
    network: Llama, dictionary: CrossLayerTranscoder, rows: list[Row]
) -> tuple[float, int, float]:
    """How often the model with all MLPs replaced has the same most probable next token.

    The features read what the replaced model computes, and there is no error term. At BOS, which
    the dictionary never saw, the MLPs stay; the last token of a document has no next. Returns the
    share, the number of tokens, and the share with MLP outputs set to zero instead.
    """
    ids = padded(rows)
    counted = answering(ids)
    plain = network(ids).argmax(-1)
    replaced = replaced_logits(network, CrossLayer(dictionary), ids).argmax(-1)
    zeroed = _hooked_logits(network, ids, lambda index, x: 0.0)
    same = float((plain == replaced)[counted].float().mean())
    none = float((plain == zeroed.argmax(-1))[counted].float().mean())
    return same, int(counted.sum()), none


def answering(ids: Tensor) -> Tensor:
    """Where a next token is predicted, bool like ids: not at BOS, not at a document's last token."""
    real = torch.zeros_like(ids, dtype=torch.bool)
    real[:, 1:-1] = ids[:, 2:] != 0
    return real


def replaced_logits(network: Llama, layers: CrossLayer, ids: Tensor) -> Tensor:
    """Logits with every MLP output exchanged for the prediction, but at BOS."""
    return _hooked_logits(network, ids, layers.predict)


def _hooked_logits(
    network: Llama, ids: Tensor, prediction: Callable[[int, Tensor], Tensor | float]
) -> Tensor:
    """Logits with other MLP outputs, but at BOS; `prediction` gets the layer and its input."""
    first = torch.arange(ids.shape[1])[None, :, None] == 0
    with ExitStack() as stack:
        for index, mlp in enumerate(mlps(network)):

            def hook(
                module: object, inputs: tuple[Tensor], output: Tensor, index: int = index
            ) -> Tensor:
                other = torch.as_tensor(prediction(index, inputs[0]))
                return torch.where(first, output, other)

            handle = mlp.register_forward_hook(hook)
            stack.callback(handle.remove)
        return network(ids)


class CrossLayer:
    """A cross-layer transcoder in float32 that is run from the first layer to the last."""

    def __init__(self, dictionary: CrossLayerTranscoder) -> None:
        self.layers = dictionary.to(dtype=torch.float32).layers
        self.acts: dict[int, Tensor] = {}

    def encode(self, layer: int, x: Tensor) -> Tensor:
        """Activations [..., F]."""
        weights = self.layers[layer]
        return weights.activation(linear(x, weights.encoder.whole(), weights.encoder_bias))

    def predict(self, layer: int, x: Tensor) -> Tensor:
        """The MLP output of a layer; lower layers must have been predicted before."""
        self.acts[layer] = self.encode(layer, x)
        out = self.layers[layer].decoder_bias.expand_as(x)
        for source in range(layer + 1):
            decoder = self.layers[source].decoder.whole()[:, layer - source]
            out = out + self.acts[source] @ decoder
        return out


def mlps(network: Llama) -> Iterator[Mlp]:
    for block in network.layers:
        yield block.mlp  # type: ignore[misc]


def _batches(
    network: Llama, encoder: Encoder, recipe: Recipe, generator: torch.Generator
) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """Endless mixed batches of (MLP inputs, MLP outputs), one [batch, d_model] per layer."""
    stream = documents(recipe.seed + 1)
    while True:
        pool: list[list[Tensor]] = []
        for _ in range(4):
            rows = sorted((encoder.row(d) for d in islice(stream, _ROWS)), key=lambda r: len(r.ids))
            for part in (rows[: _ROWS // 2], rows[_ROWS // 2 :]):
                ids = padded(part)
                real = ids != 0
                real[:, 0] = False
                x, y = mlp_activations(network, ids)
                pool.append([t[real] for t in (*x, *y)])
        joined = [torch.cat(column) for column in zip(*pool, strict=True)]
        order = torch.randperm(len(joined[0]), generator=generator)
        for some in order.split(recipe.batch):
            if len(some) == recipe.batch:
                chosen = [t[some] for t in joined]
                half = len(chosen) // 2
                yield chosen[:half], chosen[half:]
