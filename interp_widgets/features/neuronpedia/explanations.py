"""Explanations as Neuronpedia keeps them, as labels.

Neuronpedia's scores measure other things than ours does (the area under the ROC curve against random
text), so they are not put in its place: they stand in the label's source.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from ...dictionaries.labels import DETECTORS, Label, one_line
from .fields import At, first, number, objects, share, text

#: What we call our own score in `scores`.
OUR_SCORE = "interp_widgets_auroc"
_MOST_SAMPLES = 10**9


def labels_of(rows: Any, at: At, own: Label | None = None) -> tuple[Label, ...]:
    """Labels of a document's explanations, in their order; those without text are left out.

    own: what we wrote of the first ourselves, which says more than the explanation.
    """
    found = []
    for row in [] if rows is None else objects(rows, at):
        line = one_line(text(first(row, "description", "text")[1]))
        if line:
            found.append(Label(line, source=_source(row), kind="imported"))
    if own is None:
        return tuple(found)
    return (own, *(label for label in found if label.text != own.text))


def our_label(ours: Mapping[str, Any], at: At) -> Label | None:
    """The label that we wrote beside the explanations, as one that is imported."""
    row = ours.get("label")
    if not isinstance(row, dict) or not (line := one_line(text(row.get("text")))):
        return None
    score, control, low, high = (share(row.get(n)) for n in ("score", "control", "low", "high"))
    date, by = text(row.get("date")), text(row.get("by"))
    said = " ".join(
        filter(None, (one_line(text(row.get("kind"))), one_line(text(row.get("source")))))
    )
    return Label(
        line,
        score=score,
        control=control,
        samples=_times(row.get("samples")),
        source=one_line(f"{at.file}: {said}" if said else at.file),
        kind="imported",
        low=low,
        high=high,
        date=date if re.fullmatch(r"\d{4}-\d\d-\d\d", date, re.ASCII) else "",
        by=next((known for known in DETECTORS if known == by), ""),
        active=_times(row.get("active")),
        tested_on=one_line(text(row.get("tested_on"))),
    )


def _times(value: Any) -> int:
    times = number(value)
    return int(times) if 0 <= times <= _MOST_SAMPLES else 0


def _source(row: dict[str, Any]) -> str:
    """Neuronpedia, by which method, model and person, and what score it got there."""
    who = [row.get("authorName")]
    for name in ("triggeredByUser", "author"):
        person = row.get(name)
        who.append(person.get("name") if isinstance(person, dict) else None)
    author = next((text(name) for name in who if text(name)), "")
    said = [
        "Neuronpedia",
        text(first(row, "typeName", "methodName")[1]),
        text(first(row, "explanationModelName", "modelName")[1]),
        f"by {author}" if author else "",
    ]
    scores = row.get("scores")
    for score in scores if isinstance(scores, list) else []:
        value = number(score.get("value")) if isinstance(score, dict) else math.nan
        if not math.isnan(value):
            model = text(score.get("explanationScoreModelName"))
            name = text(score.get("explanationScoreTypeName")) or "score"
            said.append(f"{name} {value:.2f}" + (f" ({model})" if model else ""))
    return one_line(", ".join(filter(None, said)))
