"""How graph files call a node: feature numbers, `clerp` labels and kinds, both ways.

A feature's number is the Cantor pairing of its layer and index, (l + f)(l + f + 1) / 2 + f.
Some files carry the index itself, so a number is read by evidence: the id `L_F_P` if it
agrees with layer and position, else the pairing if it gives the layer, else as the index.
"""

from __future__ import annotations

import math
import re

from ..table import ERROR, FEATURE, OUTPUT, TOKEN

# The field of documents, and of their nodes, that is ours; and what we say we are.
OURS = "interp_widgets"
GENERATOR = {"name": "interp_widgets"}

# What `scan` says if there is no dictionary to name.
NO_SCAN = "unknown"

FEATURE_TYPES = ("cross layer transcoder", "mlp reconstruction error", "embedding", "logit")

_ID = re.compile(r"(\d{1,5}|E)_(\d{1,10})_(\d{1,10})", re.ASCII)
# circuit-tracer writes the first form, Neuronpedia has also shown the second.
_OUTPUT = re.compile(r"""[Oo]utput:? (["'])(.*)\1 \(p=([^)]*)\)""", re.DOTALL)
_PROBABILITY = re.compile(r"\(p=([^)]*)\)")


def sanitised(name: str, otherwise: str) -> str:
    """A name as Neuronpedia allows it in addresses: letters, digits, `_`, `.` and `-`."""
    # Dots at the ends go, too: `..` would be a folder.
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.") or otherwise


def kind_of(feature_type: str) -> int:
    """What a feature_type is to us: anything that is not one of the other kinds is a feature."""
    lower = feature_type.lower()
    if lower == "embedding":
        return TOKEN
    if lower == "logit":
        return OUTPUT
    # Like an error, a bias feeds others and is fed by nothing.
    return ERROR if "error" in lower or lower == "bias" else FEATURE


def cantor(layer: int, feature: int) -> int:
    """One number for a layer and a feature."""
    total = layer + feature
    return total * (total + 1) // 2 + feature


def uncantor(number: int) -> tuple[int, int]:
    """The layer and the feature of a number that is not negative."""
    total = (math.isqrt(8 * number + 1) - 1) // 2
    feature = number - total * (total + 1) // 2
    return total - feature, feature


def feature_number(kind: int, layer: int, position: int, feature: int) -> int:
    """What a file's `feature` says, as circuit-tracer writes it."""
    if kind == FEATURE:
        return cantor(layer, feature) if feature >= 0 else -1
    if kind == TOKEN:
        return position
    return feature if kind == OUTPUT else -1


def feature_of(kind: int, layer: int, position: int, id: str, number: int | None) -> int:
    """The index in its layer, or the token id, that a file's node stands for; -1 if none."""
    found = _ID.fullmatch(id)
    if kind == ERROR:
        return -1
    if kind == OUTPUT:
        return -1 if number is None else number
    if kind == TOKEN:
        return int(found[2]) if found and found[1] == "E" and int(found[3]) == position else -1
    if found and found[1] != "E" and int(found[1]) == layer and int(found[3]) == position:
        return int(found[2])
    if number is None or number < 0:
        return -1
    paired_layer, index = uncantor(number)
    return index if paired_layer == layer else number


def clerp_of(kind: int, text: str, probability: float | None) -> str:
    """The label as written. Viewers search an output's label for its probability."""
    return f'Output "{text}" (p={probability or 0:.3f})' if kind == OUTPUT else text


def name_of(kind: int, clerp: str, token: str) -> str:
    """The name in a label as written."""
    if kind == TOKEN:
        return clerp or token
    found = _OUTPUT.fullmatch(clerp) if kind == OUTPUT else None
    return found[2] if found else clerp


def probability_in(clerp: str) -> float:
    """The p of `(p=...)`, NaN if there is none."""
    found = _PROBABILITY.findall(clerp)
    try:
        return float(found[-1])
    except (IndexError, ValueError):
        return math.nan
