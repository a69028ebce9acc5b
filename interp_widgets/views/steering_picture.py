"""A picture of a steering: what a page shows that has no kernel behind it.

Plain HTML without a script: it survives a saved notebook, nbviewer and a mail. Texts of models are
escaped: they are data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .pictures import INK, PAPER, SOFT, markup
from .steering_rows import Row, label

if TYPE_CHECKING:
    from .steering_live import Steering

FULL = 4.0  # nats at which a shading is full, as in js/steering/words.ts
UP, DOWN = "1,102,94", "166,97,26"
PLACES = {
    "all": "all tokens but the first",
    "end": "the prompt's last token and new ones",
    "new": "new tokens only",
}
SENTENCES = {
    "measuring": "Natural sizes were being measured when this picture was taken.",
    "streaming": "Still being written when this picture was taken.",
    "done": "",
    "cancelled": "Cancelled before the end.",
    "failed": "Failed.",
}


def picture(steering: Steering) -> str:
    """The prompt, what was turned, and the texts side by side."""
    with steering.lock:
        settings, state = steering.settings, steering.state
        named = [("unsteered", None)] + [
            ("steered" if len(steering.variants) == 1 else f"steered {each.name}", each)
            for each in steering.variants
        ]
        rows = list(steering.writing.rows)
        columns = []
        for (name, variant), row in zip(named, rows, strict=True):
            what = ""
            if variant is not None:
                what = label([variant], steering.knobs, settings, settings)
            columns.append(_column(name, what, row))
        job = steering.writing.job
        failed = job.message if job and state == "failed" else ""
    facts = [
        f"{steering.model.name}, temperature {settings.temperature:g}, seed {settings.seed}, "
        f"{PLACES[settings.where]} steered"
    ]
    facts += [sentence for sentence in (SENTENCES[state], failed, steering.problem) if sentence]
    style = (
        f"max-width:900px;padding:12px 16px;border-radius:6px;background:{PAPER};color:{INK};"
        "font:12px/1.5 Inter,Helvetica Neue,Arial,sans-serif"
    )
    return (
        f'<div class="iw-s-kept" style="{style}"><b>{markup(settings.prompt)}</b>'
        + "".join(f'<div style="color:{SOFT}">{markup(fact)}</div>' for fact in facts)
        + f'<div style="display:flex;gap:20px;margin:8px 0">{"".join(columns)}</div>'
        + f'<div style="color:{SOFT}">Shaded: how much steering changed a token\'s log-probability, '
        f"fully at {FULL:g} nats; dashed: less likely. A picture; to steer, run its cell again.</div>"
        "</div>"
    )


def _column(name: str, what: str, row: Row) -> str:
    head = f"<b>{markup(name)}</b>" + (f" {markup(what)}" if what else "")
    tokens = "".join(_token(token.text, token.change) for token in row.tokens).lstrip(" ")
    return (
        f'<div style="flex:1;min-width:0"><div style="color:{SOFT}">{head}</div>'
        f'<div style="white-space:pre-wrap;overflow-wrap:anywhere">{tokens}</div></div>'
    )


def _token(text: str, change: float | None) -> str:
    if change is None or abs(change) < 0.05:
        return markup(text)
    strength = min(1.0, abs(change) / FULL)
    colour = UP if change > 0 else DOWN
    dashed = "" if change > 0 else f";border-bottom:1px dashed rgb({DOWN})"
    bare = text.lstrip(" ")
    blank = text[: len(text) - len(bare)]
    return (
        f'{blank}<span style="background:rgba({colour},{0.08 + 0.4 * strength:.2f}){dashed}">'
        f"{markup(bare)}</span>"
    )
