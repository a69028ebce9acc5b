"""An ablation: heatmaps that fill in the background, and what a selection does, as soon as it is asked.

One thread does all of the work, in small tasks of a few tenths of a second: what is selected comes
first, then the heatmap on screen, then the others. So a click is answered while heatmaps compute,
and cancelling stops within one task. The thread ends when nothing is left, and the next click
starts another.

What was measured once is kept, by direction and selection: a second look asks the model nothing.
"""

from __future__ import annotations

import pathlib
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from ..circuits import PANELS, CircuitError, Comparison, Heatmap
from ..circuits.comparison import Direction, token_ids
from ..circuits.effects import Effect
from ..circuits.metrics import check as check_metric
from ..circuits.parts import Panel, Shape
from ..jobs import Cancelled, Job
from ..models import Model
from ..models.model import Prompt
from .ablation_items import Items, example, given
from .ablation_maps import Cells, Maps
from .ablation_result import Result, as_message, begin, complete
from .ablation_view import AblationView
from .ablation_words import live_message

TICK, PICTURE = 0.1, 20.0  # seconds between two messages with heatmaps, and two pictures


class Ablation:
    """What parts of a model do on a prompt: heatmaps, and the effect of what is selected.

    As the last line of a cell it shows itself and fills while it computes. Made by `ablate`.
    """

    def __init__(
        self,
        model: Model,
        prompt: Prompt,
        what: Any,
        counterfactual: Prompt | None,
        metric: Any,
        reference: Sequence[Prompt] | None,
    ) -> None:
        self.model, self.reference = model, reference
        check_metric(metric, model)
        clean, corrupted = token_ids(model, prompt, counterfactual)
        self.clean_tokens = tuple(model.token_text(i) for i in clean.tolist())
        self.corrupted_tokens = (
            None if corrupted is None else tuple(model.token_text(i) for i in corrupted.tolist())
        )
        self.shape = Shape.of(model, len(clean))
        self.items = Items(self.shape, self.clean_tokens, given(what))
        self._maps = Maps(model, self.shape, prompt, counterfactual, metric, reference)
        self._results: dict[tuple[Direction, tuple[str, ...]], Result] = {}
        self._wanted: tuple[Direction, tuple[str, ...]] | None = None
        self._lock = threading.RLock()  # of what is to be done; never held while the model runs
        self._publishing = threading.RLock()
        self._job: Job[None] | None = None
        self._stopped = False
        self._error: BaseException | None = None
        self._settled = threading.Event()
        self._sent = {"values": 0.0, "picture": 0.0}
        self._keep: Callable[[Any], None] | None = None
        self.view = AblationView(self)
        self.view.observe(self._chosen, names=["selected", "direction", "shown"])
        self._publish()
        self.view.selected = [each.id for each in self.items.given]
        self._wake()

    # --- what a user may ask -------------------------------------------------------------------

    @property
    def direction(self) -> Direction:
        """ "noising" or "denoising"; without a counterfactual it means nothing."""
        chosen: Direction = self.view.direction
        return chosen

    @property
    def selected(self) -> list[str]:
        """Ids of what is selected in the view."""
        return list(self.view.selected)

    @property
    def state(self) -> str:
        """computing, done, cancelled or failed: of the heatmaps in this direction."""
        if self._error is not None:
            return "failed"
        if self._missing is None:
            return "done"
        return "cancelled" if self._stopped else "computing"

    @property
    def progress(self) -> tuple[float, str]:
        """How much of the heatmaps is computed, 0 to 1, and a sentence."""
        if self._error is not None:
            return 0.0, _sentence(self._error)
        known, total = self._maps.count(self.direction)
        return (known / total, f"{known:,} of {total:,} parts") if total else (0.0, "running")

    @property
    def comparison(self) -> Comparison:
        """The runs that are compared in this direction; computed now if they were not."""
        return self._maps.comparison(self.direction)

    @property
    def known(self) -> Comparison | None:
        """The same, or None while it is not computed."""
        return self._maps.known(self.direction)

    def heatmap(self, panel: Panel) -> Heatmap:
        """A heatmap in this direction; waits for it.

        Raises CircuitError for a panel that is none, and what went wrong in the background.
        """
        if panel not in PANELS:
            raise CircuitError(f"There is no heatmap {panel!r}; there are {', '.join(PANELS)}.")
        self.wait()
        comparison, effect = self.comparison, self._maps.effect(self.direction, panel)
        return Heatmap(panel, effect, comparison.base, comparison.full)

    def measure(self, *ids: str) -> Effect:
        """The effect of parts, each alone and all together, with controls; in this direction.

        Args:
            ids: such as "mlp.L3.p9", "heads.L2.h1", "attention.L4", or names of what was given.

        Raises CircuitError for an id that names nothing, and what the interventions raise.
        """
        if not ids:
            raise CircuitError("Name at least one part, such as mlp.L3.p9 or heads.L2.h1.")
        key = (self.direction, tuple(self.items.check(ids)))
        comparison = self._maps.comparison(key[0])
        result = self._results.get(key) or begin(comparison, key, self.items)
        result = complete(self.model, comparison, result, self.items, self._results)
        if result.effect is None:
            raise result.error or CircuitError(result.message)
        return result.effect

    def wait(self, timeout: float | None = None) -> Ablation:
        """Wait until the heatmaps in this direction are complete and the selection is measured.

        Raises what went wrong, Cancelled, or TimeoutError.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if until is None else until - time.monotonic()
            if not self._settled.wait(left):
                raise TimeoutError(f"Still computing after {timeout} s ({self.progress[1]}).")
            if self.state != "computing":
                break
            self._wake()
        if self._error is not None:
            raise self._error
        if self.state == "cancelled":
            raise Cancelled("Cancelled.")
        return self

    def cancel(self) -> None:
        """Stop filling the heatmaps; what is there stays, and selections are still measured."""
        self._stopped = True
        self._publish()

    def resume(self) -> None:
        """Go on filling them."""
        self._stopped, self._error = False, None
        self._wake()
        self._publish()

    def to_html(self) -> str:
        """One page with a picture of all heatmaps and of the selection; no kernel, no network."""
        return self.view.to_html()

    def save_html(self, path: str | pathlib.Path) -> pathlib.Path:
        """Writes `to_html()` to `path` and returns it."""
        return self.view.save_html(path)

    def keep(self, update: Callable[[Any], None]) -> None:
        """Show the picture for pages without a kernel through `update`, from now on."""
        self._keep = update
        self._publish(everything=True)

    def _ipython_display_(self) -> None:
        self.view._ipython_display_()

    def __repr__(self) -> str:
        return f"Ablation({' '.join(self.clean_tokens)!r}, {self.model.name}, {self.state})"

    # --- the work ------------------------------------------------------------------------------

    def _chosen(self, change: Any) -> None:
        """The user chose something; answered from what is known, or soon by the thread."""
        if change["name"] != "shown":
            self._ask()
        self._wake()
        self._publish()

    def _ask(self) -> None:
        key = (self.direction, tuple(self.view.selected))
        with self._lock:
            known = self._results.get(key)
            self._wanted = key if key[1] and (known is None or not known.is_complete) else None
        self._show_result()

    def _wake(self) -> None:
        with self._lock:
            if self._job is not None or (self._missing is None and self._wanted is None):
                return  # whoever works finds it
            self._settled.clear()
            job = self._job = Job(self._work, lambda: None)
        job.start()

    def _work(self, job: Job[None]) -> None:
        try:
            while True:
                job.check()
                with self._lock:
                    wanted, direction, cells = self._wanted, self.direction, self._missing
                    if wanted is None and (cells is None or self._stopped or self._error):
                        self._job = None  # whoever asks from now on starts another thread
                        break
                if wanted is not None:
                    self._measure(wanted, job.check)
                elif cells is not None:
                    self._fill(direction, cells)
        except BaseException as error:
            with self._lock:
                self._job = None
            if isinstance(error, Cancelled):  # Python ends
                self._stopped = True
            else:
                self._error = error
            raise
        finally:
            try:
                self._publish(everything=True)  # who waits finds it shown
            finally:
                with self._lock:
                    if self._job is None:  # nobody has started another thread meanwhile
                        self._settled.set()

    @property
    def _missing(self) -> Cells | None:
        """What the heatmaps of this direction lack, that on screen first."""
        return self._maps.missing(self.direction, self.view.shown)

    def _fill(self, direction: Direction, cells: Cells) -> None:
        try:
            self._maps.fill(direction, cells)
        except Exception as error:
            self._error = error
        self._publish(values=True)

    def _measure(self, key: tuple[Direction, tuple[str, ...]], check: Callable[[], None]) -> None:
        def still_wanted() -> None:
            check()
            if self._wanted != key:
                raise Cancelled("Something else was selected.")

        def news() -> None:
            self._show_result()

        try:
            comparison = self._maps.comparison(key[0])
            result = self._results.get(key) or begin(comparison, key, self.items)
            complete(self.model, comparison, result, self.items, self._results, still_wanted, news)
        except Cancelled:
            check()
            return
        except Exception as error:
            self._results[key] = Result.failed(key, error)
        with self._lock:
            if self._wanted == key:
                self._wanted = None
        self._show_result()

    # --- what the browser gets -----------------------------------------------------------------

    def _show_result(self) -> None:
        with self._publishing:
            key = (self.direction, tuple(self.view.selected))
            self.view.result = as_message(self._results.get(key), key, self.model)

    def _publish(self, *, values: bool = False, everything: bool = False) -> None:
        """Sends what is new; heatmaps at most every TICK, or now with `everything`."""
        with self._publishing:
            now = time.monotonic()
            if values and not everything and now - self._sent["values"] < TICK:
                return
            self._sent["values"] = now
            with self.view.hold_sync():  # in one message: `live` says what the values are of
                self.view.values = self._maps.packed(self.direction)
                self.view.live = live_message(self)
            if everything:
                self._show_result()
            if self._keep is not None and (everything or now - self._sent["picture"] > PICTURE):
                from IPython.display import HTML

                self._sent["picture"] = now
                self._keep(HTML(self.view.picture()))


def _sentence(error: BaseException) -> str:
    text = str(error)
    return text if isinstance(error, ValueError) and text else f"{type(error).__name__}: {text}"


def ablate(
    model: Model,
    prompt: Prompt | None = None,
    what: Any = None,
    counterfactual: Prompt | None = None,
    metric: Any = None,
    *,
    reference: Sequence[Prompt] | None = None,
) -> Ablation:
    """See what parts of a model do on a prompt, by putting something else in their place.

    With a counterfactual, values are exchanged between the two runs (activation patching);
    without one they are set to zero, or to their mean over a reference text.

    Args:
        model: a model from `load`.
        prompt: text or token ids. The bundled model has a pair of prompts of its own.
        what: interventions to measure beside the heatmaps, singly and together: one, a list, a
            list of lists (groups), nodes of a graph (`graph.features("texas")`), or a dictionary
            from names to these. A bare target and a node are ablated, and what comes from a graph is
            linked to its view.
        counterfactual: another prompt with as many tokens.
        metric: "logit difference" (the default: of both prompts' answers), "probability", "kl",
            a pair of tokens (correct, wrong), or a metric of `interp_widgets.circuits`.
        reference: prompts to take means over, without a counterfactual.

    Returns: an Ablation, which shows itself as the last line of a cell.

    Raises PromptError, CircuitError or InterventionError with a sentence, before anything runs,
    for prompts that cannot be read or compared and for what is nothing to intervene on.
    """
    from .linked import join  # which knows all views, this one too

    if prompt is None:
        prompt, other = example(model)
        counterfactual = counterfactual or (other if reference is None else None)
    ablation = Ablation(model, prompt, what, counterfactual, metric, reference)
    join(what, ablation)
    return ablation
