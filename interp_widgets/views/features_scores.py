"""Suggested labels with how well they hold, as rows for the view."""

from __future__ import annotations

from typing import Any

from ..features.labelling.detection import Detection
from ..features.labelling.proposing import Proposal
from ..json_numbers import finite


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
