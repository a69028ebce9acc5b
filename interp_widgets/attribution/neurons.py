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

import torch
from torch import Tensor

from ..models import FrozenModel, ModelError
from .sweep import Targets
from .targets import OutputTargets
from .units import Writes, quiet_positions, starts

_READS, _WRITES = "mlp.hook_in", "mlp.hook_out"


class NeuronUnits:
    """The chosen neurons of one prompt.

    effect: [unit], live gradient times value, on the weighted targets.
    """

    name = "neuron"
    error_name = "other neurons"

    def __init__(self, frozen: FrozenModel, outputs: OutputTargets, max_nodes: int) -> None:
        neurons = frozen.recording.neurons
        if neurons is None:
            raise ModelError("The recording has no neurons: record with neurons=True.")
        self.frozen = frozen
        self.neurons = neurons
        self.scan = f"{frozen.model.name} neurons"
        n, d_mlp = neurons[0].value.shape
        self._keep = torch.arange(n, device=neurons[0].value.device) >= quiet_positions(
            frozen.model.name
        )
        signed, size = live_effects(frozen, outputs)
        chosen = _strongest([s[self._keep] for s in size], max_nodes)
        n_kept = int(self._keep.sum())
        per_block = n_kept * d_mlp
        self.layer = chosen // per_block
        self.position = chosen % per_block // d_mlp + (n - n_kept)
        self.feature = chosen % d_mlp
        self.activation = torch.empty(len(chosen), dtype=frozen.dtype, device=chosen.device)
        self.effect = torch.empty_like(self.activation)
        for layer in range(frozen.n_layers):
            here = self.layer == layer
            at = (self.position[here], self.feature[here])
            self.activation[here] = neurons[layer].value[at]
            self.effect[here] = signed[layer][at]
        self.value = self.activation
        self._writes = [self._gather(i) for i in range(frozen.n_layers)]
        self.errors = [self._remainder(i) for i in range(frozen.n_layers)]

    def readers(self, index: Tensor) -> Targets:
        vectors = torch.empty(
            len(index), self.frozen.d_model, dtype=self.frozen.dtype, device=self.layer.device
        )
        constants = vectors.new_empty(len(index))
        layers = self.layer[index]
        for layer in layers.unique().tolist():
            here = (layers == layer).nonzero()[:, 0]
            position, j = self.position[index[here]], self.feature[index[here]]
            rows, constant = self._linearised(layer, position, j)
            read, from_norm = self.frozen.read(layer, position, rows, _READS)
            vectors[here], constants[here] = read, constant + from_norm
        return Targets(layers, self.position[index], vectors, constants)

    def writes(self, layer: int) -> Writes:
        return self._writes[layer]

    def constant(self, layer: int) -> Tensor:
        # Where no neuron may be a node, all that the MLP wrote is constant.
        return torch.where(
            self._keep[:, None], self._bias(layer), self.frozen.recording.mlp_out[layer]
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
        up = seen.up[position, j]
        if seen.gate is None or weights.gate is None:
            slope = _slope(act, up)
            return slope[:, None] * up_row, slope * up_bias
        gate_row, gate_bias = take(weights.gate, weights.b_gate)
        gate = seen.gate[position, j]
        to_up, to_gate = 0.5 * act(gate), 0.5 * up * _slope(act, gate)
        rows = to_up[:, None] * up_row + to_gate[:, None] * gate_row
        return rows, to_up * up_bias + to_gate * gate_bias

    def _gather(self, layer: int) -> Writes:
        weights, _ = self.frozen.mlp(layer)
        unit = (self.layer == layer).nonzero()[:, 0]
        columns = weights.down.detach()[:, self.feature[unit].to(weights.down.device)].T
        vectors = columns.to(self.activation) * self.activation[unit, None]
        vectors = self.frozen.write(layer, self.position[unit], vectors, _WRITES)
        return Writes(vectors, unit, starts(self.position[unit], self.frozen.n_positions))

    def _remainder(self, layer: int) -> Tensor:
        writes = self._writes[layer]
        out = self.frozen.recording.mlp_out[layer] - self._bias(layer)
        out = out.index_add(0, self.position[writes.unit], writes.vectors, alpha=-1)
        return out * self._keep[:, None]

    def _bias(self, layer: int) -> Tensor:
        """The MLP's own output bias, as added to the stream, [position, d_model]."""
        out, (weights, _) = self.frozen.recording.mlp_out[layer], self.frozen.mlp(layer)
        if weights.b_down is None:
            return torch.zeros_like(out)
        everywhere = torch.arange(self.frozen.n_positions, device=out.device)
        bias = weights.b_down.detach().to(out).expand_as(out)
        return self.frozen.write(layer, everywhere, bias, _WRITES)


def live_effects(frozen: FrozenModel, outputs: OutputTargets) -> tuple[list[Tensor], list[Tensor]]:
    """value * gradient for every neuron, with nothing frozen.

    Returns, per block, [position, d_mlp] each: the effect on the weighted sum of targets, and
    its size, the weighted sum of absolute effects (a neuron that raises one target and lowers
    another has a size though its effect may cancel). Targets with less than a tenth of the
    largest weight share one backward pass.
    """
    neurons = frozen.recording.neurons
    assert neurons is not None
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


def _slope(act: object, x: Tensor) -> Tensor:
    """act(x) / x, continued to x = 0 (where all common activations are 0)."""
    tiny = x.abs() < 1e-6
    safe = torch.where(tiny, torch.full_like(x, 1e-6), x)
    return act(safe) / safe  # type: ignore[operator]


def _strongest(size: list[Tensor], k: int) -> Tensor:
    """Flat indices (block-major, then position, then neuron) of the k largest, sorted."""
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
