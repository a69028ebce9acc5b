"""Effects: what steering is meant to change, as one number per prompt, from the model's logits.

An effect is any function from logits [position, vocab] of a prompt to a number. Those here are
what is mostly asked for; all grow as the model moves towards `token`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..models import Model
from .errors import SteeringError

Effect = Callable[[Tensor], float]
"""From logits [position, vocab], float32 on the CPU; position 0 is the special token in front."""


def logit_difference(model: Model, token: str | int, foil: str | int) -> Effect:
    """logit(token) - logit(foil) for the token behind the prompt."""
    a, b = _id(model, token), _id(model, foil)
    return lambda logits: float(logits[-1, a] - logits[-1, b])


def log_probability(model: Model, tokens: str | int | Sequence[str | int]) -> Effect:
    """log p of one of these tokens behind the prompt, in nats."""
    ids = _ids(model, tokens)
    return lambda logits: float(logits[-1].log_softmax(-1)[ids].logsumexp(-1))


def mean_probability(model: Model, tokens: str | int | Sequence[str | int]) -> Effect:
    """The probability of one of these tokens, averaged over all positions but the first: how much
    a text as a whole leans towards a topic."""
    ids = _ids(model, tokens)
    return lambda logits: float(logits[1:].softmax(-1)[:, ids].sum(-1).mean())


def _ids(model: Model, tokens: str | int | Sequence[str | int]) -> Tensor:
    listed = [tokens] if isinstance(tokens, str | int) else list(tokens)
    if not listed:
        raise SteeringError("An effect needs at least one token.")
    return torch.tensor(sorted({_id(model, token) for token in listed}))


def _id(model: Model, token: str | int) -> int:
    return model.token_id(token) if isinstance(token, str) else int(token)
