"""Runs with interventions: what the model says when something inside it is changed.

Runs share passes: as many rows as fit into a batch, each with its own interventions, and where
attention is frozen or layers are constrained, the unchanged run beside them (lockstep.py).

An intervention of strength 0 (scaled by 1, nothing added) is no intervention, so a run with none
but these is the plain run, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from torch import Tensor

from ..jobs import Cancelled
from .acts import Forward
from .errors import InterventionError
from .lockstep import Lockstep
from .operations import whole_numbers
from .places import Place
from .plan import Plan, compile
from .sources import Sources
from .targets import Intervention, What, interventions_of

if TYPE_CHECKING:
    from .model import Model, Prompt

__all__ = ["Attention", "Layers", "Outcome", "Plan", "compile", "run_each"]

Attention = Literal["free", "frozen"]
Layers = Literal["all"] | Collection[int]
# What one pass may cost: weights times tokens (some tenths of a second on one core, so that
# cancelling is quick), and bytes of logits.
WORK_AT_ONCE, LOGITS_AT_ONCE = 2.5e10, 2.5e8


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run with interventions gave; tensors in the model's dtype on its device.

    Attributes:
        what: the interventions.
        logits: [position, vocab]; only the positions asked for.
        activations: per place read, [position, d], as the rest of the pass found it: after what
            was written there. A pattern is [head, query, key].
        base, base_activations: the same without interventions, from the same pass; None where
            attention is free.
    """

    what: tuple[Intervention, ...]
    logits: Tensor
    activations: dict[Place, Tensor]
    base: Tensor | None = None
    base_activations: dict[Place, Tensor] | None = None

    def __repr__(self) -> str:
        return f"Outcome({'; '.join(map(str, self.what))})"


@dataclass(frozen=True)
class Options:
    """How a pass is run; see `Model.intervene`."""

    frozen: bool
    scales: bool
    held: frozenset[int]
    read: frozenset[Place]
    logits: bool | tuple[int, ...]


def options(
    model: Model,
    length: int,
    attention: Attention,
    norms: Attention,
    constrained: Layers,
    read: Iterable[Place],
    logits_at: Sequence[int] | None,
) -> Options:
    """Raises InterventionError for what the model or the prompt does not have."""
    if attention not in ("free", "frozen"):
        raise InterventionError(f"Attention is 'free' or 'frozen', not {attention!r}.")
    if norms not in ("free", "frozen"):
        raise InterventionError(f"Norms are 'free' or 'frozen', not {norms!r}.")
    layers: Iterable[int] = range(model.n_layers) if constrained == "all" else ()
    if constrained != "all" and (isinstance(constrained, str) or len(constrained)):
        layers = whole_numbers(tuple(constrained), "layers")
    held = frozenset(layers)
    if held and not 0 <= min(held) <= max(held) < model.n_layers:
        raise InterventionError(
            f"{model.name} has layers 0 to {model.n_layers - 1}, and constrained are "
            f"{', '.join(map(str, sorted(held)))}."
        )
    logits: bool | tuple[int, ...] = True
    if logits_at is not None:
        logits = whole_numbers(tuple(logits_at), "positions")
        for position in logits:
            if not -length <= position < length:
                raise InterventionError(
                    f"Logits at position {position} were asked for, but the prompt has "
                    f"{length} tokens."
                )
        logits = tuple(position % length for position in logits)
    scales = norms == "frozen"
    frozen = attention == "frozen" or scales or bool(held)
    return Options(frozen, scales, held, frozenset(read), logits)


def run_each(
    model: Model,
    prompt: Prompt,
    what: Sequence[What],
    *,
    attention: Attention,
    norms: Attention,
    constrained: Layers,
    read: Iterable[Place],
    logits_at: Sequence[int] | None,
    progress: Callable[[float, str], object] | None,
    cancelled: Callable[[], object] | None,
) -> list[Outcome]:
    """The work behind `Model.intervene_each`."""
    ids = model.tokenize(prompt)
    rows = [interventions_of(item) for item in what]
    chosen = options(model, len(ids), attention, norms, constrained, read, logits_at)
    sources = Sources(model)
    _check(model, rows, len(ids), chosen, sources)
    changed = [row for row in dict.fromkeys(rows) if not all(w.is_identity for w in row)]
    done: dict[tuple[Intervention, ...], Outcome] = {}

    def ask() -> None:
        if cancelled is not None and cancelled():
            raise Cancelled("Cancelled.")

    def tell() -> None:
        if progress is not None:
            progress(len(done) / len(set(rows)), f"{len(done)} of {len(set(rows))} interventions")

    if len(changed) < len(set(rows)):
        ask()
        plain = _plain(model, ids, chosen)
        done = {row: _named(plain, row) for row in rows if all(w.is_identity for w in row)}
        tell()
    at_once = rows_at_once(model, len(ids), chosen)
    for first in range(0, len(changed), at_once):
        ask()
        chunk = changed[first : first + at_once]
        done |= zip(chunk, _pass(model, ids, chunk, chosen, sources), strict=True)
        tell()
    return [done[row] for row in rows]


def rows_at_once(model: Model, length: int, chosen: Options) -> int:
    """How many rows with interventions share a pass."""
    weights = sum(p.numel() for p in model.hf.parameters())
    positions = length if isinstance(chosen.logits, bool) else len(chosen.logits)
    logits = positions * int(model.config.vocab_size) * model.dtype.itemsize
    rows = min(WORK_AT_ONCE / (weights * length), LOGITS_AT_ONCE / logits)
    return max(1, int(rows) - chosen.frozen)


def _check(
    model: Model,
    rows: Sequence[tuple[Intervention, ...]],
    length: int,
    chosen: Options,
    sources: Sources,
) -> None:
    """Everything that can be refused is refused before the first pass, and other prompts are read
    in one run each."""
    plan = compile(
        model, rows, length, total=length, sources=sources, base_row=None, held=chosen.held
    )
    if chosen.frozen:
        Lockstep(model, plan, chosen.held, chosen.scales)


def _pass(
    model: Model,
    ids: Tensor,
    rows: Sequence[tuple[Intervention, ...]],
    chosen: Options,
    sources: Sources,
) -> list[Outcome]:
    """One forward pass, a row for each list of interventions."""
    n_base = int(chosen.frozen)
    plan = compile(
        model,
        [()] * n_base + list(rows),
        len(ids),
        total=len(ids),
        sources=sources,
        base_row=0 if chosen.held else None,
        held=chosen.held,
        warn=False,
    )
    forward = Forward(0)
    reads: set[Place] = set()
    before = None
    if chosen.frozen:
        reads, before = Lockstep(model, plan, chosen.held, chosen.scales).steps(forward)
    more, write = plan.steps(forward, len(ids), before)
    run = model.run(
        ids.expand(n_base + len(rows), -1),
        read=reads | more | chosen.read,
        write=write,
        logits=chosen.logits,
    )
    plan.finish()
    logits = run.logits
    assert logits is not None
    seen = {place: forward.now(place, run.seen) for place in chosen.read}

    def of(row: int) -> dict[Place, Tensor]:
        # A copy: a view would keep the whole batch alive.
        return {place: value[row].clone() for place, value in seen.items()}

    base = (logits[0].clone(), of(0)) if chosen.frozen else (None, None)
    return [
        Outcome(what, logits[row].clone(), of(row), *base)
        for row, what in enumerate(rows, start=n_base)
    ]


def _plain(model: Model, ids: Tensor, chosen: Options) -> Outcome:
    """The run that strength 0 leaves."""
    run = model.run(ids[None], read=chosen.read, logits=chosen.logits)
    assert run.logits is not None
    seen = {place: value[0] for place, value in run.seen.items()}
    base = (run.logits[0], seen) if chosen.frozen else (None, None)
    return Outcome((), run.logits[0], seen, *base)


def _named(plain: Outcome, what: tuple[Intervention, ...]) -> Outcome:
    return Outcome(what, plain.logits, plain.activations, plain.base, plain.base_activations)
