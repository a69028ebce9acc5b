"""Shards encoded by Ray: by several processes, of this machine or of many.

The driver cuts the corpus into shards and writes the files; in between, shards travel to workers as
token ids and come back as arrays through Ray's object store, so no folder has to be shared. Every
worker process loads the model by name once. A shard whose worker or machine is lost is encoded again
by another one; at most two shards per worker are on the way.

The index is, byte for byte, the one that a single process makes: a shard is encoded alone and in the
same batches, and with as many threads as the driver has, because the order in which a matrix product
adds up depends on them (Ray gives its workers one). Where workers have other processors than the
driver, values may differ in the last bit before they are rounded to float16.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from .. import __version__
from ..dictionaries import load as load_dictionary
from ..models import Model
from ..models import load as load_model
from .errors import FeatureError
from .marks import weights_of
from .shards import Arrays, Shard, encode_shard
from .units import DenseUnits, FeatureUnits, Units, units_of

#: How often a shard is given to another worker when one dies over it.
RETRIES = 3
_PER_WORKER = 2
_SECONDS_BETWEEN_CHECKS = 0.2
_VERSIONS = f"interp_widgets {__version__}, torch {torch.__version__}"


@dataclass(frozen=True)
class RayWorkers:
    """Encodes shards on a Ray cluster: the one this process is connected to, else the one that
    `ray.init()` finds or starts on this machine.

    Args:
        model: what every worker loads: a name, a Hugging Face id, or a folder that all machines
            have under this path. None: the name of the driver's model.
        dictionary: a folder or hub name that every worker loads. None: the driver's dictionary is
            sent to them, which needs room for it in Ray's object store.
        gpus: per worker, as Ray counts them. None: one if the driver's model is on a GPU.

    Raises FeatureError where Ray is not installed. When called, FeatureError for workers that have
    another model, dictionary or version, or that die over the same shard again and again.
    """

    model: str | Path | None = None
    dictionary: str | Path | None = None
    gpus: float | None = None

    def __post_init__(self) -> None:
        _ray()

    def __call__(
        self, model: Model, units: Units, shards: Iterator[Shard], check: Callable[[], object]
    ) -> Iterator[tuple[Shard, Arrays]]:
        """Each shard with what its file holds, in the order in which they are done."""
        ray = _ray()
        if not ray.is_initialized():
            ray.init(log_to_driver=False, logging_level=logging.ERROR)
        job = self._job(model, units)
        gpus = job.gpus
        task = ray.remote(_encode).options(
            num_cpus=job.threads, num_gpus=gpus, max_retries=RETRIES, name="encode a shard"
        )
        waiting: dict[Any, Shard] = {}
        left = True
        try:
            while True:
                room = _PER_WORKER * _slots(ray, job.threads, gpus)
                while left and len(waiting) < room:
                    shard = next(shards, None)
                    left = shard is not None
                    if shard is not None:
                        waiting[task.remote(job, shard)] = shard
                if not waiting:
                    return
                check()
                done, _ = ray.wait(list(waiting), timeout=_SECONDS_BETWEEN_CHECKS)
                for reference in done:
                    shard = waiting.pop(reference)
                    yield shard, _arrays(ray, reference, shard)
        finally:
            for reference in waiting:
                ray.cancel(reference)

    def _job(self, model: Model, units: Units) -> _Job:
        sent: Any
        if isinstance(units, FeatureUnits):
            on_disk = self.dictionary is not None
            sent = str(self.dictionary) if on_disk else units.dictionary.to("cpu")
        else:
            sent = _on_cpu(units)
        gpus = self.gpus if self.gpus is not None else float(model.device.type == "cuda")
        return _Job(
            key=secrets.token_hex(8),
            model=str(self.model if self.model is not None else model.name),
            weights=weights_of(model),
            dtype=next(model.hf.parameters()).dtype,
            gpus=gpus,
            threads=torch.get_num_threads(),
            units=_ray().put(sent),
            fingerprint=units.fingerprint,
            versions=_VERSIONS,
        )


# --- on the workers ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Job:
    """What a worker needs to know, small enough to go with every shard.

    units: a reference to a dictionary, the path of one, or units without a dictionary; fetched
    once per process. versions: of the driver.
    """

    key: str
    model: str
    weights: str
    dtype: torch.dtype
    gpus: float
    threads: int
    units: Any
    fingerprint: str
    versions: str


# The model and the units of the job that this process works for; a new job replaces them.
_LOADED: dict[str, tuple[Model, Units]] = {}


def _encode(job: _Job, shard: Shard) -> Arrays:
    if job.key not in _LOADED:
        _LOADED.clear()
        _LOADED[job.key] = _load(job)
    model, units = _LOADED[job.key]
    return encode_shard(model, units, shard)


def _load(job: _Job) -> tuple[Model, Units]:
    if job.versions != _VERSIONS:
        raise FeatureError(f"it has {_VERSIONS}, but the driver {job.versions}: install the same.")
    torch.set_num_threads(job.threads)
    advice = (
        "Name what every machine can load, RayWorkers(model=...): a Hugging Face id, or a folder "
        "that all have."
    )
    try:
        device = "cuda" if job.gpus else "cpu"
        model = load_model(job.model, dtype=job.dtype, device=device, progress=_silent)
    except (ValueError, OSError) as error:
        raise FeatureError(f"it cannot load the model {job.model!r} ({error}). {advice}") from error
    if weights_of(model) != job.weights:
        raise FeatureError(f"its model {job.model!r} has other weights than the driver's. {advice}")
    sent = _ray().get(job.units)
    units: Units
    if isinstance(sent, DenseUnits):
        units = sent
    else:
        units = units_of(model, load_dictionary(sent) if isinstance(sent, str) else sent)
    if units.fingerprint != job.fingerprint:
        raise FeatureError(f"its dictionary {sent!r} is another one than the driver's.")
    return model, units


def _silent(message: str, share: float) -> None:
    """Loading on a worker shows no bar."""


# --- on the driver -------------------------------------------------------------------------------


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise FeatureError(
            'Indexing with several processes needs Ray: pip install "interp-widgets[ray]".'
        ) from None
    return ray


def _arrays(ray: Any, reference: Any, shard: Shard) -> Arrays:
    errors = ray.exceptions
    try:
        found: Arrays = ray.get(reference)
        return found
    except errors.RayTaskError as error:
        raise FeatureError(
            f"A Ray worker could not encode shard {shard.number}: {error.cause or error}"
        ) from error
    except errors.RayError as error:
        raise FeatureError(
            f"Shard {shard.number} was lost with its worker {RETRIES + 1} times "
            f"({type(error).__name__}). Out of memory is the usual reason: give the workers more, or "
            "make the index with a smaller shard_tokens."
        ) from error


def _slots(ray: Any, cpus: int, gpus: float) -> int:
    """How many workers the machines of the cluster have room for; machines may come and go."""
    count = 0
    for node in ray.nodes():
        if not node["Alive"]:
            continue
        has = node["Resources"]
        fits = int(has.get("CPU", 0) // cpus)
        count += min(fits, int(has.get("GPU", 0) // gpus)) if gpus else fits
    if not count:
        wanted = f"{cpus} CPU{'s' if cpus > 1 else ''}" + (f" and {gpus:g} GPU" if gpus else "")
        raise FeatureError(
            f"No machine of the Ray cluster has the {wanted} that a worker needs (as many CPUs as "
            "torch.get_num_threads() says here): add one, or call torch.set_num_threads first."
        )
    return count


def _on_cpu(units: Units) -> Units:
    if not isinstance(units, DenseUnits):
        raise FeatureError(f"Ray workers know no units of the kind {type(units).__name__}.")
    vectors, floors = (
        None if held is None else tuple(tensor.cpu() for tensor in held)
        for held in (units.vectors, units.floors)
    )
    return replace(units, vectors=vectors, floors=floors)
