"""The file of a user's labels: where it lies, how it is read, locked, written and set aside.

`labels/<name>-<8 of the fingerprint>.json` in the user's data folder, in the layout of
`dictionaries/labels.py`, and `hidden`: the features whose shipped label the user took away.
"""

from __future__ import annotations

import datetime
import hashlib
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from platformdirs import user_data_path

from ...dictionaries import labels as files
from ...dictionaries.errors import DictionaryError
from ...dictionaries.labels import Label
from ..errors import FeatureError

Key = tuple[int, int]
State = tuple[Label | None, bool]
"""What a user's file says of one feature: the label, and whether the shipped one is hidden."""
_PATIENCE = 10.0


def data_folder() -> Path:
    """`$INTERP_WIDGETS_DATA`, else this platform's folder for what users made."""
    if chosen := os.environ.get("INTERP_WIDGETS_DATA"):
        return Path(chosen).expanduser().absolute()
    return user_data_path("interp_widgets", appauthor=False)


def path_of(scan: str, fingerprint: str = "") -> Path:
    """Where the labels of a dictionary lie, by its name and fingerprint."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", scan).strip("-.")[:60] or "unnamed"
    mark = fingerprint or hashlib.sha256(scan.encode("utf-8", "replace")).hexdigest()
    return data_folder() / "labels" / f"{name}-{mark[:8]}.json"


@dataclass(frozen=True)
class Own:
    """What a user's file says. hidden: features whose shipped label is not shown."""

    labels: dict[Key, Label] = field(default_factory=dict)
    hidden: frozenset[Key] = frozenset()

    def of(self, key: Key) -> State:
        return self.labels.get(key), key in self.hidden

    def with_states(self, states: Mapping[Key, State]) -> Own:
        labels = {key: label for key, label in self.labels.items() if key not in states}
        labels |= {key: label for key, (label, _) in states.items() if label is not None}
        hidden = (self.hidden - states.keys()) | {k for k, (_, gone) in states.items() if gone}
        return Own(labels, frozenset(hidden))

    def differs(self, other: Own) -> frozenset[Key]:
        """The features of which the two say different things."""
        keys = self.labels.keys() | other.labels.keys() | self.hidden | other.hidden
        return frozenset(key for key in keys if self.of(key) != other.of(key))


def same(one: State, other: State) -> bool:
    """Whether both call the feature the same, however well that was found to hold."""
    (first, hidden), (second, also) = one, other
    return hidden == also and (first and first.untested) == (second and second.untested)


def read(path: Path) -> Own:
    """What a user's file says; nothing if there is none. Raises DictionaryError."""
    if not path.exists():
        return Own()
    document = files.document_of(path)
    hidden: Any = document.get("hidden", [])
    try:
        gone = frozenset((int(layer), int(feature)) for layer, feature in hidden)
    except (TypeError, ValueError) as error:
        raise DictionaryError(f"{path}: hidden is not a list of (layer, feature).") from error
    return Own(files.rows_of(document, path), gone)


def is_damaged(error: DictionaryError) -> bool:
    """Whether there is nothing in a file that anybody could read: not one of a later version, nor
    one that this user may not open."""
    return not isinstance(error, files.Newer) and not isinstance(error.__cause__, OSError)


def write(path: Path, own: Own, scan: str) -> None:
    """Put the file down whole. Raises FeatureError where that cannot be done."""
    try:
        hidden = sorted(list(key) for key in own.hidden)
        files.write_file(own.labels, path, "", scan=scan, hidden=hidden)
    except OSError as error:
        raise FeatureError(_unwritable(path, error)) from error


def move_aside(path: Path) -> Path:
    """Give a file that cannot be read another name, which is returned."""
    day = datetime.date.today().isoformat()
    aside = path.with_name(f"{path.stem}.unreadable-{day}-{secrets.token_hex(2)}{path.suffix}")
    try:
        os.rename(path, aside)
    except OSError as error:
        raise FeatureError(
            f"{path} is not readable as labels and cannot be moved aside ({error}): nothing was "
            "labelled."
        ) from error
    return aside


def mark(path: Path) -> tuple[int, ...] | None:
    """What changes when a file is written; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Nobody else writes the file meanwhile. Raises FeatureError where it cannot be had."""
    lock = FileLock(path.with_name(f"{path.name}.lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=_PATIENCE)
    except Timeout as error:
        raise FeatureError(
            f"Another program has been writing {path} for {_PATIENCE:.0f} s: nothing was "
            "labelled; try again."
        ) from error
    except (OSError, NotImplementedError) as error:
        raise FeatureError(_unwritable(path, error)) from error
    try:
        yield
    finally:
        lock.release()


def _unwritable(path: Path, error: Exception) -> str:
    return (
        f"The labels cannot be saved in {path} ({error}): nothing was labelled. Set "
        "INTERP_WIDGETS_DATA to a folder that can be written."
    )
