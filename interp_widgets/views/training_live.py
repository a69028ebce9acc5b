"""A training in its view: what happens there goes to the browser, what is clicked comes back.

The training's thread only sets an event here. A thread of the view wakes up, at most a few times a
second, reads snapshots and sends them: numbers every `TICK`, charts and the picture for pages
without a kernel more rarely, because they cost more. When the training has ended the thread ends
too, and clicks are answered where they arrive.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..json_numbers import finite
from . import training_figure
from .training_features import FeaturePages
from .training_view import TrainingView
from .training_words import describe, features_of, limits, plain

if TYPE_CHECKING:
    from plotly.graph_objects import FigureWidget

# Seconds between two messages of each kind, at least.
TICK, CHARTS, LIST, PICTURE = 0.4, 1.0, 3.0, 30.0
HEARTBEAT = 2.0  # a sign of life while a step takes long
ENDED = ("done", "stopped", "cancelled", "failed")


class Watched(Protocol):
    """What this file reads of a Training (dictionaries/training/training.py) and asks of it.

    Reading is cheap, from any thread, at any time; asking sets a flag for the training's thread.
    """

    names: Sequence[str]
    specs: Mapping[str, Any]
    model_name: str
    state: str
    progress: tuple[float, str]
    step: int
    tokens_done: int
    tokens_total: int
    history: Mapping[str, Mapping[str, NDArray[Any]]]
    changes: Sequence[Any]

    def settings(self, name: str) -> Mapping[str, float]: ...
    def density(self, name: str) -> Any: ...
    def density_tokens(self, name: str) -> int: ...
    def examples(self, name: str, feature: int, most: int | None = None) -> Sequence[Any]: ...
    def controls(self, name: str) -> Mapping[str, float]: ...
    def on_change(self, callback: Callable[[], None]) -> object: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def stop(self) -> None: ...
    def cancel(self) -> None: ...
    def set(self, *, name: str | None = None, **values: float) -> None: ...


class Live:
    """One training and its view."""

    def __init__(self, training: Watched) -> None:
        self.training = training
        self.names = tuple(training.names)
        self.titles = {name: describe(training.specs[name]) for name in self.names}
        self._figure: FigureWidget | None = None
        self._wake = threading.Event()
        self._publishing = threading.RLock()
        self._making = threading.Lock()
        self._sent: dict[str, float] = {}  # when each part was sent last
        self._pages = {name: FeaturePages(training, name) for name in self.names}
        self._rate = _Rate()
        self._asked: dict[tuple[str, str], float] = {}
        self._problem = ""
        self._wanted = False  # somebody looks at the charts
        self._over = False
        self._keep: Callable[[Any], None] | None = None
        self.view = TrainingView(self, shown=self.names[0])
        self.view.observe(self._chosen, names=["shown", "order", "start", "rows", "opened"])
        self.view.observe(self._themed, names=["theme"])
        training.on_change(self._news)
        self.publish(everything=True)
        self._thread = threading.Thread(target=self._watch, name="training view", daemon=True)
        self._thread.start()

    def size(self, name: str) -> int:
        """How many features a dictionary has."""
        return features_of(self.training.specs[name])

    # --- what the user asks ------------------------------------------------------------------

    def act(self, what: str) -> None:
        """pause, resume, stop or cancel."""
        getattr(self.training, what)()
        self.refresh()

    def change(self, what: str, value: float, name: str | None) -> None:
        """A new lr, k or sparsity for one dictionary, or for all (None)."""
        whole = what == "k"
        try:
            self.training.set(name=name, **{what: round(value) if whole else value})
        except (ValueError, TypeError) as error:  # DictionaryError is a ValueError
            self._problem = str(error)
        else:
            self._problem = ""
            for each in self.names if name is None else (name,):
                self._asked[each, what] = value
        self.refresh()

    def draw(self) -> None:
        """A page waits for the charts."""
        self._wanted = True
        self._sent.pop("figure", None)
        self.refresh()

    def keep(self, update: Callable[[Any], None]) -> None:
        """Show the picture for pages without a kernel through `update`, from now on."""
        self._keep = update
        self._sent.pop("picture", None)
        self.refresh()

    def _chosen(self, change: Any) -> None:
        if change["name"] == "shown":
            self.view.opened, self.view.start, self._problem = None, 0, ""
        for part in ("features", "detail", "charts"):
            self._sent.pop(part, None)
        self.refresh()

    def _themed(self, change: Any) -> None:
        if self._figure is not None:
            training_figure.dress(self._figure, change["new"])
            self._sent.pop("charts", None)
            self.refresh()

    def _news(self) -> None:
        """Called by the training's thread: it must not wait for a view, unless it has ended."""
        if self.training.state in ENDED:
            self._over = True
            self.publish(everything=True)  # whoever waited for the end finds it shown
        self._wake.set()

    def refresh(self) -> None:
        """Show the news soon: the view's thread does, or where that has ended, the caller's."""
        if self._over:
            self.publish()
        else:
            self._wake.set()

    # --- what the browser gets ---------------------------------------------------------------

    @property
    def figure(self) -> FigureWidget:
        """The charts, made when they are first wanted: plotly takes a second or two."""
        with self._making:
            if self._figure is None:
                figure = training_figure.make(self.view.theme)
                self._fill(figure)
                self._figure = figure
        return self._figure

    def _watch(self) -> None:
        while not self._over and self.training.state not in ENDED:
            self._wake.wait(HEARTBEAT)
            self._wake.clear()
            self.publish()
            time.sleep(TICK)
        self._over = True
        self.publish(everything=True)

    def publish(self, *, everything: bool = False) -> None:
        """Sends what is new; `everything`: now, however short ago the last time was."""
        with self._publishing:
            if everything:
                self._sent.clear()
            try:
                self._publish()
            except Exception as error:  # the training goes on, whatever its view trips over
                self._problem = f"The view could not be brought up to date: {error}"
                self.view.live = self._live()

    def _publish(self) -> None:
        state = self.training.state
        live = self._live()
        if live["state"] != self.view.live.get("state"):
            self._sent.pop("picture", None)
        self.view.live = live
        if self._due("features", LIST):
            page = self._pages[self.view.shown]
            again = state in ENDED
            self.view.features = page.of(self.view.order, self.view.start, self.view.rows, again)
        if self._due("detail", LIST):
            opened = self.view.opened
            self.view.detail = {} if opened is None else self._pages[self.view.shown].detail(opened)
        if self._wanted:
            figure = self.figure
            if self._due("figure", math.inf):
                training_figure.synchronise(figure)
                self.view.send({"type": "figure", "ref": f"anywidget:{figure.model_id}"})
            if self._due("charts", CHARTS) or state in ENDED:
                self._fill(figure)
        if self._keep is not None and self._figure is not None and self._due("picture", PICTURE):
            from IPython.display import HTML

            from . import training_picture

            html = training_picture.picture(self.view.live, self.view.features, self._figure)
            self._keep(HTML(html))

    def _due(self, part: str, seconds: float) -> bool:
        now = time.monotonic()
        if part in self._sent and now - self._sent[part] < seconds:
            return False
        self._sent[part] = now
        return True

    def _live(self) -> dict[str, Any]:
        training, name = self.training, self.view.shown
        history = training.history[name]
        settings = {key: float(value) for key, value in training.settings(name).items()}
        for key in [key for key in self._asked if key[0] == name]:
            if math.isclose(settings.get(key[1], math.nan), self._asked[key], rel_tol=1e-9):
                del self._asked[key]
        rate = self._rate.update(training.state, int(training.tokens_done))
        left = (training.tokens_total - training.tokens_done) / rate if rate > 0 else math.nan
        progress, message = training.progress
        ended = training.state in ENDED
        return {
            "state": training.state,
            "progress": min(1.0, max(0.0, float(progress))),
            "message": str(message),
            "step": int(training.step),
            "tokens": int(training.tokens_done),
            "total": int(training.tokens_total),
            "rate": finite(rate),
            "left": finite(left),
            "model": str(training.model_name),
            "dictionaries": [{"name": each, "title": self.titles[each]} for each in self.names],
            "size": self.size(name),
            "numbers": {metric: _last(history, metric) for metric, _ in training_figure.CURVES},
            "controls": {key: finite(value) for key, value in training.controls(name).items()},
            "settings": settings,
            "limits": {key: limits(key, settings[key], self.size(name)) for key in settings},
            "pending": {} if ended else {w: v for (n, w), v in self._asked.items() if n == name},
            "changes": [
                {"step": c.step, "what": c.what, "old": float(c.old), "new": float(c.new)}
                for c in self._changes(name)[-20:]
            ],
            "problem": self._problem,
            # Makes every message a new one: silence means that there is no kernel to hear.
            "beat": time.monotonic(),
        }

    def _changes(self, name: str) -> list[Any]:
        return [change for change in list(self.training.changes) if change.name == name]

    def _fill(self, figure: FigureWidget) -> None:
        training, name = self.training, self.view.shown
        controls = training.controls(name)
        control = next((v for k, v in controls.items() if k.lower().startswith("fvu of pca")), None)
        marks = [
            training_figure.Mark(int(c.tokens), f"{c.what} {plain(c.new)}")
            for c in self._changes(name)
        ]
        history, density = training.history[name], training.density(name)
        training_figure.fill(figure, history, density, control, marks, self.view.theme)


class _Rate:
    """Tokens a second over the last minute of training; pauses do not count.

    A training reads text for many steps at once and then takes them quickly, so that a shorter
    time would tell of one or the other.
    """

    SECONDS = 60.0
    FIRST = 3.0  # before that it is a guess

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def update(self, state: str, tokens: int) -> float:
        """NaN while it is not known."""
        now = time.monotonic()
        if state != "computing" or tokens == 0:
            self._seen.clear()
            return math.nan
        self._seen.append((now, tokens))
        while self._seen[0][0] < now - self.SECONDS:
            self._seen.popleft()
        since, before = self._seen[0]
        return (tokens - before) / (now - since) if now - since > self.FIRST else math.nan


def _last(history: Mapping[str, NDArray[Any]], metric: str) -> float | None:
    """The mean of the last tenth of the curve's points, at most 20 steps: steadier than one."""
    values = np.asarray(history[metric], dtype=np.float64)
    tail = values[-min(20, max(1, values.size // 10)) :] if values.size else values
    tail = tail[np.isfinite(tail)]
    return float(tail.mean()) if tail.size else None
