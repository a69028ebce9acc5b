"""Letters that are spread over several tokens, as byte-level tokenizers do with emoji and many scripts.

Such a letter stands at the last of its tokens, and the others add nothing to the text, or the blank in
front of it. So what a token of a letter adds depends on the tokens before it: the same id ends "日" here
and "😀" there. All other tokens add the same text wherever they stand. (Some tokens add nothing and are
no part of a letter, such as a blank in front of a text.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..stored import StoredIndex

#: Bytes that fit into one number beside their count; a letter has four, and a blank may be in front.
_PACKED = 7
#: Tokens that are looked at together.
_AT_ONCE = 1 << 20
_BLANK = ord(" ")

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Letters:
    """Tokens that add nothing to the text, and those that add what others of their id do not.

    position: int64 [n], ascending; text: which of `texts` each adds, −1 for nothing; letter: of a
    token that adds nothing, which of `texts` its letter ends with, −1 where it is part of none.
    """

    position: Ints
    text: Ints
    letter: Ints
    texts: tuple[str, ...]


def letters_of(stored: StoredIndex) -> Letters:
    """Where the text of an index has letters of several tokens."""
    ends = np.asarray(stored.text_ptr)
    size = np.diff(ends)
    silent = np.flatnonzero(size == 0)
    last = silent + 1
    last = last[last < len(size)]
    last = last[size[last] > 0]  # what is behind silent tokens, one for each row of them
    varied = _varied(stored, ends, size)
    whole = _by_themselves(stored, last, size, varied)
    position = np.union1d(varied, last)
    text, texts = _texts(stored, position, ends, size)
    following = np.searchsorted(last, silent)
    inside = following < len(last)
    inside[inside] = ~whole[following[inside]]
    letter = np.full(len(silent), -1, dtype=np.int64)
    letter[inside] = text[np.searchsorted(position, last[following[inside]])]
    none = np.full(len(silent), -1, dtype=np.int64)
    both = np.concatenate([silent, position])
    order = np.argsort(both, kind="stable")
    return Letters(
        both[order],
        np.concatenate([none, text])[order],
        np.concatenate([letter, np.full(len(position), -1, dtype=np.int64)])[order],
        tuple(texts),
    )


def _varied(stored: StoredIndex, ends: Ints, size: Ints) -> Ints:
    """Tokens that add something, with ids that do not add the same everywhere."""
    ids, text = np.asarray(stored.ids), np.asarray(stored.text_bytes)
    somewhere = np.full(int(ids.max(initial=0)) + 1, -1, dtype=np.int64)
    loud = np.flatnonzero(size > 0)
    somewhere[ids[loud]] = loud
    known = np.flatnonzero(somewhere >= 0)
    one = np.zeros(len(somewhere), dtype=np.uint64)
    one[known] = _packed(text, ends[somewhere[known]], size[somewhere[known]])
    varied = np.zeros(len(somewhere), dtype=bool)
    for start in range(0, len(loud), _AT_ONCE):
        some = loud[start : start + _AT_ONCE]
        varied[ids[some][_packed(text, ends[some], size[some]) != one[ids[some]]]] = True
    return loud[varied[ids[loud]]] if varied.any() else loud[:0]


def _texts(stored: StoredIndex, position: Ints, ends: Ints, sizes: Ints) -> tuple[Ints, list[str]]:
    """Which texts tokens add: a number for each, and the texts."""
    size = sizes[position]
    packed = _packed(np.asarray(stored.text_bytes), ends[position], size)
    short = size <= _PACKED
    _, first, number = np.unique(packed[short], return_index=True, return_inverse=True)
    found = np.full(len(position), -1, dtype=np.int64)
    found[short] = number
    texts = [stored.text(at, at + 1) for at in position[short][first].tolist()]
    for row in np.flatnonzero(~short).tolist():
        found[row] = len(texts)
        texts.append(stored.text(int(position[row]), int(position[row]) + 1))
    return found, texts


def _by_themselves(
    stored: StoredIndex, position: Ints, size: Ints, varied: Ints
) -> NDArray[np.bool_]:
    """Which tokens add their text without the silent ones in front of them: all that begin with a
    letter of one byte, and all with ids that add the same everywhere, also behind a token that adds
    a letter."""
    ids, text = np.asarray(stored.ids), np.asarray(stored.text_bytes)
    start = np.asarray(stored.text_ptr)
    inside = np.append(text, np.zeros(2, dtype=np.uint8))  # behind the end, there is something
    begins = inside[start[:-1]]
    begins = np.where((begins == _BLANK) & (size > 1), inside[start[:-1] + 1], begins)
    blank = (size == 1) & (inside[start[:-1]] == _BLANK)
    apart = np.flatnonzero((size > 0) & np.roll((size > 0) & ~blank, 1))
    elsewhere = np.full(int(ids.max(initial=0)) + 1, -1, dtype=np.int64)
    elsewhere[ids[apart]] = apart
    at = elsewhere[ids[position]]
    same = (at >= 0) & ~np.isin(position, varied)
    packed = (_packed(text, start[some], size[some]) for some in (position[same], at[same]))
    same[same] = np.equal(*packed)
    return np.asarray(same | (begins[position] < 0x80))


def _packed(
    text: NDArray[np.uint8], start: NDArray[np.int64], size: NDArray[np.int64]
) -> NDArray[np.uint64]:
    """The first bytes from each start and how many there are, as one number."""
    found = size.astype(np.uint64) << np.uint64(8 * _PACKED)
    for byte in range(_PACKED):
        here = size > byte
        found[here] |= text[start[here] + byte].astype(np.uint64) << np.uint64(8 * byte)
    return found
