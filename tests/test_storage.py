"""A saved graph is the same graph; a damaged one ends in one sentence that names the file."""

from __future__ import annotations

import json
import os
import pathlib
import pickle
import random
import stat
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file
from tiny_graphs import NAN, assert_valid, differences, read_or_refused, tiny_notes, tiny_table

from interp_widgets.attribution.errors import GraphFileError
from interp_widgets.attribution.notes import Notes
from interp_widgets.attribution.storage import load, save


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    return save(tiny_table(), tiny_notes(), tmp_path / "tiny.safetensors")


def refusal(path: pathlib.Path) -> str:
    """The one sentence with which a file is refused."""
    with pytest.raises(GraphFileError) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(f"{path.name}: ")
    assert "\n" not in message
    assert len(message) < 400
    return message


def rewrite(path: pathlib.Path, **changes: Any) -> None:
    """Replace arrays and entries of the description; `...` removes one."""
    with safe_open(path, framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = dict(file.metadata())
    about = json.loads(metadata["graph"])
    for name, value in changes.items():
        place: Any = metadata if name in ("format", "version", "graph") else about
        place = arrays if name in arrays else place
        if value is ...:
            del place[name]
        else:
            place[name] = value
    if "graph" not in changes:
        metadata["graph"] = json.dumps(about)
    save_file(arrays, path, metadata)


def test_a_graph_is_saved_and_loaded_bit_by_bit(path: pathlib.Path) -> None:
    table, notes = load(path)
    assert differences(tiny_table(), table) == []
    assert notes == tiny_notes()
    assert_valid(table, notes)


def test_a_graph_that_never_was_a_file_has_no_cumulative_scores(tmp_path: pathlib.Path) -> None:
    table = replace(tiny_table(), cumulative=None)
    save(table, Notes(), tmp_path / "a")
    assert differences(load(tmp_path / "a")[0], table) == []


def test_arrays_need_not_be_contiguous(tmp_path: pathlib.Path) -> None:
    strided = np.repeat(tiny_table().weight, 2)[::2]
    save(replace(tiny_table(), weight=strided), Notes(), tmp_path / "a")
    assert load(tmp_path / "a")[0].weight.tolist() == tiny_table().weight.tolist()


def test_settings_are_saved_as_plain_values(tmp_path: pathlib.Path) -> None:
    settings = {"share": np.float32(0.5), "pair": (1, NAN), "path": pathlib.PurePosixPath("a")}
    save(replace(tiny_table(), settings=settings), Notes(), tmp_path / "a")
    assert load(tmp_path / "a")[0].settings == {"share": 0.5, "pair": [1, None], "path": "a"}


def test_saving_replaces_a_file_at_once_or_not_at_all(
    path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        save(replace(tiny_table(), prompt="other"), Notes(), path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
    monkeypatch.undo()
    save(replace(tiny_table(), prompt="other"), Notes(), path)
    assert load(path)[0].prompt == "other"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
def test_a_saved_file_is_as_readable_as_any_other(path: pathlib.Path) -> None:
    other = path.with_name("other")
    other.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(other.stat().st_mode)


def test_every_truncation_is_refused_by_name(path: pathlib.Path) -> None:
    whole = path.read_bytes()
    lengths = [*range(20), *random.Random(0).sample(range(20, len(whole)), 80), len(whole) - 1]
    for length in lengths:
        path.write_bytes(whole[:length])
        assert "cannot be read as safetensors" in refusal(path)
    path.write_bytes(whole + b"\0")
    refusal(path)


@pytest.mark.parametrize("seed", range(20))
def test_flipped_bytes_load_to_a_valid_graph_or_are_refused(path: pathlib.Path, seed: int) -> None:
    whole, draw = path.read_bytes(), random.Random(seed)
    for _ in range(20):
        damaged = bytearray(whole)
        for _ in range(draw.choice([1, 1, 3, 30])):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        path.write_bytes(damaged)
        read = read_or_refused(load, path, "tiny.safetensors: ")
        if read:
            table, notes = read
            # A flipped bit may make a measured value infinite, which is not a broken graph.
            finite = replace(
                table,
                **{
                    name: np.nan_to_num(getattr(table, name), posinf=0, neginf=0)
                    for name in ("activation", "value", "bias", "hidden", "probability", "effect")
                },
            )
            assert_valid(finite, notes)


def test_a_pickle_is_never_opened(path: pathlib.Path, tmp_path: pathlib.Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
            return pathlib.Path.touch, (tmp_path / "executed",)

    for protocol in range(6):
        path.write_bytes(pickle.dumps(Trap(), protocol))
        refusal(path)
    assert not (tmp_path / "executed").exists()


def test_foreign_tensors_are_no_graph(path: pathlib.Path) -> None:
    save_file({"weight": np.zeros(3, np.float32)}, path)
    assert "no graph" in refusal(path)
    save_file({"weight": np.zeros(3, np.float32)}, path, {"format": "pt"})
    assert "no graph" in refusal(path)


def test_missing_files_folders_and_texts_are_refused(tmp_path: pathlib.Path) -> None:
    refusal(tmp_path / "gone.safetensors")
    refusal(tmp_path)
    (tmp_path / "text").write_text("version https://git-lfs.github.com/spec/v1\n" * 9)
    refusal(tmp_path / "text")


def changed(name: str, place: int, value: float) -> dict[str, Any]:
    array = getattr(tiny_table(), name).copy()
    array[place] = value
    return {name: array}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"version": "2"}, "a newer interp_widgets wrote this file"),
        ({"graph": "{"}, "its description is not JSON"),
        ({"graph": "[" * 100_000}, "its description is not JSON"),
        ({"graph": "[]"}, "its description is not JSON"),
        ({"weight": ...}, "weight is missing instead of float32 [14]"),
        ({"ptr": ...}, "ptr is missing"),
        ({"weight": np.zeros(13, np.float32)}, "weight is float32 [13] instead of float32 [14]"),
        ({"weight": np.zeros(14)}, "weight is float64 [14]"),
        ({"layer": np.zeros((12, 1), np.int16)}, "layer is int16 [12, 1]"),
        ({"cumulative": np.zeros(3, np.float32)}, "cumulative is float32 [3]"),
        ({"source": np.array(3, np.int32)}, "source is int32 []"),
        (changed("ptr", 0, 1), "ptr does not divide"),
        (changed("ptr", 3, 1), "ptr does not divide"),
        (changed("ptr", -1, 13), "ptr does not divide"),
        (changed("ptr", 4, 2**62), "ptr does not divide"),
        (changed("source", 0, 12), "source is outside 0 to 11"),
        (changed("source", 0, -1), "source is outside"),
        (changed("source", 2, 2), "an edge runs against the order"),
        (changed("source", 0, 9), "an edge runs against the order"),
        (changed("kind", 11, 4), "kind is outside"),
        (changed("kind", 0, 1), "not sorted by kind"),
        (changed("kind", 8, 3), "layer does not fit kind"),
        (changed("layer", 3, 3), "layer does not fit kind"),
        (changed("layer", 9, 2), "layer does not fit kind"),
        (changed("layer", 6, 0), "layer does not fit kind"),
        (changed("position", 3, 3), "position is outside 0 to 2"),
        (changed("position", 3, -1), "position is outside"),
        (changed("feature", 3, -2), "feature is outside"),
        (changed("weight", 3, NAN), "a weight is not finite"),
        (changed("target_weight", 9, NAN), "a target weight is not a share"),
        (changed("target_weight", 9, -1), "a target weight is not a share"),
        ({"ids": ["a"] * 12}, "its node ids are not unique"),
        ({"ids": [str(i) for i in range(11)]}, "instead of"),
        ({"ids": list(range(12))}, "ids is not a list of texts"),
        ({"ids": ...}, "ids is not a list of texts"),
        ({"names": [""] * 11}, "its names are not as many as its nodes"),
        ({"tokens": "abc"}, "tokens is not a list of texts"),
        ({"tokens": ["a"]}, "position is outside 0 to 0"),
        ({"prompt": None}, "prompt is not a text"),
        ({"n_layers": "3"}, "n_layers is not a number of layers"),
        ({"n_layers": 10**30}, "n_layers is not a number of layers"),
        ({"n_layers": 2}, "layer does not fit kind"),
    ],
)
def test_wrong_contents_are_refused_in_a_sentence(
    path: pathlib.Path, changes: dict[str, Any], says: str
) -> None:
    rewrite(path, **changes)
    assert says in refusal(path)


def test_wrong_notes_do_not_cost_the_graph(path: pathlib.Path) -> None:
    wrong = {
        "selected": 3,
        "pinned": ["a", None],
        "groups": [["x", 1, "b"], [], "c"],
        "labels": {"a": 1, "b": "two"},
        "threshold": 7,
        "more": [],
    }
    rewrite(path, notes=wrong, settings=[])
    table, notes = load(path)
    assert notes == Notes(pinned=["a"], groups=[["x", "b"]], labels={"b": "two"})
    assert table.settings == {}
    rewrite(path, notes=...)
    assert load(path)[1] == Notes()
