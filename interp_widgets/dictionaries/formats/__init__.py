"""One module per file format, and which of them a folder is read and written by.

Each has `name`, `files` (patterns; the first is the file by which it is known), `matches(folder)`
and `load(folder, scan, lazy)`; inside, small functions make a dictionary of settings and tensors.
What they have in common:

    settings.py       a config's values, checked      weights_file.py   a file's tensors
    folding.py        what is folded into weights     hooks.py          names of places
    writing.py        a folder, all of it or nothing
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, Protocol

from interp_widgets.dictionaries import hub, labels
from interp_widgets.dictionaries.coder import SparseCoder
from interp_widgets.dictionaries.cross_layer import CrossLayerTranscoder
from interp_widgets.dictionaries.errors import DictionaryError
from interp_widgets.dictionaries.formats import (
    circuit_tracer,
    dictionary_learning,
    gemma_scope,
    gemma_scope_2,
    interp_widgets,
    llama_scope,
    llamascopium,
    saelens,
    sparsify,
)
from interp_widgets.dictionaries.transcoder import Transcoders

Loaded = SparseCoder | Transcoders | CrossLayerTranscoder
Layout = Literal["interp_widgets", "circuit-tracer", "saelens"]


class Format(Protocol):
    """A module of this package."""

    name: str

    @property
    def files(self) -> Sequence[str]: ...

    def matches(self, folder: Path) -> bool: ...

    def load(self, folder: Path, scan: str, lazy: bool | None = None) -> Loaded: ...


# The first that matches reads, so the ones with telling file names come first.
FORMATS: tuple[Format, ...] = (
    interp_widgets,
    sparsify,
    dictionary_learning,
    gemma_scope,
    gemma_scope_2,
    llama_scope,
    llamascopium,
    saelens,
    circuit_tracer,
)


def load(path: str | Path, *, lazy: bool | None = None) -> Loaded:
    """A dictionary from a folder or from the Hugging Face hub, in any of the known formats.

    Args:
        path: a folder, or where there is none of that name, owner/name of a hub repository,
            with /folder and @revision behind it where needed. A folder whose folders hold one
            transcoder for each layer of a model is read as a whole.
        lazy: True leaves encoder and decoder matrices on disk and reads rows when they are
            used; False reads everything now; None leaves only files over 256 MB on disk.
            Files that are left on disk must stay in place while the dictionary is in use.

    Returns:
        Weights on the CPU in the dtype they are stored in; `.to(device, dtype)` changes both.

    Raises:
        DictionaryError: one sentence on what is wrong, naming the file.
    """
    folder, scan = Path(path), Path(path).resolve().name
    if not folder.is_dir():
        reference = hub.parse(str(path))
        if reference is None or folder.exists():
            raise DictionaryError(f"{folder} is not a folder.")
        folder = hub.download_folder(reference, [reader.files for reader in FORMATS])
        scan = str(path)
    reader = _reader(folder)
    if reader is not None:
        return _labelled(reader.load(folder, scan=scan, lazy=lazy), folder)
    parts = sorted(part for part in folder.iterdir() if part.is_dir() and _reader(part))
    if not parts:
        known = "; ".join(reader.name.split(" (")[0] for reader in FORMATS)
        raise DictionaryError(
            f"{folder} holds no dictionary in a known format; known are: {known}."
        )
    return _labelled(_set(folder, parts, scan, lazy), folder)


def save(
    dictionary: Loaded,
    folder: str | Path,
    layout: Layout = "interp_widgets",
    dtype: interp_widgets.Dtype | None = None,
) -> None:
    """Writes a dictionary to a new or empty folder.

    Args:
        layout: whose files to write; "interp_widgets" holds everything a dictionary can be.
        dtype: what weights are stored as, in our own layout; None: as they are held, bit for bit.

    Raises:
        DictionaryError: the folder holds something already or cannot be written, or the layout
            has no words for the dictionary.
    """
    if layout not in ("interp_widgets", "circuit-tracer", "saelens"):
        raise DictionaryError(
            f"There is no layout {layout!r}; there are interp_widgets, circuit-tracer, saelens."
        )
    if layout == "interp_widgets":
        interp_widgets.save(dictionary, folder, dtype)
        return
    if dtype is not None:
        raise DictionaryError(
            f"Only our own layout changes the dtype on the way; for {layout} use .to(dtype=...)."
        )
    if layout == "saelens":
        saelens.save(dictionary, folder)
    elif isinstance(dictionary, SparseCoder):
        raise DictionaryError(
            "circuit-tracer's layout holds the transcoders of all layers: put them together with "
            "Transcoders.of first."
        )
    else:
        circuit_tracer.save(dictionary, folder)


def _reader(folder: Path) -> Format | None:
    return next((reader for reader in FORMATS if reader.matches(folder)), None)


def _set(folder: Path, parts: list[Path], scan: str, lazy: bool | None) -> Transcoders:
    """One transcoder for each layer, from a folder of folders."""
    coders = []
    for part in parts:
        reader = _reader(part)
        found = None if reader is None else reader.load(part, f"{scan}/{part.name}", lazy)
        if not isinstance(found, SparseCoder) or found.kind == "SAE":
            break
        coders.append(found)
    if len(coders) < len(parts):
        names = ", ".join(part.name for part in parts[:8]) + (", ..." if len(parts) > 8 else "")
        raise DictionaryError(
            f"{folder} holds several dictionaries ({names}), but not one transcoder for each "
            "layer: name one of its folders."
        )
    return Transcoders.of(coders, scan)


def _labelled(found: Loaded, folder: Path) -> Loaded:
    """With the names that lie beside the weights."""
    if isinstance(found, SparseCoder):
        return found
    return replace(found, labels=labels.read(folder))
