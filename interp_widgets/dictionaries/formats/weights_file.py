"""Reads one safetensors file into memory-mapped tensors, and says in a sentence why not.

Damaged downloads are common: a truncated file, a Git LFS pointer or a renamed pickle must
end in a sentence that names the file. A pickle is recognised by its first bytes and never
opened, because opening one runs code from it.
"""

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from interp_widgets.dictionaries.errors import DictionaryError

FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
PICKLE_STARTS = (b"PK\x03\x04", *(bytes([0x80, protocol]) for protocol in range(2, 6)))


def read_mapped(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file, by name, as CPU tensors whose pages lie in the file.

    Raises DictionaryError when the file is missing, is not intact safetensors, or holds
    anything but floating-point tensors. Values are not looked at.
    """
    _check_start(path)
    try:
        with safe_open(path, framework="pt") as file:
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split()).removeprefix("Error while deserializing header: ")
        raise DictionaryError(f"{path} is damaged or not a safetensors file ({reason}).") from error
    for name, tensor in tensors.items():
        if tensor.dtype not in FLOATS:
            raise DictionaryError(
                f"{path}: {name} is stored as {tensor.dtype}, "
                "expected float32, float16, bfloat16 or float64."
            )
    return tensors


def _check_start(path: Path) -> None:
    """The mistakes that the first bytes give away, told before the parser's own words."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(64)
    except FileNotFoundError as error:
        raise DictionaryError(f"{path} does not exist.") from error
    except (OSError, ValueError) as error:
        raise DictionaryError(f"{path} cannot be read ({error}).") from error
    if start.startswith(b"version https://git-lfs"):
        raise DictionaryError(
            f"{path} is a Git LFS pointer; run `git lfs pull` to get the weights."
        )
    header = int.from_bytes(start[:8], "little")
    if size >= 8 and header <= size - 8:
        return
    if start.startswith(PICKLE_STARTS):
        raise DictionaryError(
            f"{path} is a pickle, which is never opened because it can run code; "
            "convert the weights to safetensors."
        )
    raise DictionaryError(
        f"{path} is damaged or not a safetensors file: it has {size} bytes, but its header "
        f"would need {header + 8 if size >= 8 else 'at least 8'}."
    )
