"""The linear pull-back: gradients of many targets, carried down the network together.

With attention patterns and norm scales frozen the model is linear in the residual stream, so
the gradient of a target with respect to the stream one block further down is

    g_pre = g_mid + sum over heads  mix_h^T (g_mid W_O_h) W_V_h

and no autograd is needed. All targets ride in one buffer g [position, target, d_model],
from the logits to the embedding; a target joins where it reads. Inside the buffer targets are
ordered by position, last first, so at stream position q the targets that can see q are a
prefix of length counts[q], and each matrix product touches live rows only.

Cost per target, position and block: 2 (d H d_h + n H d_h + K d_h d) floating-point operations
(H heads, K key-value heads of width d_h), nearly all of them in two matrix products.

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

    def __getitem__(self, index: Tensor) -> Targets:
        return Targets(
            self.layer[index], self.position[index], self.vector[index], self.constant[index]
        )


@dataclass(frozen=True)
class Site:
    """The gradient at one place where the stream is written.

    layer: the block whose MLP output it is, or EMBEDDING.
    rows: [active], indices into the targets.
    counts: per position q, how many of `rows`, from the front, can see q.
    gradient: [position, active, d_model]; valid until the next site is asked for.
    """

    layer: int
    rows: Tensor
    counts: list[int]
    gradient: Tensor


def pull_back(
    frozen: FrozenModel,
    targets: Targets,
    *,
    written: Callable[[int], Tensor | None] = lambda layer: None,
    through_mlp: Callable[[int, Tensor], Tensor | None] = lambda layer, g: None,
    bias: Tensor | None = None,
    cancelled: Callable[[], None] = lambda: None,
) -> Iterator[Site]:
    """Carry all targets down and stop at every site.

    Args:
        frozen: the linear model.
        targets: in any order.
        written: constants [position, d_model] written at block l's MLP output (decoder biases).
        through_mlp: the part of a gradient [position, active, d_model] at block l's MLP output
            that a linear skip carries to the stream the MLP reads.
        bias: [target], filled in place with each target's constant and everything constant
            that reaches it.
        cancelled: called once per block; raises to stop.
    """
    device, dtype = targets.vector.device, targets.vector.dtype
    n, d = frozen.n_positions, frozen.d_model
    active = torch.empty(0, dtype=torch.int64, device=device)
    counts = [0] * n
    g = torch.empty(n, 0, d, dtype=dtype, device=device)
    if bias is not None:
        bias.copy_(targets.constant)

    def collect(constant: Tensor | None) -> None:
        if bias is not None and constant is not None:
            for q in range(n):
                k = counts[q]
                bias[active[:k]] += g[q, :k] @ constant[q].to(g)

    def enter(layer: int) -> None:
        nonlocal active, counts, g
        new = (targets.layer == layer).nonzero()[:, 0]
        if len(new):
            active, counts, g = _join(active, counts, g, new, targets)

    enter(frozen.n_layers)
    for layer in range(frozen.n_layers - 1, -1, -1):
        cancelled()
        if len(active):
            yield Site(layer, active, counts, g)
        collect(written(layer))
        skipped = through_mlp(layer, g)
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
    n, _, d = g.shape
    rows = torch.cat([active, new])
    order = torch.argsort(targets.position[rows], descending=True, stable=True)
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order), device=order.device)
    rows = rows[order]
    position = targets.position[rows]
    joined = torch.zeros(n, len(rows), d, dtype=g.dtype, device=g.device)
    old, fresh = place[: len(active)], place[len(active) :]
    for q in range(n):
        joined[q].index_copy_(0, old[: counts[q]], g[q, : counts[q]])
    joined[targets.position[new], fresh] = targets.vector[new]
    # position is sorted downwards, so those that see q (position >= q) are a prefix.
    seen = (position[None, :] >= torch.arange(n, device=g.device)[:, None]).sum(1)
    return rows, seen.tolist(), joined


def _attention_transposed(a: FrozenAttention, g: Tensor, counts: list[int]) -> None:
    """g += the transpose of attention applied to g, in place."""
    kv, group, n, _ = a.mix.shape
    active = g.shape[1]
    d_head = len(a.w_v) // kv
    w_o, w_v, mix = a.w_o.to(g), a.w_v.to(g), a.mix.to(g)
    z = torch.empty(n, active, kv * group * d_head, dtype=g.dtype, device=g.device)
    for q, k in enumerate(counts):
        torch.mm(g[q, :k], w_o, out=z[q, :k])
        z[q, k:] = 0
    # [kv, key, group * query] @ [kv, group * query, active * d_head]
    heads = z.view(n, active, kv, group, d_head).permute(2, 3, 0, 1, 4)
    heads = heads.reshape(kv, group * n, active * d_head)
    u = torch.bmm(mix.permute(0, 3, 1, 2).reshape(kv, n, group * n), heads)
    u = u.view(kv, n, active, d_head).permute(1, 2, 0, 3).reshape(n, active, kv * d_head)
    for q, k in enumerate(counts):
        g[q, :k].addmm_(u[q, :k], w_v)
