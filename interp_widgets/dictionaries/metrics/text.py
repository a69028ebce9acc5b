"""Text as batches of token windows, and which of their tokens count.

Documents are cut into windows, each with a special token in front, as attribution reads
prompts. The first token and special tokens are run but not counted: their vectors are outsize
and the same for every prompt, and would drown all others in any sum of squares.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from interp_widgets.dictionaries.errors import DictionaryError
from interp_widgets.models import Model

Text = str | Path | Iterable[str]

# Numbers in the largest tensor of a batch, logits [token, vocab] or pre-activations
# [token, feature]: 128 MB in float32.
MAX_NUMBERS = 1 << 25
MAX_TOKENS = 4096


@dataclass(frozen=True)
class Batch:
    """Windows of text.

    ids: [batch, position] int64, right-padded; mask: bool, what is not padding; keep: bool,
    what counts. window: [token], the window of each token that counts, in the order of
    ids[keep]. target: [token], the token after it, and -1 behind the last.
    """

    ids: Tensor
    mask: Tensor
    keep: Tensor
    window: Tensor
    target: Tensor


def windows(model: Model, text: Text, context: int) -> list[Tensor]:
    """Token ids of windows of at most `context` tokens, each [position].

    text: one document, several, or a file with an empty line between documents.

    Raises DictionaryError if there is no token to measure on.
    """
    if isinstance(text, Path):
        text = text.read_text(encoding="utf-8").split("\n\n")
    limit = getattr(model.config, "max_position_embeddings", None) or context
    size = min(context, limit) - 1
    if size < 2:
        raise DictionaryError(f"A context of {context} tokens is too short: give at least 3.")
    found = []
    for document in [text] if isinstance(text, str) else text:
        ids = model.tokenizer(document, add_special_tokens=False)["input_ids"]
        for start in range(0, len(ids), size):
            window = model.tokenize(ids[start : start + size])
            if bool(counted(model, window[None])[:, :-1].any()):
                found.append(window)
    if not found:
        raise DictionaryError(
            "The text has no tokens to measure on: give at least three words beside special tokens."
        )
    return found


def counted(model: Model, ids: Tensor) -> Tensor:
    """Bool [batch, position]: neither the first token nor a special one."""
    special = torch.tensor(model.tokenizer.all_special_ids, dtype=ids.dtype, device=ids.device)
    keep = ~torch.isin(ids, special)
    keep[:, 0] = False
    return keep


def batches(model: Model, found: list[Tensor], n_features: int) -> Iterator[Batch]:
    """The windows in batches, long ones first, small enough for [token, n_features] and logits."""
    width = max(n_features, int(model.config.vocab_size))
    tokens = max(1, min(MAX_TOKENS, MAX_NUMBERS // width))
    order = sorted(range(len(found)), key=lambda i: -len(found[i]))
    while order:
        size = max(1, tokens // len(found[order[0]]))
        chosen, order = order[:size], order[size:]
        yield _batch(model, found, chosen)


def _batch(model: Model, found: list[Tensor], chosen: list[int]) -> Batch:
    longest = len(found[chosen[0]])
    ids = torch.zeros(len(chosen), longest, dtype=torch.int64)
    mask = torch.zeros(len(chosen), longest, dtype=torch.bool)
    for row, index in enumerate(chosen):
        ids[row, : len(found[index])] = found[index]
        mask[row, : len(found[index])] = True
    keep = counted(model, ids) & mask
    following = torch.where(mask, ids, -1).roll(-1, dims=1)
    following[:, -1] = -1
    window = torch.tensor(chosen)[:, None].expand_as(ids)
    there = model.device
    return Batch(
        ids.to(there), mask.to(there), keep.to(there), window[keep], following[keep].to(there)
    )
