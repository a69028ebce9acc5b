"""interp_widgets: see, click, change and check circuits inside language models, in Jupyter.

import interp_widgets as iw

model = iw.load("smollm2")
graph = iw.attribute(model, "The Eiffel Tower is located in the city of")
graph
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .attribution import Graph as Graph
    from .attribution import attribute as attribute
    from .dictionaries.report import load_dictionary as load_dictionary
    from .dictionaries.training import Training as Training
    from .dictionaries.training import train as train
    from .models import Model as Model
    from .models import load as load
    from .views import GraphView as GraphView

# Loaded when first used: importing this package must not wait for torch.
_PLACES = {
    "Graph": ("attribution", "Graph"),
    "GraphView": ("views", "GraphView"),
    "Model": ("models", "Model"),
    "Training": ("dictionaries.training", "Training"),
    "attribute": ("attribution", "attribute"),
    "load": ("models", "load"),
    "load_dictionary": ("dictionaries.report", "load_dictionary"),
    "train": ("dictionaries.training", "train"),
}

__all__ = [
    "Graph",
    "GraphView",
    "Model",
    "Training",
    "__version__",
    "attribute",
    "load",
    "load_dictionary",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"interp_widgets has no {name!r}; it has {', '.join(__all__)}.")
    module, attribute_name = _PLACES[name]
    return getattr(importlib.import_module(f".{module}", __name__), attribute_name)


def __dir__() -> list[str]:
    return __all__
