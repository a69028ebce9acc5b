"""What is no folder here may be a reference to the Hugging Face hub."""

from __future__ import annotations

import pathlib

import pytest
from broken_dictionaries import set_config
from tiny_dictionaries import tiny

from interp_widgets.dictionaries import DictionaryError, load, save
from interp_widgets.dictionaries.hub import parse


def test_hub_references_are_told_from_paths() -> None:
    for text in ("owner/name", "owner/name/a/b", "owner/name@main", "o/n-1.x/f@refs/pr/1"):
        reference = parse(text)
        assert reference is not None
        assert f"{reference.repo}/{reference.folder}".startswith(text.split("@")[0])
    for text in ("name", "./a/b", "../a", "/a/b", "a/../b", "a b/c", "C:\\a\\b", "a/b/../../c"):
        assert parse(text) is None


def test_the_hub_gives_a_folder_or_one_sentence(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tiny(), tmp_path / "inner")
    set_config(tmp_path / "inner", scan=...)
    asked = []

    def snapshot(repo: str, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((repo, revision, allow_patterns))
        if repo == "nobody/nothing":
            raise ConnectionError("offline\nand more")
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    assert load("someone/sets/inner@v1").scan == "someone/sets/inner@v1"
    assert asked == [("someone/sets", "v1", ["inner/*.safetensors", "inner/*.yaml"])]
    with pytest.raises(
        DictionaryError, match=r"^nobody/nothing could not.*ConnectionError: offline"
    ):
        load("nobody/nothing")


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
