"""The parts of a card as plain JSON; whatever is not a finite number is null."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..dictionaries.labels import Label
from ..json_numbers import each_finite, finite
from .values import Control, Example, Group, Histogram, TokenWeight

Row = dict[str, Any]


def example_row(example: Example) -> Row:
    """A negative position or document says that it is not known."""
    return {
        "tokens": list(example.tokens),
        "activations": each_finite(example.activations),
        "trigger": example.trigger,
        "document": example.document if example.document >= 0 else None,
        "position": example.position if example.position >= 0 else None,
    }


def group_row(group: Group) -> Row:
    return {
        "name": group.name,
        "low": finite(group.low),
        "high": finite(group.high),
        "examples": [example_row(example) for example in group.examples],
    }


def histogram_row(histogram: Histogram | None) -> Row:
    if histogram is None:
        return {"edges": [], "counts": []}
    return {
        "edges": each_finite(histogram.edges),
        "counts": [int(count) for count in histogram.counts],
    }


def label_row(label: Label | None) -> Row | None:
    if label is None:
        return None
    known = {"active": label.active, "by": label.by, "tested_on": label.tested_on}
    return {
        "text": label.text,
        "kind": label.kind,
        "source": label.source,
        "score": finite(label.score),
        "low": finite(label.low),
        "high": finite(label.high),
        "control": finite(label.control),
        "samples": label.samples,
        "date": label.date,
        **{name: value for name, value in known.items() if value},
    }


def token_rows(tokens: Iterable[TokenWeight]) -> list[Row]:
    return [{"token": each.token, "value": finite(each.value)} for each in tokens]


def control_row(control: Control | None) -> Row | None:
    if control is None:
        return None
    return {
        "value": finite(control.value),
        "low": finite(control.low),
        "high": finite(control.high),
        "draws": control.draws,
    }
