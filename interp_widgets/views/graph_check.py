"""Who answers when a graph's view asks the model (graph_asks.py has the questions).

Every question is a job in the background, so the kernel stays free. A new question of a kind takes
the place of the one before it: the old job is cancelled, and whatever it still says is not shown.
Answers are kept, so that a second look costs nothing. What goes wrong is a sentence in the view.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..attribution.group import Nodes
from ..jobs import Job
from . import graph_answers, graph_meaning
from .drawn import Drawn
from .graph_asks import Request
from .graph_signals import Signals

if TYPE_CHECKING:
    from ..attribution.graph import Graph
    from .graph_view import GraphView

#: Seconds between two messages about one job, at least: a page cannot read faster.
TICK = 0.15
#: So many answers are kept.
KEPT = 64
#: What there is to suggest depends on the groups and labels that there are.
NEVER_KEPT = ("proposals", "naming")

Answer = dict[str, Any]
#: What another view does with a name and nodes; it returns a sentence, or raises a ValueError.
Take = Callable[[str, Nodes], str]


class Answers:
    """The questions of one view about one graph, and what was answered."""

    def __init__(self, graph: Graph, view: GraphView) -> None:
        self._graph, self._view = graph, view
        self._jobs: dict[str, Job[Answer]] = {}
        self._known: OrderedDict[tuple[Any, ...], Answer] = OrderedDict()
        # A message may arrive in another thread while a job reports.
        self._lock = threading.RLock()
        self._takers: list[tuple[str, Take]] = []
        self._drawn = Drawn()
        view.on_ask, view.on_stop, view.on_drawn = self.ask, self.stop, self._drawn.say
        view.unable = graph_answers.unable(graph)

    def ask(self, what: str, request: Request) -> None:
        """Answer a question, soon; `request` is as `graph_asks.clean_request` leaves it."""
        if what == "send":
            self._send(request["to"], request["ids"])
            return
        if what == "label":
            self._label(request)
            return
        with self._lock:
            self.stop(what)
            self._jobs.pop(what, None)
            known = None if what in NEVER_KEPT else self._known.get(_key(what, request))
            if known is not None:
                self._show(what, request, "done", 1.0, "", known)
                return
            job = self._job(what, request)
            self._jobs[what] = job
            self._show(what, request, "computing", 0.0, "starting", None)
        job.start()

    def send_to(self, name: str, take: Take) -> Callable[[], None]:
        """A button for another view; `take` gets a name and nodes. Returns what removes it."""
        taker = (name, take)
        self._takers.append(taker)
        self._show_takers()

        def end() -> None:
            self._takers.remove(taker)
            self._show_takers()

        return end

    def _show_takers(self) -> None:
        verbs = {"steering": "steer this", "ablation": "ablate this"}
        self._view.neighbours = [
            {"name": name, "verb": verbs.get(name, f"send to {name}")} for name, _ in self._takers
        ]

    def _send(self, to: int, ids: list[str]) -> None:
        nodes = Nodes([self._graph.node(id) for id in ids], self._graph)
        group = next((g[0] for g in self._graph.notes.groups if set(g[1:]) == set(ids)), "")
        name = group or nodes[0].label or nodes[0].place.split(" ")[0]
        if len(nodes) > 1 and not group:
            name = f"{name} and {len(nodes) - 1} more"
        try:
            self._view.told = self._takers[to][1](name, nodes)
        except ValueError as error:
            self._view.told = str(error)

    def _label(self, request: Request) -> None:
        """A label goes into the book and onto the graph's nodes; the card shows it at once."""
        (id,) = request["ids"]
        try:
            labels = graph_meaning.label(self._graph, id, request["text"], request["proposed"])
        except ValueError as error:
            self._view.told = str(error)
            return
        with self._lock:
            for key in [key for key in self._known if key[0] == "meaning"]:
                del self._known[key]
        self._view.labels = labels
        self.ask("meaning", {"ids": [id]})

    def stop(self, what: str) -> None:
        """Nobody waits for this answer any more."""
        with self._lock:
            job = self._jobs.get(what)
        if job is not None:
            job.cancel()

    def wait(self, what: str, timeout: float | None = None) -> Answer:
        """The answer to the last question of a kind, when it is there; raises what went wrong."""
        with self._lock:
            job = self._jobs.get(what)
        if job is not None:
            return job.wait(timeout)
        return dict(getattr(self._view, what)["result"])

    def _job(self, what: str, request: Request) -> Job[Answer]:
        answer = graph_answers.ANSWERS[what]
        partial: Answer | None = None
        told = 0.0

        def work(job: Job[Answer]) -> Answer:
            def offer(part: Answer) -> None:
                nonlocal partial
                partial = part

            def draw(part: Answer, progress: float, message: str) -> None:
                offer(part)
                job.check()
                self._drawn.after(lambda: job.report(progress, message))

            def report(progress: float, message: str) -> None:
                nonlocal told
                job.check()
                job.progress, job.message = progress, message
                if time.monotonic() - told >= TICK:
                    told = time.monotonic()
                    job.report(progress, message)

            result = answer(self._graph, request, Signals(report, job.check, offer, draw))
            with self._lock:
                self._known[_key(what, request)] = result
                while len(self._known) > KEPT:
                    self._known.popitem(last=False)
            return result

        def changed() -> None:
            with self._lock:
                if self._jobs.get(what) is job:
                    result = job.result if job.state == "done" else partial
                    self._show(what, request, job.state, job.progress, job.message, result)

        job = Job(work, changed)
        return job

    def _show(
        self,
        what: str,
        request: Request,
        state: str,
        progress: float,
        message: str,
        result: Answer | None,
    ) -> None:
        value = {
            "state": state,
            "progress": progress,
            "message": message,
            "asked": request,
            "result": result,
        }
        setattr(self._view, what, value)


def _key(what: str, request: Request) -> tuple[Any, ...]:
    """The same nodes in another order are the same question."""
    parts = {k: tuple(sorted(v)) if isinstance(v, list) else v for k, v in request.items()}
    return (what, *sorted(parts.items()))
