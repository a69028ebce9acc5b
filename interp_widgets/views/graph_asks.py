"""What a graph's view asks of the model: the traits for the answers, and the checks of a question.

A question comes as a message `{"type": "ask", "what": …, "request": {…}}`, its answer goes into the
trait of that name as `{"state", "progress", "message", "asked", "result"}`, so that every display of
the view shows it. Who answers is `graph_check.py`; a view without it says in `unable` why nothing
can be asked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

import traitlets as t

from .messages import is_number, is_whole

if TYPE_CHECKING:
    from .graph_check import Answers

#: What can be asked for and has a trait for its answer; "send" and "label" have none.
QUESTIONS = ("check", "many", "swap", "proposals", "meaning", "firing", "naming")
#: Asked of a single node.
OF_ONE = ("meaning", "firing", "naming", "label")
FACTORS = (0, -1, 2)
MOST_NODES = 500
LONGEST_PROMPT = 20_000
STRONGEST = 100.0

NO_MODEL = "There is no model behind this view."

Request = dict[str, Any]


class Asks(t.HasTraits):
    """The part of `GraphView` that asks; see the top of this file."""

    check = t.Dict().tag(sync=True)
    many = t.Dict().tag(sync=True)
    swap = t.Dict().tag(sync=True)
    proposals = t.Dict().tag(sync=True)
    meaning = t.Dict().tag(sync=True)
    firing = t.Dict().tag(sync=True)
    naming = t.Dict().tag(sync=True)
    unable = t.Unicode(NO_MODEL).tag(sync=True)
    neighbours = t.List(t.Dict()).tag(sync=True)
    #: What became of the last selection that was sent to another view.
    told = t.Unicode().tag(sync=True)

    #: Who answers; None for a view without a graph behind it.
    answers: Answers | None = None
    #: Called with what is asked for and the request; the owner of the graph sets it.
    on_ask: Callable[[str, Request], object] | None = None
    #: Called with what is no longer wanted.
    on_stop: Callable[[str], object] | None = None
    #: Called when the first part of an answer is on screen.
    on_drawn: Callable[[], object] | None = None

    def take_ask(self, content: dict[str, Any], known: Collection[str] | None) -> bool:
        """Passes on a well-formed question, the wish to stop, or that an answer's first part is
        drawn; False for any other message."""
        kind, what = content.get("type"), content.get("what")
        if kind == "drawn":
            if self.on_drawn is not None:
                self.on_drawn()
            return True
        if not isinstance(what, str):
            return False
        if kind == "cancel" and what in QUESTIONS:
            if self.on_stop is not None:
                self.on_stop(what)
            return True
        if kind != "ask":
            return False
        request = clean_request(what, content.get("request"), known, len(self.neighbours))
        if request is not None and self.on_ask is not None and not self.unable:
            self.on_ask(what, request)
        return True

    def kept_answers(self) -> dict[str, dict[str, Any]]:
        """The answers as a page without a kernel shows them: it cannot go on computing."""
        kept = {name: dict(getattr(self, name)) for name in QUESTIONS}
        for answer in kept.values():
            if answer.get("state") == "computing":
                answer |= {"state": "cancelled", "message": "Saved before this was complete."}
        return kept


def clean_request(
    what: str, request: Any, known: Collection[str] | None, neighbours: int
) -> Request | None:
    """The fields a question needs, or None: it comes from a page, and may be anything."""
    if not isinstance(request, dict):
        return None
    clean: Request = {}
    if what in ("check", "swap", "send", *OF_ONE):
        ids = request.get("ids")
        if not isinstance(ids, list) or not all(isinstance(item, str) for item in ids):
            return None
        clean["ids"] = [item for item in dict.fromkeys(ids) if known is None or item in known]
        if not clean["ids"] or (what in OF_ONE and len(clean["ids"]) != 1):
            return None
    if what in ("firing", "label"):
        text = request.get("text")
        if not isinstance(text, str) or len(text) > LONGEST_PROMPT:
            return None
        clean["text"] = text
    if what in ("check", "many"):
        factor = request.get("factor")
        if isinstance(factor, bool) or factor not in FACTORS:
            return None
        clean["factor"] = int(factor)
    if what == "many":
        nodes = request.get("nodes")
        if not is_whole(nodes) or not 3 <= nodes <= MOST_NODES:
            return None
        clean["nodes"] = nodes
    elif what == "swap":
        prompt, label = request.get("prompt"), request.get("label")
        if not isinstance(prompt, str) or not isinstance(label, str):
            return None
        if not 0 < len(prompt) <= LONGEST_PROMPT or not 0 < len(label) <= LONGEST_PROMPT:
            return None
        strength = request.get("strength", 1)
        if not is_number(strength) or not 0 < strength <= STRONGEST:
            return None
        clean |= {"prompt": prompt, "label": label, "strength": float(strength)}
    elif what == "send":
        to = request.get("to")
        if not is_whole(to) or not 0 <= to < neighbours:
            return None
        clean["to"] = to
    elif what == "label":
        proposed = request.get("proposed")
        if proposed is not None and not is_whole(proposed):
            return None
        clean["proposed"] = proposed
    elif what not in QUESTIONS:
        return None
    return clean
