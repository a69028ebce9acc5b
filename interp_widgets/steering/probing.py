"""A linear probe: logistic regression between two lists of prompts, as a direction.

With x the prompts' vectors at a place, centred on their mean m and divided by one number c (their
root mean square, so that the penalty means the same in every layer), y = 1 for positive ones and
n = the number of prompts,

    minimise over w, b:   (1/n) sum of log(1 + exp(-(2y - 1)(w . (x - m)/c + b))) + (l2/2) |w|^2

by L-BFGS with a strong Wolfe line search, in float64. The problem is strictly convex in w, so
there is one answer. One common divisor, not one for each coordinate, keeps the direction that of
the model's own space.

The direction is w as a unit vector. How well it separates prompts that it has not seen is measured
by cross-validation, and beside it stands the accuracy of always answering with the larger class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ..models import Model, Place
from ..models.model import Prompt
from .directions import Direction
from .errors import SteeringError
from .finding import Tokens, both_vectors
from .watch import Watch

FOLDS = 5


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted probe: score(x) = (x - mean) / scale @ weight + bias, positive above 0.

    weight, mean: [d]; float64.
    """

    weight: Tensor
    bias: float
    mean: Tensor
    scale: float

    def score(self, x: Tensor) -> Tensor:
        """Log-odds [row] of rows x: [row, d]."""
        return (x.to(self.mean) - self.mean) / self.scale @ self.weight + self.bias


def probe(
    model: Model,
    positive: Sequence[Prompt],
    negative: Sequence[Prompt],
    place: Place,
    *,
    tokens: Tokens = "last",
    l2: float = 0.01,
    name: str = "",
    seed: int = 0,
    watch: Watch | None = None,
) -> Direction:
    """The direction along which a logistic regression tells two lists of prompts apart.

    Args:
        positive, negative: at least 2 prompts each.
        tokens: as in `difference_in_means`.
        l2: the penalty; more of it brings the probe nearer to the difference in means.
        seed: of the folds.

    In `facts`: "held-out accuracy" (over `folds` folds, each class spread evenly), "majority", the
    numbers of prompts.

    Raises SteeringError for too few prompts.
    """
    for which, prompts in (("positive", positive), ("negative", negative)):
        if len(prompts) < 2:
            raise SteeringError(f"A probe needs at least 2 {which} prompts, not {len(prompts)}.")
    up, down = both_vectors(model, positive, negative, place, tokens, watch)
    x = torch.cat([up, down])
    y = torch.cat([torch.ones(len(up)), torch.zeros(len(down))]).double()
    fit = logistic_regression(x, y, l2)
    if not bool(fit.weight.any()):
        raise SteeringError(f"At {place} the two lists of prompts have the same vectors.")
    folds = min(FOLDS, len(up), len(down))
    facts = {
        "n positive": len(up),
        "n negative": len(down),
        "tokens": tokens,
        "held-out accuracy": held_out_accuracy(x, y, l2, folds, seed),
        "folds": folds,
        "majority": max(len(up), len(down)) / len(x),
    }
    vector = (fit.weight / fit.weight.norm()).float()
    return Direction(((place, vector),), name or "probe", "probe", facts)


def logistic_regression(x: Tensor, y: Tensor, l2: float) -> Fit:
    """The fit for rows x: [row, d] with labels y: [row], 1 or 0.

    Raises SteeringError unless l2 is positive (two lists that a plane separates would otherwise
    have no best fit) and all rows are not the same.
    """
    if not l2 > 0:
        raise SteeringError(f"The penalty l2 is {l2}: give a number above 0.")
    x, y = x.double(), y.double()
    mean = x.mean(0)
    scale = float((x - mean).square().mean().sqrt())
    if scale == 0:
        raise SteeringError("All prompts have the same vector: there is nothing to tell apart.")
    rows, sign = (x - mean) / scale, 2 * y - 1
    # Weights and bias in one tensor, the bias last.
    w = torch.zeros(x.shape[1] + 1, dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS(
        [w],
        max_iter=1000,
        tolerance_grad=1e-9,
        tolerance_change=1e-14,
        history_size=20,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        value = softplus(-sign * (rows @ w[:-1] + w[-1])).mean() + l2 / 2 * w[:-1].square().sum()
        (w.grad,) = torch.autograd.grad(value, w)
        return value

    with torch.enable_grad():
        search.step(loss)
    found = w.detach()
    return Fit(found[:-1], float(found[-1]), mean, scale)


def held_out_accuracy(x: Tensor, y: Tensor, l2: float, folds: int, seed: int = 0) -> float:
    """The share of rows that a fit to the other folds puts on the right side."""
    random = torch.Generator().manual_seed(seed)
    fold = torch.zeros(len(x), dtype=torch.int64)
    for label in (0, 1):  # each class on its own, so that no fold lacks one
        rows = (y == label).nonzero()[:, 0]
        shuffled = rows[torch.randperm(len(rows), generator=random)]
        fold[shuffled] = torch.arange(len(rows)) % folds
    right = 0
    for k in range(folds):
        fit = logistic_regression(x[fold != k], y[fold != k], l2)
        right += int(((fit.score(x[fold == k]) > 0) == (y[fold == k] > 0.5)).sum())
    return right / len(x)
