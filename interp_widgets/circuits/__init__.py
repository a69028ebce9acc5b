"""Circuits: which parts of a model carry an answer."""

from .comparison import Comparison, compare_runs
from .errors import CircuitError
from .metrics import KLDivergence, LogitDifference, Probability, kl, logit_difference, probability
from .parts import PANELS, Part
from .patching import CONTROLS, Controls, Heatmap, controls, heatmap, logits_of

__all__ = [
    "CONTROLS",
    "PANELS",
    "CircuitError",
    "Comparison",
    "Controls",
    "Heatmap",
    "KLDivergence",
    "LogitDifference",
    "Part",
    "Probability",
    "compare_runs",
    "controls",
    "heatmap",
    "kl",
    "logit_difference",
    "logits_of",
    "probability",
]
