"""The words of an index: what rules, detectors and searches tell tokens by.

A token is told by its word: its text without the space in front and without case, marked with "…"
in front where it goes on a word that was begun before it (dallas -> “da” “…ll” “…as”).
"""

from __future__ import annotations

import threading
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..stored import StoredIndex
from .letters import letters_of

Ints = NDArray[np.int64]
GOES_ON = "…"
NONE = -1


class Vocabulary:
    """The words of an index.

    texts: folded, one behind the other. A word is twice the number of its text, and 1 more where it
    goes on a word. An id has one text wherever it stands, but for parts of letters (letters.py).
    """

    def __init__(self, stored: StoredIndex) -> None:
        self._ids = np.asarray(stored.ids)
        letters = letters_of(stored)
        ids = self._ids.astype(np.int64)
        somewhere = np.full(int(ids.max(initial=0)) + 1, NONE, dtype=np.int64)
        somewhere[ids] = np.arange(len(ids))
        alone = np.ones(len(ids), dtype=bool)
        alone[letters.position] = False
        somewhere[ids[alone]] = np.flatnonzero(alone)
        self._text_of = np.full(len(somewhere), NONE, dtype=np.int64)
        self._begins = np.zeros(len(somewhere), dtype=bool)
        self._ends = np.zeros(len(somewhere), dtype=bool)
        self.texts: list[str] = []
        self._numbers: dict[str, int] = {}
        for id in np.flatnonzero(somewhere >= 0).tolist():
            at = int(somewhere[id])
            text = stored.tokens(at, at + 1)[0]
            self._text_of[id] = self._numbered(text)
            self._begins[id], self._ends[id] = _joins(text[:1]), _joins(text[-1:])
        # Of parts: what each adds, and whether the letter it belongs to makes a word with others.
        # The last entry of these lists is for what adds nothing, and is part of nothing.
        texts = [*letters.texts, ""]
        numbers = np.array([self._numbered(text) for text in texts], dtype=np.int64)
        begins = np.array([_joins(text[:1]) for text in texts], dtype=bool)
        ends = np.array([_joins(text[-1:]) for text in texts], dtype=bool)
        last = letters.text >= 0
        self._part = letters.position
        self._part_text = numbers[letters.text]
        self._part_begins = begins[np.where(last, letters.text, letters.letter)]
        self._part_ends = np.where(last, ends[letters.text], begins[letters.letter])
        self._silent = letters.position[~last]
        self._begun = letters.position[~last & (letters.letter >= 0)]

    def _numbered(self, text: str) -> int:
        folded = fold(text)
        if folded not in self._numbers:
            self._numbers[folded] = len(self.texts)
            self.texts.append(folded)
        return self._numbers[folded]

    def __len__(self) -> int:
        """How many word numbers there are."""
        return 2 * len(self.texts)

    def words(self, position: Ints, first: NDArray[np.bool_]) -> Ints:
        """Word numbers of tokens; `first` says which have nothing before them."""
        return 2 * self.texts_at(position) + self.goes_on(position, first)

    def texts_at(self, position: Ints) -> Ints:
        """The numbers of the texts that tokens add."""
        return self._look(self._text_of, self._part_text, position)

    def goes_on(self, position: Ints, first: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Whether tokens go on a word that the tokens before them begin."""
        begins = self._look(self._begins, self._part_begins, position)
        ends = self._look(self._ends, self._part_ends, np.maximum(position - 1, 0))
        return np.asarray(begins & ends & ~first)

    def _look(self, by_id: NDArray[Any], by_part: NDArray[Any], position: Ints) -> NDArray[Any]:
        found = by_id[self._ids[position]]
        if len(self._part):
            at = np.minimum(np.searchsorted(self._part, position), len(self._part) - 1)
            found = np.where(self._part[at] == position, by_part[at], found)
        return found

    def places(self, folded: str) -> Ints:
        """Where tokens have a text, whatever their case and space in front; ascending."""
        number = self._numbers.get(folded)
        if number is None:
            return np.zeros(0, dtype=np.int64)
        found = [
            np.flatnonzero(self._ids == id)
            for id in np.flatnonzero(self._text_of == number).tolist()
        ]
        alone = np.concatenate([*found, np.zeros(0, dtype=np.int64)])
        alone = alone[~np.isin(alone, self._part)] if len(self._part) else alone
        return np.sort(np.concatenate([alone, self._part[self._part_text == number]]))

    def behind_silent(self, position: Ints) -> Ints:
        """The same tokens, and of those that add nothing the next that does."""
        return _moved(position, self._silent, 1)

    def behind_blanks(self, position: Ints) -> Ints:
        """The same tokens, and of those that are blank the next that are not, or the end."""
        position, end = position.copy(), len(self._ids)
        rows = np.flatnonzero(position < end)
        blank = np.array([text.isspace() for text in self.texts], dtype=bool)
        while len(rows := rows[blank[self.texts_at(position[rows])]]):
            position[rows] += 1
            rows = rows[position[rows] < end]
        return position

    def before_silent(self, position: Ints) -> Ints:
        """The same tokens, and of those that end a letter its first part."""
        return _moved(position - 1, self._begun, -1) + 1

    def shown(self, word: int) -> str:
        """A word as it is written in labels."""
        return (GOES_ON if word % 2 else "") + self.texts[word // 2]

    def number(self, shown: str) -> int:
        """The number of a word as it is written in labels; −2 if no text has it."""
        if shown in self._numbers:
            return 2 * self._numbers[shown]
        goes_on = shown.startswith(GOES_ON) and shown[1:] in self._numbers
        return 2 * self._numbers[shown[1:]] + 1 if goes_on else -2


def _moved(position: Ints, over: Ints, by: int) -> Ints:
    """Tokens, moved over some."""
    while len(over) and (there := np.isin(position, over)).any():
        position = position + by * there
    return position


def fold(text: str) -> str:
    """A token's text without space around it and without case. Space alone stays; a token that adds
    nothing, as it is a part of a character, is "�"."""
    return text.strip().casefold() or text or "�"


def _joins(character: str) -> bool:
    """Whether a character makes one word with a letter beside it."""
    return character.isdigit() or character.lower() != character.upper()


def vocabulary_of(stored: StoredIndex) -> Vocabulary:
    """The index's words, found once."""
    with _LOCK:
        found = _VOCABULARIES.get(stored)
        if found is None:
            found = _VOCABULARIES[stored] = Vocabulary(stored)
        return found


_LOCK = threading.Lock()
_VOCABULARIES: weakref.WeakKeyDictionary[StoredIndex, Vocabulary] = weakref.WeakKeyDictionary()
