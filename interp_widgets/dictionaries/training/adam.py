"""Adam (Kingma and Ba 2015), torch's fused one, with a state made of plain named tensors.

Fused, the update of 2 million parameters takes a third of the time of torch's default.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from .group import Group

MOMENTS = ("step", "exp_avg", "exp_avg_sq")


class Adam:
    """For named parameters; gradients are averaged over a group and clipped before a step."""

    def __init__(self, parameters: Mapping[str, Tensor], betas: tuple[float, float]) -> None:
        self.parameters = parameters
        self._adam = torch.optim.Adam(list(parameters.values()), betas=betas, fused=True)

    def step(self, lr: float, clip: float, group: Group) -> float:
        """One step; returns the norm of the whole gradient before it was clipped to `clip`."""
        gradients = []
        for parameter in self.parameters.values():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            gradients.append(parameter.grad)
        group.mean_(gradients)
        norm = torch.nn.utils.clip_grad_norm_(list(self.parameters.values()), clip)
        self._adam.param_groups[0]["lr"] = lr
        self._adam.step()
        self._adam.zero_grad(set_to_none=True)
        return float(norm)

    def state(self) -> dict[str, Tensor]:
        """By "moment.parameter"; empty before the first step."""
        return {
            f"{moment}.{name}": self._adam.state[parameter][moment]
            for name, parameter in self.parameters.items()
            if self._adam.state[parameter]
            for moment in MOMENTS
        }

    def names(self) -> set[str]:
        """The names that `state` has after a step."""
        return {f"{moment}.{name}" for name in self.parameters for moment in MOMENTS}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Takes what `state` gave; the names must be these parameters'."""
        self._adam.state.clear()
        if not state:
            return
        for name, parameter in self.parameters.items():
            self._adam.state[parameter] = {
                moment: state[f"{moment}.{name}"].to(parameter.device, copy=True)
                for moment in MOMENTS
            }
