"""Groups of features that carry an entity, and what happens when one is exchanged for another.

The group of a state is found by a rule, on training prompts only: at the last piece of a city's
name, in the layers up to the place, the features that are most active for the state's cities and
little for others. Swapping sets the base state's group to zero and the donor's to its mean natural
activation; the difference, through the decoders, is added to the MLP outputs of the live model at
that position, so the reconstruction error stays.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from random import Random

import torch
from torch import Tensor

from ...dictionaries import CrossLayerTranscoder
from . import world
from .corpus import documents, held_out
from .documents import Encoder, Row, owner_of, pair_is_held_out
from .facts import CITIES, RELATIONS, STATES
from .gates import TASKS, Gate, Trials, trials
from .interchange import PLACE
from .network import Llama
from .probing import predict
from .replacement import CrossLayer, agreement, mlp_activations
from .training import padded

GROUP = 8  # features per state
_FRESH_SEED = 88_888  # of documents that training has not seen
_OWN_SHARE = 0.2  # of a feature's activation, that must belong to the state
_LAYERS = range(PLACE[-1] + 1)


@dataclass(frozen=True)
class Groups:
    """
    features: state -> (layer, feature) of its group, strongest first.
    typical: state -> mean natural activation of each of them, [group].
    """

    features: dict[str, list[tuple[int, int]]]
    typical: dict[str, Tensor]


def activations(network: Llama, layers: CrossLayer, rows: list[Row]) -> Tensor:
    """Features at the last piece of each row's name: [row, layer, F], layers up to the place."""
    x, _ = mlp_activations(network, padded(rows))
    index, place = torch.arange(len(rows)), torch.tensor([row.last for row in rows])
    return torch.stack([layers.encode(layer, x[layer][index, place]) for layer in _LAYERS], dim=1)


def groups(network: Llama, encoder: Encoder, dictionary: CrossLayerTranscoder) -> Groups:
    layers = CrossLayer(dictionary)
    rng = Random(0)
    prompts = [
        (CITIES[city], encoder.prompt(world.about_city(city, relation, rng.choice(world.TWO_HOP))))
        for city in CITIES
        for relation in RELATIONS
        if not pair_is_held_out(city, relation)
    ]
    acts = activations(network, layers, [row for _, row in prompts])
    means = torch.stack(
        [acts[[i for i, (owner, _) in enumerate(prompts) if owner == s]].mean(0) for s in STATES]
    )  # [state, layer, F]
    share = means / means.sum(0).clamp(min=1e-9)
    norm = torch.stack([layers.layers[i].decoder.whole().flatten(1).norm(dim=1) for i in _LAYERS])
    score = means * norm * (share >= _OWN_SHARE)
    features: dict[str, list[tuple[int, int]]] = {}
    typical: dict[str, Tensor] = {}
    n = score.shape[2]
    for index, state in enumerate(STATES):
        value, best = score[index].flatten().topk(GROUP)
        kept = [(int(b) // n, int(b) % n) for v, b in zip(value, best, strict=True) if v > 0]
        features[state] = kept
        typical[state] = torch.stack([means[index, i, j] for i, j in kept])
    return Groups(features, typical)


def dictionary_gates(
    network: Llama, encoder: Encoder, dictionary: CrossLayerTranscoder
) -> list[Gate]:
    """Agreement of the replaced model, and feature swaps."""
    rows = [encoder.row(document) for document in islice(documents(_FRESH_SEED), 2000)]
    rows += [
        encoder.row(document) for task in ("two-hop", *TASKS) for document in held_out(task, 60)
    ]
    same, n, zeroed = agreement(network, dictionary, rows)
    group = "Model with all MLPs replaced by the transcoder"
    gates = [
        Gate(group, "same most probable next token", same, n, 0.97),
        Gate(group, "control: the same with MLP outputs set to zero", zeroed, n),
    ]
    return gates + list(swap_gates(network, encoder, dictionary))


def swap_gates(
    network: Llama, encoder: Encoder, dictionary: CrossLayerTranscoder
) -> Iterable[Gate]:
    layers = CrossLayer(dictionary)
    found = groups(network, encoder, dictionary)
    for relation in RELATIONS:
        t = trials(encoder, relation)
        natural = activations(network, layers, t.base)
        for strength in (1.0, 2.0, 3.0):
            change = _change(t, natural, found, strength)
            share = _moved(network, layers, t, change)
            bound = 0.8 if strength == 2.0 else None
            what = f"{relation}, donor's answer, donor's features at x{strength:g}"
            yield Gate("Feature swap", what, share, len(t.base), bound)
        change = _change(t, natural, found, 2.0)
        share = _moved(network, layers, t, _random(change, layers))
        yield Gate(
            "Feature swap",
            f"control: {relation}, donor's answer, random features of equal norm",
            share,
            len(t.base),
            0.05,
            "at most",
        )


def _change(t: Trials, natural: Tensor, found: Groups, strength: float) -> Tensor:
    """New minus natural activations, [row, layer, F]."""
    wanted = natural.clone()
    for index, (base, donor) in enumerate(zip(t.base_city, t.donor_city, strict=True)):
        for layer, feature in found.features[owner_of(base)]:
            wanted[index, layer, feature] = 0
        state = owner_of(donor)
        for (layer, feature), value in zip(
            found.features[state], found.typical[state], strict=True
        ):
            wanted[index, layer, feature] = strength * value
    return wanted - natural


def _random(change: Tensor, layers: CrossLayer) -> Tensor:
    """The same changes on other features, scaled so that what they write is as long."""
    generator = torch.Generator().manual_seed(0)
    moved = torch.zeros_like(change)
    for row in range(len(change)):
        for layer in range(change.shape[1]):
            order = torch.randperm(change.shape[2], generator=generator)
            moved[row, layer] = change[row, layer, order]
    old, new = (
        torch.stack(list(_written(c, layers).values())).norm(dim=(0, 2)) for c in (change, moved)
    )
    return moved * (old / new.clamp(min=1e-9))[:, None, None]


def _written(change: Tensor, layers: CrossLayer) -> dict[int, Tensor]:
    """Target layer -> what the change adds to its MLP output, [row, d_model]."""
    out: dict[int, Tensor] = defaultdict(lambda: torch.zeros(()))
    for source in _LAYERS:
        decoder = layers.layers[source].decoder.whole()
        for reach in range(decoder.shape[1]):
            out[source + reach] = out[source + reach] + change[:, source] @ decoder[:, reach]
    return dict(out)


def _moved(network: Llama, layers: CrossLayer, t: Trials, change: Tensor) -> float:
    said = predict(
        network, t.base, add={("mlp", m): v for m, v in _written(change, layers).items()}
    )
    return float((said == t.donor_answer).float().mean())
