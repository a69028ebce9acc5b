"""A training that was killed goes on bit for bit, and changes that were made are kept."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models
import torch
from safetensors import safe_open
from small_training import TEXT, until

from interp_widgets.dictionaries import DictionaryError
from interp_widgets.dictionaries.training import Training, recipes, train, transcoder
from interp_widgets.dictionaries.training.recipes import Recipe

RECIPES: dict[str, Recipe] = {
    "TopK": recipes.TopK(4, dead_after=200),
    "BatchTopK": recipes.BatchTopK(4, dead_after=200),
    "JumpReLU": recipes.JumpReLU(target_l0=5.0),
    "ReLU": recipes.ReLU(),
    "Gated": recipes.Gated(),
    "Matryoshka": recipes.Matryoshka(recipes.TopK(4), (16, 64)),
}


def learn(recipe: Recipe, to: Path | None = None, **options: Any) -> Training:
    """40 steps on a tiny model; the buffer is refilled every 8 or so."""
    model = tiny_models.model("llama grouped")
    spec = transcoder(1, 64, recipe, skip=True)
    options = dict(tokens=40 * 64, batch=64, context=12, buffer=1024, lr=2e-3) | options
    return train(model, spec, TEXT, to=to, **options)


def go_on(folder: Path) -> Training:
    return Training.resume_from(folder, tiny_models.model("llama grouped"), TEXT)


def contents(path: Path) -> tuple[dict[str, torch.Tensor], str]:
    with safe_open(path, framework="pt") as file:
        about = file.metadata()["about"]
        return {name: file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118


def same_bits(path: Path, other: Path) -> None:
    """Weights, optimiser, counters, history, examples: all of two checkpoints."""
    (mine, about), (theirs, their_about) = contents(path), contents(other)
    assert about == their_about
    assert mine.keys() == theirs.keys()
    for name, tensor in mine.items():
        assert tensor.dtype == theirs[name].dtype
        # NaN is not equal to NaN, but bytes are.
        assert tensor.numpy().tobytes() == theirs[name].numpy().tobytes(), name


def last(folder: Path) -> Path:
    return max(folder.glob("checkpoint-*.safetensors"))


@pytest.mark.slow
def test_killed_fifty_times_at_random_moments_it_ends_with_the_same_bits(tmp_path: Path) -> None:
    script = Path(__file__).with_name("small_training.py")
    root = script.parents[1]
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": f"{script.parent}{os.pathsep}{root}",
    }
    run = subprocess.run(
        [sys.executable, str(script), str(tmp_path), "50", "1"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert run.returncode == 0, run.stderr
    assert "killed 50 times" in run.stdout
    killed = sorted(tmp_path.glob("killed-*"))
    assert killed
    for folder in killed:
        assert not list(folder.glob("*.tmp-*"))
        same_bits(last(folder), last(tmp_path / "whole"))


@pytest.mark.parametrize("name", RECIPES)
def test_going_on_from_the_middle_equals_not_having_stopped(name: str, tmp_path: Path) -> None:
    recipe = RECIPES[name]
    learn(recipe, tmp_path / "whole", checkpoint_every=100).wait()
    learn(recipe, tmp_path / "other", checkpoint_every=13).wait()
    last(tmp_path / "other").unlink()  # what a kill between the last two checkpoints leaves
    training = go_on(tmp_path / "other").wait()
    assert training.state == "done"
    same, _ = contents(last(tmp_path / "whole"))
    for key, tensor in contents(last(tmp_path / "other"))[0].items():
        assert tensor.numpy().tobytes() == same[key].numpy().tobytes(), key


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(tmp_path: Path) -> None:
    learn(recipes.TopK(4), tmp_path / "whole", checkpoint_every=16).wait()
    learn(recipes.TopK(4), tmp_path / "other", checkpoint_every=16).wait()
    newest = last(tmp_path / "other")
    content = bytearray(newest.read_bytes())
    content[-1000] ^= 1  # one bit
    newest.write_bytes(content)
    with pytest.warns(UserWarning, match=f"{newest.name} is damaged.*Going on from"):
        training = go_on(tmp_path / "other")
    training.wait()
    same_bits(last(tmp_path / "other"), last(tmp_path / "whole"))


def test_every_kind_of_damage_is_refused_with_a_sentence(tmp_path: Path) -> None:
    learn(recipes.TopK(4), tmp_path, checkpoint_every=16).wait()
    for path, content in zip(
        sorted(tmp_path.glob("checkpoint-*")),
        (last(tmp_path).read_bytes()[:5000], b"\x80\x04cos\nsystem\n"),
        strict=True,
    ):
        path.write_bytes(content)
    with pytest.raises(DictionaryError, match="holds no checkpoint to go on from.*damaged"):
        go_on(tmp_path)


def test_settings_changed_by_the_user_survive(tmp_path: Path) -> None:
    training = learn(recipes.TopK(8), tmp_path, tokens=4000 * 64)
    training.pause()
    training.set(k=3, lr=1e-4)
    training.resume()
    until(training, lambda: bool(training.changes))
    training.stop()
    training.wait()
    change = training.changes[0]
    resumed = go_on(tmp_path)
    assert resumed.settings() == {"lr": 1e-4, "k": 3}
    assert resumed.changes == training.changes
    resumed.stop()
    resumed.wait()
    k = resumed.history[resumed.names[0]]["k"]
    assert (k[: change.step] == 8).all()
    assert (k[change.step :] == 3).all()


def test_what_was_paused_stays_paused(tmp_path: Path) -> None:
    training = learn(recipes.TopK(4), tmp_path / "one", tokens=4000 * 64)
    until(training, lambda: training.step >= 5)
    training.pause()
    until(training, lambda: training.state == "paused")
    step = training.step
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    training.cancel()
    resumed = go_on(tmp_path / "two")  # as if the process had died in the pause
    until(resumed, lambda: resumed.state == "paused")
    assert resumed.step == step
    resumed.resume()
    until(resumed, lambda: resumed.step >= step + 3)
    resumed.stop()
    assert resumed.wait().state == "stopped"


def test_a_finished_training_is_there_again_at_once(tmp_path: Path) -> None:
    training = learn(recipes.TopK(4), tmp_path).wait()
    resumed = go_on(tmp_path).wait()
    assert resumed.state == "done"
    name = training.names[0]
    assert np.array_equal(resumed.history[name]["loss"], training.history[name]["loss"])
    assert resumed.examples(name, 3) == training.examples(name, 3)
    x = torch.randn(5, tiny_models.WIDTH)
    for found in (resumed.dictionary(), Training.dictionaries_in(tmp_path)[name]):
        assert torch.equal(found.reconstruct(x), training.dictionary().reconstruct(x))


def test_another_text_or_model_is_refused(tmp_path: Path) -> None:
    learn(recipes.TopK(4), tmp_path).wait()
    with pytest.raises(DictionaryError, match="another text"):
        Training.resume_from(tmp_path, tiny_models.model("llama grouped"), ["w5 w6 w7"])
    with pytest.raises(DictionaryError, match="The text of this training was no file"):
        Training.resume_from(tmp_path, tiny_models.model("llama grouped"))
    with pytest.raises(DictionaryError, match="belongs to tiny llama grouped, but tiny gpt2"):
        Training.resume_from(tmp_path, tiny_models.model("gpt2"), TEXT)


def test_other_activations_are_noticed(tmp_path: Path) -> None:
    learn(recipes.TopK(4), tmp_path, checkpoint_every=19).wait()
    last(tmp_path).unlink()
    other = tiny_models.model("llama grouped", seed=1)
    with pytest.warns(UserWarning, match="differ in their last bits"):
        Training.resume_from(tmp_path, other, TEXT).wait()


def test_a_second_training_does_not_overwrite_the_first(tmp_path: Path) -> None:
    learn(recipes.TopK(4), tmp_path).wait()
    with pytest.raises(DictionaryError, match="Training.resume_from"):
        learn(recipes.TopK(4), tmp_path)


def test_nothing_is_warned_of_where_all_is_well(tmp_path: Path) -> None:
    learn(recipes.TopK(4), tmp_path, checkpoint_every=13).wait()
    last(tmp_path).unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        go_on(tmp_path).wait()
