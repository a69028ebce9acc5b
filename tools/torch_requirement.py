"""Prints what pip should install for torch on this machine.

PyPI's torch for Linux brings CUDA libraries of several gigabytes, of no use where there is no
GPU. An index that offers a CPU build marks it with the local version `+cpu`; where pip's own
configuration reaches one, we name exactly that. Nothing here knows an index's address.
"""

from __future__ import annotations

import importlib.util
import platform
import re
import shutil
import subprocess
import sys

CUDA_NOTE = """
note: no GPU found, and pip reaches no CPU build of torch: the default one brings CUDA libraries
      of several gigabytes. To avoid that, stop here and name the CPU index that PyTorch's
      install page gives:  PIP_EXTRA_INDEX_URL=<that address> make lab
      or name any requirement yourself:  make lab TORCH='torch==2.13.0'
"""


def torch_requirement() -> str:
    if importlib.util.find_spec("torch"):
        return "torch"  # one that is there already stays
    # macOS and Windows get builds without CUDA from PyPI; a GPU machine wants the CUDA ones.
    if platform.system() != "Linux" or shutil.which("nvidia-smi"):
        return "torch"
    newest = next((version for version in offered_versions() if version.endswith("+cpu")), None)
    if newest:
        return f"torch=={newest}"
    print(CUDA_NOTE, file=sys.stderr)
    return "torch"


def offered_versions() -> list[str]:
    """What pip's configured indexes offer for this interpreter, newest first.

    Read from pip's sentence for people: the pip of a fresh Python 3.11 has no --json here.
    An index that does not answer gives an empty list; the install that follows says it better.
    """
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "index", "versions", "torch"],
        capture_output=True,
        text=True,
    )
    found = re.search(r"^Available versions: (.+)$", listing.stdout, re.MULTILINE)
    return found.group(1).split(", ") if found else []


if __name__ == "__main__":
    print(torch_requirement())
