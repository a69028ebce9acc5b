"""Labels proposed by counting, with no outside service: the rules that say best where a unit fires.

1. On one half of the text, count which words stand at, before, behind and earlier than the tokens on
   which the unit is active, and how often they stand there elsewhere.
2. A rule is worth half of J + F1. J (Youden's) is the share of active tokens on which it holds, less
   the share of others; the area under its ROC curve is (1 + J) / 2. F1 is low for a rule that holds
   on many more tokens than the unit is active on: "part of a word" may tell the tokens of one name
   from nearly all others, but is no name for them. Words that are worth most make a rule, up to four
   of one kind ("a or b").
3. Where a rule also holds on other tokens, a second condition is counted in the same way among the
   tokens on which it holds.
4. The best few are scored on the other half (separating.py), beside rules proposed for random other
   units of the layer: that is what any rule gets by chance.

They are shown in the order of what they are worth on the second half, so the first one is the best
of five there, and its score a little flattered; that of one rule (`detection.detect`) is not.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..dictionaries.labels import LONGEST, Label
from .activity import Activity, activity
from .contexts import Ints, Sheet, stored_of
from .errors import FeatureError
from .rules import BEGINNING, STEPS, Bools, Clause, Place, Rule, Words, kinds_of
from .separating import Detection, Trial, detection
from .stored import StoredIndex

MOST = 5
_MOST_TOGETHER = 4
_LEAST_GAIN = 0.04  # of J, for one word more
_PER_WORD = 0.01  # a shorter rule wins over one that is so little better
_MOST_PLACES = 1500  # looked at for words that stand earlier
_SHORT_LIST = 12
_REFINED = 4
_CONTROLS = 20


@dataclass(frozen=True)
class Proposal:
    """A label with how well it holds on held-out text.

    kind: of rule: the place its words stand at ("token", "after", ..., "combined"). precision: of
    the held-out tokens on which the rule holds, the share on which the unit is active; recall: of
    the held-out active tokens, the share on which the rule holds.
    """

    text: str
    kind: str
    score: Detection
    precision: float
    recall: float

    @property
    def worth(self) -> float:
        """Half of J + F1."""
        return _worth_of(2 * self.score.auroc - 1, self.precision, self.recall)

    @property
    def label(self) -> Label:
        """To be put into the book."""
        return self.score.on(Label(self.text, source="counted over the index", kind="proposed"))


def propose(
    index: Any, layer: int, feature: int, *, n: int = MOST, sign: int = 1
) -> list[Proposal]:
    """The rules that say best where a unit is active, best first; each one's text is a label.

    Args:
        index: an Index or StoredIndex.
        sign: −1 for where the values of a neuron or direction are below 0.

    Raises FeatureError for a unit that is active in fewer than two texts.
    """
    found = activity(index, layer, feature, sign)
    trial = found.held_out()
    if not trial.n_active or not trial.n_other:
        raise FeatureError(
            f"{found.name} is active in one text of the index only: there is nothing to check a "
            "label on. Index more text, or name it by hand."
        )
    controls = control_rules(index, layer, feature, sign)
    proposals = []
    for rule in rules(found)[:n]:
        score = score_rule(rule, trial, controls)
        held_out = trial.places[trial.active], trial.places[~trial.active]
        precision, recall = _precision(rule, found, *held_out)
        kind = rule.clauses[0].place or "token" if len(rule.clauses) == 1 else "combined"
        proposals.append(Proposal(str(rule), kind, score, precision, recall))
    return sorted(proposals, key=lambda p: -p.worth)


def score_rule(rule: Rule, trial: Trial, controls: list[Rule]) -> Detection:
    """How well a rule tells a trial's tokens apart, beside rules of other units."""
    return detection(
        rule.holds(trial.sheet, trial.places),
        (other.holds(trial.sheet, trial.places) for other in controls),
        trial,
        f"the rule {rule}",
    )


def rules(found: Activity) -> list[Rule]:
    """Rules for a unit from the first half of the text, best first."""
    sheet = found.sheet
    active, silent = found.first_half()
    if not len(active):
        return []
    single = [Rule((clause,)) for clause in _clauses(sheet, active, silent)]
    ranked = _ranked(single, found, active, silent)
    more = [
        Rule((*rule.clauses, second))
        for rule in ranked[:_REFINED]
        for second in _refinements(rule, found, active, silent)
    ]
    return _ranked([*ranked, *more], found, active, silent)


def control_rules(index: Any, layer: int, feature: int, sign: int = 1) -> list[Rule]:
    """The best rules of random other units of the layer."""
    stored = stored_of(index)
    with _LOCK:
        kept = _CONTROL_RULES.setdefault(stored, {})
        pool = kept.get((layer, sign))
        if pool is None:
            pool = kept[layer, sign] = dict(_pool(stored, layer, sign))
    return [rule for other, rule in pool.items() if other != feature][:_CONTROLS]


def _pool(stored: StoredIndex, layer: int, sign: int) -> Iterator[tuple[int, Rule]]:
    alive = np.flatnonzero(stored.counts(layer) >= 2)
    order = np.random.default_rng((0, layer)).permutation(alive)
    taken = 0
    for other in order[: 4 * _CONTROLS].tolist():
        try:
            found = rules(activity(stored, layer, other, sign))
        except FeatureError:  # not active with this sign
            continue
        if found:
            yield other, found[0]
            taken += 1
        if taken > _CONTROLS:
            return


# --- counting ----------------------------------------------------------------------------------


def _clauses(sheet: Sheet, active: Ints, silent: Ints) -> Iterator[Clause]:
    """Conditions that hold on active tokens more often than on silent ones, best of each kind."""
    for place, step in STEPS.items():
        one = sheet.beside(active, step), sheet.beside(silent, step)
        yield from _words(sheet, place, *one)
        if place != "two after":
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
    active, silent = _some(active), _some(silent)
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
            gains = _shares(has | covered[:, None]) - _shares(had | wrongly[:, None])
            more = int(gains.argmax())
            if gains[more] - (_share(covered) - _share(wrongly)) < _LEAST_GAIN:
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


def _refinements(rule: Rule, found: Activity, active: Ints, silent: Ints) -> Iterator[Clause]:
    """Second conditions, where a rule holds on silent tokens, too."""
    sheet = found.sheet
    inside = active[rule.holds(sheet, active)]
    outside = silent[rule.holds(sheet, silent)]
    if len(inside) < 2 or len(outside) < 5:
        return
    taken = {clause.place for clause in rule.clauses}
    single = [
        Rule((clause,)) for clause in _clauses(sheet, inside, outside) if clause.place not in taken
    ]
    for second in _ranked(single, found, inside, outside)[:2]:
        yield second.clauses[0]


# --- what they are worth -----------------------------------------------------------------------


def _ranked(some: list[Rule], found: Activity, active: Ints, silent: Ints) -> list[Rule]:
    """Best first; of rules that hold on the same tokens, the simplest."""
    silent = _some(silent, 4 * _MOST_PLACES)
    places = np.concatenate([active, silent])
    seen: dict[bytes, tuple[float, Rule]] = {}
    for rule in some:
        if len(str(rule)) > LONGEST:
            continue
        holds = rule.holds(found.sheet, places)
        hits, alarms = _share(holds[: len(active)]), _share(holds[len(active) :])
        size = sum(len(words) for clause in rule.clauses for words in clause.words)
        value = _worth_of(hits - alarms, found.precision(hits, alarms), hits) - _PER_WORD * size
        mark = np.packbits(holds).tobytes()
        if mark not in seen or value > seen[mark][0]:
            seen[mark] = value, rule
    ranked = sorted(seen.values(), key=lambda pair: (-pair[0], str(pair[1])))
    return [rule for value, rule in ranked if value > 0]


def _precision(rule: Rule, found: Activity, active: Ints, silent: Ints) -> tuple[float, float]:
    """Precision and recall on some active and silent tokens."""
    hits, alarms = (_share(rule.holds(found.sheet, places)) for places in (active, silent))
    return found.precision(hits, alarms), hits


def _worth_of(j: float, precision: float, recall: float) -> float:
    both = precision + recall
    return (j + (2 * precision * recall / both if both else 0.0)) / 2


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
    both = np.unique(row * n + sheet.word[at])
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


def _some(places: Ints, most: int = _MOST_PLACES) -> Ints:
    if len(places) <= most:
        return places
    return np.sort(np.random.default_rng(0).choice(places, most, replace=False))


def _shares(holds: Bools) -> NDArray[np.float64]:
    """Per column."""
    return np.asarray(holds.mean(0)) if len(holds) else np.zeros(holds.shape[1])


def _share(holds: Bools) -> float:
    return float(holds.mean()) if len(holds) else 0.0


_LOCK = threading.Lock()
_CONTROL_RULES: weakref.WeakKeyDictionary[StoredIndex, dict[tuple[int, int], dict[int, Rule]]]
_CONTROL_RULES = weakref.WeakKeyDictionary()
