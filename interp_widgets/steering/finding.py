"""Directions found in a model's own vectors: the difference of two means, and PCA.

    difference in means   mean over positive prompts - mean over negative ones (CAA, Rimsky et al.
                          2024; Marks and Tegmark 2023)
    PCA, one list         the axis along which the vectors of a list of prompts vary most
    PCA, two lists        of the differences between paired prompts (RepE, Zou et al. 2023): the
                          axis that carries most of their squared length. Mean and all, because
                          RepE flips half of the pairs' signs, after which the mean is about zero

Each prompt is one vector: that of its last token, or the mean over its tokens without the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from ..dictionaries.windows import long_first, padded, tokens_at_once
from ..models import Model, Place
from ..models.model import Prompt
from .directions import Direction
from .errors import SteeringError
from .watch import Watch

Tokens = Literal["last", "mean"]


def difference_in_means(
    model: Model,
    positive: Sequence[Prompt],
    negative: Sequence[Prompt],
    place: Place,
    *,
    tokens: Tokens = "last",
    name: str = "",
    watch: Watch | None = None,
) -> Direction:
    """From the negative prompts' mean to the positive prompts' mean: strength 1 covers the way.

    Args:
        positive, negative: prompts; the lists may differ in length.
        place: where vectors are read and the direction is to be added.
        tokens: "last" where the prompts' last token is what counts (answers, endings), "mean"
            where the whole text is (style, topic).

    Raises SteeringError for an empty list, or lists between which there is no difference.
    """
    up, down = both_vectors(model, positive, negative, place, tokens, watch)
    facts = {"n positive": len(up), "n negative": len(down), "tokens": tokens}
    vector = up.mean(0) - down.mean(0)
    return Direction(
        ((place, vector.float()),), name or "difference in means", "difference in means", facts
    )


def pca(
    model: Model,
    prompts: Sequence[Prompt],
    negative: Sequence[Prompt] | None = None,
    *,
    place: Place,
    tokens: Tokens = "last",
    name: str = "",
    watch: Watch | None = None,
) -> Direction:
    """The strongest principal direction, of length 1.

    Args:
        prompts: at least 3. With `negative`, the positive halves of pairs.
        negative: the negative halves, in the same order. The direction then points towards the
            positive ones; without pairs, towards the side on which the vectors reach farther.

    The share of squared length that lies along it is in `facts`.

    Raises SteeringError for too few prompts, halves of different lengths, or no variation.
    """
    if negative is not None and len(negative) != len(prompts):
        raise SteeringError(
            f"PCA of pairs takes two lists of one length, not {len(prompts)} and {len(negative)}."
        )
    if len(prompts) < 3:
        raise SteeringError(f"PCA needs at least 3 prompts, not {len(prompts)}.")
    if negative is None:
        found = prompt_vectors(model, prompts, place, tokens=tokens, watch=watch)
        rows = found - found.mean(0)
    else:
        up, down = both_vectors(model, prompts, negative, place, tokens, watch)
        rows = up - down
    total = float(rows.square().sum())
    if total == 0:
        raise SteeringError(f"The prompts' vectors at {place} are all the same: no direction.")
    axis = torch.linalg.svd(rows, full_matrices=False).Vh[0]
    along = rows @ axis
    side = along.mean() if negative is not None else along[along.abs().argmax()]
    facts = {
        "n": len(rows),
        "tokens": tokens,
        "share": float(along.square().sum()) / total,
        "of": "vectors" if negative is None else "differences of pairs",
    }
    vector = axis if side >= 0 else -axis
    return Direction(((place, vector.float()),), name or "PCA", "PCA", facts)


def prompt_vectors(
    model: Model,
    prompts: Sequence[Prompt],
    place: Place,
    *,
    tokens: Tokens = "last",
    watch: Watch | None = None,
) -> Tensor:
    """One vector per prompt, [prompt, d_model] in float64 on the CPU.

    Raises SteeringError for an empty list.
    """
    if not prompts or isinstance(prompts, str):
        raise SteeringError("Give a list of at least one prompt.")
    if tokens not in ("last", "mean"):
        raise SteeringError(f'tokens is "last" or "mean", not {tokens!r}.')
    watch = watch or Watch()
    ids = [model.tokenize(prompt) for prompt in prompts]
    out: dict[int, Tensor] = {}
    for chosen in long_first(ids, tokens_at_once()):
        watch.step(len(out) / len(ids), f"reading {len(ids)} prompts at {place}")
        batch, mask = padded([ids[i] for i in chosen])
        seen = model.run(batch, mask=mask, read=[place], logits=False).seen[place]
        for row, i in enumerate(chosen):
            vectors = seen[row, : len(ids[i])].double().cpu()
            # The first token is an attention sink, whose outsize vector would be all of the mean.
            out[i] = (
                vectors[-1] if tokens == "last" else vectors[min(1, len(vectors) - 1) :].mean(0)
            )
    return torch.stack([out[i] for i in range(len(ids))])


def both_vectors(
    model: Model,
    positive: Sequence[Prompt],
    negative: Sequence[Prompt],
    place: Place,
    tokens: Tokens,
    watch: Watch | None,
) -> tuple[Tensor, Tensor]:
    """`prompt_vectors` of both lists."""
    watch = watch or Watch()
    up = prompt_vectors(model, positive, place, tokens=tokens, watch=watch.stretch(0, 0.5))
    down = prompt_vectors(model, negative, place, tokens=tokens, watch=watch.stretch(0.5, 1))
    return up, down
