"""The few products that sparse training needs, with work in proportion to what is active.

Of a batch's n x F pre-activations only a few enter the loss. `Sparse` names them, sorted by token:
entry e is (rows[e], features[e]). With values v and a table W [F, d],

    decode      y_i = sum over entries e of token i of v_e W[features_e]
    its dW      dW_j = sum over entries e of feature j of v_e dy[rows_e]      the same sum, transposed
    its dv      dv_e = <dy[rows_e], W[features_e]>
    pre's dW    as decode's, with x in place of dy

All four are embedding bags (sums of scaled table rows), which torch has as one fused kernel; the
entries are sorted by feature once per step. No [n, k, d] tensor is ever made.

Where an eighth of all entries is in (a ReLU at the start), matrix products are faster: `Dense`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding_bag

DENSE_FROM = 1 / 8


@dataclass(frozen=True, eq=False)
class Sparse:
    """Some entries of a matrix [n_rows, n_features], sorted by row.

    rows, features: [entry] int64; starts: [n_rows], where each row's entries begin.
    """

    rows: Tensor
    features: Tensor
    starts: Tensor
    n_features: int

    @property
    def n_rows(self) -> int:
        return len(self.starts)

    @cached_property
    def by_feature(self) -> tuple[Tensor, Tensor, Tensor]:
        """The entries in order of features, their rows, and where each feature's begin [F]."""
        order = self.features.sort(stable=True).indices
        counts = torch.bincount(self.features, minlength=self.n_features)
        return order, self.rows[order], counts.cumsum(0) - counts

    def pick(self, pre: Tensor, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """The entries of pre = x W^T + b, [entry], with the gradient to W and b.

        pre: [n, F], as computed; x: [n, d]; weight: [F, d]; bias: [F].
        """
        value: Tensor = _Pick.apply(weight, bias, pre.detach(), x, self)
        return value

    def decode(self, values: Tensor, weight: Tensor) -> Tensor:
        """values [entry] times weight [F, d], added up per row: [n, d]."""
        y: Tensor = _Decode.apply(values, weight, self)
        return y

    def spread(self, column: Tensor) -> Tensor:
        """What [F] holds for each entry: [entry]."""
        return column.index_select(0, self.features)

    def per_row(self, values: Tensor) -> Tensor:
        """values [entry], added up per row: [n]."""
        return values.new_zeros(self.n_rows).index_add(0, self.rows, values)

    def per_feature(self, values: Tensor, table: Tensor | None) -> Tensor:
        """values [entry] times their rows of table [n, d], added up per feature: [F, d].

        Without a table the values alone: [F].
        """
        order, rows, starts = self.by_feature
        if table is not None:
            return _bag(rows, starts, values[order], table)
        return _bag(rows, starts, values[order], values.new_ones(self.n_rows, 1)).squeeze(1)

    def fired(self, values: Tensor) -> Tensor:
        """How often each feature's value is above 0: [F]."""
        return torch.bincount(self.features[values > 0], minlength=self.n_features)

    def between(self, values: Tensor, low: int, high: int) -> tuple[Sparse, Tensor]:
        """The entries of features low to high - 1, counted from 0, and their values."""
        chosen = ((self.features >= low) & (self.features < high)).nonzero().squeeze(1)
        rows = self.rows[chosen]
        return _sorted(rows, self.features[chosen] - low, self.n_rows, high - low), values[chosen]


@dataclass(frozen=True, eq=False)
class Dense:
    """All entries; whoever takes them sees to it that those that are not chosen count nothing."""

    n_features: int

    def pick(self, pre: Tensor, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return pre

    def decode(self, values: Tensor, weight: Tensor) -> Tensor:
        return values @ weight

    def spread(self, column: Tensor) -> Tensor:
        return column

    def per_row(self, values: Tensor) -> Tensor:
        return values.sum(1)

    def per_feature(self, values: Tensor, table: Tensor | None) -> Tensor:
        return values.sum(0) if table is None else values.T @ table

    def fired(self, values: Tensor) -> Tensor:
        return (values > 0).sum(0)

    def between(self, values: Tensor, low: int, high: int) -> tuple[Dense, Tensor]:
        return Dense(high - low), values[:, low:high]


Entries = Sparse | Dense


def where(mask: Tensor) -> Entries:
    """The entries [n, F] where a mask holds."""
    rows, features = mask.nonzero(as_tuple=True)
    if len(rows) > DENSE_FROM * mask.numel():
        return Dense(mask.shape[1])
    return _sorted(rows, features, *mask.shape)


def above(pre: Tensor, floor: Tensor) -> Sparse:
    """The entries [n, F] that are above 0 and at least `floor`."""
    rows, features = ((pre >= floor) & (pre > 0)).nonzero(as_tuple=True)
    return _sorted(rows, features, *pre.shape)


def top_of_rows(pre: Tensor, k: int) -> Sparse:
    """The k largest entries of each row of [n, F]."""
    n, n_features = pre.shape
    features = pre.topk(min(k, n_features), dim=1, sorted=False).indices
    k = features.shape[1]
    starts = torch.arange(0, n * k, k, device=pre.device)
    rows = torch.arange(n, device=pre.device).repeat_interleave(k)
    return Sparse(rows, features.reshape(-1), starts, n_features)


def _sorted(rows: Tensor, features: Tensor, n_rows: int, n_features: int) -> Sparse:
    starts = torch.searchsorted(rows, torch.arange(n_rows, device=rows.device))
    return Sparse(rows, features, starts, n_features)


def _bag(rows: Tensor, starts: Tensor, scales: Tensor, table: Tensor) -> Tensor:
    return embedding_bag(rows, table, starts, mode="sum", per_sample_weights=scales)


class _Decode(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, weight: Tensor, entries: Sparse) -> Tensor:
        ctx.save_for_backward(values, weight)
        ctx.entries = entries
        return _bag(entries.features, entries.starts, values, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        values, weight = ctx.saved_tensors
        entries: Sparse = ctx.entries
        gradient = gradient.contiguous()
        to_values = to_weight = None
        if ctx.needs_input_grad[0]:
            with torch.enable_grad():
                scales = values.detach().requires_grad_()
                y = _bag(entries.features, entries.starts, scales, weight.detach())
            (to_values,) = torch.autograd.grad(y, scales, gradient)
        if ctx.needs_input_grad[1]:
            to_weight = entries.per_feature(values, gradient)
        return to_values, to_weight, None


class _Pick(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, bias: Tensor, pre: Tensor, x: Tensor, entries: Sparse
    ) -> Tensor:
        ctx.save_for_backward(x)
        ctx.entries = entries
        return pre[entries.rows, entries.features].to(weight.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        entries: Sparse = ctx.entries
        to_weight = entries.per_feature(gradient, x)
        return to_weight, entries.per_feature(gradient, None), None, None, None
