"""Patching and ablation in a notebook: state on this side, heatmaps and clicks on the other.

Python sends `live` (prompts, metric, state, progress), `values` (the heatmaps as float32, NaN where
nothing is computed yet) and `result` (what the selection does). What the user may change (`shown`,
`direction`, `selected`) is saved as a trait and sent as a message, too: some kernels hold trait
updates back while a cell awaits, and a message arrives. `ablation_live` answers.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import traitlets as t

from ..circuits import CircuitError
from ..circuits.comparison import DIRECTIONS
from ..circuits.parts import PANELS
from ..files import write_whole
from . import built
from .kept import KeptView
from .messages import take_over
from .pictures import page

if TYPE_CHECKING:
    from .ablation_live import Ablation

SHARED = ("shown", "direction", "selected")


class AblationView(KeptView):
    """The view of an Ablation; without one it says that it is empty.

    shown: the heatmap on screen: "residual", "attention", "mlp" or "heads".
    direction: with a counterfactual, "noising" or "denoising".
    selected: ids of parts ("mlp.L3.p9") and names of what was given, measured one by one and
        together.
    height: in pixels.

    All of these can be read after a click and set from Python.
    """

    _esm = built.module("ablation.js")
    _css = built.style("ablation.css")

    live = t.Dict({"state": "empty"}).tag(sync=True)
    values = t.Bytes(b"").tag(sync=True)
    result = t.Dict().tag(sync=True)
    shown = t.Enum(PANELS, "residual").tag(sync=True)
    direction = t.Enum(DIRECTIONS, "noising").tag(sync=True)
    selected = t.List(t.Unicode()).tag(sync=True)
    height = t.Int(500, min=320).tag(sync=True)

    def __init__(self, source: Ablation | None = None, **traits: Any) -> None:
        self._source = source
        super().__init__(**traits)
        self.on_msg(self._on_message)

    @t.validate("selected")
    def _validate_selected(self, proposal: Any) -> list[str]:
        ids = list(proposal["value"])
        return ids if self._source is None else self._source.items.check(ids)

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if self._source is None or not isinstance(content, dict):
            return
        kind = content.get("type")
        if kind == "do" and content.get("what") in ("cancel", "resume"):
            getattr(self._source, content["what"])()
        elif kind == "set" and isinstance(content.get("values"), dict):
            take_over(self, content["values"], SHARED, self._fits)

    def _fits(self, name: str, value: Any) -> bool:
        if name == "shown":
            return value in PANELS
        if name == "direction":
            return value in DIRECTIONS
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            return False
        assert self._source is not None
        try:
            return self._source.items.check(value) == value
        except CircuitError:
            return False

    # --- without a kernel --------------------------------------------------------------------

    def to_html(self) -> str:
        """One page with a picture of all heatmaps and of the selection; no kernel, no network."""
        return page(self.picture(), "Ablation")

    def save_html(self, path: str | pathlib.Path) -> pathlib.Path:
        """Writes `to_html()` to `path` and returns it."""
        return write_whole(path, self.to_html())

    def picture(self) -> str:
        """The picture alone, as HTML without scripts."""
        from . import ablation_picture

        return ablation_picture.picture(self.live, self.values, self.result)

    def _keep(self, update: Callable[[Any], None]) -> None:
        if self._source is not None:
            self._source.keep(update)

    def __repr__(self) -> str:
        if self.live["state"] == "empty":
            return "AblationView(empty)"
        return f"AblationView({self.shown}, {self.live['state']}, {len(self.selected)} selected)"
