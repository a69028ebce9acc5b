"""What a selection does, as it becomes known: effect first, then controls, then the text."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from ..circuits import Comparison
from ..circuits.comparison import Direction
from ..circuits.effects import Effect, continuations, measure, with_controls
from ..jobs import Cancelled
from ..models import Model
from .ablation_items import Items

Key = tuple[Direction, tuple[str, ...]]
TOP, ROWS = 4, 6  # next tokens of each run, and rows of the table
KEPT = 4e7  # bytes of logits that are kept in Python; a page keeps what it shows


@dataclass(frozen=True)
class Result:
    """What is known of a selection.

    Attributes:
        key: direction and ids.
        names: of the ids, for readers.
        effect: with controls once they are measured.
        text: what the model writes, with nothing and with everything changed.
        tokens: what the metric is about; always among the next tokens shown.
        message: what went wrong, in a sentence.
    """

    key: Key
    names: tuple[str, ...] = ()
    effect: Effect | None = None
    text: tuple[str, str] | None = None
    tokens: tuple[int, ...] = ()
    message: str = ""
    error: BaseException | None = None

    @property
    def is_complete(self) -> bool:
        return self.error is not None or self.text is not None

    @staticmethod
    def failed(key: Key, error: BaseException) -> Result:
        text = str(error)
        known = isinstance(error, ValueError) and text
        return Result(
            key, message=text if known else f"{type(error).__name__}: {text}", error=error
        )


def begin(comparison: Comparison, key: Key, items: Items) -> Result:
    """Nothing is known yet."""
    names = tuple(items.name(each) for each in key[1])
    return Result(key, names, tokens=comparison.metric.tokens)


def complete(
    model: Model,
    comparison: Comparison,
    result: Result,
    items: Items,
    kept: MutableMapping[Key, Result],
    check: Callable[[], None] = lambda: None,
    news: Callable[[], None] = lambda: None,
) -> Result:
    """Measures what is not known yet, and keeps every step of it.

    Args:
        check: called between steps; raises to stop.
        news: called after every step.
    """
    chosen = [items.item(each) for each in result.key[1]]
    most = max(20, int(KEPT / (4 * int(model.config.vocab_size))))

    def keep(found: Result) -> Result:
        kept.pop(found.key, None)  # the last is the newest
        kept[found.key] = found
        for old in list(kept)[: max(0, len(kept) - most)]:
            kept.pop(old, None)
        news()
        check()
        return found

    if result.effect is None:
        result = keep(replace(result, effect=measure(model, comparison, chosen, cancelled=check)))
    assert result.effect is not None
    if result.effect.controls is None:
        effect = with_controls(model, comparison, chosen, result.effect, cancelled=check)
        result = keep(replace(result, effect=effect))
    if result.text is None:
        try:
            text, message = continuations(model, comparison, chosen, cancelled=check), ""
        except Cancelled:
            raise
        except ValueError as error:  # the effect stands, whatever the text trips over
            text, message = ("", ""), str(error)
        result = keep(replace(result, text=text, message=message))
    return result


def as_message(result: Result | None, key: Key, model: Model) -> dict[str, Any]:
    """What the browser gets; js/ablation/state.ts describes it."""
    if not key[1]:
        return {}
    shown = result or Result(key)
    failed = shown.error is not None
    message: dict[str, Any] = {
        "direction": key[0],
        "ids": list(key[1]),
        "stage": "failed" if failed else "done" if shown.is_complete else "computing",
        "message": shown.message,
        "effect": None,
        "text": None if shown.text is None else list(shown.text),
    }
    if shown.effect is not None:
        effect, controls = shown.effect, shown.effect.controls
        message["effect"] = {
            "base": effect.base,
            "singles": list(effect.singles),
            "joint": effect.joint,
            "sum": effect.sum,
            "controls": None
            if controls is None
            else {
                "n": controls.n,
                "mean": controls.mean,
                "low": controls.low,
                "high": controls.high,
            },
            "tokens": _next_tokens(effect, shown.tokens, model),
        }
    return message


def _next_tokens(effect: Effect, named: tuple[int, ...], model: Model) -> list[dict[str, Any]]:
    """Those that the metric is about and the most likely of both runs, most likely first."""
    before, after = (logits.double() for logits in (effect.before, effect.after))
    p, q = before.softmax(-1), after.softmax(-1)
    likely = [int(i) for each in (p, q) for i in each.topk(min(TOP, len(each))).indices]
    rest = sorted(dict.fromkeys(likely), key=lambda i: -float(torch.maximum(p[i], q[i])))
    chosen = list(dict.fromkeys([*named, *rest]))[:ROWS]
    chosen.sort(key=lambda i: -float(torch.maximum(p[i], q[i])))
    return [
        {
            "text": model.token_text(i),
            "named": i in named,
            "before": [float(p[i]), float(before[i])],
            "after": [float(q[i]), float(after[i])],
        }
        for i in chosen
    ]
