"""Where features fire most strongly, kept while they form.

Every few steps a few rows of text are encoded in reading order by the dictionary as it is now.
Per feature and row the strongest token counts, with the tokens around it; the best few rows stay.
Features change while they train, so what is remembered fades: an old example gives way to a new
one of equal strength, and after some hundred observations to any new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from interp_widgets.dictionaries.dictionary import ActiveFeatures

KEPT = 8
BEFORE, BEHIND = 15, 8
FADING = 0.99
NO_TOKEN = -1


@dataclass(frozen=True)
class Example:
    """tokens: what each adds to the text, as `Model.texts` has it; activations: of the feature on
    each; trigger: index of the strongest."""

    tokens: list[str]
    activations: list[float]
    trigger: int


class TopExamples:
    """The strongest examples of the features of one encoder.

    `state` holds it all: strength [F, KEPT], faded (0: no example); ids and activations
    [F, KEPT, window], the window being BEFORE tokens, the trigger and BEHIND tokens.
    """

    def __init__(self, n_features: int) -> None:
        shape = (n_features, KEPT, BEFORE + 1 + BEHIND)
        self.state = {
            "strength": torch.zeros(shape[:2]),
            "ids": torch.full(shape, NO_TOKEN, dtype=torch.int32),
            "activations": torch.zeros(shape),
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        for name, tensor in self.state.items():
            tensor.copy_(state[name])

    def observe(self, rows: Tensor, kept: Tensor, active: ActiveFeatures) -> None:
        """Look at rows once.

        Args:
            rows: [row, context] token ids.
            kept: bool, the same shape; the positions that `active` is about.
            active: its positions count the kept ones in reading order.
        """
        strength = self.state["strength"].mul_(FADING)
        n_features = len(strength)
        where = kept.reshape(-1).nonzero().squeeze(1)
        dense = torch.zeros(rows.numel(), n_features)
        dense[where[active.position.cpu()], active.feature.cpu()] = active.activation.float().cpu()
        for ids, values in zip(rows, dense.view(*rows.shape, n_features), strict=True):
            best, position = values.max(0)
            weakest, place = strength.min(1)
            better = (best > weakest).nonzero().squeeze(1)
            if not len(better):
                continue
            window = position[better, None] + torch.arange(-BEFORE, BEHIND + 1)
            inside = (window >= 0) & (window < len(ids))
            window = window.clamp(0, len(ids) - 1)
            seen = ids[window].masked_fill(~inside, NO_TOKEN).to(torch.int32)
            # The same words again take the place of what they were.
            again = (self.state["ids"][better] == seen[:, None]).all(2)
            at = (better, torch.where(again.any(1), again.int().argmax(1), place[better]))
            strength[at] = best[better]
            self.state["ids"][at] = seen
            self.state["activations"][at] = values[window, better[:, None]] * inside

    def of(self, feature: int) -> list[tuple[list[int], list[float], int]]:
        """Token ids, activations and the trigger's index of a feature's examples, best first."""
        strength = self.state["strength"][feature].clone()
        found = []
        for place in strength.argsort(descending=True).tolist():
            if strength[place] == 0:
                break
            ids = self.state["ids"][feature, place]
            inside = ids != NO_TOKEN
            values = self.state["activations"][feature, place][inside].tolist()
            found.append((ids[inside].tolist(), values, int(inside[:BEFORE].sum())))
        return found
