"""How well a label separates text on which its unit is active from other text, with no service.

After the detection score of Paulo et al. 2024 (https://arxiv.org/abs/2410.13928), which asks a
language model whether a text activates the unit; here a detector answers, that can be read. It judges
tokens in their context (separating.py says why), on held-out text, and its score is the area under
the ROC curve. There are three detectors:

rule       The label is a rule (rules.py), which holds on a token or does not. This is how well the
           words of the label say where the unit is active.
examples   Any other label: a naive Bayes classifier made from the examples that are shown with the
           unit (classifier.py). This is how consistent the thing is that the label was given for. It
           does not read the label, so it cannot say whether the words are right.
words      The text around the token has the words of the label. For labels that name what can be
           read, such as "texas"; a label of what a unit does ("plural nouns") fails here.

Beside each stands the same for the labels of random other units of the layer (for words: the words of
other labels, where there are any), which should be near one half.
"""

from __future__ import annotations

import re
import threading
import weakref
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ...dictionaries.labels import Label
from ..errors import FeatureError
from ..stored import StoredIndex
from .activity import Activity, activity
from .classifier import BEFORE, BEHIND, Classifier, learn
from .contexts import AnyIndex, labels_of, stored_of, text_of
from .proposing import control_rules, score_rule
from .rules import parse
from .separating import Detection, detection
from .vocabulary import Ints

__all__ = ["Detection", "detect"]

Detector = Literal["rule", "examples", "words"]
_CONTROLS = 20
_TOP, _GROUPS, _EACH = 20, 5, 5  # the examples that a feature's card shows
_LEAST_LEFT = 5
# Words that say nothing about a text by themselves.
_LISTED = """a an and are as at be by for from has in is it its of on or s say says somewhere that the
their then this to two was were when where which with after before behind word words token tokens
text texts"""
_SMALL = frozenset(_LISTED.split())


def detect(
    index: AnyIndex,
    layer: int,
    feature: int,
    label: Label | str | None = None,
    *,
    by: Detector | None = None,
    sign: int = 1,
) -> Detection:
    """How well a label separates held-out tokens on which a unit is active from others.

    Args:
        label: None: a label that is not thought of yet, judged by the examples.
        by: the detector. None: "rule" for a label that is one, else "examples", which judges what
            the label was given for and not its words.
        sign: −1 for where the values of a neuron or direction are below 0.

    Raises FeatureError for a unit that is active in too few texts, and where a label is no rule or
    has no words that `by` could use.
    """
    text = "" if label is None else text_of(label)
    rule = parse(text)
    by = by or ("examples" if rule is None else "rule")
    found = activity(index, layer, feature, sign)
    if by == "rule":
        if rule is None:
            raise FeatureError(
                f"{text!r} is not a rule, such as “las” or somewhere after “texas”: judge it by its "
                "examples."
            )
        trial = found.checked(found.held_out())
        return score_rule(rule, trial, control_rules(index, layer, feature, sign))
    if by == "words":
        return _by_words(index, layer, feature, text, found)
    if by == "examples":
        return _by_examples(index, layer, feature, found, sign)
    raise FeatureError(f'{by!r} is no detector: "rule", "examples" or "words".')


def _by_examples(
    index: AnyIndex, layer: int, feature: int, found: Activity, sign: int
) -> Detection:
    stored = stored_of(index)
    examples = _examples(found)
    classifier = learn(found.sheet, examples)
    trial = found.checked(found.beside(examples))
    return detection(
        classifier.scores(trial.sheet, trial.places),
        (
            other.scores(trial.sheet, trial.places)
            for other in _control_classifiers(stored, layer, feature, sign)
        ),
        trial,
        "examples",
        f"a classifier made from {len(examples)} examples, not from the label's words",
    )


def _examples(found: Activity) -> Ints:
    """Places of the examples that are shown with a unit: the strongest, one a text, and some of all
    strengths. Where that would leave too few texts to judge on, every second of them."""
    order = np.argsort(-found.strength, kind="stable")
    ranked = found.places[order]
    text = found.sheet.text[found.sheet.window[ranked]]
    _, first = np.unique(text, return_index=True)
    strongest = ranked[np.sort(first)[:_TOP]]
    even = np.linspace(0, len(ranked) - 1, min(_GROUPS * _EACH, len(ranked))).round()
    examples = np.unique(np.concatenate([strongest, ranked[even.astype(np.int64)]]))
    used = found.sheet.text[found.sheet.window[examples]]
    if len(np.setdiff1d(text, used)) < _LEAST_LEFT:
        kept = np.unique(used)[::2]
        examples = examples[np.isin(used, kept)]
    return examples


def _control_classifiers(
    stored: StoredIndex, layer: int, feature: int, sign: int
) -> list[Classifier]:
    with _LOCK:
        kept = _CLASSIFIERS.setdefault(stored, {})
        pool = kept.get((layer, sign))
        if pool is None:
            pool = kept[layer, sign] = {}
            alive = np.flatnonzero(stored.counts(layer) >= 2)
            for other in np.random.default_rng((1, layer)).permutation(alive).tolist():
                try:
                    found = activity(stored, layer, other, sign)
                except FeatureError:  # not active with this sign
                    continue
                pool[other] = learn(found.sheet, _examples(found))
                if len(pool) > _CONTROLS:
                    break
    return [each for other, each in pool.items() if other != feature][:_CONTROLS]


def _by_words(index: AnyIndex, layer: int, feature: int, text: str, found: Activity) -> Detection:
    words = _telling(text)
    if not words:
        raise FeatureError(f"The label {text!r} has no word to look for in a text.")
    trial = found.checked(found.held_out())
    stored = stored_of(index)
    around = [
        _words(trial.sheet.text_around(stored, place, BEFORE, BEHIND))
        for place in trial.places.tolist()
    ]
    others = [
        telling
        for key, label in sorted(labels_of(index).items())
        if key != (layer, feature) and key[0] == layer and (telling := _telling(label.text))
    ]
    if len(others) > _CONTROLS:
        chosen = np.random.default_rng((2, layer)).choice(len(others), _CONTROLS, replace=False)
        others = [others[i] for i in chosen]
    return detection(
        _having(words, around),
        (_having(other, around) for other in others),
        trial,
        "words",
        f"the text has {' or '.join(sorted(words))}",
    )


def _having(words: frozenset[str], around: list[frozenset[str]]) -> NDArray[np.float64]:
    """Which share of the words stands around each token."""
    return np.array([len(words & each) / len(words) for each in around])


def _telling(text: str) -> frozenset[str]:
    return _words(text) - _SMALL


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text.casefold()))


_LOCK = threading.Lock()
_CLASSIFIERS: weakref.WeakKeyDictionary[StoredIndex, dict[tuple[int, int], dict[int, Classifier]]]
_CLASSIFIERS = weakref.WeakKeyDictionary()
