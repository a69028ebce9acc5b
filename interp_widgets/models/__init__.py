"""Seeing inside a language model. The only room that knows nnsight."""

from .errors import InterventionError, ModelError, PromptError
from .frozen import FrozenAttention, FrozenModel
from .intervening import Outcome
from .interventions import Intervention, Target, Vector
from .model import Model, load
from .places import SITES, Place, Site
from .recording import Neurons, Recording
from .running import Edit, Run

__all__ = [
    "SITES",
    "Edit",
    "FrozenAttention",
    "FrozenModel",
    "Intervention",
    "InterventionError",
    "Model",
    "ModelError",
    "Neurons",
    "Outcome",
    "Place",
    "PromptError",
    "Recording",
    "Run",
    "Site",
    "Target",
    "Vector",
    "load",
]
