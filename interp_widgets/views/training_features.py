"""A page of the list of features while they form, and one of them with all its examples.

The list is ranked again only every `RANK` seconds, so that it can be read; how often each feature
fires and what it fires on is new every time.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .training_live import Watched

RANK = 6.0
EXAMPLES = 20


class FeaturePages:
    """The features of one dictionary of a training."""

    def __init__(self, training: Watched, name: str) -> None:
        self.training, self.name = training, name
        self._alive: NDArray[np.bool_] = np.zeros(0, dtype=np.bool_)
        self._born: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self._ranked: tuple[object, float, list[int]] = (None, 0.0, [])

    def of(self, order: str, start: int, rows: int, again: bool) -> dict[str, Any]:
        """One page; `again`: ranked anew, however short ago the last time was."""
        density = self._density()
        self._watch(density)
        key, at, features = self._ranked
        wanted = (order, start, rows)
        if key != wanted or again or not features or time.monotonic() > at + RANK:
            features = ranked(order, density, self._born, start, rows)
            self._ranked = (wanted, time.monotonic(), features)
        return {
            "name": self.name,
            "order": order,
            "start": start,
            "size": int(density.size),
            "alive": int((density > 0).sum()),
            "tokens": int(self.training.density_tokens(self.name)),
            "rows": [self._row(feature, density, examples=1) for feature in features],
        }

    def detail(self, feature: int) -> dict[str, Any]:
        """One feature with its strongest examples."""
        tokens = int(self.training.density_tokens(self.name))
        row = self._row(feature, self._density(), EXAMPLES)
        return {"name": self.name, "tokens": tokens, "row": row}

    def _density(self) -> NDArray[np.float64]:
        return np.asarray(self.training.density(self.name), dtype=np.float64)

    def _watch(self, density: NDArray[np.float64]) -> None:
        """Notes which features came alive: fire now, and did not when last looked at."""
        alive = density > 0
        if self._alive.size != alive.size or not self._alive.any():
            self._born = np.zeros(alive.size, dtype=np.int64)
        else:
            self._born[alive & ~self._alive] = self.training.step
        self._alive = alive

    def _row(self, feature: int, density: NDArray[np.float64], examples: int) -> dict[str, Any]:
        found = self.training.examples(self.name, feature, examples)
        return {
            "feature": feature,
            "density": float(density[feature]),
            "examples": [
                {
                    "tokens": [str(token) for token in example.tokens],
                    "activations": [round(float(a), 4) for a in example.activations],
                    "trigger": int(example.trigger),
                }
                for example in found
            ],
        }


def ranked(
    order: str, density: NDArray[np.float64], born: NDArray[np.int64], start: int, rows: int
) -> list[int]:
    """The features that one page of the list shows; by number it shows the dead ones, too.

    density, born: [feature], how often it fires, and the step at which it last came alive.
    """
    if order == "number":
        return list(range(min(start, density.size), min(start + rows, density.size)))
    best = np.argsort(-density, kind="stable")
    if order == "newest":
        best = best[np.argsort(-born[best], kind="stable")]
    alive = best[density[best] > 0]
    return [int(i) for i in alive[:rows]]
