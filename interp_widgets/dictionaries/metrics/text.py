"""The text that something is measured on, as batches of token windows (dictionaries/windows.py)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from interp_widgets.dictionaries.errors import DictionaryError
from interp_widgets.dictionaries.windows import (
    counted,
    cut,
    long_first,
    padded,
    room,
    tokens_at_once,
)
from interp_widgets.models import Model

Text = str | Path | Iterable[str]


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
    size = room(model, context)
    if size < 2:
        raise DictionaryError(f"A context of {context} tokens is too short: give at least 3.")
    found = []
    for document in [text] if isinstance(text, str) else text:
        for window in cut(model, document, size):
            if bool(counted(model, window[None])[:, :-1].any()):
                found.append(window)
    if not found:
        raise DictionaryError(
            "The text has no tokens to measure on: give at least three words beside special tokens."
        )
    return found


def batches(model: Model, found: list[Tensor], n_features: int) -> Iterator[Batch]:
    """The windows in batches, long ones first, small enough for [token, n_features] and logits."""
    width = max(n_features, int(model.config.vocab_size))
    for chosen in long_first(found, tokens_at_once(width)):
        yield _batch(model, found, chosen)


def _batch(model: Model, found: list[Tensor], chosen: list[int]) -> Batch:
    ids, mask = padded([found[i] for i in chosen])
    keep = counted(model, ids) & mask
    following = torch.where(mask, ids, -1).roll(-1, dims=1)
    following[:, -1] = -1
    window = torch.tensor(chosen)[:, None].expand_as(ids)
    there = model.device
    return Batch(
        ids.to(there), mask.to(there), keep.to(there), window[keep], following[keep].to(there)
    )
