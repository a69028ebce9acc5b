"""Names of features, in a file `labels.json` beside a dictionary's weights.

    {"format": "interp_widgets.labels", "version": 1, "source": "how they were found",
     "labels": [{"layer": 2, "feature": 117, "text": "texas", "score": 0.97, "low": 0.95,
                 "high": 0.99, "control": 0.51, "samples": 240, "active": 120,
                 "by": "rule", "tested_on": "8,532 tokens of 680 texts", "kind": "proposed",
                 "date": "2026-03-01"}]}

A label is a claim, so it comes with how well it holds: `score` is how well the label and the
feature's activation go together on text (area under the ROC curve), on so many samples, `low` and
`high` are its 95% interval, and `control` is the same for random features. A label found in another
way than the rest has a `source` of its own. What is not known is left out.

A label is one line of at most 200 characters. `checked` refuses anything else; a file by others is
read in a kinder way (`one_line`).
"""

from __future__ import annotations

import datetime
import json
import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from interp_widgets.dictionaries.errors import DictionaryError
from interp_widgets.files import write_whole

FILE = "labels.json"
LONGEST = 200
_FORMAT, _VERSION = "interp_widgets.labels", 1
_LARGEST_FILE = 256 << 20

Kind = Literal["", "by hand", "imported", "proposed", "shipped"]
KINDS: tuple[Kind, ...] = get_args(Kind)
By = Literal["", "rule", "examples", "words", "model"]
DETECTORS: tuple[By, ...] = get_args(By)
_Word = TypeVar("_Word", Kind, By)

# Text that turns the direction of what stands around it can make a label read as something else.
_TURNS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True)
class Label:
    """What a feature is called, and how well that holds (None: not measured).

    score: area under the ROC curve, 0 to 1; low, high: its 95% interval; control: the same for
    random features; samples: how many tokens both rest on, and active: on how many of them the
    feature was active (0: not known). by: the detector (features/labelling/detection.py); one
    of "examples" judges what the label was given for, and not its words ("": not known).
    tested_on: what text.
    source: who or what named it; kind: how it came here ("": not known); date: the ISO day it was
    given.
    """

    text: str
    score: float | None = None
    control: float | None = None
    samples: int = 0
    source: str = ""
    kind: Kind = ""
    low: float | None = None
    high: float | None = None
    date: str = ""
    by: By = ""
    active: int = 0
    tested_on: str = ""

    @property
    def words_score(self) -> float | None:
        """The score, where it is one of the words and not of the examples alone."""
        return None if self.by == "examples" else self.score

    @property
    def untested(self) -> Label:
        """The claim alone: text, source, kind and date."""
        return Label(self.text, source=self.source, kind=self.kind, date=self.date)


Labels = Mapping[tuple[int, int], Label]
"""By (layer, feature)."""


class Newer(DictionaryError):
    """A file by a later version of this package: whole, but not ours to read or to change."""


def checked(text: object) -> str:
    """The text of a label, without space around it.

    Raises DictionaryError for what is no text, empty, longer than 200 characters, or not one line
    of characters that can be shown.
    """
    if not isinstance(text, str):
        raise DictionaryError(f"A label is a text, not {type(text).__name__}.")
    stripped = text.strip()
    if not stripped:
        raise DictionaryError("A label needs a text: this one is empty.")
    if len(stripped) > LONGEST:
        raise DictionaryError(
            f"A label is one line of at most {LONGEST} characters: this one has {len(stripped)}."
        )
    if not stripped.isprintable() and stripped != _shown(stripped):
        raise DictionaryError(
            f"A label is one line of plain characters: {stripped[:40]!r} holds a line break or "
            "another character that cannot be shown."
        )
    return stripped


def one_line(text: str) -> str:
    """Somebody else's text as a label: whitespace is one space each, characters that cannot be
    shown are left out, and what is too long ends in "…" ("" where nothing is left)."""
    if len(text) <= LONGEST and text.isprintable() and "  " not in text and text == text.strip():
        return text  # as nearly all are
    # Nothing of the rest would be kept, however long it is.
    line = " ".join(_shown(re.sub(r"\s+", " ", text[: 20 * LONGEST])).split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1].rstrip() + "…"


def visible(letter: str) -> bool:
    """Whether a label may hold it: no control character, line break or turn of direction."""
    return letter not in _TURNS and unicodedata.category(letter) not in ("Cc", "Cs", "Zl", "Zp")


def _shown(text: str) -> str:
    return "".join(filter(visible, text))


def read(folder: Path) -> dict[tuple[int, int], Label]:
    """The labels in a dictionary's folder; none if it has no such file.

    Raises DictionaryError for a file that does not follow the layout above.
    """
    path = folder / FILE
    return read_file(path) if path.is_file() else {}


def read_file(path: Path) -> dict[tuple[int, int], Label]:
    """The labels in a file. Raises DictionaryError for one that does not follow the layout."""
    return rows_of(document_of(path), path)


def document_of(path: Path) -> dict[str, Any]:
    """The JSON of a labels file. Raises DictionaryError; Newer where a later version wrote it."""
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise ValueError(f"more than {_LARGEST_FILE >> 20} MB")
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DictionaryError(f"{path} is not readable JSON ({error}).") from error
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise DictionaryError(f'{path} has no "format": "{_FORMAT}".')
    version = document.get("version")
    if version != _VERSION:
        raise Newer(f"{path} was written by a newer interp_widgets: update the package.")
    return document


def rows_of(document: dict[str, Any], path: Path) -> dict[tuple[int, int], Label]:
    """The labels of a file's JSON."""
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
                _source(row.get("source", source)),
                _one_of(KINDS, row.get("kind", ""), "kind of label"),
                _share(row.get("low")),
                _share(row.get("high")),
                _day(row.get("date", "")),
                _one_of(DETECTORS, row.get("by", ""), "detector of labels"),
                _whole(row.get("active", 0)),
                _source(row.get("tested_on", "")),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DictionaryError(
                f"{path}: entry {number} is not a label ({type(error).__name__}: {error}); it "
                "needs a layer, a feature and a text."
            ) from error
    return found


def write(labels: Labels, folder: Path, source: str) -> Path:
    """Writes `labels.json` into a dictionary's folder, whole or not at all. Raises OSError."""
    return write_file(labels, folder / FILE, source)


def write_file(labels: Labels, path: Path, source: str, **more: Any) -> Path:
    """Writes a labels file, whole or not at all. Raises OSError.

    more: further entries of the JSON object, which other readers pass over.
    """
    rows = []
    for (layer, feature), label in sorted(labels.items()):
        row = {"layer": layer, "feature": feature, **vars(label), "text": one_line(label.text)}
        if label.source in ("", source):
            del row["source"]
        rows.append({k: v for k, v in row.items() if k not in _UNKNOWN or v != _UNKNOWN[k]})
    encode = json.JSONEncoder(ensure_ascii=False).encode
    lines = ",\n".join(map(encode, rows))
    head = json.dumps({"format": _FORMAT, "version": _VERSION, "source": source, **more})[:-1]
    write_whole(path, f'{head}, "labels": [\n{lines}\n]}}\n')
    return path


_UNKNOWN = {field.name: field.default for field in fields(Label) if field.name != "source"}


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is not a whole number of at least 0")
    return value


def _text(value: Any) -> str:
    line = one_line(value) if isinstance(value, str) else ""
    if not line:
        raise ValueError(f"{value!r:.60} is not a text")
    return line


def _share(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not math.isfinite(value) or not 0 <= value <= 1:
        raise ValueError(f"{value!r} is not between 0 and 1")
    return float(value)


def _one_of(known: tuple[_Word, ...], value: Any, what: str) -> _Word:
    for word in known:
        if value == word:
            return word
    listed = ", ".join(repr(word) for word in known if word)
    raise ValueError(f"{value!r:.60} is no {what} ({listed})")


def _day(value: Any) -> str:
    if value == "":
        return ""
    return datetime.date.fromisoformat(value).isoformat()


def _source(value: Any) -> str:
    return one_line(str(value))
