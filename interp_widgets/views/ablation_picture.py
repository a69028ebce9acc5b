"""A picture of an ablation: what a page shows that has no kernel behind it.

Plain HTML with one SVG per heatmap and the selection's numbers in words; no script, so it survives
a saved notebook, nbviewer and a mail.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .ablation_items import shown
from .pictures import INK, NEG, PAPER, POS, RULE, SEL, SOFT, markup, source

WIDTH, LEFT, LETTERS = 372, 26, 10
SENTENCES = {
    "empty": "No ablation.",
    "computing": "Still computing when this picture was taken.",
    "done": "",
    "cancelled": "Cancelled: what is not computed is blank.",
    "failed": "Failed.",
}
METHODS = {
    "noising": "Noising: the clean prompt runs, and a part gets what the corrupted run has there.",
    "denoising": "Denoising: the corrupted prompt runs, and a part gets what the clean run has there.",
    "zero": "A part is set to zero.",
    "mean": "A part is set to its mean over a reference text.",
}


def picture(live: Mapping[str, Any], values: bytes, result: Mapping[str, Any]) -> str:
    """Both prompts, what was done, the heatmaps, the selection."""
    lines = []
    metric = live.get("metric")
    if live["state"] != "empty":
        lines = _prompts(live)
        lines.append(METHODS[live["method"]] + (f" {live['warning']}" if live["warning"] else ""))
    state = SENTENCES[live["state"]]
    if live["state"] == "failed":
        state = f"Failed: {live['message']}"
    if state:
        lines.append(state)
    figures = ""
    if metric is not None and values:
        lines.append(_metric(metric))
        figures = _figures(live, values, result)
    style = (
        f"max-width:800px;padding:12px 16px;border-radius:6px;background:{PAPER};color:{INK};"
        "font:12px/1.4 Inter,Helvetica Neue,Arial,sans-serif"
    )
    return (
        f'<div class="iw-kept" style="{style}">'
        + "".join(f"<div>{markup(line)}</div>" for line in lines)
        + figures
        + "".join(f"<div>{markup(line)}</div>" for line in _selection(live, result))
        + f'<div style="color:{SOFT};margin-top:6px">A picture of the ablation; to click in it, '
        "run its cell again.</div></div>"
    )


def _prompts(live: Mapping[str, Any]) -> list[str]:
    answers = live["answers"] or {}
    found = []
    for name in ("clean", "corrupted"):
        if live[name] is not None:
            text = " ".join(shown(token) for token in live[name])
            answer = answers.get(name)
            says = f" → {shown(answer[0])} {answer[1]:.2f}" if answer else ""
            found.append(f"{name}: {text}{says}")
    return found


def _metric(metric: Mapping[str, Any]) -> str:
    about = " − ".join(shown(token) for token in metric["tokens"])
    name = metric["name"] + (f" {about}" if about else "")
    unit = f" {metric['unit']}" if metric["unit"] else ""
    other = "" if metric["full"] is None else f", in the other run {number(metric['full'])}"
    return (
        f"Effect on the {name} ({number(metric['base'])}{unit} with nothing changed{other}); full "
        f"colour is {number(metric['scale'])}{unit}, stripes are effects below 0."
    )


def _selection(live: Mapping[str, Any], result: Mapping[str, Any]) -> list[str]:
    effect = result.get("effect")
    if not effect:
        return []
    lines = []
    for each, value in zip(result["ids"], effect["singles"], strict=True):
        lines.append(f"{each}: {number(value, sign=True)}")
    if len(effect["singles"]) > 1:
        joint, total = number(effect["joint"], sign=True), number(effect["sum"], sign=True)
        lines.append(f"all together: {joint}; the sum of the single ones: {total}")
    controls = effect["controls"]
    if controls:
        low, high = (number(controls[key], sign=True) for key in ("low", "high"))
        lines.append(
            f"{controls['n']} random changes of the same size: "
            f"{number(controls['mean'], sign=True)} (95% of them {low} to {high})"
        )
    if result.get("text") and any(result["text"]):
        before, after = result["text"]
        lines.append(f"text before: {before.strip()}; after: {after.strip()}")
    return lines


# --- the heatmaps --------------------------------------------------------------------------------


def _figures(live: Mapping[str, Any], values: bytes, result: Mapping[str, Any]) -> str:
    numbers = np.frombuffer(values, "<f4").astype(np.float64)
    parts, start = [], 0
    for panel in live["panels"]:
        count = live["layers"] * panel["columns"]
        map_ = numbers[start : start + count].reshape(live["layers"], panel["columns"])
        start += count
        drawn = svg(panel, map_, live, result.get("ids", []))
        parts.append(
            f'<figure style="margin:0"><figcaption><b>{markup(panel["title"])}</b></figcaption>'
            f'<img alt="Effects by layer, {markup(panel["title"])}" width="{WIDTH}" '
            f'style="max-width:100%" src="{source(drawn)}"></figure>'
        )
    return (
        f'<div style="display:flex;flex-wrap:wrap;gap:8px 16px;margin:8px 0">{"".join(parts)}</div>'
    )


def svg(
    panel: Mapping[str, Any],
    values: NDArray[np.float64],
    live: Mapping[str, Any],
    selected: Sequence[str],
) -> str:
    """One heatmap: layer 0 at the bottom; tokens of both prompts, or heads, below it.

    values: [layer, column], NaN where nothing is computed.
    """
    layers, columns = values.shape
    heads = panel["id"] == "heads"
    longest = max(len(shown(token)) for token in [*live["clean"], *(live["corrupted"] or ())])
    line = 10 + 5.8 * min(longest, LETTERS)
    bottom = 16 if heads else 4 + line * (2 if live["corrupted"] else 1)
    cell = max(4.0, min(22.0, 240 / layers))
    across = (WIDTH - LEFT) / columns
    height = layers * cell + bottom
    scale = live["metric"]["scale"]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" '
        'font-family="Helvetica,Arial,sans-serif" font-size="10">'
        f'<defs><pattern id="n" width="4" height="4" patternUnits="userSpaceOnUse" '
        f'patternTransform="rotate(45)"><path d="M0 0V4" stroke="{PAPER}" stroke-width="1.6" '
        'stroke-opacity=".55"/></pattern></defs>'
    ]
    for layer in range(layers):
        top = (layers - 1 - layer) * cell
        if layers <= 16 or layer % 4 == 0:
            parts.append(_label(LEFT - 5, top + cell / 2 + 3.5, f"L{layer}", "end", SOFT))
        for column in range(columns):
            x = LEFT + column * across
            box = (
                f'x="{x + 0.5:.1f}" y="{top + 0.5:.1f}" width="{across - 1:.1f}" '
                f'height="{cell - 1:.1f}"'
            )
            value = values[layer, column]
            parts.append(f'<rect {box} fill="none" stroke="{RULE}" stroke-width=".6"/>')
            if math.isfinite(value):
                alpha = min(1.0, abs(value) / scale)
                colour = NEG if value < 0 else POS
                parts.append(f'<rect {box} fill="{colour}" fill-opacity="{alpha:.3f}"/>')
                if value < 0 and alpha > 0.02:
                    parts.append(f'<rect {box} fill="url(#n)"/>')
            kind = "h" if heads else "p"
            if f"{panel['id']}.L{layer}.{kind}{column}" in selected:
                parts.append(f'<rect {box} fill="none" stroke="{SEL}" stroke-width="2"/>')
    for column in range(columns):
        x, y = LEFT + (column + 0.5) * across, layers * cell + 12
        if heads:
            parts.append(_label(x, y, str(column), "middle", SOFT))
            continue
        clean = live["clean"][column]
        parts.append(_turned(x, y - 6, shown(clean), INK))
        if live["corrupted"]:
            other = live["corrupted"][column]
            colour = SOFT if other == clean else INK
            parts.append(_turned(x, y - 6 + line, shown(other), colour))
    return "".join(parts) + "</svg>"


def _label(x: float, y: float, words: str, anchor: str, colour: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">'
        f"{markup(words)}</text>"
    )


def _turned(x: float, y: float, words: str, colour: str) -> str:
    words = words if len(words) <= LETTERS else words[: LETTERS - 1] + "…"
    return (
        f'<text transform="translate({x + 3.5:.1f},{y:.1f}) rotate(-90)" text-anchor="end" '
        f'fill="{colour}">{markup(words)}</text>'
    )


def number(value: float, *, sign: bool = False) -> str:
    """Three digits, with a real minus sign."""
    if not math.isfinite(value):
        return "none"
    text = f"{value:.3g}" if abs(value) >= 1e-4 else "0"
    plus = "+" if sign and value > 0 and text != "0" else ""
    return plus + text.replace("-", "−")
