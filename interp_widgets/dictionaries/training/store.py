"""Activations on disk: run the model once, train from them often.

    config.json                      the model, the places and their widths, the files
    activations-00000.safetensors    "L3 mlp_in" [n, d], ..., "rows" [row, context], "kept" (bool)

n counts the kept positions of all rows, in reading order. Files are memory-mapped, so a training
reads only what it uses. config.json is written last: a folder that has one is complete.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from interp_widgets.dictionaries.errors import DictionaryError
from interp_widgets.dictionaries.training.corpus import Corpus, Position
from interp_widgets.dictionaries.training.stream import Group, TextStream
from interp_widgets.files import write_whole
from interp_widgets.models import Model, Place

_FORMAT = "interp_widgets.activations"
_FILE_BYTES = 1 << 28


def store_activations(
    model: Model,
    places: Sequence[Place],
    text: Iterable[str] | Path,
    folder: str | Path,
    *,
    tokens: int,
    context: int = 128,
    rows: int = 16,
    dtype: torch.dtype | None = None,
    progress: Callable[[float, str], None] = lambda share, message: None,
) -> ActivationStore:
    """Write what a model has at some places while it reads a text.

    Args:
        tokens: at least so many vectors per place; fewer where the text can be read only once
            and ends.
        context: tokens per row, at most those the model reads.
        rows: per forward pass.
        dtype: of what is written; None: the model's.
        progress: called after each forward pass with the share that is done and a sentence.

    Raises DictionaryError where the folder holds a store already.
    """
    folder = Path(folder)
    if (folder / "config.json").exists():
        raise DictionaryError(f"{folder} holds activations already: choose another folder.")
    folder.mkdir(parents=True, exist_ok=True)
    context = min(context, getattr(model.config, "max_position_embeddings", None) or context)
    stream = TextStream(model, Corpus(text, model.tokenizer, context), places, rows)
    size = sum(stream.widths.values()) * rows * context * 4
    per_file = max(1, _FILE_BYTES // size)
    files: list[dict[str, Any]] = []
    groups = stream.groups(Position())
    done = 0
    while done < tokens:
        parts: list[tuple[Group, Mapping[Place, Tensor]]] = []
        for group, _ in islice(groups, per_file):
            if len(group.rows) < rows:
                break
            parts.append((group, group.read()))
            done += int(group.kept.sum())
            progress(min(1.0, done / tokens), f"{done:,} of {tokens:,} tokens")
            if done >= tokens:
                break
        if not parts:
            break
        name = f"activations-{len(files):05d}.safetensors"
        held = {
            str(place): torch.cat([seen[place].to("cpu", dtype) for _, seen in parts])
            for place in stream.widths
        }
        held["rows"] = torch.cat([group.rows for group, _ in parts]).to(torch.int32)
        held["kept"] = torch.cat([group.kept for group, _ in parts])
        write_whole(folder / name, partial(save_file, held))
        files.append({"name": name, "groups": len(parts)})
    if not files:
        raise DictionaryError(f"The text is shorter than one forward pass ({rows} x {context}).")
    about = {
        "format": _FORMAT,
        "version": 1,
        "model": model.name,
        "context": context,
        "rows": rows,
        "tokens": done,
        "places": [[place.layer, place.site, width] for place, width in stream.widths.items()],
        "files": files,
        "fingerprint": stream.fingerprint,
    }
    write_whole(folder / "config.json", json.dumps(about, indent=1) + "\n")
    return ActivationStore(folder)


class ActivationStore:
    """A folder that `store_activations` wrote; give it to `train` in place of a text.

    Raises DictionaryError for a folder that is not complete or not such a store.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        try:
            about = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
            if about["format"] != _FORMAT or about["version"] != 1:
                raise ValueError("another format")
            self.widths = {Place(layer, site): int(d) for layer, site, d in about["places"]}
            self.model_name, self.tokens = str(about["model"]), int(about["tokens"])
            self.context, self.n_rows = int(about["context"]), int(about["rows"])
            self.fingerprint = str(about["fingerprint"])
            self._files = [(str(f["name"]), int(f["groups"])) for f in about["files"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DictionaryError(
                f"{self.folder} holds no complete activations ({error}): write them again with "
                "store_activations."
            ) from None
        self._open = cache(self._read_file)

    def __repr__(self) -> str:
        places = ", ".join(map(str, self.widths))
        return f"ActivationStore({str(self.folder)!r}, {self.tokens:,} tokens of {places})"

    def groups(self, start: Position) -> Iterator[tuple[Group, Position]]:
        """Groups from `start` on, again from the first behind the last."""
        where = [(name, i) for name, n in self._files for i in range(n)]
        index, epoch = start.document, start.epoch
        while True:
            if index >= len(where):
                index, epoch = 0, epoch + 1
            yield self._group(*where[index]), Position(epoch, index + 1)
            index += 1

    def _group(self, name: str, index: int) -> Group:
        file, rows, kept = self._open(name)
        mine = slice(index * self.n_rows, (index + 1) * self.n_rows)
        first = int(kept[: mine.start].sum())
        count = int(kept[mine].sum())

        def read() -> dict[Place, Tensor]:
            return {
                place: file.get_slice(str(place))[first : first + count] for place in self.widths
            }

        return Group(rows[mine].to(torch.int64), kept[mine], read)

    def _read_file(self, name: str) -> tuple[Any, Tensor, Tensor]:
        try:
            file: Any = safe_open(self.folder / name, framework="pt")
            return file, file.get_tensor("rows"), file.get_tensor("kept")
        except (OSError, SafetensorError) as error:
            raise DictionaryError(
                f"{self.folder / name} cannot be read ({error}): write the activations again."
            ) from None
