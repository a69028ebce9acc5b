"""One text of a steering as it grows, what it was asked with, and how both go to the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from ..models.generation import Candidate, Step
from ..models.interventions import From, Generated, Positions
from .messages import is_number, is_whole
from .steering_knobs import Knob, Turn

Where = Literal["all", "end", "new"]
# Position 0 is the special token in front, an attention sink with an outsize vector.
WHERE: dict[str, Positions] = {"all": From(1), "end": From(-1), "new": Generated()}
LISTED = 10  # next tokens kept for every place of a text
SHOWN = 6
LEAD = 80  # letters of the prompt in front of a text


@dataclass(frozen=True)
class Settings:
    """How texts are written, the same for all of them.

    temperature: 0 takes the likeliest token. length: new tokens, at most. stop: texts at which
    writing ends, with | between them. chat: whether the prompt goes into the chat template.
    where: "all" tokens but the first are steered, the prompt's "end" and what follows, or "new"
    tokens only.

    Raises ValueError for values that make no sense.
    """

    prompt: str
    temperature: float = 0.0
    seed: int = 0
    length: int = 40
    stop: str = ""
    chat: bool = False
    where: Where = "all"

    def __post_init__(self) -> None:
        if not isinstance(self.prompt, str) or not self.prompt.strip():
            raise ValueError("The prompt is empty: give at least one word.")
        if not isinstance(self.stop, str):
            raise ValueError(f"stop is a text, not {self.stop!r}.")
        if not is_number(self.temperature) or self.temperature < 0:
            raise ValueError(f"The temperature is a number of at least 0, not {self.temperature}.")
        for name, low in (("seed", 0), ("length", 1)):
            value = getattr(self, name)
            if not is_whole(value) or not low <= value < 2**31:
                raise ValueError(f"{name} is a whole number of at least {low}, not {value!r}.")
        if not isinstance(self.chat, bool):
            raise ValueError(f"chat is True or False, not {self.chat!r}.")
        if self.where not in WHERE:
            raise ValueError(f"where is one of {', '.join(WHERE)}, not {self.where!r}.")

    @property
    def stops(self) -> tuple[str, ...]:
        return tuple(part for part in self.stop.split("|") if part)


@dataclass(frozen=True)
class Variant:
    """One steered text: its name and where its sliders stand, one turn per knob."""

    name: str
    turns: tuple[Turn, ...]

    @property
    def rests(self) -> bool:
        return all(turn.rests for turn in self.turns)


class Token(NamedTuple):
    """A token that was written. Numbers are in nats at temperature 1.

    logprob: under the model that wrote it; change: that minus the unsteered model's, on the same
    text; kl: KL of the steered next-token distribution from the unsteered. None without steering.
    """

    text: str
    logprob: float
    change: float | None
    kl: float | None


@dataclass
class Row:
    """A text that grows; `done` says why it ended, None while it goes on or was cut off."""

    tokens: list[Token] = field(default_factory=list)
    before: list[tuple[Candidate, ...]] = field(default_factory=list)
    after: list[tuple[Candidate, ...]] = field(default_factory=list)
    done: str | None = None

    @property
    def text(self) -> str:
        return "".join(token.text for token in self.tokens)

    def add(self, step: Step, row: int, steered: bool) -> Token | None:
        """The row's part of a step; None if it had ended."""
        logprob = step.logprob[row]
        if step.tokens[row] is None or logprob is None:
            return None
        before = step.base_logprob[row] if steered and step.base_logprob else None
        kl = step.kl[row] if steered and step.kl else None
        change = None if before is None else _held(logprob - before)
        token = Token(step.texts[row], _held(logprob), change, None if kl is None else _held(kl))
        self.tokens.append(token)
        self.after.append(step.top[row])
        self.before.append(step.top[row] if step.base_top is None else step.base_top[row])
        self.done = step.done[row]
        return token

    def wire(self, same: bool) -> dict[str, Any]:
        ended = "stop" if self.done in ("end", "stop") else self.done or ""
        tokens = [] if same else [list(token) for token in self.tokens]
        return {"tokens": tokens, "ended": ended, "same": same}

    def next(self, at: int) -> list[list[Any]]:
        """[text, probability before, and steered] of the likeliest tokens at a place."""
        before = {c.token: c for c in self.before[at]}
        after = {c.token: c for c in self.after[at]}
        found = {**after, **before}

        def p(candidate: Candidate | None) -> float | None:
            return None if candidate is None else math.exp(candidate.logprob)

        best = sorted(
            found,
            key=lambda token: -max(p(before.get(token)) or 0, p(after.get(token)) or 0),
        )
        return [
            [found[token].text, p(before.get(token)), p(after.get(token))] for token in best[:SHOWN]
        ]


def label(
    variants: Sequence[Variant], knobs: Sequence[Knob], settings: Settings, plain: Settings
) -> str:
    """What was tried, in a line: "texas +3.1 σ, says sad pinned at 0; seed 3"."""
    named = []
    for variant in variants:
        turns = ", ".join(
            _turned(knob, turn)
            for knob, turn in zip(knobs, variant.turns, strict=True)
            if not turn.rests
        )
        name = f"{variant.name}: " if len(variants) > 1 else ""
        named.append(f"{name}{turns or 'unsteered'}")
    parts = ["; ".join(named)]
    for name in ("temperature", "seed", "length", "stop", "where"):
        value = getattr(settings, name)
        if value != getattr(plain, name):
            parts.append(f"{name} {value}")
    if settings.chat:
        parts.append("chat")
    if settings.prompt != plain.prompt:
        parts.append(f"“{settings.prompt[-24:]}”")
    return " · ".join(parts)


def _turned(knob: Knob, turn: Turn) -> str:
    if turn.mode == "scale":
        return f"{knob.name} × {_plain(turn.value)}"
    sigma = knob.size.sigma if knob.size is not None else 0.0
    size = f"{_plain(turn.value / sigma)} σ" if sigma else _plain(turn.value)
    if turn.mode == "pin":
        return f"{knob.name} pinned at {size if turn.value else 0}"
    return f"{knob.name} {'+' if turn.value > 0 else ''}{size}"


def _plain(value: float) -> str:
    return f"{value:.2g}".replace("-", "−")


def lead(prompt: str) -> str:
    """The end of a prompt, as a text goes on from it."""
    return prompt if len(prompt) <= LEAD else "…" + prompt[-LEAD:]


def _held(value: float) -> float:
    """As it goes to a page: JSON has no infinity, and nobody reads a fifth digit."""
    return round(max(-99.0, min(99.0, value)), 4)
