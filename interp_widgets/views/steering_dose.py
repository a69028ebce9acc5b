"""The dose-response of a steering: asked for in the view or in Python, measured in the background.

What is measured is adding the direction of the sliders that are turned (of the first slider where
none is), at shares of the residual stream's norm from -1/2 to 1/2, on all tokens but the first, of all
prompts given; see `steering.dose` for the effect, the damage and the controls.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..jobs import Job
from ..models import Model, PromptError
from ..steering.choosing import choose
from ..steering.directions import Direction, together
from ..steering.dose import DoseResponse, dose_response
from ..steering.effects import log_probability
from ..steering.errors import SteeringError
from ..steering.scales import natural_scales
from ..steering.watch import Watch

if TYPE_CHECKING:
    from plotly.graph_objects import FigureWidget

    from .steering_live import Steering

SHARES = (-0.5, -0.25, -0.1, 0.0, 0.1, 0.25, 0.5)


@dataclass(frozen=True)
class DoseQuestion:
    """What a dose-response measures.

    prompts: at least two; the interval is over them.
    tokens: those that are to become likelier behind each prompt; none: what the steering that is
        shown makes likelier most.
    instruction: asks for the same in words, in front of each prompt: the prompt baseline.
    contrast: two lists of prompts, whose difference in means is measured at equal norm.
    """

    prompts: tuple[str, ...]
    tokens: tuple[str, ...] = ()
    instruction: str = ""
    contrast: tuple[tuple[str, ...], tuple[str, ...]] | None = None

    def __post_init__(self) -> None:
        for name in ("prompts", "tokens"):
            given = getattr(self, name)
            one = (given,) if isinstance(given, str) else tuple(given)
            object.__setattr__(self, name, one)

    def typed(self, values: dict[str, str]) -> DoseQuestion:
        """The same with what was typed: prompts one a line, tokens with | between them."""
        lines = tuple(line.strip() for line in values.get("prompts", "").splitlines())
        tokens = tuple(token.strip() for token in values.get("tokens", "").split("|"))
        return replace(
            self,
            prompts=tuple(line for line in lines if line),
            tokens=tuple(token for token in tokens if token),
            instruction=values.get("instruction", "").strip(),
        )

    def wire(self) -> dict[str, str]:
        """As it is typed."""
        return {
            "prompts": "\n".join(self.prompts),
            "tokens": " | ".join(token.strip() for token in self.tokens),
            "instruction": self.instruction,
        }


class Doses:
    """The dose-response of one steering, the last that was asked for."""

    def __init__(self, steering: Steering, question: DoseQuestion) -> None:
        self.steering, self.question = steering, question
        self.title = ""
        self._job: Job[DoseResponse] | None = None
        self._figure: FigureWidget | None = None
        self._sent: object = None

    def start(self, question: DoseQuestion | None = None, **options: Any) -> Job[DoseResponse]:
        """Measure in the background, and no longer what was asked before.

        Raises SteeringError for fewer than two prompts or nothing to measure.
        """
        steering = self.steering
        question = question or self.question
        self.question = question
        if len(question.prompts) < 2:
            raise SteeringError(
                "A dose-response needs at least two prompts, one a line: its interval is over them."
            )
        tokens = question.tokens or (self._likelier(),)
        ids = [_token(steering.model, token) for token in tokens]
        amounts = self._amounts()
        self.question = replace(question, tokens=tokens)
        self.cancel()
        named = " or ".join(f"“{token.strip()}”" for token in tokens[:3])
        if len(tokens) > 3:
            named += f" or {len(tokens) - 3} others"
        what = ", ".join(direction.name for direction, _ in amounts)
        self.title = f"{what}: log-probability of {named} behind {len(question.prompts)} prompts"

        def work(job: Job[DoseResponse]) -> DoseResponse:
            direction = amounts[0][0] if len(amounts) == 1 else together(amounts)
            if "strengths" not in options:
                watch = Watch(None, job.check)
                (scale,) = natural_scales(steering.model, [direction], steering.neutral, watch)
                options["strengths"] = [scale.from_alpha(share) for share in SHARES]
            return dose_response(
                steering.model,
                question.prompts,
                direction,
                effect=log_probability(steering.model, ids),
                contrast=question.contrast,
                instruction=question.instruction or None,
                text=steering.neutral,
                progress=job.report,
                cancelled=job.check,
                **options,
            )

        job = Job(work, lambda: self._changed(job))
        self._job = job
        steering.page.live()
        job.start()
        return job

    def cancel(self) -> None:
        if self._job is not None:
            self._job.cancel()

    @property
    def response(self) -> DoseResponse | None:
        """The result, once it is there."""
        return None if self._job is None else self._job.result

    @property
    def figure(self) -> FigureWidget:
        """The chart, made when it is first wanted: plotly takes a second or two."""
        from . import steering_figure

        if self._figure is None:
            self._figure = steering_figure.make(self.steering.view.theme)
            self.steering.view.observe(self._themed, names=["theme"])
        if self.response is not None and self._sent is not self.response:
            self._sent = self.response
            steering_figure.fill(self._figure, self.response)
        return self._figure

    def drawn(self) -> None:
        """A page has drawn the view; it gets the chart if there is one."""
        if self.response is not None:
            from . import training_figure

            figure = self.figure
            training_figure.synchronise(figure)
            ref = f"anywidget:{figure.model_id}"
            self.steering.view.send({"type": "figure", "ref": ref})

    def wire(self) -> dict[str, Any]:
        """For the page: state, progress, what is measured."""
        job = self._job
        question = self.question.wire()
        if job is None:
            return {"state": "", "progress": 0, "message": "", "title": "", "question": question}
        message = job.message
        if job.state == "done" and job.result is not None:
            message = verdict(job.result)
        return {
            "state": job.state,
            "progress": job.progress,
            "message": message,
            "title": self.title,
            "question": question,
        }

    def _changed(self, job: Job[DoseResponse]) -> None:
        if job is self._job:
            if job.state == "done":
                self.drawn()
            self.steering.page.live()

    def _themed(self, change: Any) -> None:
        from . import steering_figure

        if self._figure is not None:
            steering_figure.dress(self._figure, change["new"])

    def _amounts(self) -> list[tuple[Direction, float]]:
        steering = self.steering
        turns = steering.variants[steering.active].turns
        pairs = list(zip(steering.knobs, turns, strict=True))
        turned = [
            (knob.direction, turn.value)
            for knob, turn in pairs
            if turn.mode == "add" and not turn.rests
        ]
        if not turned:
            turned = [(knob.direction, 1.0) for knob, _ in pairs if knob.directions][:1]
        if not turned:
            raise SteeringError("These sliders only scale: there is no direction to measure.")
        return [(turned[0][0], 1.0)] if len(turned) == 1 else turned

    def _likelier(self) -> str:
        steering = self.steering
        row = steering.writing.rows[1 + steering.active]
        found = row.next(0) if row.tokens else []
        gains = [(after - (before or 0.0), text) for text, before, after in found if after]
        if not gains or max(gains)[0] <= 0:
            raise SteeringError(
                "Say which token the steering is to make likelier, or turn a slider first."
            )
        return str(max(gains)[1])


def verdict(response: DoseResponse) -> str:
    """The best strength in a sentence: chosen on one half of prompts and text, told of the other."""
    asked = ""
    if response.instruction is not None:
        asked = f" Asked in words: {response.instruction.value:+.2f}."
    try:
        best = choose(response)
    except SteeringError as error:
        return (str(error) + asked).replace("-", "−")
    share = response.scale.alpha(best.strength)
    within = best.random.low <= best.effect.value <= best.random.high
    return (
        f"Chosen on {best.chosen_on.n} prompts: {share:+.0%} of the norm. On the other "
        f"{best.effect.n}: {best.effect.value:+.2f} nats, {'within' if within else 'outside'} the "
        f"band of {best.random.n} random directions; damage {best.damage.value:+.2f} nats a token "
        f"on {best.damage.n:,} tokens.{asked}"
    ).replace("-", "−")


def _token(model: Model, text: str) -> int:
    """Words inside a sentence often start with a space, which nobody types."""
    try:
        return model.token_id(" " + text.lstrip())
    except PromptError:
        return model.token_id(text.strip())
