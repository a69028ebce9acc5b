"""Interventions on attention patterns: behind attention, what the changed ones give is added.

No module takes a pattern P in, so where P becomes P', (P' - P) V W_O is added to what attention
gives, head by head. Interventions on the outputs z of heads in the same row and block wait for
that, because a head's output comes behind its pattern: they change z = P' V, and what that changes
behind W_O is added.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

import torch
from torch import Tensor

from .acts import Act, Forward, Setting, Step, columns_of, place_of
from .anatomy import heads_of, part
from .errors import InterventionError
from .interventions import Heads, Patterns
from .operations import applied
from .places import Place
from .value_steps import change, patched


class PatternSteps:
    """The steps of a plan behind attention; remembers values V as a text grows."""

    def __init__(self, setting: Setting, acts: Iterable[Act]) -> None:
        self.setting = setting
        self.heads, self.kv_heads, self.d_head = heads_of(setting.model.hf)
        self.rows = {
            (act.row, act.what.target.layer)
            for act in acts
            if isinstance(act.what.target, Patterns) and not act.what.is_identity
        }
        self._values: dict[int, Tensor] = {}  # per block [batch, position, kv heads * d_head]

    def keep_values(self) -> tuple[set[Place], list[tuple[Place, Step]]]:
        """What is read and done in every pass, whether a pattern is changed in it or not."""
        layers = {layer for _, layer in self.rows}
        steps: list[tuple[Place, Step]] = [
            (Place(layer, "attn_raw"), partial(self._keep, layer)) for layer in sorted(layers)
        ]
        return {Place(layer, "attn_v") for layer in layers}, steps

    def waits(self, act: Act) -> bool:
        """Whether an intervention on values comes behind a changed pattern."""
        place = place_of(act.what.target)
        return place.site == "attn_z" and (act.row, place.layer) in self.rows

    def pattern(
        self, forward: Forward, act: Act, at: Tensor
    ) -> tuple[set[Place], tuple[Place, Step]]:
        """What a pattern's intervention reads, where it acts and what it does."""
        target = act.what.target
        assert isinstance(target, Patterns)
        reads = {Place(target.layer, "pattern"), Place(target.layer, "attn_z")}
        step = partial(self._pattern, forward, act, target, at)
        return reads, (Place(target.layer, "attn_raw"), step)

    def behind(
        self, forward: Forward, act: Act, at: Tensor
    ) -> tuple[set[Place], tuple[Place, Step]]:
        """The same for an intervention that waits."""
        z = place_of(act.what.target)
        return {z}, (Place(z.layer, "attn_raw"), partial(self._behind, forward, act, z, at))

    def _keep(self, layer: int, out: Tensor, seen: Mapping[Place, Tensor]) -> None:
        new, old = seen[Place(layer, "attn_v")], self._values.get(layer)
        self._values[layer] = new if old is None else torch.cat([old, new], 1)

    def _pattern(
        self,
        forward: Forward,
        act: Act,
        target: Patterns,
        at: Tensor,
        out: Tensor,
        seen: Mapping[Place, Tensor],
    ) -> None:
        layer, at = target.layer, at.to(out.device)
        heads = torch.tensor(target.heads, device=out.device)
        key = (act.row, layer)
        if key not in forward.patterns:
            forward.patterns[key] = seen[Place(layer, "pattern")][act.row].to(out.device).clone()
        pattern = forward.patterns[key]
        old = pattern[heads[:, None], at].to(self.setting.model.dtype).transpose(0, 1)
        other = patched(self.setting, forward, act, at)
        if other is not None and other.shape != old.shape:
            raise InterventionError(
                f"“{act.what}” reached a generated token, which looks at {old.shape[-1]} tokens: "
                f"patch patterns within the prompt only."
            )
        new = applied(act.what.operation, old, other)
        pattern[heads[:, None], at] = new.transpose(0, 1).to(pattern)
        # A sliding window's cache gives fewer keys than there are positions: the last ones.
        values = self._values[layer][act.row, -pattern.shape[-1] :].to(old)
        values = values.unflatten(-1, (self.kv_heads, self.d_head))
        values = values[:, heads // (self.heads // self.kv_heads)]
        moved = torch.einsum("phk,khd->phd", new - old, values)
        z = self._z(forward, act, layer, out, seen).unflatten(-1, (self.heads, self.d_head))
        z[at[:, None], heads] += moved.to(z)
        columns = columns_of(self.setting.model, Heads(layer, target.heads))
        assert columns is not None
        out[act.row, at] += self._projected(layer, moved.flatten(1), columns).to(out)

    def _behind(
        self,
        forward: Forward,
        act: Act,
        place: Place,
        at: Tensor,
        out: Tensor,
        seen: Mapping[Place, Tensor],
    ) -> None:
        z = self._z(forward, act, place.layer, out, seen)
        old = z.clone()
        change(self.setting, forward, act, at, z)
        out[act.row] += self._projected(place.layer, z - old, slice(None)).to(out)

    def _z(
        self, forward: Forward, act: Act, layer: int, out: Tensor, seen: Mapping[Place, Tensor]
    ) -> Tensor:
        """What the row's heads found, [position, heads * d_head], as changed so far."""
        place = Place(layer, "attn_z")
        if place not in forward.written:
            forward.written[place] = seen[place].to(out.device).clone()
        return forward.written[place][act.row]

    def _projected(self, layer: int, z: Tensor, columns: Tensor | slice) -> Tensor:
        """z [position, n] of these columns behind W_O: [position, d_model]."""
        model = self.setting.model
        attn = part(part(model.hf, model.anatomy.layers)[layer], model.anatomy.attn)
        w_o = model.anatomy.attention_weights(attn, model.config).w_o
        return z.to(w_o) @ w_o[:, columns].T
