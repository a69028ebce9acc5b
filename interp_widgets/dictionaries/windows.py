"""Text as windows of tokens, in batches; and which of their tokens count.

Documents are cut into windows, each with a special token in front, as attribution reads prompts.
Windows run together right-padded, long ones first, so that little is padding and memory runs out
at once or not at all. The first token and special tokens are run but not counted: their vectors are
outsize and the same for every prompt, and would drown all others in any sum of squares.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Sized

import torch
from torch import Tensor

from interp_widgets.models import Model

# Numbers in the largest tensor of a batch, such as logits [token, vocab] or pre-activations
# [token, feature]: 128 MB in float32.
MAX_NUMBERS = 1 << 25
MAX_TOKENS = 4096


def room(model: Model, context: int) -> int:
    """Tokens of a document in a window of `context`, which is at most the model's."""
    limit = getattr(model.config, "max_position_embeddings", None) or context
    return min(context, limit) - 1


def cut(model: Model, document: str, size: int) -> Iterator[Tensor]:
    """A document's windows in order, each [position]: at most `size` tokens, and one in front."""
    ids = model.tokenizer(document, add_special_tokens=False, verbose=False)["input_ids"]
    for start in range(0, len(ids), size):
        yield model.tokenize(ids[start : start + size])


def tokens_at_once(width: int = 1) -> int:
    """How many tokens run together, at most, where each has `width` numbers."""
    return max(1, min(MAX_TOKENS, MAX_NUMBERS // width))


def long_first(windows: Sequence[Sized], tokens: int) -> Iterator[list[int]]:
    """Which windows run together, long ones first: one, or as many as have so many tokens."""
    order = sorted(range(len(windows)), key=lambda i: -len(windows[i]))
    while order:
        size = max(1, tokens // len(windows[order[0]]))
        chosen, order = order[:size], order[size:]
        yield chosen


def padded(windows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """ids [batch, position] int64, right-padded; mask: bool, what is not padding."""
    longest = max(len(window) for window in windows)
    ids = torch.zeros(len(windows), longest, dtype=torch.int64)
    mask = torch.zeros(len(windows), longest, dtype=torch.bool)
    for row, window in enumerate(windows):
        ids[row, : len(window)] = window
        mask[row, : len(window)] = True
    return ids, mask


def counted(model: Model, ids: Tensor) -> Tensor:
    """Bool [batch, position]: neither the first token nor a special one."""
    special = torch.tensor(model.tokenizer.all_special_ids, dtype=ids.dtype, device=ids.device)
    keep = ~torch.isin(ids, special)
    keep[:, 0] = False
    return keep
