"""Writing a dictionary's folder, all of it or nothing, and only where nothing is yet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from interp_widgets import files
from interp_widgets.dictionaries import labels
from interp_widgets.dictionaries.coder import SparseCoder
from interp_widgets.dictionaries.cross_layer import CrossLayerTranscoder
from interp_widgets.dictionaries.errors import DictionaryError
from interp_widgets.dictionaries.transcoder import Transcoders


def write_folder(
    folder: str | Path,
    fill: Callable[[Path], None],
    dictionary: SparseCoder | Transcoders | CrossLayerTranscoder,
) -> None:
    """Makes a new or empty folder what `fill` writes into the folder it is given.

    The names of the dictionary's features go along, whatever the layout.

    Raises DictionaryError when the folder holds something already, or cannot be written.
    """
    names: labels.Labels = {} if isinstance(dictionary, SparseCoder) else dictionary.labels

    def whole(new: Path) -> None:
        fill(new)
        if names:
            labels.write(names, new, next(iter(names.values())).source)

    target = Path(folder).resolve()
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise DictionaryError(
                f"{target} already holds something; choose a new name or empty it first."
            )
        files.write_folder(target, whole)
    except OSError as error:
        raise DictionaryError(f"{target} cannot be written ({error}).") from error


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """A safetensors file."""
    # safetensors refuses tensors that share memory, as tied weights do.
    written: dict[str, Tensor] = {}
    seen: set[int] = set()
    for key, tensor in tensors.items():
        plain = tensor.detach().cpu().contiguous()
        address = plain.untyped_storage().data_ptr()
        written[key] = plain.clone() if address in seen else plain
        seen.add(address)
    save_file(written, path)
