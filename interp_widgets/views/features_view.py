"""Features in a notebook: a list to search, and what each of them means.

Python sends `live` (what is indexed, how far it is), `page` (rows of the list), `card` and `other`
(the open feature, and the one beside it), `firing` (a test text on both), `proposals` and `told`.
The browser sends messages only (features_asks.py); `features_live.Live` answers them.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import traitlets as t

from ..files import write_whole
from . import built
from .features_asks import clean_ask
from .kept import KeptView

if TYPE_CHECKING:
    from .features_live import Live


class FeaturesView(KeptView):
    """The view of an index, or of one feature; without one it says that it is empty.

    height: in pixels.
    """

    _esm = built.module("features.js")
    _css = built.style("features.css")

    live = t.Dict({"state": "empty"}).tag(sync=True)
    page = t.Dict().tag(sync=True)
    card = t.Dict().tag(sync=True)
    other = t.Dict().tag(sync=True)
    firing = t.Dict().tag(sync=True)
    proposals = t.Dict().tag(sync=True)
    told = t.Dict().tag(sync=True)
    height = t.Int(500, min=320).tag(sync=True)

    def __init__(self, source: Live | None = None, **traits: Any) -> None:
        self._source = source
        super().__init__(**traits)
        self.on_msg(self._on_message)

    @property
    def source(self) -> Live:
        """Who answers. Raises ValueError for a view without an index."""
        if self._source is None:
            raise ValueError("This view has no index: iw.index(model, dictionary, text) makes one.")
        return self._source

    @property
    def opened(self) -> tuple[int, int] | None:
        """(layer, number) of the feature whose card is open. Setting it opens another.

        Raises FeatureError where there is no such unit.
        """
        return None if self._source is None else self._source.opened

    @opened.setter
    def opened(self, spot: tuple[int, int]) -> None:
        self.source.open(*spot)

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if self._source is None:
            return
        ask = clean_ask(content, self._source.size)
        if ask is not None:
            self._source.answer(ask)

    # --- without a kernel --------------------------------------------------------------------

    def to_html(self) -> str:
        """One page with the cards that are open, or of the first of the list where none is.

        It needs no kernel and no network. Raises FileNotFoundError where the views are not built.
        """
        from .feature_page import feature_page

        cards = [shown["card"] for shown in (self.card, self.other) if shown.get("card")]
        if not cards and self._source is not None:
            cards = self._source.first_cards()
        return feature_page(cards)

    def save_html(self, path: str | pathlib.Path) -> pathlib.Path:
        """Writes `to_html()` to `path` and returns it."""
        return write_whole(path, self.to_html())

    def _keep(self, update: Callable[[Any], None]) -> None:
        if self._source is not None:
            self._source.keep(update)

    def __repr__(self) -> str:
        if self.live["state"] == "empty":
            return "FeaturesView(empty)"
        at = self.opened
        opened = "" if at is None else f", L{at[0]}/{at[1]} open"
        return f"FeaturesView({self.live['scan']}, {self.live['state']}{opened})"
