"""What a graph's nodes say in a changed run: the values of features, neurons and outputs.

A feature's value is its pre-activation, a neuron's is its value, an output's is the target's vector
times the final norm's output at the last position (for a token: its logit minus the mean logit, before
a softcap). `live` reads them as the model would, with the norms' scales as they are in that run; `held`
with the scales of the graph's own run, as edges do.

Only places of the stream and of MLP inputs are read, so this works on what any run left behind, on
batches, and on dual numbers (see live.py).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..models import Place
from ..models.anatomy import norm_parameters, part
from ..models.frozen import input_kind
from ..models.places import Site
from .neurons import NeuronUnits
from .replica import Replica
from .table import FEATURE, OUTPUT

_SITES: dict[str, Site] = {
    "residual": "resid_mid",
    "normalized": "mlp_normalized",
    "normed": "mlp_in",
}


class Readings:
    """The values of some nodes, to be read off runs of the graph's prompt.

    Args:
        replica: the graph's linear model.
        nodes: [target], features, neurons or outputs.
    """

    def __init__(self, replica: Replica, nodes: NDArray[np.integer]) -> None:
        self._replica, self.nodes = replica, nodes
        table = replica.table
        self._outputs = np.flatnonzero(table.kind[nodes] == OUTPUT)
        units = np.flatnonzero(table.kind[nodes] == FEATURE)
        self._layers = {
            int(layer): units[table.layer[nodes[units]] == layer]
            for layer in np.unique(table.layer[nodes[units]])
        }
        u = replica.units
        hook = "mlp.hook_in" if isinstance(u, NeuronUnits) else u.dictionary.input_hook
        self._site: Site = _SITES[input_kind(hook)]
        self._final = Place(replica.frozen.n_layers - 1, "resid_post")

    def places(self, held: bool) -> frozenset[Place]:
        """What a run has to read so that `held` or `live` can be called."""
        site: Site = "resid_mid" if held else self._site
        places = {Place(layer, site) for layer in self._layers}
        return frozenset(places | ({self._final} if len(self._outputs) else set()))

    def live(self, seen: Mapping[Place, Tensor]) -> Tensor:
        """[batch, target], from vectors [batch, position, d_model] at `places(False)`."""
        parts: list[tuple[NDArray[np.integer], Tensor]] = []
        for layer, targets in self._layers.items():
            x = self._at_positions(seen[Place(layer, self._site)], targets)
            parts.append((targets, self._unit_values(layer, targets, x)))
        if len(self._outputs):
            x = self._final_normed(self._cast(seen[self._final])[:, -1])
            vectors, constants = self._output_vectors()
            parts.append((self._outputs, x @ vectors.T + constants))
        return self._joined(parts)

    def held(self, seen: Mapping[Place, Tensor]) -> Tensor:
        """[batch, target], from vectors [batch, position, d_model] at `places(True)`."""
        parts: list[tuple[NDArray[np.integer], Tensor]] = []
        for layer, targets in self._layers.items():
            x = self._at_positions(seen[Place(layer, "resid_mid")], targets)
            if isinstance(self._replica.units, NeuronUnits):
                parts.append((targets, self._held_neurons(layer, targets, x)))
            else:
                read = self._replica.readers(self.nodes[targets])
                parts.append((targets, (x * read.vector).sum(-1) + read.constant))
        if len(self._outputs):
            read = self._replica.readers(self.nodes[self._outputs])
            x = self._cast(seen[self._final])[:, -1]
            parts.append((self._outputs, x @ read.vector.T + read.constant))
        return self._joined(parts)

    def _cast(self, x: Tensor) -> Tensor:
        like = self._replica.frozen.recording.embedding
        return x.to(like.device, like.dtype)

    def _at_positions(self, x: Tensor, targets: NDArray[np.integer]) -> Tensor:
        position = self._replica.table.position[self.nodes[targets]]
        return self._cast(x)[:, torch.from_numpy(position.astype(np.int64))]

    def _joined(self, parts: list[tuple[NDArray[np.integer], Tensor]]) -> Tensor:
        order = np.argsort(np.concatenate([which for which, _ in parts]), kind="stable")
        return torch.cat([values for _, values in parts], 1)[:, torch.from_numpy(order)]

    def _features(self, targets: NDArray[np.integer]) -> Tensor:
        numbers = self._replica.table.feature[self.nodes[targets]].astype(np.int64)
        return torch.from_numpy(numbers)

    def _unit_values(self, layer: int, targets: NDArray[np.integer], x: Tensor) -> Tensor:
        """From what the units of a block read, [batch, target, d_model], to their values."""
        feature, units = self._features(targets), self._replica.units
        if isinstance(units, NeuronUnits):
            weights, act = self._replica.frozen.mlp(layer)
            up = _linear(x, weights.up, weights.b_up, feature)
            if weights.gate is None:
                return act(up)
            return act(_linear(x, weights.gate, weights.b_gate, feature)) * up
        encoder = units.dictionary.encoder(layer, feature.to(x.device)).to(x)
        return (x * encoder).sum(-1) + units.dictionary.encoder_bias(layer, feature).to(x)

    def _held_neurons(self, layer: int, targets: NDArray[np.integer], x: Tensor) -> Tensor:
        """Neurons' values where the MLP's norm keeps its scale: [batch, target]."""
        frozen, feature = self._replica.frozen, self._features(targets)
        weights, act = frozen.mlp(layer)
        position = torch.from_numpy(
            self._replica.table.position[self.nodes[targets]].astype(np.int64)
        ).to(x.device)

        def read(weight: Tensor, bias: Tensor | None) -> Tensor:
            rows = weight.detach()[feature.to(weight.device)].to(x)
            vector, constant = frozen.read(layer, position, rows, "mlp.hook_in")
            out = (x * vector).sum(-1) + constant
            return out if bias is None else out + bias.detach()[feature.to(bias.device)].to(x)

        up = read(weights.up, weights.b_up)
        if weights.gate is None:
            return act(up)
        return act(read(weights.gate, weights.b_gate)) * up

    def _output_vectors(self) -> tuple[Tensor, Tensor]:
        which = self._replica.output_number(self.nodes[self._outputs])
        outputs, like = self._replica.outputs, self._replica.frozen.recording.embedding
        return outputs.vectors[which].to(like), outputs.constant[which].to(like)

    def _final_normed(self, x: Tensor) -> Tensor:
        """The final norm's output [batch, d_model] for a stream [batch, d_model]."""
        model = self._replica.model
        weight, bias, epsilon, centred = norm_parameters(
            part(model.hf, model.anatomy.final_norm), model.anatomy
        )
        if centred:
            x = x - x.mean(-1, keepdim=True)
        x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + epsilon) * weight.detach().to(x)
        return x if bias is None else x + bias.detach().to(x)


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None, rows: Tensor) -> Tensor:
    """[batch, target]: row j of a matrix times x [batch, target, d], plus its bias."""
    out = (x * weight.detach()[rows.to(weight.device)].to(x)).sum(-1)
    return out if bias is None else out + bias.detach()[rows.to(bias.device)].to(x)
