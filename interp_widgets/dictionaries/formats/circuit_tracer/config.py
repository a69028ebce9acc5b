"""The config.yaml of a circuit-tracer folder, checked value by value."""

import reprlib
from collections.abc import Container
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from interp_widgets.dictionaries.errors import DictionaryError
from interp_widgets.dictionaries.formats.settings import Settings

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
    settings = Settings.read(folder / CONFIG, _parse, "YAML")
    activation, k = _activation(settings)
    return Config(
        model_kind=settings.one_of("model_kind", MODEL_KINDS),
        input_hook=settings.one_of("feature_input_hook", INPUT_HOOKS),
        output_hook=settings.one_of("feature_output_hook", OUTPUT_HOOKS),
        scan=_text(settings, "scan") or scan,
        model_name=_text(settings, "model_name"),
        transcoders=_paths(settings.values.get("transcoders"), settings.path),
        activation=activation,
        k=k,
    )


def _parse(text: str) -> Any:
    try:
        _check_plain(text)
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _check_plain(text: str) -> None:
    """A few lines of nested aliases can stand for gigabytes, and deep nesting for minutes."""
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH or isinstance(event, yaml.AliasEvent):
            raise ValueError("it uses aliases or deep nesting, which no config needs")


def _text(settings: Settings, key: str) -> str | None:
    """A text, or several as one."""
    if isinstance(settings.values.get(key), list):
        return ", ".join(settings.texts(key))
    return settings.maybe(key)


def _activation(settings: Settings) -> tuple[str | None, int | None]:
    value, k = settings.values.get("activation"), settings.values.get("k")
    if value is not None and (not isinstance(value, str) or value.lower() not in ACTIVATIONS):
        raise settings.wrong("activation", "relu, jumprelu, topk or topk_relu")
    activation = None if value is None else ACTIVATIONS[value.lower()]
    if activation in ("topk", "topk_relu"):
        return activation, settings.whole("k")
    if k is not None:
        raise DictionaryError(
            f"{settings.path} gives k: {reprlib.repr(k)}, which only activation: topk uses, "
            f"but activation is {'missing' if value is None else value}."
        )
    return activation, None


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
            f"{path}: transcoders is {reprlib.repr(listed)}, expected one path per layer."
        )
    for entry in listed:
        if not isinstance(entry, str) or not entry.split("?")[0].endswith(WEIGHTS):
            raise DictionaryError(
                f"{path}: transcoders names {reprlib.repr(entry)}, but only .safetensors and .npz files are read."
            )
    return listed
