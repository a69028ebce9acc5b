"""What a page may ask of a features view, checked: a message may hold anything.

    {"type": "search", "text", "mode", "sort", "layer", "rows", "seq"}
    {"type": "open" | "compare" | "propose" | "steer", "layer", "feature", "seq"}
    {"type": "label", "layer", "feature", "text", "seq"}     an empty text takes the label away
    {"type": "accept", "layer", "feature", "at", "seq"}      the proposal at this place
    {"type": "test", "text", "seq"}
    {"type": "undo" | "cancel", "seq"}
    {"type": "drawn", "seq"}                                 the first part of a card is on screen

`seq` grows with every ask of a page, and stands in the answer: a page shows the latest one's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

from .messages import is_whole

MODES = ("label", "token", "prompt", "promotes")
SORTS = ("match", "score", "density", "strength", "number")
LONGEST_TEXT = 4000
LONGEST_LABEL = 200
MOST_ROWS = 3000
LARGEST_SEQ = 2**53

Ask = dict[str, Any]
#: How many units a layer has; None for a layer without any.
Size = Callable[[int], int | None]


def clean_ask(content: Any, size: Size) -> Ask | None:
    """The fields that a message needs, or None for one that asks for nothing there is."""
    if not isinstance(content, Mapping):
        return None
    kind, seq = content.get("type"), content.get("seq")
    if not isinstance(kind, str) or not _up_to(seq, LARGEST_SEQ):
        return None
    clean: Ask | None
    if kind == "search":
        clean = _search(content, size)
    elif kind in ("undo", "cancel", "drawn"):
        clean = {}
    elif kind == "test":
        text = content.get("text")
        clean = {"text": text} if _text(text, LONGEST_TEXT) else None
    elif kind == "compare" and content.get("layer") is None and content.get("feature") is None:
        clean = {"spot": None}
    elif kind in ("open", "compare", "propose", "steer", "label", "accept"):
        clean = _about(kind, content, size)
    else:
        clean = None
    return None if clean is None else {"type": kind, "seq": seq, **clean}


def _search(content: Mapping[str, Any], size: Size) -> Ask | None:
    text, mode, sort = (content.get(name) for name in ("text", "mode", "sort"))
    layer, rows = content.get("layer"), content.get("rows")
    if not _text(text, LONGEST_TEXT) or mode not in MODES or sort not in SORTS:
        return None
    if layer is not None and (not _up_to(layer, 10**6) or size(layer) is None):
        return None
    if not _up_to(rows, MOST_ROWS) or rows == 0:
        return None
    return {"text": text, "mode": mode, "sort": sort, "layer": layer, "rows": rows}


def _about(kind: str, content: Mapping[str, Any], size: Size) -> Ask | None:
    layer, feature = content.get("layer"), content.get("feature")
    if not _up_to(layer, 10**6) or not _up_to(feature, 10**9):
        return None
    clean: Ask = {"spot": (layer, feature)}
    count = size(layer)
    inside = count is not None and feature < count
    # What somebody typed deserves an answer, also where there is no such unit.
    if not inside and kind not in ("open", "compare"):
        return None
    if kind == "label":
        text = content.get("text")
        if not _text(text, LONGEST_LABEL):
            return None
        clean["text"] = text
    elif kind == "accept":
        if not _up_to(content.get("at"), 100):
            return None
        clean["at"] = content["at"]
    return clean


def _up_to(value: Any, most: int) -> TypeGuard[int]:
    return is_whole(value) and 0 <= value <= most


def _text(value: Any, longest: int) -> TypeGuard[str]:
    if not isinstance(value, str) or len(value) > longest:
        return False
    try:  # half of a character cannot be sent on, stored or run
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
