"""How much memory a graph needs, told before the computation starts."""

from __future__ import annotations

import psutil
import torch

from .rows import EdgeRows

# Rows (position, target) that ride down together; more targets go in several sweeps. Large
# enough for fast matrix products, small enough to stay in a processor's cache.
SWEEP_ROWS = 8192


class OutOfMemory(MemoryError):
    """A graph that would not fit, told before the computation starts."""


def check_memory(edges: EdgeRows, wanted: int, n_outputs: int) -> None:
    """Raises OutOfMemory, with what would fit, before anything large is allocated."""
    frozen = edges.frozen
    size = torch.finfo(frozen.dtype).bits // 8
    n_sources, n_rest = edges.n_sources, edges.n_sources - edges.n_units
    # A row of the matrix, the same row's share of the packed graph, and one sweep's buffers.
    sweep = 4 * frozen.d_model * max(SWEEP_ROWS, 16 * frozen.n_positions) * size
    need = (wanted + n_outputs) * (n_sources * size + (wanted + n_rest) * 8) + sweep
    free = free_memory(frozen.recording.embedding.device)
    if need <= 0.9 * free:
        return
    fits = int((0.9 * free - sweep) // (n_sources * (size + 8))) - n_outputs
    advice = f"try max_nodes={fits}" if fits >= 16 else "use a shorter prompt"
    raise OutOfMemory(
        f"This graph ({wanted} {edges.units.name}s, {edges.n_sources} sources) needs about "
        f"{need / 2**30:.1f} GB; {free / 2**30:.1f} GB are free: {advice}."
    )


def free_memory(device: torch.device) -> int:
    """Bytes that can be allocated on a device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)
