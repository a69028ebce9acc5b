"""Environments for other tools, which need other versions of libraries than we do.

Each tool gets a virtual environment of its own in the cache folder. circuit-tracer's nnsight
backend imports with nnsight 0.6 and transformers 4.57 only, so it gets a copy of the model's
config in the older words, too (the weights are links to the same file).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = ("circuit-tracer==0.5.0", "nnsight==0.6.1", "transformers==4.57.3")
VARIABLE = "INTERP_WIDGETS_PEER"

TOOLS = {
    "saelens-6.54.0": ("sae-lens==6.54.0",),
    "sparsify-1.3.3": ("eai-sparsify==1.3.3",),
    "dictionary_learning-0.1.0": ("dictionary-learning==0.1.0",),
}
"""Tools that train and load dictionaries: environment and requirements."""

DASHBOARD = (
    "sae-dashboard-0.8.0",
    ("sae-dashboard==0.8.0", "torch==2.13.0", "pyarrow<21", "pandas<3"),
)
"""Environment and requirements. Without torch's version pip would exchange it for one with gigabytes
of CUDA; newer pyarrow and pandas want another numpy than it allows."""


def python(given: str | None, home: Path) -> Path:
    """The interpreter of an environment that has circuit-tracer; made in `home` if none is given.

    Args:
        given: an environment's folder; None: the variable INTERP_WIDGETS_PEER, else our own.
    """
    chosen = given or os.environ.get(VARIABLE)
    if chosen:
        found = _interpreter(Path(chosen))
        if not found.exists():
            raise SystemExit(f"{chosen} is not a Python environment: it has no {found.name}.")
        return found
    return made(home / "circuit-tracer-0.5.0", REQUIREMENTS)


def made(folder: Path, requirements: tuple[str, ...]) -> Path:
    """The interpreter of an environment with the requirements, made in `folder` once."""
    done = folder / "complete"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        print(f"Installing {', '.join(requirements)} into {folder} (once)", flush=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [_interpreter(folder), "-m", "pip", "install", "--quiet"]
        # The same torch as ours, so that the same kernels multiply the matrices.
        torch = subprocess.run([*pip, _torch()], check=False)
        if torch.returncode:
            print("That build of torch cannot be had here; pip chooses one.", flush=True)
        subprocess.run([*pip, *requirements], check=True)
        if not torch.returncode:
            # nnsight 0.3 drags in torchvision, which brings the torch it fits; nothing here uses it.
            subprocess.run([*pip, _torch()], check=True)
            subprocess.run([*pip[:3], "uninstall", "--quiet", "--yes", "torchvision"], check=True)
        done.touch()
    return _interpreter(folder)


def older_words(model: Path, home: Path) -> Path:
    """A folder with the model for transformers 4: same weights, config in the older words.

    transformers 5 writes `rope_parameters`; transformers 4 would pass it over and rotate by its
    default angles, and the two tools would explain different models.
    """
    folder = home / "smollm2-transformers-4"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in model.iterdir():
        if file.name not in ("config.json", "tokenizer_config.json"):
            (folder / file.name).symlink_to(file.resolve())
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    rope = config.pop("rope_parameters", None)
    if rope:
        config["rope_theta"] = rope["rope_theta"]
    config["torch_dtype"] = config.pop("dtype", "float32")
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    tokenizer = json.loads((model / "tokenizer_config.json").read_text(encoding="utf-8"))
    tokenizer["tokenizer_class"] = "PreTrainedTokenizerFast"
    tokenizer.pop("backend", None)
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    return folder


def _interpreter(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _torch() -> str:
    import torch

    return f"torch=={torch.__version__}"
