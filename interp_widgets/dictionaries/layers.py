"""One layer of a dictionary, and what all kinds of dictionary share: the reading side.

Kinds differ in where decoders write (transcoder.py, cross_layer.py); how inputs become
sparse features is the same for all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import ClassVar, Protocol, Self

import torch
from torch import Tensor
from torch.nn.functional import linear

from interp_widgets.dictionaries.activations import Activation, TopK, parameters
from interp_widgets.dictionaries.dictionary import ActiveFeatures
from interp_widgets.dictionaries.errors import DictionaryError
from interp_widgets.dictionaries.labels import Labels
from interp_widgets.dictionaries.rows import Rows, finite
from interp_widgets.models.interventions import Features, feature
from interp_widgets.models.places import Place, Site

# The places behind circuit-tracer's words for where a dictionary reads and writes.
SITES: Mapping[str, Site] = {
    "hook_resid_mid": "resid_mid",
    "ln2.hook_normalized": "mlp_normalized",
    "mlp.hook_in": "mlp_in",
    "mlp.hook_out": "mlp_raw",
    "hook_mlp_out": "mlp_out",
}


@dataclass(frozen=True, eq=False, repr=False)
class Layer:
    """The weights of one layer; F features, d = d_model.

    Args:
        source: the file it came from, or any name, for error messages.
        encoder: [F, d].
        decoder: [F, d], or [F, n_targets, d] where features write to this and the next layers.
        encoder_bias: [F].
        decoder_bias: [d].
        activation: the nonlinearity, with this layer's thresholds or gates.
        skip: [d_out, d_in] or None.
    """

    source: str
    encoder: Rows
    decoder: Rows
    encoder_bias: Tensor
    decoder_bias: Tensor
    activation: Activation
    skip: Tensor | None = None

    def __post_init__(self) -> None:
        if len(self.encoder.shape) != 2 or 0 in self.encoder.shape:
            raise DictionaryError(
                f"{self.source}: the encoder has shape {list(self.encoder.shape)}, "
                "expected [features, d_model], both at least 1."
            )
        d = self.d_model
        self._check("the encoder bias", self.encoder_bias, [self.n_features])
        self._check("the decoder bias", self.decoder_bias, [d])
        if self.skip is not None:
            self._check("the skip connection", self.skip, [d, d])
        for name, tensor in parameters(self.activation).items():
            self._check(f"the {name}", tensor, [self.n_features])
        if isinstance(self.activation, TopK) and self.activation.k > self.n_features:
            raise DictionaryError(
                f"{self.source}: k is {self.activation.k}, but the layer has only "
                f"{self.n_features} features."
            )

    def _check(self, name: str, tensor: Tensor, shape: list[int]) -> None:
        self._expect(f"{self.source}: {name}", tuple(tensor.shape), shape)
        finite(tensor, f"{self.source}: {name}")

    def expect_decoder(self, *targets: int) -> None:
        """Raises DictionaryError unless the decoder is [F, *targets, d]."""
        expected = [self.n_features, *targets, self.d_model]
        self._expect(self.decoder.source, self.decoder.shape, expected)

    def _expect(self, name: str, found: tuple[int, ...], expected: list[int]) -> None:
        if list(found) != expected:
            raise DictionaryError(
                f"{name} has shape {list(found)}, expected {expected} "
                f"(the encoder has {self.n_features} features of width {self.d_model})."
            )

    @property
    def n_features(self) -> int:
        return self.encoder.shape[0]

    @property
    def d_model(self) -> int:
        return self.encoder.shape[1]

    @property
    def dtype(self) -> torch.dtype:
        """The most precise dtype among the layer's weights."""
        held = [self.encoder_bias, self.decoder_bias, *parameters(self.activation).values()]
        dtypes = [tensor.dtype for tensor in held]
        if self.skip is not None:
            dtypes.append(self.skip.dtype)
        return reduce(torch.promote_types, [*dtypes, self.encoder.dtype, self.decoder.dtype])

    def encode(self, x: Tensor, keep: Tensor | None = None) -> ActiveFeatures:
        """The active features for inputs [position, d]; keep: bool [position] or None for all."""
        pre = linear(x, self.encoder.whole(), self.encoder_bias)
        activation = self.activation(pre)
        if keep is not None:
            activation = activation.masked_fill(~keep.to(pre.device)[:, None], 0)
        position, feature = activation.nonzero(as_tuple=True)
        return ActiveFeatures(
            position, feature, activation[position, feature], pre[position, feature]
        )

    def to(self, device: torch.device, dtype: torch.dtype) -> Self:
        moved = {name: t.to(device, dtype) for name, t in parameters(self.activation).items()}
        return replace(
            self,
            encoder=self.encoder.to(device, dtype),
            decoder=self.decoder.to(device, dtype),
            encoder_bias=self.encoder_bias.to(device, dtype),
            decoder_bias=self.decoder_bias.to(device, dtype),
            activation=replace(self.activation, **moved),  # type: ignore[arg-type]
            skip=None if self.skip is None else self.skip.to(device, dtype),
        )


@dataclass(frozen=True, eq=False, repr=False)
class LayeredDictionary:
    """The layers of a dictionary in order, layer i at layers[i], and where they attach.

    All layers share one device and dtype; files that mix dtypes are brought to the most
    precise one, which changes no value. `declared` is what the files say of themselves
    ("l0", "fvu", ...), to be compared with what is measured; `labels` names features.
    """

    kind: ClassVar[str]

    layers: tuple[Layer, ...]
    input_hook: str
    output_hook: str
    scan: str
    model_name: str | None = None
    declared: Mapping[str, float | str] = field(default_factory=dict)
    labels: Labels = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.layers:
            raise DictionaryError(f"The {self.kind} set {self.scan} has no layers.")
        for hook in (self.input_hook, self.output_hook):
            if hook not in SITES:
                raise DictionaryError(
                    f"The {self.kind} set {self.scan} attaches to {hook!r}, which is none of "
                    f"{', '.join(SITES)}."
                )
        for layer in self.layers:
            if layer.d_model != self.d_model:
                raise DictionaryError(
                    f"{layer.source} has width {layer.d_model}, but {self.layers[0].source} has "
                    f"width {self.d_model}; all layers of a model share one width."
                )
        dtype = reduce(torch.promote_types, [layer.dtype for layer in self.layers])
        object.__setattr__(
            self, "layers", tuple(layer.to(self.device, dtype) for layer in self.layers)
        )

    def __repr__(self) -> str:
        count = sum(layer.n_features for layer in self.layers)
        return (
            f"{type(self).__name__}({self.scan!r}, {self.n_layers} layers, {count:,} features, "
            f"{self.input_hook} -> {self.output_hook})"
        )

    @property
    def n_layers(self) -> int:
        return len(self.layers)

    @property
    def d_model(self) -> int:
        return self.layers[0].d_model

    @property
    def dtype(self) -> torch.dtype:
        return self.layers[0].dtype

    @property
    def device(self) -> torch.device:
        return self.layers[0].encoder.device

    def layer(self, index: int) -> Layer:
        # Python's negative indices would silently answer for a layer counted from the end.
        if not 0 <= index < self.n_layers:
            raise IndexError(
                f"layer {index} is not among the {self.n_layers} layers of {self.scan}."
            )
        return self.layers[index]

    def n_features(self, layer: int) -> int:
        return self.layer(layer).n_features

    def __getitem__(self, key: tuple[int, int | Sequence[int]]) -> Features:
        """dictionary[layer, feature], or several features of a layer: to look at and act with."""
        layer, features = key
        found = feature(self, layer, features)
        size = self.n_features(found.layer)
        if max(found.features) >= size:
            raise IndexError(
                f"layer {layer} of {self.scan} has features 0 to {size - 1}, and no "
                f"{max(found.features)}."
            )
        return found

    # Without it Python would count up whole numbers, which name nothing here.
    __iter__ = None

    def reads(self, layer: int) -> Place:
        """Where this layer's encoder reads."""
        return Place(layer, SITES[self.input_hook])

    def writes(self, layer: int) -> Place:
        """Where decoders that reach this layer write."""
        return Place(layer, SITES[self.output_hook])

    @torch.no_grad()
    def encode(self, layer: int, x: Tensor, keep: Tensor | None = None) -> ActiveFeatures:
        weights = self.layer(layer)
        if x.ndim != 2 or x.shape[1] != self.d_model:
            raise DictionaryError(
                f"Layer {layer} of {self.scan} reads [position, {self.d_model}], "
                f"but was given {list(x.shape)}."
            )
        # NaN > threshold is False: without this check a broken input would look like silence.
        x = finite(x, f"The input of layer {layer}").to(self.device, self.dtype)
        return weights.encode(x, keep)

    def encoder(self, layer: int, features: Tensor) -> Tensor:
        return self.layer(layer).encoder.take(features)

    def encoder_bias(self, layer: int, features: Tensor) -> Tensor:
        bias = self.layer(layer).encoder_bias
        return bias.index_select(0, features.to(bias.device))

    def decoder_bias(self, layer: int) -> Tensor:
        return self.layer(layer).decoder_bias

    def skip(self, layer: int) -> Tensor | None:
        return self.layer(layer).skip

    def activation_function(self, layer: int) -> Activation:
        return self.layer(layer).activation

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Self:
        where, wanted = destination(self, device, dtype)
        return replace(self, layers=tuple(layer.to(where, wanted) for layer in self.layers))


class Held(Protocol):
    """What lies on one device in one dtype."""

    @property
    def device(self) -> torch.device: ...

    @property
    def dtype(self) -> torch.dtype: ...


def destination(
    held: Held, device: torch.device | str | None, dtype: torch.dtype | None
) -> tuple[torch.device, torch.dtype]:
    """Where `to(device, dtype)` brings a dictionary; None stays. Raises DictionaryError."""
    wanted = held.dtype if dtype is None else dtype
    if not wanted.is_floating_point:
        raise DictionaryError(f"A dictionary holds floating-point weights, not {wanted}.")
    return held.device if device is None else torch.device(device), wanted
