"""What a page is told of a steering (js/steering/state.ts), and what it asked last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .steering_knobs import Knob
from .steering_rows import Token, lead
from .steering_view import SteeringView

if TYPE_CHECKING:
    from .steering_live import Steering

WORD = 24  # letters of the text in front of a place that is looked at


class Page:
    """The way from a steering to its pages.

    Attributes:
        asked: the number of the page's message that was answered last.
    """

    def __init__(self, steering: Steering) -> None:
        self.steering = steering
        self.view = SteeringView(steering)
        self.asked = 0
        self._picture: Callable[[Any], None] | None = None

    def answer(self, number: int, act: Callable[[], None]) -> None:
        """Do what a page's message asks; what cannot be done becomes a sentence in the view."""
        self.asked = max(self.asked, number)
        try:
            act()
        except ValueError as error:
            self.steering.problem = str(error)
        self.live()

    def live(self) -> None:
        """Everything but the texts."""
        with self.steering.lock:
            self.view.live = live(self.steering)

    def texts(self, *, again: bool = False) -> None:
        """The texts as a whole; `again`: also if Python believes that the page has them."""
        steering = self.steering
        with steering.lock:
            rows = [row.wire(same=self._rests(at)) for at, row in enumerate(steering.writing.rows)]
            start = lead(steering.settings.prompt)
            self.view.texts = {"run": steering.writing.run, "lead": start, "rows": rows}
            if again:
                self.view.send_state("texts")

    def tokens(self, run: int, start: int, steps: list[list[Token | None]]) -> None:
        """Tokens from the `start`-th on, per step and text."""
        shown = [
            [
                None if token is None or self._rests(at) else list(token)
                for at, token in enumerate(step)
            ]
            for step in steps
        ]
        self.view.send({"type": "tokens", "run": run, "from": start, "steps": shown})

    def next(self) -> None:
        """The next token at the place that is looked at."""
        steering = self.steering
        row, at = steering.looked
        text = steering.writing.rows[row]
        if at >= len(text.tokens):
            self.view.next = {}
            return
        before = "".join(token.text for token in text.tokens[:at]) or steering.settings.prompt
        self.view.next = {
            "run": steering.writing.run,
            "row": row,
            "at": at,
            "after": before[-WORD:].split(" ")[-1],
            "tokens": text.next(at),
        }

    def keep(self, update: Callable[[Any], None]) -> None:
        """Show the picture for pages without a kernel through `update`, from now on."""
        self._picture = update
        self.picture()

    def picture(self) -> None:
        if self._picture is not None:
            from IPython.display import HTML

            from . import steering_picture

            self._picture(HTML(steering_picture.picture(self.steering)))

    def _rests(self, row: int) -> bool:
        return row > 0 and self.steering.variants[row - 1].rests


def live(steering: Steering) -> dict[str, Any]:
    """Everything but the texts; plain JSON."""
    ready = steering.sizing.state != "computing"
    limit = getattr(steering.model.config, "max_position_embeddings", None)
    room = 0 if limit is None else max(0, limit - len(steering.prompt_ids))
    return {
        "state": steering.state,
        "message": _message(steering),
        "model": steering.model.name,
        "seq": steering.page.asked,
        "knobs": [_knob(knob, ready) for knob in steering.knobs],
        "variants": [
            {"name": variant.name, "turns": [asdict(turn) for turn in variant.turns]}
            for variant in steering.variants
        ],
        "active": steering.active,
        "settings": asdict(steering.settings),
        "template": bool(getattr(steering.model.tokenizer, "chat_template", None)),
        "longest": room,
        "tried": [
            {"id": tried.id, "label": tried.label, "text": tried.text[:200]}
            for tried in steering.history
        ],
        "now": steering.now,
        "problem": steering.problem or _trouble(steering),
        "dose": steering.doses.wire(),
    }


def _knob(knob: Knob, ready: bool) -> dict[str, Any]:
    size = knob.size
    return {
        "name": knob.name,
        "place": knob.place,
        "modes": list(knob.modes),
        "ready": ready or "add" not in knob.modes,
        "sigma": size.sigma if size else None,
        "top": size.top if size else None,
        "share": size.share if size else None,
        "tokens": size.n_tokens if size else 0,
        "text": size.text if size else "",
        "limits": {mode: list(ends) for mode, ends in knob.limits.items()},
    }


def _message(steering: Steering) -> str:
    job = steering.writing.job
    if job is not None and job.state == "failed":
        return job.message
    if steering.state == "measuring":
        return steering.sizing.message.capitalize() + " …"
    return steering.writing.message


def _trouble(steering: Steering) -> str:
    sizes = steering.sizing
    return f"Natural sizes are not known: {sizes.message}" if sizes.state == "failed" else ""
