"""A plan: interventions, one list for each row of a batch, as edits of a forward pass.

    plan = compile(model, rows, prompt_length)
    reads, writes = plan.edits(start, length)    # for positions [start, start + length)

With a KV cache a text grows pass by pass, so a plan is asked for one stretch of positions after
another; it counts positions from the prompt's first token and remembers what it has touched.

Most interventions write where their values stand. Two do not:

    features   read at one place; the change of their activations, times their decoders, is added
               where they write, which for a cross-layer transcoder is many places.
    patterns   no module takes an attention pattern P in. Behind attention, what the changed one
               gives is added: (P' - P) V W_O. Interventions on the outputs z of heads of the same
               row and block wait for that: they come behind the pattern.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .anatomy import heads_of, mlp_weights, part
from .errors import InterventionError
from .feature_access import FeatureAccess, access
from .interventions import Features, Heads, Neurons, Patterns
from .operations import Ablate, Add, At, Clamp, Generated, Patch, ProjectOut, Scale, Vector, applied
from .places import Place
from .running import Edit
from .sources import Sources
from .targets import Intervention, Target

if TYPE_CHECKING:
    from .model import Model

Step = Callable[[Tensor, Mapping[Place, Tensor]], None]  # changes the first in place


@dataclass(eq=False)
class Forward:
    """One forward pass while it runs: what stands where, after what was written there."""

    written: dict[Place, Tensor] = field(default_factory=dict)
    activations: dict[tuple[int, int, int], tuple[Tensor, Tensor]] = field(default_factory=dict)
    patterns: dict[tuple[int, int], Tensor] = field(default_factory=dict)

    def now(self, place: Place, seen: Mapping[Place, Tensor]) -> Tensor:
        return self.written[place] if place in self.written else seen[place]

    def edit(self, place: Place, steps: Sequence[Step]) -> Edit:
        def write(value: Tensor, seen: Mapping[Place, Tensor]) -> Tensor:
            out = self.written[place] = value.clone()
            for step in steps:
                step(out, seen)
            # In a parallel block, writing the stream's middle changes this very tensor.
            return out.clone() if place.site in ("resid_pre", "resid_post") else out

        return write


@dataclass(frozen=True, eq=False)
class Act:
    """An intervention in a row of the batch."""

    row: int
    what: Intervention

    def between(self, start: int, stop: int, prompt_length: int) -> list[int]:
        """The positions it changes in [start, stop), counted from start."""
        found = self.what.positions.below(stop, prompt_length)
        if isinstance(found, range):
            found = range(max(found.start, start), found.stop)
        return [p - start for p in found if p >= start]


class Plan:
    """See the top of this file; made by `compile`."""

    def __init__(
        self,
        model: Model,
        rows: Sequence[Sequence[Intervention]],
        prompt_length: int,
        total: int | None,
        sources: Sources,
        base_row: int | None,
        held: frozenset[int],
        warn: bool,
    ) -> None:
        self.model, self.prompt_length, self.total = model, prompt_length, total
        self.n_rows, self.base_row, self.held = len(rows), base_row, held
        self.acts = [Act(row, what) for row, listed in enumerate(rows) for what in listed]
        self.heads, self.kv_heads, self.d_head = heads_of(model.hf)
        self._sources = sources
        self.bound = self._bind()
        self._patterned = {
            (act.row, act.what.target.layer)
            for act in self.acts
            if isinstance(act.what.target, Patterns) and not act.what.is_identity
        }
        self._values: dict[int, Tensor] = {}  # per block with changed patterns, V of all positions
        self._touched: set[int] = set()
        self._next = 0
        for act in self.acts:
            check_target(model, act.what)
            self._check_positions(act)
            self._check_features(act)
        sources.read(act.what for act in self.acts if not act.what.is_identity)
        for act in self.acts:
            self._check_patch(act)
        self._check_reach(warn)

    def edits(self, start: int, length: int) -> tuple[Collection[Place], Mapping[Place, Edit]]:
        """What is read and written in a forward pass over positions [start, start + length).

        Raises InterventionError unless passes are asked for one behind the other.
        """
        return self.steps(Forward(), start, length)

    def steps(
        self,
        forward: Forward,
        start: int,
        length: int,
        before: Mapping[Place, Sequence[Step]] | None = None,
    ) -> tuple[set[Place], dict[Place, Edit]]:
        """As `edits`; at each place, the steps in `before` are taken first."""
        if start != self._next:
            raise InterventionError(
                f"A pass from position {start} on came out of order: the next one begins at "
                f"position {self._next}."
            )
        self._next = start + length
        reads: set[Place] = set()
        steps: dict[Place, list[Step]] = defaultdict(list)
        for place, first in (before or {}).items():
            steps[place].extend(first)
        for _, layer in self._patterned:
            reads.add(Place(layer, "attn_v"))
            steps[Place(layer, "attn_raw")] = steps[Place(layer, "attn_raw")] or [
                partial(self._keep_values, layer)
            ]
        late: list[tuple[Place, Step]] = []
        for index, act in enumerate(self.acts):
            where = act.between(start, start + length, self.prompt_length)
            if not where:
                continue
            self._touched.add(index)
            if act.what.is_identity:
                continue
            at = torch.tensor(where)
            match act.what.target:
                case Features():
                    found = self._feature_steps(forward, act, at, start)
                    reads.add(self.bound[_key(act.what.target)].access.reads)
                case Patterns(layer=layer):
                    place = Place(layer, "attn_raw")
                    found = [(place, partial(self._pattern_step, forward, act, at, start))]
                    reads |= {Place(layer, "pattern"), Place(layer, "attn_z")}
                case target:
                    place = place_of(target)
                    step: Step = partial(self._value_step, forward, act, at, start)
                    found = [(place, step)]
                    if place.site == "attn_z" and (act.row, place.layer) in self._patterned:
                        behind = Place(place.layer, "attn_raw")
                        late.append((behind, partial(self._late_step, forward, act, at, start)))
                        reads.add(place)
                        found = []
            for place, step in found:
                steps[place].append(step)
        for place, step in late:
            steps[place].append(step)
        return reads, {place: forward.edit(place, found) for place, found in steps.items() if found}

    def finish(self) -> None:
        """Raises InterventionError if an intervention has touched nothing so far."""
        for index, act in enumerate(self.acts):
            if index not in self._touched:
                raise InterventionError(
                    f"Nothing was touched by “{act.what}”: the run ended before, behind "
                    f"{self._next} positions."
                )

    # What one intervention does in one pass

    def _value_step(
        self,
        forward: Forward,
        act: Act,
        at: Tensor,
        start: int,
        out: Tensor,
        seen: Mapping[Place, Tensor],
    ) -> None:
        self._change(act, at, start, out[act.row])
        place = place_of(act.what.target)
        for key in [k for k in forward.activations if k[0] == act.row]:
            # What is encoded again after a change sees it.
            if self.bound[key[1:]].access.reads == place:
                del forward.activations[key]

    def _change(self, act: Act, at: Tensor, start: int, values: Tensor) -> None:
        """Changes values [position, d] in place."""
        target, at = act.what.target, at.to(values.device)
        columns = self._columns(target)
        x = values[at] if columns is None else values[at][:, columns]
        shaped = _shaped(target, x.to(self.model.dtype))
        patched = self._patched(act, at, start)
        new = applied(act.what.operation, shaped, patched).reshape(x.shape).to(values.dtype)
        if columns is None:
            values[at] = new
        else:
            values[at[:, None], columns.to(values.device)] = new

    def _columns(self, target: Target) -> Tensor | None:
        match target:
            case Heads(heads=heads):
                width = torch.arange(self.d_head)
                return torch.cat([head * self.d_head + width for head in heads])
            case Neurons(neurons=neurons):
                return torch.tensor(neurons)
        return None

    def _patched(self, act: Act, at: Tensor, start: int) -> Tensor | None:
        patch, target = act.what.operation, act.what.target
        if not isinstance(patch, Patch):
            return None
        rows = self._source_positions(act, patch, [p + start for p in at.tolist()])
        if isinstance(target, Features):
            bound = self.bound[_key(target)]
            x = self._sources.values(patch, bound.access.reads)
            a = bound.access.activations(x)
            a[0] = 0
            return a[rows][:, bound.columns(target)]
        if isinstance(target, Patterns):
            pattern = self._sources.values(patch, Place(target.layer, "pattern"))
            return pattern[list(target.heads)][:, rows].transpose(0, 1)
        columns = self._columns(target)
        x = self._sources.values(patch, place_of(target))[rows]
        return _shaped(target, x if columns is None else x[:, columns])

    def _source_positions(self, act: Act, patch: Patch, positions: list[int]) -> list[int]:
        length = self._sources.length(patch)
        if patch.positions is None:
            wanted = positions
        elif len(patch.positions) == 1:
            wanted = [patch.positions[0]] * len(positions)
        else:
            written = list(act.what.positions.below(self.total or max(positions) + 1, length))
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

    def _feature_steps(
        self, forward: Forward, act: Act, at: Tensor, start: int
    ) -> list[tuple[Place, Step]]:
        target = act.what.target
        assert isinstance(target, Features)
        bound = self.bound[_key(target)]
        columns = bound.columns(target)
        change: list[Tensor] = []  # found at the first place, used at all
        inputs: list[Tensor] = []

        def step(index: int, out: Tensor, seen: Mapping[Place, Tensor]) -> None:
            if not change:
                a, x = self._activations(forward, act, bound, start, seen)
                old = a[at][:, columns]
                new = applied(act.what.operation, old, self._patched(act, at, start))
                a[at[:, None], columns] = new
                change.append(new - old)
                inputs.append(x[at])
            if change[0].any():
                added = bound.access.written(index, columns, change[0], inputs[0])
                out[act.row, at.to(out.device)] += added.to(out)

        return [
            (place, partial(step, index))
            for index, place in enumerate(bound.access.writes)
            if self._reached(place)
        ]

    def _activations(
        self,
        forward: Forward,
        act: Act,
        bound: Bound,
        start: int,
        seen: Mapping[Place, Tensor],
    ) -> tuple[Tensor, Tensor]:
        """Activations [position, k] as earlier interventions left them, and what they read."""
        target = act.what.target
        assert isinstance(target, Features)
        key = (act.row, *_key(target))
        if key not in forward.activations:
            row = act.row if self.base_row is None else self.base_row
            there = forward.now(bound.access.reads, seen)[row]
            # A copy: where features write to what they read, it is about to change.
            x = there.to(self.model.device, self.model.dtype, copy=True)
            a = bound.access.activations(x)
            if start == 0:
                a[0] = 0
            forward.activations[key] = a, x
        return forward.activations[key]

    def _pattern_step(
        self,
        forward: Forward,
        act: Act,
        at: Tensor,
        start: int,
        out: Tensor,
        seen: Mapping[Place, Tensor],
    ) -> None:
        target = act.what.target
        assert isinstance(target, Patterns)
        layer, heads = target.layer, torch.tensor(target.heads, device=out.device)
        at = at.to(out.device)
        key = (act.row, layer)
        if key not in forward.patterns:
            forward.patterns[key] = seen[Place(layer, "pattern")][act.row].to(out.device).clone()
        pattern = forward.patterns[key]
        old = pattern[heads[:, None], at].to(self.model.dtype).transpose(0, 1)
        patched = self._patched(act, at, start)
        if patched is not None and patched.shape != old.shape:
            raise InterventionError(
                f"“{act.what}” reached a generated token, which looks at {old.shape[-1]} tokens: "
                f"patch patterns within the prompt only."
            )
        new = applied(act.what.operation, old, patched)
        pattern[heads[:, None], at] = new.transpose(0, 1).to(pattern)
        values = self._values[layer][act.row, -pattern.shape[-1] :].to(old)
        values = values.view(len(values), self.kv_heads, self.d_head)
        values = values[:, heads // (self.heads // self.kv_heads)]
        change = torch.einsum("phk,khd->phd", new - old, values)
        z = self._z(forward, act, layer, out, seen)
        z[at[:, None], heads] += change.to(z)
        columns = self._columns(Heads(layer, target.heads))
        assert columns is not None
        out[act.row, at] += self._projected(layer, change.flatten(1), columns, out)

    def _late_step(
        self,
        forward: Forward,
        act: Act,
        at: Tensor,
        start: int,
        out: Tensor,
        seen: Mapping[Place, Tensor],
    ) -> None:
        """A change of z behind a changed pattern, told as what it changes behind W_O."""
        layer = place_of(act.what.target).layer
        z = self._z(forward, act, layer, out, seen).flatten(1)
        old = z.clone()
        self._change(act, at, start, z)
        columns = torch.arange(z.shape[1])
        out[act.row] += self._projected(layer, z - old, columns, out)

    def _z(
        self,
        forward: Forward,
        act: Act,
        layer: int,
        out: Tensor,
        seen: Mapping[Place, Tensor],
    ) -> Tensor:
        """What the row's heads found [position, head, d_head], as changed so far."""
        place = Place(layer, "attn_z")
        if place not in forward.written:
            forward.written[place] = seen[place].to(out.device).clone()
        return forward.written[place][act.row].unflatten(-1, (self.heads, self.d_head))

    def _projected(self, layer: int, z: Tensor, columns: Tensor, out: Tensor) -> Tensor:
        row = self.model.anatomy
        block = part(self.model.hf, row.layers)[layer]
        w_o = row.attention_weights(part(block, row.attn), self.model.config).w_o
        return (z.to(w_o.dtype) @ w_o[:, columns.to(w_o.device)].T).to(out)

    def _keep_values(self, layer: int, out: Tensor, seen: Mapping[Place, Tensor]) -> None:
        new = seen[Place(layer, "attn_v")]
        old = self._values.get(layer)
        self._values[layer] = new if old is None else torch.cat([old, new], 1)

    # What is known before any pass

    def _bind(self) -> dict[tuple[int, int], Bound]:
        """Per dictionary and layer, its features that are named in any row."""
        named: dict[tuple[int, int], dict[int, None]] = defaultdict(dict)
        targets: dict[tuple[int, int], Features] = {}
        for act in self.acts:
            if isinstance(act.what.target, Features):
                key = _key(act.what.target)
                targets[key] = act.what.target
                named[key].update(dict.fromkeys(act.what.target.features))
        out = {}
        for key, features in named.items():
            dictionary, layer = targets[key].dictionary, targets[key].layer
            listed = tuple(features)
            bound = access(dictionary, layer, listed, self.model)
            out[key] = Bound(bound, {feature: i for i, feature in enumerate(listed)})
        return out

    def _reached(self, place: Place) -> bool:
        # Layers that are not held recompute what features of a held pass would have written.
        return not self.held or place.layer in self.held

    def _check_positions(self, act: Act) -> None:
        what, n = act.what, self.prompt_length
        found = what.positions.below(n if self.total is None else self.total, n)
        if self.total is None:
            if not found and isinstance(what.positions, At) and max(what.positions.positions) < n:
                raise InterventionError(f"“{what}” touches nothing.")
            return
        missing: Sequence[int] = ()
        if isinstance(what.positions, At):
            missing = [p for p in what.positions.positions if p >= self.total]
        if not found or missing:
            raise InterventionError(
                f"“{what}” touches nothing{f' at position {missing[0]}' if missing else ''}: the "
                f"run has positions 0 to {self.total - 1}."
            )

    def _check_features(self, act: Act) -> None:
        """A feature counts as 0 at position 0, and these leave it there."""
        what = act.what
        leaves = isinstance(what.operation, Scale | Patch) or what.operation == Ablate()
        if isinstance(what.target, Features) and leaves and what.positions == At((0,)):
            raise InterventionError(
                f"“{what}” touches nothing: the special token at position 0 carries no features."
            )

    def _check_patch(self, act: Act) -> None:
        what, patch = act.what, act.what.operation
        if not isinstance(patch, Patch):
            return
        if self.total is not None:
            self._source_positions(act, patch, act.between(0, self.total, self.prompt_length))
        if isinstance(what.target, Patterns):
            length = self._sources.length(patch)
            if length != self.prompt_length or isinstance(what.positions, Generated):
                raise InterventionError(
                    f"“{what}” takes attention over {length} tokens: patterns can be patched from "
                    f"a prompt of the same length ({self.prompt_length}), and not on generated "
                    f"tokens, which look at more."
                )

    def _check_reach(self, warn: bool) -> None:
        lost = [
            act.what
            for act in self.acts
            if isinstance(act.what.target, Features)
            and not any(
                self._reached(place) for place in self.bound[_key(act.what.target)].access.writes
            )
        ]
        if not lost:
            return
        sentence = (
            f"“{lost[0]}” writes only where the layers are not held (constrained are "
            f"{', '.join(map(str, sorted(self.held)))}), so it touches nothing."
        )
        if len(lost) == len(self.acts):
            raise InterventionError(sentence)
        if warn:
            warnings.warn(sentence, stacklevel=2)


@dataclass(frozen=True, eq=False)
class Bound:
    """Features of one layer at hand, and which column each is."""

    access: FeatureAccess
    column: Mapping[int, int]

    def columns(self, target: Features) -> Tensor:
        return torch.tensor([self.column[f] for f in target.features])


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
    sources = Sources(model) if sources is None else sources
    return Plan(model, rows, prompt_length, total, sources, base_row, frozenset(held), warn)


def place_of(target: Target) -> Place:
    """Where the values of places, heads and neurons stand."""
    match target:
        case Place():
            return target
        case Heads(layer=layer):
            return Place(layer, "attn_z")
        case Neurons(layer=layer):
            return Place(layer, "neurons")
    raise InterventionError(f"{target} stands at no single place.")


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
        allowed = [d_head, d_head * target.n_units]
    for vector in _vectors(what):
        if target.kind == "vectors" and len(vector) not in allowed:
            raise InterventionError(
                f"“{what}” takes a vector of {len(vector)} numbers, but {target} has "
                f"{' or '.join(map(str, sorted(set(allowed))))}."
            )


def _vectors(what: Intervention) -> Iterable[Vector]:
    operation = what.operation
    if isinstance(operation, Add | ProjectOut):
        held = operation.vector
    elif isinstance(operation, Clamp):
        held = operation.value if isinstance(operation.value, Vector) else None
    else:
        mean = getattr(operation, "mean", None)
        held = mean if isinstance(mean, Vector) else None
    return () if held is None else (held,)


def _shaped(target: Target, x: Tensor) -> Tensor:
    """[position, d] as [position, unit] for numbers, [position, unit, width] for vectors."""
    return x if target.kind == "numbers" else x.unflatten(-1, (target.n_units, -1))


def _key(target: Features) -> tuple[int, int]:
    return id(target.dictionary), target.layer
