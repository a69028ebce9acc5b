"""The training loop, one step at a time: what is trained, on what, and where it is.

A `Loop` knows no threads and no views. All that its next step depends on is in `state`, except
the activations in the buffer, which are computed again (buffer.py), so a loop that was restored
goes on bit for bit. Everything random follows from the plan's seed.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interp_widgets.dictionaries.coder import SparseCoder
from interp_widgets.dictionaries.cross_layer import CrossLayerTranscoder
from interp_widgets.dictionaries.errors import DictionaryError
from interp_widgets.dictionaries.training import checkpoint
from interp_widgets.dictionaries.training.buffer import Cursor, MixingBuffer, Vectors
from interp_widgets.dictionaries.training.controls import pca_control
from interp_widgets.dictionaries.training.corpus import Position
from interp_widgets.dictionaries.training.examples import TopExamples
from interp_widgets.dictionaries.training.group import Group
from interp_widgets.dictionaries.training.plan import Change, Plan
from interp_widgets.dictionaries.training.schedule import Schedule, check_setting, settings_of
from interp_widgets.dictionaries.training.specs import Spec
from interp_widgets.dictionaries.training.stream import Source
from interp_widgets.dictionaries.training.trainee import Moment, Trainee, make
from interp_widgets.models import Place

# Rows of text are encoded for examples, so many at a time; of the tokens that are trained on one in
# so many is looked at (measured: 3% of the time of a TopK step).
LOOK_ROWS, LOOK_AT_ONE_IN = 4, 24
METRICS = ("step", "tokens", "loss", "mse", "fvu", "l0", "dead_share", "lr")


@dataclass
class Part:
    """One dictionary of a training: its trainee, what may be set, what was measured."""

    spec: Spec
    trainee: Trainee
    settings: dict[str, float]
    begun_with: dict[str, float]
    columns: tuple[str, ...]
    table: NDArray[np.float64]  # [step, column]
    examples: list[TopExamples] = field(default_factory=list)
    controls: dict[str, float] = field(default_factory=dict)


class Loop:
    """Args:
    plan: what to train.
    source: what to read.
    device: where trainees live.
    group: of processes.
    reading: see MixingBuffer.
    """

    def __init__(
        self,
        plan: Plan,
        source: Source,
        device: torch.device,
        group: Group,
        reading: Callable[[float], None],
    ) -> None:
        if plan.steps < 1:
            raise DictionaryError(
                f"{plan.tokens} tokens are less than one batch of {plan.batch}: train on more."
            )
        self.plan, self.group = plan, group
        self.step = 0
        self._look_every = -(-LOOK_AT_ONE_IN * LOOK_ROWS * plan.context // plan.batch)
        self.changes: list[Change] = []
        self._expected: int | None = None  # the checksum of the next batch, from a checkpoint
        self.schedule = Schedule(plan.steps, plan.warmup, plan.decay, plan.sparsity_warmup)
        self.parts: dict[str, Part] = {}
        trainees = _trainees(plan, source.widths, device)
        for (name, trainee), spec, lr in zip(trainees.items(), plan.specs, plan.lr, strict=True):
            settings = settings_of(spec.recipe, lr)
            columns = (*METRICS, *(what for what in settings if what != "lr"))
            table = np.zeros((plan.steps, len(columns)))
            examples = [TopExamples(spec.n_features) for _ in spec.reads]
            self.parts[name] = Part(
                spec, trainee, settings, dict(settings), columns, table, examples
            )
        self._source, self._reading = source, reading
        self.buffer = self._buffer(Cursor())

    def _buffer(self, cursor: Cursor) -> MixingBuffer:
        return MixingBuffer(
            self._source,
            batch=self.plan.batch,
            groups=self.plan.groups,
            seed=self.plan.seed,
            cursor=cursor,
            rank=self.group.rank,
            world=self.group.size,
            reading=self._reading,
        )

    @property
    def tokens(self) -> int:
        """Trained on so far."""
        return self.step * self.plan.batch

    def prepare(self) -> None:
        """Read what the next step needs, if it is not there: that can take long."""
        self.buffer.fill()
        if self._expected is not None and self.buffer.checksum() != self._expected:
            warnings.warn(
                "The activations differ in their last bits from those of the machine (or number "
                "of threads) that wrote the checkpoint; the training goes on, but not bit for "
                "bit as it would have.",
                stacklevel=2,
            )
        self._expected = None

    def advance(self) -> bool:
        """One step of every dictionary; False where all steps are done or the text has ended."""
        if self.step >= self.plan.steps:
            return False
        batch = self.buffer.next()
        if batch is None:
            return False
        for index, part in enumerate(self.parts.values()):
            x, y = _sides(part.spec, batch)
            if self.step == 0:
                random = torch.Generator().manual_seed(self.plan.seed + index)
                everywhere = [[self.group.gather(v) for v in side] for side in (x, y)]
                part.trainee.initialise(everywhere[0], everywhere[1], random)
                if "k" in part.settings:
                    part.controls = pca_control(everywhere[1], int(part.settings["k"]))
            self._one_step(part, x, y)
        if self.step % self._look_every == 0 and self.group.rank == 0:
            self._look()
        self.step += 1
        return True

    def _one_step(self, part: Part, x: list[Tensor], y: list[Tensor]) -> None:
        now, lr = part.settings, part.settings["lr"] * self.schedule.lr(self.step)
        moment = Moment(
            lr=lr,
            sparsity=self._sparsity(part),
            k=self.schedule.k(self.step, part.spec.recipe, now.get("k", 0)),
            tokens_seen=self.tokens,
            group=self.group,
        )
        report = part.trainee.step(x, y, moment)
        if not np.isfinite(report.loss):
            raise DictionaryError(
                f"The loss of {part.spec.title} is not finite at step {self.step}: try a smaller lr."
            )
        measured = [getattr(report, name) for name in METRICS[2:-1]]
        used = now | ({"k": moment.k} if moment.k is not None else {})
        rest = [used[name] for name in part.columns[len(METRICS) :]]
        part.table[self.step] = [self.step, self.tokens + self.plan.batch, *measured, lr, *rest]

    def _sparsity(self, part: Part) -> float:
        """What the recipe's own weight is multiplied with: schedule times the user's change."""
        if not part.begun_with.get("sparsity"):
            return 1.0
        changed = part.settings["sparsity"] / part.begun_with["sparsity"]
        return changed * self.schedule.sparsity(self.step, part.spec.recipe)

    def _look(self) -> None:
        sample = self.buffer.sample
        assert sample is not None
        turn = self.step // self._look_every
        first = turn * LOOK_ROWS % max(1, len(sample.rows) - LOOK_ROWS + 1)
        chosen = slice(first, first + LOOK_ROWS)
        begin = int(sample.kept[:first].sum())
        count = int(sample.kept[chosen].sum())
        vectors = {place: x[begin : begin + count] for place, x in sample.vectors.items()}
        for part in self.parts.values():
            x, _ = _sides(part.spec, vectors)
            for found, examples in zip(part.trainee.encode(x), part.examples, strict=True):
                examples.observe(sample.rows[chosen], sample.kept[chosen], found)

    def change(self, name: str, what: str, value: float) -> None:
        """Set lr, k or sparsity of one dictionary from the next step on."""
        part = self.parts[name]
        check_setting(name, part.settings, what, value, part.spec.n_features)
        if part.settings[what] != value:
            old, part.settings[what] = part.settings[what], value
            self.changes.append(Change(self.step, self.tokens, name, what, old, value))

    def history(self, name: str) -> dict[str, NDArray[np.float64]]:
        """Copies, one array per metric, of all steps so far."""
        part, n = self.parts[name], self.step
        return {column: part.table[:n, i].copy() for i, column in enumerate(part.columns)}

    # --- what a later step depends on --------------------------------------------------------

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and JSON; see `restore`."""
        tensors: dict[str, Tensor] = {}
        for index, part in enumerate(self.parts.values()):
            held = {f"trainee.{key}": t for key, t in part.trainee.state().items()}
            held["history"] = torch.from_numpy(part.table[: self.step].copy())
            for encoder, examples in enumerate(part.examples):
                held |= {f"examples.{encoder}.{k}": t.clone() for k, t in examples.state.items()}
            tensors |= {f"{index}.{key}": t for key, t in held.items()}
        about = {
            "plan": self.plan.to_json(),
            "step": self.step,
            "cursor": asdict(self.buffer.cursor),
            "next_batch": self.buffer.checksum(),
            "fingerprint": self._source.fingerprint,
            "widths": [[p.layer, p.site, width] for p, width in self._source.widths.items()],
            "processes": self.group.size,
            "settings": {name: part.settings for name, part in self.parts.items()},
            "controls": {name: part.controls for name, part in self.parts.items()},
            "changes": [asdict(change) for change in self.changes],
        }
        return tensors, about

    def restore(self, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
        """Go on from a state, reading again what the buffer held.

        Warns where this machine computes other activations than the one that wrote the state.
        Raises DictionaryError for another text.
        """
        theirs, mine = about["fingerprint"], self._source.fingerprint
        if theirs and mine and theirs != mine:
            raise DictionaryError(
                "This is another text than the one the training began with: give that one."
            )
        for index, (name, part) in enumerate(self.parts.items()):
            held = _below(tensors, f"{index}.")
            part.trainee.restore(_below(held, "trainee."))
            part.table[: about["step"]] = held["history"].numpy()
            part.settings.update(about["settings"][name])
            part.controls = dict(about["controls"][name])
            for encoder, examples in enumerate(part.examples):
                examples.restore(_below(held, f"examples.{encoder}."))
        self.step = int(about["step"])
        self.changes = [Change(**change) for change in about["changes"]]
        at = about["cursor"]
        before, start = Position(**at["before"]), Position(**at["start"])
        self.buffer = self._buffer(Cursor(at["round"], at["batch"], before, start))
        self._expected = about["next_batch"] if about["processes"] == self.group.size else None


def dictionaries(
    saved: checkpoint.Checkpoint,
) -> dict[str, SparseCoder | CrossLayerTranscoder]:
    """The dictionaries in a checkpoint, by name; needs neither the model nor the text."""
    plan = Plan.from_json(saved.about["plan"])
    widths = {Place(layer, site): d for layer, site, d in saved.about["widths"]}
    found = {}
    for index, (name, trainee) in enumerate(_trainees(plan, widths, torch.device("cpu")).items()):
        trainee.restore(_below(saved.tensors, f"{index}.trainee."))
        found[name] = trainee.dictionary(name, plan.model_name)
    return found


def _trainees(plan: Plan, widths: Mapping[Place, int], device: torch.device) -> dict[str, Trainee]:
    found: dict[str, Trainee] = {}
    for index, spec in enumerate(plan.specs):
        d_in, d_out = (_width(spec, places, widths) for places in (spec.reads, spec.writes))
        dtype = getattr(torch, plan.dtype)
        name, count = spec.title, 2
        while name in found:
            name, count = f"{spec.title} ({count})", count + 1
        found[name] = make(spec, d_in, d_out, device, dtype, seed=plan.seed + index)
    return found


def _sides(spec: Spec, vectors: Vectors) -> tuple[list[Tensor], list[Tensor]]:
    return [vectors[place] for place in spec.reads], [vectors[place] for place in spec.writes]


def _width(spec: Spec, places: tuple[Place, ...], widths: Mapping[Place, int]) -> int:
    for place in places:
        if place not in widths:
            raise DictionaryError(
                f"{spec.title} needs {place}, but what is read has {', '.join(map(str, widths))}."
            )
    found = {widths[place] for place in places}
    if len(found) > 1:
        raise DictionaryError(f"The places of {spec.title} have widths {sorted(found)}, not one.")
    return found.pop()


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
