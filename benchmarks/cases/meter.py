"""What one piece of work costs in this process: CPU seconds, memory, matrix products.

Only the standard library and torch, because the peer's environment imports it as well.
CPU time, not wall time: other work on the machine hardly changes it.
"""

from __future__ import annotations

import platform
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

MATRIX_PRODUCTS = {"mm", "addmm", "bmm", "baddbmm", "mv", "addmv", "dot", "linear", "matmul"}


@dataclass
class Cost:
    """cpu, wall: seconds; peak, before: bytes of resident memory, at most during the work and
    when it began; products: CPU seconds inside matrix products, or None where not asked."""

    cpu: float = 0.0
    wall: float = 0.0
    peak: int = 0
    before: int = 0
    products: float | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@contextmanager
def measured(products: bool = False) -> Iterator[Cost]:
    """Measure the body; the numbers are in what is yielded once it has ended.

    products: time every matrix product, too. That costs time outside the products, so take the
        other numbers from a run without.
    """
    cost = Cost()
    clock = _Products()
    _forget_peak()
    cost.before = _status("VmRSS")
    wall, cpu = time.perf_counter(), time.process_time()
    if products:
        with clock:
            yield cost
        cost.products = clock.seconds
    else:
        yield cost
    cost.cpu, cost.wall = time.process_time() - cpu, time.perf_counter() - wall
    cost.peak = _status("VmHWM")


class _Products(TorchDispatchMode):
    """Adds up the time of matrix products, below autograd, where every call arrives."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func._schema.name.removeprefix("aten::").rstrip("_") not in MATRIX_PRODUCTS:
            return func(*args, **(kwargs or {}))
        start = time.process_time()
        out = func(*args, **(kwargs or {}))
        self.seconds += time.process_time() - start
        return out


def _forget_peak() -> None:
    # Loading may have needed more than the work does. Linux forgets the peak when asked to.
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _status(key: str) -> int:
    """A line of this process's memory status in bytes; elsewhere the peak since it began."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith(key):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if platform.system() == "Darwin" else peak * 1024


def one_thread() -> None:
    torch.set_num_threads(1)
    with suppress(RuntimeError):
        torch.set_num_interop_threads(1)


def machine() -> str:
    """The machine in one line, without its name."""
    cores = len(_cpus())
    return f"{_cpu_name()}, {cores} cores, Python {platform.python_version()}, torch {torch.__version__}"


def _cpus() -> set[int]:
    import os

    return (
        os.sched_getaffinity(0)
        if hasattr(os, "sched_getaffinity")
        else set(range(os.cpu_count() or 1))
    )


def _cpu_name() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
