"""Text to rows of tokens, all of one length, from a position that can be found again.

Documents are packed: their tokens, an end-of-text token behind each where the tokenizer has one,
are cut into pieces of context - 1, and a special token is put in front of every piece, as
`Model.tokenize` does with a prompt. Special tokens and the first position carry outsize
activations (attention sinks) and are left out of training, as they are left out of graphs.

A `Position` names the next token by document and offset, so a training that was killed goes on
with the very next row although nobody kept the text. A text that ends is read again from its
beginning, unless it can be read only once.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from interp_widgets.dictionaries.errors import DictionaryError

# Files are cut into documents of about this many characters, at line ends.
PIECE = 1 << 16
# Fast tokenizers work through a batch of documents at once.
AT_ONCE = 64
# Characters; a longer text is no path on any system.
LONGEST_PATH = 4096


@dataclass(frozen=True)
class Position:
    """The token that comes next: its reading of the text, its document there, its offset."""

    epoch: int = 0
    document: int = 0
    offset: int = 0


def n_bytes(text: str) -> int:
    """How long it is in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def located(text: Any) -> Any:
    """The text, or where it lies: a str of one line that ends in .txt or .jsonl, or that names a
    folder, is a path. (A sentence that happens to end so is a text, if there is no such file.)

    Raises DictionaryError for a mapping, of which only the names would be read.
    """
    if isinstance(text, Mapping):
        names = ", ".join(map(repr, list(text)[:3]))
        raise DictionaryError(
            f"The text is a {type(text).__name__} ({names}): give a list of texts, such as one of "
            "its values."
        )
    if not isinstance(text, str) or len(text) > LONGEST_PATH:
        return text
    if re.search(r"[\n\r\0]", text) or not re.search(r"\w", text):
        return text
    path = Path(text).expanduser()
    try:
        ends = path.suffix in (".txt", ".jsonl")
        there = path.is_file() if ends else path.is_dir()
    except OSError:  # no name that a file could have
        return text
    return path if there or (ends and not re.search(r"\s", text)) else text


class Corpus:
    """The rows of a text.

    Args:
        text: documents, one text, or a .txt or .jsonl file (strings, or objects with "text"), or a
            folder of such files; see `located`.
        tokenizer: of the model that will read the rows.
        context: tokens per row, the special token in front included.

    Raises DictionaryError for a text that is none of these.
    """

    def __init__(self, text: Iterable[str] | Path, tokenizer: Any, context: int) -> None:
        text = located(text)
        if isinstance(text, str):
            text = [text]
        if not isinstance(text, (Path, Iterable)):
            raise DictionaryError(
                f"A text is a list of documents or a Path, not {type(text).__name__}."
            )
        if context < 2:
            raise DictionaryError(f"The context is at least 2 tokens, not {context}.")
        if isinstance(text, Path):
            _files(text)
        self.path = text if isinstance(text, Path) else None
        self.context = context
        self._text, self._tokenizer = text, tokenizer
        self._once = isinstance(text, Iterator)

    def documents(self) -> Iterator[str]:
        """The documents, from the first; a text that can be read only once goes on."""
        return _from_files(self._text) if isinstance(self._text, Path) else iter(self._text)

    @property
    def once(self) -> bool:
        """Whether the text can be read only once."""
        return self._once

    def size(self) -> int:
        """How many bytes of UTF-8 there are, in files with what stands around the documents; 0 where
        that is not known before they are read."""
        if self.path is not None:
            return sum(path.stat().st_size for path in _files(self.path))
        text = self._text if isinstance(self._text, list | tuple) else ()
        return sum(n_bytes(each) for each in text if isinstance(each, str))

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the first document, to tell another text; "" for one that is read once."""
        first = "" if self._once else next(self.documents(), "")
        return hashlib.sha256(first.encode()).hexdigest() if first else ""

    @cached_property
    def special(self) -> Tensor:
        """[n], the ids of the tokenizer's special tokens."""
        return torch.tensor(sorted(self._tokenizer.all_special_ids), dtype=torch.int64)

    def trained_on(self, rows: Tensor) -> Tensor:
        """Which positions of rows are trained on: bool, the shape of `rows` [row, context]."""
        kept = ~torch.isin(rows, self.special)
        kept[:, 0] = False
        return kept

    def rows(self, start: Position) -> Iterator[tuple[Tensor, Position]]:
        """Rows [context] from `start` on, each with the position behind it.

        Endless, unless the text can be read only once. Raises DictionaryError for a text without
        a single token.
        """
        tok = self._tokenizer
        names = (tok.bos_token_id, tok.pad_token_id, tok.eos_token_id, *tok.all_special_ids)
        front = [i for i in names if i is not None][:1]
        wanted = self.context - len(front)
        waiting: list[int] = []
        for ids, position in self._tokens(start):
            waiting += ids
            while len(waiting) >= wanted:
                # Of this document's tokens all but the waiting ones are used.
                left = len(waiting) - wanted
                row, waiting = waiting[:wanted], waiting[wanted:]
                behind = Position(position.epoch, position.document, position.offset - left)
                yield torch.tensor(front + row, dtype=torch.int64), behind

    def _tokens(self, start: Position) -> Iterator[tuple[list[int], Position]]:
        """Each document's tokens from `start` on, with the position behind the last."""
        epoch, document, offset = start.epoch, start.document, start.offset
        end = self._tokenizer.eos_token_id
        found = True
        while True:
            if not found:  # a whole reading gave nothing
                raise DictionaryError("The text holds no tokens: give at least one document.")
            found = (document, offset) != (0, 0)
            documents = islice(self.documents(), document, None)
            while some := list(islice(documents, AT_ONCE)):
                wrong = next((d for d in some if not isinstance(d, str)), None)
                if wrong is not None:
                    raise DictionaryError(
                        f"Documents are texts, but document {document} or one of the next is "
                        f"{type(wrong).__name__}."
                    )
                encoded = self._tokenizer(some, add_special_tokens=False, verbose=False)
                for ids in encoded["input_ids"]:
                    ids = ids if end is None or not ids else [*ids, end]
                    if len(ids) > offset:
                        found = True
                        yield ids[offset:], Position(epoch, document, len(ids))
                    document, offset = document + 1, 0
            if self._once:
                return
            epoch, document, offset = epoch + 1, 0, 0


def _files(path: Path) -> list[Path]:
    """The files of a text; raises DictionaryError where there are none."""
    if path.is_file() and path.suffix in (".txt", ".jsonl"):
        return [path]
    found = sorted([*path.glob("*.txt"), *path.glob("*.jsonl")]) if path.is_dir() else []
    if not found:
        raise DictionaryError(
            f"{path} is neither a .txt or .jsonl file nor a folder that holds such files."
        )
    return found


def _from_files(path: Path) -> Iterator[str]:
    for file in _files(path):
        with file.open(encoding="utf-8-sig", errors="replace") as lines:
            yield from _json_lines(file, lines) if file.suffix == ".jsonl" else _pieces(lines)


def _pieces(lines: Iterable[str]) -> Iterator[str]:
    piece: list[str] = []
    size = 0
    for line in lines:
        piece.append(line)
        size += len(line)
        if size >= PIECE:
            yield "".join(piece)
            piece, size = [], 0
    if piece:
        yield "".join(piece)


def _json_lines(file: Path, lines: Iterable[str]) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError:
            value = None
        text = value.get("text") if isinstance(value, dict) else value
        if not isinstance(text, str):
            raise DictionaryError(
                f'{file.name}, line {number}: neither a JSON string nor an object with a "text".'
            )
        yield text
