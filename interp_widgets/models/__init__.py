"""Seeing inside a language model. The only room that knows nnsight."""

from .errors import ModelError, PromptError
from .frozen import FrozenAttention, FrozenModel
from .model import Model, load
from .recording import Neurons, Recording

__all__ = [
    "FrozenAttention",
    "FrozenModel",
    "Model",
    "ModelError",
    "Neurons",
    "PromptError",
    "Recording",
    "load",
]
