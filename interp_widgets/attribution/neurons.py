"""MLP neurons as the units of a graph: any model, no dictionary, nothing unexplained.

The MLP output is an exact sum over neurons, value_j * W_down[:, j]. A gated neuron is
value = act(gate) * up. To let its incoming edges sum to the value exactly, it is linearised by
the half rule: half of the value is credited to `up` with the gate frozen, half to `gate` with
the slope act(gate) / gate frozen (Jafari et al. 2024, MambaLRP; Achtibat et al. 2024, AttnLRP).
An ungated neuron reads with the slope act(up) / up.

Which neurons to show is decided by the live gradient: value * d target / d value with nothing
frozen, which tracks zero ablation far better than the frozen score does (Spearman about .9
against .5, docs/how-it-works/attribution.md). All others add up to one remainder node per
block and position, so the graph stays exact. At the first position, an attention sink whose
values are the same for every prompt, no neuron is a node and all of it is bias, as for features.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..models import FrozenModel, ModelError, Neurons
from .sweep import Targets
from .table import FEATURE, GraphTable
from .targets import OutputTargets
from .units import Writes, readers, starts, turned, units_allowed

_READS, _WRITES = "mlp.hook_in", "mlp.hook_out"


class NeuronUnits:
    """Chosen neurons of one prompt as units.

    Args:
        frozen: the linear model, whose recording has neurons.
        chosen: [unit], numbers of neurons counted block by block and position by position, sorted.
        effects: per block [position, d_mlp], live gradient times value on the weighted
            targets; None where it was not computed.
        random_decoders: a control: a seed lets every neuron write into a random direction, as much
            as it does.
    """

    name = "neuron"
    error_name = "other neurons"

    def __init__(
        self,
        frozen: FrozenModel,
        chosen: Tensor,
        effects: list[Tensor] | None = None,
        random_decoders: int | None = None,
    ) -> None:
        self.frozen, self._random = frozen, random_decoders
        self.neurons = recorded_neurons(frozen)
        self.scan = f"{frozen.model.name} neurons"
        self.keep = units_allowed(frozen)
        n, d_mlp = self.neurons[0].value.shape
        self.d_mlp = d_mlp
        self.layer = chosen // (n * d_mlp)
        self.position = chosen % (n * d_mlp) // d_mlp
        self.feature = chosen % d_mlp
        self.activation = self._pick([block.value for block in self.neurons])
        self.effect = None if effects is None else self._pick(effects)
        self.value = self.activation
        self._writes = [self._gather(i) for i in range(frozen.n_layers)]
        self.errors = [self._remainder(i) for i in range(frozen.n_layers)]

    def _pick(self, blocks: list[Tensor]) -> Tensor:
        out = blocks[0].new_empty(len(self.layer))
        for layer, block in enumerate(blocks):
            here = self.layer == layer
            out[here] = block[self.position[here], self.feature[here]]
        return out

    def label(self, layer: int, feature: int) -> str:
        return ""

    def readers(self, index: Tensor) -> Targets:
        return readers(self, index, _READS, self._linearised)

    def writes(self, layer: int) -> Writes:
        return self._writes[layer]

    def constant(self, layer: int) -> Tensor:
        # Where no neuron may be a node, all that the MLP wrote is constant.
        return torch.where(
            self.keep[:, None], self._bias(layer), self.frozen.recording.mlp_out[layer]
        )

    def through_mlp(self, layer: int, gradient: Tensor, position: Tensor) -> None:
        return None

    def _linearised(self, layer: int, position: Tensor, j: Tensor) -> tuple[Tensor, Tensor]:
        """Rows [k, d_model] and constants [k] with row . mlp_input + constant = value."""
        weights, act = self.frozen.mlp(layer)
        seen = self.neurons[layer]
        like = seen.value

        def take(w: Tensor, b: Tensor | None) -> tuple[Tensor, Tensor]:
            rows = w.detach()[j.to(w.device)].to(like)
            bias = rows.new_zeros(len(j)) if b is None else b.detach()[j.to(b.device)].to(like)
            return rows, bias

        up_row, up_bias = take(weights.up, weights.b_up)
        gate = None if seen.gate is None else seen.gate[position, j]
        to_up, to_gate = _credit(act, seen.up[position, j], gate)
        if to_gate is None or weights.gate is None:
            return to_up[:, None] * up_row, to_up * up_bias
        gate_row, gate_bias = take(weights.gate, weights.b_gate)
        rows = to_up[:, None] * up_row + to_gate[:, None] * gate_row
        return rows, to_up * up_bias + to_gate * gate_bias

    def pulled(self, layer: int, reaching: Tensor, position: Tensor) -> Tensor:
        """From gradients of all neurons' values to what the MLP reads, linearised as above.

        Args:
            reaching: [row, d_mlp], at positions [row].

        Returns [row, d_model], to be multiplied with what stands in front of the up projection.
        """
        weights, act = self.frozen.mlp(layer)
        seen = self.neurons[layer]
        gate = None if seen.gate is None else seen.gate[position]
        to_up, to_gate = _credit(act, seen.up[position], gate)
        out = (reaching * to_up) @ weights.up.detach().to(reaching)
        if to_gate is not None and weights.gate is not None:
            out = out + (reaching * to_gate) @ weights.gate.detach().to(reaching)
        return out

    def _gather(self, layer: int) -> Writes:
        unit = (self.layer == layer).nonzero()[:, 0]
        columns = self.decoder(layer, self.feature[unit])
        vectors = columns.to(self.activation) * self.activation[unit, None]
        vectors = self.frozen.write(layer, self.position[unit], vectors, _WRITES)
        return Writes(vectors, unit, starts(self.position[unit], self.frozen.n_positions))

    def decoder(self, layer: int, neurons: Tensor) -> Tensor:
        """What chosen neurons [k] at value 1 add to the MLP's output, [k, d_model]."""
        down = self.frozen.mlp(layer)[0].down.detach()
        columns = down[:, neurons.to(down.device)].T
        if self._random is None:
            return columns
        seed = self._random * self.frozen.n_layers + layer
        return turned(columns, neurons, self.feature[self.layer == layer], seed)

    def _remainder(self, layer: int) -> Tensor:
        writes = self._writes[layer]
        out = self.frozen.recording.mlp_out[layer] - self._bias(layer)
        out = out.index_add(0, self.position[writes.unit], writes.vectors, alpha=-1)
        return out * self.keep[:, None]

    def _bias(self, layer: int) -> Tensor:
        """The MLP's own output bias, as added to the stream, [position, d_model]."""
        out, (weights, _) = self.frozen.recording.mlp_out[layer], self.frozen.mlp(layer)
        if weights.b_down is None:
            return torch.zeros_like(out)
        everywhere = torch.arange(self.frozen.n_positions, device=out.device)
        bias = weights.b_down.detach().to(out).expand_as(out)
        return self.frozen.write(layer, everywhere, bias, _WRITES)


def strongest_neurons(frozen: FrozenModel, outputs: OutputTargets, count: int) -> NeuronUnits:
    """The neurons with the largest live effect on the targets."""
    signed, size = live_effects(frozen, outputs)
    keep = units_allowed(frozen)
    # -1 where none may be: 0 would tie with silent neurons, and join once `count` covers all.
    allowed = int(keep.sum()) * size[0].shape[1] * len(size)
    size = [s.masked_fill(~keep[:, None], -1) for s in size]
    return NeuronUnits(frozen, _strongest(size, min(count, allowed)), signed)


def random_neurons(frozen: FrozenModel, like: GraphTable, seed: int) -> NeuronUnits:
    """As many neurons in every block and position as `like` has, drawn at random: a control."""
    n, d_mlp = recorded_neurons(frozen)[0].value.shape
    draw = np.random.default_rng(seed)
    shown = like.kind == FEATURE
    cell = like.layer[shown].astype(np.int64) * n + like.position[shown]
    chosen = [
        place * d_mlp + draw.choice(d_mlp, count, replace=False)
        for place, count in zip(*np.unique(cell, return_counts=True), strict=True)
    ]
    numbers = torch.from_numpy(np.sort(np.concatenate(chosen)))
    return NeuronUnits(frozen, numbers.to(frozen.recording.embedding.device))


def recorded_neurons(frozen: FrozenModel) -> tuple[Neurons, ...]:
    """The neurons of the recording. Raises ModelError if they were not recorded."""
    if frozen.recording.neurons is None:
        raise ModelError("The recording has no neurons: record with neurons=True.")
    return frozen.recording.neurons


def live_effects(frozen: FrozenModel, outputs: OutputTargets) -> tuple[list[Tensor], list[Tensor]]:
    """value * gradient for every neuron, with nothing frozen.

    Returns, per block, [position, d_mlp] each: the effect on the weighted sum of targets, and
    its size, the weighted sum of absolute effects (a neuron that raises one target and lowers
    another has a size though its effect may cancel). Targets with less than a tenth of the
    largest weight share one backward pass.
    """
    neurons = recorded_neurons(frozen)
    weight = outputs.weight.to(outputs.vectors)
    strong = weight >= 0.1 * weight.max()
    vectors = weight[:, None] * outputs.vectors
    passes = list(vectors[strong])
    if not strong.all():
        passes.append(vectors[~strong].sum(0))
    signed = [torch.zeros_like(block.value) for block in neurons]
    size = [torch.zeros_like(block.value) for block in neurons]
    for per_block in frozen.model.gradients(frozen.recording.token_ids, torch.stack(passes)):
        for layer, gradient in enumerate(per_block):
            effect = gradient * neurons[layer].value
            signed[layer] += effect
            size[layer] += effect.abs()
    return signed, size


def _credit(act: object, up: Tensor, gate: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """What a neuron's value is per unit of its `up` and of its `gate`, by the half rule."""
    if gate is None:
        return _slope(act, up), None
    return 0.5 * act(gate), 0.5 * up * _slope(act, gate)  # type: ignore[operator]


def _slope(act: object, x: Tensor) -> Tensor:
    """act(x) / x, continued to x = 0 (where all common activations are 0)."""
    tiny = x.abs() < 1e-6
    safe = torch.where(tiny, torch.full_like(x, 1e-6), x)
    return act(safe) / safe  # type: ignore[operator]


def _strongest(size: list[Tensor], k: int) -> Tensor:
    """The k largest neurons, numbered block by block, position by position; sorted."""
    # Block by block first: one sort over tens of millions of values would need their copies.
    candidates, offsets, offset = [], [], 0
    for block in size:
        flat = block.flatten()
        values, index = torch.topk(flat, min(k, len(flat)))
        candidates.append(values)
        offsets.append(index + offset)
        offset += len(flat)
    values, index = torch.cat(candidates), torch.cat(offsets)
    best = torch.topk(values, min(k, len(values))).indices
    return torch.sort(index[best]).values
