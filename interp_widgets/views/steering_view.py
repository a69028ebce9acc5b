"""A steering in a notebook: what it holds, on this side; drawing and sliders, on the other.

Python sends `live` (sliders, settings, state), `texts` (whole, when a run begins and ends) and
`next` (the next token at the place that is looked at); in between, tokens go as messages, some
milliseconds of them at a time. The browser sends messages only, numbered; `live` says which one
was answered last, so that a page never moves a slider back that its user has just let go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import traitlets as t

from . import built
from .kept import KeptView
from .messages import is_number, is_whole

if TYPE_CHECKING:
    from .steering_live import Steering

EMPTY: dict[str, Any] = {"state": "empty", "seq": 0}


class SteeringView(KeptView):
    """The view of a steering. Made by `Steering.view`; without one it says that it is empty.

    height: in pixels, without the chart of doses.
    """

    _esm = built.module("steering.js")
    _css = built.style("steering.css")

    live = t.Dict(EMPTY).tag(sync=True)
    texts = t.Dict({"run": 0, "lead": "", "rows": []}).tag(sync=True)
    next = t.Dict().tag(sync=True)
    height = t.Int(500, min=320).tag(sync=True)

    #: "light" or "dark", as the page that was drawn last says.
    theme = t.Enum(("light", "dark"), "light")

    def __init__(self, source: Steering | None = None, **traits: Any) -> None:
        super().__init__(**traits)
        self._source = source
        self.on_msg(self._on_message)

    # --- messages from the browser -----------------------------------------------------------

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        source = self._source
        if source is None or not isinstance(content, dict):
            return
        kind, seq = content.get("type"), content.get("seq")
        if kind == "ready" or kind == "theme":
            if content.get("theme") in ("light", "dark"):
                self.theme = content["theme"]
            if kind == "ready":
                source.doses.drawn()
        elif kind == "sync":
            source.page.texts(again=True)
        elif is_whole(seq):
            source.page.answer(seq, lambda: self._act(kind, content))

    def _act(self, kind: Any, content: dict[str, Any]) -> None:
        """Values come from a page: what is malformed changes nothing."""
        source = self._source
        assert source is not None
        if kind == "turn":
            knob, mode, value = (content.get(key) for key in ("knob", "mode", "value"))
            if not (is_whole(knob) and 0 <= knob < len(source.knobs)):
                return
            if mode in ("add", "pin", "scale") and is_number(value):
                source.turn(source.knobs[knob].name, value, mode=mode, unit="raw")
        elif kind == "set" and isinstance(content.get("values"), dict):
            names = ("prompt", "temperature", "seed", "length", "stop", "chat", "where")
            source.change(**{n: v for n, v in content["values"].items() if n in names})
        elif kind == "choose" and is_whole(content.get("variant")):
            if 0 <= content["variant"] < len(source.variants):
                source.choose(source.variants[content["variant"]].name)
        elif kind == "look" and is_whole(content.get("row")) and is_whole(content.get("at")):
            source.look(content["row"], content["at"])
        elif kind == "back" and is_whole(content.get("tried")):
            source.back(content["tried"])
        elif kind == "dose" and isinstance(content.get("values"), dict):
            values = content["values"]
            if all(isinstance(value, str) for value in values.values()):
                source.doses.start(source.doses.question.typed(values))
        elif kind == "do":
            actions = {
                "add": source.add_variant,
                "drop": source.drop_variant,
                "rest": source.rest,
                "cancel": source.cancel,
                "stop dose": source.stop_dose,
            }
            if content.get("what") in actions:
                actions[content["what"]]()

    # --- without a kernel --------------------------------------------------------------------

    def _keep(self, update: Callable[[Any], None]) -> None:
        if self._source is not None:
            self._source.page.keep(update)

    def __repr__(self) -> str:
        if self._source is None:
            return "SteeringView(empty)"
        return f"SteeringView({self._source!r})"
