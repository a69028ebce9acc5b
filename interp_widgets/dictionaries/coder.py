"""A sparse coder: one SAE, transcoder or skip transcoder at one place of a model.

The word is EleutherAI's for all three. With F features and d = d_model, x read at one place and
y the prediction of what stands at another (for an SAE: the same),

    a = activation(W_enc norm(x) + b_enc),   y = norm^-1(a W_dec + b_dec) (+ x W_skip^T)

Everything linear that training tools keep apart (a bias subtracted from the input, a scale of
the activations, decoder norms) is folded into these weights when files are read. What cannot
be folded is `norm`, which depends on each x (as SAELens defines it):

    constant_norm   norm(x) = x sqrt(d) / |x|                y scaled back by |x| / sqrt(d)
    layer_norm      norm(x) = (x - mean) / (std + 1e-5)      y scaled back by std, mean added
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Self, get_args

import torch
from torch import Tensor

from interp_widgets.dictionaries.dictionary import ActiveFeatures
from interp_widgets.dictionaries.errors import DictionaryError
from interp_widgets.dictionaries.layers import Layer, destination
from interp_widgets.dictionaries.rows import finite
from interp_widgets.models.interventions import Features, feature
from interp_widgets.models.places import Place

InputNorm = Literal["none", "constant_norm", "layer_norm"]


@dataclass(frozen=True, eq=False, repr=False)
class SparseCoder:
    """Args:
    weights: the weights, decoder [F, d].
    reads, writes: where x stands, and where what y predicts stands.
    scan: the name of the feature set.
    model_name: the model it was made for, where the files say so.
    norm: what is done to each x first; only where the coder writes to what it reads.
    declared: what the files say of themselves ("l0", "fvu", "hook", ...).
    """

    weights: Layer
    reads: Place
    writes: Place
    scan: str
    model_name: str | None = None
    norm: InputNorm = "none"
    declared: Mapping[str, float | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.weights.expect_decoder()
        if self.norm not in get_args(InputNorm):
            raise DictionaryError(
                f"{self.scan}: the input norm {self.norm!r} is none of "
                f"{', '.join(get_args(InputNorm))}."
            )
        if self.norm != "none" and (self.reads != self.writes or self.weights.skip is not None):
            raise DictionaryError(
                f"{self.scan} normalises each input ({self.norm}), which can be scaled back only "
                f"where a dictionary writes to what it reads, but it reads {self.reads} and "
                f"writes {self.writes}."
            )
        object.__setattr__(self, "weights", self.weights.to(self.device, self.weights.dtype))

    def __repr__(self) -> str:
        writes = "" if self.reads == self.writes else f" -> {self.writes}"
        return (
            f"SparseCoder({self.scan!r}, {self.kind}, {self.n_features:,} features, "
            f"{self.reads}{writes})"
        )

    @property
    def kind(self) -> str:
        """ "SAE", "transcoder" or "skip transcoder"."""
        if self.weights.skip is not None:
            return "skip transcoder"
        return "SAE" if self.reads == self.writes else "transcoder"

    @property
    def d_model(self) -> int:
        """The width of what is read and written."""
        return self.weights.d_model

    @property
    def n_features(self) -> int:
        return self.weights.n_features

    @property
    def dtype(self) -> torch.dtype:
        return self.weights.dtype

    @property
    def device(self) -> torch.device:
        return self.weights.encoder.device

    def __getitem__(self, feature_or_key: int | tuple[int, int]) -> Features:
        """coder[feature], or coder[layer, feature] as for dictionaries of many layers."""
        layer, number = (
            feature_or_key
            if isinstance(feature_or_key, tuple)
            else (self.reads.layer, feature_or_key)
        )
        found = feature(self, layer, number)
        if layer != self.reads.layer or max(found.features) >= self.n_features:
            raise IndexError(
                f"{self.scan} has features 0 to {self.n_features - 1} in layer "
                f"{self.reads.layer}, and no L{layer}/{number}."
            )
        return found

    __iter__ = None

    @torch.no_grad()
    def encode(self, x: Tensor, keep: Tensor | None = None) -> ActiveFeatures:
        """The active features for inputs x: [position, d_model].

        keep: bool [position]; only these positions may carry features. None keeps all.
        """
        x = self._checked(x)
        shift, scale = self._norm(x)
        return self.weights.encode((x - shift) * scale, keep)

    @torch.no_grad()
    def decode(self, active: ActiveFeatures, x: Tensor) -> Tensor:
        """What the active features say stands at `writes`: [position, d_model].

        x: [position, d_model], the input they come from (a skip path and a norm read it).
        """
        x = self._checked(x)
        weights = self.weights
        y = weights.decoder.add_up(active.position, active.feature, active.activation, len(x))
        y = y + weights.decoder_bias
        if weights.skip is not None:
            return y + x @ weights.skip.T
        match self.norm:
            case "constant_norm":
                return y / self._norm(x)[1]
            case "layer_norm":
                return y * x.std(-1, keepdim=True) + x.mean(-1, keepdim=True)
        return y

    def reconstruct(self, x: Tensor) -> Tensor:
        """`decode` of `encode`: [position, d_model]."""
        return self.decode(self.encode(x), x)

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Self:
        where, wanted = destination(self, device, dtype)
        return replace(self, weights=self.weights.to(where, wanted))

    def _checked(self, x: Tensor) -> Tensor:
        if x.ndim != 2 or x.shape[1] != self.d_model:
            raise DictionaryError(
                f"{self.scan} reads [position, {self.d_model}], but was given {list(x.shape)}."
            )
        # NaN > threshold is False: without this check a broken input would look like silence.
        return finite(x, f"The input of {self.scan}").to(self.device, self.dtype)

    def _norm(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What is subtracted from each row, and what it is then multiplied by."""
        match self.norm:
            case "constant_norm":
                # A row of zeros has no direction to keep: it stays zero.
                length = x.norm(dim=-1, keepdim=True).clamp(min=torch.finfo(x.dtype).tiny)
                return torch.zeros_like(length), self.d_model**0.5 / length
            case "layer_norm":
                return x.mean(-1, keepdim=True), 1 / (x.std(-1, keepdim=True) + 1e-5)
        return x.new_zeros(()), x.new_ones(())
