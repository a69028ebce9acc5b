"""What an index will take on disk, told before it is made."""

from __future__ import annotations

from .about import About
from .shards import Arrays

#: Per entry: a position and a value, and the unit once more, by token.
_PER_ENTRY = 4 + 2 + 2
#: Id, where its text begins, five bytes of it, and a share of its window.
_PER_TOKEN = 4 + 8 + 5 + 1
#: Per layer: where its entries begin, by token.
_PER_TOKEN_AND_LAYER = 8
#: Where its entries begin, and the strongest.
_PER_UNIT = 8 + 4


def predicted(arrays: Arrays, about: About, size: int, tokens: int | None) -> float:
    """Bytes that a whole index will take, judged by the arrays of some of its windows.

    size: of the whole text, as `Corpus.size` has it, 0 if unknown; tokens: at which
    it stops, if it does.
    """
    n_tokens = len(arrays["ids"])
    entries = sum(len(arrays[f"{layer}.value"]) for layer in about.layers)
    expected = n_tokens * size / max(1, len(arrays["text"])) if size else float("inf")
    if tokens is not None:
        expected = min(expected, tokens + about.shard_tokens)
    per_token = _PER_ENTRY * entries / max(1, n_tokens) + _PER_TOKEN
    per_token += _PER_TOKEN_AND_LAYER * len(about.layers)
    return expected * per_token + _PER_UNIT * sum(about.sizes)


def in_words(bytes: float) -> str:
    """12.3 MB."""
    return f"{bytes / 1e9:.1f} GB" if bytes >= 1e9 else f"{bytes / 1e6:.1f} MB"
