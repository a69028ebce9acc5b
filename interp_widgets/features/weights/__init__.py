"""What the weights alone say of a unit: what it writes, and who reads it. No text is needed.

    logits       unembedding . final norm . decoder                 what it writes, as tokens
    promotes     the same for one token and all units, as z scores over the vocabulary
    similar      cosines of decoders                                who writes the same
    upstream     encoder . norm . decoders of units in front        whom it reads
    downstream   encoders . norm . its decoder                      who reads it
    effect       where downstream and logits stand out from chance

The products of encoders and decoders are the virtual weights of Ameisen et al. 2025 (Circuit
Tracing: Methods, "global weights"): the path straight through the residual stream, norm weights
folded in, norm scales left out. They say what could happen: a strong weight between units that are
never active together has no effect on any text.

The control beside each list is the best that 20 random directions of the same length get.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, cast

import numpy as np
import torch

from ...dictionaries import CrossLayerTranscoder, SparseCoder, Transcoders
from ...models import Model
from ..errors import FeatureError
from ..units import DenseUnits, FeatureUnits, Units, What, units_of
from ..values import Histogram, TokenWeight
from .kept import kept
from .lists import (
    Logits,
    Neighbours,
    Promotion,
    Share,
    check_count,
    control_of,
    largest,
    limits_of,
    neighbours,
)
from .products import OUTPUT, Parts, Products, Values, squared
from .sides import Table

BINS = 50  # of the logits' histogram, as Neuronpedia draws it
LEFT_OUT = (
    "Virtual weights are the direct path through the residual stream: what attention carries between "
    "positions, what MLPs and skip connections pass on, and the norms' scales are left out."
)
_GATED = (
    "A gated neuron multiplies two readings of the stream, so there is no one vector that it reads "
    "with."
)
Part = Literal["logits", "similar", "upstream", "downstream", "effect"]


class Weights:
    """The weights of a dictionary's features, of neurons or of directions.

    Made anew it costs next to nothing: what takes time is kept as long as the model and the
    dictionary (or units) live. May be used from several threads.

    Args:
        what: a dictionary, "neurons", directions as {name: (place, vector)}, or the units of an
            index.

    Raises FeatureError or DictionaryError where `what` does not fit the model.
    """

    def __init__(self, model: Model, what: What | Units | None) -> None:
        self.model = model
        self.units = _units(model, what)
        self._products = Products(model, self.units)

    def why_none(self, part: Part, layer: int) -> str | None:
        """Why there is no such list for a layer's units, as a sentence; None where there is one."""
        writes, reader = self._tables(layer)
        sides, place = self._products.sides, writes[-1].place
        kind, scan = self.units.kind, self.units.scan
        if part == "similar":
            return None
        if part == "upstream":
            if reader is None:
                return _GATED
            if reader.stream is None:
                return f"What stands at {reader.place} is not read straight from the stream."
            if self._products.sources(layer):
                return None
            return f"No {kind} of {scan} writes in front of {reader.place}."
        if writes[0].stream is None and not (part == "logits" and place.site == "final_normalized"):
            return f"What stands at {place} is not added straight to the residual stream."
        if part == "logits" or self._products.readers(layer):
            return None
        others = [other for at, other in sides.reads.items() if at != layer and other is not None]
        if part == "effect" and others:
            return None  # behind the last reader, all goes to the output
        if len(sides.reads) > 1 and not others:
            return _GATED
        return f"No {kind} of {scan} reads behind {place}."

    @torch.no_grad()
    def logits(self, layer: int, feature: int, n: int = 10) -> Logits | None:
        """The tokens that a unit raises most and lowers most, by the unembedding of all it writes.

        The control: the largest logit of random directions as long as what it writes. None where
        `why_none` says why.
        """
        self._check(layer, feature, n)
        if self.why_none("logits", layer):
            return None
        products = self._products
        parts, values = products.parts(layer, feature), products.logits(layer)
        found = values(parts)[:, 0].cpu()
        place = self._tables(layer)[0][-1].place
        name = "behind the final norm" if place.site == "final_normalized" else "logits"
        drawn = products.by_chance(name, {OUTPUT: values}, parts)

        def tokens(top: bool) -> tuple[TokenWeight, ...]:
            best = found.topk(min(n, len(found)), largest=top)
            pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
            return tuple(TokenWeight(self.model.token_text(i), i, value) for i, value in pairs)

        counts, edges = np.histogram(found.double().numpy(), BINS)
        return Logits(tokens(True), tokens(False), control_of(drawn), Histogram(edges, counts))

    @torch.no_grad()
    def promotes(
        self, token_id: int, n: int = 20, layers: Iterable[int] | None = None
    ) -> list[Promotion]:
        """The units of some layers (None: all) that raise a token most, by z: its logit in standard deviations
        of the unit's logits over the vocabulary, so that long decoders do not always win.

        The first call for a dictionary takes longer (2 s for 120,000 features of width 576). []
        where units write nothing to the stream. Raises FeatureError for no token of the model.
        """
        check_count(n)
        products, count = self._products, self._products.output.n_tokens
        if not 0 <= token_id < count:
            raise FeatureError(
                f"Token {token_id} is outside the vocabulary of {self.model.name} (0 to {count - 1})."
            )
        values, z = {}, {}
        for layer in self.units.layers if layers is None else layers:
            if self.why_none("logits", layer) is None:
                values[layer] = products.token(layer, token_id)
                spread = products.spread(layer)
                z[layer] = torch.where(spread > 0, values[layer] / spread, 0)
        return [
            Promotion(at, feature, float(values[at][feature]), float(z[at][feature]))
            for at, feature in largest(z, n)
        ]

    @torch.no_grad()
    def similar(self, layer: int, feature: int, n: int = 10) -> Neighbours:
        """The units of any layer whose decoders have the largest cosines with this one's.

        What is compared is what is added to the stream. Where units write to several layers, the
        vectors to all of them are one long vector, with 0 where a unit does not write: only
        layers that both write to bring them together. The control: the largest cosine of random
        directions with any unit.
        """
        self._check(layer, feature, n)
        products = self._products
        parts, cosines = products.parts(layer, feature), products.cosines(layer)
        found = {at: values(parts)[:, 0] for at, values in cosines.items()}
        found[layer][feature] = -torch.inf
        top = [unit for unit in largest(found, n) if unit != (layer, feature)]
        if not top:
            return [], None
        drawn = products.by_chance("cosines", cosines, parts, power=0)
        return neighbours(found, top), control_of(drawn)

    @torch.no_grad()
    def upstream(self, layer: int, feature: int, n: int = 10) -> Neighbours:
        """The units whose writing this one reads most, by absolute virtual weight; values signed.

        Only what is written in front of where it reads. The control: the largest absolute weight
        of random directions as long as its encoder is in the stream. ([], None) where `why_none`
        says why.
        """
        self._check(layer, feature, n)
        reader, products = self._tables(layer)[1], self._products
        if reader is None or self.why_none("upstream", layer):
            return [], None
        return self._linked("sources", products.sources(layer), [reader.row(feature)], n)

    @torch.no_grad()
    def downstream(self, layer: int, feature: int, n: int = 10) -> Neighbours:
        """The units that read this one's writing most, by absolute virtual weight; values signed.

        A reader gets all that is written in front of it: of a cross-layer feature, the sum over
        the layers below. The control: the largest absolute weight of random directions as long as
        what it writes. ([], None) where `why_none` says why.
        """
        self._check(layer, feature, n)
        products = self._products
        if self.why_none("downstream", layer):
            return [], None
        parts = products.parts(layer, feature)
        return self._linked("readers", products.readers(layer), parts, n)

    def _linked(self, name: str, links: Mapping[int, Values], parts: Parts, n: int) -> Neighbours:
        found = {at: values(parts)[:, 0] for at, values in links.items()}
        sizes = {at: lambda drawn, each=each: each(drawn).abs() for at, each in links.items()}
        drawn = self._products.by_chance(name, sizes, parts)
        top = largest({at: weights.abs() for at, weights in found.items()}, n)
        return neighbours(found, top), control_of(drawn)

    @torch.no_grad()
    def effect(self, layer: int, feature: int) -> list[Share]:
        """Where a unit's output goes: to the readers of each later layer, and to the output.

        Encoders differ in length and an unembedding is no encoder, so all readers (encoders and
        unembedding rows, norm weights folded in) count as directions of length 1 in the stream. A
        place's strength is the mean of its 10 largest squared projections of what is written in
        front of it, relative to the squared length of all that the unit writes. What random
        directions get there on average is taken off (0 where strength is within limits that 97.5%
        of these keep at all places), and the rest is divided by its sum. Ten, because what most
        readers get of any vector is chance, and would drown the few that are meant.

        It says where the direction is read, not how much a later norm leaves of it: the stream
        grows from layer to layer, so that late places get less of it than their share says. []
        where nothing stands out from chance, or `why_none` says why.
        """
        self._check(layer, feature)
        products = self._products
        if self.why_none("effect", layer):
            return []
        parts, values = products.parts(layer, feature), products.strengths(layer)
        written = float(squared(parts))
        if written == 0:
            return []
        drawn = {at: d / written for at, d in products.strengths_by_chance(layer, parts).items()}
        limits = limits_of(drawn)
        rows = []
        for at, strength in values.items():
            chance = float(drawn[at].mean())
            found = float(strength(parts)) / written
            above = found - chance if found > limits[at] else 0.0
            rows.append(("output" if at == OUTPUT else f"L{at}", above, found, chance))
        total = sum(above for _, above, _, _ in rows)
        return [Share(to, above / total, *numbers) for to, above, *numbers in rows if total > 0]

    def _tables(self, layer: int) -> tuple[tuple[Table, ...], Table | None]:
        sides = self._products.sides
        if layer not in sides.writes:
            listed = ", ".join(map(str, sides.writes))
            raise FeatureError(
                f"There are no {self.units.kind}s of layer {layer}; layers: {listed}."
            )
        return sides.writes[layer], sides.reads[layer]

    def _check(self, layer: int, feature: int, n: int = 1) -> None:
        check_count(n)
        writes, _ = self._tables(layer)
        if not 0 <= feature < writes[0].n_features:
            raise FeatureError(
                f"Layer {layer} of {self.units.scan} has {self.units.kind}s 0 to "
                f"{writes[0].n_features - 1}: there is no {feature}."
            )


def _units(model: Model, what: What | Units | None) -> FeatureUnits | DenseUnits:
    """Units, made once for a dictionary: they hold it in the model's dtype."""
    if isinstance(what, FeatureUnits | DenseUnits):
        return what
    owner: object = None
    if isinstance(what, SparseCoder | Transcoders | CrossLayerTranscoder):
        owner = what
    elif what is None or what == "neurons":
        owner = model
    named = cast(What, what)
    made = (
        units_of(model, named)
        if owner is None
        else kept(model, owner).get("units", lambda: units_of(model, named))
    )
    assert isinstance(made, FeatureUnits | DenseUnits)
    return made
