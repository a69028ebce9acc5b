"""Dictionaries of random features for the benchmark of the index, and a text in whole windows.

What an index costs depends on how many features are active and where, not on what they mean.
"""

from __future__ import annotations

from itertools import islice
from pydoc_data.topics import topics

import numpy as np
import torch

from interp_widgets.dictionaries import (
    Activation,
    Layer,
    ReLU,
    Rows,
    SparseCoder,
    TopK,
    Transcoders,
)
from interp_widgets.features.shards import windows_of
from interp_widgets.models import Model, Place

FEATURES, ACTIVE = 4096, 32
CONTEXT, WINDOWS = 128, 128


def whole_windows(model: Model) -> tuple[str, np.ndarray]:
    """A text that is cut into whole windows only, and their tokens [window, CONTEXT]."""
    pages = "\n".join(topic for _, topic in sorted(topics.items()))
    some = [w.ids for w in islice(windows_of(model, [pages], CONTEXT), WINDOWS)]
    text = model.tokenizer.decode([i for ids in some for i in ids[1:]])
    assert [w.ids for w in windows_of(model, [text], CONTEXT)] == some
    return text, np.array(some, dtype=np.int64)


def transcoders(model: Model, tokens: np.ndarray) -> Transcoders:
    """Random directions in front of every MLP, each with the threshold that leaves it active on its
    share of some tokens."""
    places = [Place(block, "resid_mid") for block in range(model.n_layers)]
    seen = model.run(torch.from_numpy(tokens[::4]), read=places, logits=False).seen
    layers = []
    for place in places:
        x = seen[place][:, 1:].flatten(0, 1)
        rows = torch.nn.functional.normalize(_rows(x.shape[1], place.layer))
        pre = x @ rows.T
        limit = pre.topk(round(ACTIVE / FEATURES * len(pre)), dim=0).values[-1]
        layers.append(_layer(rows, -limit, ReLU()))
    return Transcoders(tuple(layers), "hook_resid_mid", "hook_mlp_out", "random", model.name)


def one_of(every: Transcoders, block: int) -> SparseCoder:
    reads, writes = Place(block, "resid_mid"), Place(block, "mlp_out")
    return SparseCoder(every.layer(block), reads, writes, "random", every.model_name)


def top_k(model: Model, place: Place) -> SparseCoder:
    """Random directions, of which the ACTIVE largest are active."""
    layer = _layer(_rows(model.d_model, 0), torch.zeros(FEATURES), TopK(ACTIVE, relu=True))
    return SparseCoder(layer, place, place, "random", model.name)


def _rows(width: int, seed: int) -> torch.Tensor:
    return torch.randn(FEATURES, width, generator=torch.Generator().manual_seed(seed))


def _layer(rows: torch.Tensor, bias: torch.Tensor, activation: Activation) -> Layer:
    held = Rows.hold(rows, "random")
    return Layer("random", held, held, bias, torch.zeros(rows.shape[1]), activation)
