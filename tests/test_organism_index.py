"""The index that ships with the organism, against the model run by hand and against a new pass."""

from __future__ import annotations

import shutil
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

import interp_widgets as iw
from interp_widgets.dictionaries import load as load_dictionary
from interp_widgets.features.known import index_for
from interp_widgets.features.stored import StoredIndex
from interp_widgets.features.units import units_of
from interp_widgets.labs.organism import indexing
from interp_widgets.labs.organism.corpus import documents
from interp_widgets.labs.organism.facts import CITIES, STATES

torch.set_num_threads(1)
FOLDER = Path(iw.__file__).parent / "labs" / "organism" / "weights"


@pytest.fixture(scope="module")
def stored() -> StoredIndex:
    return StoredIndex(FOLDER / "index")


@pytest.fixture(scope="module")
def model():
    return iw.load("organism")


@pytest.fixture(scope="module")
def dictionary():
    return load_dictionary(FOLDER / "dictionary")


def named(dictionary, text: str) -> list[tuple[int, int]]:
    return [place for place, label in dictionary.labels.items() if label.text == text]


def test_it_is_whole_and_small(stored: StoredIndex) -> None:
    assert stored.about.complete
    assert stored.about.model == "organism"
    assert sum(p.stat().st_size for p in (FOLDER / "index").rglob("*") if p.is_file()) <= 4e6
    assert stored.about.documents == len(indexing.texts())


def test_it_is_of_the_dictionary_that_ships(stored, model, dictionary) -> None:
    assert stored.about.fingerprint == units_of(model, dictionary).fingerprint
    found = index_for(model, dictionary)
    assert found.stored.folder == FOLDER / "index"


def test_no_document_is_held_out() -> None:
    assert not any(d.held_out for d in islice(documents(indexing._SEED), len(indexing.texts())))


def test_a_state_s_features_show_its_cities(stored, dictionary) -> None:
    """At the ends of names whose state it is; looked up in the table of cities."""
    tried = right = 0
    for state in STATES:
        cities = [city.split()[-1] for city, owner in CITIES.items() if owner == state]
        for layer, feature in named(dictionary, state):
            for example in stored.examples(layer, feature, n=3):
                tried += 1
                before = "".join(example.tokens[: example.trigger + 1])
                right += before.endswith((*cities, state))
    assert tried >= 150
    # A name says that half of the activation lies there; the strongest examples do better.
    assert right / tried >= 0.85


def test_a_token_s_features_are_active_on_the_token(stored, dictionary) -> None:
    """A name says that half of the activation lies there; strongest examples may be of the rest."""
    words = np.array([word.strip() for word in stored.tokens(0, stored.n_positions)])
    tried = right = 0
    for (layer, feature), label in dictionary.labels.items():
        word = label.text.strip("“”")
        entries = stored.entries(layer, feature)
        if label.text == f"“{word}”" and word.isalpha() and len(entries) >= 10:
            tried += 1
            there = entries.value[words[entries.position] == word].sum()
            right += there >= 0.5 * entries.value.sum()
    assert tried >= 100
    assert right / tried >= 0.9


def test_almost_every_named_feature_has_examples(stored, dictionary) -> None:
    counts = {layer: stored.counts(layer) for layer in stored.layers}
    on = np.array([counts[layer][feature] for layer, feature in dictionary.labels])
    assert len(on) > 2500
    assert (on > 0).mean() >= 0.995
    assert (on >= 5).mean() >= 0.95


def test_a_new_pass_says_the_same(stored: StoredIndex, tmp_path: Path) -> None:
    """Over a copy elsewhere: the same tokens, and the same activations up to rounding."""
    for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(FOLDER / name, tmp_path)
    shutil.copytree(FOLDER / "dictionary", tmp_path / "dictionary")
    again = indexing.write(tmp_path)
    assert again.about == stored.about
    name = "tokens-1.safetensors"
    assert (again.folder / name).read_bytes() == (stored.folder / name).read_bytes()
    for layer in stored.layers:
        ours, theirs = again.counts(layer), stored.counts(layer)
        # Another processor adds up in another order, and a value at its threshold may tip.
        assert np.abs(ours - theirs).sum() <= 1e-3 * theirs.sum()
        assert np.allclose(again.strongest(layer), stored.strongest(layer), rtol=2e-3, atol=2e-3)
    once = {p.name: p.read_bytes() for p in again.folder.iterdir()}
    indexing.write(tmp_path)
    assert {p.name: p.read_bytes() for p in again.folder.iterdir()} == once
