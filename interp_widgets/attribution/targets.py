"""What a graph explains: tokens, logit differences or directions, as vectors to pull back.

A target is a vector in the space of the final norm's output, at the last position. For a token
it is its unembedding row minus the mean row (adding a constant to all logits changes nothing),
before any logit softcap, with the token's probability as its weight in influence.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..models import FrozenModel, Model, PromptError

LogitDifference = tuple[str | int, str | int]
TargetLike = str | int | LogitDifference | Tensor


@dataclass(frozen=True)
class OutputTargets:
    """Targets at the output, strongest first.

    vectors: [target, d_model]; weight: [target], sums to at most 1; probability: [target], NaN
    where the target is not a token; token_id: [target], -1 where it is not a token;
    constant: [target], the unembedding bias's share.
    """

    names: tuple[str, ...]
    token_id: Tensor
    probability: Tensor
    weight: Tensor
    vectors: Tensor
    constant: Tensor

    def __len__(self) -> int:
        return len(self.names)


def check_targets(model: Model, wanted: TargetLike | Sequence[TargetLike] | None) -> None:
    """Raises PromptError for targets that this model cannot have, before anything is run."""
    for target in [] if wanted is None else listed(wanted):
        if isinstance(target, Tensor):
            if target.shape != (model.d_model,):
                raise PromptError(
                    f"A target direction has shape {list(target.shape)} and {model.name} has "
                    f"d_model = {model.d_model}: give a tensor [{model.d_model}]."
                )
            if not target.isfinite().all():
                raise PromptError("A target direction is not finite: it holds NaN or infinity.")
        else:
            for token in target if isinstance(target, tuple) else (target,):
                _token_id(model, token)


def listed(wanted: TargetLike | Sequence[TargetLike]) -> list[TargetLike]:
    """One target or several, as a list. A tuple is one logit difference."""
    if isinstance(wanted, Tensor) and not wanted.is_floating_point():
        wanted = wanted.tolist()  # token ids, such as logits.argmax() gives
    one = isinstance(wanted, tuple) or (isinstance(wanted, Tensor) and wanted.ndim == 1)
    # Text, and what is no sequence at all, is one target (or refused as one).
    one = one or isinstance(wanted, str) or not isinstance(wanted, Iterable)
    targets: list[TargetLike] = [wanted] if one else list(wanted)  # type: ignore[arg-type, list-item]
    if not targets:
        raise PromptError("No targets were given: name at least one token, or leave targets out.")
    for target in targets:
        if isinstance(target, tuple) and len(target) != 2:
            raise PromptError(
                f"A logit difference is a pair (token, token), and {target!r} has {len(target)} "
                f"parts. Several targets go in a list: [...]."
            )
    return targets


def _token_id(model: Model, token: str | int) -> int:
    if isinstance(token, str):
        index = model.token_id(token)
    else:
        try:
            index = operator.index(token)
        except TypeError:
            raise PromptError(
                f"A target is a token (text or id), a pair of tokens, or a direction (a tensor "
                f"[d_model]), not {token!r}."
            ) from None
    vocab = int(model.config.vocab_size)
    if not 0 <= index < vocab:
        raise PromptError(f"Target token id {index} is outside the vocabulary (0 to {vocab - 1}).")
    return index


def output_targets(
    frozen: FrozenModel,
    wanted: TargetLike | Sequence[TargetLike] | None = None,
    *,
    max_targets: int = 10,
    min_probability: float = 0.95,
) -> OutputTargets:
    """Turn what a user names into vectors.

    Args:
        frozen: the linear model of the prompt.
        wanted: None for the most probable tokens (the fewest that reach `min_probability`
            together, at most `max_targets`); a token as text or id; a pair (a, b) for the
            logit difference a - b; a direction [d_model] in the final norm's output space;
            or a sequence of these.

    Raises PromptError for text that is not one token, an id outside the vocabulary, or a
    direction of the wrong width.
    """
    model, unembedding = frozen.model, frozen.unembedding()
    probabilities = torch.softmax(frozen.recording.logits.double(), -1)
    if wanted is None:
        values, ids = torch.topk(probabilities, min(max_targets, len(probabilities)))
        enough = int(torch.searchsorted(torch.cumsum(values, 0), min_probability)) + 1
        wanted = ids[:enough].tolist()
    check_targets(model, wanted)
    wanted = listed(wanted)

    weight_u, bias_u = unembedding
    dtype = frozen.dtype
    mean = _mean_row(weight_u, dtype)
    bias = None if bias_u is None else bias_u.detach().to(dtype)

    def row(token: int) -> tuple[Tensor, Tensor]:
        b = mean.new_zeros(()) if bias is None else bias[token] - bias.mean()
        return weight_u[token].to(dtype) - mean, b

    names: list[str] = []
    ids_out: list[int] = []
    vectors: list[Tensor] = []
    constants: list[Tensor] = []
    for target in wanted:
        if isinstance(target, Tensor):
            vector, constant = target.to(mean), mean.new_zeros(())
            names.append(f"direction {len(names) + 1}")
            ids_out.append(-1)
        elif isinstance(target, tuple):
            a, b = (_token_id(model, token) for token in target)
            (va, ca), (vb, cb) = row(a), row(b)
            vector, constant = va - vb, ca - cb
            names.append(f"{model.token_text(a)} − {model.token_text(b)}")
            ids_out.append(-1)
        else:
            index = _token_id(model, target)
            vector, constant = row(index)
            names.append(model.token_text(index))
            ids_out.append(index)
        vectors.append(vector)
        constants.append(constant)

    ids_tensor = torch.tensor(ids_out)
    is_token = ids_tensor >= 0
    probability = torch.full((len(names),), float("nan"), dtype=torch.float64)
    probability[is_token] = probabilities.cpu()[ids_tensor[is_token]]
    # A target that is not a token has no probability: it weighs as much as a certain one,
    # shared among the targets.
    weight = torch.where(is_token, probability, torch.tensor(1.0 / len(names)).double())
    return OutputTargets(
        tuple(names), ids_tensor, probability, weight, torch.stack(vectors), torch.stack(constants)
    )


def _mean_row(weight: Tensor, dtype: torch.dtype) -> Tensor:
    # In slices: a float32 copy of a large half-precision unembedding would cost gigabytes.
    total = torch.zeros(weight.shape[1], dtype=torch.float64, device=weight.device)
    for part in weight.split(16384):
        total += part.to(dtype).sum(0).double()
    return (total / len(weight)).to(dtype)
