"""Activation patching: put one run's vectors into another, part by part, and see what changes.

A row of a heatmap is one batch: every prompt in it is the same, and each gets another part. So a
heatmap of L layers takes L forward passes (more for long prompts), whatever it has columns.

The control of a part: the same vectors moved by as much, in random directions. The changed run
itself is the first row of the batch, and what is added to the others has, position by position, the
norm of the change there; so it is the same size also where parts of several layers are patched
together.

Sources: Meng et al. 2022 (arXiv 2202.05262); Wang et al. 2022 (arXiv 2211.00593); Zhang & Nanda 2023
(arXiv 2309.16042).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..models import Edit, Model, Place
from .comparison import Comparison
from .parts import Panel, Part, Shape, Spot, row

CONTROLS = 20
# What one batch may cost: weights times tokens (a few tenths of a second on one core, so that
# cancelling is quick), and bytes of logits.
_COST, _LOGITS = 2.5e10, 1.5e8


@dataclass(frozen=True)
class Heatmap:
    """The effect of every part of a panel.

    Attributes:
        panel: which parts.
        effect: [layer, position] (panel "heads": [layer, head]), the metric with the part patched
            minus the metric of the run as it is; NaN where it is not computed.
        base: the metric of the run as it is.
        full: the metric of the run whose values were put in; None without one.
    """

    panel: Panel
    effect: NDArray[np.float64]
    base: float
    full: float | None

    @property
    def share(self) -> NDArray[np.float64]:
        """The effect as a share of the difference between the two runs: 1 makes one the other.

        Raises ValueError without a second run, or where it has the same metric.
        """
        if self.full is None or self.full == self.base:
            raise ValueError("There is no difference between two runs to take a share of.")
        share: NDArray[np.float64] = self.effect / (self.full - self.base)
        return share


@dataclass(frozen=True)
class Controls:
    """The effect of random changes of the same size.

    n: how many; mean, low, high: their mean and the 2.5th and 97.5th percentile.
    """

    n: int
    mean: float
    low: float
    high: float

    @staticmethod
    def of(effects: NDArray[np.float64]) -> Controls:
        """From the effect of each random change, [n]."""
        low, high = np.percentile(effects, [2.5, 97.5])
        return Controls(len(effects), float(effects.mean()), float(low), float(high))


def logits_of(
    model: Model,
    comparison: Comparison,
    rows: Sequence[Sequence[Part]],
    *,
    cancelled: Callable[[], None] | None = None,
) -> Tensor:
    """Logits at the last position, [row, vocab], with the parts of each row patched at once.

    cancelled: called between batches; raises to stop.

    Raises CircuitError for a part that this model and prompt do not have.
    """
    found = []
    size = batch_rows(model, comparison.shape)
    for start in range(0, len(rows), size):
        if cancelled is not None:
            cancelled()
        batch = rows[start : start + size]
        spots = [_spots(parts, comparison.shape) for parts in batch]
        found.append(_run(model, comparison, len(batch), _patches(spots, comparison)))
    return torch.cat(found)


def blank(comparison: Comparison, panel: Panel) -> NDArray[np.float64]:
    """A heatmap with nothing computed, NaN, but 0 where both runs have the same values."""
    effect = np.full((comparison.shape.layers, comparison.shape.columns(panel)), np.nan)
    if panel != "heads":
        effect[:, : comparison.unchanged] = 0.0
    return effect


def effects_of(model: Model, comparison: Comparison, parts: Sequence[Part]) -> NDArray[np.float64]:
    """The effect of each part alone, [part]; `batch_rows` says how many run at once."""
    logits = logits_of(model, comparison, [(each,) for each in parts])
    return (comparison.measure(logits) - comparison.base).cpu().numpy()


def heatmap(
    model: Model,
    comparison: Comparison,
    panel: Panel,
    *,
    on_row: Callable[[int, NDArray[np.float64]], None] | None = None,
    cancelled: Callable[[], None] | None = None,
) -> Heatmap:
    """The effect of every part of a panel, layer by layer.

    Args:
        on_row: called with a layer and its effects as soon as they are known.
        cancelled: called between batches; raises to stop.
    """
    shape, base = comparison.shape, comparison.base
    effect = blank(comparison, panel)
    size = batch_rows(model, shape)
    for layer in range(shape.layers):
        parts = row(panel, layer, shape)
        first = int(np.isfinite(effect[layer]).sum())
        for start in range(first, len(parts), size):
            if cancelled is not None:
                cancelled()
            batch = parts[start : start + size]
            effect[layer, start : start + size] = effects_of(model, comparison, batch)
        if on_row is not None:
            on_row(layer, effect[layer])
    return Heatmap(panel, effect, base, comparison.full)


def controls(
    model: Model,
    comparison: Comparison,
    parts: Sequence[Part],
    *,
    n: int = CONTROLS,
    seed: int = 0,
    cancelled: Callable[[], None] | None = None,
) -> Controls:
    """What n random changes of the size of this patch do to the metric (see the top)."""
    spots = _spots(parts, comparison.shape)
    random = torch.Generator().manual_seed(seed)
    size = max(1, batch_rows(model, comparison.shape) - 1)
    effects: list[NDArray[np.float64]] = []
    for start in range(0, n, size):
        if cancelled is not None:
            cancelled()
        count = min(size, n - start)
        write = _noise(spots, comparison, count, random)
        logits = _run(model, comparison, count + 1, write)[1:]
        effects.append((comparison.measure(logits) - comparison.base).cpu().numpy())
    return Controls.of(np.concatenate(effects))


def batch_rows(model: Model, shape: Shape) -> int:
    """How many changed prompts run at once; the same every time, so that results are, too."""
    weights = sum(p.numel() for p in model.hf.parameters())
    vocab = int(model.config.vocab_size)
    by_cost = _COST / (weights * shape.positions)
    by_logits = _LOGITS / (4 * vocab)
    return max(2, min(256, int(by_cost), int(by_logits)))


def _spots(parts: Sequence[Part], shape: Shape) -> tuple[Spot, ...]:
    return tuple(spot for each in parts for spot in each.spots(shape))


def _run(model: Model, comparison: Comparison, rows: int, write: Mapping[Place, Edit]) -> Tensor:
    ids = comparison.ids[None].expand(rows, -1)
    logits = model.run(ids, write=write, logits=[comparison.shape.positions - 1]).logits
    assert logits is not None
    return logits[:, 0]


def _patches(rows: Sequence[Sequence[Spot]], comparison: Comparison) -> dict[Place, Edit]:
    """Each row gets the source's values at its own spots."""
    by_place: dict[Place, list[tuple[int, Spot]]] = defaultdict(list)
    for number, spots in enumerate(rows):
        for spot in spots:
            by_place[spot.place].append((number, spot))

    def edit_at(place: Place) -> Edit:
        def edit(value: Tensor, seen: Mapping[Place, Tensor]) -> Tensor:
            new, source = value.clone(), comparison.source[place].to(value)
            for number, spot in by_place[place]:
                new[number][spot.index] = source[spot.index]
            return new

        return edit

    return {place: edit_at(place) for place in by_place}


def _noise(
    spots: Sequence[Spot], comparison: Comparison, count: int, random: torch.Generator
) -> dict[Place, Edit]:
    """Row 0 is patched; the others move as far as it does, each in directions of its own."""
    by_place: dict[Place, list[Spot]] = defaultdict(list)
    for spot in spots:
        by_place[spot.place].append(spot)

    def edit_at(place: Place) -> Edit:
        def edit(value: Tensor, seen: Mapping[Place, Tensor]) -> Tensor:
            new, source = value.clone(), comparison.source[place].to(value)
            for spot in by_place[place]:
                new[0][spot.index] = source[spot.index]
                at, columns = spot.index
                far = (new[0, at, columns] - value[0, at, columns]).norm(dim=-1, keepdim=True)
                shape = (count, *far.shape[:-1], new[0, at, columns].shape[-1])
                draw = torch.randn(shape, generator=random, dtype=torch.float64).to(value)
                unit = draw / draw.norm(dim=-1, keepdim=True)
                new[1:, at, columns] = value[1:, at, columns] + far * unit
            return new

        return edit

    return {place: edit_at(place) for place in by_place}
