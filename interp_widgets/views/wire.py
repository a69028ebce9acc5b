"""A graph as one binary buffer: what Python sends and the browser reads.

    u32 LE header length H | H bytes JSON, space padded so that 4 + H is a multiple of 8 | sections

Every section is little-endian, starts 8-byte aligned counted from the buffer's start, and is
named in the header with offset, dtype and length. Links are compressed rows by target, each row
sorted by descending absolute weight. `js/graph/buffer.ts` is the other half.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from ..json_numbers import finite

FORMAT = "interp-widgets-graph"
VERSION = 1

FEATURE, ERROR, TOKEN, LOGIT = 0, 1, 2, 3

SECTIONS: dict[str, str] = {
    "kind": "u1",
    "layer": "i2",
    "position": "i4",
    "feature": "i4",
    "activation": "f4",
    "influence": "f4",
    "cumulative": "f4",
    "input_sum": "f4",
    "error_input": "f4",
    "bias": "f4",
    "value": "f4",
    "probability": "f4",
    "effect": "f4",
    "link_ptr": "u4",
    "link_source": "u4",
    "link_weight": "f4",
}

# Values for sections a caller leaves out: zero where a sum is meant, NaN where there is no value.
_DEFAULTS: dict[str, float] = {
    "feature": -1,
    "activation": np.nan,
    "influence": 0.0,
    "cumulative": 0.0,
    "input_sum": 0.0,
    "error_input": 0.0,
    "bias": 0.0,
    "value": np.nan,
    "probability": np.nan,
    "effect": np.nan,
}


def pack(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> bytes:
    """The buffer for a graph.

    Args:
        header: `prompt`, `tokens`, `n_layers` and `ids` are needed; `names`, `unit`,
            `error_name`, `weight_name`, `links_total`, `scores` and `controls` have defaults. The counts
            and the section table are written here.
        arrays: by section name. `kind`, `layer` and `position` are needed; links default to none.
            Rows are sorted by descending absolute weight here if they are not yet.

    Raises:
        ValueError: a section is unknown, missing, of the wrong length, or links do not add up.
    """
    missing = [key for key in ("prompt", "tokens", "n_layers", "ids") if key not in header]
    if missing:
        raise ValueError(f"The header needs {', '.join(missing)}.")
    unknown = sorted(set(arrays) - set(SECTIONS))
    if unknown:
        raise ValueError(
            f"Unknown section {', '.join(unknown)}. Sections are {', '.join(SECTIONS)}."
        )
    ids = [str(item) for item in header["ids"]]
    nodes = len(ids)
    if len(set(ids)) != nodes:
        raise ValueError("Node ids must be unique.")
    names = [str(item) for item in header.get("names") or [""] * nodes]
    if len(names) != nodes:
        raise ValueError(f"There are {nodes} ids but {len(names)} names.")

    columns = {name: _column(name, arrays, nodes) for name in SECTIONS}
    links = _check_links(columns, nodes)
    _sort_rows(columns, nodes)

    full = {
        "format": FORMAT,
        "version": VERSION,
        "prompt": str(header["prompt"]),
        "tokens": [str(token) for token in header["tokens"]],
        "n_layers": int(header["n_layers"]),
        "unit": header.get("unit", "feature"),
        "error_name": header.get("error_name", "unexplained"),
        "weight_name": header.get("weight_name", "direct effect, attention frozen"),
        "nodes": nodes,
        "links": links,
        "links_total": int(header.get("links_total", links)),
        "scores": _scores(header.get("scores")),
        "controls": _scores(header.get("controls")),
        "ids": ids,
        "names": names,
    }
    return write(full, columns)


def unpack(buffer: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Header and arrays of a buffer; the arrays are read-only views into it."""
    return read(buffer, FORMAT, VERSION, "graph")


def read(
    buffer: bytes, format: str, version: int, what: str
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The same for a buffer of any format laid out like this. Raises ValueError, naming `what`."""
    if len(buffer) < 8:
        raise ValueError(f"The buffer is too short to hold a {what}.")
    length = int.from_bytes(buffer[:4], "little")
    if 4 + length > len(buffer):
        raise ValueError("The buffer is cut short.")
    header = json.loads(bytes(buffer[4 : 4 + length]).decode("utf-8"))
    if header.get("format") != format:
        raise ValueError(f"This buffer does not hold a {what}.")
    if header.get("version") != version:
        raise ValueError(f"Format version {header.get('version')} is not {version}.")
    arrays = {}
    for name, section in header["sections"].items():
        dtype = np.dtype("<" + section["dtype"])
        if section["offset"] + section["length"] * dtype.itemsize > len(buffer):
            raise ValueError("The buffer is cut short.")
        arrays[name] = np.frombuffer(buffer, dtype, section["length"], section["offset"])
    return header, arrays


def read_header(buffer: bytes) -> dict[str, Any]:
    """The header alone, without touching the arrays; an empty buffer gives an empty dict."""
    if len(buffer) < 8:
        return {}
    length = int.from_bytes(buffer[:4], "little")
    header: dict[str, Any] = json.loads(bytes(buffer[4 : 4 + length]).decode("utf-8"))
    return header


def _column(name: str, arrays: dict[str, np.ndarray], nodes: int) -> np.ndarray:
    dtype = np.dtype("<" + SECTIONS[name])
    if name in arrays:
        column = np.ascontiguousarray(arrays[name], dtype)
    elif name in _DEFAULTS:
        column = np.full(nodes, _DEFAULTS[name], dtype)
    elif name == "link_ptr":
        column = np.zeros(nodes + 1, dtype)
    elif name in ("link_source", "link_weight"):
        column = np.zeros(0, dtype)
    else:
        raise ValueError(f'Section "{name}" is missing.')
    if column.ndim != 1:
        raise ValueError(f'Section "{name}" must have one dimension, not {column.ndim}.')
    if not name.startswith("link_") and len(column) != nodes:
        raise ValueError(f'Section "{name}" has {len(column)} values for {nodes} nodes.')
    return column


def _check_links(columns: dict[str, np.ndarray], nodes: int) -> int:
    ptr, source, weight = columns["link_ptr"], columns["link_source"], columns["link_weight"]
    links = len(source)
    if len(weight) != links:
        raise ValueError(f"There are {links} link sources but {len(weight)} link weights.")
    if len(ptr) != nodes + 1 or ptr[0] != 0 or ptr[-1] != links:
        raise ValueError(f"link_ptr must run from 0 to {links} in {nodes + 1} steps.")
    if np.any(ptr[1:] < ptr[:-1]):
        raise ValueError("link_ptr must not fall.")
    if links and int(source.max()) >= nodes:
        raise ValueError(f"Link source {int(source.max())} is not one of the {nodes} nodes.")
    return links


def _sort_rows(columns: dict[str, np.ndarray], nodes: int) -> None:
    ptr, weight = columns["link_ptr"], columns["link_weight"]
    size = np.abs(weight)
    row = np.repeat(np.arange(nodes), np.diff(ptr))
    inside = row[1:] == row[:-1]
    if not np.any(inside & (size[1:] > size[:-1])):
        return
    order = np.lexsort((-size, row))
    columns["link_source"] = columns["link_source"][order]
    columns["link_weight"] = weight[order]


def _scores(scores: Any) -> dict[str, float | None] | None:
    if scores is None:
        return None
    return {str(key): finite(value) for key, value in scores.items()}


def write(header: dict[str, Any], columns: dict[str, np.ndarray]) -> bytes:
    """A buffer laid out as above; the columns are little-endian, [n] each."""
    # Offsets depend on the header's length, which depends on the offsets' digits: write the table
    # with offsets from the end of the header until the padded length stands still.
    length = 0
    while True:
        offset = 4 + length
        sections = {}
        for name, column in columns.items():
            dtype = column.dtype.str[1:]
            sections[name] = {"offset": offset, "dtype": dtype, "length": len(column)}
            offset += -(-column.nbytes // 8) * 8
        text = json.dumps({**header, "sections": sections}, allow_nan=False).encode("utf-8")
        needed = -(-(4 + len(text)) // 8) * 8 - 4
        if needed <= length:
            break
        length = needed
    parts = [length.to_bytes(4, "little"), text.ljust(length)]
    for column in columns.values():
        parts.append(column.tobytes())
        parts.append(bytes(-column.nbytes % 8))
    return b"".join(parts)
