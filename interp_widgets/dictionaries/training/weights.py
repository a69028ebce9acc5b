"""The weights of a dictionary while it trains, and the way from activations to predictions.

One SAE or transcoder is the cross-layer transcoder of one layer, so there is one wiring: source l
(reads[l]) has an encoder, and its features write to the targets m of spec.targets(l).

    pre_l  = W_enc_l x_l + b_enc_l
    y_m    = sum over sources l of a_l D_{l,m} + b_dec_m (+ x_m W_skip_m^T)

x and y are centred and scaled: x = (raw - mean) * scale with E|x| = sqrt(d). Untied, the vectors
of a source for all its targets lie side by side in one table [F, targets * d], so that a source is
decoded at once. Tied, D_{l,m} = D_m.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from .sparse_ops import Entries
from .specs import Spec

Rows = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Code:
    """The activations of one source on a batch: values of some entries of [n, F]."""

    entries: Entries
    values: Tensor

    def between(self, low: int, high: int) -> Code:
        """Features low to high - 1 alone, counted from 0."""
        return Code(*self.entries.between(self.values, low, high))


class Weights:
    """Parameters by name ("encoder.0", ...) and constants (centres and scales)."""

    def __init__(
        self, spec: Spec, d_in: int, d_out: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.spec, self.d_in, self.d_out = spec, d_in, d_out
        self.product = dtype
        held = torch.float64 if dtype == torch.float64 else torch.float32
        self.new: dict[str, Any] = dict(device=device, dtype=held)
        self.parameters: dict[str, Tensor] = {}
        self.constants: dict[str, Tensor] = {}
        for index in range(len(spec.reads)):
            self._add(f"encoder.{index}", spec.n_features, d_in)
            self._add(f"encoder_bias.{index}", spec.n_features)
            width = d_out if self.tied else len(spec.targets(index)) * d_out
            self._add(f"decoder.{index}", spec.n_features, width)
            self._add(f"decoder_bias.{index}", d_out)
            if spec.skip:
                self._add(f"skip.{index}", d_out, d_in)
            for side, width in (("in", d_in), ("out", d_out)):
                self.constants[f"mean_{side}.{index}"] = torch.zeros(width, **self.new)
                self.constants[f"scale_{side}.{index}"] = torch.ones((), **self.new)

    def _add(self, name: str, *shape: int) -> None:
        self.parameters[name] = torch.zeros(*shape, **self.new).requires_grad_()

    def add_parameter(self, name: str, value: Tensor) -> None:
        self.parameters[name] = value.to(**self.new, copy=True).requires_grad_()

    @property
    def tied(self) -> bool:
        return self.spec.decoder == "tied"

    def scaled(self, raw: Sequence[Tensor], side: str) -> list[Tensor]:
        """Raw activations [n, d] of each place, centred and scaled. side: "in" or "out"."""
        scaled = []
        for index, tensor in enumerate(raw):
            mean, scale = (
                self.constants[f"mean_{side}.{index}"],
                self.constants[f"scale_{side}.{index}"],
            )
            scaled.append((tensor.to(**self.new) - mean) * scale)
        return scaled

    def pre(self, source: int, x: Tensor) -> Tensor:
        """Pre-activations [n, F] of scaled inputs [n, d]."""
        weight, bias = self.encoder(source)
        kind = self.product
        return linear(x.to(kind), weight.to(kind), bias.to(kind)).to(weight.dtype)

    def encoder(self, source: int) -> tuple[Tensor, Tensor]:
        """Weight [F, d_in] and bias [F]."""
        return self.parameters[f"encoder.{source}"], self.parameters[f"encoder_bias.{source}"]

    @property
    def decoders(self) -> dict[str, Tensor]:
        """All decoder tables [F, targets * d_out] by name."""
        return {n: table for n, table in self.parameters.items() if n.startswith("decoder.")}

    def tables(self, source: int) -> list[tuple[range, str]]:
        """The names of the tables that decode a source, with the targets of each."""
        targets = self.spec.targets(source)
        if self.tied:
            return [(range(m, m + 1), f"decoder.{m}") for m in targets]
        return [(targets, f"decoder.{source}")]

    def scale_decoders(self, target: int, factor: Tensor) -> None:
        """Multiplies every decoder vector that writes to a target."""
        for source in range(len(self.spec.reads)) if not self.tied else (target,):
            for targets, name in self.tables(source):
                table = self.parameters[name]
                if target in targets:
                    table.view(len(table), -1, self.d_out)[:, targets.index(target)] *= factor

    def lengths(self, source: int) -> Tensor:
        """The length of each feature's decoder vectors, joined over targets: [F]."""
        squares = [self.parameters[name].square().sum(1) for _, name in self.tables(source)]
        # Not sqrt at 0: its gradient is infinite, and a decoder may start there.
        return torch.stack(squares).sum(0).clamp(min=1e-24).sqrt()

    def predict(
        self, codes: Sequence[Code | None], rows: Sequence[Rows] | Rows = lambda table: table
    ) -> list[Tensor | float]:
        """What the activations of each source add to each target: [n, d_out] each.

        rows: which rows of decoder tables the codes count by, one for all sources or each its own;
        0.0 stands for a target that nothing writes to.
        """
        predicted: list[Tensor | float] = [0.0] * len(self.spec.writes)
        for source, code in enumerate(codes):
            if code is None:
                continue
            of = rows if callable(rows) else rows[source]
            for targets, name in self.tables(source):
                y = code.entries.decode(code.values, of(self.parameters[name]))
                for target, part in zip(targets, y.split(self.d_out, dim=1), strict=True):
                    predicted[target] = predicted[target] + part
        return predicted

    def base(self, target: int, x: Tensor) -> Tensor:
        """What is predicted without features, from scaled inputs: [d_out] or [n, d_out]."""
        bias = self.parameters[f"decoder_bias.{target}"]
        if not self.spec.skip:
            return bias
        return linear(x, self.parameters[f"skip.{target}"], bias)
