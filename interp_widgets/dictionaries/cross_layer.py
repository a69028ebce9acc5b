"""Cross-layer transcoder: the features of a layer write to that and later MLP outputs.

Ameisen et al. 2025, "Circuit Tracing". With L layers, F features per layer, d = d_model:

    a_l = activation(W_enc_l x_l + b_enc_l)                   W_enc_l [F, d], b_enc_l [F]
    y_m = sum over l <= m of a_l W_dec_l[:, m - l] + b_dec_m   W_dec_l [F, L - l, d], b_dec_m [d]
          (+ skip_m x_m)                                      skip_m [d_out, d_in]

A windowed one reaches `window` layers, its own included: W_dec_l is [F, min(window, L - l), d].
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from interp_widgets.dictionaries.layers import LayeredDictionary


@dataclass(frozen=True, eq=False, repr=False)
class CrossLayerTranscoder(LayeredDictionary):
    """Features whose decoders reach upwards; layer l's decoder is [F, min(window, L - l), d]."""

    kind: ClassVar[str] = "cross-layer transcoder"

    def __post_init__(self) -> None:
        super().__post_init__()
        for index, layer in enumerate(self.layers):
            layer.expect_decoder(min(self.window, self.n_layers - index))

    @property
    def window(self) -> int:
        """How many layers features reach, their own included; without a window n_layers."""
        first = self.layers[0].decoder.shape
        # What is no [F, targets, d] is expected to be the whole, so that the message says so.
        return max(1, min(first[1], self.n_layers)) if len(first) == 3 else self.n_layers

    def writes_to(self, layer: int) -> range:
        self.layer(layer)
        return range(layer, min(layer + self.window, self.n_layers))

    def decoder(self, layer: int, features: Tensor, target_layer: int) -> Tensor:
        if target_layer not in self.writes_to(layer):
            raise IndexError(f"features of layer {layer} do not write to layer {target_layer}.")
        return self.layer(layer).decoder.take(features, column=target_layer - layer)
