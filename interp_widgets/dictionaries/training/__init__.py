"""Training sparse dictionaries: recipes (`recipes`), what to train (`specs`), one step (`trainee`),
and the loop from text to dictionary (`train`)."""

from interp_widgets.dictionaries.training import recipes
from interp_widgets.dictionaries.training.begin import train
from interp_widgets.dictionaries.training.specs import Spec, cross_layer, sae, transcoder
from interp_widgets.dictionaries.training.store import ActivationStore, store_activations
from interp_widgets.dictionaries.training.training import Training

__all__ = [
    "ActivationStore",
    "Spec",
    "Training",
    "cross_layer",
    "recipes",
    "sae",
    "store_activations",
    "train",
    "transcoder",
]
