"""What a circuit is measured by: how far the answer is ahead, how likely it is, how much changed.

    logit difference = logit(correct) - logit(wrong)
    probability      = softmax(logits)[token]
    KL(clean || now) = sum over the vocabulary of p_clean log(p_clean / p_now), in nats

all at the last position. The KL divergence is a sum: some code averages over the vocabulary
instead, and is a factor of its size too small.

Sources: Wang et al. 2022 (arXiv 2211.00593, logit difference); Conmy et al. 2023 (arXiv
2304.14997, KL divergence).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from .errors import CircuitError


def logit_difference(logits: Tensor, correct: int, wrong: int) -> Tensor:
    """logit(correct) - logit(wrong); [..., vocab] -> [...]."""
    return logits[..., correct] - logits[..., wrong]


def probability(logits: Tensor, token: int) -> Tensor:
    """The probability of a token; [..., vocab] -> [...]."""
    return logits.softmax(-1)[..., token]


def kl(full: Tensor, other: Tensor) -> Tensor:
    """KL(full || other) in nats, summed over the vocabulary.

    Args:
        full: logits of the whole model, [vocab] or [..., vocab].
        other: logits of the changed one, [..., vocab].
    """
    p = full.log_softmax(-1)
    q = other.log_softmax(-1)
    # Where p is 0 its logarithm is minus infinity, and 0 log 0 is 0.
    terms = torch.where(p.exp() > 0, p.exp() * (p - q), torch.zeros_like(p.exp() * q))
    return terms.sum(-1)


class Metric(Protocol):
    """A number for the logits at the last position."""

    @property
    def name(self) -> str:
        """As people call it: "logit difference"."""
        ...

    @property
    def unit(self) -> str: ...

    @property
    def tokens(self) -> tuple[int, ...]:
        """The tokens it is about."""
        ...

    def __call__(self, logits: Tensor, clean: Tensor) -> Tensor:
        """logits [..., vocab], and those of the clean run [vocab] -> [...]."""
        ...


@dataclass(frozen=True)
class LogitDifference:
    """logit(correct) - logit(wrong)."""

    correct: int
    wrong: int
    name = "logit difference"
    unit = "logits"

    @property
    def tokens(self) -> tuple[int, ...]:
        return (self.correct, self.wrong)

    def __call__(self, logits: Tensor, clean: Tensor) -> Tensor:
        return logit_difference(logits, self.correct, self.wrong)


@dataclass(frozen=True)
class Probability:
    """The probability of one token."""

    token: int
    name = "probability"
    unit = ""

    @property
    def tokens(self) -> tuple[int, ...]:
        return (self.token,)

    def __call__(self, logits: Tensor, clean: Tensor) -> Tensor:
        return probability(logits, self.token)


@dataclass(frozen=True)
class KLDivergence:
    """KL(clean || now): 0 where nothing changed."""

    name = "KL divergence from the clean run"
    unit = "nats"
    tokens: tuple[int, ...] = ()

    def __call__(self, logits: Tensor, clean: Tensor) -> Tensor:
        return kl(clean, logits)


def choose(wanted: Any, model: Any, clean: Tensor, corrupted: Tensor | None) -> Metric:
    """The metric that a user means.

    Args:
        wanted: a Metric; "logit difference", "probability" or "kl"; a pair (correct, wrong) of
            tokens, as text or ids; or None, the logit difference.
        model: gives the ids of texts.
        clean, corrupted: logits at the last position, [vocab]. Where tokens are not named,
            `correct` is the clean run's favourite, and `wrong` the corrupted run's, or, if both
            have the same or there is one run, the token that gains most, or the second.

    Raises CircuitError for a name that is no metric; PromptError for a text that is no token.
    """
    if isinstance(wanted, (tuple, list)) and len(wanted) == 2:
        correct, wrong = (_token(each, model) for each in wanted)
        return _difference(correct, wrong, model)
    if wanted is None or isinstance(wanted, str):
        match (wanted or "logit difference").lower().replace("_", " "):
            case "logit difference":
                return _difference(*_answers(clean, corrupted), model)
            case "probability":
                return Probability(int(clean.argmax()))
            case "kl" | "kl divergence":
                return KLDivergence()
    elif callable(wanted) and hasattr(wanted, "name"):
        metric: Metric = wanted
        return metric
    raise CircuitError(
        f"There is no metric {wanted!r}: give 'logit difference', 'probability', 'kl', or the "
        f"two tokens to compare, (correct, wrong)."
    )


def check(wanted: Any, model: Any) -> None:
    """Raises as `choose` does, before anything is run."""
    choose(wanted, model, torch.zeros(int(model.config.vocab_size)), None)


def _difference(correct: int, wrong: int, model: Any) -> LogitDifference:
    if correct == wrong:
        raise CircuitError(
            f"A logit difference compares two tokens, and both are {model.token_text(correct)!r}."
        )
    return LogitDifference(correct, wrong)


def _token(wanted: str | int, model: Any) -> int:
    if isinstance(wanted, str):
        return int(model.token_id(wanted))
    if not 0 <= int(wanted) < int(model.config.vocab_size):
        raise CircuitError(f"Token id {wanted} is outside the vocabulary.")
    return int(wanted)


def _answers(clean: Tensor, corrupted: Tensor | None) -> tuple[int, int]:
    correct = int(clean.argmax())
    if corrupted is None:
        return correct, int(clean.topk(2).indices[1])
    wrong = int(corrupted.argmax())
    if wrong == correct:
        gained = corrupted.log_softmax(-1) - clean.log_softmax(-1)
        # Of the tokens that the corrupted run might say: a rare token gains most, and means nothing.
        likely = corrupted.topk(min(10, len(corrupted))).indices
        likely = likely[likely != correct]
        wrong = int(likely[gained[likely].argmax()])
    return correct, wrong


def top_tokens(logits: Tensor, count: int) -> tuple[Sequence[Sequence[int]], Tensor]:
    """The most probable tokens and their probabilities; logits [row, vocab] -> [row, count]."""
    found = logits.softmax(-1).topk(min(count, logits.shape[-1]))
    return found.indices.tolist(), found.values
