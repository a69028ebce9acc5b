"""Interventions as JSON and back: {"target": {...}, "operation": {...}, "positions": {...}}.

Each part names its kind. Vectors are little-endian float32 in base64; a dictionary is named by
its scan, and whoever reads the JSON brings it along.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from .errors import InterventionError, ModelError
from .interventions import Features, Heads, Neurons, Patterns
from .operations import (
    Ablate,
    Add,
    At,
    Clamp,
    Everywhere,
    From,
    Generated,
    Patch,
    ProjectOut,
    Scale,
    Vector,
)
from .places import Place
from .targets import Intervention

_KINDS: dict[str, dict[str, type[Any]]] = {
    "target": {
        "place": Place,
        "heads": Heads,
        "patterns": Patterns,
        "neurons": Neurons,
        "features": Features,
    },
    "operation": {
        "clamp": Clamp,
        "scale": Scale,
        "add": Add,
        "ablate": Ablate,
        "patch": Patch,
        "project_out": ProjectOut,
    },
    "positions": {"everywhere": Everywhere, "at": At, "from": From, "generated": Generated},
}
_OPTIONAL = {"vector", "mean", "positions"}  # fields that may be null


def to_json(intervention: Intervention) -> dict[str, Any]:
    return {part: _part(part, getattr(intervention, part)) for part in _KINDS}


def from_json(data: Mapping[str, Any], dictionaries: Mapping[str, Any]) -> Intervention:
    if not isinstance(data, Mapping) or set(data) != set(_KINDS):
        raise InterventionError(
            "An intervention as JSON has a target, an operation and positions, and nothing else."
        )
    return Intervention(**{part: _read(part, data[part], dictionaries) for part in _KINDS})


def _part(part: str, value: Any) -> dict[str, Any]:
    kind = next(name for name, cls in _KINDS[part].items() if type(value) is cls)
    out: dict[str, Any] = {"kind": kind}
    for field in fields(value):
        held = getattr(value, field.name)
        if field.name == "dictionary":
            held = value.scan
        elif isinstance(held, Vector):
            encoded = base64.b64encode(held.data).decode("ascii")
            held = {"float32": encoded, "name": held.name}
        elif isinstance(held, tuple):
            held = list(held)
        out[field.name] = held
    return out


def _read(part: str, data: Any, dictionaries: Mapping[str, Any]) -> Any:
    kinds = _KINDS[part]
    if not isinstance(data, Mapping) or data.get("kind") not in kinds:
        raise InterventionError(f"The {part} is none of {', '.join(kinds)}: {_short(data)}.")
    cls = kinds[data["kind"]]
    names = {field.name for field in fields(cls)}
    values = {name: value for name, value in data.items() if name != "kind"}
    missing = sorted(names - _OPTIONAL - set(values))
    if missing or set(values) - names:
        raise InterventionError(
            f"The {part} {data['kind']!r} has the fields {', '.join(sorted(names)) or 'none'}: "
            f"{_short(data)}."
        )
    try:
        return cls(**{name: _value(name, held, dictionaries) for name, held in values.items()})
    except (TypeError, ModelError) as error:
        raise InterventionError(f"The {part} cannot be read: {_short(data)} ({error}).") from error


def _value(name: str, held: Any, dictionaries: Mapping[str, Any]) -> Any:
    if name == "dictionary":
        if held not in dictionaries:
            raise InterventionError(
                f"The intervention names features of {held!r}: give that dictionary, as "
                f"dictionaries={{{held!r}: ...}}."
            )
        return dictionaries[held]
    if isinstance(held, Mapping):
        try:
            data = base64.b64decode(held["float32"], validate=True)
        except (KeyError, TypeError, ValueError, binascii.Error) as error:
            raise InterventionError(f"A vector cannot be read: {_short(held)}.") from error
        return Vector(data, str(held.get("name", "")))
    if isinstance(held, list):
        return tuple(held)
    return held


def _short(data: Any) -> str:
    text = repr(data)
    return text if len(text) <= 80 else text[:79] + "…"
