"""Several processes train together, started by torchrun.

    torchrun --nproc-per-node 2 train.py        # train.py calls interp_widgets.train as always

Every process runs the model on its lanes of the text (buffer.py) and averages gradients and
counters with the others, so all hold the same weights and together they see the batches that one
process would see. Process 0 writes checkpoints.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor

from interp_widgets.dictionaries.training.group import Alone, Group


class Processes:
    """The processes of torch.distributed."""

    def __init__(self) -> None:
        self.size, self.rank = dist.get_world_size(), dist.get_rank()

    def mean_(self, tensors: Sequence[Tensor]) -> None:
        # One message per dtype: latency, not size, is what many small tensors cost.
        for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
            same = [tensor for tensor in tensors if tensor.dtype == dtype]
            whole = torch.cat([tensor.reshape(-1) for tensor in same])
            dist.all_reduce(whole)
            whole /= self.size
            parts = whole.split([tensor.numel() for tensor in same])
            for tensor, part in zip(same, parts, strict=True):
                tensor.copy_(part.view_as(tensor))

    def gather(self, tensor: Tensor) -> Tensor:
        parts = [torch.empty_like(tensor) for _ in range(self.size)]
        dist.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)


def join(device: torch.device) -> Group:
    """The group that this process belongs to; `Alone` unless torchrun started it."""
    if not dist.is_available():
        return Alone()
    if not dist.is_initialized():
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return Alone()
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        atexit.register(dist.destroy_process_group)
    return Processes()
