"""The test of the label that a unit has, kept with the label.

A score says how well a label holds on one text: it is kept with the name of that text, and measured
again where the index is of another. Scores that came with a dictionary, or from others, stay as they
came. Keeping one is no change of what a unit is called: there is nothing to undo in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...dictionaries.labels import Label
from ..errors import FeatureError
from .contexts import said_of
from .detection import detect

if TYPE_CHECKING:
    from ..index import Index


def is_scored(index: Index, label: Label) -> bool:
    """Whether a label has a score that holds for this index, or one that others measured."""
    stored = index.so_far
    if label.score is None:
        return False
    return not label.tested_on or stored is None or label.tested_on == said_of(stored)


def score_label(index: Index, layer: int, feature: int) -> Label:
    """The label of a unit with its score on held-out text of the index, which the book keeps.

    A label that is a rule is tested by its words; any other by the examples that it was given for
    (`Label.by` says which).

    Raises FeatureError for a unit without a label, and for one that is active in too few texts.
    """
    label = index.label_of(layer, feature)
    if label is None:
        raise FeatureError(f"L{layer}/{feature} has no label yet: give one.")
    if is_scored(index, label):
        return label
    scored = detect(index, layer, feature, label).on(label)
    index.book.keep_score(layer, feature, scored)
    return scored
