"""What changes from step to step: the learning rate, the weight of the sparsity loss, and k.

    lr(step)       = peak * min(1, (step + 1) / warmup) * min(1, (steps - step) / decay)
    sparsity(step) = weight * min(1, step / sparsity_warmup)
    k(step)        = round(k + (k_start - k) * max(0, 1 - step / k_anneal))

The defaults are published: decay over the last fifth, sparsity grown over the whole run for
JumpReLU (Anthropic's update of January 2025) and over the first 5% for L1 (that of April 2024).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from interp_widgets.dictionaries.errors import DictionaryError
from interp_widgets.dictionaries.training import recipes
from interp_widgets.dictionaries.training.recipes import Recipe


@dataclass(frozen=True)
class Schedule:
    """Args:
    steps: of the whole training.
    warmup, decay: shares of it, at the beginning and at the end.
    sparsity_warmup: a share; None: the recipe's.
    """

    steps: int
    warmup: float = 0.02
    decay: float = 0.2
    sparsity_warmup: float | None = None

    def __post_init__(self) -> None:
        for name in ("warmup", "decay", "sparsity_warmup"):
            share = getattr(self, name)
            if share is not None and not 0 <= share <= 1:
                raise DictionaryError(f"{name} is a share of the training, 0 to 1, not {share!r}.")

    def lr(self, step: int) -> float:
        """What the peak learning rate is multiplied with."""
        rise = (step + 1) / max(1.0, self.warmup * self.steps)
        fall = (self.steps - step) / max(1.0, self.decay * self.steps)
        return min(1.0, rise) * min(1.0, fall)

    def sparsity(self, step: int, recipe: Recipe) -> float:
        """What the weight of the sparsity loss is multiplied with."""
        share = self.sparsity_warmup
        if share is None:
            share = 1.0 if isinstance(recipe, recipes.JumpReLU) else 0.05
        return min(1.0, step / max(1.0, share * self.steps))

    def k(self, step: int, recipe: Recipe, k: float) -> int | None:
        """How many features may be active, where the recipe has a k; `k`: what it comes down to."""
        match recipe:
            case recipes.Matryoshka():
                return self.k(step, recipe.base, k)
            case recipes.TopK(k_start=start) | recipes.BatchTopK(k_start=start):
                if start is None:
                    return int(k)
                left = 1 - step / (recipe.k_anneal * self.steps)
                return round(k + (start - k) * max(0.0, left))
        return None


def settings_of(recipe: Recipe, lr: float) -> dict[str, float]:
    """What a user may change while a recipe trains, as it begins: lr and k, or lr and sparsity."""
    match recipe:
        case recipes.Matryoshka():
            return settings_of(recipe.base, lr)
        case recipes.TopK() | recipes.BatchTopK():
            return {"lr": lr, "k": recipe.k}
        case recipes.JumpReLU():
            return {"lr": lr, "sparsity": recipe.sparsity}
        case recipes.ReLU() | recipes.Gated():
            return {"lr": lr, "sparsity": recipe.l1}


def check_setting(
    name: str, now: Mapping[str, float], what: str, value: float, n_features: int
) -> None:
    """Raises DictionaryError for a change that cannot be."""
    if what not in now:
        raise DictionaryError(
            f"{name} has no {what} to change; what can be changed is {', '.join(now)}."
        )
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise DictionaryError(f"{what} is a number, not {value!r}.")
    if what == "k":
        if value != int(value) or not 1 <= value <= n_features:
            raise DictionaryError(f"k is a whole number from 1 to {n_features}, not {value!r}.")
    elif not 0 < value < float("inf") and not (what == "sparsity" and value == 0):
        raise DictionaryError(f"{what} is a number above 0, not {value!r}.")
