"""Breaks saved dictionaries, and reads what `load` says about them."""

from __future__ import annotations

import io
import pathlib
import pickle
import random
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from safetensors.torch import save as to_bytes

from interp_widgets.dictionaries import DictionaryError, SparseCoder, load

Tensors = dict[str, torch.Tensor]


def refusal(folder: pathlib.Path, lazy: bool | None = None) -> str:
    """What `load` says of a bad folder, checked to be one sentence."""
    with pytest.raises(DictionaryError) as caught:
        load(folder, lazy=lazy)
    message = str(caught.value)
    assert message.endswith(".")
    assert "\n" not in message
    assert len(message) < 600
    return message


def rewrite(path: pathlib.Path, change: Callable[[Tensors], Tensors]) -> None:
    """Changes the tensors of a safetensors file."""
    tensors = {key: tensor.clone() for key, tensor in load_file(path).items()}
    save_file(
        {k: t.clone(memory_format=torch.contiguous_format) for k, t in change(tensors).items()},
        path,
    )


def set_config(folder: pathlib.Path, **changes: Any) -> None:
    """Changes values of config.yaml; `...` removes one."""
    path = folder / "config.yaml"
    config = yaml.safe_load(path.read_text()) | changes
    path.write_text(yaml.safe_dump({k: v for k, v in config.items() if v is not ...}))


def verdict(folder: pathlib.Path, lazy: bool | None = None) -> str | None:
    """What loading and using a folder is refused with, None where all goes well."""
    try:
        dictionary = load(folder, lazy=lazy)
        if isinstance(dictionary, SparseCoder):
            dictionary.reconstruct(torch.ones(2, dictionary.d_model))
            return None
        for layer in range(dictionary.n_layers):
            dictionary.encode(layer, torch.ones(2, dictionary.d_model))
            features = torch.arange(dictionary.n_features(layer))
            for target in dictionary.writes_to(layer):
                dictionary.decoder(layer, features, target)
    except DictionaryError as error:
        return str(error)
    return None


def read_tensors(path: pathlib.Path) -> Tensors:
    """The tensors of a weights file of any of the three kinds."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return {key: torch.from_numpy(arrays[key]) for key in arrays}
    if path.suffix == ".pt":
        held: Tensors = torch.load(path, weights_only=True)
        return held
    return {key: tensor.clone() for key, tensor in load_file(path).items()}


def as_bytes(tensors: Tensors, suffix: str) -> bytes:
    """What a weights file with these tensors holds."""
    buffer = io.BytesIO()
    if suffix == ".npz":
        np.savez(buffer, **{key: tensor.numpy() for key, tensor in tensors.items()})
    elif suffix == ".pt":
        torch.save(tensors, buffer)
    else:
        return to_bytes({key: tensor.contiguous() for key, tensor in tensors.items()})
    return buffer.getvalue()


class Trap:
    """An object whose unpickling makes a file."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return pathlib.Path.touch, (self.path,)


def trapped(path: pathlib.Path, suffix: str, dice: random.Random) -> bytes:
    """A weights file that runs code when it is unpickled, in one of the ways it can be built."""
    buffer, trap = io.BytesIO(), Trap(path)
    match dice.choice(["bare", "torch", "torch, old", "numpy", "numpy object", "swapped"]):
        case "torch":
            torch.save({"encoder.weight": trap}, buffer)
        case "torch, old":
            torch.save({"W_enc": trap}, buffer, _use_new_zipfile_serialization=False)
        case "numpy":
            np.savez(buffer, W_enc=np.array([trap, 1.0], dtype=object))
        case "numpy object":
            np.save(buffer, np.array(trap, dtype=object), allow_pickle=True)
        case "swapped":
            # An intact archive whose pickle was exchanged.
            whole = io.BytesIO(as_bytes({"W_enc": torch.ones(2, 2)}, ".pt"))
            with zipfile.ZipFile(whole) as old, zipfile.ZipFile(buffer, "w") as new:
                for entry in old.namelist():
                    content = old.read(entry)
                    new.writestr(entry, pickle.dumps(trap) if entry.endswith(".pkl") else content)
        case _:
            pickle.dump(trap, buffer, protocol=dice.randrange(6))
    return buffer.getvalue()
