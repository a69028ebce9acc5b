"""Files of strangers: opened within limits, their fields checked, with the place in what is said.

Every reader here gets a value and the place `At` which it stands, and refuses with one sentence that
names file and field. JSON's NaN and Infinity, texts where numbers belong and integers of a thousand
digits are no numbers. Limits hold for what a file unpacks to: a document that is mostly brackets
takes twenty times its size in memory, so brackets are counted before it is parsed.
"""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from ..errors import FeatureError

#: Bytes, unpacked: of one feature, of a file of many, and lists and objects in either.
LARGEST_DOCUMENT = 16 << 20
LARGEST_FILE = 64 << 20
MOST_PARTS = 1 << 20
#: The field of documents, and of what is in them, that is ours.
OURS = "interp_widgets"
_LARGEST_NUMBER = 3.4e38
#: The file of a document that somebody has parsed already.
_PARSED = "the document"
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class At:
    """A place in a document: `feature.json: activations[3].values`."""

    file: str
    field: str = ""

    def __getitem__(self, key: str | int) -> At:
        if isinstance(key, int):
            return At(self.file, f"{self.field}[{key}]")
        return At(self.file, f"{self.field}.{key}" if self.field else key)

    def error(self, found: str) -> FeatureError:
        """The sentence that says what stands here: "is ...: give ..."."""
        if not self.field and self.file == _PARSED:
            return FeatureError(f"{_PARSED} {found}.")
        return FeatureError(f"{self.file}: {self.field or 'the document'} {found}.")


def documents(path: Path) -> Iterator[tuple[At, dict[str, Any]]]:
    """The objects of a file, one by one: of a list, of lines (.jsonl), or the only one; .gz, too.

    Raises FeatureError for a file that is too large or no JSON.
    """
    at = At(path.name)
    name = path.name.lower().removesuffix(".gz")
    if name.endswith((".jsonl", ".ndjson")):
        yield from _lines(path, at)
        return
    content = _content(path, LARGEST_FILE, at)
    try:
        whole = parsed(content, at)
    except FeatureError:
        # Lines that somebody has called .json.
        first = content.lstrip().split(b"\n", 1)
        if len(first) < 2 or not first[0].rstrip().endswith(b"}"):
            raise
        yield from _lines(path, at)
        return
    if isinstance(whole, list):
        for number, item in enumerate(whole):
            yield at[number], an_object(item, at[number])
    else:
        yield at, an_object(whole, at)


def document(path: Path) -> dict[str, Any]:
    """The one object of a file."""
    at = At(path.name)
    return an_object(parsed(_content(path, LARGEST_DOCUMENT, at), at), at)


def parsed(content: bytes, at: At) -> Any:
    if content.count(b"[") + content.count(b"{") > MOST_PARTS:
        raise at.error(f"has more than {MOST_PARTS:,} lists and objects, so it is not read")
    try:
        return json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise at.error(f"is not readable JSON ({error})") from error


def _lines(path: Path, at: At) -> Iterator[tuple[At, dict[str, Any]]]:
    try:
        with _open(path) as file:
            number = 0
            while line := file.readline(LARGEST_DOCUMENT + 1):
                number += 1
                place = At(f"{at.file}, line {number}")
                if len(line) > LARGEST_DOCUMENT:
                    raise place.error(_too_large(LARGEST_DOCUMENT))
                if line.strip():
                    yield place, an_object(parsed(line, place), place)
    except (OSError, EOFError, zlib.error) as error:
        raise at.error(f"cannot be read ({error})") from error


def _content(path: Path, limit: int, at: At) -> bytes:
    try:
        with _open(path) as file:
            content = file.read(limit + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise at.error(f"cannot be read ({error})") from error
    if len(content) > limit:
        raise at.error(_too_large(limit))
    return content


def _open(path: Path) -> IO[bytes]:
    file = path.open("rb")
    packed = file.read(2) == _GZIP
    file.seek(0)
    return cast(IO[bytes], gzip.open(file)) if packed else file


def _too_large(limit: int) -> str:
    return f"is larger than {limit >> 20} MB, so it is not read: split it"


# --- fields ------------------------------------------------------------------------------------


def first(document: dict[str, Any], *names: str) -> tuple[str, Any]:
    """The first of several spellings that is there and not null, and its value."""
    for name in names:
        if document.get(name) is not None:
            return name, document[name]
    return names[0], None


def ours_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """What we wrote beside the fields of others; nothing where we did not."""
    value = document.get(OURS)
    return value if isinstance(value, dict) else {}


def an_object(value: Any, at: At) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise at.error(f"is {shown(value)} where an object should be")
    return value


def a_list(value: Any, at: At) -> list[Any]:
    if not isinstance(value, list):
        raise at.error(f"is {shown(value)} where a list should be")
    return value


def objects(value: Any, at: At) -> list[dict[str, Any]]:
    return [an_object(item, at[i]) for i, item in enumerate(a_list(value, at))]


def texts(value: Any, at: At) -> tuple[str, ...]:
    for i, item in enumerate(a_list(value, at)):
        if not isinstance(item, str):
            raise at[i].error(f"is {shown(item)} where a text should be")
    return tuple(map(clean, value))


def numbers(value: Any, at: At) -> tuple[float, ...]:
    for i, item in enumerate(a_list(value, at)):
        if math.isnan(number(item)):
            raise at[i].error(f"is {shown(item)} where a finite number should be")
    return tuple(map(float, value))


def number(value: Any) -> float:
    """A finite number as it is, anything else as NaN."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    return float(value) if abs(value) <= _LARGEST_NUMBER else math.nan


def whole(value: Any, at: At) -> int:
    """A number that counts, which some write as text."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 18:
        return int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 60:
        raise at.error(f"is {shown(value)} where a whole number of at least 0 should be")
    return value


def share(value: Any) -> float | None:
    """A number from 0 to 1, None for anything else."""
    found = number(value)
    return found if 0 <= found <= 1 else None


def text(value: Any) -> str:
    """A text, "" for anything else."""
    return clean(value) if isinstance(value, str) else ""


def clean(value: str) -> str:
    """Without halves of characters, which JSON can spell and no file can hold."""
    if value.isascii():
        return value
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def shown(value: Any) -> str:
    """A value for a message, never long."""
    if value is None:
        return "missing"
    if isinstance(value, str):
        return "the text " + ascii(value if len(value) <= 40 else value[:40] + "…")
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, int) and abs(value) >= 1 << 63:
        return "a huge number"
    return str(value)
