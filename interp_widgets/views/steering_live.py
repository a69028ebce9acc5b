"""Steering: one prompt written with and without changes inside the model, in the background.

Every change of a slider or a setting begins a new run (steering_writing.py); what a page sees of it
is in steering_wire.py, what sliders do in steering_knobs.py. All of it can be read and set from
Python, too.
"""

from __future__ import annotations

import pathlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from ..files import write_whole
from ..jobs import Job
from ..models import Model
from ..models.generation import chat_prompt
from ..models.interventions import Intervention
from ..steering.watch import Watch
from .pictures import page
from .steering_dose import DoseQuestion, Doses
from .steering_knobs import Knob, Mode, Turn, knobs_of, measured
from .steering_rows import WHERE, Settings, Token, Variant, Where, label
from .steering_view import SteeringView
from .steering_wire import Page
from .steering_writing import Writing

if TYPE_CHECKING:
    from plotly.graph_objects import FigureWidget

    from ..dictionaries.metrics import Text
    from ..steering.dose import DoseResponse

Unit = Literal["sigma", "share", "raw"]
TRIED, VARIANTS = 30, 4


@dataclass(frozen=True)
class Tried:
    """Something that was tried: what it was, in a line, and how its text begins."""

    id: int
    label: str
    text: str
    settings: Settings
    variants: tuple[Variant, ...]
    active: int


def steer(
    model: Model,
    prompt: str,
    what: Any,
    *,
    temperature: float = 0.0,
    seed: int = 0,
    length: int = 40,
    stop: str = "",
    where: Where = "all",
    chat: bool = False,
    dictionary: Any = None,
    text: Text | None = None,
    dose: DoseQuestion | Mapping[str, Any] | None = None,
) -> Steering:
    """Write a prompt with and without a change inside the model, and turn the change by hand.

    Returns at once; as the last line of a cell it shows itself.

    Args:
        what: a feature (`iw.feature(...)`), a direction (`interp_widgets.steering`), nodes of a
            graph (`graph.features("texas")`), an intervention, or a list of these: a slider for
            each. In a dict, name -> one or several of these: a slider for each name. What comes from
            a graph is linked to its view.
        temperature, seed, length, stop, where, chat: see `Settings`; all can be changed later.
        dictionary: whose features graph nodes are; default: the one that comes with the model.
        text: neutral text, on which natural sizes and damage are measured; default: one that suits
            the model.
        dose: what a dose-response measures, as a `DoseQuestion` or its fields in a dict; it can be
            typed in the view, too.

    Raises SteeringError for what cannot be steered, PromptError for a prompt that cannot be read,
    ValueError for settings that make no sense.
    """
    from .linked import join  # which knows all views, this one too

    settings = Settings(prompt, temperature, seed, length, stop, chat, where)
    question = DoseQuestion(**dose) if isinstance(dose, Mapping) else dose
    steering = Steering(model, knobs_of(model, what, dictionary), settings, text, question)
    join(what, steering)
    return steering


class Steering:
    """What `steer` returns: sliders, settings and texts; readable and settable from Python.

    Attributes:
        knobs: the sliders.
        settings: how texts are written.
        variants: the steered texts' names and where their sliders stand.
        active: which of them the sliders show.
        history: what was tried, newest first.
        problem: what was last asked for and could not be done; "" otherwise.
    """

    def __init__(
        self,
        model: Model,
        knobs: Sequence[Knob],
        settings: Settings,
        text: Text | None = None,
        dose: DoseQuestion | None = None,
    ) -> None:
        self.model, self.knobs, self.settings = model, tuple(knobs), settings
        self.variants: tuple[Variant, ...] = (Variant("A", tuple(knob.start for knob in knobs)),)
        self.active = 0
        self.history: list[Tried] = []
        self.now, self.looked = 0, (0, 0)
        self.problem = ""
        self.neutral = text
        self.lock = threading.RLock()
        self.prompt_ids = self._ids(settings)
        self._plain, self._count = settings, 0
        self.writing = Writing(model, self, self.lock)
        self.doses = Doses(self, dose or DoseQuestion((settings.prompt,)))
        self.page = Page(self)
        self.sizing: Job[None] = Job(self._measure, self.page.live)
        self._start()
        self.sizing.start()

    @property
    def view(self) -> SteeringView:
        """The widget; the same one wherever this is shown."""
        return self.page.view

    # --- what it shows -----------------------------------------------------------------------

    @property
    def state(self) -> str:
        """measuring, streaming, done, cancelled or failed."""
        job = self.writing.job
        if job is not None and job.state != "done":
            return "streaming" if job.state == "computing" else job.state
        sizing = self.sizing.state
        return {"computing": "measuring", "cancelled": "cancelled"}.get(sizing, "done")

    @property
    def texts(self) -> dict[str, str]:
        """The texts as far as they are written: "unsteered", and each variant by its name."""
        with self.lock:
            names = ["unsteered", *(variant.name for variant in self.variants)]
            return {name: row.text for name, row in zip(names, self.writing.rows, strict=True)}

    def tokens(self, variant: str | None = None) -> list[Token]:
        """The tokens of a steered text (None: the active one's; "unsteered") with their numbers."""
        with self.lock:
            row = 0 if variant == "unsteered" else 1 + self._index(variant)
            return list(self.writing.rows[row].tokens)

    def interventions(self, variant: str | None = None) -> list[Intervention]:
        """What the sliders of a variant (None: the active one) do, as values; empty at rest."""
        chosen = self.variants[self._index(variant)]
        return self._interventions(chosen)

    def wait(self, timeout: float | None = None) -> Steering:
        """Wait until texts and sizes are there. Raises what went wrong, Cancelled or TimeoutError."""
        self.sizing.wait(timeout)
        self.writing.wait(timeout)
        return self

    # --- what a user does --------------------------------------------------------------------

    def turn(
        self,
        name: str,
        value: float,
        *,
        mode: Mode | None = None,
        unit: Unit = "sigma",
        variant: str | None = None,
    ) -> None:
        """Move a slider.

        Args:
            name: of the slider.
            value: in natural standard deviations, or `unit`: "share" of the residual norm, "raw".
                For mode "scale" it is the factor.
            mode: "add", "pin" or "scale"; None: as it is.
            variant: whose slider; None: the active one's.

        Raises ValueError for a slider, a mode or a unit that is not there.
        """
        at = next((i for i, knob in enumerate(self.knobs) if knob.name == name), None)
        if at is None:
            names = ", ".join(repr(knob.name) for knob in self.knobs)
            raise ValueError(f"There is no slider {name!r}; there are {names}.")
        which = self._index(variant)
        mode = mode or self.variants[which].turns[at].mode
        turn = Turn(mode, float(value if mode == "scale" else self._raw(at, value, unit)))
        self.knobs[at].interventions(turn, WHERE["all"])  # raises for a mode that it has not
        with self.lock:
            turns = list(self.variants[which].turns)
            turns[at] = turn
            changed = list(self.variants)
            changed[which] = replace(changed[which], turns=tuple(turns))
            self.variants, self.active = tuple(changed), which
            self._start()

    def pin(self, name: str, value: float = 0.0, *, unit: Unit = "sigma") -> None:
        """Hold a feature or direction at a value on every steered token; 0 switches it off."""
        self.turn(name, value, mode="pin", unit=unit)

    def rest(self) -> None:
        """All sliders of the active variant to where they change nothing."""
        with self.lock:
            resting = tuple(
                Turn() if "add" in knob.modes else Turn("scale", 1.0) for knob in self.knobs
            )
            changed = list(self.variants)
            changed[self.active] = replace(changed[self.active], turns=resting)
            self.variants = tuple(changed)
            self._start()

    def change(self, **values: Any) -> None:
        """Change settings (see `Settings`) and write anew; without any, write anew what was cut off.

        Raises ValueError or PromptError for values that make no sense; then nothing is changed.
        """
        settings = replace(self.settings, **values)
        ids = self._ids(settings)
        with self.lock:
            self.settings, self.prompt_ids = settings, ids
            self._start()
            if self.sizing.state == "cancelled":
                self.sizing = Job(self._measure, self.page.live)
                self.sizing.start()

    def add_variant(self) -> None:
        """A copy of the active variant, with sliders and a text of its own; at most four in all."""
        with self.lock:
            if len(self.variants) >= VARIANTS:
                raise ValueError(f"{VARIANTS} variants are as many as there is room for.")
            names = [variant.name for variant in self.variants]
            name = next(letter for letter in "ABCD" if letter not in names)
            copy = replace(self.variants[self.active], name=name)
            self.variants = (*self.variants, copy)
            self.active = len(self.variants) - 1
            self._start()

    def drop_variant(self) -> None:
        """Removes the active variant, unless it is the only one."""
        with self.lock:
            if len(self.variants) == 1:
                raise ValueError("There is one variant only, and it stays.")
            at = self.active
            self.variants = (*self.variants[:at], *self.variants[at + 1 :])
            self.active = max(0, at - 1)
            self._start()

    def choose(self, variant: str) -> None:
        """Show the sliders of this variant."""
        with self.lock:
            self.active = self._index(variant)
            self.look(1 + self.active, 0)
            self.page.live()

    def back(self, id: int) -> None:
        """Back to something tried: its settings, sliders and texts."""
        with self.lock:
            found = next((tried for tried in self.history if tried.id == id), None)
            if found is None:
                raise ValueError(f"Nothing with the number {id} is in the history.")
            self.prompt_ids = self._ids(found.settings)
            self.settings, self.variants = found.settings, found.variants
            self.active = found.active
            self._start()

    def look(self, row: int, at: int) -> None:
        """Show the next token in place `at` of a text: row 0 is the unsteered one."""
        with self.lock:
            if 0 <= row < len(self.writing.rows) and 0 <= at < len(self.writing.rows[row].tokens):
                self.looked = (row, at)
                self.page.next()

    def cancel(self) -> None:
        """Stop writing, or measuring sizes once all is written; what is written stays."""
        if self.state == "streaming":
            self.writing.cancel()
        else:
            self.sizing.cancel()

    # --- dose and response -------------------------------------------------------------------

    def dose(self, question: DoseQuestion | None = None, **options: Any) -> DoseResponse:
        """Measure effect and damage over many strengths, beside controls; waits for the result.

        question: what to measure; None: as given to `steer` or typed in the view.
        options: of `steering.dose_response`, to be used instead of those of the view.

        Raises SteeringError for a question that cannot be measured.
        """
        return self.doses.start(question, **options).wait()

    def stop_dose(self) -> None:
        """Stop measuring."""
        self.doses.cancel()

    @property
    def figure(self) -> FigureWidget:
        """The chart of the dose-response; restyle it as any plotly figure."""
        return self.doses.figure

    # --- runs --------------------------------------------------------------------------------

    def _ids(self, settings: Settings) -> tuple[int, ...]:
        prompt = settings.prompt
        ids = chat_prompt(self.model, prompt) if settings.chat else self.model.tokenize(prompt)
        return tuple(ids.tolist())

    def _interventions(self, variant: Variant) -> list[Intervention]:
        where = WHERE[self.settings.where]
        pairs = zip(self.knobs, variant.turns, strict=True)
        return [each for knob, turn in pairs for each in knob.interventions(turn, where)]

    def _start(self) -> None:
        """Begin a run for what is set now, whatever was being written."""
        with self.lock:
            whats = [[], *(self._interventions(each) for each in self.variants)]
            self.writing.prepare(self.settings, self.prompt_ids, whats)
            self.problem = ""
            self.looked = (0 if self.variants[self.active].rests else 1 + self.active, 0)
            if self.writing.job is None:
                self._remember()
            self.page.texts()
            self.page.next()
            self.page.live()
            self.page.picture()
            self.writing.go()

    def written(self, run: int, start: int, steps: list[list[Token | None]]) -> None:
        """New tokens, from the writing thread."""
        self.page.tokens(run, start, steps)
        if start <= self.looked[1] < start + len(steps):
            self.page.next()
        if start == 0:
            self._remember()
            self.page.live()

    def ended(self) -> None:
        """A run has ended; everything that was written is sent once more, as a whole."""
        self._remember()
        self.page.texts()
        self.page.live()
        self.page.picture()

    def _measure(self, job: Job[None]) -> None:
        asked = self.knobs
        sized = measured(self.model, asked, self.neutral, Watch(job.report, job.check))
        with self.lock:
            known = dict(zip(asked, sized, strict=True))
            self.knobs = tuple(known.get(knob, knob) for knob in self.knobs)

    def _remember(self) -> None:
        """Enters what is shown into the history, or brings its text up to date."""
        row = 0 if self.variants[self.active].rests else 1 + self.active
        text = self.writing.rows[row].text.strip()
        what = (self.settings, self.variants)
        known = next((t for t in self.history if (t.settings, t.variants) == what), None)
        if known is None:
            self._count += 1
            ordered = [self.variants[self.active]]
            ordered += [each for each in self.variants if each is not ordered[0]]
            line = label(ordered, self.knobs, self.settings, self._plain)
            self.history.insert(0, Tried(self._count, line, text, *what, self.active))
            self.now = self._count
            del self.history[TRIED:]
        else:
            self.now = known.id
            self.history[self.history.index(known)] = replace(known, text=text)

    def _index(self, variant: str | None) -> int:
        if variant is None:
            return self.active
        for at, each in enumerate(self.variants):
            if each.name == variant:
                return at
        names = ", ".join(repr(each.name) for each in self.variants)
        raise ValueError(f"There is no variant {variant!r}; there are {names}.")

    def _raw(self, at: int, value: float, unit: Unit) -> float:
        if unit == "raw":
            return value
        if unit not in ("sigma", "share"):
            raise ValueError(f'unit is "sigma", "share" or "raw", not {unit!r}.')
        self.sizing.wait()
        size = self.knobs[at].size
        if size is None or (unit == "sigma" and size.sigma == 0):
            raise ValueError(
                f"{self.knobs[at].name} has no natural size, because it never varies or can only "
                f'be scaled: use unit="raw".'
            )
        return value * size.sigma if unit == "sigma" else value / size.share

    # --- without a kernel --------------------------------------------------------------------

    def to_html(self) -> str:
        """One page with the texts as they stand; no kernel, no network."""
        from . import steering_picture

        return page(steering_picture.picture(self), "Steering")

    def save_html(self, path: str | pathlib.Path) -> pathlib.Path:
        """Writes `to_html()` to `path` and returns it."""
        return write_whole(path, self.to_html())

    def _ipython_display_(self) -> None:
        self.view._ipython_display_()

    def __repr__(self) -> str:
        names = ", ".join(knob.name for knob in self.knobs)
        return f"Steering({self.settings.prompt!r}, {names}, {self.state})"
