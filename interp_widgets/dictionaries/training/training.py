"""Training: what `train` returns at once; learns in the background, can be watched and steered."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from interp_widgets.dictionaries.coder import SparseCoder
from interp_widgets.dictionaries.cross_layer import CrossLayerTranscoder
from interp_widgets.dictionaries.errors import DictionaryError
from interp_widgets.dictionaries.formats import save
from interp_widgets.dictionaries.training import checkpoint
from interp_widgets.dictionaries.training.corpus import Corpus
from interp_widgets.dictionaries.training.examples import Example
from interp_widgets.dictionaries.training.loop import dictionaries
from interp_widgets.dictionaries.training.plan import Change, Plan
from interp_widgets.dictionaries.training.running import Runner
from interp_widgets.dictionaries.training.schedule import check_setting
from interp_widgets.dictionaries.training.specs import Spec
from interp_widgets.dictionaries.training.store import ActivationStore
from interp_widgets.dictionaries.training.stream import Source, TextStream
from interp_widgets.jobs import Filling, Job
from interp_widgets.models import Model

if TYPE_CHECKING:
    from ...views.training_view import TrainingView

_DENSITY_STEPS = 100  # that a trainee's densities remember


class Training(Filling[None]):
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

    _job: Job[None]

    def __init__(
        self,
        model: Model,
        plan: Plan,
        source: Source,
        to: Path | None,
        begin: checkpoint.Checkpoint | None = None,
    ) -> None:
        super().__init__()
        self.to = to
        self.model_name = plan.model_name
        self._model, self._plan = model, plan
        self._runner = Runner(plan, source, model.device, to, begin, self._changed)
        self._loop, self._job = self._runner.loop, self._runner.job
        self.names: tuple[str, ...] = tuple(self._loop.parts)
        self.specs: dict[str, Spec] = {n: part.spec for n, part in self._loop.parts.items()}
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
        return cls(model, plan, source_of(model, plan, text), Path(folder), begin)

    @staticmethod
    def dictionaries_in(folder: str | Path) -> dict[str, SparseCoder | CrossLayerTranscoder]:
        """What the newest whole checkpoint in a folder has learned, by name; nothing goes on.

        Raises DictionaryError where there is none.
        """
        return dictionaries(checkpoint.read(folder))

    # --- steering ----------------------------------------------------------------------------

    def pause(self) -> None:
        """Stand still after the step that is being computed; a checkpoint is written."""
        self._alone("paused")
        self._runner.pause()

    def resume(self) -> None:
        """Go on after a pause."""
        self._runner.resume()

    def stop(self) -> None:
        """End after the step that is being computed and keep what was learned."""
        self._alone("stopped")
        self._runner.stop()

    def cancel(self) -> None:
        """End like `stop`, but as something given up: `wait` raises Cancelled."""
        self._alone("cancelled")
        self._runner.cancel()

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
            k: active features per token, for TopK, BatchTopK and Matryoshka; while k comes down
                from `k_start`, what it comes down to.
            sparsity: the weight of the sparsity loss (`l1` or `sparsity` of the other recipes).
            name: of one dictionary; None: all that have the setting.

        Raises DictionaryError for what cannot be set.
        """
        self._alone("changed")
        if self._job.state != "computing":
            raise DictionaryError("This training has ended: there is nothing to change any more.")
        given = {"lr": lr, "k": k, "sparsity": sparsity}
        wanted = {what: value for what, value in given.items() if value is not None}
        chosen = [self._named(name)] if name is not None else list(self.names)
        for what, value in wanted.items():
            having = [n for n in chosen if what in self._loop.parts[n].settings] or chosen[:1]
            for each in having:
                part = self._loop.parts[each]
                check_setting(each, part.settings, what, value, part.spec.n_features)
                self._runner.wanted.append((each, what, value))

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
            return "paused" if self._runner.holding else "computing"
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
            case "stopped" if not self._runner.stopping:
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
        times = list(self._runner.times)
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
        return self._runner.densities[self._named(name)].copy()

    def density_tokens(self, name: str | None = None) -> int:
        """About how many tokens `density` remembers."""
        self._named(name)
        return min(self.tokens_done, _DENSITY_STEPS * self._plan.batch)

    def examples(self, name: str | None, feature: int, most: int | None = None) -> list[Example]:
        """Where a feature fired most strongly in the text that was looked at, best first.

        At most so many; None: all that are kept. Empty if it never fired there. For a cross-layer
        transcoder feature f of layer l is l * F + f. Raises DictionaryError for a feature that is
        none.
        """
        part = self._loop.parts[self._named(name)]
        n = part.spec.n_features
        if not 0 <= feature < n * len(part.examples):
            raise DictionaryError(
                f"{self._named(name)} has {n * len(part.examples)} features, no {feature}."
            )
        encoder, feature = divmod(feature, n)
        texts = self._model.texts
        return [
            Example(texts(ids), values, trigger)
            for ids, values, trigger in part.examples[encoder].of(feature)[:most]
        ]

    def controls(self, name: str | None = None) -> dict[str, float]:
        """Numbers to compare with, and on how many tokens they were measured.

        For recipes with a k, the FVU of a PCA of that rank; `metrics.compare` has more.
        """
        return dict(self._loop.parts[self._named(name)].controls)

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

    def dictionary(self, name: str | None = None) -> SparseCoder | CrossLayerTranscoder:
        """A copy of a dictionary as it is now, also while it trains.

        Raises DictionaryError before the first step.
        """
        part = self._loop.parts[self._named(name)]
        with self._runner.between_steps():
            if not self.step:
                raise DictionaryError("Nothing has been learned yet: wait for the first step.")
            return part.trainee.dictionary(self._named(name), self.model_name)

    def save(self, folder: str | Path) -> Path:
        """Write the dictionary as it is now, for `load_dictionary`; several: one folder each.

        Returns the folder. Raises DictionaryError before the first step, or where it holds
        something.
        """
        folder = Path(folder)
        for name in self.names:
            slug = re.sub(r"[^\w.-]+", "_", name)
            save(self.dictionary(name), folder if len(self.names) == 1 else folder / slug)
        return folder

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


def source_of(model: Model, plan: Plan, text: Iterable[str] | Path | ActivationStore) -> Source:
    """What a training reads."""
    if isinstance(text, ActivationStore):
        return text
    places = sorted({place for spec in plan.specs for place in (*spec.reads, *spec.writes)})
    return TextStream(model, Corpus(text, model.tokenizer, plan.context), places, plan.rows)
