"""Products of what units write with what reads it: encoders, decoders, unembedding rows.

`parts` are vectors in the stream, one [k, d_model] for each place that a layer's units write to:
what a unit adds there at activation 1, or random vectors of the same lengths in its stead. A
`Values` is a table that waits for them: from parts to one value for each row of the table, [F, k].
Norm weights are folded into the few vectors, so that no table of encoders or decoders is copied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor

from ...models import Model
from ..units import DenseUnits, FeatureUnits
from .kept import kept
from .output import Output
from .sides import Table, sides_of
from .stream import Linear, meets, random_directions, unembedded

READERS = 10
#: Random directions that say whether a place stands out.
MANY = 200
OUTPUT = -1  # stands for the output where layers are numbered
Parts = Sequence[Tensor]
Values = Callable[[Parts], Tensor]


class Products:
    """The products of one model's units; F counts a layer's units, V the tokens."""

    def __init__(self, model: Model, units: FeatureUnits | DenseUnits) -> None:
        self._model = model
        self._kept = kept(model, units)
        self.sides = sides_of(model, units)
        self.output = Output(model)
        # A layer's features that write to several layers are compared layer by layer.
        self._across = any(len(tables) > 1 for tables in self.sides.writes.values())

    def parts(self, layer: int, feature: int) -> list[Tensor]:
        """What a unit writes, [1, d_model] each."""
        return [table.row(feature) for table in self.sides.writes[layer]]

    def logits(self, layer: int) -> Values:
        """Logits above their mean over the vocabulary, [V, k]."""
        linear = self._unembedded(layer)
        return lambda parts: self.output.logits(linear.forward(_sum(parts)))

    def readers(self, layer: int) -> dict[int, Values]:
        """What units get that read what a layer's units write, by their layer."""
        writes = self.sides.writes[layer]
        found: dict[int, Values] = {}
        for at, reader in self.sides.reads.items():
            if reader is not None and (seen := self._met(writes, reader)):

                def values(parts: Parts, reader: Table = reader, seen: list[int] = seen) -> Tensor:
                    return reader.times(_sum(parts[i] for i in seen))

                found[at] = values
        return found

    def sources(self, layer: int) -> dict[int, Values]:
        """What units give to one part, a vector that reads the stream where a layer's units read
        it, by their layer."""
        reader = self.sides.reads[layer]
        found: dict[int, Values] = {}
        for at, tables in self.sides.writes.items():
            if reader is not None and (met := self._met(tables, reader)):

                def values(
                    parts: Parts, tables: Sequence[Table] = tables, met: list[int] = met
                ) -> Tensor:
                    return _sum(tables[i].times(parts[0]) for i in met)

                found[at] = values
        return found

    def cosines(self, layer: int) -> dict[int, Values]:
        """Cosines of what units write with what a layer's units write, by their layer."""
        own = [self._space(table) for table in self.sides.writes[layer]]
        found: dict[int, Values] = {}
        for at, tables in self.sides.writes.items():
            pairs = [
                (table, own.index(space))
                for table in tables
                if (space := self._space(table)) in own
            ]
            if pairs:

                def values(
                    parts: Parts, at: int = at, pairs: list[tuple[Table, int]] = pairs
                ) -> Tensor:
                    lengths = self._written(at)[:, None] * squared(parts).sqrt()
                    dots = _sum(table.times(parts[i]) for table, i in pairs)
                    return dots / lengths.clamp(min=torch.finfo(dots.dtype).tiny)

                found[at] = values
        return found

    def strengths(self, layer: int) -> dict[int, Values]:
        """How strongly each reading layer, and the output, reads what a layer's units write: [1, k].

        The mean of the largest squared projections on its readers as directions of length 1.
        """
        places = {**self.readers(layer), OUTPUT: self.logits(layer)}

        def of(at: int, values: Values) -> Values:
            def strength(parts: Parts) -> Tensor:
                projections = values(parts) / self._reading(at)[:, None]
                top = projections.square().topk(min(READERS, len(projections)), dim=0)
                return top.values.mean(0, keepdim=True)

            return strength

        return {at: of(at, values) for at, values in places.items()}

    def strengths_by_chance(self, layer: int, parts: Parts) -> dict[int, Tensor]:
        """`strengths` of random parts as long as `parts`, [draw] each.

        Whether a place stands out is asked of every unit with the same draws, so these are many: 20
        would take up to a quarter of all random directions for something. They are measured once for
        each place, since the sum of random directions is one, of a length that does not depend on
        where it points: a strength grows with that length's square.
        """
        lengths = torch.cat([part.norm(dim=1) for part in parts])
        products = self._random_products(len(parts), parts[0])
        writes = self.sides.writes[layer]
        out: dict[int, Tensor] = {}
        for at, values in self.strengths(layer).items():
            reader = None if at == OUTPUT else self.sides.reads[at]
            met = list(range(len(parts))) if reader is None else self._met(writes, reader)

            def measure(values: Values = values, first: int = met[0]) -> Tensor:
                (one,) = random_directions(1, parts[0].shape[1], parts[0], MANY, seed=1)
                alone = [one if i == first else torch.zeros_like(one) for i in range(len(parts))]
                return values(alone)[0]

            space = writes[met[0]].stream is not None
            once = self._kept.get(("strengths", at, space), measure)
            among = lengths[met]
            out[at] = once * (products[:, met][:, :, met] @ among @ among)
        return out

    def _random_products(self, count: int, like: Tensor) -> Tensor:
        """Products of random directions with each other, [draw, part, part]."""

        def make() -> Tensor:
            random = random_directions(count, like.shape[1], like, MANY)
            return torch.einsum("idw,jdw->dij", random, random)

        return self._kept.get(("products", count, like.shape[1]), make)

    def by_chance(
        self,
        name: str,
        values: Mapping[int, Values],
        parts: Parts,
        power: int = 1,
    ) -> dict[int, Tensor]:
        """The largest values of random parts as long as `parts`, [draw] each.

        Directions are the same for all units. Where units write to one place each, they are
        measured once for each table, at length 1, and that times a length (to a power) is a unit's.
        """
        random = random_directions(len(parts), parts[0].shape[1], parts[0])
        out: dict[int, Tensor] = {}
        for at, each in values.items():

            def measure(drawn: Parts, each: Values = each) -> Tensor:
                return each(drawn).amax(0)

            if self._across:
                drawn = [d * part.norm() for d, part in zip(random, parts, strict=True)]
                out[at] = measure(drawn)
            else:
                once = self._kept.get((name, at), lambda: measure(list(random)))
                out[at] = once * parts[0].norm() ** power
        return out

    def token(self, layer: int, token_id: int) -> Tensor:
        """One token's logit for all units of a layer: [F]."""
        row = self._unembedded(layer).back(self.output.row(token_id)[None])
        return _sum(table.times(row)[:, 0] for table in self.sides.writes[layer])

    def spread(self, layer: int) -> Tensor:
        """The standard deviation of units' logits over the vocabulary, [F]."""

        def make() -> Tensor:
            linear, tables = self._unembedded(layer), self.sides.writes[layer]
            slices = zip(*(table.slices() for table in tables), strict=True)
            return torch.cat([self.output.spread(linear.forward(_sum(rows))) for rows in slices])

        return self._kept.get(("spread", layer), make)

    def _unembedded(self, layer: int) -> Linear:
        linear = unembedded(self._model, self.sides.writes[layer][-1].place)
        assert linear is not None
        return linear

    def _met(self, tables: Sequence[Table], reader: Table) -> list[int]:
        """Which tables write in front of where a reader reads the stream."""
        places = [table.place for table in tables]
        return [i for i, place in enumerate(places) if meets(self._model, place, reader.place)]

    def _reading(self, layer: int) -> Tensor:
        """How long the vectors are with which a layer's units, or tokens, read the stream, [F]."""
        if layer == OUTPUT:
            return self.output.lengths
        reader = self.sides.reads[layer]
        assert reader is not None

        def make() -> Tensor:
            lengths = torch.cat([rows.norm(dim=1) for rows in reader.slices()])
            return lengths.clamp(min=torch.finfo(lengths.dtype).tiny)

        return self._kept.get(("reading lengths", layer), make)

    def _written(self, layer: int) -> Tensor:
        """How long all is that units write, [F]."""

        def make() -> Tensor:
            slices = zip(*(table.slices() for table in self.sides.writes[layer]), strict=True)
            return torch.cat([squared(rows).sqrt() for rows in slices])

        return self._kept.get(("written lengths", layer), make)

    def _space(self, table: Table) -> tuple[object, ...]:
        """Vectors in the same space are compared: in the stream, or else at one kind of place."""
        space = "stream" if table.stream is not None else (table.place.site, table.width)
        return space, table.place.layer if self._across else None


def squared(parts: Iterable[Tensor]) -> Tensor:
    """The squared length of all parts [k, d_model] together, [k]."""
    return _sum(part.square().sum(1) for part in parts)


def _sum(tensors: Iterable[Tensor]) -> Tensor:
    first, *others = tensors
    for other in others:
        first = first + other
    return first
