"""Writing a dictionary's folder, all of it or nothing.

The files are written beside the folder and renamed into place at the end, so that a full disk
or an interrupt leaves no half-written dictionary.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from interp_widgets.dictionaries.errors import DictionaryError


def write_folder(folder: str | Path, fill: Callable[[Path], None]) -> None:
    """Makes a new or empty folder what `fill` writes into the folder it is given.

    Raises DictionaryError when the folder holds something already, or cannot be written.
    """
    target = Path(folder).resolve()
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise DictionaryError(
                f"{target} already holds something; choose a new name or empty it first."
            )
        partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
        partial.mkdir(parents=True)
        try:
            fill(partial)
            if target.exists():
                target.rmdir()
            partial.rename(target)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    except OSError as error:
        raise DictionaryError(f"{target} cannot be written ({error}).") from error


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """A safetensors file with the mode of its folder."""
    # safetensors refuses tensors that share memory, as tied weights do.
    written: dict[str, Tensor] = {}
    seen: set[int] = set()
    for key, tensor in tensors.items():
        plain = tensor.detach().cpu().contiguous()
        address = plain.untyped_storage().data_ptr()
        written[key] = plain.clone() if address in seen else plain
        seen.add(address)
    save_file(written, path)
    # safetensors makes files that only their owner can read; follow the folder instead.
    path.chmod(path.parent.stat().st_mode & 0o666)
