"""Dose-response: what a direction does at each strength, with what it costs and its controls.

For each strength s, over the prompts given:

    effect      mean change of the effect against the same prompt without steering, with a 95%
                bootstrap interval over prompts
    wrong way   share of prompts whose effect moves against the sign of s
    random      the same mean for random directions of equal norm at the same places: their middle
                95%. An effect inside this band is what any push of this size does
    contrast    the same for the difference in means of two lists of prompts, scaled to equal norm
    damage      change in cross entropy on neutral text (bootstrap over windows)
    repetition  of sampled texts, beside that of the unsteered model

and, once, a prompt baseline: the same effect when the model is asked in words. AxBench (Wu et al.
2025) found prompts and differences in means ahead of features nearly everywhere, so both belong in
the picture.

A strength that was picked because it did best on these prompts looks better than it is:
`choosing.choose` picks on one half of them and reports on the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..dictionaries.metrics import Estimate, Text
from ..models import Model
from ..models.model import Prompt
from .damage import Rows, losses, repetition, steered_logits, texts
from .directions import Direction, random_like
from .effects import Effect
from .errors import SteeringError
from .finding import difference_in_means
from .intervals import mean
from .neutral import neutral
from .scales import NaturalScale, natural_scales
from .watch import Progress, Watch

N_RANDOM = 20
N_TEXTS = 8


@dataclass(frozen=True)
class Band:
    """The middle 95% and the median of n random directions."""

    low: float
    median: float
    high: float
    n: int


@dataclass(frozen=True)
class Dose:
    """What one strength does. Estimates carry over how many prompts, tokens or texts they are.

    Attributes:
        strength: times the direction's vectors; `DoseResponse.scale` tells sigmas and alpha.
        effect: mean change of the effect.
        wrong_way: share of prompts that move against the strength's sign; 0 at strength 0.
        random: mean changes by random directions of equal norm.
        contrast: mean change by the difference in means, where two lists were given.
        damage: change in cross entropy on neutral text, nats per token.
        repetition: of texts written under steering.
    """

    strength: float
    effect: Estimate
    wrong_way: Estimate
    random: Band
    contrast: Estimate | None
    damage: Estimate
    repetition: Estimate


@dataclass(frozen=True, eq=False)
class DoseResponse:
    """A direction's doses, and what they are measured against.

    Attributes:
        direction, scale: what was added, and what strength 1 is worth.
        doses: by ascending strength.
        base_effect, base_loss, base_repetition: without steering (loss in nats per token).
        instruction: mean change of the effect by asking in words, where an instruction was given.
        start: the first position that was steered.
        neutral: what the neutral text is.
        changes: [strength, prompt]; random_changes: [random, strength, prompt]; contrast_changes:
            [strength, prompt] or None.
        losses: [1 + strength, window], nats, the unsteered model first; window_tokens: [window].
    """

    direction: Direction
    scale: NaturalScale
    doses: tuple[Dose, ...]
    base_effect: Estimate
    base_loss: Estimate
    base_repetition: Estimate
    instruction: Estimate | None
    start: int
    neutral: str
    changes: Tensor
    random_changes: Tensor
    contrast_changes: Tensor | None
    losses: Tensor
    window_tokens: Tensor

    @property
    def strengths(self) -> tuple[float, ...]:
        return tuple(dose.strength for dose in self.doses)

    @property
    def n_prompts(self) -> int:
        return self.changes.shape[1]


def dose_response(
    model: Model,
    prompts: Sequence[Prompt],
    direction: Direction,
    strengths: Sequence[float],
    effect: Effect | Sequence[Effect],
    *,
    start: int = 1,
    contrast: tuple[Sequence[Prompt], Sequence[Prompt]] | None = None,
    instruction: str | None = None,
    text: Text | None = None,
    n_random: int = N_RANDOM,
    n_new_tokens: int = 24,
    seed: int = 0,
    progress: Progress | None = None,
    cancelled: Callable[[], object] | None = None,
) -> DoseResponse:
    """Measure a direction at several strengths.

    Args:
        prompts: at least 2; the interval is over them.
        strengths: times the direction's vectors; 0 may be among them.
        effect: what is to change (effects.py), one for all prompts or one for each.
        start: the first position that is steered, of prompts, texts and neutral text alike; 0 would
            steer the special token in front, too.
        contrast: (positive, negative) prompts, for a difference in means at the direction's first
            place.
        instruction: put in front of each prompt that is text, for the prompt baseline.
        text: neutral text; None: one that suits the model (neutral.py).
        n_random: how many random directions, at least 20.
        n_new_tokens: length of the texts whose repetition is measured, sampled at temperature 1
            behind the first 8 prompts.
        seed: of random directions and texts.
        progress, cancelled: see `Watch`.

    Raises SteeringError for settings that make no sense, Cancelled when asked to stop.
    """
    watch = Watch(progress, cancelled)
    levels = _checked(prompts, strengths, n_random, n_new_tokens, start)
    effects = list(effect) if isinstance(effect, Sequence) else [effect] * len(prompts)
    if len(effects) != len(prompts):
        raise SteeringError(
            f"{len(effects)} effects for {len(prompts)} prompts: give one for each."
        )
    other = None
    if contrast is not None:
        found = difference_in_means(
            model, *contrast, direction.place, watch=watch.stretch(0, 0.05), name="contrast"
        )
        other = found.scaled(direction.norm / found.norm)
    randoms = [random_like(direction, seed + i) for i in range(n_random)]
    lines = [direction, *randoms, *([] if other is None else [other])]
    rows: Rows = [[], *(line.steer(s, start) for line in lines for s in levels)]
    values = _effects(model, prompts, rows, effects, watch.stretch(0.05, 0.55))
    base, steered = values[0], values[1:].view(len(lines), len(levels), len(prompts))
    changes = steered - base

    asked = None
    if instruction is not None:
        asked = mean(_asked(model, prompts, instruction, effects) - base)
    text_read = neutral(model, text, watch.stretch(0.55, 0.6))
    (scale,) = natural_scales(model, [direction], text_read, watch.stretch(0.6, 0.62))
    own: Rows = rows[: 1 + len(levels)]
    lost = losses(model, text_read, own, watch.stretch(0.62, 0.85))
    tokens = torch.tensor([len(window) - 1 for window in text_read.windows]).double()
    written = texts(
        model, prompts[:N_TEXTS], own, n_new_tokens, seed=seed, watch=watch.stretch(0.85, 1)
    )
    repeats = torch.tensor([[repetition(ids) for ids in variants] for variants in written]).T

    doses = tuple(
        Dose(
            strength=s,
            effect=mean(changes[0, i]),
            wrong_way=mean(moves_wrong(changes[0, i], s)),
            random=band(changes[1 : 1 + n_random, i].mean(-1)),
            contrast=None if other is None else mean(changes[-1, i]),
            damage=loss_change(lost, tokens, i),
            repetition=mean(repeats[1 + i]),
        )
        for i, s in enumerate(levels)
    )
    return DoseResponse(
        direction=direction,
        scale=scale,
        doses=doses,
        base_effect=mean(base),
        base_loss=mean(lost[0] / tokens, tokens, int(tokens.sum())),
        base_repetition=mean(repeats[0]),
        instruction=asked,
        start=start,
        neutral=text_read.source,
        changes=changes[0],
        random_changes=changes[1 : 1 + n_random],
        contrast_changes=None if other is None else changes[-1],
        losses=lost,
        window_tokens=tokens,
    )


def moves_wrong(changes: Tensor, strength: float) -> Tensor:
    """1.0 for each prompt whose effect moves against the sign of the strength, [prompt]."""
    return (changes * math.copysign(1.0, strength) < 0).double() * (strength != 0)


def band(means: Tensor) -> Band:
    """From the mean change by each random direction, [random]."""
    low, middle, high = (float(means.double().quantile(q)) for q in (0.025, 0.5, 0.975))
    return Band(low, middle, high, len(means))


def loss_change(lost: Tensor, tokens: Tensor, index: int) -> Estimate:
    """Change in cross entropy at a strength, nats per token, from losses [1 + strength, window]."""
    return mean((lost[1 + index] - lost[0]) / tokens, tokens, int(tokens.sum()))


def _effects(
    model: Model,
    prompts: Sequence[Prompt],
    rows: Rows,
    effects: Sequence[Effect],
    watch: Watch,
) -> Tensor:
    """[row, prompt]"""
    out = torch.zeros(len(rows), len(prompts), dtype=torch.float64)
    for column, prompt in enumerate(prompts):
        ids = model.tokenize(prompt)
        for row, logits in enumerate(steered_logits(model, ids, rows)):
            share = (column + row / len(rows)) / len(prompts)
            watch.step(share, f"steering {len(prompts)} prompts")
            out[row, column] = effects[column](logits)
    if not bool(out.isfinite().all()):
        raise SteeringError(
            "The effect is not finite for some prompt and strength: lower the strongest strength."
        )
    return out


def _asked(
    model: Model, prompts: Sequence[Prompt], instruction: str, effects: Sequence[Effect]
) -> Tensor:
    """[prompt], the effect behind the instruction and the prompt, unsteered."""
    out = []
    for prompt, effect in zip(prompts, effects, strict=True):
        if not isinstance(prompt, str):
            raise SteeringError("An instruction can only be put in front of prompts that are text.")
        ids = model.tokenize(instruction.rstrip() + " " + prompt.lstrip())
        (logits,) = steered_logits(model, ids, [[]])
        out.append(effect(logits))
    return torch.tensor(out, dtype=torch.float64)


def _checked(
    prompts: Sequence[Prompt],
    strengths: Sequence[float],
    n_random: int,
    n_new_tokens: int,
    start: int,
) -> list[float]:
    if isinstance(prompts, str) or len(prompts) < 2:
        raise SteeringError("Give a list of at least 2 prompts: with one there is no interval.")
    levels = sorted({float(s) for s in strengths})
    if not levels or not all(math.isfinite(s) for s in levels):
        raise SteeringError(f"Give at least one finite strength, not {list(strengths)}.")
    if n_random < N_RANDOM:
        raise SteeringError(f"{n_random} random directions make no band: give at least {N_RANDOM}.")
    if n_new_tokens < 1:
        raise SteeringError("Repetition needs texts of at least 1 token.")
    if start < 0:
        raise SteeringError(f"start is {start}: give a position from 0 on.")
    return levels
