"""Per-layer transcoders: the features of a layer imitate that layer's MLP.

Dunefsky, Chlenski and Nanda 2024 (transcoders); Paulo, Shabalin and Belrose 2025 (skip
transcoders: a linear path beside the features). For layer l, F features, d = d_model:

    a = activation(W_enc x + b_enc)           W_enc [F, d], b_enc [F]
    y = a W_dec + b_dec + x W_skip^T          W_dec [F, d], b_dec [d], W_skip [d, d]
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Self

from torch import Tensor

from interp_widgets.dictionaries.coder import SparseCoder
from interp_widgets.dictionaries.errors import DictionaryError
from interp_widgets.dictionaries.layers import SITES, LayeredDictionary


@dataclass(frozen=True, eq=False, repr=False)
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

    @classmethod
    def of(cls, coders: Iterable[SparseCoder], scan: str | None = None) -> Self:
        """A model's transcoders as one dictionary, from one coder for each layer.

        Args:
            coders: in any order; all read one site and write one site.
            scan: the name of the set; None: that of layer 0's.

        Raises DictionaryError when a layer is missing or twice there, or when a coder is no
        transcoder of its own layer's MLP.
        """
        ordered = sorted(coders, key=lambda coder: coder.reads.layer)
        if not ordered:
            raise DictionaryError("There are no coders to put together.")
        first, hooks = ordered[0], {site: hook for hook, site in SITES.items()}
        for index, coder in enumerate(ordered):
            if (coder.reads.layer, coder.writes.layer) != (index, index):
                raise DictionaryError(
                    "Transcoders of all layers need one coder for each layer from 0 on, but in "
                    f"the place of layer {index} stands {coder.scan}, which reads "
                    f"{coder.reads} and writes {coder.writes}."
                )
            sites = coder.reads.site, coder.writes.site
            if sites != (first.reads.site, first.writes.site):
                raise DictionaryError(
                    f"{coder.scan} reads {coder.reads} and writes {coder.writes}, but "
                    f"{first.scan} reads {first.reads} and writes {first.writes}."
                )
            if not (sites[0] in _READ and sites[1] in _WRITTEN and coder.norm == "none"):
                normed = (
                    "" if coder.norm == "none" else f" with its inputs normalised ({coder.norm})"
                )
                raise DictionaryError(
                    f"{coder.scan} is no transcoder of an MLP: it reads {coder.reads} and writes "
                    f"{coder.writes}{normed}."
                )
        return cls(
            tuple(coder.weights for coder in ordered),
            hooks[first.reads.site],
            hooks[first.writes.site],
            scan or first.scan,
            first.model_name,
            first.declared,
        )

    def coder(self, layer: int) -> SparseCoder:
        """One layer's transcoder by itself."""
        return SparseCoder(
            self.layer(layer),
            self.reads(layer),
            self.writes(layer),
            self.scan,
            self.model_name,
            declared=self.declared,
        )


_READ = ("resid_mid", "mlp_normalized", "mlp_in")
_WRITTEN = ("mlp_raw", "mlp_out")
