"""A prompt's tokens and features in a notebook: state on this side, brushing on the other.

Python sends `data` (what fires on the prompt) and `usual` (the same cells in the light of the index)
as binary buffers, and `live` (state, progress, neighbours). The browser ranks, shades and draws by
itself, so brushing needs no kernel. What the user may change (`selected`, `tokens`, `layers`,
`arrange`, `rows`) is saved as a trait and sent as a message, too: some kernels hold trait updates
back while a cell awaits, and a message arrives. `text_live` and `text_page` answer.
"""

from __future__ import annotations

import base64
import pathlib
from collections.abc import Callable
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import traitlets as t

from ..features.errors import FeatureError
from ..features.units import check_unit
from ..files import write_whole
from . import built
from .kept import KeptView
from .messages import is_whole, take_over
from .page import standalone

if TYPE_CHECKING:
    from .text_live import Text

SHARED = ("selected", "tokens", "layers", "arrange", "rows")
ARRANGE = ("strength", "layer", "position")
MOST_ROWS = 5000
LONGEST_PROMPT = 100_000


class TextView(KeptView):
    """The view of a Text; without one it says that it is empty.

    selected: features, each as [layer, number].
    tokens: positions that are brushed, ascending; the special token in front is position 0.
    layers: only features of these; empty for all.
    arrange: rows by "strength" (on the brushed tokens if there are any), "layer" or "position" of
        their peaks.
    rows: at most so many, the strongest.
    height: in pixels.

    All of these can be read after a click and set from Python.
    """

    _esm = built.module("text.js")
    _css = built.style("text.css")

    live: t.Dict[str, Any] = t.Dict({"state": "empty"}).tag(sync=True)
    data = t.Bytes(b"").tag(sync=True)
    usual = t.Bytes(b"").tag(sync=True)
    selected = t.List(t.List(t.Int(), minlen=2, maxlen=2)).tag(sync=True)
    tokens = t.List(t.Int()).tag(sync=True)
    layers = t.List(t.Int()).tag(sync=True)
    arrange = t.Enum(ARRANGE, "strength").tag(sync=True)
    rows = t.Int(30, min=1, max=MOST_ROWS).tag(sync=True)
    height = t.Int(500, min=320).tag(sync=True)

    def __init__(self, source: Text | None = None, **traits: Any) -> None:
        self._source = source
        super().__init__(**traits)
        self.on_msg(self._on_message)

    # --- what may be set ---------------------------------------------------------------------

    @t.validate("selected")
    def _validate_selected(self, proposal: Any) -> list[list[int]]:
        pairs = [[int(layer), int(number)] for layer, number in proposal["value"]]
        unique = [list(pair) for pair in dict.fromkeys(map(tuple, pairs))]
        if self._source is not None:
            for layer, number in unique:
                check_unit(self._source.units, layer, number)
        return unique

    @t.validate("tokens")
    def _validate_tokens(self, proposal: Any) -> list[int]:
        tokens = sorted(set(proposal["value"]))
        count = None if self._source is None else self._source.n_tokens
        if tokens and (tokens[0] < 0 or (count is not None and tokens[-1] >= count)):
            wrong = tokens[0] if tokens[0] < 0 else tokens[-1]
            raise FeatureError(
                f"There is no token {wrong}: the prompt has {count}, counted from 0."
            )
        return tokens

    @t.validate("layers")
    def _validate_layers(self, proposal: Any) -> list[int]:
        layers = sorted(set(proposal["value"]))
        if self._source is not None:
            for layer in layers:
                self._source.units.n_features(layer)  # raises for one without units
        return layers

    # --- messages from the browser -----------------------------------------------------------

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        source = self._source
        if source is None or not isinstance(content, dict):
            return
        kind = content.get("type")
        if kind == "do" and content.get("what") in ("cancel", "resume"):
            getattr(source, content["what"])()
        elif kind == "run" and isinstance(content.get("prompt"), str):
            source.try_prompt(content["prompt"][:LONGEST_PROMPT])
        elif kind == "send" and is_whole(content.get("to")):
            source.page.send(content["to"])
        elif kind == "set" and isinstance(content.get("values"), dict):
            take_over(self, content["values"], SHARED, self._fits)

    def _fits(self, name: str, value: Any) -> bool:
        source = self._source
        assert source is not None
        if name == "arrange":
            return value in ARRANGE
        if name == "rows":
            return is_whole(value) and 1 <= value <= MOST_ROWS
        if not isinstance(value, list):
            return False
        if name == "tokens":
            return all(is_whole(p) and 0 <= p < source.n_tokens for p in value)
        try:
            if name == "layers":
                for layer in value:
                    source.units.n_features(layer)
            for pair in value if name == "selected" else ():
                if not isinstance(pair, list) or len(pair) != 2 or not all(map(is_whole, pair)):
                    return False
                check_unit(source.units, *pair)
        except FeatureError:
            return False
        return True

    # --- without a kernel --------------------------------------------------------------------

    def to_html(self, title: str = "") -> str:
        """One page that shows this view as it stands, with no kernel and no network.

        Brushing, sorting and searching go on working there. Raises FileNotFoundError where the
        views are not built.
        """
        live = dict(self.live)
        title = title or live.get("prompt") or "Features on a prompt"
        if live["state"] == "computing":
            # The page cannot go on computing; it shows what there was.
            live |= {"state": "cancelled", "message": "Saved before the computation was complete."}
        live |= {"neighbours": [], "told": ""}
        page = {
            "live": live,
            "choice": {name: getattr(self, name) for name in SHARED},
            "height": self.height,
            "data": base64.b64encode(self.data).decode("ascii"),
            "usual": base64.b64encode(self.usual).decode("ascii"),
        }
        return standalone("text", page, title)

    def save_html(self, path: str | pathlib.Path, title: str = "") -> pathlib.Path:
        """Writes `to_html()` to `path` and returns it."""
        return write_whole(path, self.to_html(title))

    def _keep(self, update: Callable[[Any], None]) -> None:
        if self._source is not None:
            self._source.page.keep(update)

    def __repr__(self) -> str:
        if self.live["state"] == "empty":
            return "TextView(empty)"
        prompt = shorten(self.live["prompt"], 60, placeholder=" …")
        return (
            f"TextView({prompt!r}, {self.live['state']}, {len(self.selected)} features "
            f"and {len(self.tokens)} tokens selected)"
        )
