"""Interventions where values stand: places, heads and neurons. And what is patched, for all."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from torch import Tensor

from .acts import Act, Forward, Setting, Step, by_unit, columns_of, place_of
from .errors import InterventionError
from .interventions import Features, Patterns
from .operations import Patch, applied
from .places import Place


def value_step(setting: Setting, forward: Forward, act: Act, at: Tensor) -> tuple[Place, Step]:
    """Where an intervention acts, and what it does; at: [n] positions in this pass."""
    return place_of(act.what.target), partial(_step, setting, forward, act, at)


def _step(
    setting: Setting,
    forward: Forward,
    act: Act,
    at: Tensor,
    out: Tensor,
    seen: Mapping[Place, Tensor],
) -> None:
    change(setting, forward, act, at, out[act.row])
    place = place_of(act.what.target)
    for key in [key for key in forward.activations if key[0] == act.row]:
        # Features that read here are encoded again, if they are asked for again.
        if setting.bound[key[1:]].access.reads == place:
            del forward.activations[key]


def change(setting: Setting, forward: Forward, act: Act, at: Tensor, values: Tensor) -> None:
    """Changes values [position, d] in place."""
    target, at = act.what.target, at.to(values.device)
    columns = columns_of(setting.model, target)
    x = values[at] if columns is None else values[at][:, columns]
    held = by_unit(target, x.to(setting.model.dtype))
    new = applied(act.what.operation, held, patched(setting, forward, act, at))
    new = new.reshape(x.shape).to(values.dtype)
    if columns is None:
        values[at] = new
    else:
        values[at[:, None], columns.to(values.device)] = new


def patched(setting: Setting, forward: Forward, act: Act, at: Tensor) -> Tensor | None:
    """What the other run has for these positions, by unit as `applied` takes it; None where the
    operation is no patch."""
    patch, target = act.what.operation, act.what.target
    if not isinstance(patch, Patch):
        return None
    rows = source_positions(setting, act, patch, [p + forward.start for p in at.tolist()])
    sources = setting.sources
    if isinstance(target, Features):
        bound = setting.features(act)
        a = bound.access.activations(sources.values(patch, bound.access.reads))
        a[0] = 0
        return a[rows][:, bound.columns(target)]
    if isinstance(target, Patterns):
        pattern = sources.values(patch, Place(target.layer, "pattern"))
        return pattern[list(target.heads)][:, rows].transpose(0, 1)
    columns = columns_of(setting.model, target)
    x = sources.values(patch, place_of(target))[rows]
    return by_unit(target, x if columns is None else x[:, columns])


def source_positions(setting: Setting, act: Act, patch: Patch, positions: list[int]) -> list[int]:
    """The positions of the other run for these, counted from the front.

    Raises InterventionError if the other run has none.
    """
    length = setting.sources.length(patch)
    if patch.positions is None:
        wanted = positions
    elif len(patch.positions) == 1:
        wanted = [patch.positions[0]] * len(positions)
    else:
        stop = setting.total or max(positions) + 1
        written = list(act.what.positions.below(stop, setting.prompt_length))
        if len(written) != len(patch.positions):
            raise InterventionError(
                f"“{act.what}” names {len(patch.positions)} positions of the other run for "
                f"{len(written)} here: name one, or one for each."
            )
        pairs = dict(zip(written, patch.positions, strict=True))
        wanted = [pairs[p] for p in positions]
    for position in wanted:
        if not -length <= position < length:
            raise InterventionError(
                f"“{act.what}” takes from position {position}, but that prompt has {length} "
                f"tokens: name other positions, or a longer prompt."
            )
    return [p % length for p in wanted]
