"""Damaged weights end in one sentence that names the file."""

from __future__ import annotations

import json
import pathlib
import pickle
import random
import struct
from collections.abc import Callable
from typing import Any

import pytest
import torch
from broken_dictionaries import Tensors, refusal, rewrite, set_config, verdict
from tiny_dictionaries import FEATURES, WIDTH, tiny

from interp_widgets.dictionaries import DictionaryError, load
from interp_widgets.dictionaries.formats.circuit_tracer import save


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    save(tiny(activation="jumprelu", skip=True), tmp_path / "set")
    return tmp_path / "set"


@pytest.mark.parametrize("lazy", [False, True])
def test_every_truncation_is_refused_by_name(folder: pathlib.Path, lazy: bool) -> None:
    path = folder / "layer_1.safetensors"
    whole = path.read_bytes()
    lengths = [*range(20), *random.Random(0).sample(range(20, len(whole)), 60), len(whole) - 1]
    for length in lengths:
        path.write_bytes(whole[:length])
        assert "layer_1.safetensors" in refusal(folder, lazy)
    path.write_bytes(whole + b"\0")
    assert "layer_1.safetensors" in refusal(folder, lazy)


@pytest.mark.parametrize("lazy", [False, True])
def test_flipped_bytes_load_or_are_refused_by_name(folder: pathlib.Path, lazy: bool) -> None:
    path = folder / "layer_2.safetensors"
    whole = path.read_bytes()
    dice = random.Random(1)
    header = 8 + struct.unpack("<Q", whole[:8])[0]
    refused = 0
    for _ in range(200):
        damaged = bytearray(whole)
        for _ in range(dice.randint(1, 3)):
            damaged[dice.randrange(header + 40)] = dice.randrange(256)
        path.write_bytes(damaged)
        said = verdict(folder, lazy)
        assert said is None or "layer_2.safetensors" in said
        refused += said is not None
    assert refused > 100


DISGUISES: dict[str, tuple[bytes, str]] = {
    "an empty file": (b"", "0 bytes"),
    "a pickle": (pickle.dumps({"W_enc": [1.0]}), "is a pickle, which is never opened"),
    "a zipped pickle": (b"PK\x03\x04" + bytes(100), "is a pickle, which is never opened"),
    "a git-lfs pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
        "git lfs pull",
    ),
    "a huge header": (struct.pack("<Q", 2**60) + b"{}" + bytes(50), str(2**60 + 8)),
    "a huge shape": (
        (lambda h: struct.pack("<Q", len(h)) + h + bytes(16))(
            json.dumps(
                {"W_enc": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 16]}}
            ).encode()
        ),
        "not a safetensors file",
    ),
    "no tensors": (struct.pack("<Q", 2) + b"{}", "lacks the tensor W_enc"),
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_what_is_not_weights_is_named(folder: pathlib.Path, disguise: str) -> None:
    content, said = DISGUISES[disguise]
    (folder / "layer_0.safetensors").write_bytes(content)
    set_config(folder, activation=...)
    message = refusal(folder)
    assert "layer_0.safetensors" in message
    assert said in message


def test_a_pickle_is_never_opened(folder: pathlib.Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return pathlib.Path.touch, (folder / "sprung",)

    torch.save({"W_enc": Trap()}, folder / "layer_0.safetensors")
    assert "is a pickle" in refusal(folder)
    (folder / "layer_0.safetensors").write_bytes(pickle.dumps(Trap()))
    assert "is a pickle" in refusal(folder)
    assert not (folder / "sprung").exists()


WRONG_WEIGHTS: dict[str, tuple[Callable[[Tensors], Tensors], str]] = {
    "transposed encoder": (
        lambda t: t | {"W_enc": t["W_enc"].T},
        f"encoder bias has shape [{FEATURES}], expected [{WIDTH}]",
    ),
    "transposed decoder": (
        lambda t: t | {"W_dec": t["W_dec"].T},
        f"W_dec has shape [{WIDTH}, {FEATURES}], expected [{FEATURES}, {WIDTH}]",
    ),
    "swapped biases": (lambda t: t | {"b_enc": t["b_dec"], "b_dec": t["b_enc"]}, "has shape"),
    "short threshold": (
        lambda t: t | {"activation_function.threshold": torch.ones(3)},
        f"the threshold has shape [3], expected [{FEATURES}]",
    ),
    "scalar threshold": (
        lambda t: t | {"activation_function.threshold": torch.tensor(0.5)},
        "the threshold has shape []",
    ),
    "flat encoder": (lambda t: t | {"W_enc": t["W_enc"].flatten()}, "expected [features, d_model]"),
    "no features": (lambda t: t | {"W_enc": t["W_enc"][:0]}, "both at least 1"),
    "narrow skip": (lambda t: t | {"W_skip": t["W_skip"][:, :2]}, "the skip connection has shape"),
    "another width": (
        lambda t: {k: v[..., :-1] if v.shape[-1] == WIDTH else v for k, v in t.items()}
        | {"W_skip": t["W_skip"][:-1, :-1]},
        f"has width {WIDTH - 1}",
    ),
    "integers": (lambda t: t | {"W_dec": t["W_dec"].long()}, "W_dec is stored as torch.int64"),
    "float8": (lambda t: t | {"W_enc": t["W_enc"].to(torch.float8_e4m3fn)}, "float8_e4m3fn"),
    "missing bias": (lambda t: {k: v for k, v in t.items() if k != "b_dec"}, "tensor b_dec"),
    "unknown tensor": (lambda t: t | {"log_thresholds": t["b_enc"]}, "log_thresholds"),
    "lost threshold": (
        lambda t: {k: v for k, v in t.items() if "threshold" not in k},
        "lacks activation_function.threshold",
    ),
    **{
        f"{value} in {key}": (
            lambda t, key=key, value=value: t | {key: t[key].flatten().index_fill(0, torch.tensor(7 % t[key].numel()), value).view_as(t[key])},
            "holds NaN or infinity",
        )
        for key in ("W_enc", "W_dec", "b_enc", "b_dec", "W_skip", "activation_function.threshold")
        for value in (float("nan"), float("inf"), float("-inf"))
    },
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG_WEIGHTS)
def test_wrong_weights_are_refused_with_file_and_reason(folder: pathlib.Path, wrong: str) -> None:
    change, said = WRONG_WEIGHTS[wrong]
    rewrite(folder / "layer_1.safetensors", change)
    message = refusal(folder, lazy=False)
    assert "layer_1.safetensors" in message
    assert said in message


@pytest.mark.parametrize("key", ["W_enc", "W_dec"])
def test_a_mapped_weight_is_checked_when_it_is_read(folder: pathlib.Path, key: str) -> None:
    def poison(tensors: Tensors) -> Tensors:
        tensors[key][4, 2] = float("nan")
        return tensors

    rewrite(folder / "layer_1.safetensors", poison)
    dictionary = load(folder, lazy=True)
    take = {
        "W_enc": dictionary.encoder,
        "W_dec": lambda layer, features: dictionary.decoder(layer, features, layer),
    }[key]
    assert take(1, torch.tensor([3, 5])).shape == (2, WIDTH)
    with pytest.raises(DictionaryError, match=rf"layer_1.*{key}.*feature 4 "):
        take(1, torch.tensor([5, 4, 4]))
    if key == "W_enc":
        with pytest.raises(DictionaryError, match=r"layer_1\.safetensors: W_enc holds NaN"):
            dictionary.encode(1, torch.ones(2, WIDTH))
    with pytest.raises(DictionaryError, match=key):
        save(dictionary, folder.parent / "copy")
    assert sorted(path.name for path in folder.parent.iterdir()) == ["set"]


@pytest.mark.parametrize("shape", [(WIDTH,), (WIDTH, WIDTH - 1), (1, WIDTH, WIDTH)])
def test_a_cross_layer_skip_of_a_wrong_shape_is_refused(
    tmp_path: pathlib.Path, shape: tuple[int, ...]
) -> None:
    save(tiny("cross-layer transcoder", skip=True), tmp_path / "clt")
    path = tmp_path / "clt" / "W_enc_1.safetensors"
    rewrite(path, lambda tensors: tensors | {"W_skip_1": torch.ones(shape)})
    assert "W_enc_1.safetensors: the skip connection has shape" in refusal(tmp_path / "clt")
