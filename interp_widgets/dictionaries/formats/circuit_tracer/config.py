"""The config.yaml of a circuit-tracer folder, checked value by value."""

import reprlib
from collections.abc import Container
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from interp_widgets.dictionaries.errors import DictionaryError

CONFIG = "config.yaml"
WEIGHTS = (".safetensors", ".npz")
MODEL_KINDS = ("transcoder_set", "cross_layer_transcoder")
INPUT_HOOKS = ("hook_resid_mid", "mlp.hook_in", "ln2.hook_normalized")
OUTPUT_HOOKS = ("hook_mlp_out", "mlp.hook_out")
ACTIVATIONS = {
    "relu": "relu",
    "jumprelu": "jumprelu",
    "jump_relu": "jumprelu",
    "topk": "topk",
    "topk_relu": "topk_relu",
}

# A config is a few lines; a file beyond this is something else and is not parsed.
MAX_BYTES = 1 << 18
MAX_DEPTH = 8


@dataclass(frozen=True)
class Config:
    """What config.yaml says.

    transcoders: one weights file per layer (a path from the config's folder, or hf://...)
            where the config lists them, else None.
    activation: "relu", "jumprelu", "topk" or "topk_relu"; None where thresholds decide.
    k: given exactly when the activation is one of the two last.
    """

    model_kind: str
    input_hook: str
    output_hook: str
    scan: str
    model_name: str | None
    transcoders: list[str] | None
    activation: str | None
    k: int | None


def read_config(folder: Path, scan: str) -> Config:
    """Reads and checks config.yaml; `scan` names the feature set where the file does not."""
    path = folder / CONFIG
    raw = _parse(path)
    activation, k = _activation(raw, path)
    return Config(
        model_kind=_one_of(raw, "model_kind", MODEL_KINDS, path),
        input_hook=_one_of(raw, "feature_input_hook", INPUT_HOOKS, path),
        output_hook=_one_of(raw, "feature_output_hook", OUTPUT_HOOKS, path),
        scan=_text(raw, "scan", path) or scan,
        model_name=_text(raw, "model_name", path),
        transcoders=_paths(raw.get("transcoders"), path),
        activation=activation,
        k=k,
    )


def _parse(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DictionaryError(f"{path} is larger than {MAX_BYTES} bytes, which no config is.")
        text = path.read_text(encoding="utf-8")
        _check_plain(text, path)
        raw = yaml.safe_load(text)
    except FileNotFoundError as error:
        raise DictionaryError(
            f"{path} is missing; it tells what kind of dictionary this is."
        ) from error
    except DictionaryError:
        raise
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise DictionaryError(f"{path} cannot be read as YAML ({reason}).") from error
    if not isinstance(raw, dict):
        raise DictionaryError(f"{path} must hold key: value lines, but holds {_short(raw)}.")
    return raw


def _check_plain(text: str, path: Path) -> None:
    """A few lines of nested aliases can stand for gigabytes, and deep nesting for minutes."""
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH or isinstance(event, yaml.AliasEvent):
            raise DictionaryError(
                f"{path} uses YAML aliases or deep nesting, which no config needs."
            )


def _short(value: object) -> str:
    """A value for an error message, cut so that the message stays one line."""
    return reprlib.repr(value)


def _one_of(raw: dict[str, Any], key: str, known: tuple[str, ...], path: Path) -> str:
    value = raw.get(key)
    for candidate in known:
        if value == candidate:
            return candidate
    found = f"{key} is {_short(value)}" if key in raw else f"{key} is missing"
    raise DictionaryError(f"{path}: {found}, expected one of {', '.join(known)}.")


def _text(raw: dict[str, Any], key: str, path: Path) -> str | None:
    value = raw.get(key)
    if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
        return ", ".join(value)
    if value is None or isinstance(value, str):
        return value
    raise DictionaryError(f"{path}: {key} is {_short(value)}, expected text.")


def _activation(raw: dict[str, Any], path: Path) -> tuple[str | None, int | None]:
    value, k = raw.get("activation"), raw.get("k")
    if value is not None and (not isinstance(value, str) or value.lower() not in ACTIVATIONS):
        raise DictionaryError(
            f"{path}: activation is {_short(value)}, expected relu, jumprelu, topk or topk_relu."
        )
    activation = None if value is None else ACTIVATIONS[value.lower()]
    selects = activation in ("topk", "topk_relu")
    if not selects and k is not None:
        raise DictionaryError(
            f"{path} gives k: {_short(k)}, which only activation: topk uses, "
            f"but activation is {'missing' if value is None else value}."
        )
    if selects and (isinstance(k, bool) or not isinstance(k, int) or k < 1):
        raise DictionaryError(
            f"{path}: k is {_short(k)}, but topk needs a whole number of at least 1."
        )
    return activation, k


def first_gap(numbers: Container[int]) -> int:
    """The smallest layer number, counted from 0, that is not there."""
    return next(number for number in count() if number not in numbers)


def _paths(listed: object, path: Path) -> list[str] | None:
    """`transcoders` as one path per layer; the file may list them or number them."""
    if listed is None:
        return None
    if isinstance(listed, dict):
        by_layer = {int(key): value for key, value in listed.items() if str(key).isdecimal()}
        if len(by_layer) != len(listed):
            raise DictionaryError(f"{path}: transcoders must be numbered 0, 1, 2, ...")
        missing = first_gap(by_layer)
        if missing < len(by_layer):
            raise DictionaryError(f"{path}: transcoders lacks layer {missing}.")
        listed = [by_layer[index] for index in sorted(by_layer)]
    if not isinstance(listed, list) or not listed:
        raise DictionaryError(
            f"{path}: transcoders is {_short(listed)}, expected one path per layer."
        )
    for entry in listed:
        if not isinstance(entry, str) or not entry.split("?")[0].endswith(WEIGHTS):
            raise DictionaryError(
                f"{path}: transcoders names {_short(entry)}, but only .safetensors and .npz files are read."
            )
    return listed
