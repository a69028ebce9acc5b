"""What can be refused before a pass: what the model does not have, and what would touch nothing."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from .acts import Act, Setting, place_of
from .anatomy import heads_of, mlp_weights, part
from .errors import InterventionError
from .interventions import Features, Heads, Neurons, Patterns
from .operations import Ablate, Add, At, Clamp, Generated, Patch, ProjectOut, Scale, Vector
from .places import Place
from .targets import Intervention
from .value_steps import source_positions

if TYPE_CHECKING:
    from .model import Model


def check_target(model: Model, what: Intervention) -> None:
    """Raises InterventionError unless the model has the target, and vectors fit it."""
    target = what.target
    layer = target.layer  # type: ignore[attr-defined]
    if layer >= model.n_layers:
        raise InterventionError(
            f"{model.name} has {model.n_layers} layers (0 to {model.n_layers - 1}): no {target}."
        )
    if isinstance(target, Heads | Patterns):
        heads = heads_of(model.hf)[0]
        if max(target.heads) >= heads:
            raise InterventionError(
                f"{model.name} has {heads} heads (0 to {heads - 1}): no {target}."
            )
    if isinstance(target, Features | Patterns):
        return
    place = place_of(target)
    if place.site == "pattern":
        raise InterventionError(f"{place} is changed head by head: use `pattern(layer, head)`.")
    if place.site == "final_normalized" and layer != model.n_layers - 1:
        raise InterventionError(f"The last norm stands behind block {model.n_layers - 1} only.")
    width = width_of(model, place)
    if isinstance(target, Neurons) and max(target.neurons) >= width:
        raise InterventionError(
            f"The MLPs of {model.name} have {width:,} neurons (0 to {width - 1}): no {target}."
        )
    allowed = [width]
    if isinstance(target, Heads):
        d_head = heads_of(model.hf)[2]
        allowed = sorted({d_head, d_head * target.n_units})
    vector = _vector(what)
    if target.kind == "vectors" and vector is not None and len(vector) not in allowed:
        raise InterventionError(
            f"“{what}” takes a vector of {len(vector)} numbers, but {target} has "
            f"{' or '.join(map(str, allowed))}."
        )


def width_of(model: Model, place: Place) -> int:
    """How many numbers stand at a place, per position."""
    heads, kv_heads, d_head = heads_of(model.hf)
    match place.site:
        case "attn_z" | "attn_q":
            return heads * d_head
        case "attn_k" | "attn_v":
            return kv_heads * d_head
        case "neurons":
            block = part(model.hf, model.anatomy.layers)[place.layer]
            return int(mlp_weights(block, model.anatomy).down.shape[1])
    return model.d_model


def check_positions(setting: Setting, what: Intervention) -> None:
    """Raises InterventionError if there are none of the positions, as far as that is known."""
    n, total = setting.prompt_length, setting.total
    found = what.positions.below(n if total is None else total, n)
    leaves = isinstance(what.operation, Scale | Patch) or what.operation == Ablate()
    if isinstance(what.target, Features) and leaves and what.positions == At((0,)):
        raise InterventionError(
            f"“{what}” touches nothing: the special token at position 0 carries no features."
        )
    if total is None:
        return
    missing: Sequence[int] = ()
    if isinstance(what.positions, At):
        missing = [p for p in what.positions.positions if p >= total]
    if not found or missing:
        raise InterventionError(
            f"“{what}” touches nothing{f' at position {missing[0]}' if missing else ''}: the run "
            f"has positions 0 to {total - 1}."
        )


def check_patch(setting: Setting, act: Act) -> None:
    """Raises InterventionError if the other run does not have what is patched."""
    what, patch = act.what, act.what.operation
    if not isinstance(patch, Patch) or what.is_identity:
        return
    if setting.total is not None:
        positions = act.between(0, setting.total, setting.prompt_length)
        source_positions(setting, act, patch, positions)
    if isinstance(what.target, Patterns):
        length = setting.sources.length(patch)
        if length != setting.prompt_length or isinstance(what.positions, Generated):
            raise InterventionError(
                f"“{what}” takes attention over {length} tokens: patterns can be patched from a "
                f"prompt of the same length ({setting.prompt_length}), and not on generated "
                f"tokens, which look at more."
            )


def check_reach(setting: Setting, acts: Sequence[Act], warn: bool) -> None:
    """Raises InterventionError if nobody writes to a held layer; if some do and some do not, says
    so in a warning."""
    lost = [
        act.what
        for act in acts
        if isinstance(act.what.target, Features)
        and not any(map(setting.reached, setting.features(act).access.writes))
    ]
    if not lost:
        return
    sentence = (
        f"“{lost[0]}” writes only where the layers are not held (constrained are "
        f"{', '.join(map(str, sorted(setting.held)))}), so it touches nothing."
    )
    if len(lost) == len(acts):
        raise InterventionError(sentence)
    if warn:
        warnings.warn(sentence, stacklevel=2)


def check_all(setting: Setting, acts: Sequence[Act]) -> None:
    """All that can be known before other prompts are read."""
    for what in _distinct(acts):
        check_target(setting.model, what)
        check_positions(setting, what)


def _distinct(acts: Sequence[Act]) -> Iterable[Intervention]:
    return dict.fromkeys(act.what for act in acts)


def _vector(what: Intervention) -> Vector | None:
    operation = what.operation
    held: object = None
    if isinstance(operation, Add | ProjectOut):
        held = operation.vector
    elif isinstance(operation, Clamp):
        held = operation.value
    elif isinstance(operation, Ablate):
        held = operation.mean
    return held if isinstance(held, Vector) else None
