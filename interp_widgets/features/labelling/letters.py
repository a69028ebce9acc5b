"""Letters that are spread over several tokens, as byte-level tokenizers do with emoji and many scripts.

Such a letter stands at the last of its tokens, and the others add nothing to the text. So what a
token of a letter adds depends on the tokens in front of it: the same id ends "日" here and "😀" there.
All other tokens add the same text wherever they stand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..stored import StoredIndex

#: Bytes that fit into one number beside their count; a letter has four, and a blank may be in front.
_PACKED = 7


@dataclass(frozen=True, eq=False)
class Letters:
    """Tokens that are parts of letters.

    position: int64 [n], ascending; text: which of `texts` each adds, −1 for nothing; letter: which
    of `texts` the letter ends with (−1 where the text breaks off inside of it).
    """

    position: NDArray[np.int64]
    text: NDArray[np.int64]
    letter: NDArray[np.int64]
    texts: tuple[str, ...]


def letters_of(stored: StoredIndex) -> Letters:
    """The tokens of an index that are parts of letters."""
    ends = np.asarray(stored.text_ptr)
    size = np.diff(ends)
    parts = np.flatnonzero(size == 0)
    last = parts + 1
    last = last[last < len(size)]
    last = last[size[last] > 0]
    packed = _packed(np.asarray(stored.text_bytes), ends[last], size[last])
    short = size[last] <= _PACKED
    _, first, number = np.unique(packed[short], return_index=True, return_inverse=True)
    text = np.full(len(last), -1, dtype=np.int64)
    text[short] = number
    texts = [stored.text(int(at), int(at) + 1) for at in last[short][first]]
    for row in np.flatnonzero(~short).tolist():  # what follows a token that says nothing
        text[row] = len(texts)
        texts.append(stored.text(int(last[row]), int(last[row]) + 1))
    position = np.concatenate([parts, last])
    own = np.concatenate([np.full(len(parts), -1, dtype=np.int64), text])
    order = np.argsort(position, kind="stable")
    position, own = position[order], own[order]
    # Each part belongs to the next token that adds something.
    following = np.searchsorted(last, position)
    inside = following < len(last)
    letter = np.full(len(position), -1, dtype=np.int64)
    letter[inside] = text[following[inside]]
    return Letters(position, own, letter, tuple(texts))


def _packed(
    text: NDArray[np.uint8], start: NDArray[np.int64], size: NDArray[np.int64]
) -> NDArray[np.uint64]:
    """The first bytes from each start and how many there are, as one number."""
    found = size.astype(np.uint64) << np.uint64(8 * _PACKED)
    for byte in range(_PACKED):
        here = size > byte
        found[here] |= text[start[here] + byte].astype(np.uint64) << np.uint64(8 * byte)
    return found
