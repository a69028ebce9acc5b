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
    from .features import Feature as Feature
    from .features import Index as Index
    from .features import open_index as open_index
    from .features.opening import index as index
    from .models import Model as Model
    from .models import Place as Place
    from .models import load as load
    from .models.interventions import Intervention as Intervention
    from .models.interventions import Vector as Vector
    from .models.interventions import attention as attention
    from .models.interventions import feature as feature
    from .models.interventions import head as head
    from .models.interventions import mlp as mlp
    from .models.interventions import neuron as neuron
    from .models.interventions import pattern as pattern
    from .models.interventions import residual as residual
    from .views import GraphView as GraphView
    from .views.ablation_live import Ablation as Ablation
    from .views.ablation_live import ablate as ablate
    from .views.linked import link as link
    from .views.steering_live import Steering as Steering
    from .views.steering_live import steer as steer
    from .views.text_live import Text as Text
    from .views.text_live import text as text

# Loaded when first used: importing this package must not wait for torch.
_PLACES = {
    "Ablation": "views.ablation_live",
    "Feature": "features",
    "Graph": "attribution",
    "GraphView": "views",
    "Index": "features",
    "Intervention": "models.interventions",
    "Model": "models",
    "Place": "models",
    "Steering": "views.steering_live",
    "Text": "views.text_live",
    "Training": "dictionaries.training",
    "Vector": "models.interventions",
    "ablate": "views.ablation_live",
    "attention": "models.interventions",
    "attribute": "attribution",
    "compare": "dictionaries.metrics",
    "cross_layer": "dictionaries.training",
    "feature": "models.interventions",
    "head": "models.interventions",
    "index": "features.opening",
    "judge": "dictionaries.metrics",
    "link": "views.linked",
    "load": "models",
    "load_dictionary": "dictionaries.report",
    "mlp": "models.interventions",
    "neuron": "models.interventions",
    "open_index": "features",
    "pattern": "models.interventions",
    "recipes": "dictionaries.training",
    "residual": "models.interventions",
    "sae": "dictionaries.training",
    "steer": "views.steering_live",
    "text": "views.text_live",
    "train": "dictionaries.training",
    "transcoder": "dictionaries.training",
}

__all__ = [
    "Ablation",
    "Feature",
    "Graph",
    "GraphView",
    "Index",
    "Intervention",
    "Model",
    "Place",
    "Steering",
    "Text",
    "Training",
    "Vector",
    "__version__",
    "ablate",
    "attention",
    "attribute",
    "compare",
    "cross_layer",
    "feature",
    "head",
    "index",
    "judge",
    "link",
    "load",
    "load_dictionary",
    "mlp",
    "neuron",
    "open_index",
    "pattern",
    "recipes",
    "residual",
    "sae",
    "steer",
    "text",
    "train",
    "transcoder",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"interp_widgets has no {name!r}; it has {', '.join(__all__)}.")
    return getattr(importlib.import_module(f".{_PLACES[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
