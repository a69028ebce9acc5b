"""Whole exports of explanations, into a book of labels.

An export is a list of {modelId, layer: "2-name", index, description, typeName, explanationModelName},
as JSON or one per line; feature files that hold explanations do as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...dictionaries.labels import Label
from ..errors import FeatureError
from .explanations import labels_of, our_label
from .fields import At, an_object, first, ours_of, shown, whole
from .forms import layer_of
from .reading import all_documents

if TYPE_CHECKING:
    from ..index import Index


@dataclass(frozen=True, repr=False)
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

    def __repr__(self) -> str:
        n = len(self.features)
        said = "1 feature was labelled" if n == 1 else f"{n:,} features were labelled"
        left = [
            ("with a label of yours, which stayed", self.kept),
            ("further explanations of the same features left out", self.others),
            ("explanations without text", self.empty),
            ("explanations of features that this dictionary does not have", self.absent),
        ]
        return "; ".join([said, *(f"{what}: {n:,}" for what, n in left if n)]) + "."


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
        whose = f"{source} has" if isinstance(source, str | Path) else "The rows have"
        if empty and not absent:
            raise FeatureError(f"{whose} {empty:,} explanations, and none of them has a text.")
        listed = ", ".join(map(str, sorted(seen)[:8])) or "none"
        raise FeatureError(
            f"{whose} no explanation of a feature of {index.units.scan} (their layers: {listed}; "
            f"ours: {', '.join(map(str, index.layers))}): give the export of this dictionary."
        )
    taken = index.book.merge(found, over=over, source="Neuronpedia")
    return Imported(taken, len(found) - len(taken), others, empty, absent)


def _rows(
    source: str | Path | Iterable[Mapping[str, Any]], layer: int | None
) -> Iterator[tuple[tuple[int, int], tuple[Label, ...]]]:
    if isinstance(source, str | Path):
        documents = all_documents(Path(source).expanduser())
    elif isinstance(source, Mapping) or not isinstance(source, Iterable):
        raise FeatureError(
            f"Explanations are a file, a folder or a list of rows, not {type(source).__name__}."
        )
    else:
        start = At("the explanations")
        documents = ((start[i], an_object(row, start[i]), {}) for i, row in enumerate(source))
    for at, row, header in documents:
        key, index = first(row, "index", "feature_index")
        feature = whole(index, at[key])
        where = layer_of(row, header) if layer is None else layer
        if where is None:
            said = shown(row.get("layer"))
            raise at["layer"].error(f'is {said}: give layer=..., or rows with "layer": "2-name"')
        if "description" in row:
            labels = labels_of([row], at)
        elif "explanations" in row or ours_of(row):
            own = our_label(ours_of(row), at)
            labels = labels_of(row.get("explanations"), at["explanations"], own)
        else:
            raise at.error('has neither a "description" nor "explanations": give explanations')
        yield (where, feature), labels
