"""A text view among linked views: its features and tokens as spots, and what is sent from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..features.errors import FeatureError
from ..features.units import check_unit
from .linked_ports import Spot
from .text_live import Text
from .text_page import Take


class TextPort:
    """A text: the selected features where they fire, on the brushed tokens if there are any.

    Brushed tokens alone mean all that is at these positions.
    """

    name = "text"

    def __init__(self, text: Text) -> None:
        self.text = text

    @property
    def tokens(self) -> tuple[str, ...]:
        return self.text.token_texts

    @property
    def selection(self) -> frozenset[Spot]:
        text, brushed = self.text, set(self.text.tokens)
        spots: set[Spot] = set()
        for layer, number in text.selected:
            fires = set() if text.firing is None else _where(text.firing.of(layer, number))
            unit = (text.units.kind, number)
            spots |= {Spot(layer, p, unit) for p in (fires & brushed or fires)}
        if not text.selected:
            spots = {Spot(layer, p) for layer in text.units.layers for p in brushed}
        return frozenset(spots)

    def show(self, spots: frozenset[Spot], same_prompt: bool) -> None:
        units = sorted({(s.layer, s.unit[1]) for s in spots if s.unit and self._has(s)})
        if spots and not units and not same_prompt:
            return  # of another prompt and other units: there is nothing here to select
        with self.text.view.hold_sync():
            if same_prompt:
                self.text.tokens = sorted({s.position for s in spots})
            self.text.selected = units

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        def handler(_change: Any) -> None:
            changed()

        view, names = self.text.view, ["selected", "tokens"]
        view.observe(handler, names=names)
        return lambda: view.unobserve(handler, names=names)

    def send_to(self, name: str, take: Take) -> Callable[[], None]:
        """A button that sends the selected features; returns what removes it."""
        return self.text.page.send_to(name, take)

    def _has(self, spot: Spot) -> bool:
        if spot.unit is None or spot.unit[0] != self.text.units.kind:
            return False
        try:
            check_unit(self.text.units, spot.layer, spot.unit[1])
        except FeatureError:
            return False
        return True


def _where(activations: Any) -> set[int]:
    return set(activations.nonzero()[0].tolist())
