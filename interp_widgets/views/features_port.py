"""A view of features among linked views: the open card is its selection, wherever the unit fires."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .features_live import Live
from .features_live import Spot as Unit
from .linked_ports import Spot

#: A card is about a unit and not about a place in a prompt.
_ANYWHERE = -1


class FeaturesPort:
    """An index, or one feature: opens the card of the one unit that is selected elsewhere."""

    name = "features"
    tokens = None

    def __init__(self, live: Live) -> None:
        self.live = live

    @property
    def selection(self) -> frozenset[Spot]:
        unit = self.live.opened
        if unit is None:
            return frozenset()
        return frozenset({Spot(unit[0], _ANYWHERE, (self.live.index.units.kind, unit[1]))})

    def show(self, spots: frozenset[Spot], same_prompt: bool) -> None:
        kind, size = self.live.index.units.kind, self.live.size
        units = {
            (s.layer, s.unit[1])
            for s in spots
            if s.unit and s.unit[0] == kind and s.unit[1] < (size(s.layer) or 0)
        }
        if len(units) == 1 and self.live.opened not in units:
            self.live.open(*units.pop())

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        return self.live.on_open(lambda layer, feature: changed())

    def send_to(self, name: str, take: Callable[[str, Any], str]) -> Callable[[], None]:
        """“steer” sends the open feature; returns what ends that."""
        if name != "steering":
            return lambda: None

        def send(index: Any, unit: Unit) -> str:
            found = index[unit]
            return take(index.label(*unit) or found.name, [found])

        return self.live.send_to(send)
