"""Rows that run beside the unchanged one and take from it what must not change.

Row 0 of the batch is the unchanged run, and the others copy from it, place by place, while all of
them pass. So nothing of a first run has to be stored, and the pair costs one pass of two rows.

    frozen attention     queries and keys are copied, so patterns are those of row 0; values, and so
                         what attention moves, are the row's own.
    constrained layers   (circuit-tracer's word) their MLPs give what they give in row 0, plus what
                         an intervention itself writes there; a dictionary's skip path carries the
                         difference of its inputs.
    frozen norms         norms keep the scale of row 0: what a graph's linear model holds, with MLPs
                         that still answer.
    all constrained      norms keep the scale of row 0, too. What is left is linear in the stream:
                         this is the direct effect, the one that a graph's edges add up.

A norm with its scale s kept is w * s * centre(x) + b.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .acts import Forward, Step, place_of
from .anatomy import norm_parameters, part
from .errors import InterventionError
from .feature_access import skip_path
from .interventions import Features, Patterns
from .places import SITES, Place, Site
from .plan import Plan
from .running import norms_of

if TYPE_CHECKING:
    from .model import Model

_INSIDE: tuple[Site, ...] = ("neurons", "mlp_raw", "mlp_out")


class Lockstep:
    """What the rows of one forward pass take from row 0.

    Args:
        plan: its interventions, none of them in row 0.
        held: the constrained layers.
        scales: whether norms keep their scales; they do anyway if all layers are held.

    Raises InterventionError for an intervention that a held MLP would hide.
    """

    def __init__(
        self, model: Model, plan: Plan, held: frozenset[int], scales: bool = False
    ) -> None:
        self.model, self.plan, self.held = model, plan, held
        self.scales = scales or held == frozenset(range(model.n_layers))
        for act in plan.acts:
            if isinstance(act.what.target, Features | Patterns):
                continue
            place = place_of(act.what.target)
            if place.layer in held and place.site in ("mlp_normalized", "mlp_in"):
                raise InterventionError(
                    f"“{act.what}” touches nothing: the MLP of layer {place.layer} is constrained "
                    f"to what it gives without interventions, whatever it reads."
                )

    def steps(self, forward: Forward) -> tuple[set[Place], dict[Place, list[Step]]]:
        """What is read, and what is done at each place before any intervention there."""
        reads: set[Place] = set()
        steps: dict[Place, list[Step]] = defaultdict(list)
        for layer in range(self.model.n_layers):
            for site in ("attn_q", "attn_k"):
                steps[Place(layer, site)].append(_copy_row_0)
        for layer, site in self._held_at().items():
            steps[Place(layer, site)].append(_copy_row_0)
        if self.scales:
            self._keep_scales(forward, reads, steps)
        self._carry_skips(forward, reads, steps)
        return reads, steps

    def _held_at(self) -> dict[int, Site]:
        """Per held layer, the first place in or behind its MLP that somebody writes to."""
        written = {
            place for bound in self.plan.setting.bound.values() for place in bound.access.writes
        } | {writes for _, writes, _ in self._skips()}
        for act in self.plan.acts:
            if not isinstance(act.what.target, Features | Patterns):
                written.add(place_of(act.what.target))
        out: dict[int, Site] = {}
        for layer in sorted(self.held):
            found = [p.site for p in written if p.layer == layer and p.site in _INSIDE]
            out[layer] = min(found, key=SITES.index, default="mlp_out")
        return out

    def _skips(self) -> list[tuple[Place, Place, Tensor]]:
        """Where the skip paths of the dictionaries read and write in held layers, and matrices."""
        dictionaries = {
            id(act.what.target.dictionary): act.what.target.dictionary
            for act in self.plan.acts
            if isinstance(act.what.target, Features)
        }
        found = []
        for layer in sorted(self.held):
            paths = [skip_path(dictionary, layer) for dictionary in dictionaries.values()]
            here = [path for path in paths if path is not None]
            if len(here) > 1:
                raise InterventionError(
                    f"Two dictionaries have a skip path in layer {layer}, and a constrained MLP "
                    f"can follow one: intervene on one of them at a time."
                )
            found += here
        return found

    def _carry_skips(
        self, forward: Forward, reads: set[Place], steps: dict[Place, list[Step]]
    ) -> None:
        def step(source: Place, matrix: Tensor, out: Tensor, seen: Mapping[Place, Tensor]) -> None:
            x = forward.now(source, seen).to(self.model.device, self.model.dtype)
            out[1:] += ((x[1:] - x[:1]) @ matrix.to(x).T).to(out)

        for source, target, matrix in self._skips():
            reads.add(source)
            steps[target].append(partial(step, source, matrix))

    def _keep_scales(
        self, forward: Forward, reads: set[Place], steps: dict[Place, list[Step]]
    ) -> None:
        row, hf = self.model.anatomy, self.model.hf
        last = self.model.n_layers - 1
        for layer, block in enumerate(part(hf, row.layers)):
            for path, source, target in norms_of(row):
                # Where an MLP's output is held behind its post-norm, there is nothing to keep.
                if _copy_row_0 not in steps[Place(layer, target)]:
                    reads.add(Place(layer, source))
                    steps[Place(layer, target)].append(
                        self._scaled(forward, part(block, path), Place(layer, source), target)
                    )
        final = Place(last, "resid_post")
        reads.add(final)
        steps[Place(last, "final_normalized")].append(
            self._scaled(forward, part(hf, row.final_norm), final, "final_normalized")
        )

    def _scaled(self, forward: Forward, norm: torch.nn.Module, source: Place, target: Site) -> Step:
        weight, bias, epsilon, centred = norm_parameters(norm, self.model.anatomy)

        def step(out: Tensor, seen: Mapping[Place, Tensor]) -> None:
            x = forward.now(source, seen).to(out.device)
            x = x.to(torch.promote_types(x.dtype, torch.float32))
            if centred:
                x = x - x.mean(-1, keepdim=True)
            new = x[1:] * torch.rsqrt(x[:1].pow(2).mean(-1, keepdim=True) + epsilon)
            if not target.endswith("normalized"):
                new = new * weight if bias is None else new * weight + bias
            out[1:] = new.to(out)

        return step


def _copy_row_0(out: Tensor, seen: Mapping[Place, Tensor]) -> None:
    out[1:] = out[:1]
