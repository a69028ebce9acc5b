"""Interventions on features: read at one place, written at one or many.

What is added is (new - current activation) times the decoder, so everything else that stands there
stays: other features, biases, the error. Of several interventions on the features of one layer,
each starts from the activations that the one before left.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from torch import Tensor

from .acts import Act, Bound, Forward, Setting, Step, key_of
from .feature_access import access
from .interventions import Features
from .operations import applied
from .places import Place
from .value_steps import patched

if TYPE_CHECKING:
    from .model import Model


def bind(model: Model, acts: Iterable[Act]) -> dict[tuple[int, int], Bound]:
    """Per dictionary and layer, the features that are named in any row."""
    named: dict[tuple[int, int], dict[int, None]] = defaultdict(dict)
    targets: dict[tuple[int, int], Features] = {}
    for act in acts:
        if isinstance(act.what.target, Features):
            key = key_of(act.what.target)
            targets[key] = act.what.target
            named[key].update(dict.fromkeys(act.what.target.features))
    out = {}
    for key, features in named.items():
        found = access(targets[key].dictionary, targets[key].layer, tuple(features), model)
        out[key] = Bound(found, {feature: i for i, feature in enumerate(features)})
    return out


def feature_steps(
    setting: Setting, forward: Forward, act: Act, at: Tensor
) -> list[tuple[Place, Step]]:
    """Where an intervention writes, and what it does there; at: [n] positions in this pass."""
    once = _Change(setting, forward, act, at)
    writes = setting.features(act).access.writes
    return [
        (place, partial(once.write, index))
        for index, place in enumerate(writes)
        if setting.reached(place)
    ]


class _Change:
    """One intervention's change of activations: found at the first place, written at all."""

    def __init__(self, setting: Setting, forward: Forward, act: Act, at: Tensor) -> None:
        self.setting, self.forward, self.act, self.at = setting, forward, act, at
        self.bound = setting.features(act)
        self.columns = self.bound.columns(act.what.target)  # type: ignore[arg-type]
        self.found: tuple[Tensor, Tensor] | None = None  # the change, and what was read

    def write(self, index: int, out: Tensor, seen: Mapping[Place, Tensor]) -> None:
        if self.found is None:
            a, x = self._activations(seen)
            old = a[self.at][:, self.columns]
            other = patched(self.setting, self.forward, self.act, self.at)
            new = applied(self.act.what.operation, old, other)
            a[self.at[:, None], self.columns] = new
            self.found = new - old, x[self.at]
        change, x = self.found
        if change.any():
            added = self.bound.access.written(index, self.columns, change, x)
            out[self.act.row, self.at.to(out.device)] += added.to(out)

    def _activations(self, seen: Mapping[Place, Tensor]) -> tuple[Tensor, Tensor]:
        """[position, k], as earlier interventions left them, and what they were encoded from."""
        setting, forward, act = self.setting, self.forward, self.act
        key = (act.row, *key_of(act.what.target))  # type: ignore[arg-type]
        if key not in forward.activations:
            row = act.row if setting.base_row is None else setting.base_row
            there = forward.now(self.bound.access.reads, seen)[row]
            # A copy: where features write to what they read, it is about to change.
            x = there.to(setting.model.device, setting.model.dtype, copy=True)
            a = self.bound.access.activations(x)
            if forward.start == 0:
                a[0] = 0
            forward.activations[key] = a, x
        return forward.activations[key]
