"""A picture of features: what a page shows that has no kernel behind it.

Plain HTML without scripts: it survives a saved notebook, nbviewer and a mail. Of an open feature it
says what it is called, how well that holds, where it fires and what it writes; where none is open, it
lists the first of the list.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from .pictures import INK, PAPER, RULE, SOFT

ACT = "111,84,178"
EXAMPLES, ROWS, TOKENS = 8, 12, 9
_CLIP = "min-width:0;overflow:hidden;white-space:nowrap;text-overflow:ellipsis"

Row = Mapping[str, Any]


def picture(live: Row, page: Row, cards: Sequence[Row]) -> str:
    """The cards, or the list where there are none, in one block of HTML."""
    kind = str(live.get("unit", "feature"))
    sizes = [int(each["features"]) for each in live.get("layers", [])]
    facts = f"{sum(sizes):,} {kind}s in {len(sizes)} layers"
    if live.get("indexed"):
        facts += f" · {live['tokens']:,} tokens of {live['documents']:,} texts"
    if live.get("state") in ("computing", "cancelled", "failed"):
        facts += f" · {live['state']}: {live.get('message', '')}"
    body = "".join(map(_card, cards)) or _list(page)
    style = (
        f"max-width:800px;padding:12px 16px;border-radius:6px;background:{PAPER};color:{INK};"
        "font:12px/1.5 Inter,Helvetica Neue,Arial,sans-serif"
    )
    return (
        f'<div class="iw-kept" style="{style}"><b>{_text(kind.capitalize())}s of '
        f'{_text(live.get("model") or live.get("scan", ""))}</b> <span style="color:{SOFT}">'
        f"{_text(facts)}</span>{body}"
        f'<div style="color:{SOFT};margin-top:6px">A picture; to search and to try texts, run its '
        "cell again.</div></div>"
    )


def _card(card: Row) -> str:
    label, density = card.get("label"), card.get("density")
    name = label["text"] if label else card["name"]
    code = card["name"] if label else "no label yet"
    facts = []
    if label and label.get("score") is not None:
        low, high = label.get("low"), label.get("high")
        around = "" if low is None or high is None else f" [{low:.2f}, {high:.2f}]"
        facts.append(
            f"{label['kind']}: separates {label['score']:.2f}{around}, random labels "
            f"{_number(label['control'])}, on {label['samples']:,} samples"
        )
    if density and card.get("tokens"):
        facts.append(f"active on {density['value']:.2%} of {card['tokens']:,} tokens")
    return (
        f'<div style="margin-top:8px;border-top:1px solid {RULE};padding-top:6px">'
        f'<b style="font-size:15px">{_text(name)}</b> <span style="color:{SOFT}">{_text(code)}'
        f"</span>"
        + "".join(f'<div style="color:{SOFT}">{_text(fact)}</div>' for fact in facts)
        + _examples(card.get("examples", [])[:EXAMPLES])
        + _logits(card.get("logits"))
        + "".join(
            f'<div style="color:{SOFT}">{_text(each)}</div>' for each in card.get("notes", [])
        )
        + "</div>"
    )


def _examples(examples: Sequence[Row]) -> str:
    top = max((abs(v or 0) for e in examples for v in e["activations"]), default=0) or 1.0
    lines = "".join(
        _row(_line(each, top), _number(each["activations"][each["trigger"]])) for each in examples
    )
    return f'<div style="margin:4px 0">{lines}</div>' if lines else ""


def _row(text: str, number: str) -> str:
    """No table: notebooks give those stripes of their own."""
    return (
        f'<div style="display:flex;justify-content:space-between;gap:12px;{_CLIP}"><span '
        f'style="{_CLIP}">{text}</span><span style="color:{SOFT}">{number}</span></div>'
    )


def _line(example: Row, top: float) -> str:
    trigger = example["trigger"]
    parts: list[str] = []
    for at, (token, value) in enumerate(
        zip(example["tokens"], example["activations"], strict=False)
    ):
        if abs(at - trigger) > TOKENS:
            continue
        alpha = 0.1 + 0.5 * min(1.0, abs(value or 0) / top) if value else 0.0
        shown = _visible(token)
        shown = (shown.lstrip() or shown) if not parts else shown
        shade = f"background:rgba({ACT},{alpha:.2f})" if alpha else ""
        line = ";text-decoration:underline" if at == trigger else ""
        # The blank in front of a word belongs to the token and not to its shade.
        word = shown.lstrip(" ") or shown
        blank = shown[: len(shown) - len(word)]
        parts.append(f'{blank}<span style="{shade}{line}">{_text(word)}</span>')
    return f'<span style="white-space:pre">{"".join(parts)}</span>'


def _logits(logits: Row | None) -> str:
    if not logits:
        return ""
    said = []
    for words, name in (("raises", "positive"), ("lowers", "negative")):
        tokens = ", ".join(
            f"“{_text(_visible(each['token']).strip() or '␣')}” {_number(each['value'])}"
            for each in logits[name][:5]
        )
        said.append(f"{words} {tokens}")
    control = logits.get("control")
    if control:
        said.append(f"best of {control['draws']} random directions {_number(control['value'])}")
    return f'<div style="color:{SOFT}">{"; ".join(said)}</div>'


def _list(page: Row) -> str:
    lines = ""
    for row in page.get("found", [])[:ROWS]:
        name = f"L{row['layer']}/{row['feature']}"
        line = _line(row["example"], _top(row)) if row["example"] else ""
        lines += _row(
            f'<b>{_text(row["label"] or name)}</b> <span style="color:{SOFT}">{name}</span> {line}',
            "" if row["density"] is None else format(row["density"], ".2%"),
        )
    return f'<div style="margin:6px 0">{lines}</div>' if lines else ""


def _top(row: Row) -> float:
    return max((abs(v or 0) for v in row["example"]["activations"]), default=0) or 1.0


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}".replace("-", "−")


def _visible(token: str) -> str:
    return token.replace("\n", "⏎").replace("\t", "⇥") or "\ufffd"


def _text(value: object) -> str:
    return html.escape(str(value))
