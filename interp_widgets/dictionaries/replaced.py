"""A model in which a dictionary stands in for the vectors that it predicts.

The replacement model of Ameisen et al. 2025: wherever the dictionary writes, the model's own
vector is exchanged for the prediction, errors dropped, all layers at once. So encoders of upper
layers read a stream that lower predictions have already changed.

Controls (metrics/controls.py) are replacements, too, with nothing to read or encode.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from interp_widgets.dictionaries.coder import SparseCoder
from interp_widgets.dictionaries.cross_layer import CrossLayerTranscoder
from interp_widgets.dictionaries.dictionary import ActiveFeatures, check_fits
from interp_widgets.dictionaries.errors import DictionaryError
from interp_widgets.dictionaries.transcoder import Transcoders
from interp_widgets.models import Edit, Model, Place
from interp_widgets.models.plan_checks import width_of

AnyDictionary = SparseCoder | Transcoders | CrossLayerTranscoder


class Replacement(Protocol):
    """Predictions for the vectors at `writes`, from features that read at `reads`.

    Both are in forward order, and whatever a prediction needs is read before it is written.
    """

    @property
    def reads(self) -> tuple[Place, ...]: ...

    @property
    def writes(self) -> tuple[Place, ...]: ...

    def n_features(self, index: int) -> int:
        """How many features read at reads[index]."""

    def encode(self, index: int, x: Tensor) -> ActiveFeatures:
        """The active features for what stands at reads[index], [token, d]."""

    def predict(
        self, index: int, value: Tensor, x: Sequence[Tensor], active: Sequence[ActiveFeatures]
    ) -> Tensor:
        """The prediction [token, d] for writes[index].

        Args:
            value: the model's own vectors there, [token, d] (for controls).
            x, active: what was read in front of writes[index], and its features.
        """


@dataclass(frozen=True)
class CoderReplacement:
    """A sparse coder at its one place."""

    coder: SparseCoder

    @property
    def reads(self) -> tuple[Place, ...]:
        return (self.coder.reads,)

    @property
    def writes(self) -> tuple[Place, ...]:
        return (self.coder.writes,)

    def n_features(self, index: int) -> int:
        return self.coder.n_features

    def encode(self, index: int, x: Tensor) -> ActiveFeatures:
        return self.coder.encode(x)

    def predict(
        self, index: int, value: Tensor, x: Sequence[Tensor], active: Sequence[ActiveFeatures]
    ) -> Tensor:
        return self.coder.decode(active[0], x[0])


@dataclass(frozen=True)
class LayeredReplacement:
    """Transcoders or a cross-layer transcoder at every MLP."""

    dictionary: Transcoders | CrossLayerTranscoder

    @property
    def reads(self) -> tuple[Place, ...]:
        return tuple(self.dictionary.reads(i) for i in range(self.dictionary.n_layers))

    @property
    def writes(self) -> tuple[Place, ...]:
        return tuple(self.dictionary.writes(i) for i in range(self.dictionary.n_layers))

    def n_features(self, index: int) -> int:
        return self.dictionary.n_features(index)

    def encode(self, index: int, x: Tensor) -> ActiveFeatures:
        return self.dictionary.encode(index, x)

    def predict(
        self, index: int, value: Tensor, x: Sequence[Tensor], active: Sequence[ActiveFeatures]
    ) -> Tensor:
        d = self.dictionary
        out = d.decoder_bias(index).expand(len(value), -1)
        skip = d.skip(index)
        if skip is not None:
            out = out + x[index].to(out) @ skip.T
        for layer, found in enumerate(active):
            if index not in d.writes_to(layer):
                continue
            column = index - layer if isinstance(d, CrossLayerTranscoder) else None
            out = out + d.layer(layer).decoder.add_up(
                found.position, found.feature, found.activation, len(value), column
            )
        return out


def replacement_of(dictionary: AnyDictionary, model: Model) -> Replacement:
    """The dictionary as a replacement in this model, on its device and in its analysis dtype.

    Raises DictionaryError if it does not fit the model (see `check_model`).
    """
    check_model(dictionary, model)
    there = dictionary.to(model.device, model.dtype)
    return CoderReplacement(there) if isinstance(there, SparseCoder) else LayeredReplacement(there)


def check_model(dictionary: AnyDictionary, model: Model) -> None:
    """Raises DictionaryError unless the places and widths of a dictionary are the model's."""
    if not isinstance(dictionary, SparseCoder):
        check_fits(dictionary, model.n_layers, model.d_model, model.name)
        return
    made_for = f", made for {dictionary.model_name}," if dictionary.model_name else ""
    which = f"The {dictionary.kind} {dictionary.scan}{made_for}"
    if dictionary.writes < dictionary.reads:
        raise DictionaryError(
            f"{which} reads {dictionary.reads} and writes {dictionary.writes}, which a forward "
            f"pass reaches earlier."
        )
    for verb, place in (("reads", dictionary.reads), ("writes", dictionary.writes)):
        if place.layer >= model.n_layers:
            raise DictionaryError(
                f"{which} {verb} {place}, but {model.name} has {model.n_layers} layers "
                f"(0 to {model.n_layers - 1})."
            )
        if place.site == "pattern":
            raise DictionaryError(f"{which} {verb} {place}, where no vectors stand.")
        width = width_of(model, place)
        if dictionary.d_model != width:
            raise DictionaryError(
                f"{which} has width {dictionary.d_model}, but at {place} {model.name} has "
                f"vectors of width {width}."
            )


def replaced_logits(
    model: Model, replacement: Replacement, ids: Tensor, mask: Tensor, keep: Tensor
) -> Tensor:
    """Logits [batch, position, vocab] of the replacement model.

    Args:
        ids: [batch, position], right-padded; mask: bool, the same shape.
        keep: bool [batch, position]; elsewhere the model's own vectors stay.
    """
    reads = replacement.reads
    # One run encodes each place once, however many predictions read it.
    inputs: list[Tensor] = []
    active: list[ActiveFeatures] = []

    def at(index: int, place: Place) -> Edit:
        def write(value: Tensor, seen: Mapping[Place, Tensor]) -> Tensor:
            while len(inputs) < len(reads) and reads[len(inputs)] <= place:
                x = seen[reads[len(inputs)]].to(model.device, model.dtype)[keep]
                active.append(replacement.encode(len(inputs), x))
                inputs.append(x)
            here = keep.to(value.device)
            own = value[here].to(model.device, model.dtype)
            out = value.clone()
            out[here] = replacement.predict(index, own, inputs, active).to(value)
            return out

        return write

    write = {place: at(index, place) for index, place in enumerate(replacement.writes)}
    logits = model.run(ids, mask=mask, read=reads, write=write).logits
    assert logits is not None
    return logits


def predictions(
    replacement: Replacement, seen: dict[Place, Tensor], keep: Tensor, dtype: torch.dtype
) -> tuple[list[ActiveFeatures], list[Tensor]]:
    """Features and predictions where the model itself ran unchanged.

    Args:
        seen: [batch, position, d] for every place that is read or written.
        keep: bool [batch, position], the tokens wanted.

    Returns: per place read, the active features; per place written, [token, d].
    """
    inputs = [seen[place][keep].to(dtype) for place in replacement.reads]
    active = [replacement.encode(i, x) for i, x in enumerate(inputs)]
    out = []
    for index, place in enumerate(replacement.writes):
        n = sum(read <= place for read in replacement.reads)
        value = seen[place][keep].to(dtype)
        out.append(replacement.predict(index, value, inputs[:n], active[:n]))
    return active, out
