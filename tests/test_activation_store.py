"""Activations on disk are the ones that are streamed, and damage is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tiny_models
import torch
from small_training import TEXT

from interp_widgets.dictionaries import DictionaryError
from interp_widgets.dictionaries.training import (
    ActivationStore,
    Training,
    recipes,
    store_activations,
    train,
    transcoder,
)
from interp_widgets.dictionaries.training.corpus import Corpus, Position
from interp_widgets.dictionaries.training.stream import TextStream
from interp_widgets.models import Place

PLACES = [Place(1, "mlp_in"), Place(1, "mlp_out")]


def store(folder: Path, tokens: int = 1500, **options: torch.dtype) -> ActivationStore:
    model = tiny_models.model("llama grouped")
    return store_activations(
        model, PLACES, TEXT, folder, tokens=tokens, context=12, rows=4, **options
    )


def test_what_is_stored_is_what_would_be_streamed(tmp_path: Path) -> None:
    stored = store(tmp_path)
    assert stored.tokens >= 1500
    model = tiny_models.model("llama grouped")
    stream = TextStream(model, Corpus(TEXT, model.tokenizer, 12), PLACES, rows=4)
    pairs = zip(stored.groups(Position()), stream.groups(Position()), strict=False)
    n_groups = len([0 for _ in range(stored.tokens // 44)])
    for _, ((mine, _), (theirs, _)) in zip(range(n_groups), pairs, strict=False):
        assert torch.equal(mine.rows, theirs.rows)
        assert torch.equal(mine.kept, theirs.kept)
        here, there = mine.read(), theirs.read()
        for place in PLACES:
            assert torch.equal(here[place], there[place])


def test_it_is_read_again_from_any_group_and_from_the_beginning(tmp_path: Path) -> None:
    stored = store(tmp_path, tokens=300)
    reading = stored.groups(Position())
    seen = [next(reading) for _ in range(20)]
    assert seen[-1][1].epoch > 0
    for index, (_, behind) in enumerate(seen[:-1]):
        group, _ = next(stored.groups(behind))
        assert torch.equal(group.rows, seen[index + 1][0].rows)
        assert torch.equal(group.read()[PLACES[0]], seen[index + 1][0].read()[PLACES[0]])


def test_training_from_disk_is_training_from_the_stream(tmp_path: Path) -> None:
    model = tiny_models.model("llama grouped")
    spec = transcoder(1, 64, recipes.TopK(4))
    # 1,024 tokens of buffer make blocks of 8 groups of 5 rows.
    stored = store_activations(model, PLACES, TEXT, tmp_path, tokens=4000, context=12, rows=5)
    losses = []
    for text in (TEXT, stored):
        training = train(model, spec, text, tokens=1920, batch=64, context=12, buffer=1024).wait()
        losses.append(training.history[training.names[0]]["loss"])
    assert np.array_equal(losses[0], losses[1])


def test_a_training_from_disk_goes_on(tmp_path: Path) -> None:
    model = tiny_models.model("llama grouped")
    stored = store(tmp_path / "store", dtype=torch.bfloat16)
    spec = transcoder(1, 64, recipes.TopK(4))
    whole = train(model, spec, stored, tokens=6400, batch=64, buffer=1024).wait()
    train(
        model, spec, stored, tokens=6400, batch=64, buffer=1024, checkpoint_every=37, to=tmp_path
    ).wait()
    max(tmp_path.glob("checkpoint-*")).unlink()
    again = Training.resume_from(tmp_path, model).wait()  # it remembers where the store is
    name = whole.names[0]
    assert np.array_equal(again.history[name]["loss"], whole.history[name]["loss"])


def test_what_a_store_lacks_cannot_be_trained(tmp_path: Path) -> None:
    stored = store(tmp_path)
    model = tiny_models.model("llama grouped")
    with pytest.raises(DictionaryError, match="needs L2 mlp_in, but what is read has L1 mlp_in"):
        train(model, transcoder(2, 64, recipes.TopK(4)), stored, tokens=6400, batch=64)


def test_damage_is_refused_with_a_sentence(tmp_path: Path) -> None:
    stored = store(tmp_path)
    with pytest.raises(DictionaryError, match="holds activations already"):
        store(tmp_path)
    file = next(tmp_path.glob("activations-*.safetensors"))
    file.write_bytes(file.read_bytes()[:3000])
    with pytest.raises(DictionaryError, match="activations-00000.safetensors cannot be read"):
        next(ActivationStore(tmp_path).groups(Position()))
    about = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(about | {"version": 2}))
    with pytest.raises(DictionaryError, match="holds no complete activations"):
        ActivationStore(tmp_path)
    with pytest.raises(DictionaryError, match="holds no complete activations"):
        ActivationStore(tmp_path / "nowhere")
    assert "tokens of L1 mlp_in, L1 mlp_out" in repr(stored)
