"""The live derivative: what a small change of nodes does in the model as it is, nothing frozen.

The effect of changing unit i by the share f is predicted, to first order, as the directional
derivative of the target along the change of what the unit writes,

    total = d target / d eps  where the unit's MLP outputs get  + eps f a_i decoder_i  at its position,

through attention patterns, norm scales and every MLP. It is computed forwards, with dual numbers: one
pass gives the derivative of all targets along one change, and a batch holds one change per row
(torch.autograd.forward_ad). For one target and many changes it is computed backwards.

Some of it can be held: with patterns held, queries and keys lose their tangents; with norms held, a
norm passes on a tangent times its scale and does not notice that the scale would change. What such a
derivative lacks is the part that runs through patterns, or through norm scales.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

import numpy as np
import torch
import torch.autograd.forward_ad as forward
from numpy.typing import NDArray
from torch import Tensor

from ..models import Edit, Place
from ..models.anatomy import norm_parameters, part
from ..models.frozen import output_kind
from ..models.places import Site
from ..models.running import norms_of
from .neurons import NeuronUnits
from .readings import Readings
from .replica import Replica

Hold = Literal["nothing", "patterns", "norms"]

# Dual numbers know one level for the whole process.
_ONE_AT_A_TIME = threading.Lock()
CHUNK_TOKENS = 512  # positions of all rows of one pass


@torch.no_grad()
def live_effects(
    replica: Replica,
    changes: Sequence[tuple[Tensor, float]],
    readings: Readings,
    *,
    hold: Hold = "nothing",
    cancelled: Callable[[], None] = lambda: None,
) -> Tensor:
    """Derivatives of targets along changes of units: [change, target].

    Args:
        replica: the graph's model and prompt.
        changes: each the units that change together [k], and the share of its activation by which
            each changes (-1 for an ablation).
        readings: the targets.
        hold: what does not answer: nothing, attention patterns, or patterns and norm scales.
        cancelled: called before each pass; raises to stop.
    """
    size = max(1, CHUNK_TOKENS // replica.frozen.n_positions)
    out = []
    for start in range(0, len(changes), size):
        cancelled()
        out.append(_one_pass(replica, changes[start : start + size], readings, hold))
    return torch.cat(out)


def _one_pass(
    replica: Replica, changes: Sequence[tuple[Tensor, float]], readings: Readings, hold: Hold
) -> Tensor:
    model, held = replica.model, hold == "norms"
    ids = replica.frozen.recording.token_ids
    steps: dict[Place, list[Edit]] = defaultdict(list)
    now: dict[Place, Tensor] = {}
    reads = set(readings.places(held))
    if hold != "nothing":
        for layer in range(model.n_layers):
            for site in ("attn_q", "attn_k"):
                steps[Place(layer, site)].append(_without_tangent)
    if held:
        for source, target, edit in _norms_held(replica, now):
            reads.add(source)
            steps[target].append(edit)
    for place, direction in written(replica, changes).items():
        steps[place].append(_along(direction))

    def at(place: Place) -> Edit:
        def edit(value: Tensor, seen: Mapping[Place, Tensor]) -> Tensor:
            for step in steps[place]:
                value = step(value, seen)
            now[place] = value
            return value

        return edit

    with model.lock, _ONE_AT_A_TIME, forward.dual_level():
        run = model.run(
            ids.expand(len(changes), -1),
            read=reads,
            write={place: at(place) for place in steps},
            logits=False,
        )
        values = readings.held(run.seen) if held else readings.live(run.seen)
        tangent = forward.unpack_dual(values).tangent
        # Where nothing behind the change reads it, there is no tangent at all.
        return torch.zeros_like(values) if tangent is None else tangent.clone()


def _along(direction: Tensor) -> Edit:
    # Values behind an earlier change bring a tangent of their own along.
    def edit(value: Tensor, seen: Mapping[Place, Tensor]) -> Tensor:
        tangent = direction.to(value.device, value.dtype)
        primal, before = forward.unpack_dual(value)
        return forward.make_dual(primal, tangent if before is None else before + tangent)

    return edit


def _without_tangent(value: Tensor, seen: Mapping[Place, Tensor]) -> Tensor:
    return forward.unpack_dual(value).primal


def _norms_held(
    replica: Replica, now: Mapping[Place, Tensor]
) -> Iterator[tuple[Place, Place, Edit]]:
    """For each norm inside a block: where it reads, where its output stands, and the edit there that
    lets a tangent through with the scale held. The last norm is held by how targets are read."""
    row = replica.model.anatomy
    for layer, block in enumerate(part(replica.model.hf, row.layers)):
        for path, source, target in norms_of(row):
            weight, _, epsilon, centred = norm_parameters(part(block, path), row)
            inside = weight if not target.endswith("normalized") else None
            place = Place(layer, source)
            yield place, Place(layer, target), _scaled(place, now, inside, epsilon, centred)


def _scaled(
    source: Place, now: Mapping[Place, Tensor], weight: Tensor | None, epsilon: float, centred: bool
) -> Edit:
    def edit(value: Tensor, seen: Mapping[Place, Tensor]) -> Tensor:
        x, tangent = forward.unpack_dual(now.get(source, seen[source]))
        primal = forward.unpack_dual(value).primal
        if tangent is None:
            return primal
        if centred:
            x, tangent = (v - v.mean(-1, keepdim=True) for v in (x, tangent))
        tangent = tangent * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + epsilon)
        return forward.make_dual(primal, tangent if weight is None else tangent * weight)

    return edit


def live_gradient(replica: Replica, vector: Tensor) -> dict[Place, Tensor]:
    """The same derivative backwards: one target, with respect to everything that units write.

    vector: [d_model], the target is vector . final norm's output at the last position.

    Returns, per place that units write to, [position, d_model].
    """
    model, site = replica.model, _written_at(replica)
    blocks = model.gradients(replica.frozen.recording.token_ids, vector[None], at=site)[0]
    return {Place(layer, site): gradient for layer, gradient in enumerate(blocks)}


@torch.no_grad()
def gradient_along(
    replica: Replica, gradient: dict[Place, Tensor], units: Tensor, share: float
) -> NDArray[np.floating]:
    """The target's change, to first order, when each unit by itself changes by a share: [unit].

    gradient: from `live_gradient`; units: [unit], indices into the replica's.
    """
    u = replica.units
    out = gradient[next(iter(gradient))].new_zeros(len(units))
    for layer in u.layer[units].unique().tolist():
        here = (u.layer[units] == layer).nonzero()[:, 0]
        chosen = units[here]
        for place, vectors in decoders(replica, layer, u.feature[chosen]):
            reached = gradient[place][u.position[chosen]]
            out[here] += u.activation[chosen] * (reached * vectors.to(reached)).sum(-1)
    found: NDArray[np.floating] = share * out.double().cpu().numpy()
    return found


def written(replica: Replica, changes: Sequence[tuple[Tensor, float]]) -> dict[Place, Tensor]:
    """What changes of units add to MLP outputs: per place [change, position, d_model]."""
    units, frozen = replica.units, replica.frozen
    out: dict[Place, Tensor] = {}
    for row, (chosen, share) in enumerate(changes):
        for layer in units.layer[chosen].unique().tolist():
            own = chosen[units.layer[chosen] == layer]
            amount, position = share * units.activation[own, None], units.position[own]
            for place, vectors in decoders(replica, layer, units.feature[own]):
                if place not in out:
                    shape = (len(changes), frozen.n_positions, frozen.d_model)
                    out[place] = frozen.recording.embedding.new_zeros(shape)
                out[place][row].index_add_(0, position, amount * vectors.to(amount))
    return out


def _written_at(replica: Replica) -> Site:
    """Where units write: in front of a post-norm, or behind it."""
    units = replica.units
    if isinstance(units, NeuronUnits):
        return "mlp_raw"
    return "mlp_out" if output_kind(units.dictionary.output_hook) == "added" else "mlp_raw"


def decoders(replica: Replica, layer: int, numbers: Tensor) -> Iterator[tuple[Place, Tensor]]:
    """What units of a block write at activation 1: [k, d_model] for each block they write to."""
    units, site = replica.units, _written_at(replica)
    if isinstance(units, NeuronUnits):
        yield Place(layer, site), units.decoder(layer, numbers)
        return
    for target in units.dictionary.writes_to(layer):
        yield Place(target, site), units.decoder(layer, numbers, target)
