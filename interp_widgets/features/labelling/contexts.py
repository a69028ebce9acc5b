"""Tokens of an index in their context, as arrays: what rules and detectors look at.

A token is told by its word (vocabulary.py). Words have numbers, so "the token before is “the”" is one
comparison of arrays.

Small indexes are looked at whole, large ones in a random sample of their windows (a fixed seed), to
which a unit's own windows are added.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...dictionaries.labels import Label
from ..errors import FeatureError
from ..stored import StoredIndex
from .vocabulary import NONE, Ints, Vocabulary, vocabulary_of

if TYPE_CHECKING:
    from ..index import Index

AnyIndex: TypeAlias = "Index | StoredIndex"

#: Windows are drawn until they have so many tokens; an index with fewer is looked at whole.
SAMPLE = 200_000


def stored_of(index: AnyIndex) -> StoredIndex:
    """The stored part of an index; waits for it.

    Raises FeatureError where nothing was indexed.
    """
    return index if isinstance(index, StoredIndex) else index.stored


def labels_of(index: AnyIndex) -> Mapping[tuple[int, int], Label]:
    """What the units of an index are called; the stored part alone knows no labels."""
    return {} if isinstance(index, StoredIndex) else index.book.shown()


def text_of(label: Label | str) -> str:
    """The words of a label; raises FeatureError for what is none."""
    text = label.text if isinstance(label, Label) else label
    if not isinstance(text, str) or not text.strip():
        raise FeatureError(f"A label is a text such as “las”, not {label!r}.")
    return text


@dataclass(frozen=True, eq=False)
class Sheet:
    """Windows of an index behind each other.

    position: place in the index; word, window, start: number, window and the window's first place
    on this sheet; all int64 [token]. text: a hash per window [window], equal for equal tokens.
    end: [window], behind its last place. source: what text they are from. common: bool [window], drawn at random and not for one
    unit's sake.
    """

    vocabulary: Vocabulary
    position: Ints
    word: Ints
    window: Ints
    start: Ints
    end: Ints
    text: NDArray[np.uint64]
    common: NDArray[np.bool_]
    source: str

    def __len__(self) -> int:
        return len(self.word)

    def places(self, position: Ints) -> Ints:
        """Where tokens of the index are on this sheet; those that are not are left out."""
        at = np.searchsorted(self.position, position)
        at = at[at < len(self)] if len(self) else at
        return at[np.isin(self.position[at], position)]

    def beside(self, places: Ints, by: int) -> Ints:
        """The words so many tokens further on (or before, where negative); −1 beyond the window."""
        at = places + by
        inside = (at >= self.start[places]) & (at < self.end[self.window[places]])
        return np.where(inside, self.word[np.clip(at, 0, len(self) - 1)], NONE)

    def text_around(self, stored: StoredIndex, place: int, before: int, behind: int) -> str:
        """The text of a token with so many before and behind it, of the same window."""
        first = max(int(self.start[place]), place - before)
        end = min(int(self.end[self.window[place]]), place + behind + 1)
        at = int(self.position[place]) - place
        return stored.text(first + at, end + at)

    def had(self, places: Ints, word: int) -> NDArray[np.bool_]:
        """Whether a word stands earlier in the window."""
        there = np.flatnonzero(self.word == word)
        first = np.full(len(self.end), len(self), dtype=np.int64)
        first[self.window[there[::-1]]] = there[::-1]
        return places > first[self.window[places]]

    @cached_property
    def is_common(self) -> NDArray[np.bool_]:
        """Per token, whether its window was drawn at random."""
        return self.common[self.window]

    @cached_property
    def all_common(self) -> Ints:
        return np.flatnonzero(self.is_common)

    def pair(self, places: Ints, last: int = 0) -> Ints:
        """The two words that end `last` tokens further on, as one number; −1 beyond the window."""
        first, second = self.beside(places, last - 1), self.beside(places, last)
        both = first * len(self.vocabulary) + second
        return np.where((first >= 0) & (second >= 0), both, NONE)


_LOCK = threading.Lock()
_SHEETS: weakref.WeakKeyDictionary[StoredIndex, Sheet] = weakref.WeakKeyDictionary()


def sheet_of(stored: StoredIndex) -> Sheet:
    """The index, or the sample of it, found once."""
    vocabulary = vocabulary_of(stored)
    with _LOCK:
        found = _SHEETS.get(stored)
        if found is None:
            chosen = _chosen(stored)
            found = _SHEETS[stored] = _sheet(stored, vocabulary, chosen, chosen)
        return found


def sheet_with(stored: StoredIndex, position: Ints) -> Sheet:
    """The same with the windows of these tokens."""
    base = sheet_of(stored)
    if len(base) == stored.n_positions:
        return base
    own = np.unique(np.searchsorted(stored.window_ptr, position, side="right") - 1)
    common = _chosen(stored)
    both = np.union1d(common, own)
    return _sheet(stored, base.vocabulary, both, common)


def _chosen(stored: StoredIndex) -> Ints:
    """The windows of the sample, ascending."""
    n = stored.n_windows
    if stored.n_positions <= SAMPLE:
        return np.arange(n)
    order = np.random.default_rng(0).permutation(n)
    held = np.cumsum(np.diff(stored.window_ptr)[order])
    return np.sort(order[: int(np.searchsorted(held, SAMPLE)) + 1])


def _sheet(stored: StoredIndex, vocabulary: Vocabulary, windows: Ints, common: Ints) -> Sheet:
    starts = np.asarray(stored.window_ptr)[windows]
    sizes = np.asarray(stored.window_ptr)[windows + 1] - starts
    ends = np.cumsum(sizes)
    first = ends - sizes
    window = np.repeat(np.arange(len(windows)), sizes)
    position = np.arange(int(sizes.sum())) + np.repeat(starts - first, sizes)
    ids = np.asarray(stored.ids)[position].astype(np.int64)
    start = first[window]
    place = np.arange(len(ids))
    return Sheet(
        vocabulary,
        position,
        vocabulary.words(position, place == start),
        window,
        start,
        ends,
        _hashes(ids, place - start, window, len(windows)),
        np.isin(windows, common),
        said_of(stored),
    )


def said_of(stored: StoredIndex) -> str:
    """The text of an index in a few words; other text has other numbers."""
    return f"{stored.n_tokens:,} tokens of {stored.about.documents:,} texts"


def _hashes(ids: Ints, offset: Ints, window: Ints, n_windows: int) -> NDArray[np.uint64]:
    """One number per window: the sum of a mix of each token with its place (splitmix64)."""
    with np.errstate(over="ignore"):
        x = ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        x ^= (offset.astype(np.uint64) + np.uint64(1)) * np.uint64(0xD1B54A32D192ED03)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
        found = np.zeros(n_windows, dtype=np.uint64)
        np.add.at(found, window, x ^ (x >> np.uint64(31)))
    return found
