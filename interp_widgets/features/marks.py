"""Short marks that tell dictionaries, and models, of one name from each other.

An index is of what units read, so `units.fingerprint_of` a dictionary is enough to find it. What
units write is another question: a dictionary whose decoders somebody has changed is active on the
same tokens, and does something else.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..dictionaries import Layer, SparseCoder
from ..dictionaries.errors import DictionaryError
from ..dictionaries.replaced import AnyDictionary
from ..models import Model

#: Of a table with more numbers, some rows are looked at.
_NUMBERS = 1 << 18


def contents_of(dictionary: AnyDictionary) -> str:
    """A hash of what a dictionary reads and writes, and where; of large tables, of rows in even
    steps. The same for tables in memory and in a file."""
    layers: Sequence[Layer]
    if isinstance(dictionary, SparseCoder):
        layers = [dictionary.weights]
        where = f"{dictionary.reads} {dictionary.writes} {dictionary.norm}"
    else:
        layers = dictionary.layers
        count = range(dictionary.n_layers)
        where = str([(dictionary.reads(layer), dictionary.writes(layer)) for layer in count])
    found = hashlib.sha256(where.encode())
    for layer in layers:
        _add(found, layer.decoder_bias)
        for rows in (layer.encoder, layer.decoder):
            try:
                _add(found, rows.take(_even(rows.shape)))
            except DictionaryError:  # a broken row is told of when somebody reads it
                continue
        if layer.skip is not None:
            _add(found, layer.skip[_even(layer.skip.shape).to(layer.skip.device)])
    return found.hexdigest()[:32]


def weights_of(model: Model) -> str:
    """A hash of some of each of a model's weights, in their precision."""
    found = hashlib.sha256()
    for name, weight in model.hf.named_parameters():
        found.update(f"{name} {tuple(weight.shape)} {weight.dtype}".encode())
        if not weight.is_meta:
            _add(found, weight.reshape(-1)[:: max(1, weight.numel() // 64)])
    return found.hexdigest()[:32]


def _even(shape: Sequence[int]) -> Tensor:
    """Row numbers of a table [F, ..]: all, or in even steps."""
    return torch.arange(0, shape[0], max(1, math.prod(shape) // _NUMBERS))


def _add(found: hashlib._Hash, tensor: Tensor) -> None:
    found.update(tensor.detach().to("cpu", torch.float32).contiguous().numpy().tobytes())
