"""Sparse dictionaries of a language model's features: load them, encode, decode.

dictionary = load("./my-transcoders")
active = dictionary.encode(layer, x)
vectors = dictionary.decoder(layer, active.feature, target_layer=layer)
"""

from dataclasses import replace
from pathlib import Path
from typing import Protocol

from interp_widgets.dictionaries import hub, labels
from interp_widgets.dictionaries.activations import Activation, Gated, JumpReLU, ReLU, TopK
from interp_widgets.dictionaries.coder import InputNorm, SparseCoder
from interp_widgets.dictionaries.cross_layer import CrossLayerTranscoder
from interp_widgets.dictionaries.dictionary import (
    ActiveFeatures,
    Dictionary,
    check_fits,
    reconstruct,
)
from interp_widgets.dictionaries.errors import DictionaryError
from interp_widgets.dictionaries.formats import circuit_tracer
from interp_widgets.dictionaries.formats.circuit_tracer import save
from interp_widgets.dictionaries.layers import Layer
from interp_widgets.dictionaries.rows import Rows
from interp_widgets.dictionaries.transcoder import Transcoders

__all__ = [
    "Activation",
    "ActiveFeatures",
    "CrossLayerTranscoder",
    "Dictionary",
    "DictionaryError",
    "Gated",
    "InputNorm",
    "JumpReLU",
    "Layer",
    "ReLU",
    "Rows",
    "SparseCoder",
    "TopK",
    "Transcoders",
    "check_fits",
    "load",
    "reconstruct",
    "save",
]


Loaded = Transcoders | CrossLayerTranscoder | SparseCoder


class Format(Protocol):
    """A module of `formats`."""

    name: str

    def matches(self, folder: Path) -> bool: ...

    def load(self, folder: Path, scan: str, lazy: bool | None = None) -> Loaded: ...


FORMATS: tuple[Format, ...] = (circuit_tracer,)


def load(path: str | Path, *, lazy: bool | None = None) -> Loaded:
    """A dictionary from a folder or from the Hugging Face hub.

    Args:
        path: a folder, or where there is none of that name, owner/name of a hub repository,
            with /folder and @revision behind it where needed.
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
        folder, scan = hub.download_folder(reference), str(path)
    for reader in FORMATS:
        if reader.matches(folder):
            return _labelled(reader.load(folder, scan=scan, lazy=lazy), folder)
    known = "; ".join(reader.name for reader in FORMATS)
    raise DictionaryError(f"{folder} holds no dictionary in a known format; known are: {known}.")


def _labelled(found: Loaded, folder: Path) -> Loaded:
    """With the names that lie beside the weights."""
    if isinstance(found, SparseCoder):
        return found
    return replace(found, labels=labels.read(folder))
