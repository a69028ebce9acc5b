"""An index made by a real Ray cluster of two workers, against the one that this process makes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import ray
import torch
from index_worker import folder_bytes

from interp_widgets import dictionaries, models
from interp_widgets.features import distributed
from interp_widgets.features.about import read_about
from interp_widgets.features.building import build
from interp_widgets.features.distributed import RayWorkers
from interp_widgets.features.errors import FeatureError
from interp_widgets.features.opening import index
from interp_widgets.features.shards import shards_of, windows_of
from interp_widgets.features.units import Units, units_of
from interp_widgets.jobs import Cancelled
from interp_widgets.models import Model

pytestmark = pytest.mark.slow
SHARD_TOKENS = 400


@pytest.fixture(scope="module", autouse=True)
def _cluster() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=200 * 2**20,
        # Ray lets its workers stand behind everybody; on a busy machine tests would take minutes.
        _system_config={"worker_niceness": 0},
    )
    yield
    ray.shutdown()
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model() -> Model:
    return models.load("organism", device="cpu")


@pytest.fixture(scope="module")
def text(model: Model) -> list[str]:
    assert model.dictionary is not None
    return (model.dictionary.parent / "sample.txt").read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="module")
def features(model: Model) -> Units:
    return units_of(model, dictionaries.load(model.dictionary))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def alone(
    model: Model, features: Units, text: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The index of one process."""
    folder = tmp_path_factory.mktemp("alone") / "index"
    build(model, features, text, folder, shard_tokens=SHARD_TOKENS)
    return folder


def encoding_now() -> list[int]:
    """The processes below this one in which Ray runs one of our tasks."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.cmdline()[:1] == ["ray::encode a shard"]:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def test_two_workers_make_the_files_of_one_process(
    model: Model, text: list[str], alone: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "index"
    index(
        model,
        model.dictionary,
        text,
        folder=folder,
        shard_tokens=SHARD_TOKENS,
        encoder=RayWorkers(),
    ).wait()
    assert len(read_about(folder).shards) > 10  # type: ignore[union-attr]
    assert folder_bytes(folder) == folder_bytes(alone)


def test_workers_that_die_over_their_shards_change_nothing(
    model: Model, features: Units, text: list[str], alone: Path, tmp_path: Path
) -> None:
    killed: list[int] = []

    def kill_all_once() -> None:
        for pid in [] if killed else encoding_now():
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

    build(
        model,
        features,
        text,
        tmp_path / "index",
        shard_tokens=SHARD_TOKENS,
        encoder=RayWorkers(dictionary=model.dictionary),
        check=kill_all_once,
    )
    assert killed
    assert folder_bytes(tmp_path / "index") == folder_bytes(alone)


def test_a_cancelled_index_keeps_what_the_workers_finished_and_goes_on(
    model: Model, features: Units, text: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "index"
    asked = 0

    def stop() -> None:
        nonlocal asked
        first = [folder / "shards" / f"{number:05d}.safetensors" for number in range(3)]
        asked += all(path.exists() for path in first)  # workers finish in any order
        if asked:
            raise Cancelled

    with pytest.raises(Cancelled):
        build(
            model,
            features,
            text,
            folder,
            shard_tokens=SHARD_TOKENS,
            encoder=RayWorkers(),
            check=stop,
        )
    about = read_about(folder)
    assert about is not None
    assert len(about.shards) >= 3
    assert not about.complete
    assert build(model, features, text, folder, encoder=RayWorkers()).about.complete


def test_neurons_are_indexed_by_workers_with_the_floors_of_the_driver(
    model: Model, text: list[str], tmp_path: Path
) -> None:
    neurons = units_of(model, "neurons")
    for name, encoder in (("a", {}), ("b", {"encoder": RayWorkers()})):
        build(model, neurons, text[:150], tmp_path / name, shard_tokens=SHARD_TOKENS, **encoder)  # type: ignore[arg-type]
    assert folder_bytes(tmp_path / "a") == folder_bytes(tmp_path / "b")


def refused(model: Model, units: Units, workers: RayWorkers) -> str:
    shards = shards_of(windows_of(model, ["the capital of texas is austin ."], 32), (), 100)
    with pytest.raises(FeatureError) as error:
        list(workers(model, units, shards, lambda: None))
    return str(error.value)


def test_workers_that_cannot_load_the_model_say_which_and_what_to_do(
    model: Model, features: Units, tmp_path: Path
) -> None:
    said = refused(model, features, RayWorkers(model=tmp_path / "nothing"))
    assert "cannot load the model" in said
    assert str(tmp_path / "nothing") in said
    assert "RayWorkers(model=...)" in said


def test_workers_with_other_weights_under_the_same_name_are_refused(features: Units) -> None:
    changed = models.load("organism", device="cpu")
    with torch.no_grad():
        next(changed.hf.parameters()).mul_(1.001)
    said = refused(changed, features, RayWorkers())
    assert "other weights" in said


def test_a_machine_that_is_too_small_is_named_before_anything_waits(
    model: Model, features: Units
) -> None:
    torch.set_num_threads(3)
    try:
        said = refused(model, features, RayWorkers())
    finally:
        torch.set_num_threads(1)
    assert "3 CPUs" in said


def test_a_shard_that_is_lost_again_and_again_ends_the_pass(
    model: Model,
    features: Units,
    text: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(distributed, "RETRIES", 0)

    def kill() -> None:
        for pid in encoding_now():
            os.kill(pid, signal.SIGKILL)

    with pytest.raises(FeatureError, match=r"was lost with its worker 1 times .* Out of memory"):
        build(
            model,
            features,
            text,
            tmp_path / "index",
            shard_tokens=SHARD_TOKENS,
            encoder=RayWorkers(),
            check=kill,
        )


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(FeatureError, match=r"interp-widgets\[ray\]"):
        RayWorkers()
