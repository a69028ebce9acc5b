"""Reading a stored index: what makes no sense is refused in a sentence, and so is what is damaged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models
import torch
from planted_index import planted, sentences

from interp_widgets.features import Feature, FeatureError, Index, StoredIndex, units_of
from interp_widgets.features.arrays import open_arrays, write_arrays

WINDOWS = sentences(600)
UNITS = {
    (0, 0): lambda window, i: 1.0 + i,  # everywhere
    (0, 1): lambda window, i: float(window[i] == " the"),
    (0, 2): lambda window, i: 2.0 * (window is WINDOWS[0] and i == 0),  # once
    (1, 0): lambda window, i: float(window[i] in (" .", " ?")),
}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: Any) -> StoredIndex:
    return planted(tmp_path_factory.mktemp("stored") / "it", WINDOWS, UNITS)


# --- what makes no sense -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("look", "said"),
    [
        (lambda s: s.examples(0, 1, -3), "n is a whole number of at least 0, not -3"),
        (lambda s: s.examples(0, 1, 2.5), "n is a whole number of at least 0, not 2.5"),
        (lambda s: s.examples(0, 1, sign=0), "sign is 1 or −1, not 0"),
        (lambda s: s.examples(0, 1, before=-1), "before is a whole number of at least 0, not -1"),
        (lambda s: s.groups(0, 1, 0), "n is a whole number of at least 1, not 0"),
        (lambda s: s.groups(0, 1, 5, -1), "each is a whole number of at least 0, not -1"),
        (lambda s: s.histogram(0, 1, 0), "bins is a whole number of at least 1, not 0"),
        (lambda s: s.together(0, 1, -2), "n is a whole number of at least 0, not -2"),
        (lambda s: s.example_at(0, 1, -1), "There is no token -1: the index has"),
        (lambda s: s.active_at(10**9), "There is no token 1000000000: the index has"),
        (lambda s: s.window_of(-1), "There is no token -1"),
        (lambda s: s.window(600), "There is no window 600: the index has 600"),
        (lambda s: s.window(-1), "There is no window -1"),
    ],
)
def test_a_look_that_makes_no_sense_is_refused(
    stored: StoredIndex, look: Callable[[StoredIndex], object], said: str
) -> None:
    with pytest.raises(FeatureError, match=said):
        look(stored)


def test_nothing_is_what_one_gets_who_asks_for_none(stored: StoredIndex) -> None:
    assert stored.examples(0, 1, 0) == stored.together(0, 1, 0) == []


# --- co-activation of a unit with many tokens ----------------------------------------------------


def test_a_unit_that_is_active_once_is_counted_once(stored: StoredIndex) -> None:
    """The first unit is active on more tokens than are looked at; one of those that are is the only
    token of the third, and stands for no other."""
    assert len(stored.entries(0, 0)) == stored.n_positions > 2000
    found = {each.feature: each for each in stored.together(0, 0)}
    assert found[2].count == 1
    assert found[2].jaccard == pytest.approx(1 / stored.n_positions)
    on = sum(window.count(" the") for window in WINDOWS)
    assert found[1].count == pytest.approx(on, rel=0.1)


# --- damage --------------------------------------------------------------------------------------


def damaged(
    stored: StoredIndex, folder: Path, name: str, arrays: Callable[[dict[str, Any]], object]
) -> Path:
    """A copy of the index, whose file `name` holds other arrays."""
    shutil.copytree(stored.folder, folder)
    found = {key: np.array(each) for key, each in open_arrays(folder / name)[0].items()}
    arrays(found)
    (folder / name).unlink()
    write_arrays(folder / name, found)
    return folder


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("tokens-1.safetensors", lambda a: a.pop("ids")),
        ("tokens-1.safetensors", lambda a: a["text_ptr"].__setitem__(-1, 5)),
        ("tokens-1.safetensors", lambda a: a["window_ptr"].__setitem__(-1, 10**6)),
        ("layer-000-1.safetensors", lambda a: a.clear()),
        ("layer-000-1.safetensors", lambda a: a["ptr"].__setitem__(1, -7)),
        ("layer-000-1.safetensors", lambda a: a["ptr"].__setitem__(-1, 10**6)),
        ("layer-000-1.safetensors", lambda a: a["token_ptr"].__setitem__(-1, 3)),
        ("layer-000-1.safetensors", lambda a: a.update(value=a["value"][:-1])),
        ("layer-000-1.safetensors", lambda a: a.update(strongest=a["strongest"][:-1])),
    ],
)
def test_files_that_do_not_fit_together_are_named(
    stored: StoredIndex, tmp_path: Path, name: str, change: Callable[[dict[str, Any]], object]
) -> None:
    folder = damaged(stored, tmp_path / "it", name, change)
    with pytest.raises(FeatureError, match=rf"{name} does not belong to this index: remove the"):
        StoredIndex(folder)


def test_an_index_that_was_copied_in_part_says_so(stored: StoredIndex, tmp_path: Path) -> None:
    shutil.copytree(stored.folder, tmp_path / "it")
    (tmp_path / "it" / "index.json").unlink()
    with pytest.raises(FeatureError, match=r"a part of an index, without its index\.json: copy it"):
        StoredIndex(tmp_path / "it")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"layers": [0]}, "layers and sizes are not as many"),
        ({"kept": "many"}, "kept is no number"),
        ({"version": 2}, "another version of interp_widgets wrote it: use that one"),
    ],
)
def test_a_description_that_makes_no_sense_is_refused(
    stored: StoredIndex, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    shutil.copytree(stored.folder, tmp_path / "it")
    path = tmp_path / "it" / "index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(FeatureError, match=f"index.json is not an index's description .{said}"):
        StoredIndex(tmp_path / "it")


# --- which unit ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def units() -> Index:
    model, dictionary = tiny_models.model("gpt2"), tiny_models.dictionary()
    return Index(model, dictionary, units_of(model, dictionary))


@pytest.mark.parametrize(
    "key", [2, (2,), (2, 1.7), (2.0, 1), ("2", "1"), (None, 1), (1, slice(3)), (1, [1, 2]), "21"]
)
def test_a_unit_is_named_by_two_whole_numbers(units: Index, key: Any) -> None:
    """2, 1.7 is not rounded to some other feature."""
    with pytest.raises(FeatureError, match=r"named by its layer and number, index\[2, 117\], not"):
        units[key]


@pytest.mark.parametrize("key", [(2, 7), (np.int64(2), np.uint16(7)), tuple(torch.tensor([2, 7]))])
def test_numbers_of_arrays_and_tensors_name_it_too(units: Index, key: Any) -> None:
    assert units[key] == Feature(units, 2, 7)
    assert type(units[key].feature) is int


@pytest.mark.parametrize("text", [None, 5, ["a"]])
def test_what_is_no_text_is_no_label(units: Index, text: Any) -> None:
    with pytest.raises(FeatureError, match="A label is a text, not"):
        units[1, 5].rename(text)
