"""A small classifier that learns from a few tokens in their context what they have in common.

Naive Bayes over words: for each place (the token, the one before, the one before that, the next, and
the windows of 16 words before and 8 behind, where all places count alike), how much more often than
in the text at large a word stands there around the examples,

    weight(word) = log ((n_word + A q_word) / (n + A)) - log q_word,

where n of the examples' tokens are at that place, n_word of them the word, q_word is its share of all
tokens, and A = 2 is how much the text at large counts. A token's score is the sum of the weights at
its places, for a window their mean. So each weight can be read, and nothing is fitted that
depends on chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .contexts import Sheet
from .rules import STEPS, Place
from .vocabulary import Ints

BEFORE, BEHIND = 16, 8
_A = 2.0


@dataclass(frozen=True, eq=False)
class Classifier:
    """weights: per place float [word]; before, behind: of the windows, float [word]."""

    weights: dict[Place, NDArray[np.float64]]
    before: NDArray[np.float64]
    behind: NDArray[np.float64]

    def scores(self, sheet: Sheet, places: Ints) -> NDArray[np.float64]:
        """Per token of the sheet, how much it looks like the examples."""
        found = np.zeros(len(places))
        for place, weights in self.weights.items():
            word = sheet.beside(places, STEPS[place])
            found += np.where(word >= 0, weights[word], 0)
        for weights, (start, end) in zip(
            (self.before, self.behind), _windows(sheet, places), strict=True
        ):
            sums = np.concatenate([[0.0], np.cumsum(weights[sheet.word])])
            found += (sums[end] - sums[start]) / np.maximum(end - start, 1)
        return found


def learn(sheet: Sheet, examples: Ints) -> Classifier:
    """What tokens of the sheet have in common, as against all common tokens."""
    n = len(sheet.vocabulary)
    # One more of each word: what was not seen at large is rare, and not impossible.
    counts = np.bincount(sheet.word[sheet.all_common], minlength=n) + 1.0
    share: NDArray[np.float64] = np.asarray(counts / counts.sum(), dtype=np.float64)
    weights = {
        place: _weights(sheet.beside(examples, step), share) for place, step in STEPS.items()
    }
    before, behind = (_weights(_between(sheet, *ends), share) for ends in _windows(sheet, examples))
    return Classifier(weights, before, behind)


def _weights(words: Ints, share: NDArray[np.float64]) -> NDArray[np.float64]:
    words = words[words >= 0]
    counts = np.bincount(words, minlength=len(share))
    return np.asarray(np.log((counts + _A * share) / (len(words) + _A)) - np.log(share))


def _windows(sheet: Sheet, places: Ints) -> tuple[tuple[Ints, Ints], tuple[Ints, Ints]]:
    """Where the windows before and behind begin and end."""
    end = sheet.end[sheet.window[places]]
    return (
        (np.maximum(sheet.start[places], places - BEFORE), places),
        (places + 1, np.minimum(end, places + 1 + BEHIND)),
    )


def _between(sheet: Sheet, start: Ints, end: Ints) -> Any:
    """All words of some windows."""
    sizes = end - start
    ends = np.cumsum(sizes)
    return sheet.word[np.arange(int(sizes.sum())) + np.repeat(start - (ends - sizes), sizes)]
