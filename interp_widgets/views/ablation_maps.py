"""The heatmaps of an ablation, in both directions, filled a few marks at a time."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..circuits import PANELS, Comparison, compare_runs
from ..circuits.comparison import Direction
from ..circuits.parts import Panel, Part, Shape
from ..circuits.patching import batch_rows, blank, effects_of
from ..models import Model
from ..models.model import Prompt

# Panel, layer, from and to which column; from equals to where only the prompts are to be run.
Cells = tuple[Panel, int, int, int]


class Maps:
    """What is computed so far. Nothing here waits for anything but the model."""

    def __init__(
        self,
        model: Model,
        shape: Shape,
        prompt: Prompt,
        counterfactual: Prompt | None,
        metric: Any,
        reference: Sequence[Prompt] | None,
    ) -> None:
        self.model, self.shape = model, shape
        self._prompts, self._metric, self._reference = (prompt, counterfactual), metric, reference
        self._comparisons: dict[Direction, Comparison] = {}
        self._maps: dict[Direction, dict[Panel, NDArray[np.float64]]] = {}
        self._comparing = threading.Lock()

    def known(self, direction: Direction) -> Comparison | None:
        """The runs of a direction, or None while they have not been made."""
        return self._comparisons.get(direction)

    def comparison(self, direction: Direction) -> Comparison:
        """The runs of a direction; made now if they were not.

        Raises what `compare_runs` raises, and what the metric does.
        """
        with self._comparing:
            if direction not in self._comparisons:
                comparison = compare_runs(
                    self.model,
                    *self._prompts,
                    direction=direction,
                    metric=self._metric,
                    reference=self._reference,
                )
                _ = comparison.base  # a metric that fails does so here
                self._maps[direction] = {panel: blank(comparison, panel) for panel in PANELS}
                self._comparisons[direction] = comparison
            return self._comparisons[direction]

    def missing(self, direction: Direction, first: Panel) -> Cells | None:
        """The next marks to compute, those of panel `first` before the others; None: all are."""
        if direction not in self._comparisons:
            return first, 0, 0, 0
        size = batch_rows(self.model, self.shape)
        for panel in sorted(PANELS, key=lambda each: each != first):
            unknown = np.isnan(self._maps[direction][panel])
            if unknown.any():
                layer = int(unknown.any(1).argmax())
                start = int(unknown[layer].argmax())
                return panel, layer, start, min(start + size, unknown.shape[1])
        return None

    def fill(self, direction: Direction, cells: Cells) -> None:
        """Computes these marks."""
        panel, layer, start, stop = cells
        comparison = self.comparison(direction)
        if stop > start:
            parts = [Part(panel, layer, column) for column in range(start, stop)]
            found = effects_of(self.model, comparison, parts)
            # What is not finite would be asked for again and again.
            self._maps[direction][panel][layer, start:stop] = np.nan_to_num(found)

    def effect(self, direction: Direction, panel: Panel) -> NDArray[np.float64]:
        """A copy of a heatmap, [layer, column], NaN where nothing is computed."""
        return self._maps[direction][panel].copy()

    def count(self, direction: Direction) -> tuple[int, int]:
        """How many marks are computed, and how many there are; (0, 0) before the prompts are run."""
        maps = self._maps.get(direction, {}).values()
        return sum(int(np.isfinite(m).sum()) for m in maps), sum(m.size for m in maps)

    def packed(self, direction: Direction) -> bytes:
        """All heatmaps one behind the other, float32; empty before the prompts are run."""
        maps = self._maps.get(direction)
        if maps is None:
            return b""
        return b"".join(maps[panel].astype("<f4").tobytes() for panel in PANELS)
