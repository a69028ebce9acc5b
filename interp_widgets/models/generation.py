"""Text, token by token: several variants of one prompt in one batch, each with its own interventions.

The loop is our own, around transformers' KV cache, with one trace per token (running.py), so that

    what was written at a position stays in the cache for all later ones,
    the model's lock is free between tokens and other runs may come in between,
    it stops within one token of being cancelled.

The last token of a text is never run through the model, so nothing can be written there.

With `read_across`, each variant has a twin in the batch: the model without interventions, reading
the variant's tokens. It gives log-probabilities and favourites "before", on the same prefix.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor
from transformers import DynamicCache

from ..jobs import Cancelled
from .decoding import chat_prompt
from .errors import InterventionError, PromptError
from .interventions import At, Intervention, What, interventions_of
from .places import Place
from .plan import compile as compile_plan
from .running import Edit, advance
from .sampling import Candidate, Chooser, Done, Sampling, Step

if TYPE_CHECKING:
    from .model import Model, Prompt

__all__ = ["Candidate", "Done", "Sampling", "Step", "chat_prompt", "generate", "stream"]


def generate(
    model: Model,
    prompt: Prompt,
    rows: Sequence[What],
    sampling: Sampling,
    *,
    read_across: bool = False,
    cancelled: Callable[[], object] | None = None,
) -> Iterator[Step]:
    """What `Model.generate` does; checked at once, run as the iterator is."""
    if isinstance(rows, Intervention) or not isinstance(rows, Sequence) or not rows:
        raise PromptError(
            "rows is a list with one entry per variant, each a list of interventions: [[]] is the "
            "model as it is, [[], [x]] that and the model with x."
        )
    ids = model.tokenize(prompt)
    variants = [interventions_of(row) if row else () for row in rows]
    longest = len(ids) + sampling.max_new_tokens - 1
    limit = getattr(model.config, "max_position_embeddings", None)
    check_reached(variants, len(ids), [min(longest, limit or longest)] * len(variants))
    twins: dict[int, int] = {}
    batch: list[tuple[Intervention, ...]] = list(variants)
    for row, variant in enumerate(variants if read_across else ()):
        twins[row] = row  # a row without interventions is its own twin
        if variant:
            twins[row] = len(batch)
            batch.append(())
    plan = compile_plan(model, batch, len(ids))
    return _checked(stream(model, ids, plan, len(rows), twins, sampling, cancelled), variants, ids)


def _checked(
    steps: Iterator[Step], variants: Sequence[Sequence[Intervention]], prompt: Tensor
) -> Iterator[Step]:
    """The steps; behind the last one, raises if a row ended before an intervention's position."""
    ran = [0] * len(variants)
    for step in steps:
        for row, token in enumerate(step.tokens):
            if token is not None:
                ran[row] = step.position  # this token itself is run only if another one follows
        yield step
    check_reached(variants, len(prompt), ran)


def check_reached(
    variants: Sequence[Sequence[Intervention]], prompt_length: int, ran: Sequence[int]
) -> None:
    """Raises InterventionError for one at positions that row `i` of ran[i] positions does not have."""
    for row, (variant, stop) in enumerate(zip(variants, ran, strict=True)):
        for intervention in variant:
            positions = intervention.positions
            reached = len(positions.below(stop, prompt_length))
            wanted = 1
            if isinstance(positions, At):  # all of them
                wanted = len(positions.below(sys.maxsize, prompt_length))
            if reached < wanted:
                raise InterventionError(
                    f"Variant {row}: “{intervention}” has nothing to act on, because the model "
                    f"reads only positions 0 to {stop - 1} ({prompt_length} of the prompt; the "
                    f"last token of a text is never read)."
                )


class Plan(Protocol):
    """What is read and written in a forward over positions [start, start + length)."""

    def edits(self, start: int, length: int) -> tuple[Collection[Place], Mapping[Place, Edit]]: ...


def stream(
    model: Model,
    prompt: Tensor,
    plan: Plan,
    n_rows: int,
    twins: Mapping[int, int],
    sampling: Sampling,
    cancelled: Callable[[], object] | None = None,
) -> Iterator[Step]:
    """The loop behind `Model.generate`.

    Args:
        prompt: [position] token ids.
        plan: for a batch of n_rows + len(twins) rows.
        n_rows: the first rows of the batch, which are written on.
        twins: per row that has one, the row of the batch that reads its tokens without
            interventions; a row that is its own twin has none.
        cancelled: asked before every token.

    Raises Cancelled, and whatever the plan raises.
    """
    choose = Chooser(model, prompt, n_rows, sampling)
    cache = DynamicCache(config=model.config)
    batch = n_rows + len(set(twins.values()) - set(range(n_rows)))
    ids = prompt.to(model.device).expand(batch, -1)
    start = 0
    while True:
        if cancelled is not None and cancelled():
            raise Cancelled("Cancelled.")
        logits = _forward(model, ids, cache, plan, start)
        step = choose.next(logits, twins)
        yield step
        if all(step.done):
            return
        start += ids.shape[1]
        ids = choose.following(batch, twins).to(model.device)


def _forward(model: Model, ids: Tensor, cache: Any, plan: Plan, start: int) -> Tensor:
    read, write = plan.edits(start, ids.shape[1])
    with model.lock, torch.no_grad():
        logits = advance(model._traced, model.hf, model.anatomy, ids, cache, read, write)
    return logits.to(torch.promote_types(logits.dtype, torch.float32)).cpu()
