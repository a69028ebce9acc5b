"""Views: one anywidget class per view, thin, between results and the browser."""

from .graph_view import GraphView

__all__ = ["GraphView"]
