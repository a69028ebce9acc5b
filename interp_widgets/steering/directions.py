"""Directions: what is added to a model's vectors when it is steered.

A direction has one part per place that it is added to. Nearly all have one part; a feature of a
cross-layer transcoder has one in every layer that it writes to. Strength s adds s times each part,
so strength 1 is the direction as it came: the difference of two means, one unit of a feature's
activation, a unit vector. What is large is told by the model (scales.py).

How directions are found is in finding.py (difference in means, PCA) and probing.py (a probe).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, get_args

import torch
from torch import Tensor

from ..dictionaries import CrossLayerTranscoder, SparseCoder, Transcoders
from ..models import Place, Site
from ..models.interventions import Intervention, Vector
from .errors import SteeringError

AnyDictionary = SparseCoder | Transcoders | CrossLayerTranscoder
Kind = Literal["vector", "feature", "difference in means", "PCA", "probe", "random", "sum"]
STREAM: tuple[Site, ...] = (
    "resid_pre", "attn_out", "resid_mid", "mlp_raw", "mlp_out", "resid_post",
)  # fmt: skip
"""The sites whose vectors are in, or added to, the residual stream."""


@dataclass(frozen=True, eq=False)
class FeatureOf:
    """The feature that a direction comes from."""

    dictionary: AnyDictionary
    layer: int
    index: int

    def activation(self, x: Tensor) -> Tensor:
        """[token] from what the encoder reads, x: [token, d]."""
        d = self.dictionary
        active = d.encode(x) if isinstance(d, SparseCoder) else d.encode(self.layer, x)
        out = torch.zeros(len(x), dtype=torch.float64)
        mine = active.feature == self.index
        out[active.position[mine].cpu()] = active.activation[mine].double().cpu()
        return out

    @property
    def reads(self) -> Place:
        d = self.dictionary
        return d.reads if isinstance(d, SparseCoder) else d.reads(self.layer)


@dataclass(frozen=True, eq=False)
class Direction:
    """What steering adds.

    Attributes:
        parts: (place, vector [d_model]) pairs, in forward order; float32 on the CPU.
        name: how results call it.
        kind: where it came from.
        facts: what is known of it, by name: how many prompts it rests on, how well a probe does
            on prompts that it did not see, ...
        feature: for kind "feature".

    Raises SteeringError for no parts, a part that is all zeros or not finite, or a place that is
    not in the residual stream.
    """

    parts: tuple[tuple[Place, Tensor], ...]
    name: str
    kind: Kind = "vector"
    facts: Mapping[str, float | int | str] = field(default_factory=dict)
    feature: FeatureOf | None = None

    def __post_init__(self) -> None:
        if not self.parts:
            raise SteeringError(f"The direction {self.name!r} has no vector.")
        if self.kind not in get_args(Kind):
            raise SteeringError(f"There is no kind of direction called {self.kind!r}.")
        for place, vector in self.parts:
            if place.site not in STREAM:
                raise SteeringError(
                    f"The direction {self.name!r} is at {place}, which is no vector of the "
                    f"residual stream: use one of {', '.join(STREAM)}."
                )
            if vector.ndim != 1 or not bool(vector.isfinite().all()):
                raise SteeringError(
                    f"The direction {self.name!r} needs a finite vector [d_model] at {place}, "
                    f"not {list(vector.shape)}."
                )
            if not bool(vector.any()):
                raise SteeringError(f"The direction {self.name!r} is zero at {place}.")
        held = sorted((place, v.detach().to("cpu", torch.float32)) for place, v in self.parts)
        object.__setattr__(self, "parts", tuple(held))

    def __repr__(self) -> str:
        where = ", ".join(f"{place} (norm {float(v.norm()):.3g})" for place, v in self.parts)
        return f"Direction({self.name!r}, {self.kind}, {where})"

    @property
    def place(self) -> Place:
        """The first place that it is added to."""
        return self.parts[0][0]

    @property
    def vector(self) -> Tensor:
        """What strength 1 adds there, [d_model]."""
        return self.parts[0][1]

    @property
    def norm(self) -> float:
        """The length of all parts together, at strength 1."""
        return float(torch.stack([v.norm() for _, v in self.parts]).norm())

    def steer(self, strength: float, start: int = 1) -> list[Intervention]:
        """The interventions that add `strength` times the direction from position `start` on, in
        the prompt and in generated text. Position 0 is the special token in front."""
        return [place.add(strength, vector).from_(start) for place, vector in self._vectors]

    def scaled(self, factor: float) -> Direction:
        """The same direction, of which strength 1 is strength `factor` of this one."""
        return replace(self, parts=tuple((place, factor * v) for place, v in self.parts))

    @cached_property
    def _vectors(self) -> list[tuple[Place, Vector]]:
        return [(place, Vector.of(v, self.name)) for place, v in self.parts]


def from_vector(vector: Tensor | Sequence[float], place: Place, name: str = "vector") -> Direction:
    """Any vector [d_model], as it is."""
    return Direction(((place, torch.as_tensor(vector)),), name)


def from_feature(dictionary: AnyDictionary, layer: int, index: int, name: str = "") -> Direction:
    """A feature's decoder: strength 1 is one unit of its activation more, wherever it writes.

    Args:
        dictionary: an SAE, transcoders or a cross-layer transcoder.
        layer: the layer that the feature reads.

    Raises SteeringError for a layer or a feature that the dictionary does not have.
    """
    n = _n_features(dictionary, layer)
    if not 0 <= index < n:
        raise SteeringError(
            f"Layer {layer} of {dictionary.scan} has {n} features (0 to {n - 1}): no {index}."
        )
    wanted = torch.tensor([index])
    if isinstance(dictionary, SparseCoder):
        decoder = dictionary.weights.decoder.take(wanted.to(dictionary.device))[0]
        parts = [(dictionary.writes, decoder)]
        label = None
    else:
        wanted = wanted.to(dictionary.device)
        parts = [
            (dictionary.writes(m), dictionary.decoder(layer, wanted, m)[0])
            for m in dictionary.writes_to(layer)
        ]
        label = dictionary.labels.get((layer, index))
    # A feature may write nothing to some of the layers that it could write to.
    parts = [(place, vector) for place, vector in parts if bool(vector.any())]
    called = name or (f"{label.text} (L{layer} F{index})" if label else f"L{layer} F{index}")
    facts: dict[str, float | int | str] = {
        "dictionary": dictionary.scan,
        "layer": layer,
        "feature": index,
    }
    feature = FeatureOf(dictionary, layer, index)
    return Direction(tuple(parts), called, "feature", facts, feature)


def together(amounts: Sequence[tuple[Direction, float]], name: str = "") -> Direction:
    """Several directions at once: strength 1 is each at its own amount.

    Raises SteeringError if all amounts are 0, or they cancel at some place.
    """
    sums: dict[Place, Tensor] = {}
    used = [(direction, amount) for direction, amount in amounts if amount != 0]
    for direction, amount in used:
        for place, vector in direction.parts:
            sums[place] = sums.get(place, torch.zeros_like(vector)) + amount * vector
    called = name or " ".join(f"{amount:+g} {direction.name}" for direction, amount in used)
    return Direction(tuple(sums.items()), called or "nothing", "sum", {"n": len(used)})


def random_like(direction: Direction, seed: int) -> Direction:
    """A random direction with parts of the same norms at the same places (uniform on the sphere)."""
    random = torch.Generator().manual_seed(seed)
    parts = []
    for place, vector in direction.parts:
        draw = torch.randn(len(vector), generator=random, dtype=torch.float64)
        parts.append((place, (draw * (vector.double().norm() / draw.norm())).float()))
    return Direction(tuple(parts), f"random {seed}", "random", {"seed": seed})


def _n_features(dictionary: AnyDictionary, layer: int) -> int:
    if isinstance(dictionary, SparseCoder):
        if layer != dictionary.reads.layer:
            raise SteeringError(f"{dictionary.scan} reads {dictionary.reads}, not layer {layer}.")
        return dictionary.n_features
    if not 0 <= layer < dictionary.n_layers:
        raise SteeringError(
            f"{dictionary.scan} has {dictionary.n_layers} layers (0 to {dictionary.n_layers - 1}): "
            f"no layer {layer}."
        )
    return dictionary.n_features(layer)
