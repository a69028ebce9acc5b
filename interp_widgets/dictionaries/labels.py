"""Names of features, in a file `labels.json` beside a dictionary's weights.

    {"format": "interp_widgets.labels", "version": 1, "source": "how they were found",
     "labels": [{"layer": 2, "feature": 117, "text": "texas", "score": 0.97, "control": 0.51,
                 "samples": 240}]}

A label is a claim, so it comes with how well it holds: `score` is how well the feature's
activation separates text the label speaks of from other text (area under the ROC curve), on so
many samples, and `control` is the same for random features. A label found in another way than the
rest has a `source` of its own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from interp_widgets.dictionaries.errors import DictionaryError
from interp_widgets.files import write_whole

FILE = "labels.json"
_FORMAT, _VERSION = "interp_widgets.labels", 1


@dataclass(frozen=True)
class Label:
    """What a feature is called, and how well that holds (None: not measured).

    score: area under the ROC curve, 0 to 1; control: the same for random features;
    samples: how many texts both rest on; source: who or what named it.
    """

    text: str
    score: float | None = None
    control: float | None = None
    samples: int = 0
    source: str = ""


Labels = Mapping[tuple[int, int], Label]
"""By (layer, feature)."""


def read(folder: Path) -> dict[tuple[int, int], Label]:
    """The labels in a dictionary's folder; none if it has no such file.

    Raises DictionaryError for a file that does not follow the layout above.
    """
    path = folder / FILE
    if not path.is_file():
        return {}
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DictionaryError(f"{path} is not readable JSON ({error}).") from error
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise DictionaryError(f'{path} has no "format": "{_FORMAT}".')
    if document.get("version") != _VERSION:
        raise DictionaryError(f"{path} was written by a newer interp_widgets: update the package.")
    rows, source = document.get("labels"), str(document.get("source", ""))
    if not isinstance(rows, list):
        raise DictionaryError(f"{path}: labels is not a list.")
    found = {}
    for number, row in enumerate(rows):
        try:
            found[_whole(row["layer"]), _whole(row["feature"])] = Label(
                _text(row["text"]),
                _share(row.get("score")),
                _share(row.get("control")),
                _whole(row.get("samples", 0)),
                str(row.get("source", source)),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DictionaryError(
                f"{path}: entry {number} is not a label ({type(error).__name__}: {error}); it "
                "needs a layer, a feature and a text."
            ) from error
    return found


def write(labels: Labels, folder: Path, source: str) -> Path:
    """Writes `labels.json` into a dictionary's folder, whole or not at all. Raises OSError."""
    rows = []
    for (layer, feature), label in sorted(labels.items()):
        row = {"layer": layer, "feature": feature, **asdict(label)}
        if label.source in ("", source):
            del row["source"]
        rows.append(row)
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    head = json.dumps({"format": _FORMAT, "version": _VERSION, "source": source})[:-1]
    path = folder / FILE
    write_whole(path, f'{head}, "labels": [\n{lines}\n]}}\n')
    return path


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is not a whole number of at least 0")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{value!r} is not a text")
    return value


def _share(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not math.isfinite(value) or not 0 <= value <= 1:
        raise ValueError(f"{value!r} is not between 0 and 1")
    return float(value)
