"""What to train: where a dictionary reads and writes, how many features, by which recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ...models.interventions import residual
from ...models.places import Place, Site
from ..errors import DictionaryError
from .recipes import Matryoshka, Recipe

Decoder = Literal["untied", "tied"]


@dataclass(frozen=True)
class Spec:
    """One dictionary.

    Args:
        reads: the places that encoders read, one encoder each, in order of layers.
        writes: the places to predict, one for each of `reads`. Features of reads[l] write to
            writes[l] and all later ones.
        n_features: per encoder.
        recipe: a value of `recipes`.
        skip: a linear path beside the features, from reads[l] to writes[l].
        decoder: "untied": one vector per feature and target. "tied": one matrix [F, d] per target
            that feature j of every layer shares, L instead of L (L + 1) / 2 matrices
            (decode-clt calls it "per_target").
        window: how many targets features reach, their own layer's included; None: all.
        name: what the training is called in the view; None: made from the places.
    """

    reads: tuple[Place, ...]
    writes: tuple[Place, ...]
    n_features: int
    recipe: Recipe
    skip: bool = False
    decoder: Decoder = "untied"
    window: int | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        if not self.reads or len(self.reads) != len(self.writes):
            raise DictionaryError(
                f"A dictionary needs as many places to write to as to read from, at least one, "
                f"but has {len(self.reads)} and {len(self.writes)}."
            )
        if self.n_features < 1:
            raise DictionaryError(f"A dictionary needs features, but has {self.n_features}.")
        if self.window is not None and self.window < 1:
            raise DictionaryError(f"window must be at least 1, but is {self.window}.")
        recipe = self.recipe.base if isinstance(self.recipe, Matryoshka) else self.recipe
        for setting in ("k", "k_start", "target_l0"):
            active = getattr(recipe, setting, None)
            if active is not None and active > self.n_features:
                raise DictionaryError(
                    f"{setting} is {active}, but the dictionary has only {self.n_features} features."
                )
        if isinstance(self.recipe, Matryoshka) and self.recipe.prefixes[-1] > self.n_features:
            raise DictionaryError(
                f"The Matryoshka prefix {self.recipe.prefixes[-1]} is beyond the dictionary's "
                f"{self.n_features} features."
            )

    def targets(self, source: int) -> range:
        """Which of `writes` the features of reads[source] write to."""
        reach = len(self.writes) if self.window is None else source + self.window
        return range(source, min(reach, len(self.writes)))

    @property
    def title(self) -> str:
        """`name`, or the places: "L3 mlp_in -> L3 mlp_out"."""
        if self.name is not None:
            return self.name
        first, last = str(self.reads[0]), str(self.writes[-1])
        return first if first == last else f"{first} -> {last}"


def sae(place: Place | int, n_features: int, recipe: Recipe, *, name: str | None = None) -> Spec:
    """A sparse autoencoder of what stands at a place; a number is the stream behind that block."""
    place = residual(place) if isinstance(place, int) else place
    return Spec((place,), (place,), n_features, recipe, name=name)


def transcoder(
    layer: int,
    n_features: int,
    recipe: Recipe,
    *,
    skip: bool = False,
    reads: Site = "mlp_in",
    writes: Site = "mlp_out",
    name: str | None = None,
) -> Spec:
    """A transcoder of a layer's MLP; with `skip`, a linear path beside it (Paulo et al. 2025)."""
    return Spec(
        (Place(layer, reads),), (Place(layer, writes),), n_features, recipe, skip, name=name
    )


def cross_layer(
    n_layers: int,
    n_features: int,
    recipe: Recipe,
    *,
    window: int | None = None,
    tied: bool = False,
    skip: bool = False,
    reads: Site = "resid_mid",
    writes: Site = "mlp_out",
    name: str | None = None,
) -> Spec:
    """A cross-layer transcoder of all MLPs of a model; n_features per layer."""
    return Spec(
        _places(n_layers, reads),
        _places(n_layers, writes),
        n_features,
        recipe,
        skip,
        "tied" if tied else "untied",
        window,
        name,
    )


def _places(n_layers: int, site: Site) -> tuple[Place, ...]:
    layers: Sequence[int] = range(n_layers)
    return tuple(Place(layer, site) for layer in layers)
