"""What every sparse dictionary can do, whatever its kind and file format.

A dictionary replaces the MLPs of a language model by sparse features: an encoder reads a
vector before the MLP, a nonlinearity leaves few features active, and decoders write to the
output of that MLP (transcoder) or of that and all later MLPs (cross-layer transcoder):

    pre_l = W_enc_l x_l + b_enc_l,  a_l = activation_l(pre_l)
    y_m   = sum over layers l that write to m of a_l W_dec_{l,m} + b_dec_m + skip_m x_m
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import torch
from torch import Tensor

from interp_widgets.dictionaries.activations import Activation
from interp_widgets.dictionaries.errors import DictionaryError
from interp_widgets.dictionaries.labels import Labels


@dataclass(frozen=True, eq=False)
class ActiveFeatures:
    """The active features of one layer on one prompt, sorted by (position, feature).

    Active means that the activation is not 0. All tensors are [n_active].
    """

    position: Tensor
    feature: Tensor
    activation: Tensor
    pre_activation: Tensor


class Dictionary(Protocol):
    """The features of all layers of one model."""

    @property
    def kind(self) -> str:
        """ "transcoder" or "cross-layer transcoder"."""

    @property
    def n_layers(self) -> int: ...

    @property
    def d_model(self) -> int: ...

    @property
    def input_hook(self) -> str:
        """Where encoders read, in circuit-tracer's words: "hook_resid_mid", "mlp.hook_in", ..."""

    @property
    def output_hook(self) -> str:
        """Where decoders write: "hook_mlp_out" or "mlp.hook_out"."""

    @property
    def scan(self) -> str:
        """The name of the feature set."""

    @property
    def model_name(self) -> str | None:
        """The model it was made for, where the files say so."""

    @property
    def labels(self) -> Labels:
        """Names of features, where there are any."""

    @property
    def dtype(self) -> torch.dtype: ...

    def n_features(self, layer: int) -> int: ...

    def encode(self, layer: int, x: Tensor, keep: Tensor | None = None) -> ActiveFeatures:
        """The active features for inputs x: [position, d_model].

        keep: bool [position]; only these positions may carry features. None keeps all.
        """

    def encoder(self, layer: int, features: Tensor) -> Tensor:
        """Encoder vectors [k, d_model] of features [k]."""

    def encoder_bias(self, layer: int, features: Tensor) -> Tensor:
        """Encoder biases [k] of features [k]."""

    def writes_to(self, layer: int) -> range:
        """The layers that this layer's features write to."""

    def decoder(self, layer: int, features: Tensor, target_layer: int) -> Tensor:
        """What features [k] at activation 1 add to `target_layer`'s MLP output: [k, d_model]."""

    def decoder_bias(self, layer: int) -> Tensor:
        """[d_model], added to the layer's MLP output whatever is active."""

    def skip(self, layer: int) -> Tensor | None:
        """The linear path [d_out, d_in] beside the features: output += x @ skip.T."""

    def activation_function(self, layer: int) -> Activation: ...

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Self: ...


def reconstruct(
    dictionary: Dictionary, inputs: Sequence[Tensor], active: Sequence[ActiveFeatures]
) -> list[Tensor]:
    """The MLP outputs that the dictionary predicts, one [position, d_model] per layer.

    Args:
        inputs: per layer, the encoder input [position, d_model] (the skip path reads it).
        active: per layer, the active features, as `encode` returns them.
    """
    outputs: list[Tensor] = []
    for layer, x in enumerate(inputs):
        bias = dictionary.decoder_bias(layer)
        output = bias.expand(x.shape[0], -1).clone()
        skip = dictionary.skip(layer)
        if skip is not None:
            output += x.to(bias) @ skip.T
        outputs.append(output)
    for layer, found in enumerate(active):
        for target in dictionary.writes_to(layer):
            vectors = dictionary.decoder(layer, found.feature, target)
            outputs[target].index_add_(0, found.position, vectors * found.activation[:, None])
    return outputs


def check_fits(dictionary: Dictionary, n_layers: int, d_model: int, model_name: str) -> None:
    """Raises DictionaryError unless the dictionary has the model's layer count and width."""
    if (dictionary.n_layers, dictionary.d_model) == (n_layers, d_model):
        return
    made_for = f", made for {dictionary.model_name}," if dictionary.model_name else ""
    raise DictionaryError(
        f"The {dictionary.kind} set {dictionary.scan}{made_for} has {dictionary.n_layers} layers "
        f"of width {dictionary.d_model}, but {model_name} has {n_layers} layers of width {d_model}."
    )
