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
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...dictionaries.labels import LONGEST, Label
from ..errors import FeatureError, count
from ..stored import StoredIndex
from .activity import Activity, activity
from .contexts import AnyIndex, stored_of
from .counting import clauses, share, some_of
from .rules import Clause, Rule
from .separating import Detection, Trial, detection
from .vocabulary import Ints

MOST = 5
_PER_WORD = 0.01  # a shorter rule wins over one that is so little better
_MOST_COUNTED = 40_000  # silent tokens that words are counted on
_MOST_SILENT = 6000  # and that rules are compared on
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
    index: AnyIndex, layer: int, feature: int, *, n: int = MOST, sign: int = 1
) -> list[Proposal]:
    """The rules that say best where a unit is active, best first; each one's text is a label.

    Args:
        sign: −1 for where the values of a neuron or direction are below 0.

    Raises FeatureError for a unit that is active in fewer than two texts, or on every token.
    """
    n = count("n", n, 0)
    found = activity(index, layer, feature, sign)
    trial = found.checked(found.held_out())
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
        "rule",
        f"the rule {rule}",
    )


def rules(found: Activity) -> list[Rule]:
    """Rules for a unit from the first half of the text, best first."""
    sheet = found.sheet
    active, silent = found.first_half()
    silent = some_of(silent, _MOST_COUNTED)
    if not len(active):
        return []
    single = [Rule((clause,)) for clause in clauses(sheet, active, silent)]
    ranked = _ranked(single, found, active, silent)
    more = [
        Rule((*rule.clauses, second))
        for rule in ranked[:_REFINED]
        for second in _refinements(rule, found, active, silent)
    ]
    return _ranked([*ranked, *more], found, active, silent)


def control_rules(index: AnyIndex, layer: int, feature: int, sign: int = 1) -> list[Rule]:
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


def _refinements(rule: Rule, found: Activity, active: Ints, silent: Ints) -> Iterator[Clause]:
    """Second conditions, where a rule holds on silent tokens, too."""
    sheet = found.sheet
    inside = active[rule.holds(sheet, active)]
    outside = silent[rule.holds(sheet, silent)]
    if len(inside) < 2 or len(outside) < 5:
        return
    taken = {clause.place for clause in rule.clauses}
    single = [
        Rule((clause,)) for clause in clauses(sheet, inside, outside) if clause.place not in taken
    ]
    for second in _ranked(single, found, inside, outside)[:2]:
        yield second.clauses[0]


# --- what they are worth -----------------------------------------------------------------------


def _ranked(some: list[Rule], found: Activity, active: Ints, silent: Ints) -> list[Rule]:
    """Best first; of rules that hold on the same tokens, the simplest."""
    silent = some_of(silent, _MOST_SILENT)
    places = np.concatenate([active, silent])
    seen: dict[bytes, tuple[float, Rule]] = {}
    for rule in some:
        if len(str(rule)) > LONGEST:
            continue
        holds = rule.holds(found.sheet, places)
        hits, alarms = share(holds[: len(active)]), share(holds[len(active) :])
        size = sum(len(words) for clause in rule.clauses for words in clause.words)
        value = _worth_of(hits - alarms, found.precision(hits, alarms), hits) - _PER_WORD * size
        mark = np.packbits(holds).tobytes()
        if mark not in seen or value > seen[mark][0]:
            seen[mark] = value, rule
    ranked = sorted(seen.values(), key=lambda pair: (-pair[0], str(pair[1])))
    return [rule for value, rule in ranked if value > 0]


def _precision(rule: Rule, found: Activity, active: Ints, silent: Ints) -> tuple[float, float]:
    """Precision and recall on some active and silent tokens."""
    hits, alarms = (share(rule.holds(found.sheet, places)) for places in (active, silent))
    return found.precision(hits, alarms), hits


def _worth_of(j: float, precision: float, recall: float) -> float:
    both = precision + recall
    return (j + (2 * precision * recall / both if both else 0.0)) / 2


_LOCK = threading.Lock()
_CONTROL_RULES: weakref.WeakKeyDictionary[StoredIndex, dict[tuple[int, int], dict[int, Rule]]]
_CONTROL_RULES = weakref.WeakKeyDictionary()
