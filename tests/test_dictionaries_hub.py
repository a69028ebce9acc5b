"""What is no folder here may be a reference to the Hugging Face hub."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest
from broken_dictionaries import set_config
from hub_server import serving
from tiny_dictionaries import tiny
from tiny_formats import CASES, sparsify

from interp_widgets.dictionaries import FORMATS, DictionaryError, load
from interp_widgets.dictionaries.formats.circuit_tracer import save
from interp_widgets.dictionaries.hub import parse, wanted

ASKING = """
import json, sys
from interp_widgets.dictionaries import DictionaryError, load
for reference in sys.argv[1:]:
    try:
        found = load(reference)
        print(json.dumps([type(found).__name__, found.scan]))
    except DictionaryError as error:
        print(json.dumps(["refused", str(error)]))
"""


def asked(address: str, home: pathlib.Path, *references: str) -> list[list[str]]:
    """What a fresh process with an empty cache finds at the address."""
    env = os.environ | {"HF_ENDPOINT": address, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
    env = {key: value for key, value in env.items() if key != "HF_HUB_OFFLINE"}
    done = subprocess.run(
        [sys.executable, "-c", ASKING, *references],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_hub_references_are_told_from_paths() -> None:
    for text in ("owner/name", "owner/name/a/b", "owner/name@main", "o/n-1.x/f@refs/pr/1"):
        reference = parse(text)
        assert reference is not None
        assert f"{reference.repo}/{reference.folder}".startswith(text.split("@")[0])
    for text in ("name", "./a/b", "../a", "/a/b", "a/../b", "a b/c", "C:\\a\\b", "a/b/../../c"):
        assert parse(text) is None


def test_only_the_folder_asked_for_is_fetched(tmp_path: pathlib.Path) -> None:
    gemma = tmp_path / "gemma"
    for case in ("Gemma Scope res", "Llama Scope SAE", "SAELens topk"):
        written = CASES[case](gemma)
    (written.folder / "activations.safetensors").write_bytes(b"not asked for")
    (gemma / "model.safetensors").write_bytes(b"a model of many gigabytes")
    folder = "gemma-scope-2b-pt-res/layer_20/width_16k/average_l0_71"
    other = gemma / folder.replace("71", "139")
    shutil.copytree(gemma / folder, other)
    asking = (
        f"someone/scopes/{folder}",
        "someone/scopes/Llama3_1-8B-Base-L8R-8x",
        "someone/scopes/topk@main",
        "someone/scopes",
        "nobody/nothing",
    )
    with serving({"someone/scopes": gemma}) as (address, fetched):
        answers = asked(address, tmp_path / "home", *asking)
    assert answers[:3] == [["SparseCoder", reference] for reference in asking[:3]]
    assert sorted(fetched) == sorted(
        f"someone/scopes/{name}"
        for name in (
            f"{folder}/params.npz",
            "Llama3_1-8B-Base-L8R-8x/hyperparams.json",
            "Llama3_1-8B-Base-L8R-8x/checkpoints/final.safetensors",
            "topk/cfg.json",
            "topk/sae_weights.safetensors",
        )
    )
    assert answers[3][0] == "refused"
    assert "it has the folders Llama3_1-8B-Base-L8R-8x, gemma-scope" in answers[3][1]
    assert answers[4][1].startswith("nobody/nothing could not be fetched")
    # Without a connection, what was fetched before is there.
    again = asked("http://127.0.0.1:9", tmp_path / "home", asking[2], "someone/scopes/elsewhere")
    assert again[0] == answers[2]
    assert again[1][1].startswith("someone/scopes could not be fetched")


def test_a_folder_for_each_layer_is_fetched_whole(tmp_path: pathlib.Path) -> None:
    written = sparsify(tmp_path, transcode=True)
    run = written.folder.parent
    for layer in (0, 1):
        shutil.copytree(written.folder, run / f"layers.{layer}.mlp")
    shutil.rmtree(written.folder)
    (run / "layers.0.mlp" / "optimizer.pt").write_bytes(b"not asked for")
    with serving({"someone/skips": run}) as (address, fetched):
        answers = asked(address, tmp_path / "home", "someone/skips", "someone/skips/layers.1.mlp")
    assert answers[0] == ["Transcoders", "someone/skips"]
    assert answers[1] == ["SparseCoder", "someone/skips/layers.1.mlp"]
    # Files of equal content are fetched once: of the two layers' files only one's.
    assert {name.split("/")[-1] for name in fetched} == {
        "cfg.json",
        "sae.safetensors",
        "config.json",
    }


def test_layers_that_do_not_count_from_0_are_not_fetched_all() -> None:
    formats = [reader.files for reader in FORMATS]
    files = [
        f"layers.{layer}/{name}" for layer in (3, 4) for name in ("cfg.json", "sae.safetensors")
    ]
    assert wanted(files, "", formats) == []
    assert wanted(files, "layers.3", formats) == ["layers.3/cfg.json", "layers.3/sae.safetensors"]
    assert wanted(["a/0/cfg.json", "a/1/cfg.json"], "a", formats) == [
        "a/0/cfg.json",
        "a/1/cfg.json",
    ]
    assert wanted(["model.safetensors", "config.json"], "", formats) == []


def test_a_config_may_name_files_on_the_hub(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tiny(), tmp_path / "set")

    def download(repo: str, path: str, revision: str | None) -> str:
        assert (repo, revision) == ("someone/sets", "v2")
        return str(tmp_path / "set" / path.removeprefix("deep/"))

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    uri = "hf://someone/sets/deep/layer_{}.safetensors?revision=v2"
    set_config(tmp_path / "set", transcoders=[uri.format(index) for index in range(3)])
    assert load(tmp_path / "set").n_layers == 3
    set_config(tmp_path / "set", transcoders=["hf://other/sets/x.safetensors"])
    with pytest.raises(
        DictionaryError, match=r"hf://other/sets/x\.safetensors could not be fetched"
    ):
        load(tmp_path / "set")
