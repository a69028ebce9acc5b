"""Recipes: how a dictionary is made sparse while it trains, with the settings that were published.

In all formulas x is centred and scaled to E|x| = sqrt(d), as is the target y; `pre` is
W_enc x + b_enc, `a` the activations, |W_j| the length of feature j's decoder vector (over all
layers that it writes to). "Dead" is a feature that has not fired for `dead_after` tokens.

What selects or jumps has no useful gradient; each module of this folder says what it uses instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..errors import DictionaryError

DEAD_AFTER = 10_000_000  # tokens (Gao et al. 2024, section A.2)


@dataclass(frozen=True)
class TopK:
    """The k largest pre-activations of each token, behind a ReLU (Gao et al. 2024).

    loss = FVU + aux * (how badly dead features explain what is left over)

    k: active features per token and layer.
    aux: weight of that second term (AuxK); 0 leaves dead features dead.
    aux_k: how many dead features explain it per token; None: half the width of the target.
    dead_after: in tokens.
    k_start, k_anneal: k comes down from k_start on a line, over the first k_anneal of the steps, so
        that more features find something to do before they must be few; None: k from the start.
    """

    k: int
    aux: float = 1 / 32
    aux_k: int | None = None
    dead_after: int = DEAD_AFTER
    k_start: int | None = None
    k_anneal: float = 0.4

    def __post_init__(self) -> None:
        _check_topk(self)


@dataclass(frozen=True)
class BatchTopK:
    """The k per token largest pre-activations of the whole batch (Bussmann et al. 2024).

    Tokens share the budget, and so do the layers of a cross-layer transcoder: the k times tokens
    times layers largest pre-activations stay. Outside training a feature is active above a
    threshold, the running mean of the smallest that was kept: the dictionary is exported as JumpReLU.

    The other settings are TopK's.
    """

    k: int
    aux: float = 1 / 32
    aux_k: int | None = None
    dead_after: int = DEAD_AFTER
    k_start: int | None = None
    k_anneal: float = 0.4

    def __post_init__(self) -> None:
        _check_topk(self)


@dataclass(frozen=True)
class Matryoshka:
    """Nested dictionaries: the first features alone must reconstruct, too (Bussmann et al. 2025).

    loss = mean over prefixes p of the FVU when only features [0, p) are decoded + AuxK of `base`

    prefixes: ascending; the whole dictionary is added where it is missing.
    """

    base: TopK | BatchTopK
    prefixes: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.prefixes or list(self.prefixes) != sorted(set(self.prefixes)):
            raise DictionaryError(f"Matryoshka prefixes must ascend, but are {self.prefixes}.")
        _whole("the first prefix", self.prefixes[0])


@dataclass(frozen=True)
class ReLU:
    """loss = |y - y'|^2 + l1 * sum of a_j |W_j| (Anthropic's update of April 2024).

    l1: about 5 for their data; grows in over the schedule's sparsity warm-up.
    """

    l1: float = 5.0
    dead_after: int = DEAD_AFTER


@dataclass(frozen=True)
class JumpReLU:
    """a = pre where pre > threshold, else 0, thresholds learned (Rajamanoharan et al. 2024).

    "tanh" (Anthropic's update of January 2025; Ameisen et al. 2025):
        loss = |y - y'|^2 + sparsity * sum of tanh(c a_j |W_j|)
             + revive * sum over dead j of relu(threshold_j - pre_j) |W_j|
    "quadratic" (Rajamanoharan et al. 2024, appendix; Gemma Scope 2), aims at an L0 per layer:
        loss = |y - y'|^2 + sparsity * (L0 / target_l0 - 1)^2 + the same revival

    sparsity: weight; grows in over the schedule's sparsity warm-up (their ramp: the whole run).
    threshold: where thresholds start.
    bandwidth: how near the threshold, in all, a pre-activation must be to move it. The defaults
        are Anthropic's; they make the step dense. 0.001 is Rajamanoharan et al.'s.
    c: slope of the tanh.
    target_l0: needed by "quadratic". With "tanh", which as published aims at no L0, the weight
        follows it, slowly: by half a percent per step and e-fold that L0 is away, so over thousands
        of steps, and up to 100 times more or less than `sparsity`.

    For cross-layer transcoders Ameisen et al. take threshold 0.03 and bandwidth 1.
    """

    sparsity: float = 1.0
    loss: Literal["tanh", "quadratic"] = "tanh"
    threshold: float = 0.1
    bandwidth: float = 2.0
    c: float = 4.0
    target_l0: float | None = None
    revive: float = 3e-6
    dead_after: int = DEAD_AFTER

    def __post_init__(self) -> None:
        if self.loss not in ("tanh", "quadratic"):
            raise DictionaryError(f'JumpReLU\'s loss is "tanh" or "quadratic", not {self.loss!r}.')
        for name in ("threshold", "bandwidth", "c"):
            _positive(name, getattr(self, name))
        _weight("sparsity", self.sparsity)
        _weight("revive", self.revive)
        if self.target_l0 is None:
            if self.loss == "quadratic":
                raise DictionaryError("JumpReLU's quadratic loss aims at an L0: give target_l0.")
            return
        _positive("target_l0", self.target_l0)
        if not self.sparsity:
            raise DictionaryError(
                "target_l0 is reached through the sparsity loss, but sparsity is 0: give it a weight."
            )


@dataclass(frozen=True)
class Gated:
    """A gate decides what is active, a rescaled copy of it how strongly (Rajamanoharan et al. 2024).

    a = relu(exp(r_mag) W_enc x + b_mag) where pre > 0, else 0
    loss = |y - y'|^2 + l1 * sum of relu(pre_j) |W_j| + |y - relu(pre) W - b|^2, W and b frozen
    """

    l1: float = 5.0
    dead_after: int = DEAD_AFTER


Recipe = TopK | BatchTopK | Matryoshka | ReLU | JumpReLU | Gated


def default_lr(recipe: Recipe, n_features: int) -> float:
    """Adam's learning rate: 2e-4 at 16k features, proportional to 1 / sqrt(features).

    The scaling is Gao et al.'s; the constant is sparsify's for TopK and Anthropic's for the rest.
    """
    return 2e-4 * (2**14 / n_features) ** 0.5


def _check_topk(recipe: TopK | BatchTopK) -> None:
    _whole("k", recipe.k)
    _positive("dead_after", recipe.dead_after)
    for name in ("aux_k", "k_start"):
        if getattr(recipe, name) is not None:
            _whole(name, getattr(recipe, name))
    if not 0 < recipe.k_anneal <= 1:
        raise DictionaryError(
            f"k_anneal is a share of the training, above 0 and up to 1, not {recipe.k_anneal!r}."
        )


def _whole(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise DictionaryError(f"{name} must be a whole number of at least 1, but is {value!r}.")


def _positive(name: str, value: float) -> None:
    if not 0 < value < float("inf"):
        raise DictionaryError(f"{name} must be a number above 0, but is {value!r}.")


def _weight(name: str, value: float) -> None:
    if not 0 <= value < float("inf"):
        raise DictionaryError(f"{name} is a weight, 0 or above, not {value!r}.")
