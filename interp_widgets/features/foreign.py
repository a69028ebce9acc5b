"""A feature out of somebody else's file: what it says, to be read and shown, with no index behind.

Nothing in it was measured here, and whatever the file does not say (controls, mostly) is absent: NaN
among numbers, -1 for a place in a corpus, None for a layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..dictionaries.labels import Label
from ..json_numbers import finite
from .card_rows import (
    control_row,
    example_row,
    group_row,
    histogram_row,
    label_row,
    token_rows,
)
from .values import Control, Example, Group, Histogram, TokenWeight


@dataclass(frozen=True, eq=False)
class ForeignFeature:
    """What a feature file says of one feature.

    Attributes:
        layer, feature: as the file counts them; layer is None where it does not say.
        scan, model: names of dictionary and model, "" if not said.
        origin: the file's name and form, for people.
        examples: the strongest first; negative: of the most negative values.
        groups: by strength; low and high are NaN where the file does not say them.
        density: share of tokens on which it is active; strongest: its largest activation.
        histogram: of the activations; None if there is none.
        positive, negative_logits: tokens that it promotes and suppresses; values may be NaN.
        control: the largest logit of random directions, where we wrote the file.
        labels: its explanations, the file's first one first.
        unit: "feature", "neuron" or "direction"; tokens: how many were looked at, if known.
        notes: what was decided on reading, as sentences.
    """

    feature: int
    layer: int | None
    scan: str
    model: str
    origin: str
    examples: tuple[Example, ...] = ()
    negative: tuple[Example, ...] = ()
    groups: tuple[Group, ...] = ()
    density: float | None = None
    strongest: float | None = None
    histogram: Histogram | None = None
    positive: tuple[TokenWeight, ...] = ()
    negative_logits: tuple[TokenWeight, ...] = ()
    control: Control | None = None
    labels: tuple[Label, ...] = ()
    notes: tuple[str, ...] = ()
    unit: str = "feature"
    tokens: int | None = None

    @property
    def name(self) -> str:
        """L2/117, or feature 117 where the layer is not known."""
        return f"feature {self.feature}" if self.layer is None else f"L{self.layer}/{self.feature}"

    @property
    def label(self) -> Label | None:
        """The first of its explanations."""
        return self.labels[0] if self.labels else None

    def card(self, here: float | None = None) -> dict[str, Any]:
        """The same JSON as a card of an index (card.py); what the file does not say is null."""
        promoted = bool(self.positive or self.negative_logits)
        return {
            "unit": self.unit,
            "name": self.name,
            "layer": self.layer,
            "feature": self.feature,
            "scan": self.scan,
            "model": self.model,
            "tokens": self.tokens,
            "documents": None,
            "complete": True,
            "indexed": True,
            "label": label_row(self.label),
            "density": {"value": finite(self.density), "count": None, "edges": [], "counts": []},
            "activations": {
                **histogram_row(self.histogram),
                "max": finite(self.strongest),
                "here": finite(here),
                "percentile": None,
            },
            "examples": [example_row(example) for example in self.examples],
            "negative": [example_row(example) for example in self.negative],
            "groups": [group_row(group) for group in self.groups],
            "logits": {
                "positive": token_rows(self.positive),
                "negative": token_rows(self.negative_logits),
                "control": control_row(self.control),
            }
            if promoted
            else None,
            "similar": None,
            "upstream": None,
            "downstream": None,
            "virtual_control": None,
            "effect": None,
            "notes": [
                f"Read from {self.origin}; nothing was measured again.",
                *(
                    ["The file says nothing of what chance alone would give."]
                    if self.control is None
                    else []
                ),
                *self.notes,
            ],
        }

    def save_html(self, path: str | Path) -> Path:
        """One page that shows it, with no kernel and no network."""
        from ..views.feature_page import save_page

        return save_page([self.card()], path, title=self.name)

    def _repr_html_(self) -> str:
        from ..views.feature_page import feature_frame

        return feature_frame([self.card()], self.name)

    def __repr__(self) -> str:
        named = f", {self.label.text!r}" if self.label else ""
        n = len(self.examples)
        examples = "1 example" if n == 1 else f"{n} examples"
        return f"ForeignFeature({self.name}{named}, {examples}, {self.origin})"
