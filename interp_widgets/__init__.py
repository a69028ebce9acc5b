"""interp_widgets: see, click, change and check circuits inside language models, in Jupyter.

import interp_widgets as iw

model = iw.load()
graph = iw.attribute(model, "the capital of the state containing dallas is")
graph
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .attribution import Graph as Graph
    from .attribution import attribute as attribute
    from .dictionaries.metrics import compare as compare
    from .dictionaries.metrics import judge as judge
    from .dictionaries.report import load_dictionary as load_dictionary
    from .dictionaries.training import Training as Training
    from .dictionaries.training import cross_layer as cross_layer
    from .dictionaries.training import recipes as recipes
    from .dictionaries.training import sae as sae
    from .dictionaries.training import train as train
    from .dictionaries.training import transcoder as transcoder
    from .models import Model as Model
    from .models import Place as Place
    from .models import load as load
    from .views import GraphView as GraphView

# Loaded when first used: importing this package must not wait for torch.
_PLACES = {
    "Graph": "attribution",
    "GraphView": "views",
    "Model": "models",
    "Place": "models",
    "Training": "dictionaries.training",
    "attribute": "attribution",
    "compare": "dictionaries.metrics",
    "cross_layer": "dictionaries.training",
    "judge": "dictionaries.metrics",
    "load": "models",
    "load_dictionary": "dictionaries.report",
    "recipes": "dictionaries.training",
    "sae": "dictionaries.training",
    "train": "dictionaries.training",
    "transcoder": "dictionaries.training",
}

__all__ = [
    "Graph",
    "GraphView",
    "Model",
    "Place",
    "Training",
    "__version__",
    "attribute",
    "compare",
    "cross_layer",
    "judge",
    "load",
    "load_dictionary",
    "recipes",
    "sae",
    "train",
    "transcoder",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"interp_widgets has no {name!r}; it has {', '.join(__all__)}.")
    return getattr(importlib.import_module(f".{_PLACES[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
