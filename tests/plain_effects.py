"""What follows when features or neurons are changed, by PyTorch hooks written by hand.

`PlainEffects` runs a prompt once, and again with a group of units set to `factor` times what they were, in
four ways: free; with queries, keys and norm scales of the first run; the same with every MLP answering
only as far as its units do, linearly (what a graph says); and the same with MLPs that do not answer.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from plain_interventions import Change, FrozenNorms, frozen_attention, plain_logits, record
from plain_runs import parts
from torch import Tensor

Unit = tuple[int, int, int]  # layer, position, feature or neuron
READS = {"hook_resid_mid": "resid_mid", "mlp.hook_in": "mlp_in"}
WRITES = {"hook_mlp_out": "mlp_out", "mlp.hook_out": "mlp_raw"}
LIVE = ("free", "frozen")


class PlainEffects:
    """Args:
    dictionary: ReLU transcoders or a cross-layer transcoder; None: all neurons, half rule.
    """

    def __init__(self, hf: Any, ids: Tensor, dictionary: Any = None) -> None:
        self.hf, self.ids, self.d = hf, ids, dictionary
        self.n_layers = len(parts(hf).blocks)
        self.reads = "mlp_in" if dictionary is None else READS[dictionary.input_hook]
        self.writes = "mlp_raw" if dictionary is None else WRITES[dictionary.output_hook]
        places = [(i, s) for i in range(self.n_layers) for s in (self.reads, self.writes)]
        self.base = record(hf, ids, places)
        self.before = [self.values(i, self.base[i, self.reads]) for i in range(self.n_layers)]
        self.frozen = frozen_attention(hf, ids)
        self.norms = FrozenNorms(hf, ids)

    def values(self, layer: int, x: Tensor) -> Tensor:
        """Pre-activations or neurons' values [position, unit] for what is read [position, d]."""
        if self.d is not None:
            weights = self.d.layer(layer)
            return x @ weights.encoder.whole().T + weights.encoder_bias
        gate, up = self.inner(layer, x)
        return up if gate is None else gate * up

    def inner(self, layer: int, x: Tensor) -> tuple[Tensor | None, Tensor]:
        """act(gate), up; or None, act(up)."""
        b = parts(self.hf).blocks[layer]
        act = getattr(b.mlp, "act_fn", None) or b.mlp.act
        return (None, act(b.up(x))) if b.gate is None else (act(b.gate(x)), b.up(x))

    def answer(self, layer: int, x: Tensor) -> Tensor:
        """How units change, linearly, when they read x instead: [position, unit]."""
        x0, before = self.base[layer, self.reads], self.before[layer]
        if self.d is not None:
            change = self.values(layer, x) - before
            change = change * (before > 0)
        else:
            b = parts(self.hf).blocks[layer]
            gate, _ = self.inner(layer, x0)
            if gate is None or b.gate is None:
                change = before / b.up(x0) * (b.up(x) - b.up(x0))
            else:
                change = 0.5 * gate * (b.up(x) - b.up(x0))
                change = change + 0.5 * before / b.gate(x0) * (b.gate(x) - b.gate(x0))
        change[0] = 0  # position 0 is no part of the story
        return change

    def decoder(self, layer: int, target: int) -> Tensor | None:
        """[unit, d_model], what units of a block write to a block."""
        if self.d is None:
            down = parts(self.hf).blocks[layer].down.weight
            down = (
                down if isinstance(parts(self.hf).blocks[layer].down, torch.nn.Linear) else down.T
            )
            return down.T if layer == target else None
        table = self.d.layer(layer).decoder.whole()
        if table.ndim == 2:
            return table if layer == target else None
        return table[:, target - layer] if target >= layer else None

    @torch.no_grad()
    def change(
        self, group: list[Unit], factor: float, how: str, targets: list[Unit], vectors: Tensor
    ) -> Tensor:
        """[target]: units by their values, then vectors [k, d_model] times the last norm's output.

        how: "free", "frozen" (attention and norms), "linear" or "still".
        """
        moved: dict[int, Tensor] = {}  # change of activations, [position, unit]
        seen: dict[int, Tensor] = {}
        final: list[Tensor] = []

        def at_read(layer: int, x: Tensor) -> None:
            seen[layer] = x.clone()
            change = torch.zeros_like(self.before[layer])
            if how == "linear":
                change = self.answer(layer, x)
            for at, position, unit in group:
                if at != layer:
                    continue
                base = self.before[layer][position, unit]
                now = self.values(layer, x)[position, unit] if how in LIVE else base
                if self.d is not None:
                    base, now = base.clamp(min=0), now.clamp(min=0)
                change[position, unit] = factor * base - now
            moved[layer] = change

        def at_write(layer: int, x: Tensor) -> Tensor:
            out = x.clone() if how in LIVE else self.base[layer, self.writes].clone()
            for source in range(layer + 1):
                decoder = self.decoder(source, layer)
                if decoder is not None:
                    out = out + moved[source] @ decoder
            skip = None if self.d is None else self.d.layer(layer).skip
            if skip is not None and how not in LIVE:
                out = out + (seen[layer] - self.base[layer, self.reads]) @ skip.T
            return out

        changes: list[Change] = [] if how == "free" else [*self.frozen]
        for i in range(self.n_layers):
            changes.append((i, self.writes, lambda x, i=i: at_write(i, x)))
        before = self._final([])
        with ExitStack() as stack:
            for i in range(self.n_layers):
                stack.callback(self._when_read(i, at_read))
            if how != "free":
                stack.enter_context(self.norms)
            final = self._final(changes)
        if how == "linear" and self.d is None:
            units = [self.answer(i, seen[i])[p, u] for i, p, u in targets]
        else:
            units = [self.values(i, seen[i])[p, u] - self.before[i][p, u] for i, p, u in targets]
        return torch.cat(
            [torch.stack(units) if units else final.new_empty(0), vectors @ (final - before)]
        )

    def _when_read(self, layer: int, fn: Callable[[int, Tensor], None]) -> Callable[[], None]:
        """Calls fn(layer, what units read) in front of the MLP; returns what ends that."""
        b = parts(self.hf).blocks[layer]
        module = b.mlp if self.reads == "mlp_in" else b.mlp_norm
        return module.register_forward_pre_hook(lambda _, args: fn(layer, args[0][0])).remove

    def _final(self, changes: list[Change]) -> Tensor:
        """The last norm's output at the last position."""
        out: list[Tensor] = []
        handle = parts(self.hf).final_norm.register_forward_hook(
            lambda module, args, found: out.append(found[0, -1])
        )
        try:
            plain_logits(self.hf, self.ids, changes)
        finally:
            handle.remove()
        return out[0]
