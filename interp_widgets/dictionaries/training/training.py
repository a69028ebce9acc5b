"""Training: what `train` returns at once; learns in the background, can be watched and steered."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from interp_widgets.dictionaries.coder import SparseCoder
from interp_widgets.dictionaries.cross_layer import CrossLayerTranscoder
from interp_widgets.dictionaries.errors import DictionaryError
from interp_widgets.dictionaries.training import checkpoint, parallel
from interp_widgets.dictionaries.training.buffer import LANES
from interp_widgets.dictionaries.training.corpus import Corpus
from interp_widgets.dictionaries.training.examples import Example
from interp_widgets.dictionaries.training.loop import Change, Loop, Plan, dictionaries
from interp_widgets.dictionaries.training.recipes import default_lr
from interp_widgets.dictionaries.training.schedule import check_setting
from interp_widgets.dictionaries.training.specs import Spec
from interp_widgets.dictionaries.training.store import ActivationStore
from interp_widgets.dictionaries.training.stream import Source, TextStream
from interp_widgets.jobs import Cancelled, Job
from interp_widgets.models import Model

if TYPE_CHECKING:
    from ...views.training_view import TrainingView

# What the buffer may hold unless the user says otherwise.
_BUFFER_BYTES = 1 << 30
_DENSITY_STEPS = 100  # that a trainee's densities remember
_DENSITY_EVERY = 0.5  # seconds


class _Stopped(Exception):
    """Ends the work early, with what there is."""


class Training:
    """Dictionaries that are being trained, or were.

    As the last line of a cell it shows itself and fills while it trains. All properties can be
    read at any time, from any thread, and none waits; `wait` does. Made by `train` or
    `Training.resume_from`.

    Attributes:
        names: one per dictionary, in the order they were given in.
        specs: by name, what is trained.
        model_name: of the model whose vectors they learn.
        to: the folder of the checkpoints, or None.
    """

    def __init__(
        self,
        model: Model,
        plan: Plan,
        source: Source,
        to: Path | None,
        begin: checkpoint.Checkpoint | None = None,
    ) -> None:
        self.to = to
        self.model_name = plan.model_name
        self._model, self._plan = model, plan
        self._listeners: list[Callable[[], None]] = []
        # Steps are taken under this lock; a visitor is let in between two.
        self._stepping = threading.Lock()
        self._visitors = 0
        self._wake = threading.Condition()
        self._pausing = self._stopping = self._cancelling = self._holding = False
        self._wanted: deque[tuple[str, str, float]] = deque()
        self._times: deque[tuple[float, int]] = deque(maxlen=32)
        self._loop = Loop(plan, source, model.device, parallel.join(model.device), self._reading)
        if begin is not None:
            self._loop.restore(begin.tensors, begin.about)
            self._pausing = bool(begin.about.get("paused"))
        self.names: tuple[str, ...] = tuple(self._loop.parts)
        self.specs: dict[str, Spec] = {n: part.spec for n, part in self._loop.parts.items()}
        nothing = [np.zeros(spec.n_features * len(spec.reads)) for spec in plan.specs]
        self._density: dict[str, NDArray[np.floating]] = dict(zip(self.names, nothing, strict=True))
        self._density_at = 0.0
        self._job: Job[None] = Job(self._work, self._changed)
        self._job.start()

    @classmethod
    def resume_from(
        cls,
        folder: str | Path,
        model: Model,
        text: Iterable[str] | Path | ActivationStore | None = None,
    ) -> Training:
        """Go on from the newest whole checkpoint in a folder, as if nothing had happened.

        Weights, optimiser, data and everything random continue bit for bit (on the same machine
        with the same number of threads; elsewhere it warns). Settings that were changed stay
        changed, and what was paused stays paused until `resume`.

        Args:
            text: the same as at the beginning; None where that was a file or folder, which the
                checkpoint names.

        Raises DictionaryError where there is no whole checkpoint, the text is missing or another,
        or the model is another.
        """
        begin = checkpoint.read(folder)
        plan = Plan.from_json(begin.about["plan"])
        if plan.model_name != model.name:
            raise DictionaryError(
                f"This training belongs to {plan.model_name}, but {model.name} was given."
            )
        if text is None:
            if plan.text is None:
                raise DictionaryError(
                    "The text of this training was no file: give it again, as text=..."
                )
            text = ActivationStore(plan.text) if plan.store else Path(plan.text)
        return cls(model, plan, _source(model, plan, text), Path(folder), begin)

    @staticmethod
    def dictionaries_in(folder: str | Path) -> dict[str, SparseCoder | CrossLayerTranscoder]:
        """What the newest whole checkpoint in a folder has learned, by name; nothing goes on.

        Raises DictionaryError where there is none.
        """
        return dictionaries(checkpoint.read(folder))

    # --- the work, in the job's thread -------------------------------------------------------

    def _work(self, job: Job[None]) -> None:
        try:
            while self._one_step(job):
                pass
        except _Stopped:
            pass
        except Cancelled:
            self._keep()
            raise
        self._keep()

    def _one_step(self, job: Job[None]) -> bool:
        loop, steps = self._loop, self._plan.steps
        self._check()
        if loop.step == steps:
            return False
        loop.prepare()
        self._apply_changes()
        while self._visitors:
            time.sleep(0.001)
        with self._stepping:
            if not loop.advance():
                return False
        now = time.monotonic()
        self._times.append((now, loop.tokens))
        if now > self._density_at + _DENSITY_EVERY:
            self._note_density()
        if loop.step % self._plan.checkpoint_every == 0 and loop.step < steps:
            self._checkpoint()
        job.report(loop.step / steps, f"step {loop.step:,} of {steps:,}")
        return True

    def _apply_changes(self) -> None:
        changed = bool(self._wanted)
        while self._wanted:
            self._loop.change(*self._wanted.popleft())
        if changed:
            self._checkpoint()

    def _check(self) -> None:
        """Between any two pieces of work: end, or wait, if the user wants that."""
        if self._pausing and not (self._stopping or self._cancelling):
            self._keep()
            self._holding = True
            self._changed()
            with self._wake:
                self._wake.wait_for(lambda: not self._pausing or self._stopping or self._cancelling)
            self._holding = False
            self._times.clear()
            self._apply_changes()
            self._changed()
        self._job.check()
        if self._stopping:
            raise _Stopped

    def _reading(self, share: float) -> None:
        self._check()
        self._job.report(self._loop.step / self._plan.steps, f"reading text, {share:.0%}")

    def _keep(self) -> None:
        self._checkpoint()
        if self._loop.step:
            self._note_density()

    def _note_density(self) -> None:
        for name, part in self._loop.parts.items():
            self._density[name] = part.trainee.density().reshape(-1).numpy()
        self._density_at = time.monotonic()

    def _checkpoint(self) -> None:
        if self.to is None or self._loop.group.rank != 0 or not self._loop.step:
            return
        tensors, about = self._loop.state()
        checkpoint.write(self.to, self._loop.step, tensors, about | {"paused": self._pausing})

    # --- steering ----------------------------------------------------------------------------

    def pause(self) -> None:
        """Stand still after the step that is being computed; a checkpoint is written."""
        self._alone("paused")
        self._pausing = True

    def resume(self) -> None:
        """Go on after a pause."""
        with self._wake:
            self._pausing = False
            self._wake.notify_all()

    def stop(self) -> None:
        """End after the step that is being computed and keep what was learned."""
        self._alone("stopped")
        with self._wake:
            self._stopping = True
            self._wake.notify_all()

    def cancel(self) -> None:
        """End like `stop`, but as something given up: `wait` raises Cancelled."""
        self._alone("cancelled")
        with self._wake:
            self._cancelling = True
            self._job.cancel()
            self._wake.notify_all()

    def set(
        self,
        *,
        lr: float | None = None,
        k: int | None = None,
        sparsity: float | None = None,
        name: str | None = None,
    ) -> None:
        """Change settings from the next step on; `changes` says when they were applied.

        Args:
            lr: the peak learning rate, which the schedule scales.
            k: active features per token, for TopK, BatchTopK and Matryoshka.
            sparsity: the weight of the sparsity loss (`l1` or `sparsity` of the other recipes).
            name: of one dictionary; None: all that have the setting.

        Raises DictionaryError for what cannot be set.
        """
        self._alone("changed")
        given = {"lr": lr, "k": k, "sparsity": sparsity}
        wanted = {what: value for what, value in given.items() if value is not None}
        chosen = [self._named(name)] if name is not None else list(self.names)
        for what, value in wanted.items():
            having = [n for n in chosen if what in self._loop.parts[n].settings] or chosen[:1]
            for each in having:
                part = self._loop.parts[each]
                check_setting(each, part.settings, what, value, part.spec.n_features)
                self._wanted.append((each, what, value))

    def _alone(self, verb: str) -> None:
        if self._loop.group.size > 1:
            raise DictionaryError(
                f"A training of several processes cannot be {verb}: end all of them with torchrun "
                "and go on with Training.resume_from."
            )

    # --- how it is ---------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """computing, paused, done, stopped (early, and kept), cancelled or failed."""
        if self._job.state == "computing":
            return "paused" if self._holding else "computing"
        if self._job.state == "done" and self.step < self._plan.steps:
            return "stopped"
        return self._job.state

    @property
    def progress(self) -> tuple[float, str]:
        """How far it is, 0 to 1, and a sentence."""
        share = self.step / self._plan.steps
        done = f"{self.tokens_done:,} of {self.tokens_total:,} tokens"
        match self.state:
            case "paused":
                return share, f"Paused after {done}."
            case "done":
                return 1.0, f"Trained on {done}."
            case "stopped" if not self._stopping:
                return share, f"The text ended after {done}."
            case "stopped":
                return share, f"Stopped after {done}; the dictionary is kept."
            case "cancelled":
                return share, f"Cancelled after {done}."
        return share, self._job.message

    @property
    def step(self) -> int:
        """Steps that are done."""
        return self._loop.step

    @property
    def tokens_done(self) -> int:
        """Tokens that were trained on."""
        return self._loop.tokens

    @property
    def tokens_total(self) -> int:
        """Tokens in all steps."""
        return self._plan.steps * self._plan.batch

    @property
    def tokens_per_second(self) -> float:
        """Over the last steps; NaN before two steps were taken, and in a pause."""
        times = list(self._times)
        if len(times) < 2 or times[-1][0] == times[0][0]:
            return float("nan")
        return (times[-1][1] - times[0][1]) / (times[-1][0] - times[0][0])

    @property
    def history(self) -> dict[str, dict[str, NDArray[np.float64]]]:
        """By dictionary, by metric, one value per step; copies.

        step, tokens, loss, mse, fvu, l0, dead_share, lr, and k or sparsity: see `StepReport`.
        """
        return {name: self._loop.history(name) for name in self.names}

    @property
    def changes(self) -> tuple[Change, ...]:
        """What was changed by `set`, and at which step."""
        return tuple(self._loop.changes)

    def settings(self, name: str | None = None) -> dict[str, float]:
        """What `set` may change, as it is now."""
        return dict(self._loop.parts[self._named(name)].settings)

    def density(self, name: str | None = None) -> NDArray[np.floating]:
        """The share of recent tokens on which each feature fired, [F].

        For a cross-layer transcoder feature f of layer l stands at l * F + f.
        """
        return self._density[self._named(name)].copy()

    def density_tokens(self, name: str | None = None) -> int:
        """About how many tokens `density` remembers."""
        self._named(name)
        return min(self.tokens_done, _DENSITY_STEPS * self._plan.batch)

    def examples(self, name: str | None, feature: int) -> list[Example]:
        """Where a feature fired most strongly in the text that was looked at, best first.

        Empty if it never fired there. For a cross-layer transcoder feature f of layer l is
        l * F + f. Raises DictionaryError for a feature that is none.
        """
        part = self._loop.parts[self._named(name)]
        n = part.spec.n_features
        if not 0 <= feature < n * len(part.examples):
            raise DictionaryError(
                f"{self._named(name)} has {n * len(part.examples)} features, no {feature}."
            )
        encoder, feature = divmod(feature, n)
        text = self._model.token_text
        return [
            Example([text(i) for i in ids], values, trigger)
            for ids, values, trigger in part.examples[encoder].of(feature)
        ]

    def controls(self, name: str | None = None) -> dict[str, float]:
        """Numbers to compare with; there are none while it trains (see `metrics`)."""
        self._named(name)
        return {}

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every step and report, from the training thread."""
        self._listeners.append(listener)

    def _changed(self) -> None:
        for listener in self._listeners:
            listener()

    def _named(self, name: str | None) -> str:
        if name is None and len(self.names) == 1:
            return self.names[0]
        if name not in self.names:
            raise DictionaryError(
                f"Several dictionaries are trained; name one of {', '.join(self.names)}."
                if name is None
                else f"No {name!r} is trained here; there are {', '.join(self.names)}."
            )
        return name

    # --- what comes out ----------------------------------------------------------------------

    def wait(self, timeout: float | None = None) -> Training:
        """Wait until it has ended.

        Raises what went wrong, Cancelled, or TimeoutError; `dictionary` still has what was
        learned.
        """
        self._job.wait(timeout)
        return self

    def dictionary(self, name: str | None = None) -> SparseCoder | CrossLayerTranscoder:
        """A copy of a dictionary as it is now, also while it trains.

        Raises DictionaryError before the first step.
        """
        part = self._loop.parts[self._named(name)]
        self._visitors += 1
        try:
            with self._stepping:
                if not self.step:
                    raise DictionaryError("Nothing has been learned yet: wait for the first step.")
                return part.trainee.dictionary(self._named(name), self.model_name)
        finally:
            self._visitors -= 1

    @cached_property
    def view(self) -> TrainingView:
        """The widget; the same one wherever this training is shown."""
        # A result shows itself: the one step from results to views, taken only when asked.
        from ...views.training_view import show

        watched: Any = self
        return show(watched)

    @property
    def figure(self) -> Any:
        """The view's plotly figure, to restyle."""
        return self.view.figure

    def _ipython_display_(self) -> None:
        self.view._ipython_display_()

    def __repr__(self) -> str:
        share, message = self.progress
        what = ", ".join(self.names) if len(self.names) < 4 else f"{len(self.names)} dictionaries"
        last = {}
        if self.step and len(self.names) == 1:
            last = {metric: v[-1] for metric, v in self._loop.history(self.names[0]).items()}
        numbers = f", FVU {last['fvu']:.3f}, L0 {last['l0']:.1f}" if last else ""
        return f"Training({what}, {self.state}, {share:.0%}, {message}{numbers})"


def train(
    model: Model,
    what: Spec | Sequence[Spec],
    text: Iterable[str] | Path | ActivationStore,
    *,
    tokens: int,
    batch: int = 4096,
    lr: float | None = None,
    warmup: float = 0.02,
    decay: float = 0.2,
    sparsity_warmup: float | None = None,
    seed: int = 0,
    to: str | Path | None = None,
    checkpoint_every: int | None = None,
    buffer: int | None = None,
    context: int = 128,
    dtype: torch.dtype | None = None,
) -> Training:
    """Train dictionaries in the background; returns at once.

    All dictionaries learn from the same forward passes of the model.

    Args:
        model: whose vectors are learned.
        what: `specs.sae(...)`, `specs.transcoder(...)`, `specs.cross_layer(...)`, or several.
        text: documents, the path of a .txt or .jsonl file or of a folder of such files, or
            activations on disk. Read again from the beginning where it is shorter than `tokens`.
        tokens: to train on.
        batch: tokens per step, a multiple of 8.
        lr: peak learning rate; None: 2e-4 sqrt(16384 / features).
        warmup, decay: shares of the training in which the learning rate rises and falls.
        sparsity_warmup: share in which the sparsity loss grows; None: the recipe's own.
        seed: of everything random.
        to: a folder for checkpoints, from which `Training.resume_from` goes on.
        checkpoint_every: steps; None: a twentieth of the training.
        buffer: tokens that are mixed; None: as many as fit into 1 GB, at most 32 batches.
        context: tokens per row of text.
        dtype: of the encoder's product; None: bfloat16 on a GPU, else float32 (bfloat16 is slower
            on the CPUs we measured).

    Raises DictionaryError or ModelError for what cannot be trained. What goes wrong later is told
    by `progress` and raised by `wait`.
    """
    specs = (what,) if isinstance(what, Spec) else tuple(what)
    if not specs:
        raise DictionaryError("There is nothing to train: give at least one spec.")
    if to is not None and any(Path(to).glob("checkpoint-*")):
        raise DictionaryError(
            f"{to} holds checkpoints of a training: go on with Training.resume_from({str(to)!r}, "
            "model), or choose another folder."
        )
    limit = getattr(model.config, "max_position_embeddings", None) or context
    context = min(context, limit)
    width = model.d_model * len({place for spec in specs for place in spec.reads + spec.writes})
    if buffer is None:
        fits = _BUFFER_BYTES // (width * next(model.hf.parameters()).element_size())
        buffer = max(4 * batch, min(32 * batch, fits, tokens))
    block = buffer // 2
    if isinstance(text, ActivationStore):
        rows, context = text.n_rows, text.context
    else:
        at_most = 16 if model.device.type == "cpu" else 128
        rows = max(1, min(at_most, block // (LANES * (context - 1))))
    if dtype is None:
        dtype = torch.bfloat16 if model.device.type == "cuda" else torch.float32
    per_lane = rows * (context - 1) * LANES
    steps = tokens // batch
    where = text.folder if isinstance(text, ActivationStore) else text
    plan = Plan(
        specs=specs,
        lr=tuple(lr or default_lr(spec.recipe, spec.n_features) for spec in specs),
        tokens=tokens,
        batch=batch,
        warmup=warmup,
        decay=decay,
        sparsity_warmup=sparsity_warmup,
        seed=seed,
        rows=rows,
        context=context,
        groups=LANES * max(1, -(-block // per_lane)),
        dtype=str(dtype).removeprefix("torch."),
        checkpoint_every=checkpoint_every or max(1, steps // 20),
        model_name=model.name,
        text=str(where.absolute()) if isinstance(where, Path) else None,
        store=isinstance(text, ActivationStore),
    )
    return Training(model, plan, _source(model, plan, text), None if to is None else Path(to))


def _source(model: Model, plan: Plan, text: Iterable[str] | Path | ActivationStore) -> Source:
    if isinstance(text, ActivationStore):
        return text
    places = sorted({place for spec in plan.specs for place in (*spec.reads, *spec.writes)})
    return TextStream(model, Corpus(text, model.tokenizer, plan.context), places, plan.rows)
