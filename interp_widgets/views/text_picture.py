"""A picture of a text view: what a page shows that has no kernel behind it.

The prompt, shaded by the selected features, and the strongest rows as one SVG; no script, so it
survives a saved notebook, nbviewer and a mail. `TextView.to_html` writes a page that can be brushed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .pictures import INK, PAPER, RULE, SEL, SOFT, markup, source
from .text_ranking import Ranked
from .text_wire import Rows

if TYPE_CHECKING:
    from .text_live import Text

ACT = "#6f54b2"
ROWS, LEFT, ROW, LETTERS = 15, 250, 20, 12
COLUMN = (14.0, 44.0)
SENTENCES = {
    "computing": "Still computing when this picture was taken.",
    "done": "",
    "cancelled": "Cancelled: this is what was found.",
}


def picture(seen: Text) -> str:
    """The prompt and its strongest rows, as HTML without scripts."""
    state, shown = seen.state, seen.shown
    lines = [f"Failed: {seen.progress[1]}" if state == "failed" else SENTENCES[state]]
    figure = ""
    if len(shown.rows):
        found = seen.ranked_now(n=ROWS)
        first = f"The {len(found)} strongest of {shown.rows.total:,} {seen.units.kind}s"
        if seen.tokens:
            first += ", by mean strength on the underlined tokens minus elsewhere"
        lines.append(f"{first}; full colour is strong for the layer on this prompt.")
        drawn = svg(shown.rows, found, shown.texts, seen.selected, seen.tokens)
        figure = (
            '<img alt="Features by tokens" style="max-width:100%;margin-top:6px" '
            f'src="{source(drawn)}">'
        )
    style = (
        f"max-width:900px;padding:12px 16px;border-radius:6px;background:{PAPER};color:{INK};"
        "font:12px/1.4 Inter,Helvetica Neue,Arial,sans-serif"
    )
    front = [f"{text} " for text in shown.texts[: shown.special]]
    texts = [*front, *shown.texts[shown.special :]]
    text = _prompt(shown.rows, texts, seen.selected, seen.tokens)
    return (
        f'<div class="iw-kept" style="{style}">'
        f'<div style="font-size:14px;line-height:1.7;white-space:pre-wrap">{text}</div>'
        + "".join(f"<div>{markup(line)}</div>" for line in lines if line)
        + figure
        + f'<div style="color:{SOFT};margin-top:6px">A picture of the text view; to brush in it, '
        "run its cell again.</div></div>"
    )


def svg(
    rows: Rows,
    found: Sequence[Ranked],
    texts: Sequence[str],
    selected: Collection[tuple[int, int]],
    tokens: Collection[int],
) -> str:
    """Rows as ranked, columns are tokens; what is below 0 is striped, too."""
    names = [_clip(text.strip() or "␣", LETTERS) for text in texts]
    column = max(COLUMN[0], min(COLUMN[1], 620 / len(names)))
    top = 12 + 6 * max(map(len, names))
    width, height = LEFT + column * len(names) + 4, top + ROW * len(found) + 4
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="Helvetica,Arial,sans-serif" '
        'font-size="11">'
        '<defs><pattern id="n" width="4" height="4" patternUnits="userSpaceOnUse" '
        f'patternTransform="rotate(45)"><path d="M0 0V4" stroke="{PAPER}" stroke-width="1.6" '
        'stroke-opacity=".55"/></pattern></defs>'
    ]
    for at, name in enumerate(names):
        x = LEFT + (at + 0.5) * column + 3.5
        color = SEL if at in tokens else SOFT
        parts.append(
            f'<text transform="translate({x:.1f},{top - 6}) rotate(-90)" fill="{color}">'
            f"{markup(name)}</text>"
        )
    for place, each in enumerate(found):
        y = top + place * ROW
        unit = each.layer, each.feature
        code = f"L{each.layer}/{each.feature}"
        label = f"{_clip(each.label, 24)}, {code}" if each.label else code
        value = f"{each.value:.2f}".replace("-", "−")
        parts.append(
            f'<path d="M0 {y}H{width:.0f}" stroke="{RULE}"/>'
            f'<text x="4" y="{y + 14}" fill="{SEL if unit in selected else INK}">{markup(label)}</text>'
            f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end" fill="{SOFT}">{value}</text>'
        )
        parts += _cells(rows, unit, y, column)
    return "".join(parts) + "</svg>"


def strengths(rows: Rows, unit: tuple[int, int], n_tokens: int) -> NDArray[np.float64]:
    """A unit's strengths on the prompt, [position], with the sign of its activations."""
    out = np.zeros(n_tokens)
    (found,) = np.nonzero((rows.layer == unit[0]) & (rows.feature == unit[1]))
    for row in found:
        cells = slice(rows.ptr[row], rows.ptr[row + 1])
        out[rows.position[cells]] = rows.value[cells] / rows.strong[unit[0]]
    return out


def _cells(rows: Rows, unit: tuple[int, int], y: float, column: float) -> list[str]:
    parts = []
    for at, value in enumerate(strengths(rows, unit, int(rows.position.max()) + 1).tolist()):
        alpha = min(1.0, abs(value))
        if alpha < 0.01:
            continue
        box = (
            f'x="{LEFT + at * column + 1:.1f}" y="{y + 2}" width="{column - 2:.1f}" '
            f'height="{ROW - 4}" rx="2"'
        )
        parts.append(f'<rect {box} fill="{ACT}" fill-opacity="{alpha:.2f}"/>')
        if value < 0:
            parts.append(f'<rect {box} fill="url(#n)"/>')
    return parts


def _prompt(
    rows: Rows,
    texts: Sequence[str],
    selected: Collection[tuple[int, int]],
    tokens: Collection[int],
) -> str:
    shade = np.zeros(len(texts))
    for unit in selected:
        values = strengths(rows, unit, len(texts))
        shade = np.where(np.abs(values) > np.abs(shade), values, shade)
    found = []
    for at, text in enumerate(texts):
        word = text.lstrip(" ")
        alpha = 0.6 * min(1.0, abs(float(shade[at])))
        style = f"background:rgb(111 84 178/{alpha:.2f})" if alpha > 0 else ""
        if at in tokens:
            style += f";border-bottom:2px solid {SEL}"
        blank = text[: len(text) - len(word)]
        found.append(
            blank + (f'<span style="{style}">{markup(word)}</span>' if style else markup(word))
        )
    return "".join(found)


def _clip(text: str, letters: int) -> str:
    return text if len(text) <= letters else f"{text[: letters - 1]}…"
