"""What a dictionary has to beat, as replacements at the same places.

zero, mean       one vector for every token
PCA, rank k      the model's own vector, projected on its k strongest principal directions. It may
                 look at what it replaces (a transcoder may not), and uses k numbers per token, as
                 many as the dictionary has active features there.
linear map       the best affine map from what the layer reads to what it writes, for transcoders of
                 every kind (metrics/linear.py). What a linear path alone explains.
random decoder   the same encoder, biases, skip path and decoder norms; decoder directions drawn
                 anew. What the sparse code alone, without its meaning, is worth.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from interp_widgets.dictionaries.coder import SparseCoder
from interp_widgets.dictionaries.dictionary import ActiveFeatures
from interp_widgets.dictionaries.layers import Layer
from interp_widgets.dictionaries.replaced import AnyDictionary
from interp_widgets.dictionaries.rows import Rows
from interp_widgets.models import Place


@dataclass(frozen=True)
class Projection:
    """mean + (value - mean) V^T V, with V [k, d] orthonormal (k = 0: the mean itself).

    mean, directions: one tensor per place written.
    """

    writes: tuple[Place, ...]
    mean: tuple[Tensor, ...]
    directions: tuple[Tensor, ...]

    @property
    def reads(self) -> tuple[Place, ...]:
        return ()

    @property
    def ranks(self) -> tuple[int, ...]:
        return tuple(len(v) for v in self.directions)

    def n_features(self, index: int) -> int:
        return 0

    def encode(self, index: int, x: Tensor) -> ActiveFeatures:
        raise NotImplementedError("A projection has no features.")

    def predict(
        self, index: int, value: Tensor, x: Sequence[Tensor], active: Sequence[ActiveFeatures]
    ) -> Tensor:
        mean, v = self.mean[index], self.directions[index]
        return mean + (value - mean) @ v.T @ v


def constant(vectors: Mapping[Place, Tensor], writes: tuple[Place, ...]) -> Projection:
    """The same vector for every token."""
    mean = tuple(vectors[place] for place in writes)
    return Projection(writes, mean, tuple(m.new_zeros(0, len(m)) for m in mean))


def random_decoder(dictionary: AnyDictionary, seed: int = 0) -> AnyDictionary:
    """The dictionary with decoder vectors of the same lengths in random directions."""
    random = torch.Generator().manual_seed(seed)

    def redraw(layer: Layer) -> Layer:
        decoder = layer.decoder.whole()
        drawn = torch.randn(decoder.shape, generator=random).to(decoder)
        drawn *= decoder.norm(dim=-1, keepdim=True) / drawn.norm(dim=-1, keepdim=True)
        return replace(layer, decoder=Rows.hold(drawn, f"{layer.source}: random decoder"))

    if isinstance(dictionary, SparseCoder):
        return replace(dictionary, weights=redraw(dictionary.weights))
    return replace(dictionary, layers=tuple(redraw(layer) for layer in dictionary.layers))


def doubled(values: Tensor) -> Tensor:
    """In float64, which Apple's GPUs do not have."""
    return (values.cpu() if values.device.type == "mps" else values).double()


class Moments:
    """Streamed means, and where wanted covariances, of the vectors at some places.

    Sums are taken around the first batch's mean, so that a large mean costs no digits.
    """

    def __init__(self, places: Iterable[Place], *, covariance: bool) -> None:
        self.places = sorted(set(places))
        self._covariance = covariance
        self._n = dict.fromkeys(self.places, 0)
        self._shift: dict[Place, Tensor] = {}
        self._first: dict[Place, Tensor] = {}
        self._second: dict[Place, Tensor] = {}

    def add(self, place: Place, values: Tensor) -> None:
        """values: [token, d]."""
        x = doubled(values)
        if place not in self._shift:
            self._shift[place] = x.mean(0)
            self._first[place] = torch.zeros_like(x[0])
            if self._covariance:
                self._second[place] = x.new_zeros(x.shape[1], x.shape[1])
        x = x - self._shift[place]
        self._n[place] += len(x)
        self._first[place] += x.sum(0)
        if self._covariance:
            self._second[place] += x.T @ x

    def mean(self, place: Place) -> Tensor:
        """[d], float64."""
        return self._shift[place] + self._first[place] / self._n[place]

    def directions(self, place: Place, k: int) -> Tensor:
        """The k strongest principal directions, [k, d] float64."""
        first = self._first[place] / self._n[place]
        covariance = self._second[place] / self._n[place] - torch.outer(first, first)
        # eigh gives ascending eigenvalues.
        return torch.linalg.eigh(covariance).eigenvectors.flip(-1)[:, :k].T.contiguous()

    def means(self, like: Tensor) -> dict[Place, Tensor]:
        """Per place [d], on the device and in the dtype of `like`."""
        return {place: self.mean(place).to(like.device, like.dtype) for place in self.places}

    def pca(self, writes: tuple[Place, ...], ranks: Sequence[int], like: Tensor) -> Projection:
        """The control of these ranks, on the device and in the dtype of `like`."""
        means = self.means(like)
        found = [self.directions(place, k) for place, k in zip(writes, ranks, strict=True)]
        directions = tuple(v.to(like.device, like.dtype) for v in found)
        return Projection(writes, tuple(means[place] for place in writes), directions)
