"""Cross-layer transcoder: the features of a layer write to that and all later MLP outputs.

Ameisen et al. 2025, "Circuit Tracing". With L layers, F features per layer, d = d_model:

    a_l = activation(W_enc_l x_l + b_enc_l)                   W_enc_l [F, d], b_enc_l [F]
    y_m = sum over l <= m of a_l W_dec_l[:, m - l] + b_dec_m   W_dec_l [F, L - l, d], b_dec_m [d]
          (+ skip_m x_m)                                      skip_m [d_out, d_in]
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from interp_widgets.dictionaries.layers import LayeredDictionary


@dataclass(frozen=True, eq=False)
class CrossLayerTranscoder(LayeredDictionary):
    """Features whose decoders reach upwards; layer l's decoder is [F, L - l, d_model]."""

    kind: ClassVar[str] = "cross-layer transcoder"

    def __post_init__(self) -> None:
        super().__post_init__()
        for index, layer in enumerate(self.layers):
            layer.expect_decoder(self.n_layers - index)

    def writes_to(self, layer: int) -> range:
        self.layer(layer)
        return range(layer, self.n_layers)

    def decoder(self, layer: int, features: Tensor, target_layer: int) -> Tensor:
        if target_layer not in self.writes_to(layer):
            raise IndexError(f"features of layer {layer} do not write to layer {target_layer}.")
        return self.layer(layer).decoder.take(features, column=target_layer - layer)
