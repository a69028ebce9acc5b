"""Checkpoints: one safetensors file each, the last good one always on disk.

A checkpoint is put down whole (`files`); only then are older ones deleted, but for one. So whenever the process is killed, a complete checkpoint remains. Each
carries a SHA-256 of its tensors: what the disk or a copy has damaged is refused by name, and the
one before is used.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from interp_widgets.dictionaries.errors import DictionaryError
from interp_widgets.dictionaries.training import recipes
from interp_widgets.dictionaries.training.specs import Spec
from interp_widgets.files import write_whole
from interp_widgets.models import Place

_FORMAT = "interp_widgets.training"
_KEPT = 2
# By name, so that a file names a recipe and nothing else of that module.
_RECIPES = {recipe.__name__: recipe for recipe in get_args(recipes.Recipe)}


@dataclass(frozen=True)
class Checkpoint:
    """tensors: by name, on the CPU. about: JSON. path: its file."""

    tensors: Mapping[str, Tensor]
    about: Mapping[str, Any]
    path: Path


def write(folder: Path, step: int, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> Path:
    """Write a checkpoint and delete all but the newest two. Raises OSError."""
    path = folder / f"checkpoint-{step:09d}.safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = {
        "format": _FORMAT,
        "version": "1",
        "sha256": _digest(held, text := json.dumps(about)),
        "about": text,
    }
    write_whole(path, lambda part: save_file(held, part, metadata))
    for old in _found(folder)[_KEPT:]:
        old.unlink(missing_ok=True)
    for left in folder.glob("checkpoint-*.tmp-*"):  # of a process that was killed
        left.unlink(missing_ok=True)
    return path


def read(folder: str | Path) -> Checkpoint:
    """The newest checkpoint that is whole; warns of newer ones that are not.

    Raises DictionaryError where there is none.
    """
    folder = Path(folder)
    faults = []
    for path in _found(folder):
        try:
            checkpoint = _read(path)
        except DictionaryError as error:
            faults.append(str(error))
            continue
        if faults:
            warnings.warn(f"{' '.join(faults)} Going on from {path.name}.", stacklevel=3)
        return checkpoint
    raise DictionaryError(f"{folder} holds no checkpoint to go on from. {' '.join(faults)}".strip())


def _found(folder: Path) -> list[Path]:
    """Newest first."""
    return sorted(folder.glob("checkpoint-*.safetensors"), reverse=True)


def _read(path: Path) -> Checkpoint:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError) as error:
        raise DictionaryError(f"{path.name} is damaged ({error}).") from None
    if metadata.get("format") != _FORMAT:
        raise DictionaryError(f"{path.name} is no checkpoint of a training.")
    if metadata.get("version") != "1":
        raise DictionaryError(f"{path.name} is of a newer interp_widgets: update the package.")
    text = metadata.get("about", "")
    if metadata.get("sha256") != _digest(tensors, text):
        raise DictionaryError(f"{path.name} is damaged (its checksum does not fit).")
    return Checkpoint(tensors, json.loads(text), path)


def _digest(tensors: Mapping[str, Tensor], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        data: Any = tensor.reshape(-1).view(torch.uint8).numpy()
        digest.update(data)
    return digest.hexdigest()


def spec_to_json(spec: Spec) -> dict[str, Any]:
    """A spec as plain JSON values."""
    plain = asdict(spec)
    plain["recipe"] = _recipe_to_json(spec.recipe)
    return plain


def spec_from_json(plain: Mapping[str, Any]) -> Spec:
    """What `spec_to_json` was given."""
    places = {side: tuple(Place(**place) for place in plain[side]) for side in ("reads", "writes")}
    return Spec(**{**plain, **places, "recipe": _recipe_from_json(plain["recipe"])})


def _recipe_to_json(recipe: recipes.Recipe) -> dict[str, Any]:
    fields = dict(vars(recipe))
    if isinstance(recipe, recipes.Matryoshka):
        fields["base"] = _recipe_to_json(recipe.base)
    return {"name": type(recipe).__name__, **fields}


def _recipe_from_json(plain: Mapping[str, Any]) -> recipes.Recipe:
    fields = dict(plain)
    if "base" in fields:
        fields["base"] = _recipe_from_json(fields["base"])
        fields["prefixes"] = tuple(fields["prefixes"])
    return _RECIPES[fields.pop("name")](**fields)
