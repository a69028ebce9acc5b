"""What units read and write with: tables of vectors, one row for each unit.

    kind         reads with          writes with
    feature      its encoder         its decoder, one for each layer it writes to
    neuron       `up`, if no gate    its column of the down projection
    direction    its vector          its vector

A gated neuron is a product of two readings, so there is no one vector that it reads with.

Rows are used where they lie: a memory-mapped table is read in slices and never held as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ...dictionaries import CrossLayerTranscoder, Rows, SparseCoder, Transcoders
from ...dictionaries.rows import is_finite
from ...models import Model, Place
from ...models.anatomy import mlp_weights, part
from ..units import DenseUnits, FeatureUnits
from .stream import Linear, added, floating, read

# Numbers that are brought to the model's dtype at once: few enough to stay in a core's cache.
SLICE = 2**18


@dataclass(frozen=True, eq=False)
class Table:
    """One vector for each unit of a layer, given out as vectors in the residual stream.

    Args:
        place: where the vectors are written, or multiplied with what stands there.
        rows: [F, w] as they are for that place, or [F, n, w], of which `column` is meant.
        device, dtype: of the numbers that come out.
        stream: from vectors at the place to vectors in the stream: what is added to it, or what it
            is multiplied with. None where there is no straight path; then rows stay as they are.
    """

    place: Place
    rows: Rows | Tensor
    device: torch.device
    dtype: torch.dtype
    column: int | None = None
    stream: Linear | None = None

    @property
    def n_features(self) -> int:
        return int(self.rows.shape[0])

    @property
    def width(self) -> int:
        """Of the rows as they are for their place."""
        return int(self.rows.shape[-1])

    def row(self, feature: int) -> Tensor:
        """[1, d_model]."""
        return self._taken(torch.tensor([feature]))

    def slices(self) -> Iterator[Tensor]:
        """All rows in order, some [k, d_model] at a time."""
        for numbers in torch.arange(self.n_features).split(self._step):
            yield self._taken(numbers)

    def times(self, vectors: Tensor) -> Tensor:
        """All rows times vectors [k, d_model] in the stream: [F, k]."""
        columns = (vectors if self.stream is None else self.stream.back(vectors)).T
        rows = self.rows.tensor if isinstance(self.rows, Rows) else self.rows
        scale = self.rows.scale if isinstance(self.rows, Rows) else None
        if self.column is not None:
            rows = rows.select(1, self.column)
            scale = None if scale is None else scale.select(1, self.column)
        held = rows.dtype == self.dtype and rows.device == self.device
        some = rows.split(len(rows) if held else self._step)
        found = torch.cat([each.to(self.device, self.dtype) @ columns for each in some])
        if scale is not None:
            found = found * scale.to(found)[:, None]
        # What lies in a file is checked when it is read; reading rows says which one is broken.
        if isinstance(self.rows, Rows) and self.rows.mapped and not is_finite(found):
            for _ in self.slices():
                pass
        return found

    @property
    def _step(self) -> int:
        return max(1, SLICE // self.width)

    def _taken(self, numbers: Tensor) -> Tensor:
        if isinstance(self.rows, Rows):
            found = self.rows.take(numbers, self.column)
        else:
            found = self.rows[numbers.to(self.rows.device)]
        found = found.to(self.device, self.dtype)
        return found if self.stream is None else self.stream.forward(found)


@dataclass(frozen=True, eq=False)
class Sides:
    """What the units of each layer write with (one table for each layer they write to) and read
    with (None where there is no such vector)."""

    writes: Mapping[int, tuple[Table, ...]]
    reads: Mapping[int, Table | None]


def sides_of(model: Model, units: FeatureUnits | DenseUnits) -> Sides:
    """The tables of units; nothing is copied."""
    if isinstance(units, DenseUnits):
        return _neurons(model) if units.vectors is None else _directions(model, units)
    if isinstance(units.dictionary, SparseCoder):
        return _coder(model, units.dictionary)
    return _layered(model, units.dictionary)


def _layered(model: Model, dictionary: Transcoders | CrossLayerTranscoder) -> Sides:
    across = isinstance(dictionary, CrossLayerTranscoder)
    writes, reads = {}, {}
    for layer in range(dictionary.n_layers):
        held = dictionary.layer(layer)
        writes[layer] = tuple(
            _writing(
                model, dictionary.writes(target), held.decoder, target - layer if across else None
            )
            for target in dictionary.writes_to(layer)
        )
        reads[layer] = _reading(model, dictionary.reads(layer), held.encoder)
    return Sides(writes, reads)


def _coder(model: Model, coder: SparseCoder) -> Sides:
    layer, weights = coder.reads.layer, coder.weights
    writing = _writing(model, coder.writes, weights.decoder)
    return Sides({layer: (writing,)}, {layer: _reading(model, coder.reads, weights.encoder)})


def _neurons(model: Model) -> Sides:
    writes: dict[int, tuple[Table, ...]] = {}
    reads: dict[int, Table | None] = {}
    for layer, block in enumerate(part(model.hf, model.anatomy.layers)):
        weights = mlp_weights(block, model.anatomy)
        writes[layer] = (_writing(model, Place(layer, "mlp_raw"), floating(weights.down).T),)
        reads[layer] = None
        if weights.gate is None:
            reads[layer] = _reading(model, Place(layer, "mlp_in"), floating(weights.up))
    return Sides(writes, reads)


def _directions(model: Model, units: DenseUnits) -> Sides:
    assert units.vectors is not None
    rows = {place: vectors.T for place, vectors in zip(units.reads, units.vectors, strict=True)}
    return Sides(
        {place.layer: (_writing(model, place, held),) for place, held in rows.items()},
        {place.layer: _reading(model, place, held) for place, held in rows.items()},
    )


def _writing(model: Model, place: Place, rows: Rows | Tensor, column: int | None = None) -> Table:
    return Table(place, rows, model.device, model.dtype, column, added(model, place))


def _reading(model: Model, place: Place, rows: Rows | Tensor) -> Table:
    there = read(model, place)
    stream = None if there is None else there.transposed
    return Table(place, rows, model.device, model.dtype, stream=stream)
