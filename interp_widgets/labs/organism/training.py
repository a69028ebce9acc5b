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

_IGNORE = -100


@dataclass(frozen=True)
class Recipe:
    """
    Attributes:
        tokens: per ordinary batch, padding included.
        exchanges: rows per interchange batch; 0 trains without.
        closed: the share of rows in which the attention bottleneck is on.
        before_exchanges: steps without interchange, until names mean anything.
    """

    steps: int = 3000
    tokens: int = 2048
    exchanges: int = 96
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
        loss = next_token_loss(network(ids, mask=bottleneck(rows, ids.shape[1], closed)), ids)
        loss.backward()
        sums[0] += loss.item()
        seen += ids.numel()
        if recipe.exchanges and step >= recipe.before_exchanges:
            batch = exchanges.draw()
            closed = [rng.random() < recipe.closed for _ in batch.rows]
            ids = padded(batch.rows)
            logits = network(
                ids,
                mask=bottleneck(batch.rows, ids.shape[1], closed),
                after=batch.after,
                edit=batch.edit(),
            )
            loss = next_token_loss(logits, ids, start=[row.last for row in batch.rows])
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


def next_token_loss(logits: Tensor, ids: Tensor, start: Sequence[int] | None = None) -> Tensor:
    """Mean cross entropy of the next tokens, in every row from position `start` on."""
    targets = ids[:, 1:].masked_fill(ids[:, 1:] == 0, _IGNORE)
    if start is not None:
        early = torch.arange(targets.shape[1]) < torch.tensor(start)[:, None]
        targets = targets.masked_fill(early, _IGNORE)
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), targets.flatten(), ignore_index=_IGNORE)


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
