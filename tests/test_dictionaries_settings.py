"""Wrong settings and missing files end in one sentence that says what is wrong."""

from __future__ import annotations

import pathlib
import random
from typing import Any

import pytest
from broken_dictionaries import refusal, rewrite, set_config, verdict
from tiny_dictionaries import FEATURES, WIDTH, tiny

from interp_widgets.dictionaries import DictionaryError, TopK
from interp_widgets.dictionaries.formats.circuit_tracer import save


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    save(tiny(activation="jumprelu", skip=True), tmp_path / "set")
    return tmp_path / "set"


@pytest.fixture
def cross_layer(tmp_path: pathlib.Path) -> pathlib.Path:
    save(tiny("cross-layer transcoder", skip=True), tmp_path / "clt")
    return tmp_path / "clt"


CONFIGS: dict[str, tuple[dict[str, Any], str]] = {
    "kind missing": ({"model_kind": ...}, "model_kind is missing"),
    "kind unknown": ({"model_kind": "sae"}, "model_kind is 'sae', expected one of transcoder_set"),
    "hook unknown": ({"feature_input_hook": "blocks.0"}, "feature_input_hook is 'blocks.0'"),
    "hook of a wrong type": ({"feature_output_hook": ["a"]}, "feature_output_hook is ['a']"),
    "scan of a wrong type": ({"scan": 3}, "scan is 3"),
    "activation unknown": ({"activation": "gelu"}, "activation is 'gelu'"),
    "topk without k": ({"activation": "topk"}, "k is missing"),
    "k of zero": ({"activation": "topk", "k": 0}, "k is 0"),
    "k as text": ({"activation": "topk", "k": "24"}, "k is '24'"),
    "k without topk": ({"activation": ..., "k": 24}, "only activation: topk"),
    "relu with thresholds": ({"activation": "relu"}, "says activation: relu"),
    "topk with thresholds": ({"activation": "topk", "k": 3}, "says activation: topk"),
    "a pickle": ({"transcoders": ["a/params.pt"]}, "only .safetensors and .npz"),
    "a lost npz": ({"transcoders": ["a/params.npz"]}, "params.npz does not exist"),
    "no paths": ({"transcoders": []}, "expected one path per layer"),
    "a gap in paths": ({"transcoders": {0: "layer_0.safetensors", 2: "x.safetensors"}}, "layer 1"),
    "a lost path": ({"transcoders": ["nowhere.safetensors"]}, "nowhere.safetensors does not exist"),
    "a bad uri": ({"transcoders": ["hf://x.safetensors"]}, "hf://owner/name/path"),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_wrong_settings_are_refused_with_the_value(folder: pathlib.Path, case: str) -> None:
    changes, said = CONFIGS[case]
    set_config(folder, **changes)
    assert said in refusal(folder)


@pytest.mark.parametrize(
    "content",
    [b"", b"[1, 2]", b"just text", b"a: [", b"\xff\xfe\x00", b"a: &x [1]\nb: *x", b"[" * 5000, b"x" * 2**21],
)  # fmt: skip
def test_a_config_that_is_no_config_is_refused(folder: pathlib.Path, content: bytes) -> None:
    (folder / "config.yaml").write_bytes(content)
    assert "config.yaml" in refusal(folder)


def test_a_random_config_loads_or_is_refused(folder: pathlib.Path) -> None:
    path, dice = folder / "config.yaml", random.Random(2)
    whole = path.read_bytes()
    for _ in range(200):
        damaged = bytearray(whole)
        for _ in range(dice.randint(1, 6)):
            damaged[dice.randrange(len(whole))] = dice.randrange(256)
        path.write_bytes(damaged)
        said = verdict(folder)
        assert said is None or "\n" not in said


def test_k_beyond_the_features_is_refused(tmp_path: pathlib.Path) -> None:
    save(tiny(activation="topk"), tmp_path / "set")
    set_config(tmp_path / "set", k=FEATURES + 1)
    assert f"k is {FEATURES + 1}, but the layer has only {FEATURES}" in refusal(tmp_path / "set")
    with pytest.raises(DictionaryError, match="k is -1"):
        TopK(-1)


def test_missing_files_are_named(folder: pathlib.Path, cross_layer: pathlib.Path) -> None:
    (folder / "layer_1.safetensors").rename(folder / "layer_99999999999.safetensors")
    assert "lacks layer 1 (layer_1.safetensors)" in refusal(folder)
    (folder / "config.yaml").unlink()
    assert "config.yaml is missing" in refusal(folder)
    (cross_layer / "W_dec_2.safetensors").unlink()
    assert "lacks W_dec_2.safetensors" in refusal(cross_layer)
    (cross_layer / "W_enc_2.safetensors").unlink()
    assert f"W_dec_0 has shape [{FEATURES}, 3, {WIDTH}], expected [{FEATURES}, 2, {WIDTH}]" in refusal(cross_layer)  # fmt: skip


def test_one_relu_layer_among_jumprelu_layers_is_refused(folder: pathlib.Path) -> None:
    set_config(folder, activation=...)
    rewrite(
        folder / "layer_2.safetensors",
        lambda t: {k: v for k, v in t.items() if "threshold" not in k},
    )
    assert "layer_2.safetensors is a ReLU layer" in refusal(folder)


def test_what_is_no_folder_is_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("x")
    assert "is not a folder" in refusal(tmp_path / "file")
    assert "is not a folder" in refusal(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "holds no dictionary in a known format" in refusal(tmp_path / "empty")
