"""Breaks saved dictionaries, and reads what `load` says about them."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from interp_widgets.dictionaries import DictionaryError, load

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
        for layer in range(dictionary.n_layers):
            dictionary.encode(layer, torch.ones(2, dictionary.d_model))
            features = torch.arange(dictionary.n_features(layer))
            for target in dictionary.writes_to(layer):
                dictionary.decoder(layer, features, target)
    except DictionaryError as error:
        return str(error)
    return None
