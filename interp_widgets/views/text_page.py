"""The way from a text to its pages: rows, how far it is, what neighbours take, and the picture."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import text_picture
from .text_shown import packed
from .text_view import TextView

if TYPE_CHECKING:
    from .text_live import Text

VERBS = {"steering": "steer these", "ablation": "ablate these"}

#: What a linked view does with a name and what is selected; it returns a sentence.
Take = Callable[[str, Any], str]


class Page:
    """What the browser gets of a text.

    Attributes:
        told: when it was last told how far the text is, by time.monotonic().
    """

    def __init__(self, text: Text) -> None:
        self.text = text
        self.view = TextView(text)
        self.told = 0.0
        self._takers: list[tuple[str, Take]] = []
        self._answer = ""  # of the neighbour that took something last
        self._keep: Callable[[Any], None] | None = None
        self.view.observe(self.picture, names=["selected", "tokens"])

    def rows(self) -> None:
        """The prompt's tokens and what fires on them."""
        text = self.text
        with text.lock:
            names = [text.name(*unit) for unit in text.shown.rows.units]
            self.view.data = packed(text.shown, text.units.kind, names)

    def live(self) -> None:
        """Everything else."""
        text = self.text
        with text.lock:
            self.told = time.monotonic()
            progress, message = text.progress
            self.view.live = {
                "state": text.state,
                "progress": progress,
                "message": message,
                "prompt": text.prompt,
                "model": text.model.name,
                "scan": text.units.scan,
                "unit": text.units.kind,
                "layers": list(text.units.layers),
                "indexed": text.index.so_far is not None,
                "problem": text.problem,
                "neighbours": [
                    {"name": name, "verb": VERBS.get(name, f"send to {name}")}
                    for name, _ in self._takers
                ],
                "told": self._answer,
                # Makes every message a new one: silence means that there is no kernel to hear.
                "beat": self.told,
            }
            if text.state != "computing":
                self.picture()

    # --- to other views ----------------------------------------------------------------------

    def send_to(self, name: str, take: Take) -> Callable[[], None]:
        """A button for another view; `take` gets a name and targets. Returns what removes it."""
        taker = (name, take)
        self._takers.append(taker)
        self.live()

        def end() -> None:
            self._takers.remove(taker)
            self.live()

        return end

    def send(self, to: int) -> None:
        """Send what is selected to a linked view; what came of it is shown."""
        chosen = self.text.selected
        if not chosen or not 0 <= to < len(self._takers):
            return
        layer, number = chosen[0]
        name = self.text.name(layer, number) or f"L{layer}/{number}"
        if len(chosen) > 1:
            name = f"{name} and {len(chosen) - 1} more"
        try:
            self._answer = self._takers[to][1](name, self.text.features)
        except ValueError as error:
            self._answer = str(error)
        self.live()

    # --- without a kernel --------------------------------------------------------------------

    def keep(self, update: Callable[[Any], None]) -> None:
        """Show the picture for pages without a kernel through `update`, from now on."""
        self._keep = update
        self.picture()

    def picture(self, _change: object = None) -> None:
        if self._keep is not None:
            from IPython.display import HTML

            self._keep(HTML(text_picture.picture(self.text)))
