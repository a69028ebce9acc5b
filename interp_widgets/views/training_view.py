"""A training in a notebook: what happens, on this side; drawing and buttons, on the other.

Python sends three values: `live` (state, numbers, settings; a few times a second), `features` (a
page of the list, every few seconds) and `detail` (the feature that is open). The browser sends
messages only, and every one of them does no more than set a flag or a trait: the training's own
thread acts on it, `training_live` shows what came of it. The charts are a plotly FigureWidget of
their own (`training_figure`), drawn inside this view.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import traitlets as t

from ..files import write_whole
from . import built
from .kept import KeptView
from .messages import is_number
from .pictures import page

if TYPE_CHECKING:
    from plotly.graph_objects import FigureWidget

    from .training_live import Live, Watched


def show(training: Watched) -> TrainingView:
    """The view of a training, filled now and whenever the training goes on."""
    from .training_live import Live

    return Live(training).view


ORDERS = ("active", "newest", "number")
ACTIONS = ("pause", "resume", "stop", "cancel")


class TrainingView(KeptView):
    """The live view of a training. Made by `Training.view`; without one it says that it is empty.

    shown: the name of the dictionary that is shown, one of the training's names.
    order: of the list of features: "active" (most often first), "newest" (last to come alive
        first) or "number".
    start: the first number, with order "number".
    opened: the feature whose examples are open, or None.
    height: in pixels.

    All of these can be read after a click and set from Python.
    """

    _esm = built.module("training.js")
    _css = built.style("training.css")

    live = t.Dict({"state": "empty"}).tag(sync=True)
    features = t.Dict().tag(sync=True)
    detail = t.Dict().tag(sync=True)
    shown = t.Unicode("").tag(sync=True)
    order = t.Enum(ORDERS, "active").tag(sync=True)
    start = t.Int(0, min=0).tag(sync=True)
    rows = t.Int(24, min=1, max=2000).tag(sync=True)
    opened = t.Int(None, allow_none=True, min=0).tag(sync=True)
    height = t.Int(500, min=320).tag(sync=True)

    #: "light" or "dark", as the page that was drawn last says.
    theme = t.Enum(("light", "dark"), "light")

    def __init__(self, source: Live | None = None, **traits: Any) -> None:
        super().__init__(**traits)
        self._source = source
        self.on_msg(self._on_message)

    @t.validate("shown")
    def _validate_shown(self, proposal: Any) -> str:
        name = str(proposal["value"])
        source = getattr(self, "_source", None)
        if source is not None and name not in source.names:
            raise ValueError(f"shown: no dictionary is called {name!r}; {source.names} are.")
        return name

    @t.validate("opened")
    def _validate_opened(self, proposal: Any) -> int | None:
        number = proposal["value"]
        source = getattr(self, "_source", None)
        if source is not None and number is not None and number >= source.size(self.shown):
            raise ValueError(
                f"opened: {self.shown} has features 0 to {source.size(self.shown) - 1}, "
                f"not {number}."
            )
        return None if number is None else int(number)

    @property
    def figure(self) -> FigureWidget:
        """The charts; restyle them as any plotly figure. Waits until they are made (2 s)."""
        if self._source is None:
            raise ValueError("This view has no training, so it has no charts.")
        return self._source.figure

    # --- messages from the browser -----------------------------------------------------------

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if self._source is None or not isinstance(content, dict):
            return
        kind = content.get("type")
        if kind == "ready":
            if content.get("theme") in ("light", "dark"):
                self.theme = content["theme"]
            self._source.draw()
        elif kind == "do" and content.get("what") in ACTIONS:
            self._source.act(content["what"])
        elif kind == "change" and isinstance(content.get("values"), dict):
            self._change(content["values"], everywhere=content.get("everywhere") is True)
        elif kind == "set" and isinstance(content.get("values"), dict):
            self._set(content["values"])

    def _change(self, values: Mapping[str, Any], *, everywhere: bool) -> None:
        assert self._source is not None
        for what, value in values.items():
            if is_number(value) and isinstance(what, str):
                self._source.change(what, value, None if everywhere else self.shown)

    def _set(self, values: Mapping[str, Any]) -> None:
        """Values come from a page: what is malformed changes nothing."""
        for name in ("shown", "order", "start", "rows", "opened", "theme"):
            if name in values:
                try:
                    setattr(self, name, values[name])
                except (t.TraitError, ValueError):
                    continue

    # --- without a kernel --------------------------------------------------------------------

    def to_html(self) -> str:
        """One page with a picture of the training as it stands; no kernel, no network.

        For charts that zoom: `training.figure.write_html(path)`, plotly's own.
        """
        return page(self._picture(), "Training")

    def save_html(self, path: str | pathlib.Path) -> pathlib.Path:
        """Writes `to_html()` to `path` and returns it."""
        return write_whole(path, self.to_html())

    def _picture(self) -> str:
        from . import training_picture

        if self._source is not None:
            self._source.publish(everything=True)
        figure = None if self._source is None else self._source.figure
        return training_picture.picture(self.live, self.features, figure)

    def _keep(self, update: Callable[[Any], None]) -> None:
        if self._source is not None:
            self._source.keep(update)

    def __repr__(self) -> str:
        live = self.live
        if live["state"] == "empty":
            return "TrainingView(empty)"
        return f"TrainingView({self.shown}, {live['state']}, step {live['step']:,})"
