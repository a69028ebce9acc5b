"""Fields of parsed JSON: required ones refuse with their place, optional ones fall back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import GraphFileError

LARGEST = float(np.finfo(np.float32).max)

_NAMES = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}


def part(document: dict[str, Any], name: str, kind: type[Any]) -> Any:
    """A required part of the document."""
    value = document.get(name)
    if isinstance(value, kind):
        return value
    found = "is missing" if value is None else f"is {described(value)}"
    raise GraphFileError(
        f"{name} {found} where {_NAMES[kind]} should be: give a graph file of circuit-tracer or "
        "Neuronpedia."
    )


def described(value: Any) -> str:
    """What kind of value it is, for a message."""
    return "nothing" if value is None else _NAMES.get(type(value), "a number")


def required_object(value: Any, where: str) -> dict[str, Any]:
    """An object of a list."""
    if not isinstance(value, dict):
        raise GraphFileError(
            f"{where} is {described(value)} where an object should be: correct it."
        )
    return value


def required_integer(value: Any, where: str, least: int, most: int) -> int:
    """An integer within bounds, which some writers write as text or as 3.0."""
    number = lenient_integer(value, least - 1)
    if least <= number <= most:
        return number
    raise GraphFileError(f"{where} is {shown(value)}: give a whole number from {least} to {most}.")


def lenient_integer(value: Any, otherwise: int) -> int:
    """An integer, or `otherwise`."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    # Longer ones are no index, and very long ones are slow to convert.
    if isinstance(value, str) and len(value) <= 20:
        try:
            return int(value)
        except ValueError:
            pass
    return otherwise


def optional_number(value: Any) -> float:
    """A float, NaN where there is none that float32 can hold."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= LARGEST:
        return float(value)
    return math.nan


def optional_text(value: Any, otherwise: str) -> str:
    """A text, or `otherwise`."""
    return value if isinstance(value, str) else otherwise


def optional_object(value: Any) -> dict[str, Any]:
    """An object, empty where there is none."""
    return value if isinstance(value, dict) else {}


def texts(value: Any) -> list[str]:
    """The texts of a list, none where it is no list."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def shown(value: Any) -> str:
    """A value for a message: never long, never a whole tree."""
    if isinstance(value, str):
        return short(repr(value[:60]))
    if value is None or isinstance(value, (dict, list)):
        return described(value)
    return str(value) if isinstance(value, float) or abs(value) < 10**20 else "a huge number"


def short(text: str) -> str:
    """A text short enough for a message."""
    return text if len(text) <= 60 else text[:57] + "..."
