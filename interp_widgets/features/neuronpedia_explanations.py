"""Explanations as Neuronpedia keeps them, as labels: one by one, and whole exports into a book.

An export is a list of {modelId, layer: "2-name", index, description, typeName, explanationModelName},
as JSON or one per line. Neuronpedia's scores measure other things than ours does (the area under the
ROC curve against random text), so they are not put in its place: they stand in the label's source.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..dictionaries.labels import Label, one_line
from .errors import FeatureError
from .neuronpedia_fields import At, an_object, first, number, objects, text, whole

if TYPE_CHECKING:
    from .index import Index

#: What we call our own score in `scores`.
OUR_SCORE = "interp_widgets_auroc"
_MOST_SAMPLES = 10**9


@dataclass(frozen=True)
class Imported:
    """What became of an export.

    features: which got a label; kept: how many have a label of the user's, which stayed; others:
    further explanations of a feature that has one; empty: without text; absent: of features that
    the dictionary does not have.
    """

    features: frozenset[tuple[int, int]]
    kept: int
    others: int
    empty: int
    absent: int

    def __str__(self) -> str:
        said = f"{len(self.features):,} features were labelled"
        left = [
            (self.kept, "have a label of yours, which stayed"),
            (self.others, "further explanations of the same features were left out"),
            (self.empty, "explanations have no text"),
            (self.absent, "are of features that this dictionary does not have"),
        ]
        return "; ".join([said, *(f"{n:,} {what}" for n, what in left if n)]) + "."


def import_labels(
    index: Index,
    source: str | Path | Iterable[Mapping[str, Any]],
    *,
    layer: int | None = None,
    over: bool = False,
) -> Imported:
    """Label features from an export of explanations; of several for one feature the first counts.

    Args:
        source: a file (a list, lines of JSON, feature files; .gz, too), a folder of them, or rows.
        layer: where rows do not say theirs.
        over: also where the user has given a label; without it those stay.

    Nothing is labelled unless every row can be read. Raises FeatureError naming the row that cannot,
    or where not one explanation fits the dictionary.
    """
    name = source if isinstance(source, str | Path) else "the explanations"
    found: dict[tuple[int, int], Label] = {}
    others = empty = absent = 0
    seen: set[int] = set()
    for key, labels in _rows(source, layer):
        seen.add(key[0])
        if key[0] not in index.layers or key[1] >= index.n_features(key[0]):
            absent += len(labels)
        elif not labels:
            empty += 1
        else:
            others += len(labels) - (key not in found)
            found.setdefault(key, labels[0])
    if not found:
        listed = ", ".join(map(str, sorted(seen)[:8])) or "none"
        raise FeatureError(
            f"{name} has no explanation of a feature of {index.units.scan} (its layers: {listed}; "
            f"ours: {', '.join(map(str, index.layers))}): give the export of this dictionary."
        )
    taken = index.book.merge(found, over=over, source="Neuronpedia")
    return Imported(taken, len(found) - len(taken), others, empty, absent)


def _rows(
    source: str | Path | Iterable[Mapping[str, Any]], layer: int | None
) -> Iterator[tuple[tuple[int, int], tuple[Label, ...]]]:
    from .neuronpedia_reading import OURS, all_documents, layer_of

    if isinstance(source, str | Path):
        documents = all_documents(Path(source).expanduser())
    else:
        start = At("the explanations")
        documents = ((start[i], an_object(row, start[i]), {}) for i, row in enumerate(source))
    for at, row, header in documents:
        key, index = first(row, "index", "feature_index")
        feature = whole(index, at[key])
        where = layer_of(row, header) if layer is None else layer
        if where is None:
            raise at["layer"].error('is missing: give layer=..., or rows with "layer": "2-name"')
        if "description" in row:
            labels = labels_of([row], at)
        elif "explanations" in row or isinstance(row.get(OURS), dict):
            ours = row.get(OURS)
            own = our_label(ours if isinstance(ours, dict) else {}, at)
            labels = labels_of(row.get("explanations"), at["explanations"], own)
        else:
            raise at.error('has neither a "description" nor "explanations": give explanations')
        yield (where, feature), labels


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
    score, control, low, high = (_share(row.get(n)) for n in ("score", "control", "low", "high"))
    samples, date = number(row.get("samples")), text(row.get("date"))
    said = " ".join(
        filter(None, (one_line(text(row.get("kind"))), one_line(text(row.get("source")))))
    )
    return Label(
        line,
        score=score,
        control=control,
        samples=int(samples) if 0 <= samples <= _MOST_SAMPLES else 0,
        source=one_line(f"{at.file}: {said}" if said else at.file),
        kind="imported",
        low=low,
        high=high,
        date=date if re.fullmatch(r"\d{4}-\d\d-\d\d", date, re.ASCII) else "",
    )


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


def _share(value: Any) -> float | None:
    return number(value) if 0 <= number(value) <= 1 else None
