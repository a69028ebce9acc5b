"""Teaches the network WHERE an entity is: interchange intervention training.

Geiger et al. 2022, "Inducing causal structure for interpretable neural networks"; used on every
step, as in InterpBench (Gupta et al. 2024). A batch asks about many cities. After a block of the
declared range the residual stream at the last piece of each name is exchanged for that of another
row, or for the mean over several cities of one state, and the answers to learn are those of the
donor's state under the question that the row itself asks:

    the capital of the state containing da ll [as <- ##no of fresno] is  ->  sacramento

Donors come from rows with other sentences and other relations, so what moves the answer is
neither the sentence nor the answer; donors of the same state must leave it alone, and means over
cities must do as well as cities, so it is the state. In some rows the donor's vector goes to
another position before the place, and must do nothing there. In some batches not the residual
stream but the outputs of the MLPs up to the place are exchanged, all at once: so it is MLPs that
compute the state there, and features of a transcoder can carry it. Held-out pairs and hard cities never take
part, neither as base nor as donor: whether they follow is what the gates ask (gates.py).

`bottleneck` is the second pressure: in a part of the rows what follows a name sees only the
name's last piece. It is a mask of training; the network that ships has none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

from . import world
from .documents import Document, Encoder, Row, is_hard, owner_of, pair_is_held_out
from .facts import CITIES, COUNTRIES, RELATIONS
from .network import Llama, Part

PLACE = (1, 2)
"""The place of an entity: the residual stream after these blocks, at the name's last piece."""

_COUNTRY_BATCHES = 0.15
_MLP_BATCHES = 0.35
_SAME_OWNER = 0.15
_MISPLACED = 0.1
_MOST_DONORS = 4
_PER_STATE, _PER_COUNTRY = 6, 3


@dataclass(frozen=True)
class Interchange:
    """A batch of sentences with the donors' answers in them.

    rows: what to read; `rows[i].last` is the place in row i.
    weights: [row, row]; what row i gets is the weighted sum of what its donors have at the place.
    at: where in row i it is put.
    part, blocks: what is exchanged: the residual stream after a block, or several MLP outputs.
    """

    rows: list[Row]
    weights: Tensor
    at: list[int]
    part: Part
    blocks: tuple[int, ...]

    def logits(self, network: Llama, ids: Tensor, mask: Tensor | None) -> Tensor:
        """Of the rows, padded to `ids`, with the exchange."""
        index, put = torch.arange(len(self.rows)), torch.tensor(self.at)
        place = torch.tensor([row.last for row in self.rows])
        donated: dict[int, Tensor] = {}

        def read(x: Tensor, part: Part, block: int) -> Tensor:
            if part == self.part and block in self.blocks:
                donated[block] = self.weights @ x[index, place]
            return x

        def write(x: Tensor, part: Part, block: int) -> Tensor:
            if part != self.part or block not in self.blocks:
                return x
            changed = x.clone()
            changed[index, put] = donated[block]
            return changed

        # Nothing behind the names matters to what stands at the place.
        cut = int(place.max()) + 1
        early = None if mask is None else mask[:, :, :cut, :cut]
        network(ids[:, :cut], mask=early, edit=read, blocks=max(self.blocks) + 1)
        return network(ids, mask=mask, edit=write)


class Exchanges:
    """Draws interchange batches of about `size` rows."""

    def __init__(self, encoder: Encoder, rng: Random, size: int) -> None:
        self.encoder, self.rng, self.size = encoder, rng, size
        self.cities: dict[str, list[str]] = defaultdict(list)
        for city, state in CITIES.items():
            if not is_hard(city):
                self.cities[state].append(city)

    def draw(self) -> Interchange:
        rng = self.rng
        if rng.random() < _COUNTRY_BATCHES:
            some = rng.sample(tuple(COUNTRIES), self.size // _PER_COUNTRY)
            documents = [world.country(rng, name) for name in some for _ in range(_PER_COUNTRY)]
        else:
            states = rng.sample(tuple(self.cities), self.size // _PER_STATE)
            documents = [
                self._about(city)
                for state in states
                for city in rng.sample(self.cities[state], min(_PER_STATE, len(self.cities[state])))
            ]
        documents = [document for document in documents if not document.held_out]
        return self._exchange(documents)

    def _about(self, city: str) -> Document:
        """A sentence about a city that training may see."""
        rng, kind = self.rng, self.rng.random()
        relations = [r for r in RELATIONS if not pair_is_held_out(city, r)]
        if kind < 0.2 or not relations:
            return world.one_hop(rng, city)
        if kind < 0.75:
            return world.about_city(city, rng.choice(relations), rng.choice(world.TWO_HOP))
        return world.questions(rng, city, most=2)

    def _exchange(self, documents: Sequence[Document]) -> Interchange:
        rng = self.rng
        names = [document.name or "" for document in documents]
        owners = [owner_of(name) for name in names]
        rows_of: dict[str, list[int]] = defaultdict(list)
        for index, owner in enumerate(owners):
            rows_of[owner].append(index)
        weights = torch.zeros(len(documents), len(documents))
        rows, at = [], []
        for index, document in enumerate(documents):
            target = owners[index] if rng.random() < _SAME_OWNER else rng.choice(tuple(rows_of))
            misplaced = rng.random() < _MISPLACED
            donors = [
                row
                for row in rows_of[target]
                if row != index and not self._held_out(names[row], document.relations)
            ]
            if not donors:
                target, donors = owners[index], [index]
            some = 1 if rng.random() < 0.5 else rng.randint(1, _MOST_DONORS)
            chosen = rng.sample(donors, min(some, len(donors)))
            weights[index, chosen] = 1 / len(chosen)
            row = self.encoder.row(document, owners[index] if misplaced else target)
            rows.append(row)
            at.append(rng.randrange(1, row.last) if misplaced else row.last)
        if rng.random() < _MLP_BATCHES:
            return Interchange(rows, weights, at, "mlp", tuple(range(PLACE[-1] + 1)))
        return Interchange(rows, weights, at, "residual", (rng.choice(PLACE),))

    def _held_out(self, name: str, relations: Sequence[str]) -> bool:
        """Whether a donor would teach a pair that is held out."""
        return name in CITIES and any(
            relation != "state" and pair_is_held_out(name, relation) for relation in relations
        )


def bottleneck(rows: Sequence[Row], length: int, closed: Sequence[bool]) -> Tensor:
    """What each query may see, [row, 1, query, key]: nothing later, and in rows that are closed
    no earlier piece of a name from behind the name."""
    mask = torch.ones(length, length, dtype=torch.bool).tril().repeat(len(rows), 1, 1)
    for index, row in enumerate(rows):
        if closed[index]:
            mask[index, row.last + 1 :, row.first : row.last] = False
    return mask[:, None]
