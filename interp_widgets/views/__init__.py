"""Views: one anywidget class per view, thin, between results and the browser."""

from .graph_view import GraphView
from .training_view import TrainingView

__all__ = ["GraphView", "TrainingView"]
