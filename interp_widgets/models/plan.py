"""A plan: interventions, one list for each row of a batch, as edits of a forward pass.

    plan = compile(model, rows, prompt_length)
    reads, writes = plan.edits(start, length)    # for positions [start, start + length)

With a KV cache a text grows pass by pass, so a plan is asked for one stretch of positions after
another; it counts positions from the prompt's first token and remembers what it has touched.

Each intervention becomes a step at a place (value_steps.py), at all places where features write
(feature_steps.py), or behind attention (pattern_steps.py). At one place, steps are taken in the
order in which the interventions were given.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from .acts import Act, Forward, Setting, Step
from .errors import InterventionError
from .feature_steps import bind, feature_steps
from .interventions import Features, Patterns
from .pattern_steps import PatternSteps
from .places import Place
from .plan_checks import check_all, check_patch, check_reach
from .running import Edit
from .sources import Sources
from .targets import Intervention
from .value_steps import value_step

if TYPE_CHECKING:
    from .model import Model


def compile(
    model: Model,
    rows: Sequence[Sequence[Intervention]],
    prompt_length: int,
    *,
    total: int | None = None,
    sources: Sources | None = None,
    base_row: int | None = None,
    held: Iterable[int] = (),
    warn: bool = True,
) -> Plan:
    """The edits that a batch needs, one row for each list of interventions; an empty list is a
    row without any.

    Args:
        prompt_length: in tokens; what lies behind is generated.
        total: how many positions there will be, where that is known: then an intervention
            that would touch none of them is refused at once.
        sources: runs on other prompts that were read before.
        base_row: the row that features' current activations are read from; None: their own.
        held: the only layers that features write to; none: all.
        warn: say so where some interventions, but not all, write to none of these.

    Raises InterventionError for what the model or the dictionary does not have, for vectors of
    the wrong width, and for interventions that would touch nothing.
    """
    acts = [Act(row, what) for row, listed in enumerate(rows) for what in listed]
    setting = Setting(
        model,
        prompt_length,
        total,
        Sources(model) if sources is None else sources,
        base_row,
        frozenset(held),
        bind(model, acts),
    )
    check_all(setting, acts)
    check_reach(setting, acts, warn)
    setting.sources.read(act.what for act in acts if not act.what.is_identity)
    for act in acts:
        check_patch(setting, act)
    return Plan(setting, acts)


class Plan:
    """See the top of this file; made by `compile`."""

    def __init__(self, setting: Setting, acts: Sequence[Act]) -> None:
        self.setting, self.acts = setting, acts
        self._patterns = PatternSteps(setting, acts)
        self._touched: set[int] = set()
        self._next = 0

    def edits(self, start: int, length: int) -> tuple[Collection[Place], Mapping[Place, Edit]]:
        """What is read and written in a forward pass over positions [start, start + length).

        Raises InterventionError unless passes are asked for one behind the other.
        """
        return self.steps(Forward(start), length)

    def steps(
        self,
        forward: Forward,
        length: int,
        before: Mapping[Place, Sequence[Step]] | None = None,
    ) -> tuple[set[Place], dict[Place, Edit]]:
        """As `edits`; at each place, the steps in `before` are taken first."""
        start = forward.start
        if start != self._next:
            raise InterventionError(
                f"A pass from position {start} on came out of order: the next one begins at "
                f"position {self._next}."
            )
        self._next = start + length
        steps: dict[Place, list[Step]] = defaultdict(list)
        for place, first in (before or {}).items():
            steps[place].extend(first)
        reads, found = self._patterns.keep_values()
        late: list[tuple[Place, Step]] = []
        for index, act in enumerate(self.acts):
            where = act.between(start, self._next, self.setting.prompt_length)
            if not where:
                continue
            self._touched.add(index)
            if act.what.is_identity:
                continue
            at = torch.tensor(where)
            if isinstance(act.what.target, Features):
                found += feature_steps(self.setting, forward, act, at)
                reads.add(self.setting.features(act).access.reads)
            elif isinstance(act.what.target, Patterns):
                more, step = self._patterns.pattern(forward, act, at)
                reads |= more
                found.append(step)
            elif self._patterns.waits(act):
                more, step = self._patterns.behind(forward, act, at)
                reads |= more
                late.append(step)
            else:
                found.append(value_step(self.setting, forward, act, at))
        for place, one in (*found, *late):
            steps[place].append(one)
        return reads, {place: forward.edit(place, listed) for place, listed in steps.items()}

    def finish(self) -> None:
        """Raises InterventionError if an intervention has touched nothing so far."""
        for index, act in enumerate(self.acts):
            if index not in self._touched:
                raise InterventionError(
                    f"Nothing was touched by “{act.what}”: the run ended before, behind "
                    f"{self._next} positions."
                )
