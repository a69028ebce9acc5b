"""The units a graph is drawn over: what they read, what they write, and what is left over.

Two kinds share one shape. `Features` are the active features of a dictionary (transcoders or
a cross-layer transcoder); what the dictionary does not reconstruct is the error. `Neurons`
(neurons.py) need no dictionary; the MLP output is an exact sum over neurons, and what is not
shown is a remainder. Either way, at every block and position

    what the MLP wrote = units + error (or remainder) + constant + skip(what the MLP read).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..dictionaries import Dictionary, check_fits
from ..models import FrozenModel
from .sweep import Targets


@dataclass(frozen=True)
class Writes:
    """What units write at one block's MLP output, sorted by position.

    vectors: [m, d_model], activation times decoder; unit: [m], indices into the units;
    start: [position + 1], where each position's vectors begin.
    """

    vectors: Tensor
    unit: Tensor
    start: list[int]


class Units(Protocol):
    """What the sweep and the packaging need to know of features or neurons.

    layer, position, feature, activation, value: [unit], sorted by (layer, position, feature);
    value is what incoming edges and bias add up to (a pre-activation, or a neuron's value);
    effect is the live gradient times activation, where it was computed. `label` is the name that
    came with a feature, or "".
    errors: per block [position, d_model].
    """

    frozen: FrozenModel
    name: str
    error_name: str
    scan: str
    layer: Tensor
    position: Tensor
    feature: Tensor
    activation: Tensor
    value: Tensor
    effect: Tensor | None
    errors: list[Tensor]

    def label(self, layer: int, feature: int) -> str: ...

    def readers(self, index: Tensor) -> Targets: ...

    def writes(self, layer: int) -> Writes: ...

    def constant(self, layer: int) -> Tensor: ...

    def through_mlp(self, layer: int, gradient: Tensor, position: Tensor) -> Tensor | None: ...


def units_allowed(frozen: FrozenModel) -> Tensor:
    """Where features and neurons may be nodes, [position] bool: all but the first position.

    It is an attention sink with outsize values that are the same for every prompt. The
    instruction-tuned Gemma 3 models start every prompt with the same four tokens (circuit-tracer
    has the same rule).
    """
    name = frozen.model.name.lower()
    first = 4 if "gemma-3" in name and name.endswith("-it") else 1
    device = frozen.recording.embedding.device
    return torch.arange(frozen.n_positions, device=device) >= first


class Features:
    """The active features of a dictionary on one prompt.

    random_decoders: a control: a seed gives every feature decoder vectors of the same lengths in
        random directions. What is active stays, what it writes has no meaning.
    """

    name = "feature"
    error_name = "unexplained"
    effect: Tensor | None = None

    def __init__(
        self, frozen: FrozenModel, dictionary: Dictionary, random_decoders: int | None = None
    ) -> None:
        check_fits(dictionary, frozen.n_layers, frozen.d_model, frozen.model.name)
        self.frozen = frozen
        device = frozen.recording.embedding.device
        self.dictionary = dictionary = dictionary.to(device, frozen.dtype)
        self.scan = dictionary.scan
        self._random = random_decoders
        self._keep = keep = units_allowed(frozen)
        inputs = [frozen.mlp_input(i, dictionary.input_hook) for i in range(frozen.n_layers)]
        # One dictionary for all layers; a model spread over devices brings its inputs here.
        inputs = [x.to(device) for x in inputs]
        active = [dictionary.encode(i, x, keep) for i, x in enumerate(inputs)]
        self._inputs = inputs

        def joined(key: str) -> Tensor:
            return torch.cat([getattr(a, key) for a in active]).to(device)

        self.layer = torch.cat([torch.full((len(a.feature),), i) for i, a in enumerate(active)]).to(
            device
        )
        self.position = joined("position")
        self.feature = joined("feature")
        self.activation = joined("activation").to(frozen.dtype)
        self.value = joined("pre_activation").to(frozen.dtype)
        self._writes = [self._gather(i) for i in range(frozen.n_layers)]
        self.errors = [self._error(i) for i in range(frozen.n_layers)]

    def label(self, layer: int, feature: int) -> str:
        found = self.dictionary.labels.get((layer, feature))
        return found.text if found else ""

    def readers(self, index: Tensor) -> Targets:
        def rows(layer: int, position: Tensor, feature: Tensor) -> tuple[Tensor, Tensor]:
            encoder = self.dictionary.encoder(layer, feature)
            return encoder, self.dictionary.encoder_bias(layer, feature)

        return readers(self, index, self.dictionary.input_hook, rows)

    def writes(self, layer: int) -> Writes:
        return self._writes[layer]

    def constant(self, layer: int) -> Tensor:
        frozen, hook = self.frozen, self.dictionary.output_hook
        everywhere = torch.arange(frozen.n_positions, device=self.layer.device)
        bias = self.dictionary.decoder_bias(layer).to(self.errors[layer])
        out = bias.expand(frozen.n_positions, -1)
        # Where no feature may be active, all that the MLP wrote (but its skip) is constant.
        out = torch.where(self._keep[:, None], out, self._unskipped(layer))
        skip = self.dictionary.skip(layer)
        if skip is not None:
            bias_in = self.frozen.input_bias(layer, self.dictionary.input_hook)
            if bias_in is not None:  # the norm's bias reaches the output through the skip
                out = out + bias_in @ skip.to(out).T
        return frozen.write(layer, everywhere, out, hook)

    def through_mlp(self, layer: int, gradient: Tensor, position: Tensor) -> Tensor | None:
        skip = self.dictionary.skip(layer)
        if skip is None:
            return None
        hooks = self.dictionary.input_hook, self.dictionary.output_hook
        at_output = self.frozen.write(layer, position, gradient, hooks[1])
        return self.frozen.read(layer, position, at_output @ skip.to(at_output), hooks[0])[0]

    def decoder(self, layer: int, features: Tensor, target_layer: int) -> Tensor:
        """What active features [k] at activation 1 add to a block's MLP output, [k, d_model]."""
        rows = self.dictionary.decoder(layer, features, target_layer)
        if self._random is None:
            return rows
        n = self.frozen.n_layers
        seed = (self._random * n + layer) * n + target_layer
        return turned(rows, features, self.feature[self.layer == layer], seed)

    def _unskipped(self, layer: int) -> Tensor:
        out = self.frozen.mlp_output(layer, self.dictionary.output_hook).to(self.layer.device)
        skip = self.dictionary.skip(layer)
        return out if skip is None else out - self._inputs[layer] @ skip.to(out).T

    def _gather(self, target_layer: int) -> Writes:
        units, vectors = [], []
        for layer in range(target_layer + 1):
            if target_layer not in self.dictionary.writes_to(layer):
                continue
            unit = (self.layer == layer).nonzero()[:, 0]
            rows = self.decoder(layer, self.feature[unit], target_layer)
            units.append(unit)
            vectors.append(rows.to(self.activation) * self.activation[unit, None])
        unit, vector = torch.cat(units), torch.cat(vectors)
        order = torch.argsort(self.position[unit], stable=True)
        unit = unit[order]
        written = self.frozen.write(
            target_layer, self.position[unit], vector[order], self.dictionary.output_hook
        )
        return Writes(written, unit, starts(self.position[unit], self.frozen.n_positions))

    def _error(self, layer: int) -> Tensor:
        """MLP output - reconstruction, as added to the stream; 0 where no unit may be."""
        frozen, writes = self.frozen, self._writes[layer]
        everywhere = torch.arange(frozen.n_positions, device=self.layer.device)
        rest = self._unskipped(layer) - self.dictionary.decoder_bias(layer).to(self.activation)
        rest = frozen.write(layer, everywhere, rest, self.dictionary.output_hook)
        rest = rest.index_add(0, self.position[writes.unit], writes.vectors, alpha=-1)
        return rest * self._keep[:, None]


def turned(rows: Tensor, feature: Tensor, active: Tensor, seed: int) -> Tensor:
    """Rows of the same lengths in random directions, one for each active feature: [k, d_model]."""
    distinct = torch.unique(active.cpu())
    draw = torch.Generator().manual_seed(seed)
    random = torch.randn(len(distinct), rows.shape[1], generator=draw).to(rows)
    place = torch.searchsorted(distinct, feature.cpu())
    random = torch.nn.functional.normalize(random)[place.to(rows.device)]
    return random * rows.norm(dim=1, keepdim=True)


def readers(
    units: Units,
    index: Tensor,
    hook: str,
    rows: Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]],
) -> Targets:
    """What units read from the stream, block by block.

    Args:
        units: with the linear model they live in.
        index: [target], which units.
        hook: where they read.
        rows: (layer, position [k], feature [k]) -> what they multiply with there
            [k, d_model], and their constants [k].
    """
    frozen = units.frozen
    vectors = units.activation.new_empty(len(index), frozen.d_model)
    constants = units.activation.new_empty(len(index))
    layers, positions = units.layer[index], units.position[index]
    for layer in layers.unique().tolist():
        here = (layers == layer).nonzero()[:, 0]
        position = positions[here]
        read, constant = rows(layer, position, units.feature[index[here]])
        vectors[here], from_norm = frozen.read(layer, position, read.to(vectors), hook)
        constants[here] = constant.to(constants) + from_norm
    return Targets(layers, positions, vectors, constants)


def starts(position: Tensor, n: int) -> list[int]:
    """Where each position's run begins in sorted `position`, and the end, [n + 1]."""
    counts = torch.bincount(position, minlength=n).tolist()
    starts = [0]
    for count in counts:
        starts.append(starts[-1] + count)
    return starts
