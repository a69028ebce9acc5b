"""A prompt and what fires on it: tokens by features, to be brushed in both directions.

Every new prompt is one job in the background, and the latest wins: whatever an earlier one still
finds is not shown. First the model runs and all activations go to the page; then, where there is an
index, it is read for what is usual of each. Ranking and shading happen in the page
(js/text/), and `ranked` does the same here.
"""

from __future__ import annotations

import pathlib
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from textwrap import shorten
from typing import Any

from ..features.firing import Firing
from ..features.index import Index
from ..features.known import index_for
from ..features.opening import loaded
from ..features.units import Units, What, check_unit
from ..jobs import Cancelled, Job
from ..models import Model
from .text_page import Page
from .text_ranking import Ranked, ranked
from .text_rows import rows_of, usual_of
from .text_shown import read
from .text_targets import targets_of
from .text_view import TextView
from .text_wire import Rows, pack_usual

TICK = 0.15  # seconds between two messages about progress


class Text:
    """What fires on a prompt; as the last line of a cell it shows itself. Made by `text`.

    Attributes:
        model: what runs; index: the units that are looked at, and what is known of them.
        firing: all activations on the prompt that is shown; None before there are any.
        shown: what the page shows: the prompt's tokens and its rows.
        problem: what was last asked for and could not be done; "" otherwise.
    """

    def __init__(self, index: Index, prompt: str) -> None:
        self.model, self.index = index.model, index
        self.firing: Firing | None = None
        self.problem = ""
        self.lock = threading.RLock()
        self._asked = prompt
        self._job: Job[None] | None = None
        self._run = 0
        self._looked = False  # whether the index was asked about the rows that are shown
        self.shown = read(self.model, prompt)
        self.page = Page(self)
        self.page.rows()
        self._start()
        index.on_change(self._indexed)
        index.book.on_change(self._renamed)

    @property
    def view(self) -> TextView:
        """The widget; the same one wherever this is shown."""
        return self.page.view

    @property
    def units(self) -> Units:
        """What is looked at: features, neurons or directions."""
        return self.index.units

    # --- what it shows -----------------------------------------------------------------------

    @property
    def prompt(self) -> str:
        """The prompt; setting it runs the model on another one.

        Raises PromptError for a prompt that cannot be read; then nothing is changed.
        """
        return self._asked

    @prompt.setter
    def prompt(self, prompt: str) -> None:
        shown = read(self.model, prompt)
        with self.lock:
            self._asked, self.problem = prompt, ""
            if self.shown.run == 0:  # nothing has been found yet: the text at least is there
                self.shown = shown
                self.page.rows()
            self._start()

    @property
    def state(self) -> str:
        """computing, done, cancelled or failed."""
        return "computing" if self._job is None else self._job.state

    @property
    def progress(self) -> tuple[float, str]:
        """How far it is, 0 to 1, and a sentence."""
        return (0.0, "starting") if self._job is None else (self._job.progress, self._job.message)

    @property
    def token_texts(self) -> tuple[str, ...]:
        """The prompt's tokens, as a graph names them."""
        return tuple(self.model.token_text(i) for i in self.shown.ids)

    @property
    def n_tokens(self) -> int:
        return len(self.shown.ids)

    @property
    def selected(self) -> list[tuple[int, int]]:
        """The selected features, as (layer, number). Setting it selects these."""
        return [(layer, number) for layer, number in self.view.selected]

    @selected.setter
    def selected(self, units: Iterable[tuple[int, int]]) -> None:
        self.view.selected = [list(unit) for unit in units]

    @property
    def tokens(self) -> list[int]:
        """Positions of the brushed tokens. Setting it brushes these."""
        return list(self.view.tokens)

    @tokens.setter
    def tokens(self, positions: Iterable[int]) -> None:
        self.view.tokens = list(positions)

    @property
    def features(self) -> list[Any]:
        """The selected features as targets, one for each layer: `iw.steer(model, prompt, these)`.

        For directions, the directions themselves.
        """
        return self.targets(self.selected)

    def targets(self, units: Sequence[tuple[int, int]]) -> list[Any]:
        """Features, by (layer, number), as what can be intervened on."""
        for unit in units:
            check_unit(self.units, *unit)
        return targets_of(self.index, units)

    def ranked(self, tokens: Iterable[int] | None = None, n: int = 10) -> list[Ranked]:
        """The features that fire most on some tokens against the rest of the prompt, as the view
        ranks them; waits for the prompt.

        Args:
            tokens: positions; None: the brushed ones, and if there are none, by strength.
            n: at most so many.
        """
        self.wait()
        return self.ranked_now(tokens, n)

    def ranked_now(self, tokens: Iterable[int] | None = None, n: int = 10) -> list[Ranked]:
        """The same for what is there; does not wait."""
        chosen = self.tokens if tokens is None else sorted(set(tokens))
        found = ranked(self.shown.rows, self.n_tokens, self.shown.special, chosen, n)
        return [each.named(self.name(each.layer, each.feature)) for each in found]

    def name(self, layer: int, number: int) -> str:
        """A feature's label, or a direction's name; "" where there is none."""
        return self.index.label(layer, number)

    def wait(self, timeout: float | None = None) -> Text:
        """Wait for the prompt's activations, and for what the index says of them.

        Raises what went wrong, Cancelled or TimeoutError.
        """
        while True:
            job = self._job
            assert job is not None
            try:
                job.wait(timeout)
            except Cancelled:
                if job is self._job:
                    raise
            if job is self._job:
                return self

    # --- what a user does --------------------------------------------------------------------

    def cancel(self) -> None:
        """Stop; what is shown stays."""
        if self._job is not None:
            self._job.cancel()

    def resume(self) -> None:
        """Run the prompt again, after it was cancelled or failed."""
        self._start()

    def try_prompt(self, prompt: str) -> None:
        """The same as setting `prompt`, for a page: what goes wrong is shown there."""
        try:
            self.prompt = prompt
        except ValueError as error:
            self.problem = str(error)
            self.page.live()

    # --- the work ----------------------------------------------------------------------------

    def _start(self) -> None:
        with self.lock:
            if self._job is not None:
                self._job.cancel()
            self._run += 1
            self._looked = False
            run, prompt = self._run, self._asked
            job: Job[None] = Job(lambda job: self._work(job, run, prompt), self.page.live)
            self._job = job
        self.page.live()
        job.start()

    def _work(self, job: Job[None], run: int, prompt: str) -> None:
        job.report(0.05, "running the prompt")
        shown = read(self.model, prompt)
        found = self.index.fire(prompt)
        job.check()
        rows = rows_of(found.layer, found.feature, found.position, found.value, shown.special)
        with self.lock:
            if run != self._run:
                raise Cancelled("There is another prompt.")
            other = shown.ids != self.shown.ids
            self.firing = found
            self.shown = replace(shown, rows=rows, run=run)
            if other:
                self.view.tokens = []  # positions of another text
            self.page.rows()
        self._look_up(job, run, rows)

    def _look_up(self, job: Job[None], run: int, rows: Rows) -> None:
        stored = self.index.so_far
        if stored is None:
            return

        def check(done: int, total: int) -> None:
            job.check()
            now = time.monotonic()
            if now - self.page.told > TICK:
                job.report(0.3 + 0.7 * done / total, f"reading the index, {done:,} of {total:,}")

        self._looked = True
        packed = pack_usual(usual_of(rows, stored, check), run=run)
        with self.lock:
            if run == self._run:
                self.view.usual = packed

    def _indexed(self) -> None:
        """An index that was still being made may be there now."""
        with self.lock:
            run, rows = self._run, self.shown.rows
            if self.state != "done" or self._looked or self.index.so_far is None:
                return
            job: Job[None] = Job(lambda job: self._look_up(job, run, rows), self.page.live)
            self._job = job
        job.start()

    def _renamed(self, _changed: object) -> None:
        """Labels have changed; the rows come again with the same number."""
        if len(self.shown.rows):
            self.page.rows()

    # --- without a kernel --------------------------------------------------------------------

    def to_html(self, title: str = "") -> str:
        """One page that shows this as it stands; no kernel, no network, and brushing works."""
        return self.view.to_html(title)

    def save_html(self, path: str | pathlib.Path, title: str = "") -> pathlib.Path:
        """Writes `to_html()` to `path` and returns it."""
        return self.view.save_html(path, title)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.view._repr_mimebundle_(**options)

    def _ipython_display_(self) -> None:
        self.view._ipython_display_()

    def __repr__(self) -> str:
        active = f", {self.shown.rows.total:,} {self.units.kind}s fire" if self.firing else ""
        prompt = shorten(self._asked, 60, placeholder=" …")
        return f"Text({prompt!r}, {self.model.name}, {self.state}{active})"


def text(model: Model, prompt: str, dictionary: What | str | pathlib.Path | None = None) -> Text:
    """See which features fire on a prompt, token by token, and brush them in both directions.

    Returns at once: the model runs in the background, and as the last line of a cell the view
    appears and fills. Where the features are indexed (`iw.index`), it says what is usual for each.

    Args:
        model: from `load`.
        prompt: text; it can be changed in the view.
        dictionary: SAEs, transcoders or a cross-layer transcoder, or the folder they are in; None
            takes the dictionary that comes with the model, else its MLP neurons; "neurons" asks for
            those. Or directions, {name: (place, vector)}.

    Raises PromptError, DictionaryError or FeatureError at once for what can be known before running;
    later errors appear in the view and are raised by `wait`.
    """
    return Text(index_for(model, loaded(model, dictionary)), prompt)
