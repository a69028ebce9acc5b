"""A picture of a training: what a page shows that has no kernel behind it.

Plain HTML with one SVG inside, no script: it survives a saved notebook, nbviewer and a mail. The
charts are drawn from the plotly figure, curve by curve, so that what a user has set (colours,
axes, curves of their own) is in the picture, too.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .pictures import INK, PAPER, RULE, SOFT, markup, source
from .training_figure import COLOURS, CONTROL

if TYPE_CHECKING:
    from plotly.graph_objects import FigureWidget

WIDTH, HEIGHT = 760, 400
LEFT, RIGHT, TOP, BOTTOM = 44, 14, 24, 34
SENTENCES = {
    "empty": "No training.",
    "computing": "Still training when this picture was taken.",
    "paused": "Paused when this picture was taken.",
    "done": "Finished.",
    "stopped": "Stopped early, and kept.",
    "cancelled": "Cancelled.",
    "failed": "Failed.",
}
NAMES = {"loss": "loss", "fvu": "FVU", "l0": "L0", "dead_share": "dead"}


def picture(
    live: Mapping[str, Any], features: Mapping[str, Any], figure: FigureWidget | None
) -> str:
    """The state in a sentence, the numbers, the charts, the features with an example each."""
    shown = str(features.get("name", ""))
    titles = {each["name"]: each["title"] for each in live.get("dictionaries", [])}
    title = titles.get(shown, "Training")
    message = str(live.get("message", ""))
    facts = [SENTENCES[str(live["state"])] + (f" {message}" if message else "")]
    if live.get("total"):
        facts.append(
            f"{live['tokens']:,} of {live['total']:,} tokens, step {live['step']:,}"
            + (f", {live['model']}" if live.get("model") else "")
        )
    numbers = [
        f"{NAMES[key]} {value:.3g}"
        for key, value in live.get("numbers", {}).items()
        if value is not None
    ]
    numbers += [f"{key} {value:g}" for key, value in live.get("settings", {}).items()]
    on = live.get("controls", {}).get("tokens")
    numbers += [
        f"{key} {value:.3g}" + (f" on {on:,.0f} tokens" if on else "")
        for key, value in live.get("controls", {}).items()
        if key != "tokens" and value is not None
    ]
    charts = ""
    if figure is not None:
        charts = (
            f'<img alt="Loss, FVU, L0, dead features and densities" width="{WIDTH}" '
            f'style="max-width:100%" src="{source(svg(figure))}">'
        )
    style = (
        f"max-width:800px;padding:12px 16px;border-radius:6px;background:{PAPER};color:{INK};"
        "font:12px/1.4 Inter,Helvetica Neue,Arial,sans-serif"
    )
    return (
        f'<div class="iw-kept" style="{style}"><b>{markup(title)}</b>'
        + "".join(f"<div>{markup(fact)}</div>" for fact in facts)
        + f'<div style="color:{SOFT}">{markup(" · ".join(numbers))}</div>{charts}'
        + _features(features)
        + f'<div style="color:{SOFT};margin-top:6px">A picture of the training; to see it live, '
        "run its cell again.</div></div>"
    )


def _features(features: Mapping[str, Any]) -> str:
    rows = features.get("rows", [])[:12]
    if not rows:
        return ""
    tokens = features.get("tokens", 0)
    lines = [
        f'<tr><td style="text-align:right">{row["feature"]}</td>'
        f'<td style="text-align:right">{row["density"]:.2%}</td>'
        f'<td style="text-align:left">{_example(row["examples"])}</td></tr>'
        for row in rows
    ]
    return (
        f'<div style="margin-top:6px"><b>Features</b> <span style="color:{SOFT}">how often each '
        f"fired on {tokens:,} tokens, and where most strongly</span></div>"
        f'<table style="margin:4px 0">{"".join(lines)}</table>'
    )


def _example(examples: list[Mapping[str, Any]]) -> str:
    if not examples:
        return "did not fire"
    tokens, activations = examples[0]["tokens"], examples[0]["activations"]
    trigger = examples[0]["trigger"]
    top = max(max(activations, default=0.0), 1e-9)
    parts = []
    for at, (token, value) in enumerate(zip(tokens, activations, strict=False)):
        if abs(at - trigger) > 8:
            continue
        alpha = 0.1 + 0.5 * value / top if value > 0 else 0.0
        shade = f"background:rgba(111,84,178,{alpha:.2f})" if alpha else ""
        line = ";text-decoration:underline" if at == trigger else ""
        # Part of a character has no text of its own, but the strongest token must be seen.
        shown = _visible(token) or ("\ufffd" if at == trigger else "")
        parts.append(f'<span style="white-space:pre;{shade}{line}">{markup(shown)}</span>')
    return "".join(parts)


def _visible(token: str) -> str:
    return token.replace("\n", "⏎").replace("\t", "⇥")


# --- the charts ----------------------------------------------------------------------------------


def svg(figure: FigureWidget) -> str:
    """The figure's line and bar traces in their subplots; axis ranges are those of the data."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="Helvetica,Arial,sans-serif" font-size="10">'
    ]
    axes: dict[tuple[str, str], list[Any]] = {}
    for trace in figure.data:
        if trace.type in ("scatter", "bar"):
            axes.setdefault((trace.xaxis or "x", trace.yaxis or "y"), []).append(trace)
    for (x, y), traces in axes.items():
        parts.append(_subplot(figure, x, y, traces))
    for note in figure.layout.annotations:
        if note.xref == "paper" and note.yref == "paper":
            left = LEFT + note.x * (WIDTH - LEFT - RIGHT)
            top = TOP + (1 - note.y) * (HEIGHT - TOP - BOTTOM) - 5
            anchor = "start" if note.xanchor == "left" else "middle"
            parts.append(_label(left, top, str(note.text), anchor, INK, 12))
    return "".join(parts) + "</svg>"


def _subplot(figure: FigureWidget, x: str, y: str, traces: list[Any]) -> str:
    across = figure.layout[x.replace("x", "xaxis")]
    up = figure.layout[y.replace("y", "yaxis")]
    box = (
        LEFT + across.domain[0] * (WIDTH - LEFT - RIGHT),
        LEFT + across.domain[1] * (WIDTH - LEFT - RIGHT),
        TOP + (1 - up.domain[0]) * (HEIGHT - TOP - BOTTOM),
        TOP + (1 - up.domain[1]) * (HEIGHT - TOP - BOTTOM),
    )
    points = [_points(trace, across.type == "log", up.type == "log") for trace in traces]
    xs = np.concatenate([p[0] for p in points])
    ys = np.concatenate([p[1] for p in points])
    parts = [f'<path d="M{box[0]} {box[2]}H{box[1]}" stroke="{RULE}"/>']
    if xs.size == 0:
        return parts[0]
    bars = any(trace.type == "bar" for trace in traces)
    x_ends, y_ends = _ends(xs), _ends(ys)
    if bars or up.rangemode == "tozero":
        y_ends = (min(0.0, float(ys.min())), float(ys.max()) or 1.0)
    to_x = _scale(x_ends, box[0], box[1])
    to_y = _scale(y_ends, box[2], box[3])
    for trace, (px, py) in zip(traces, points, strict=True):
        parts.append(_mark(trace, [to_x(v) for v in px], [to_y(v) for v in py], box[2]))
    for value in y_ends:
        shown = 10**value if up.type == "log" else value
        parts.append(_label(box[0] - 4, to_y(value) + 3, _short(shown), "end", SOFT, 10))
    written = across.showticklabels is not False
    for anchor, value in zip(("start", "end"), x_ends if written else (), strict=written):
        shown = 10**value if across.type == "log" or bars else value
        words = f"{shown:.1%}" if bars else _short(shown)
        parts.append(_label(to_x(value), box[2] + 12, words, anchor, SOFT, 10))
    return "".join(parts)


def _points(trace: Any, log_x: bool, log_y: bool) -> tuple[np.ndarray, np.ndarray]:
    def values(given: Any, log: bool) -> np.ndarray:
        numbers = np.asarray([] if given is None else given, dtype=np.float64)
        if log:
            numbers = np.log10(np.where(numbers > 0, numbers, np.nan))
        return numbers

    x, y = values(trace.x, log_x), values(trace.y, log_y)
    size = min(x.size, y.size)
    known = np.isfinite(x[:size]) & np.isfinite(y[:size])
    return x[:size][known], y[:size][known]


def _mark(trace: Any, x: list[float], y: list[float], floor: float) -> str:
    if not x:
        return ""
    if trace.type == "bar":
        colour = _colour(trace.marker.color, COLOURS["light"]["act"])
        width = max(1.0, (x[-1] - x[0]) / max(1, len(x)) - 1)
        bars = (
            f"M{a - width / 2:.1f} {floor:.1f}V{b:.1f}h{width:.1f}V{floor:.1f}z"
            for a, b in zip(x, y, strict=True)
        )
        return f'<path d="{"".join(bars)}" fill="{colour}"/>'
    control = trace.name == CONTROL
    colour = _colour(trace.line.color, SOFT if control else INK)
    dash = ' stroke-dasharray="2 3"' if control else ""
    line = "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))
    return f'<path d="M{line}" fill="none" stroke="{colour}" stroke-width="1.5"{dash}/>'


def _colour(given: Any, otherwise: str) -> str:
    return html.escape(given) if isinstance(given, str) else otherwise


def _ends(values: np.ndarray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _scale(ends: tuple[float, float], start: float, stop: float) -> Any:
    return lambda value: start + (value - ends[0]) / (ends[1] - ends[0]) * (stop - start)


def _label(x: float, y: float, words: str, anchor: str, colour: str, size: int) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" '
        f'font-size="{size}">{markup(words)}</text>'
    )


def _short(value: float) -> str:
    """1.2M, 34k, 0.18."""
    if not math.isfinite(value):
        return ""
    for size, sign in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{sign}"
    return f"{value:.3g}"
