"""What an intervention on features needs of each kind of dictionary.

A change of activations da is written as da W_dec wherever the feature's decoders go, and the rest
of what stands there (other features, bias, skip path, error) stays. Where a coder normalises its
inputs, a change is scaled back as its outputs are:

    constant_norm   da W_dec |x| / sqrt(d)        layer_norm   da W_dec std(x)

Registered with `models.feature_access`; imported with the package, so that every dictionary that
somebody holds has brought its own answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import linear

from interp_widgets.dictionaries.activations import TopK, parameters
from interp_widgets.dictionaries.coder import SparseCoder
from interp_widgets.dictionaries.layers import Layer, LayeredDictionary
from interp_widgets.dictionaries.replaced import check_model
from interp_widgets.dictionaries.rows import finite
from interp_widgets.models import InterventionError, Model, Place
from interp_widgets.models.feature_access import access, skip_path


@dataclass(frozen=True, eq=False)
class BoundFeatures:
    """Some features of one layer, with their rows at hand.

    encode: from [position, d] at `reads` to activations [position, k].
    decoder: from an index of `writes` to [k, d].
    unscale: from x [position, d] to what a written change is multiplied by.
    """

    reads: Place
    writes: tuple[Place, ...]
    encode: Callable[[Tensor], Tensor]
    decoder: Callable[[int], Tensor]
    unscale: Callable[[Tensor], Tensor] | None = None

    def activations(self, x: Tensor) -> Tensor:
        return self.encode(finite(x, f"What stands at {self.reads}"))

    def written(self, index: int, columns: Tensor, change: Tensor, x: Tensor) -> Tensor:
        out = change @ self.decoder(index)[columns]
        return out if self.unscale is None else out * self.unscale(x)


@access.register
def _of_layer(
    dictionary: LayeredDictionary, layer: int, features: tuple[int, ...], model: Model
) -> BoundFeatures:
    check_model(dictionary, model)  # type: ignore[arg-type]
    _check_layer(dictionary.scan, layer, range(dictionary.n_layers))
    wanted = _indices(dictionary.scan, layer, features, dictionary.n_features(layer))
    targets = dictionary.writes_to(layer)  # type: ignore[attr-defined]

    @cache  # read when something is written, because a large set's decoders fill memory
    def decoder(index: int) -> Tensor:
        rows: Tensor = dictionary.decoder(layer, wanted, targets[index])  # type: ignore[attr-defined]
        return rows.to(model.device, model.dtype)

    return BoundFeatures(
        dictionary.reads(layer),
        tuple(dictionary.writes(target) for target in targets),
        _encoder(dictionary.layer(layer), wanted, model),
        decoder,
    )


@access.register
def _of_coder(
    coder: SparseCoder, layer: int, features: tuple[int, ...], model: Model
) -> BoundFeatures:
    check_model(coder, model)
    _check_layer(coder.scan, layer, range(coder.reads.layer, coder.reads.layer + 1))
    wanted = _indices(coder.scan, layer, features, coder.n_features)
    inner = _encoder(coder.weights, wanted, model)

    def encode(x: Tensor) -> Tensor:
        shift, scale = coder._norm(x)
        return inner((x - shift) * scale)

    def unscale(x: Tensor) -> Tensor:
        return x.std(-1, keepdim=True) if coder.norm == "layer_norm" else 1 / coder._norm(x)[1]

    @cache
    def decoder(index: int) -> Tensor:
        return coder.weights.decoder.take(wanted).to(model.device, model.dtype)

    if coder.norm == "none":
        return BoundFeatures(coder.reads, (coder.writes,), inner, decoder)
    return BoundFeatures(coder.reads, (coder.writes,), encode, decoder, unscale)


@skip_path.register
def _skip_of_layer(dictionary: LayeredDictionary, layer: int) -> tuple[Place, Place, Tensor] | None:
    skip = dictionary.skip(layer)
    return None if skip is None else (dictionary.reads(layer), dictionary.writes(layer), skip)


@skip_path.register
def _skip_of_coder(coder: SparseCoder, layer: int) -> tuple[Place, Place, Tensor] | None:
    skip = coder.weights.skip
    if skip is None or layer != coder.writes.layer:
        return None
    return coder.reads, coder.writes, skip


def _encoder(weights: Layer, wanted: Tensor, model: Model) -> Callable[[Tensor], Tensor]:
    """From [position, d] to the activations [position, k] of the wanted features."""
    activation = weights.activation
    where = model.device, model.dtype
    if isinstance(activation, TopK):
        # Which features are among the k largest is known only when all have been computed.
        encoder = weights.encoder.to(*where).whole()
        bias, columns = weights.encoder_bias.to(*where), wanted.to(model.device)
        return lambda x: activation(linear(x, encoder, bias))[:, columns]
    rows = weights.encoder.take(wanted).to(*where)
    index = wanted.to(weights.encoder_bias.device)
    bias = weights.encoder_bias[index].to(*where)
    held = {name: t[index].to(*where) for name, t in parameters(activation).items()}
    few = replace(activation, **held)  # type: ignore[arg-type]
    return lambda x: few(linear(x, rows, bias))


def _indices(scan: str, layer: int, features: tuple[int, ...], n_features: int) -> Tensor:
    if max(features) >= n_features:
        raise InterventionError(
            f"Layer {layer} of {scan} has {n_features:,} features (0 to {n_features - 1}): there "
            f"is no feature {max(features)}."
        )
    return torch.tensor(features, dtype=torch.int64)


def _check_layer(scan: str, layer: int, layers: range) -> None:
    if layer not in layers:
        has = (
            f"layer {layers.start}"
            if len(layers) == 1
            else f"layers {layers.start} to {layers[-1]}"
        )
        raise InterventionError(f"{scan} has features that read in {has}, none in layer {layer}.")
