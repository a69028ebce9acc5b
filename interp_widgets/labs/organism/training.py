"""Trains the organism: next-token loss on the corpus plus interchange batches, Muon and Adam.

Documents are isolated because each is a row of its own; a batch holds rows of nearly equal length,
so that little is padding. The learning rate warms up shortly and decays linearly over the last
45% of the steps. All randomness comes from the seed: two runs on the same machine with the same
number of threads give identical weights.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedTokenizerFast

from .corpus import CONTEXT, documents
from .documents import Encoder, Row
from .interchange import Exchanges, bottleneck
from .muon import MuonWithAdam
from .network import Llama, Shape

OTHERS = 0.3
"""How much a token counts that is no answer."""


@dataclass(frozen=True)
class Recipe:
    """
    Attributes:
        tokens: per ordinary batch, padding included.
        exchanges: rows per interchange batch; 0 trains without.
        closed: the share of rows in which the attention bottleneck is on.
        before_exchanges: steps without interchange, until names mean anything.
    """

    steps: int = 2400
    tokens: int = 1792
    exchanges: int = 84
    closed: float = 0.5
    before_exchanges: int = 50
    warmup: int = 50
    decay: float = 0.45
    layers: int = 5
    seed: int = 0

    def scale(self, step: int) -> float:
        """What the learning rates are multiplied with at a step."""
        left = (self.steps - step) / (self.decay * self.steps)
        return min(1.0, (step + 1) / self.warmup, left)


def train(
    tokenizer: PreTrainedTokenizerFast, recipe: Recipe, report: Callable[[str], None]
) -> Llama:
    """The trained network, in evaluation mode; `report` gets a line every hundred steps."""
    rng = Random(recipe.seed)
    torch.manual_seed(recipe.seed)
    network = Llama(Shape(len(tokenizer), layers=recipe.layers, context=CONTEXT), recipe.seed)
    encoder = Encoder(tokenizer)
    optimizer = MuonWithAdam(network)
    batches = _batches(encoder, recipe, rng)
    exchanges = Exchanges(encoder, rng, recipe.exchanges)
    start, seen, sums = time.monotonic(), 0, [0.0, 0.0]
    for step in range(recipe.steps):
        rows = next(batches)
        closed = [rng.random() < recipe.closed for _ in rows]
        ids = padded(rows)
        mask = bottleneck(rows, ids.shape[1], closed)
        loss = next_token_loss(network(ids, mask=mask), rows, ids)
        loss.backward()
        sums[0] += loss.item()
        seen += ids.numel()
        if recipe.exchanges and step >= recipe.before_exchanges:
            batch = exchanges.draw()
            closed = [rng.random() < recipe.closed for _ in batch.rows]
            ids = padded(batch.rows)
            logits = batch.logits(network, ids, bottleneck(batch.rows, ids.shape[1], closed))
            loss = next_token_loss(logits, batch.rows, ids, behind_names=True)
            loss.backward()
            sums[1] += loss.item()
            seen += ids.numel()
        optimizer.step(recipe.scale(step))
        if (step + 1) % 100 == 0 or step + 1 == recipe.steps:
            done = step % 100 + 1
            speed = seen / (time.monotonic() - start)
            report(
                f"step {step + 1} of {recipe.steps}: loss {sums[0] / done:.3f}, with exchanges "
                f"{sums[1] / done:.3f}; {seen / 1e6:.1f}M tokens, {speed:,.0f} per second"
            )
            sums = [0.0, 0.0]
    return network.eval()


def padded(rows: Sequence[Row]) -> Tensor:
    """Ids [row, position], padded at the end with token 0, which is <pad>."""
    length = max(len(row.ids) for row in rows)
    return torch.tensor([row.ids + [0] * (length - len(row.ids)) for row in rows])


def next_token_loss(
    logits: Tensor, rows: Sequence[Row], ids: Tensor, behind_names: bool = False
) -> Tensor:
    """Weighted mean cross entropy of the next tokens.

    Answers count fully, all else OTHERS: most other tokens are either certain or chance.
    `behind_names` leaves out what comes before the end of each row's name.
    """
    targets = ids[:, 1:]
    weight = torch.where(targets == 0, 0.0, OTHERS)
    for index, row in enumerate(rows):
        for answer in row.answers:
            weight[index, answer - 1] = 1.0
        if behind_names:
            weight[index, : row.last] = 0.0
    losses = F.cross_entropy(logits[:, :-1].flatten(0, 1), targets.flatten(), reduction="none")
    return (losses * weight.flatten()).sum() / weight.sum()


def _batches(
    encoder: Encoder, recipe: Recipe, rng: Random, pool: int = 3000
) -> Iterator[list[Row]]:
    """Rows of similar length, about `recipe.tokens` tokens at a time, in random order."""
    stream = documents(recipe.seed)
    while True:
        rows = sorted((encoder.row(d) for d in islice(stream, pool)), key=lambda row: len(row.ids))
        batches: list[list[Row]] = [[]]
        for row in rows:
            if (len(batches[-1]) + 1) * len(row.ids) > recipe.tokens:
                batches.append([])
            batches[-1].append(row)
        rng.shuffle(batches)
        yield from batches
