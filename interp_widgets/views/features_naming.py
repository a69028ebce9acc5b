"""Labels in a features view: given, taken away, suggested, tested, and shown wherever they stand.

A label is put into the book at once, where the message arrives, so that label and undo keep their
order. Suggesting and testing take longer and are jobs; a score is kept with its label.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..features.card_rows import label_row
from ..features.errors import FeatureError
from ..features.labelling.scoring import is_scored, score_label
from ..jobs import Job
from .features_asks import Ask
from .features_jobs import Show
from .features_pages import relabelled
from .features_scores import proposal_row

if TYPE_CHECKING:
    from .features_live import Live

Spot = tuple[int, int]


class Naming:
    """The labels of one view."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._proposed: tuple[Spot, list[Any]] | None = None

    def answer(self, ask: Ask) -> None:
        """label, accept, undo or propose."""
        live, book = self._live, self._live.index.book
        try:
            if ask["type"] == "undo":
                if not book.undo():
                    live.say("There is no label to take back.", ask["seq"])
            elif ask["type"] == "propose":
                self._propose(ask["spot"])
            elif ask["type"] == "accept":
                self._accept(ask["spot"], ask["at"])
            else:
                self._label(ask["spot"], ask["text"].strip())
        except FeatureError as error:
            live.say(str(error), ask["seq"])
            self.show()  # the page has shown the new label already

    def _label(self, spot: Spot, text: str) -> None:
        book, (layer, feature) = self._live.index.book, spot
        if text:
            book.put(layer, feature, text)
        elif book.get(layer, feature) is not None:
            book.remove(layer, feature)

    def _accept(self, spot: Spot, at: int) -> None:
        if self._proposed is None or self._proposed[0] != spot or at >= len(self._proposed[1]):
            return  # of another feature, or of a page that is not up to date
        self._live.index.book.put(*spot, self._proposed[1][at].label)
        self._live.view.proposals = {}

    def _propose(self, spot: Spot) -> None:
        live, name = self._live, f"L{spot[0]}/{spot[1]}"

        def say(state: str, message: str = "", rows: list[Any] | None = None) -> dict[str, Any]:
            return {"name": name, "state": state, "message": message, "proposals": rows or []}

        def work(job: Job[None], show: Show) -> None:
            found = live.index[spot].propose()
            self._proposed = (spot, found)
            show("proposals", say("done", rows=[proposal_row(each) for each in found]))

        def failed(message: str) -> None:
            live.view.proposals = say("failed", message)

        live.view.proposals = say("computing")
        live.jobs.begin("proposals", live.view, work, failed)

    def label_of(self, spot: Spot) -> dict[str, Any] | None:
        """The label as a card shows it."""
        return label_row(self._live.index.label_of(*spot))

    def show(self, _changed: object = None) -> None:
        """Labels have changed, here or elsewhere: the same cards and rows with the new ones."""
        live = self._live
        with live.jobs.lock:
            for where in ("card", "other"):
                shown = getattr(live.view, where)
                if shown.get("card"):
                    spot = shown["card"]["layer"], shown["card"]["feature"]
                    new = {**shown["card"], "label": self.label_of(spot)}
                    setattr(live.view, where, {**shown, "card": new})
                    self.test(where)
            live.view.page = relabelled(live.index, live.view.page)
        live.tell()

    def test(self, where: str) -> None:
        """Test the label of what is shown there, if nobody has."""
        live = self._live
        with live.jobs.lock:
            shown = getattr(live.view, where)
            found = shown.get("card") or {}
            if not found.get("label") or not found["indexed"]:
                return
            spot = found["layer"], found["feature"]
            label = live.index.label_of(*spot)
            if label is None or is_scored(live.index, label):
                return
            put = self._putting(where, shown["name"], label.text)

            def work(job: Job[None], show: Show) -> None:
                scored = score_label(live.index, *spot)
                with live.jobs.lock:
                    job.check()
                    put({"testing": False, **(label_row(scored) or {})})

            def failed(message: str) -> None:
                put({"testing": False, "why": message})

            put({"testing": True})
            live.jobs.begin(f"label of {where}", live.view, work, failed)

    def _putting(self, where: str, name: str, text: str) -> Callable[[dict[str, Any]], None]:
        """What adds to a label that is shown, while it is."""
        view = self._live.view

        def put(more: dict[str, Any]) -> None:
            now = getattr(view, where)
            label = (now.get("card") or {}).get("label")
            if now.get("name") == name and label and label["text"] == text:
                setattr(view, where, {**now, "card": {**now["card"], "label": {**label, **more}}})

        return put
