"""Where a word, or some in a row, stands in an index's text, whatever pieces it is cut into."""

from __future__ import annotations

import numpy as np

from ..stored import StoredIndex
from .vocabulary import Ints, Vocabulary, vocabulary_of


def occurrences(stored: StoredIndex, query: str) -> tuple[Ints, Ints]:
    """(first token, one behind the last) of each place, [n] ascending.

    Words are compared without case and must be whole: "tex" does not stand in "texas". Of a letter
    that is spread over several tokens, all belong to the place.
    """
    vocabulary, n = vocabulary_of(stored), stored.n_positions
    none = np.zeros(0, dtype=np.int64)
    words = query.casefold().split()
    if not words or not n:
        return none, none
    first: Ints | None = None
    at: Ints = none
    for word in words:
        if first is None:
            first, at = _word(vocabulary, n, word, None)
        else:
            apart = at < n
            apart[apart] = ~_goes_on(stored, vocabulary, at[apart])
            first, at = first[apart], at[apart]
            begun, at = _word(vocabulary, n, word, vocabulary.behind_blanks(at))
            first = first[begun]
        if not len(at):
            return none, none
    assert first is not None
    first = vocabulary.before_silent(first)
    pointer = np.asarray(stored.window_ptr)
    window = np.searchsorted(pointer, first, side="right")
    inside = at <= pointer[window]
    inside &= ~_goes_on(stored, vocabulary, first)
    whole = np.ones(len(at), dtype=bool)
    more = at < pointer[np.minimum(window, len(pointer) - 1)]
    whole[more] = ~_goes_on(stored, vocabulary, at[more])
    first, at = first[inside & whole], at[inside & whole]
    order = np.argsort(first, kind="stable")
    return first[order], at[order]


def _word(vocabulary: Vocabulary, n: int, word: str, at: Ints | None) -> tuple[Ints, Ints]:
    """Where a word ends that begins at some tokens, and which of them it does begin at.

    n: how many tokens there are; at: None: anywhere; then the first of the pair is where it begins.
    """
    open_: list[tuple[str, Ints, Ints]] = []  # what is left, which beginnings, next token
    done: list[tuple[Ints, Ints]] = []
    if at is not None:
        at = vocabulary.behind_silent(at)
        rows = np.flatnonzero(at < n)
        texts = vocabulary.texts_at(at[rows])
    for size in range(1, len(word) + 1):
        if at is None:
            begun = vocabulary.places(word[:size])
            following = begun + 1
        else:
            begun = rows[2 * texts == vocabulary.number(word[:size])]
            following = at[begun] + 1
        if len(begun):
            open_.append((word[size:], begun, following))
    while open_:
        left, begun, following = open_.pop()
        if not left:
            done.append((begun, following))
            continue
        rest, further = _word(vocabulary, n, left, following)
        if len(rest):
            done.append((begun[rest], further))
    if not done:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    return np.concatenate([b for b, _ in done]), np.concatenate([f for _, f in done])


def _goes_on(stored: StoredIndex, vocabulary: Vocabulary, at: Ints) -> np.ndarray:
    """Whether a token goes on a word that was begun before it."""
    return vocabulary.goes_on(at, np.isin(at, np.asarray(stored.window_ptr)))
