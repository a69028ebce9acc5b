"""The attribution graph in a notebook: traits on this side, drawing on the other.

State lives in traits, events are messages. The browser does both for every change of a user:
it saves the trait and sends the values in a message, and Python applies the message. That is
not redundant: some kernels hold trait updates back while a cell awaits, and a message arrives.
"""

from __future__ import annotations

import base64
import math
import pathlib
from collections.abc import Callable, Iterable
from typing import Any

import anywidget
import traitlets as t

from ..files import write_whole
from . import built, wire
from .graph_asks import Asks
from .page import standalone

STATES = ("empty", "computing", "done", "cancelled", "failed")

# What the browser may change, and what a page without a kernel keeps.
SHARED = ("selected", "pinned", "groups", "labels", "threshold")


class GraphView(Asks, anywidget.AnyWidget):
    """An attribution graph to see, click and arrange.

    Args:
        buffer: a graph packed by `wire.pack`; empty for a graph that is still to come.
        **traits: initial values of the traits below.

    `selected`, `pinned` and `groups` hold node ids; they can be read after a click and set to
    steer the view. An id that the graph does not have is refused with a ValueError.
    """

    _esm = built.module("graph.js")
    _css = built.style("graph.css")

    data = t.Bytes(b"").tag(sync=True)
    status = t.Dict({"state": "empty", "progress": 0.0, "message": ""}).tag(sync=True)
    selected = t.List(t.Unicode()).tag(sync=True)
    pinned = t.List(t.Unicode()).tag(sync=True)
    groups = t.List(t.List(t.Unicode())).tag(sync=True)
    labels = t.Dict(key_trait=t.Unicode(), value_trait=t.Unicode()).tag(sync=True)
    threshold = t.Float(0.8).tag(sync=True)
    height = t.Int(500).tag(sync=True)

    #: Called with no arguments when the user presses Cancel; the owner of the job sets it.
    on_cancel: Callable[[], object] | None = None

    def __init__(self, buffer: bytes = b"", **traits: Any) -> None:
        unknown = sorted(set(traits) - set(self.class_trait_names()) - {"on_cancel"})
        if unknown:
            raise TypeError(
                f"GraphView has no {', '.join(unknown)}. It takes "
                "selected, pinned, groups, labels, threshold, height and status."
            )
        self._known: set[str] | None = None
        on_cancel = traits.pop("on_cancel", None)
        if buffer and "status" not in traits:
            traits["status"] = {"state": "done", "progress": 1.0, "message": ""}
        super().__init__(data=buffer, **traits)
        self.on_cancel = on_cancel
        self.on_msg(self._on_message)

    # --- what may be set ---------------------------------------------------------------------

    @t.validate("data")
    def _validate_data(self, proposal: Any) -> bytes:
        buffer = bytes(proposal["value"])
        try:
            header = wire.read_header(buffer)
        except ValueError:
            header = {}
        if buffer and header.get("format") != wire.FORMAT:
            raise t.TraitError("data must be a buffer from wire.pack, or empty.")
        self._known = set(header["ids"]) if header else None
        return buffer

    @t.validate("status")
    def _validate_status(self, proposal: Any) -> dict[str, Any]:
        status = {"progress": 0.0, "message": "", **proposal["value"]}
        if status.get("state") not in STATES:
            raise t.TraitError(f"status needs a state: {', '.join(STATES)}.")
        progress = float(status["progress"])
        status["progress"] = min(1.0, max(0.0, progress)) if math.isfinite(progress) else 0.0
        status["message"] = str(status["message"])
        return status

    @t.validate("selected", "pinned")
    def _validate_ids(self, proposal: Any) -> list[str]:
        return self._checked_ids(proposal["value"], proposal["trait"].name)

    @t.validate("groups")
    def _validate_groups(self, proposal: Any) -> list[list[str]]:
        groups = []
        for group in proposal["value"]:
            if len(group) < 2:
                raise ValueError("A group is a name followed by at least one id.")
            groups.append([group[0], *self._checked_ids(group[1:], "groups")])
        return groups

    @t.validate("labels")
    def _validate_labels(self, proposal: Any) -> dict[str, str]:
        self._checked_ids(proposal["value"], "labels")
        return dict(proposal["value"])

    @t.validate("threshold")
    def _validate_threshold(self, proposal: Any) -> float:
        value = float(proposal["value"])
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"threshold is a share of influence from 0 to 1, not {value}.")
        return value

    @t.validate("height")
    def _validate_height(self, proposal: Any) -> int:
        value = int(proposal["value"])
        if value < 240:
            raise ValueError(f"height is in pixels, at least 240, not {value}.")
        return value

    def _checked_ids(self, ids: Iterable[str], where: str) -> list[str]:
        """Known ids once each, in order. Before the first graph arrives anything is taken."""
        known = getattr(self, "_known", None)
        unique = list(dict.fromkeys(ids))
        if known is not None:
            for item in unique:
                if item not in known:
                    raise ValueError(f"{where}: the graph has no node {item!r}.")
        return unique

    # --- messages from the browser -----------------------------------------------------------

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        kind = content.get("type") if isinstance(content, dict) else None
        if kind is not None and self.take_ask(content, self._known):
            return
        if kind == "cancel" and self.on_cancel is not None:
            self.on_cancel()
        elif kind == "set" and isinstance(content.get("values"), dict):
            self._apply(content["values"])

    def _apply(self, values: dict[str, Any]) -> None:
        """Values come from a page: take the well-formed ones, leave out ids that are gone."""
        clean = {}
        for name in SHARED:
            if name in values:
                value = self._clean(name, values[name])
                if value is not None:
                    clean[name] = value
        if clean:
            # As if the trait itself had arrived: observers run, nothing is sent back.
            self.set_state(clean)

    def _clean(self, name: str, value: Any) -> Any:
        known = self._known

        def ids(items: Any) -> list[str] | None:
            if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
                return None
            return [item for item in dict.fromkeys(items) if known is None or item in known]

        if name in ("selected", "pinned"):
            return ids(value)
        if name == "groups":
            if not isinstance(value, list):
                return None
            groups = []
            for group in value:
                members = ids(group[1:]) if isinstance(group, list) and group else None
                if members is None or not isinstance(group[0], str):
                    return None
                if members:
                    groups.append([group[0], *members])
            return groups
        if name == "labels":
            if not isinstance(value, dict):
                return None
            pairs = [(k, v) for k, v in value.items() if isinstance(k, str) and isinstance(v, str)]
            return {k: v for k, v in pairs if known is None or k in known}
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return float(value) if number and 0.0 <= value <= 1.0 else None

    # --- without a kernel --------------------------------------------------------------------

    def to_html(self, title: str = "") -> str:
        """One page that shows this view as it stands, with no kernel and no network.

        Selection, pins, groups, labels and the keep slider come along and go on working.
        Raises FileNotFoundError where the views are not built.
        """
        title = title or wire.read_header(self.data).get("prompt") or "Attribution graph"
        state = {name: getattr(self, name) for name in (*SHARED, "status", "height")}
        if state["status"]["state"] == "computing":
            # The page cannot go on computing; it shows what there was.
            state["status"] = {
                "state": "cancelled",
                "progress": state["status"]["progress"],
                "message": "Saved before the computation was complete.",
            }
        page = {
            "state": state,
            "data": base64.b64encode(self.data).decode("ascii"),
            "answers": self.kept_answers(),
        }
        return standalone("graph", page, title)

    def save_html(self, path: str | pathlib.Path, title: str = "") -> pathlib.Path:
        """Writes `to_html()` to `path` and returns it."""
        return write_whole(path, self.to_html(title))

    def __repr__(self) -> str:
        header = wire.read_header(self.data)
        if not header:
            return f"GraphView({self.status['state']})"
        return (
            f"GraphView({header['prompt']!r}, {header['nodes']:,} nodes, "
            f"{header['links']:,} links, {len(self.selected)} selected)"
        )
