"""What an FVU has to beat: a projection onto as many directions as features are active.

The directions are the principal ones of one half of a batch, the error is that on the other half.
A projection sees the very vectors it predicts, so for a transcoder this is a hard control.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

# An eigenvalue problem of this size takes about a second.
_WIDEST = 1536


@torch.no_grad()
def pca_control(targets: Sequence[Tensor], rank: int) -> dict[str, float]:
    """The FVU of PCA, mean over targets [n, d], by the name that a view shows; {} if too wide."""
    if targets[0].shape[1] > _WIDEST:
        return {}
    shares, n = [], len(targets[0]) // 2
    for target in targets:
        y = target.double()
        fitted, seen = y[:n], y[n:]
        centre = fitted.mean(0)
        _, directions = torch.linalg.eigh((fitted - centre).T @ (fitted - centre))
        top = directions[:, -rank:]
        left = (seen - centre) - (seen - centre) @ top @ top.T
        shares.append(float(left.square().sum() / (seen - seen.mean(0)).square().sum()))
    return {f"fvu of PCA, rank {rank}": sum(shares) / len(shares), "tokens": float(n)}
