"""The linear pull-back: gradients of many targets, carried down the network together.

With attention patterns and norm scales frozen the model is linear in the residual stream, so
the gradient of a target with respect to the stream one block further down is

    g_pre = g_mid + sum over heads  mix_h^T (g_mid W_O_h) W_V_h

and no autograd is needed. All targets ride in one buffer of rows (position, target), from the
logits to the embedding; a target joins where it reads. Targets are ordered by position, last
first, so those that can see position q are a prefix of length counts[q], the buffer holds live
rows only, and each block costs two large matrix products.

Cost per target, position and block: 2 (d H d_h + n H d_h + K d_h d) floating-point operations
(H heads, K key-value heads of width d_h), nearly all of them in those two products.

`pull_back` yields one `Site` per place where something is written to the stream, in the order
in which the gradient arrives there: the MLP outputs from the last block to the first, then
the embedding. Edges are the gradient at a site times what was written there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..models import FrozenAttention, FrozenModel

EMBEDDING = -1


@dataclass(frozen=True)
class Targets:
    """What is explained: vector . stream, read at a block's MLP input or after the last block.

    layer: [target], n_layers for readers of the final stream; position: [target];
    vector: [target, d_model]; constant: [target], the part of the target's value that does not
    come from the stream (an encoder bias, a norm's bias).
    """

    layer: Tensor
    position: Tensor
    vector: Tensor
    constant: Tensor

    def __len__(self) -> int:
        return len(self.layer)


@dataclass(frozen=True)
class Site:
    """The gradient at one place where the stream is written.

    layer: the block whose MLP output it is, or EMBEDDING.
    rows: [active], indices into the targets, by position, last first.
    counts: per position q, how many of `rows`, from the front, can see q.
    gradient: [sum of counts, d_model], position by position; valid until the next site.
    """

    layer: int
    rows: Tensor
    counts: list[int]
    gradient: Tensor

    def positions(self) -> Iterator[tuple[int, Tensor, Tensor]]:
        """(q, the targets that see q [k], their gradient there [k, d_model])."""
        for q, block in enumerate(self.gradient.split(self.counts)):
            yield q, self.rows[: self.counts[q]], block


def pull_back(
    frozen: FrozenModel,
    targets: Targets,
    *,
    written: Callable[[int], Tensor | None] = lambda layer: None,
    through_mlp: Callable[[int, Tensor, Tensor], Tensor | None] = lambda layer, g, q: None,
    bias: Tensor | None = None,
    cancelled: Callable[[], None] = lambda: None,
) -> Iterator[Site]:
    """Carry all targets down and stop at every site.

    Args:
        frozen: the linear model.
        targets: in any order.
        written: constants [position, d_model] written at a block's MLP output (decoder biases).
        through_mlp: of gradients [row, d_model] at a block's MLP output at positions [row], the
            part that a linear skip carries to the stream the MLP reads.
        bias: [target], filled in place with each target's constant and everything constant
            that reaches it.
        cancelled: called once per block; raises to stop.
    """
    active = torch.empty(0, dtype=torch.int64, device=targets.vector.device)
    counts = [0] * frozen.n_positions
    g = targets.vector.new_empty(0, frozen.d_model)
    if bias is not None:
        bias.copy_(targets.constant)

    def collect(constant: Tensor | None) -> None:
        if bias is None or constant is None:
            return
        for q, block in enumerate(g.split(counts)):
            bias[active[: counts[q]]] += block @ constant[q]

    def enter(layer: int) -> None:
        nonlocal active, counts, g
        new = (targets.layer == layer).nonzero()[:, 0]
        if len(new):
            active, counts, g = _join(active, counts, g, new, targets)

    def skip(layer: int) -> Tensor | None:
        return through_mlp(layer, g, _row_positions(counts, g.device)) if len(active) else None

    enter(frozen.n_layers)
    for layer in range(frozen.n_layers - 1, -1, -1):
        cancelled()
        if len(active):
            yield Site(layer, active, counts, g)
        collect(written(layer))
        skipped = skip(layer)
        if not frozen.parallel:
            if skipped is not None:
                g += skipped
            enter(layer)
        if len(active):
            attention = frozen.attention(layer)
            collect(attention.constant)
            _attention_transposed(attention, g, counts)
        if frozen.parallel:  # the MLP reads the block's input, beside attention
            if skipped is not None:
                g += skipped
            enter(layer)
    cancelled()
    yield Site(EMBEDDING, active, counts, g)
    collect(frozen.position_embedding)


def _join(
    active: Tensor, counts: list[int], g: Tensor, new: Tensor, targets: Targets
) -> tuple[Tensor, list[int], Tensor]:
    """Let `new` targets in, keeping the order by position, last first."""
    n, device = len(counts), g.device
    rows = torch.cat([active, new])
    order = torch.argsort(targets.position[rows], descending=True, stable=True)
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order), device=device)
    rows = rows[order]
    position = targets.position[rows]
    # Positions fall, so those that see q (position >= q) are a prefix.
    seen = (position[None, :] >= torch.arange(n, device=device)[:, None]).sum(1)
    start = torch.cumsum(seen, 0) - seen
    joined = g.new_zeros(int(seen.sum()), g.shape[1])
    if len(active):
        kept = torch.cat([start[q] + place[:k] for q, k in enumerate(counts)])
        joined.index_copy_(0, kept, g)
    joined[start[targets.position[new]] + place[len(active) :]] = targets.vector[new]
    return rows, seen.tolist(), joined


def _row_positions(counts: list[int], device: torch.device) -> Tensor:
    """The position of each row of the buffer."""
    counted = torch.tensor(counts, device=device)
    return torch.repeat_interleave(torch.arange(len(counts), device=device), counted)


def _attention_transposed(a: FrozenAttention, g: Tensor, counts: list[int]) -> None:
    """g += the transpose of attention applied to g, in place."""
    kv, group, n, _ = a.mix.shape
    k, d_head = counts[0], len(a.w_v) // kv  # every target sees position 0
    z = g @ a.w_o
    # By head and padded to all positions, so that mixing positions is one product per head.
    heads = z.new_empty(kv, group, n, k, d_head)
    for q, block in enumerate(z.split(counts)):
        heads[:, :, q, : counts[q]] = block.view(-1, kv, group, d_head).permute(1, 2, 0, 3)
        heads[:, :, q, counts[q] :] = 0
    mix = a.mix.permute(0, 3, 1, 2).reshape(kv, n, group * n)
    mixed = torch.bmm(mix, heads.view(kv, group * n, k * d_head)).view(kv, n, k, d_head)
    seen = [mixed[:, q, :c].permute(1, 0, 2).reshape(c, kv * d_head) for q, c in enumerate(counts)]
    u = torch.cat(seen)
    g.addmm_(u, a.w_v)
