"""What is indexed: the features of a dictionary, MLP neurons, or directions.

    features     a = encoder's activation, where it is not 0
    neurons      the MLP's inner value (act(gate) * up, or act(up))
    directions   x . v for a vector v at a place

Features are sparse by themselves. Neurons and directions hold a number everywhere, so "active" needs
a floor: a unit is active where the absolute value reaches the floor, which an index sets at the
99th percentile of the first tokens it reads (`floors`). Values keep their sign.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from ..dictionaries import CrossLayerTranscoder, SparseCoder, Transcoders
from ..dictionaries.activations import parameters
from ..dictionaries.replaced import AnyDictionary, Replacement, replacement_of
from ..models import Model, Place
from ..models.interventions import Vector
from ..models.plan_checks import width_of
from .errors import FeatureError

Kind = Literal["feature", "neuron", "direction"]
Active = tuple[Tensor, Tensor, Tensor]
"""token, feature, value: [n] each, sorted by (token, feature)."""

Directions = Mapping[str, tuple[Place, Any]]
What = AnyDictionary | Literal["neurons"] | Directions


class Units(Protocol):
    """Some units of a model, layer by layer."""

    @property
    def kind(self) -> Kind: ...

    @property
    def scan(self) -> str:
        """How the set of units is called."""

    @property
    def layers(self) -> tuple[int, ...]:
        """Numbers of the layers that have units, ascending."""

    @property
    def reads(self) -> tuple[Place, ...]:
        """Where the units of each of these layers read."""

    @property
    def names(self) -> Mapping[tuple[int, int], str]:
        """Names that units have by themselves (directions), by (layer, number)."""

    @property
    def fingerprint(self) -> str:
        """A hash that tells other units."""

    def n_features(self, layer: int) -> int: ...

    def active(self, layer: int, x: Tensor) -> Active:
        """Where units of a layer are active, for what stands at the layer's place, [token, d]."""


@dataclass(frozen=True, eq=False)
class FeatureUnits:
    """The features of a dictionary, which is on the model's device in its analysis dtype."""

    dictionary: AnyDictionary
    replacement: Replacement
    fingerprint: str
    kind: Kind = "feature"

    @property
    def scan(self) -> str:
        return self.dictionary.scan

    @property
    def reads(self) -> tuple[Place, ...]:
        return self.replacement.reads

    @property
    def layers(self) -> tuple[int, ...]:
        return tuple(place.layer for place in self.reads)

    @property
    def names(self) -> Mapping[tuple[int, int], str]:
        return {}

    def n_features(self, layer: int) -> int:
        return self.replacement.n_features(_place(self, layer))

    def active(self, layer: int, x: Tensor) -> Active:
        found = self.replacement.encode(_place(self, layer), x)
        return found.position, found.feature, found.activation


@dataclass(frozen=True, eq=False)
class DenseUnits:
    """Units with a number at every token: neurons, or directions.

    vectors: per layer [d, F], and None for neurons, whose values stand there already.
    floors: per layer [F]; None: 0.
    """

    kind: Kind
    scan: str
    layers: tuple[int, ...]
    reads: tuple[Place, ...]
    sizes: tuple[int, ...]
    fingerprint: str
    vectors: tuple[Tensor, ...] | None = None
    names: Mapping[tuple[int, int], str] = field(default_factory=dict)
    floors: tuple[Tensor, ...] | None = None

    def n_features(self, layer: int) -> int:
        return self.sizes[_place(self, layer)]

    def direction(self, layer: int, feature: int) -> tuple[Place, Tensor] | None:
        """Where a direction lies, and its vector [d]; None for a neuron."""
        at = _place(self, layer)
        return None if self.vectors is None else (self.reads[at], self.vectors[at][:, feature])

    def values(self, layer: int, x: Tensor) -> Tensor:
        """[token, F]."""
        at = _place(self, layer)
        return x if self.vectors is None else x @ self.vectors[at].to(x)

    def active(self, layer: int, x: Tensor) -> Active:
        values = self.values(layer, x)
        floors = self.floors
        floor = values.new_zeros(()) if floors is None else floors[_place(self, layer)].to(values)
        here = (values.abs() >= floor) & (values != 0)
        token, feature = here.nonzero(as_tuple=True)
        return token, feature, values[token, feature]

    def above(self, floors: Sequence[Tensor]) -> DenseUnits:
        """The same with floors, per layer [F]."""
        return replace(self, floors=tuple(floors))


def units_of(model: Model, what: What | None) -> Units:
    """The units that somebody names.

    Args:
        what: a dictionary; "neurons" (or None) for all MLP neurons; or directions by name, each a
            place and a vector [d] of the width that stands there.

    Raises FeatureError for anything else, DictionaryError for a dictionary of another model.
    """
    if isinstance(what, SparseCoder | Transcoders | CrossLayerTranscoder):
        there = replacement_of(what, model)
        held = there.coder if isinstance(what, SparseCoder) else there.dictionary  # type: ignore[attr-defined]
        return FeatureUnits(held, there, fingerprint_of(what))
    if what is None or what == "neurons":
        return _neurons(model)
    if isinstance(what, Mapping) and what:
        return _directions(model, what)
    raise FeatureError(
        f'{what!r} has no units to look at: give a dictionary, "neurons", or directions as '
        "{name: (place, vector)}."
    )


def check_unit(units: Units, layer: int, number: int) -> None:
    """Raises FeatureError for a unit that there is not."""
    size = units.n_features(layer)
    if not 0 <= number < size:
        raise FeatureError(
            f"Layer {layer} has no {units.kind} {number}: there are {size:,}, counted from 0."
        )


def fingerprint_of(dictionary: AnyDictionary) -> str:
    """A hash of a dictionary's shapes, biases and thresholds, whatever its dtype and device."""
    one = isinstance(dictionary, SparseCoder)
    layers = (dictionary.weights,) if isinstance(dictionary, SparseCoder) else dictionary.layers
    found = hashlib.sha256(f"{dictionary.kind} {dictionary.reads if one else ''}".encode())
    for layer in layers:
        activation = layer.activation
        kind = type(activation).__name__ + str(getattr(activation, "k", ""))
        found.update(str((kind, layer.encoder.shape, layer.decoder.shape)).encode())
        for tensor in (layer.encoder_bias, *parameters(layer.activation).values()):
            found.update(_bytes(tensor))
        # Biases of untrained dictionaries are all 0; some of the weights tell them apart.
        some = torch.arange(min(4, layer.n_features))
        found.update(_bytes(layer.encoder.take(some)))
    return found.hexdigest()[:32]


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().to("cpu", torch.float32).contiguous().numpy().tobytes()


def _neurons(model: Model) -> DenseUnits:
    layers = tuple(range(model.n_layers))
    reads = tuple(Place(layer, "neurons") for layer in layers)
    sizes = tuple(width_of(model, place) for place in reads)
    mark = hashlib.sha256(f"neurons {model.name} {sizes}".encode()).hexdigest()[:32]
    return DenseUnits("neuron", f"neurons of {model.name}", layers, reads, sizes, mark)


def _directions(model: Model, what: Directions) -> DenseUnits:
    by_layer: dict[int, list[tuple[str, Place, Tensor]]] = {}
    for name, entry in what.items():
        try:
            place, vector = entry
        except (TypeError, ValueError):
            place, vector = None, None
        if not isinstance(place, Place):
            raise FeatureError(
                f"The direction {name!r} needs a place and a vector, such as (iw.residual(3), v)."
            )
        try:
            held = Vector.of(vector).tensor()
        except (TypeError, ValueError, RuntimeError) as error:
            raise FeatureError(
                f"The direction {name!r} at {place} needs a vector of finite numbers: "
                f"{str(error).rstrip('.')}."
            ) from error
        if place.layer >= model.n_layers:
            raise FeatureError(f"The direction {name!r} is at {place}, which {model.name} lacks.")
        if place.site == "pattern" or width_of(model, place) != len(held):
            raise FeatureError(
                f"The direction {name!r} has {len(held)} numbers, which do not fit {place} of "
                f"{model.name}."
            )
        by_layer.setdefault(place.layer, []).append((name, place, held))
    found = hashlib.sha256(f"directions {model.name}".encode())
    reads, vectors = [], []
    names: dict[tuple[int, int], str] = {}
    for layer, entries in sorted(by_layer.items()):
        places = {place for _, place, _ in entries}
        if len(places) > 1:
            raise FeatureError(
                f"Directions of one layer are at one place, but those of layer {layer} are at "
                f"{' and '.join(map(str, sorted(places)))}: index them one by one."
            )
        reads.append(places.pop())
        vectors.append(torch.stack([vector for _, _, vector in entries], dim=1))
        found.update(str(reads[-1]).encode() + _bytes(vectors[-1]))
        names |= {(layer, number): name for number, (name, _, _) in enumerate(entries)}
    return DenseUnits(
        "direction",
        f"directions of {model.name}",
        tuple(place.layer for place in reads),
        tuple(reads),
        tuple(v.shape[1] for v in vectors),
        found.hexdigest()[:32],
        tuple(vectors),
        names,
    )


def _place(units: Units, layer: int) -> int:
    if layer not in units.layers:
        listed = ", ".join(map(str, units.layers))
        raise FeatureError(f"There are no {units.kind}s of layer {layer}; layers: {listed}.")
    return units.layers.index(layer)
