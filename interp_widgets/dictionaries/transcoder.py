"""Per-layer transcoders: the features of a layer imitate that layer's MLP.

Dunefsky, Chlenski and Nanda 2024 (transcoders); Paulo, Shabalin and Belrose 2025 (skip
transcoders: a linear path beside the features). For layer l, F features, d = d_model:

    a = activation(W_enc x + b_enc)           W_enc [F, d], b_enc [F]
    y = a W_dec + b_dec + x W_skip^T          W_dec [F, d], b_dec [d], W_skip [d, d]
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from interp_widgets.dictionaries.layers import LayeredDictionary


@dataclass(frozen=True, eq=False)
class Transcoders(LayeredDictionary):
    """One transcoder per layer; each layer's decoder is [F, d_model]."""

    kind: ClassVar[str] = "transcoder"

    def __post_init__(self) -> None:
        super().__post_init__()
        for layer in self.layers:
            layer.expect_decoder()

    def writes_to(self, layer: int) -> range:
        self.layer(layer)
        return range(layer, layer + 1)

    def decoder(self, layer: int, features: Tensor, target_layer: int) -> Tensor:
        if target_layer not in self.writes_to(layer):
            raise IndexError(
                f"a transcoder of layer {layer} does not write to layer {target_layer}."
            )
        return self.layer(layer).decoder.take(features)
