"""Which share of the features a short label tells, measured on text that the label was not found on.

For every feature that is active often enough, a rule such as “somewhere after “texas”” is counted on
one half of an index (features/labelling/proposing.py) and scored on the other half, by the area under the ROC
curve of: does the rule hold on a token, is the feature active on it. Beside it the rules of random
other features of the layer, on the same tokens. The rule that was best on the first half is
scored, and not the best of several on the second.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from ...features.building import build
from ...features.labelling.activity import activity
from ...features.labelling.proposing import control_rules, rules
from ...features.labelling.separating import auroc
from ...features.stored import StoredIndex
from . import indexing
from .corpus import CONTEXT, documents
from .gates import Gate

GROUP = "Features told by a label that was counted"
GOOD, LEAST = 0.9, 20
DOCUMENTS, _SEED = 5000, 303


def gates(folder: Path, say: Callable[[str], object] = lambda line: None) -> list[Gate]:
    """The shares of features, layer by layer and of all, with their controls."""
    model, units = indexing.units_in(folder)
    texts = [str(document) for document in islice(documents(_SEED), DOCUMENTS)]
    with tempfile.TemporaryDirectory() as name:
        stored = build(model, units, texts, Path(name) / "index", context=CONTEXT)
        say(f"{stored.n_tokens:,} tokens")
        measured = []
        for layer in stored.layers:
            often = np.flatnonzero(stored.counts(layer) >= LEAST).tolist()
            measured.append(np.array(list(separated(stored, layer, often))))
            say(f"layer {layer}: {np.median(measured[-1][:, 0]):.3f} is the median area")
    found: list[Gate] = []
    together = np.concatenate(measured)
    for what, rows in (
        *((f"layer {layer}", rows) for layer, rows in zip(stored.layers, measured, strict=True)),
        ("all layers", together),
    ):
        good = float((rows[:, 0] >= GOOD).mean())
        found.append(Gate(GROUP, f"{what}: area {GOOD} or more", good, len(rows)))
        chance = float(rows[:, 1].mean())
        found.append(Gate(GROUP, f"{what}: rules of random other features", chance, len(rows)))
    return found


def separated(
    stored: StoredIndex, layer: int, features: Iterable[int]
) -> Iterator[tuple[float, float]]:
    """Per feature of a layer: the area of its best rule, and the share of random other features'
    rules that reach .9 on its tokens.

    Where it is active in one text alone, or no rule is found, the area is 0.5.
    """
    for feature in features:
        found = activity(stored, layer, feature)
        trial = found.held_out()
        if not trial.n_active or not trial.n_other:
            yield 0.5, 0.0
            continue
        own = [rule.holds(trial.sheet, trial.places) for rule in rules(found)[:1]]
        others = [
            auroc(rule.holds(trial.sheet, trial.places), trial.active) >= GOOD
            for rule in control_rules(stored, layer, feature)
        ]
        yield auroc(own[0], trial.active) if own else 0.5, float(np.mean(others))
