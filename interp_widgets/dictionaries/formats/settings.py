"""A format's settings (a file of a few lines, mostly JSON), taken value by value and checked.

Every complaint is one sentence that names the file, the key and what was expected.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interp_widgets.dictionaries.errors import DictionaryError

# Settings are a few lines; a file beyond this is something else and is not parsed.
MAX_BYTES = 1 << 18


@dataclass(frozen=True)
class Settings:
    """The values of one file.

    Args:
        path: the file, for error messages.
        values: what it holds.
        where: the section inside the file ("metadata."), for error messages.
    """

    path: Path
    values: dict[str, Any]
    where: str = ""

    @classmethod
    def read(
        cls, path: Path, parse: Callable[[str], Any] = json.loads, language: str = "JSON"
    ) -> Settings:
        """What a file holds.

        Args:
            parse: reads text in `language`; raises ValueError for what it cannot read.

        Raises DictionaryError when the file is missing or holds no names with values.
        """
        try:
            if path.stat().st_size > MAX_BYTES:
                raise DictionaryError(
                    f"{path} is larger than {MAX_BYTES} bytes, which no config is."
                )
            values = parse(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise DictionaryError(
                f"{path} is missing; it tells what kind of dictionary this is."
            ) from error
        except DictionaryError:
            raise
        except (OSError, ValueError, RecursionError) as error:
            reason = " ".join(str(error).split())
            raise DictionaryError(f"{path} cannot be read as {language} ({reason}).") from error
        if not isinstance(values, dict):
            raise DictionaryError(
                f"{path} must hold names with values, but holds {reprlib.repr(values)}."
            )
        return cls(path, values)

    def has(self, key: str) -> bool:
        """Whether the key is there with a value; null counts as absent."""
        return self.values.get(key) is not None

    def section(self, key: str) -> Settings:
        """The object at a key; an empty one where there is none."""
        value = self.values.get(key)
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise self.wrong(key, "an object")
        return Settings(self.path, value, f"{self.where}{key}.")

    def text(self, key: str, default: str | None = None) -> str:
        value = self.values.get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            raise self.wrong(key, "text")
        return value

    def maybe(self, *keys: str) -> str | None:
        """The text at the first of the keys that is there."""
        for key in keys:
            if self.has(key):
                return self.text(key)
        return None

    def one_of(self, key: str, known: tuple[str, ...], default: str | None = None) -> str:
        value = self.values.get(key, default)
        for candidate in known:
            if value == candidate:
                return candidate
        raise self.wrong(key, f"one of {', '.join(known)}")

    def whole(self, key: str) -> int:
        """A whole number of at least 1."""
        value = self.values.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise self.wrong(key, "a whole number of at least 1")
        return value

    def number(self, key: str) -> float:
        """A finite number."""
        value = self.values.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e30:
            raise self.wrong(key, "a finite number")
        if value != value:
            raise self.wrong(key, "a finite number")
        return float(value)

    def positive(self, key: str) -> float:
        """A finite number above 0."""
        value = self.number(key)
        if value <= 0:
            raise self.wrong(key, "a number above 0")
        return value

    def flag(self, key: str, default: bool | None = None) -> bool:
        value = self.values.get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, bool):
            raise self.wrong(key, "true or false")
        return value

    def texts(self, key: str) -> list[str]:
        """A list of texts, not empty."""
        value = self.values.get(key)
        if not (isinstance(value, list) and value and all(isinstance(v, str) for v in value)):
            raise self.wrong(key, "a list of texts")
        return value

    def wrong(self, key: str, expected: str) -> DictionaryError:
        if key not in self.values:
            return DictionaryError(
                f"{self.path}: {self.where}{key} is missing, expected {expected}."
            )
        found = reprlib.repr(self.values[key])
        return DictionaryError(f"{self.path}: {self.where}{key} is {found}, expected {expected}.")
