"""Converted weights on disk: built once, whole or not at all.

    <cache>/models/<sha256>/           config.json, model.safetensors, tokenizer.json, origin.json
    <cache>/models/<sha256>.tmp-…/     one that is being built
    <cache>/models/<sha256>.lock       held by whoever builds it

The key is the SHA-256 of the file that was converted. A folder under its final name is complete
(`files`). The operating system drops the lock of a killed process; the next builder then removes
what the killed one left behind. `origin.json` lies beside the weights and says where they come
from, so that results can.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from platformdirs import user_cache_path
from safetensors import SafetensorError

from ..files import write_folder
from .errors import ModelError

CONVERTER = 1
"""Raised whenever a conversion would write other bytes; older folders are then built anew."""

Progress = Callable[[str, float], None]
"""What is being done, and which fraction of it is."""


@dataclass(frozen=True)
class Origin:
    """Where weights come from. `str(origin)` is one line for results and reports.

    Attributes:
        source: in words, such as "GGUF file tiny.gguf".
        encoding: how the numbers were stored there, where they were converted.
        sha256: of the file that was converted; "" for weights used as they are.
        notes: what the conversion could not carry over or be sure of.
    """

    source: str
    encoding: str = ""
    sha256: str = ""
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [self.source, self.encoding, f"SHA-256 {self.sha256[:12]}" if self.sha256 else ""]
        return "; ".join(part for part in (*parts, *self.notes) if part)


def cache_folder() -> Path:
    """`$INTERP_WIDGETS_CACHE`, else this platform's folder for caches."""
    if chosen := os.environ.get("INTERP_WIDGETS_CACHE"):
        return Path(chosen).expanduser().absolute()
    return user_cache_path("interp_widgets", appauthor=False)


def cached(key: str) -> tuple[Path, Origin] | None:
    """The finished folder for this key, if there is one that this version can use."""
    folder = cache_folder() / "models" / key
    try:
        record = json.loads((folder / "origin.json").read_text(encoding="utf-8"))
        # A power cut can leave a renamed folder with short files; their sizes tell.
        whole = all((folder / name).stat().st_size == n for name, n in record["files"].items())
        if record["converter"] != CONVERTER or not whole:
            return None
        origin = Origin(**record["origin"])
        return folder, replace(origin, notes=tuple(origin.notes))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def build_once(
    key: str, build: Callable[[Path, Path], Origin], report: Progress
) -> tuple[Path, Origin]:
    """The folder for `key`, built by `build(work, weights)` unless it is there already.

    `build` fills the empty folder `weights` and may leave anything in `work`. Of several
    processes at once one builds and the others wait for it.

    Raises ModelError where the cache cannot be written; whatever `build` raises passes through
    with nothing left behind.
    """
    if found := cached(key):
        return found
    home = cache_folder() / "models"
    target = home / key
    try:
        home.mkdir(parents=True, exist_ok=True)
        with _locked(home / f"{key}.lock", report):
            if found := cached(key):
                return found
            for left in home.glob(f"{key}.tmp-*"):
                shutil.rmtree(left, ignore_errors=True)
            # What is there already is incomplete, or by an older converter.
            write_folder(
                target, lambda weights: _write_record(weights, build(weights.parent, weights))
            )
    except PermissionError as error:
        raise ModelError(
            f"The cache folder {home} cannot be written ({error.strerror}). "
            "Set INTERP_WIDGETS_CACHE to a folder that can."
        ) from error
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"Preparing weights in {home} failed: {error}. Nothing half-written was kept; "
            "check the disk, or set INTERP_WIDGETS_CACHE to a folder on another one."
        ) from error
    found = cached(key)
    if found is None:
        raise ModelError(
            f"The weights written to {target} were gone or incomplete a moment later. "
            "Set INTERP_WIDGETS_CACHE to a folder that nothing else cleans up."
        )
    return found


def check_room(folder: Path, needed: int, what: str) -> None:
    """Raises ModelError where fewer than `needed` bytes are free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ModelError(
            f"{what} needs {needed / 1e9:.1f} GB in {cache_folder()}, but only {free / 1e9:.1f} GB "
            "are free. Free some space, or set INTERP_WIDGETS_CACHE to a folder on another disk."
        )


@contextmanager
def reporting(progress: Progress | None) -> Iterator[Progress]:
    """`progress` itself, or a tqdm bar that appears with the first report."""
    if progress is not None:
        yield progress
        return
    from tqdm.auto import tqdm

    bar: Any = None

    def report(message: str, fraction: float) -> None:
        nonlocal bar
        if bar is None:
            bar = tqdm(total=1.0, bar_format="{desc} {percentage:3.0f}% |{bar}| {elapsed}")
        bar.set_description_str(message, refresh=False)
        bar.n = min(fraction, 1.0)
        bar.refresh()

    try:
        yield report
    finally:
        if bar is not None:
            bar.close()


@contextmanager
def _locked(path: Path, report: Progress) -> Iterator[None]:
    lock = FileLock(path)
    while True:
        try:
            lock.acquire(timeout=0.5)
            break
        except Timeout:
            report("Waiting for another process that prepares the same weights", 0.0)
    try:
        yield
    finally:
        lock.release()


def _write_record(folder: Path, origin: Origin) -> None:
    record = {
        "origin": asdict(origin),
        "converter": CONVERTER,
        "files": {file.name: file.stat().st_size for file in sorted(folder.iterdir())},
    }
    (folder / "origin.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


@contextmanager
def without_bars() -> Iterator[None]:
    """Without transformers' own progress bars, which would interleave with ours."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
