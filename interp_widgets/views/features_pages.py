"""The list of a features view: which units, in which order, and what a row says of each.

Without a query all units stand in the list, ordered by what the index and the labels say of them;
with one, what `features.search` finds, in its order or in the one that was chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..features.card_rows import example_row
from ..features.index import Index
from ..features.search import search
from ..json_numbers import finite
from .features_asks import Ask

Row = dict[str, Any]
Spots = NDArray[np.int64]
#: Around the trigger in a row: no list is wider.
BEFORE, BEHIND = 12, 10
#: At most so many are found by a search.
MOST_FOUND = 500


@dataclass(frozen=True, eq=False)
class Column:
    """Something of every unit: layer and number [n], and per unit density, strength and score.

    NaN where it is not known.
    """

    layer: Spots
    feature: Spots
    density: NDArray[np.float64]
    strongest: NDArray[np.float64]
    score: NDArray[np.float64]
    named: NDArray[np.bool_]


def page(index: Index, ask: Ask) -> dict[str, Any]:
    """One page of the list, for the view: the ask again, and what was found for it.

    Raises FeatureError and what a run of the model raises for a text that cannot be run.
    """
    query = {name: ask[name] for name in ("text", "mode", "sort", "layer", "rows", "seq")}
    text = ask["text"].strip()
    if text:
        rows, total = _search(index, ask, text)
    else:
        rows, total = _all(index, ask), _count(index, ask["layer"])
    capped = bool(text) and total == MOST_FOUND
    shown = {"state": "done", "message": "", "total": total, "capped": capped, "found": rows}
    return {**query, **shown}


def row(index: Index, layer: int, feature: int, why: str = "", value: float | None = None) -> Row:
    """What the list says of one unit."""
    stored = index.so_far
    found = stored.examples(layer, feature, 1, before=BEFORE, behind=BEHIND) if stored else []
    if stored and not found:  # a neuron may be active below zero only
        found = stored.examples(layer, feature, 1, sign=-1, before=BEFORE, behind=BEHIND)
    return {
        "layer": layer,
        "feature": feature,
        **_called(index, layer, feature),
        "density": finite(stored.density(layer)[feature]) if stored else None,
        "strongest": finite(stored.strongest(layer)[feature]) if stored else None,
        "example": example_row(found[0]) if found else None,
        "why": why,
        "value": finite(value),
    }


def relabelled(index: Index, shown: dict[str, Any]) -> dict[str, Any]:
    """The same page with the labels as they are now."""
    rows = [
        {**row, **_called(index, row["layer"], row["feature"])} for row in shown.get("found", [])
    ]
    return {**shown, "found": rows} if shown else shown


def _called(index: Index, layer: int, feature: int) -> Row:
    label = index.label_of(layer, feature)
    return {
        "label": None if label is None else label.text,
        "score": None if label is None else finite(label.score),
        "by": None if label is None else label.by or None,
    }


# --- all units ---------------------------------------------------------------------------------


def _all(index: Index, ask: Ask) -> list[Row]:
    column = _column(index, ask["layer"])
    order = _order(column, ask["sort"])[: ask["rows"]]
    return [row(index, int(column.layer[i]), int(column.feature[i])) for i in order.tolist()]


def _count(index: Index, layer: int | None) -> int:
    layers = index.layers if layer is None else (layer,)
    return sum(index.n_features(each) for each in layers)


def _column(index: Index, only: int | None) -> Column:
    stored = index.so_far
    layers = index.layers if only is None else (only,)
    sizes = [index.n_features(layer) for layer in layers]
    unknown = [np.full(size, np.nan) for size in sizes]
    density = [stored.density(layer) for layer in layers] if stored else unknown
    strongest = [np.asarray(stored.strongest(n), float) for n in layers] if stored else unknown
    score = [np.full(size, np.nan) for size in sizes]
    named = [np.zeros(size, dtype=np.bool_) for size in sizes]
    place = {layer: i for i, layer in enumerate(layers)}
    for (layer, feature), label in index.book.shown().items():
        if layer in place and feature < sizes[place[layer]]:
            named[place[layer]][feature] = True
            if label.words_score is not None:
                score[place[layer]][feature] = label.words_score
    return Column(
        np.repeat(np.array(layers, dtype=np.int64), sizes),
        np.concatenate([np.arange(size) for size in sizes]),
        np.concatenate(density),
        np.concatenate(strongest),
        np.concatenate(score),
        np.concatenate(named),
    )


def _order(column: Column, sort: str) -> Spots:
    """Largest first, what is not known last, ties by layer and number."""

    def falling(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(np.isnan(values), np.inf, -values)

    if sort == "number":
        return np.arange(len(column.layer))
    if sort == "density":
        return np.argsort(falling(column.density), kind="stable")
    if sort == "strength":
        return np.argsort(falling(column.strongest), kind="stable")
    # Behind labels whose words were tested come others (examples separate, whatever they are called):
    # so come labels that were not, then what is active most often.
    keys = (falling(column.density), ~column.named, falling(column.score))
    return np.asarray(np.lexsort(keys))


# --- what is looked for --------------------------------------------------------------------------


def _search(index: Index, ask: Ask, text: str) -> tuple[list[Row], int]:
    mode, sort = ask["mode"], ask["sort"]
    found = search(index, text, by=mode, n=MOST_FOUND, layer=ask["layer"])
    if sort == "number":
        found.sort(key=lambda f: (f.layer, f.feature))
    elif sort in ("score", "density", "strength"):
        found.sort(key=lambda f: -_known(index, f.layer, f.feature, sort))
    rows = []
    for each in found[: ask["rows"]]:
        # A label's score stands on every row already.
        value = None if mode == "label" else each.value
        rows.append(row(index, each.layer, each.feature, each.why, value))
    return rows, len(found)


def _known(index: Index, layer: int, feature: int, sort: str) -> float:
    if sort == "score":
        label = index.book.get(layer, feature)
        known = None if label is None else label.words_score
        return -1.0 if known is None else known
    stored = index.so_far
    if stored is None:
        return -1.0
    values = stored.density(layer) if sort == "density" else stored.strongest(layer)
    return float(values[feature])
