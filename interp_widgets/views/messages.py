"""What a page sends is looked at before it is believed: a message may hold anything."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeGuard

from anywidget import AnyWidget


def is_whole(value: object) -> TypeGuard[int]:
    """A whole number; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[float]:
    """A finite number; true and false are none."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) <= sys.float_info.max  # an int may be larger


def take_over(
    view: AnyWidget,
    values: Mapping[str, Any],
    names: Sequence[str],
    fits: Callable[[str, Any], bool],
) -> None:
    """Traits as a page wants them; what is malformed changes nothing.

    fits: whether a trait, by its name, can have a value.
    """
    clean = {name: values[name] for name in names if fits(name, values.get(name))}
    if clean:
        # As if the traits themselves had arrived: observers run, nothing is sent back.
        view.set_state(clean)
