"""What goes wrong when features are looked up, indexed or named."""

from __future__ import annotations

import operator
from typing import Any


class FeatureError(ValueError):
    """A feature, index, label or text that cannot be used; the message is one sentence."""


def count(name: str, value: Any, least: int = 1) -> int:
    """A number of something, as a plain int; raises FeatureError for what is none."""
    try:
        found = operator.index(value)
    except TypeError:
        found = None
    if found is None or isinstance(value, bool) or found < least:
        raise FeatureError(f"{name} is a whole number of at least {least}, not {value!r}.")
    return found
