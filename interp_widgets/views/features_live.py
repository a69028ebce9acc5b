"""An index in its view: what is known goes to the browser, what is asked there is answered here.

Whatever takes time is a job in the background, one for each kind of question, so the kernel stays
free; a new question of a kind takes the place of the one before, and what that still finds is not
shown. A card is sent twice: what the corpus says at once, and what the weights say when the page has
drawn that. What goes wrong is a sentence in the view.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ..features.card import card, weighed
from ..features.firing import Firing
from ..features.index import Index
from ..jobs import Job
from ..json_numbers import finite
from .drawn import Drawn
from .features_asks import Ask
from .features_jobs import Latest, Show
from .features_naming import Naming
from .features_pages import page
from .features_view import FeaturesView

#: Seconds between two messages about the making of an index, at least.
TICK = 0.2
FIRST_PAGE = {"text": "", "mode": "label", "sort": "match", "layer": None, "rows": 30, "seq": 0}

Spot = tuple[int, int]
#: What a linked view does with a feature; it returns a sentence, or raises a ValueError.
Take = Callable[[Index, Spot], str]


def show(index: Index, at: Spot | None = None) -> FeaturesView:
    """The view of an index, filled now and whenever there is more.

    at: (layer, number) of one unit: its card alone, without the list.
    """
    return Live(index, at).view


class Live:
    """One index and one view of it."""

    def __init__(self, index: Index, at: Spot | None = None) -> None:
        self.index = index
        self.mode = "browse" if at is None else "one"
        #: (layer, number) of the open card, and of the one beside it.
        self.opened: Spot | None = None
        self.beside: Spot | None = None
        self.jobs = Latest()
        self._naming = Naming(self)
        self._drawn = Drawn()
        self._seq = 0
        self._fired: tuple[str, Firing] | None = None
        self._takers: list[Take] = []
        self._listeners: list[Callable[[int, int], object]] = []
        self._keep: Callable[[Any], None] | None = None
        self._told, self._state = 0.0, ""
        self.view = FeaturesView(self, live=self._live())
        index.on_change(self._changed)
        index.book.on_change(self._naming.show)
        if at is not None:
            self.open(*at)

    def size(self, layer: int) -> int | None:
        """How many units a layer has; None for a layer without any."""
        return self.index.n_features(layer) if layer in self.index.layers else None

    # --- what is asked -----------------------------------------------------------------------

    def answer(self, ask: Ask) -> None:
        """Answer an ask as `features_asks.clean_ask` leaves it, now or soon."""
        self._seq = max(self._seq, ask["seq"])
        kind = ask["type"]
        if kind == "search":
            self._search(ask)
        elif kind == "open":
            self._open("card", ask["spot"], ask["seq"], seen=True)
        elif kind == "compare":
            self._open("other", ask["spot"], ask["seq"], seen=True)
        elif kind == "drawn":
            self._drawn.say()
        elif kind == "test":
            self._test(ask["text"], ask["seq"])
        elif kind == "steer":
            self._steer(ask["spot"], ask["seq"])
        elif kind == "cancel":
            self.index.cancel()
        else:
            self._naming.answer(ask)

    def open(self, layer: int, feature: int, *, here: float | None = None) -> None:
        """Show the card of a unit; `here`: its activation at a token that somebody looks at.

        Raises FeatureError where there is no such unit.
        """
        _ = self.index[layer, feature]
        self._open("card", (layer, feature), self._seq, here)

    def on_open(self, listener: Callable[[int, int], object]) -> Callable[[], None]:
        """Call `listener(layer, feature)` when a card is opened; returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def send_to(self, take: Take) -> Callable[[], None]:
        """From now on “steer” calls `take(index, spot)`; returns what ends that."""
        self._takers.append(take)
        return lambda: self._takers.remove(take)

    def wait(self, what: str, timeout: float | None = None) -> None:
        """Wait for the last answer of a kind: page, card, other, firing or proposals.

        Raises what went wrong, Cancelled or TimeoutError.
        """
        self.jobs.wait(what, timeout)

    def first_cards(self, most: int = 12) -> list[dict[str, Any]]:
        """The cards of the first units of the list, as it is ordered before anybody searches."""
        rows = page(self.index, {**FIRST_PAGE, "rows": most})["found"]
        return [card(self.index, row["layer"], row["feature"]) for row in rows]

    def keep(self, update: Callable[[Any], None]) -> None:
        """Show the picture for pages without a kernel through `update`, from now on."""
        self._keep = update
        self._picture()

    # --- cards -------------------------------------------------------------------------------

    def _open(
        self,
        where: str,
        spot: Spot | None,
        seq: int,
        here: float | None = None,
        *,
        seen: bool = False,
    ) -> None:
        """seen: a page waits for it, and says when the first part is drawn."""
        if where == "card":
            self.opened = spot
        else:
            self.beside = spot
        if spot is None:
            with self.jobs.lock:
                self.jobs.stop(where)
                setattr(self.view, where, _opened(seq, "", None))
            return
        name = f"L{spot[0]}/{spot[1]}"

        def work(job: Job[None], show: Show) -> None:
            first = card(self.index, *spot, here=here, weights=False)

            def show_first() -> None:
                show(where, _opened(seq, name, {**first, "pending": True}))
                self._show_firing(show)

            if seen:
                self._drawn.after(show_first)
                job.check()
            else:
                show_first()
            full = weighed(self.index, first)
            with self.jobs.lock:  # a label may have been given meanwhile
                show(where, _opened(seq, name, {**full, "label": self._naming.label_of(spot)}))
            self._naming.test(where)
            self._picture()

        def failed(message: str) -> None:
            known = getattr(self.view, where)
            kept = known["card"] if known.get("name") == name else None
            part = None if kept is None else {**kept, "pending": False}
            setattr(self.view, where, _opened(seq, name, part, message))

        self.jobs.begin(where, self.view, work, failed)
        if where == "card":
            for listener in list(self._listeners):
                listener(*spot)

    def _search(self, ask: Ask) -> None:
        query = {k: ask[k] for k in ("text", "mode", "sort", "layer", "rows", "seq")}

        def work(job: Job[None], show: Show) -> None:
            show("page", page(self.index, ask))

        def failed(message: str) -> None:
            nothing = {"total": 0, "capped": False, "found": []}
            self.view.page = {**query, "state": "failed", "message": message, **nothing}

        self.jobs.begin("page", self.view, work, failed)

    # --- test text ---------------------------------------------------------------------------

    def _test(self, text: str, seq: int) -> None:
        if not text.strip():
            with self.jobs.lock:
                self.jobs.stop("firing")
                self._fired = None
                self.view.firing = _firing(seq, text, "done")
            return

        def work(job: Job[None], show: Show) -> None:
            self._fired = (text, self.index.fire(text))
            self._show_firing(show, seq)

        def failed(message: str) -> None:
            self._fired = None
            self.view.firing = _firing(seq, text, "failed", message)

        self.jobs.begin("firing", self.view, work, failed)

    def _show_firing(self, show: Show, seq: int | None = None) -> None:
        """The last text on what is open now; also called when another unit is opened."""
        fired = self._fired
        if fired is None:
            return
        text, firing = fired
        seq = self.view.firing.get("seq", 0) if seq is None else seq
        # The special token in front carries nothing, so it is no part of what was typed.
        first = 1 if int(firing.ids[0]) in self.index.model.tokenizer.all_special_ids else 0
        values = {
            f"L{spot[0]}/{spot[1]}": [finite(v) for v in firing.of(*spot)[first:]]
            for spot in (self.opened, self.beside)
            if spot is not None
        }
        show(
            "firing",
            {**_firing(seq, text, "done"), "tokens": list(firing.tokens[first:]), "of": values},
        )

    # --- steering ----------------------------------------------------------------------------

    def _steer(self, spot: Spot, seq: int) -> None:
        layer, feature = spot
        if not self._takers:
            code = f"iw.steer(model, text, index[{layer}, {feature}])"
            self.say("Steer with it in the next cell:", seq, code)
            return
        try:
            self.say(self._takers[-1](self.index, spot), seq)
        except ValueError as error:
            self.say(str(error), seq)

    # --- what the browser gets ---------------------------------------------------------------

    def say(self, text: str, seq: int, code: str = "") -> None:
        """A sentence about what was asked last, with code to run where that is the answer."""
        self.view.told = {"seq": seq, "text": text, "code": code}

    def tell(self) -> None:
        """What is known of the index itself, now."""
        self.view.live = self._live()
        self._picture()

    def _changed(self) -> None:
        """The index is further, or at its end; called from the thread that makes it."""
        state = self.index.state
        if state == self._state and time.monotonic() - self._told < TICK:
            return
        self._told = time.monotonic()
        ended = state != self._state
        self._state = state
        self.view.live = self._live()
        if ended and self.index.so_far is not None:
            self._again()

    def _again(self) -> None:
        """There are examples now: what is on screen is looked up once more."""
        shown = self.view.page
        if shown:
            self._search({**shown, "type": "search", "seq": max(self._seq, shown["seq"])})
        for where, spot in (("card", self.opened), ("other", self.beside)):
            if spot is not None:
                self._open(where, spot, self._seq)

    def _live(self) -> dict[str, Any]:
        index, stored = self.index, self.index.so_far
        share, message = index.progress
        return {
            "state": index.state,
            "progress": share,
            "message": message,
            "mode": self.mode,
            "unit": index.units.kind,
            "scan": index.units.scan,
            "model": index.model.name if index.model is not None else "",
            "layers": [{"layer": n, "features": index.n_features(n)} for n in index.layers],
            "tokens": stored.n_tokens if stored else 0,
            "documents": stored.about.documents if stored else 0,
            "indexed": stored is not None,
            "complete": stored.about.complete if stored else False,
            "labelled": len(index.book),
            "undoable": index.book.can_undo,
            "problem": index.book.problem,
        }

    def _shown(self) -> list[dict[str, Any]]:
        found = (getattr(self.view, where).get("card") for where in ("card", "other"))
        return [each for each in found if each]

    def _picture(self) -> None:
        """What a page without a kernel shows: the open cards, or the first page of the list."""
        if self._keep is None:
            return
        from IPython.display import HTML

        from .features_picture import picture

        self._keep(HTML(picture(self.view.live, self.view.page, self._shown())))


def _opened(seq: int, name: str, found: dict[str, Any] | None, message: str = "") -> dict[str, Any]:
    return {"seq": seq, "name": name, "card": found, "message": message}


def _firing(seq: int, text: str, state: str, message: str = "") -> dict[str, Any]:
    words = {"seq": seq, "text": text, "state": state, "message": message}
    return {**words, "tokens": [], "of": {}}
