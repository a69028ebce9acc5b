"""Seeing inside a language model. The only room that knows nnsight."""

from .errors import ModelError, PromptError
from .frozen import FrozenAttention, FrozenModel
from .model import Model, load
from .places import SITES, Place, Site
from .recording import Neurons, Recording
from .running import Edit, Run

__all__ = [
    "SITES",
    "Edit",
    "FrozenAttention",
    "FrozenModel",
    "Model",
    "ModelError",
    "Neurons",
    "Place",
    "PromptError",
    "Recording",
    "Run",
    "Site",
    "load",
]
