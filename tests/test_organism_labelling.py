"""How many features of the organism a short label tells: the stated shares, on other text."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import interp_widgets as iw
from interp_widgets.features.stored import StoredIndex
from interp_widgets.labs.organism.labelling import GOOD, GROUP, LEAST, separated

FOLDER = Path(iw.__file__).parent / "labs" / "organism" / "weights"
LAYER, N = 1, 60


def gate(what: str) -> tuple[float, int]:
    rows = json.loads((FOLDER / "gates.json").read_text("utf-8"))
    return next((r["value"], r["n"]) for r in rows if r["group"] == GROUP and r["what"] == what)


@pytest.fixture(scope="module")
def measured() -> np.ndarray:
    stored = StoredIndex(FOLDER / "index")
    often = np.flatnonzero(stored.counts(LAYER) >= LEAST)
    some = often[:: max(1, len(often) // N)][:N]
    return np.array(list(separated(stored, LAYER, some.tolist())))


def test_the_index_that_ships_says_about_the_same(measured: np.ndarray) -> None:
    """A seventh of the text, and of one layer some: within what so few can tell."""
    stated, n = gate(f"layer {LAYER}: area {GOOD} or more")
    assert n > 1000
    assert len(measured) == N
    assert abs((measured[:, 0] >= GOOD).mean() - stated) < 0.25
    assert np.median(measured[:, 0]) > 0.7


def test_rules_of_other_features_do_not_tell_them(measured: np.ndarray) -> None:
    stated, _ = gate(f"layer {LAYER}: rules of random other features")
    assert stated < 0.05
    assert measured[:, 1].mean() < 0.1


def test_all_layers_are_the_layers_together() -> None:
    parts = [gate(f"layer {layer}: area {GOOD} or more") for layer in range(5)]
    share, n = gate(f"all layers: area {GOOD} or more")
    assert n == sum(count for _, count in parts)
    assert share == pytest.approx(sum(value * count for value, count in parts) / n)
