"""The linear model behind a graph, built again, so that a finished graph can be asked and checked.

A graph keeps numbers. To predict what else would follow from a change, and to read off a changed run
what its nodes would say, one needs the model, the prompt and the units that the numbers are about:
`Origin` remembers them, `Replica` is what they give (one run of the model, made when first asked).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..dictionaries import Dictionary
from ..models import FrozenModel, Model
from .neurons import NeuronUnits
from .sweep import Targets
from .table import ERROR, FEATURE, OUTPUT, TOKEN, GraphTable
from .targets import TargetLike, output_targets
from .units import Features


@dataclass(frozen=True, eq=False)
class Origin:
    """What a graph was computed from: enough to run its prompt again.

    token_ids: [position]; dictionary: None for neurons; the rest as `attribute` takes it.
    """

    model: Model
    token_ids: Tensor
    dictionary: Dictionary | None
    targets: TargetLike | Sequence[TargetLike] | None
    max_targets: int
    min_probability: float


class Replica:
    """The frozen model of a graph's prompt, its output targets and its units.

    Attributes:
        frozen, outputs: as while the graph was computed.
        units: all active features, or the neurons that are nodes.
        unit: [node] int64, which of the units a feature's or neuron's node is; -1 elsewhere.
    """

    @torch.no_grad()
    def __init__(self, origin: Origin, table: GraphTable) -> None:
        self.origin, self.table = origin, table
        self.model = origin.model
        recording = self.model.record(origin.token_ids, neurons=origin.dictionary is None)
        self.frozen = frozen = FrozenModel(self.model, recording)
        self.outputs = output_targets(
            frozen,
            origin.targets,
            max_targets=origin.max_targets,
            min_probability=origin.min_probability,
        )
        shown = np.flatnonzero(table.kind == FEATURE)
        places = np.stack([table.layer[shown], table.position[shown], table.feature[shown]], 1)
        self.units: Features | NeuronUnits
        if origin.dictionary is None:
            n, d_mlp = recording.neurons[0].value.shape if recording.neurons else (0, 0)
            layer, position, feature = places.astype(np.int64).T
            numbers = torch.from_numpy((layer * n + position) * d_mlp + feature)
            self.units = NeuronUnits(frozen, numbers.to(recording.embedding.device))
        else:
            self.units = Features(frozen, origin.dictionary)
        u = self.units
        every = zip(u.layer.tolist(), u.position.tolist(), u.feature.tolist(), strict=True)
        number = {place: i for i, place in enumerate(every)}
        self.unit: NDArray[np.int64] = np.full(table.n_nodes, -1, dtype=np.int64)
        self.unit[shown] = [number[layer, p, i] for layer, p, i in places.tolist()]

    def readers(self, nodes: NDArray[np.integer]) -> Targets:
        """What the value of each node is in the frozen stream: vector . stream + constant.

        nodes: [target], features, neurons or outputs.
        """
        frozen, table = self.frozen, self.table
        kinds = table.kind[nodes]
        assert not np.isin(kinds, (ERROR, TOKEN)).any()
        device = frozen.recording.embedding.device
        vectors = torch.empty(len(nodes), frozen.d_model, dtype=frozen.dtype, device=device)
        constants = vectors.new_empty(len(nodes))
        units, outputs = np.flatnonzero(kinds == FEATURE), np.flatnonzero(kinds == OUTPUT)
        if len(units):
            index = torch.from_numpy(self.unit[nodes[units]]).to(device)
            read = self.units.readers(index)
            vectors[units], constants[units] = read.vector, read.constant
        if len(outputs):
            which = self.output_number(nodes[outputs])
            vector, constant = frozen.read_final(self.outputs.vectors[which])
            vectors[outputs] = vector
            constants[outputs] = constant + self.outputs.constant[which].to(constant)
        return Targets(
            torch.from_numpy(table.layer[nodes].astype(np.int64)).to(device),
            torch.from_numpy(table.position[nodes].astype(np.int64)).to(device),
            vectors,
            constants,
        )

    def output_number(self, nodes: NDArray[np.integer]) -> NDArray[np.integer]:
        """Which output target a node is: outputs are the last nodes, in the targets' order."""
        return nodes - (self.table.n_nodes - len(self.outputs))
