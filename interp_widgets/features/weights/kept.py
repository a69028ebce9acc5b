"""What is computed once for a model and its units, and forgotten with them.

Kept values are tensors and units that know neither the model nor the dictionary they were asked for
(weakly held keys must not be reachable from their values).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from threading import Lock
from typing import TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")


class Kept:
    """Values by name. Two threads that want the same at once may both compute it; one is kept."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._values: dict[Hashable, object] = {}

    def get(self, name: Hashable, make: Callable[[], T]) -> T:
        with self._lock:
            if name in self._values:
                return self._values[name]  # type: ignore[return-value]
        made = make()
        with self._lock:
            return self._values.setdefault(name, made)  # type: ignore[return-value]


_LOCK = Lock()
_KEPT: WeakKeyDictionary[object, WeakKeyDictionary[object, Kept]] = WeakKeyDictionary()


def kept(model: object, owner: object) -> Kept:
    """What is kept as long as both the model and its dictionary, units, or itself live."""
    with _LOCK:
        return _KEPT.setdefault(model, WeakKeyDictionary()).setdefault(owner, Kept())
