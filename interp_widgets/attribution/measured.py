"""Effects as the model has them: the graph's prompt run again with some nodes changed.

The three ways of running it are those of effects.py, and each is measured as it is predicted: `edges` and
`direct` read targets with the norm scales of the graph's run, `total` as the model reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..models.interventions import Intervention
from .effects import How
from .readings import Readings
from .replica import Replica

_RUN: dict[How, dict[str, Any]] = {
    "edges": dict(attention="frozen", constrained="all"),
    "direct": dict(norms="frozen"),
    "total": dict(attention="free"),
}


@dataclass(frozen=True, eq=False)
class Measured:
    """Values of targets in changed runs of one prompt.

    base: [target], without a change; values: [run, target]; base_logits: [vocab] at the last
    position; logits: [run, vocab].
    """

    base: Tensor
    values: Tensor
    base_logits: Tensor
    logits: Tensor

    @property
    def changes(self) -> Tensor:
        """[run, target]."""
        return self.values - self.base


@torch.no_grad()
def measure(
    replica: Replica,
    readings: Readings,
    runs: Sequence[Sequence[Intervention]],
    how: How,
    *,
    progress: Callable[[float, str], None] | None = None,
    cancelled: Callable[[], None] | None = None,
) -> Measured:
    """Run the graph's prompt once for each list of interventions.

    progress: called with the share done and a sentence; cancelled: called between runs, raises to
    stop.
    """
    model, held = replica.model, how != "total"
    ids = replica.frozen.recording.token_ids
    places = readings.places(held)
    read = readings.held if held else readings.live
    base = model.run(ids[None], read=places, logits=[len(ids) - 1])
    assert base.logits is not None
    outcomes = model.intervene_each(
        ids.tolist(),
        [list(run) for run in runs],
        read=tuple(places),
        logits_at=(-1,),
        progress=progress,
        cancelled=cancelled,
        **_RUN[how],
    )
    seen = {place: torch.stack([o.activations[place] for o in outcomes]) for place in places}
    return Measured(
        base=read(base.seen)[0],
        values=read(seen),
        base_logits=base.logits[0, -1].to(model.device, model.dtype),
        logits=torch.stack([o.logits[-1] for o in outcomes]).to(model.device, model.dtype),
    )
