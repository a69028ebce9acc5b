"""Conditions that hold on a unit's tokens more often than on others, found by counting words.

Words are counted at every place that rules know (rules.py): at the token, before, behind, and
anywhere earlier. A word is worth the share of active tokens that have it there, less the share of
silent ones. Of each place come the best two words, and the best with others while each adds enough.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from .contexts import Sheet
from .rules import BEGINNING, PAIRED, STEPS, Bools, Clause, Place, Words, kinds_of
from .vocabulary import Ints

_MOST_TOGETHER = 4
_LEAST_GAIN = 0.04  # of the worth, for one word more
_MOST_PLACES = 1500  # looked at for words that stand earlier
_SHORT_LIST = 12


def clauses(sheet: Sheet, active: Ints, silent: Ints) -> Iterator[Clause]:
    """Conditions that hold on active tokens more often than on silent ones, best of each kind."""
    for place, step in STEPS.items():
        one = sheet.beside(active, step), sheet.beside(silent, step)
        yield from _words(sheet, place, *one)
        if place in PAIRED:
            yield from _pairs(sheet, place, sheet.pair(active, step), sheet.pair(silent, step))
    yield from _earlier(sheet, active, silent)
    yield from _kinds(sheet, active, silent)


def _words(sheet: Sheet, place: Place, active: Ints, silent: Ints) -> Iterator[Clause]:
    n = len(sheet.vocabulary)
    hits = np.bincount(active[active >= 0], minlength=n)
    alarms = np.bincount(silent[silent >= 0], minlength=n)
    worth = _worth(hits, alarms, len(active), len(silent))
    best = _best(worth, hits, len(active))
    yield from _together(place, worth[best], [(sheet.vocabulary.shown(w),) for w in best])


def _pairs(sheet: Sheet, place: Place, active: Ints, silent: Ints) -> Iterator[Clause]:
    pairs, hits = np.unique(active[active >= 0], return_counts=True)
    if not len(pairs):
        return
    at = np.minimum(np.searchsorted(pairs, silent), len(pairs) - 1)
    alarms = np.bincount(at[pairs[at] == silent], minlength=len(pairs))
    worth = _worth(hits, alarms, len(active), len(silent))
    best = _best(worth, hits, len(active))
    n, shown = len(sheet.vocabulary), sheet.vocabulary.shown
    words = [(shown(int(pairs[i]) // n), shown(int(pairs[i]) % n)) for i in best]
    yield from _together(place, worth[best], words)


def _earlier(sheet: Sheet, active: Ints, silent: Ints) -> Iterator[Clause]:
    """Words that stand earlier; one token has many, so each further one counts by what it adds."""
    active, silent = some_of(active), some_of(silent)
    n = len(sheet.vocabulary)
    row, word = _standing_earlier(sheet, active)
    hits = np.bincount(word, minlength=n)
    other_row, other_word = _standing_earlier(sheet, silent)
    alarms = np.bincount(other_word, minlength=n)
    best = _best(_worth(hits, alarms, len(active), len(silent)), hits, len(active))
    if not len(best):
        return
    has = _incidence(row, word, len(active), best)
    had = _incidence(other_row, other_word, len(silent), best)
    for start in range(min(2, len(best))):
        words = [(sheet.vocabulary.shown(best[start]),)]
        covered, wrongly = has[:, start], had[:, start]
        yield _clause("somewhere after", words)
        while len(words) < _MOST_TOGETHER:
            gains = shares(has | covered[:, None]) - shares(had | wrongly[:, None])
            more = int(gains.argmax())
            if gains[more] - (share(covered) - share(wrongly)) < _LEAST_GAIN:
                break
            words = [*words, (sheet.vocabulary.shown(best[more]),)]
            covered, wrongly = covered | has[:, more], wrongly | had[:, more]
            yield _clause("somewhere after", words)


def _kinds(sheet: Sheet, active: Ints, silent: Ints) -> Iterator[Clause]:
    for name, of in kinds_of(sheet.vocabulary).items():
        if of[sheet.word[active]].mean() > 0.5:
            yield Clause("kind", ((name,),))
    if (active == sheet.start[active]).mean() > 0.5:
        yield Clause("kind", ((BEGINNING,),))


def _worth(hits: Ints, alarms: Ints, n_active: int, n_silent: int) -> NDArray[np.float64]:
    return np.asarray(hits / max(1, n_active) - alarms / max(1, n_silent))


def _best(worth: NDArray[np.float64], hits: Ints, n_active: int) -> list[int]:
    """The few that are worth most; what was seen once is no rule, unless there is not more."""
    worth = np.where(hits >= min(2, n_active), worth, 0)
    best = np.argsort(-worth, kind="stable")[:_SHORT_LIST]
    return [int(i) for i in best if worth[i] > 0]


def _together(place: Place, worth: NDArray[np.float64], words: Sequence[Words]) -> Iterator[Clause]:
    """The best word, the second best, and the best with others while they add enough."""
    for i in range(min(2, len(words))):
        yield _clause(place, words[i : i + 1])
    for size in range(2, min(_MOST_TOGETHER, len(words)) + 1):
        if worth[size - 1] < _LEAST_GAIN:
            return
        yield _clause(place, words[:size])


def _clause(place: Place, words: Sequence[Words]) -> Clause:
    return Clause(place, tuple(words))


def _standing_earlier(sheet: Sheet, places: Ints) -> tuple[Ints, Ints]:
    """(row of places, word) of the words earlier in each one's window, each once."""
    sizes = places - sheet.start[places]
    ends = np.cumsum(sizes)
    row = np.repeat(np.arange(len(places)), sizes)
    at = np.arange(int(sizes.sum())) + np.repeat(sheet.start[places] - (ends - sizes), sizes)
    n = len(sheet.vocabulary)
    both = np.sort(row * n + sheet.word[at])  # quicker than np.unique
    both = both[np.diff(both, prepend=-1) > 0]
    return both // n, both % n


def _incidence(row: Ints, word: Ints, n_rows: int, words: list[int]) -> Bools:
    """bool [row, word]: which of the words a row has."""
    found = np.zeros((n_rows, len(words)), dtype=bool)
    order = np.argsort(words)
    at = np.minimum(np.searchsorted(np.array(words)[order], word), len(words) - 1)
    column = order[at]
    inside = np.array(words)[column] == word
    found[row[inside], column[inside]] = True
    return found


def some_of(places: Ints, most: int = _MOST_PLACES) -> Ints:
    if len(places) <= most:
        return places
    return np.sort(np.random.default_rng(0).choice(places, most, replace=False))


def shares(holds: Bools) -> NDArray[np.float64]:
    """Per column."""
    return np.asarray(holds.mean(0)) if len(holds) else np.zeros(holds.shape[1])


def share(holds: Bools) -> float:
    return float(holds.mean()) if len(holds) else 0.0
