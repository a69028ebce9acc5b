"""Exchange one group of features for another prompt's: Texas goes, California comes in.

The test that the case studies rest on (Ameisen et al. 2025): on the prompt of one graph the group is
set to zero, and another graph's group is set to the activations it has there, times a strength. If the
groups mean what they are said to mean, the answer becomes the other prompt's.

The control puts the very same changes on random features (or neurons) of the same layers and positions,
scaled so that what they write is as long, block by block: a change of that size by itself must not give
the other answer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..models.intervening import Attention
from ..models.interventions import Intervention, Target, feature, neuron
from .live import decoders
from .neurons import NeuronUnits
from .replica import Replica
from .table import OUTPUT

if TYPE_CHECKING:
    from .acting import Acting
    from .group import Nodes

Floats = NDArray[np.floating]
#: (layer, position) -> number of the feature or neuron -> its new value, or the change of it.
Cells = dict[tuple[int, int], dict[int, float]]

CONTROLS = 20


@dataclass(frozen=True, eq=False)
class Swap:
    """What the model answers before and after a swap, and after random swaps of the same size.

    removed, brought: ids of the nodes, in their own graphs; strength: of what was brought.
    answers: tokens, those of this graph first; before, after: [answer], probability; before_logit,
    after_logit: [answer], logit minus the mean logit.
    random: [control, answer], probability; random_logit: the same for logits.
    favourite: the most probable token before and after; random_favourites: after each control.
    """

    removed: tuple[str, ...]
    brought: tuple[str, ...]
    strength: float
    answers: tuple[str, ...]
    before: Floats
    after: Floats
    random: Floats
    before_logit: Floats
    after_logit: Floats
    random_logit: Floats
    favourite: tuple[str, str]
    random_favourites: tuple[str, ...]

    def __repr__(self) -> str:
        lines = [
            f"Swap({len(self.removed)} nodes out, {len(self.brought)} in × {self.strength:g}: "
            f"{self.favourite[0]!r} -> {self.favourite[1]!r}"
        ]
        for k, answer in enumerate(self.answers):
            line = f"  {answer!r}: p {self.before[k]:.3f} -> {self.after[k]:.3f}"
            if len(self.random):
                controls = self.random[:, k]
                line += (
                    f", {len(controls)} random swaps {controls.mean():.3f} "
                    f"({controls.min():.3f} to {controls.max():.3f})"
                )
            lines.append(line)
        return "\n".join(lines) + ")"


def swap(
    graph: Acting,
    out: NDArray[np.int64],
    into: Nodes,
    *,
    at: int | Mapping[int, int] | None,
    strength: float,
    attention: Attention,
    controls: int,
    seed: int,
    progress: Callable[[float, str], None] | None,
    cancelled: Callable[[], None] | None,
) -> Swap:
    """See `Graph.swap`."""
    replica, donor = graph.replica, into.graph
    brought = donor.units_among(into)
    if donor.table.scan != graph.table.scan:
        raise ValueError(
            f"The groups are of two dictionaries ({graph.table.scan} and {donor.table.scan}): "
            f"compute both graphs with the same one."
        )
    wanted = _wanted(graph, out, donor, brought, at, strength)
    change = _change(replica, wanted)
    runs = [interventions_for(replica, wanted, clamp=True)]
    rng = np.random.default_rng(seed)
    runs += [
        interventions_for(replica, random_change(replica, change, rng), clamp=False)
        for _ in range(controls)
    ]
    tokens = _answers(graph, donor)
    ids = replica.frozen.recording.token_ids
    base = replica.model.run(ids[None], logits=[len(ids) - 1]).logits
    assert base is not None
    outcomes = replica.model.intervene_each(
        ids.tolist(),
        runs,
        attention=attention,
        logits_at=(-1,),
        progress=progress,
        cancelled=cancelled,
    )
    logits = torch.stack([base[0, -1], *(o.logits[-1] for o in outcomes)]).double().cpu()
    probability = torch.softmax(logits, -1)[:, tokens].numpy()
    logit = (logits - logits.mean(-1, keepdim=True))[:, tokens].numpy()
    said = [replica.model.token_text(int(i)) for i in logits.argmax(-1)]
    return Swap(
        removed=tuple(graph.table.ids[i] for i in out),
        brought=tuple(donor.table.ids[i] for i in brought),
        strength=strength,
        answers=tuple(replica.model.token_text(i) for i in tokens),
        before=probability[0],
        after=probability[1],
        random=probability[2:],
        before_logit=logit[0],
        after_logit=logit[1],
        random_logit=logit[2:],
        favourite=(said[0], said[1]),
        random_favourites=tuple(said[2:]),
    )


def _wanted(
    graph: Acting,
    out: NDArray[np.int64],
    donor: Acting,
    brought: NDArray[np.int64],
    at: int | Mapping[int, int] | None,
    strength: float,
) -> Cells:
    """New values: 0 for what goes, the donor's activation for what comes (also where it goes)."""
    own, other = graph.table, donor.table
    place = _places(
        own.position[out], other.position[brought], at, len(own.tokens), len(other.tokens)
    )
    wanted: Cells = defaultdict(dict)
    for i in out:
        wanted[int(own.layer[i]), int(own.position[i])][int(own.feature[i])] = 0.0
    for i in brought:
        cell = int(other.layer[i]), place[int(other.position[i])]
        wanted[cell][int(other.feature[i])] = strength * float(other.activation[i])
    return dict(wanted)


def _places(
    own: NDArray[np.integer],
    other: NDArray[np.integer],
    at: int | Mapping[int, int] | None,
    length: int,
    other_length: int,
) -> dict[int, int]:
    """Where the donor's positions go: position there -> position here."""
    here, there = sorted(set(own.tolist())), sorted(set(other.tolist()))
    if isinstance(at, Mapping):
        missing = [p for p in there if p not in at]
        if missing:
            raise ValueError(
                f"`at` says nothing about position {missing[0]} of the other prompt: it needs one "
                f"for each of {there}."
            )
        place = {p: at[p] for p in there}
    elif at is not None:
        place = dict.fromkeys(there, at)
    elif len(here) == len(there):
        place = dict(zip(there, here, strict=True))
    elif length == other_length:
        place = {p: p for p in there}
    else:
        raise ValueError(
            f"The groups stand at positions {here} here and {there} in the other prompt: say where "
            f"they go, `at={{position there: position here}}` or one position for all."
        )
    place = {p: q + length if q < 0 else q for p, q in place.items()}
    wrong = [q for q in place.values() if not 0 < q < length]
    if wrong:
        raise ValueError(
            f"There can be no feature at position {wrong[0]} of this prompt: it has positions 1 to "
            f"{length - 1} behind the special token."
        )
    return place


def _change(replica: Replica, wanted: Cells) -> Cells:
    """New minus present activations."""
    units = replica.units
    present: dict[tuple[int, int, int], float] = {}
    if not isinstance(units, NeuronUnits):
        places = zip(
            units.layer.tolist(), units.position.tolist(), units.feature.tolist(), strict=True
        )
        present = dict(zip(places, units.activation.tolist(), strict=True))

    def now(layer: int, position: int, number: int) -> float:
        if isinstance(units, NeuronUnits):
            return float(units.neurons[layer].value[position, number])
        return present.get((layer, position, number), 0.0)

    return {
        (layer, position): {j: value - now(layer, position, j) for j, value in values.items()}
        for (layer, position), values in wanted.items()
    }


def random_change(replica: Replica, change: Cells, rng: np.random.Generator) -> Cells:
    """The same changes on random units, scaled so that what each cell writes is as long."""
    units = replica.units
    out: Cells = {}
    for (layer, position), values in change.items():
        total = (
            units.neurons[layer].value.shape[1]
            if isinstance(units, NeuronUnits)
            else units.dictionary.n_features(layer)
        )
        others = np.setdiff1d(np.arange(total), list(values))
        if len(others) < len(values):
            raise ValueError(
                f"Layer {layer} has {total} {units.name}s, too few to draw {len(values)} others for "
                f"a control: ask for controls=0."
            )
        drawn = rng.choice(others, len(values), replace=False)
        moved = dict(zip(drawn.tolist(), values.values(), strict=True))
        length, wanted = (
            length_written(replica, layer, moved),
            length_written(replica, layer, values),
        )
        scale = wanted / length if length > 0 else 0.0
        out[layer, position] = {j: scale * value for j, value in moved.items()}
    return out


def length_written(replica: Replica, layer: int, change: Mapping[int, float]) -> float:
    """The norm of what a change writes, over all blocks it writes to."""
    numbers = torch.tensor(list(change), device=replica.units.layer.device)
    amounts = torch.tensor(list(change.values()), dtype=torch.float64)
    squares = 0.0
    for _, vectors in decoders(replica, layer, numbers):
        written: Tensor = amounts @ vectors.double().cpu()
        squares += float(written @ written)
    return squares**0.5


def interventions_for(replica: Replica, cells: Cells, clamp: bool) -> list[Intervention]:
    dictionary = replica.origin.dictionary
    out = []
    for (layer, position), values in sorted(cells.items()):
        numbers, amounts = tuple(values), tuple(values.values())
        target: Target = (
            neuron(layer, numbers) if dictionary is None else feature(dictionary, layer, numbers)
        )
        one = target.clamp(amounts) if clamp else target.add(amounts)
        out.append(one.at(position))
    return out


def _answers(graph: Acting, donor: Acting) -> list[int]:
    """Token ids: what this graph explains first, then what the other one does."""
    found: list[int] = []
    for table in (graph.table, donor.table):
        rows = (table.kind == OUTPUT) & ~np.isnan(table.probability)
        found += table.feature[rows].tolist()
    return list(dict.fromkeys(found))
