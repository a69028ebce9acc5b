"""What fires on a text that somebody types: all units, token by token, from one run of the model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..dictionaries.windows import counted
from ..models import Model
from ..models.model import Prompt
from .errors import count
from .shards import of_characters
from .units import Units


@dataclass(frozen=True, eq=False)
class Firing:
    """Active units on a text.

    tokens: what each token adds to the text, the special one in front included; ids: [position].
    layer, position, feature (int64) and value (float32): [n] each, sorted in this order.
    """

    tokens: tuple[str, ...]
    ids: NDArray[np.int64]
    layer: NDArray[np.int64]
    position: NDArray[np.int64]
    feature: NDArray[np.int64]
    value: NDArray[np.float32]

    def __repr__(self) -> str:
        text = "".join(self.tokens[1:]).strip()
        units = len({*zip(self.layer.tolist(), self.feature.tolist(), strict=True)})
        return f"Firing({text[:60]!r}, {len(self.tokens)} tokens, {units:,} units active)"

    def of(self, layer: int, feature: int) -> NDArray[np.float32]:
        """One unit's activations, [position]; 0 where it is not active."""
        out = np.zeros(len(self.tokens), dtype=np.float32)
        mine = (self.layer == layer) & (self.feature == feature)
        out[self.position[mine]] = self.value[mine]
        return out

    def strongest(self, n: int = 20) -> list[tuple[int, int, float, int]]:
        """The units with the largest absolute values: layer, number, value, position of the peak."""
        n = count("n", n)
        order = np.argsort(-np.abs(self.value), kind="stable")
        found: dict[tuple[int, int], tuple[int, int, float, int]] = {}
        for i in order.tolist():
            layer, feature = int(self.layer[i]), int(self.feature[i])
            peak = (layer, feature, float(self.value[i]), int(self.position[i]))
            found.setdefault((layer, feature), peak)
            if len(found) == n:
                break
        return list(found.values())


def fire(model: Model, units: Units, text: Prompt) -> Firing:
    """Run the model on a text and see which units are active where.

    Position 0, the special token in front, and special tokens inside carry none, as in an index.

    Raises PromptError for an empty text or one that is too long.
    """
    ids = model.tokenize(of_characters(text) if isinstance(text, str) else text)
    seen = model.run(ids[None], read=units.reads, logits=False).seen
    keep = counted(model, ids[None])[0]
    places = keep.nonzero().squeeze(1).numpy()
    parts = []
    for layer, place in zip(units.layers, units.reads, strict=True):
        x = seen[place][0][keep.to(seen[place].device)].to(model.device, model.dtype)
        token, feature, value = (t.cpu().numpy() for t in units.active(layer, x))
        parts.append((np.full(len(token), layer), places[token], feature, value))
    layers, positions, features, values = (
        np.concatenate([part[i] for part in parts]) for i in range(4)
    )
    return Firing(
        tuple(model.texts(ids.tolist())),
        ids.numpy(),
        layers.astype(np.int64),
        positions.astype(np.int64),
        features.astype(np.int64),
        values.astype(np.float32),
    )
