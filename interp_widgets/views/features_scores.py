"""How well labels hold, as rows for the view: suggestions, and labels that nobody has tested yet."""

from __future__ import annotations

from typing import Any

from ..features.card_rows import finite
from ..features.index import Index
from ..features.labelling.detection import Detection, detect
from ..features.labelling.proposing import Proposal
from ..features.labelling.rules import parse


def tested(index: Index, spot: tuple[int, int], text: str) -> dict[str, Any]:
    """The score of a label on held-out text.

    A label that is a rule is tested by its words; of any other, the examples are that it was given
    for ("by" says which).

    Raises FeatureError for a unit that is active in too few texts.
    """
    by = "examples" if parse(text) is None else "rule"
    return {"by": by, **_score(detect(index, *spot, text))}


def proposal_row(proposal: Proposal) -> dict[str, Any]:
    """A suggested label with its score."""
    rule = f"counted over the index: {proposal.kind}"
    return {"text": proposal.text, "rule": rule, **_score(proposal.score)}


def _score(found: Detection) -> dict[str, Any]:
    return {
        "score": finite(found.auroc),
        "low": finite(found.low),
        "high": finite(found.high),
        "control": finite(found.control),
        "samples": found.n_active + found.n_other,
        "active": found.n_active,
    }
