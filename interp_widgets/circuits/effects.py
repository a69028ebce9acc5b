"""What several selected things do, each alone and all together.

    single_i = metric(only i changed) - metric(nothing changed)
    joint    = metric(all changed)    - metric(nothing changed)

If parts worked independently the joint effect would be the sum of the single ones. A smaller joint
effect: they do the same work (a backup); a larger one: they need each other.

What is selected is a part of a heatmap, or a group of interventions. Parts alone run as one batch
here; with interventions among them, parts become interventions, too, and the model's own engine
runs them all.

The control of a group of interventions: what it writes, behind each block where it acts, is
replaced by as much in random directions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..models import Model, Place
from ..models.interventions import Features, Intervention, Vector
from .comparison import Comparison
from .parts import Part
from .patching import CONTROLS, Controls, controls, logits_of
from .values import interventions

SMALL = 1e-6  # what rounding may write

Item = Part | tuple[Intervention, ...]
Check = Callable[[], None] | None


@dataclass(frozen=True)
class Effect:
    """The effect of a selection on a metric.

    Attributes:
        base: the metric with nothing changed.
        singles: each thing's own effect, [item].
        joint: the effect of all together; of one thing, its own.
        before, after: logits at the last position, [vocab], nothing and everything changed.
        controls: the effect of random changes as large as all together, once measured.
    """

    base: float
    singles: tuple[float, ...]
    joint: float
    before: Tensor
    after: Tensor
    controls: Controls | None = None

    @property
    def sum(self) -> float:
        """What the joint effect would be if the parts were independent."""
        return float(np.sum(self.singles))


def measure(
    model: Model, comparison: Comparison, items: Sequence[Item], *, cancelled: Check = None
) -> Effect:
    """Each item's effect and that of all together, without controls.

    cancelled: called between batches; raises to stop.

    Raises CircuitError for a part that is not there, InterventionError for an intervention that
    touches nothing.
    """
    rows: list[Sequence[Item]] = [[item] for item in items]
    if len(items) > 1:
        rows.append(items)
    if all(isinstance(item, Part) for item in items):
        logits = logits_of(model, comparison, rows, cancelled=cancelled)  # type: ignore[arg-type]
    else:
        outcomes = model.intervene_each(
            comparison.ids,
            [changes(row, comparison) for row in rows],
            logits_at=[-1],
            cancelled=cancelled,
        )
        logits = torch.stack([outcome.logits[-1] for outcome in outcomes]).to(comparison.logits)
    effects = (comparison.measure(logits) - comparison.base).tolist()
    return Effect(
        base=comparison.base,
        singles=tuple(effects[: len(items)]),
        joint=effects[-1],
        before=comparison.logits,
        after=logits[-1],
    )


def with_controls(
    model: Model,
    comparison: Comparison,
    items: Sequence[Item],
    effect: Effect,
    *,
    n: int = CONTROLS,
    cancelled: Check = None,
) -> Effect:
    """The same effect with its control measured, n random changes."""
    if all(isinstance(item, Part) for item in items):
        found = controls(model, comparison, items, n=n, cancelled=cancelled)  # type: ignore[arg-type]
    else:
        found = _marks_at_random(model, comparison, items, n, cancelled)
    return replace(effect, controls=found)


def continuations(
    model: Model,
    comparison: Comparison,
    items: Sequence[Item],
    *,
    tokens: int = 12,
    cancelled: Check = None,
) -> tuple[str, str]:
    """The most likely text behind the prompt, with nothing and with everything changed."""
    rows: list[list[Intervention]] = [[], changes(items, comparison)]
    texts = ["", ""]
    for step in model.generate(
        comparison.ids, rows, max_new_tokens=tokens, temperature=0.0, cancelled=cancelled
    ):
        texts = [text + new for text, new in zip(texts, step.texts, strict=True)]
    return texts[0], texts[1]


def changes(items: Sequence[Item], comparison: Comparison) -> list[Intervention]:
    """All of a selection as interventions."""
    found: list[Intervention] = []
    for item in items:
        found += interventions(item, comparison) if isinstance(item, Part) else item
    return found


def _marks_at_random(
    model: Model, comparison: Comparison, items: Sequence[Item], n: int, cancelled: Check
) -> Controls:
    """Random vectors as long as what the interventions write, at the places of `_marks`."""
    random = np.random.default_rng(0)
    rows: list[list[Intervention]] = [[] for _ in range(n)]
    for place, moved in _marks(model, comparison, changes(items, comparison), cancelled):
        for position, length in enumerate(moved.norm(dim=-1).tolist()):
            for row in rows if length > SMALL else ():
                draw = random.standard_normal(model.d_model)
                vector = Vector.of((draw / np.linalg.norm(draw)).tolist(), "a random direction")
                row.append(place.add(length, vector).at(position))
    effects = np.zeros(n)
    if rows[0]:
        outcomes = model.intervene_each(comparison.ids, rows, logits_at=[-1], cancelled=cancelled)
        logits = torch.stack([outcome.logits[-1] for outcome in outcomes])
        effects = (comparison.measure(logits) - comparison.base).cpu().numpy()
    return Controls.of(effects)


def _marks(
    model: Model, comparison: Comparison, acting: Sequence[Intervention], cancelled: Check
) -> list[tuple[Place, Tensor]]:
    """What interventions leave behind, block by block where they act: place, [position, d_model].

    Behind a block, its own interventions' mark on the stream. A cross-layer feature writes in later
    blocks, too: there it is what the MLP gives in a run that holds all MLPs but for such writes.
    """
    by_layer: dict[int, list[Intervention]] = {}
    for change in acting:
        target: Any = change.target
        by_layer.setdefault(int(target.layer), []).append(change)
    later = [Place(layer, "mlp_out") for layer in range(model.n_layers)]
    behind = [Place(layer, "resid_post") for layer in by_layer]
    plain = model.run(comparison.ids[None], read=[*behind, *later], logits=False).seen
    found: list[tuple[Place, Tensor]] = []
    outcomes = model.intervene_each(
        comparison.ids, list(by_layer.values()), read=behind, logits_at=[-1], cancelled=cancelled
    )
    for place, outcome in zip(behind, outcomes, strict=True):
        found.append((place, outcome.activations[place] - plain[place][0]))
    for layer, each in by_layer.items():
        features = [change for change in each if isinstance(change.target, Features)]
        if not features or layer == model.n_layers - 1:
            continue
        held = model.intervene(
            comparison.ids, features, constrained="all", read=later[layer + 1 :], logits_at=[-1]
        )
        before = held.base_activations
        assert before is not None
        found += [(p, held.activations[p] - before[p]) for p in later[layer + 1 :]]
    return found
