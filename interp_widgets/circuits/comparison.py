"""Two runs to compare, and what of one is put into the other.

With a counterfactual, in one of two directions (Heimersheim & Nanda 2024, arXiv 2404.15255):

    noising    the clean prompt runs, a part gets what the corrupted run has there. What it breaks
               was needed.
    denoising  the corrupted prompt runs, a part gets what the clean run has there. What it repairs
               is enough.

Without one there is only the clean run, and a part gets zero, or its mean over a reference text.
Zero is a value that the model may never see, so what follows may be its surprise and not the
part's work: a comparison with zeros carries a warning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from ..models import Model, ModelError, Place
from ..models.model import Prompt
from .errors import CircuitError
from .metrics import KLDivergence, Metric, choose
from .parts import PANELS, Shape, places

Direction = Literal["noising", "denoising"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
Method = Literal["noising", "denoising", "zero", "mean"]

WARNING = (
    "Zero ablation: a model may never see zeros there, so an effect may be its surprise. With a "
    "counterfactual prompt parts get values that it does see."
)


@dataclass(frozen=True)
class Comparison:
    """A run that is edited, what is put into it, and the number that is watched.

    Attributes:
        ids: [position] token ids of the run that is edited.
        source_ids: [position] of the run whose values are put in; None for zeros and means.
        method: how.
        metric: what is measured.
        source: per place [position, d], what is put there.
        clean: logits of the clean run at its last position, [vocab].
        logits: those of the run that is edited.
        source_logits: those of the other run.
        shape: of the model and the prompt.
        warning: a sentence, or "".
    """

    ids: Tensor
    source_ids: Tensor | None
    method: Method
    metric: Metric
    source: Mapping[Place, Tensor]
    clean: Tensor
    logits: Tensor
    source_logits: Tensor | None
    shape: Shape
    warning: str = ""

    def measure(self, logits: Tensor) -> Tensor:
        """The metric of [..., vocab], in float64."""
        return self.metric(logits.double(), self.clean.double())

    @property
    def base(self) -> float:
        """The metric where nothing is changed."""
        return float(self.measure(self.logits))

    @property
    def full(self) -> float | None:
        """The metric of the run whose values are put in."""
        return None if self.source_logits is None else float(self.measure(self.source_logits))

    @property
    def unchanged(self) -> int:
        """How many positions in front have the same values in both runs: those of equal tokens.

        Nothing reads ahead, so patching there has an effect of exactly 0, and is not run.
        """
        if self.source_ids is None:
            return 0
        return int((self.ids == self.source_ids).long().cumprod(0).sum())

    @property
    def scale(self) -> float:
        """The effect that is shown in full colour: the whole difference between the two runs.

        Without a second run: all of the metric itself, and at least 1 logit or 1 nat.
        """
        if self.full is not None:
            return max(abs(self.full - self.base), 1e-6)
        if isinstance(self.metric, KLDivergence) or self.metric.unit == "logits":
            return max(abs(self.base), 1.0)
        return max(abs(self.base), 1e-6)


def compare_runs(
    model: Model,
    prompt: Prompt,
    counterfactual: Prompt | None = None,
    *,
    direction: Direction = "noising",
    metric: Any = None,
    reference: Sequence[Prompt] | None = None,
) -> Comparison:
    """Run what there is to compare.

    Args:
        prompt: the clean prompt, as text or token ids.
        counterfactual: the corrupted one, with as many tokens; without it parts are ablated.
        direction: which of the two runs is edited.
        metric: see `metrics.choose`.
        reference: prompts over whose tokens a part's mean is taken, instead of zero; the first
            token's mean is its own.

    Raises:
        PromptError: a prompt that the model cannot read.
        ModelError: logits that are not finite.
        CircuitError: prompts of different length, an unknown direction or metric, an empty
            reference, or a reference beside a counterfactual.
    """
    if direction not in DIRECTIONS:
        raise CircuitError(f"The direction is 'noising' or 'denoising', not {direction!r}.")
    clean_ids, other_ids = token_ids(model, prompt, counterfactual)
    if reference is not None and counterfactual is not None:
        raise CircuitError(
            "Give a counterfactual, or a reference to take means over: not both at once."
        )
    wanted = places(PANELS, model.n_layers)
    shape = Shape.of(model, len(clean_ids))
    last = [len(clean_ids) - 1]
    clean = model.run(clean_ids[None], read=wanted, logits=last)
    assert clean.logits is not None
    clean_logits = clean.logits[0, 0]
    _check_finite(model, clean_logits)
    if other_ids is None:
        chosen = choose(metric, model, clean_logits, None)
        if reference is None:
            source = {place: torch.zeros_like(value[0]) for place, value in clean.seen.items()}
            return Comparison(
                clean_ids, None, "zero", chosen, source,
                clean_logits, clean_logits, None, shape, WARNING,
            )  # fmt: skip
        source = _means(model, reference, wanted, shape.positions)
        return Comparison(
            clean_ids, None, "mean", chosen, source, clean_logits, clean_logits, None, shape
        )
    other = model.run(other_ids[None], read=wanted, logits=last)
    assert other.logits is not None
    other_logits = other.logits[0, 0]
    _check_finite(model, other_logits)
    chosen = choose(metric, model, clean_logits, other_logits)
    noising = direction == "noising"
    return Comparison(
        ids=clean_ids if noising else other_ids,
        source_ids=other_ids if noising else clean_ids,
        method=direction,
        metric=chosen,
        source={place: value[0] for place, value in (other if noising else clean).seen.items()},
        clean=clean_logits,
        logits=clean_logits if noising else other_logits,
        source_logits=other_logits if noising else clean_logits,
        shape=shape,
    )


def token_ids(
    model: Model, prompt: Prompt, counterfactual: Prompt | None
) -> tuple[Tensor, Tensor | None]:
    """Both prompts as token ids, [position]; nothing is run.

    Raises PromptError and CircuitError as `compare_runs` does for prompts.
    """
    clean = model.tokenize(prompt)
    if counterfactual is None:
        return clean, None
    other = model.tokenize(counterfactual)
    _check_lengths(model, clean, other)
    return clean, other


def _check_finite(model: Model, logits: Tensor) -> None:
    if not torch.isfinite(logits).all():
        raise ModelError(
            f"{model.name} gives logits that are not finite (NaN or infinity): model.record(prompt) "
            f"says in which block it begins."
        )


def _check_lengths(model: Model, clean: Tensor, other: Tensor) -> None:
    """What is moved from one run to another keeps its position, so positions must match."""
    if len(clean) == len(other):
        return
    first, second = ([model.token_text(i) for i in ids.tolist()] for ids in (clean, other))
    start = next((i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), None)
    if start is None:  # one goes on where the other ends
        start = min(len(first), len(second))
    end = 0
    while end < min(len(first), len(second)) - start and first[-1 - end] == second[-1 - end]:
        end += 1
    one, two = (_quoted(words[start : len(words) - end]) for words in (first, second))
    raise CircuitError(
        f"The prompts have {len(clean)} and {len(other)} tokens, and patching needs as many in "
        f"both: from position {start} on they read {one} and {two}. Choose words that are split "
        f"into equally many tokens."
    )


def _quoted(tokens: Sequence[str]) -> str:
    shown = " ".join(repr(token) for token in tokens[:8]) + (" …" if len(tokens) > 8 else "")
    return f"{shown or 'nothing'} ({len(tokens)})"


def _means(
    model: Model, reference: Sequence[Prompt], wanted: Sequence[Place], positions: int
) -> dict[Place, Tensor]:
    """Per place [position, d]: the mean over tokens behind the first, and over the first alone."""
    if isinstance(reference, str) or not len(reference):
        raise CircuitError("The reference is a list of prompts, and needs at least one.")
    sums: dict[Place, Tensor] = {}
    firsts: dict[Place, Tensor] = {}
    tokens = 0
    for each in reference:
        ids = model.tokenize(each)
        seen = model.run(ids[None], read=wanted, logits=False).seen
        tokens += len(ids) - 1
        for place, value in seen.items():
            wide = value[0].double()
            sums[place] = sums.get(place, torch.zeros_like(wide[0])) + wide[1:].sum(0)
            firsts[place] = firsts.get(place, torch.zeros_like(wide[0])) + wide[0]
    if tokens == 0:
        raise CircuitError("The reference has no tokens behind the first one.")
    dtype = model.run(ids[None], read=wanted[:1], logits=False).seen[wanted[0]].dtype
    return {
        place: torch.cat(
            [
                (firsts[place] / len(reference))[None],
                (sums[place] / tokens).expand(positions - 1, -1),
            ]
        ).to(dtype)
        for place in wanted
    }
