"""Features as one HTML page: no kernel, no network, nothing to install.

The page (page.py) carries the cards, and for readers without scripts the examples as plain tables. A
policy in its head forbids every request. Tokens, labels and corpora are strangers' text: in the
tables markup is escaped, and characters that cannot be seen or that turn the direction of text stand
by their code.
"""

from __future__ import annotations

import html
import pathlib
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from ..files import write_whole
from .page import standalone

Card = Mapping[str, Any]

# Nothing is fetched, whatever a text in the page may say.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'"
)
_HEAD = (
    f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
    '<meta name="color-scheme" content="light dark">\n'
)
_PLAIN = """
.iw-page{margin:0}
.iw-plain{max-width:60em;margin:0 auto;padding:1em;font:13px/1.4 sans-serif;color:#2b2a27}
.iw-plain table{border-collapse:collapse;margin:.5em 0 1em;width:100%}
.iw-plain caption{text-align:left;font-weight:bold}
.iw-plain tr>:first-child{width:6em}
.iw-plain th,.iw-plain td{padding:2px 8px 2px 0;text-align:left;vertical-align:top;
font-variant-numeric:tabular-nums;border-bottom:1px solid #ebe5d8}
.iw-plain td:last-child{white-space:pre-wrap;unicode-bidi:isolate;overflow-wrap:anywhere}
.iw-plain mark{background:#d9cfee;color:inherit}
@media screen and (prefers-color-scheme:dark){
.iw-plain{color:#ebe7de}.iw-plain mark{background:#54467a}
.iw-plain th,.iw-plain td{border-color:#34322e}}
@media print{
.iw-page,.iw-page .iw-root,.iw-page .iw-root[data-iw-theme="dark"]{
--iw-paper:#fff;--iw-panel:#fff;--iw-ink:#000;--iw-mute:#555;--iw-soft:#444;--iw-rule:#ccc;
--iw-pos:#01665e;--iw-neg:#a6611a;--iw-sel:#d6006c;--iw-act:111 84 178;--iw-node:#fff;
background:#fff;color-scheme:light;overflow:visible}
.iw-page .iw-root *{print-color-adjust:exact;-webkit-print-color-adjust:exact}
.iw-page .iw-card+.iw-card{break-before:page}
.iw-page .iw-c-testbox,.iw-page .iw-c-more{display:none}
.iw-page li,.iw-page tr{break-inside:avoid}}
"""


def feature_page(cards: Sequence[Card], title: str = "") -> str:
    """One page that shows cards (features/card.py, or a ForeignFeature's) one below the other.

    Raises FileNotFoundError where the views are not built, ValueError for numbers that JSON lacks.
    """
    title = title or ", ".join(dict.fromkeys(str(card["name"]) for card in cards[:5])) or "Features"
    plain = "".join(map(_plain, cards))
    return standalone(
        "features",
        {"title": title, "cards": list(cards)},
        _seen(title),
        style=_PLAIN,
        head=_HEAD,
        body=f'<noscript><div class="iw-plain"><h1>{_text(title)}</h1>\n{plain}</div></noscript>\n',
    )


def save_page(cards: Sequence[Card], path: str | pathlib.Path, *, title: str = "") -> pathlib.Path:
    """Writes `feature_page` to `path`, whole or not at all, and returns it."""
    return write_whole(pathlib.Path(path).expanduser(), feature_page(cards, title))


def feature_frame(cards: Sequence[Card], title: str, height: int = 480) -> str:
    """The page in a frame, for the output of a cell: it runs in a sandbox and cannot reach the
    notebook around it. Without the built views, the plain tables."""
    try:
        page = feature_page(cards, title)
    except FileNotFoundError:
        return "".join(map(_plain, cards))
    return (
        f'<iframe sandbox="allow-scripts" title="{_text(title)}" srcdoc="{html.escape(page)}" '
        f'style="width:100%;height:{height}px;border:0"></iframe>'
    )


# --- for readers without scripts -----------------------------------------------------------------


def _plain(card: Card) -> str:
    label = card["label"]
    named = f": {_text(label['text'])}" if label else ""
    parts = [
        f"<h2>{_text(card['name'])}{named}</h2>",
        f"<p>{_text(_facts(card))}</p>" if _facts(card) else "",
        _table("Strongest examples", card["examples"]),
        _table("Most negative examples", card["negative"]),
        *(_table(f"Examples, {group['name']}", group["examples"]) for group in card["groups"]),
        _tokens(card["logits"]),
        *(f"<p>{_text(note)}</p>" for note in card["notes"]),
    ]
    return f"<section>{''.join(parts)}</section>\n"


def _facts(card: Card) -> str:
    """Where it stands, how often it is active, and how well its label holds."""
    density, label = card["density"], card["label"]
    said = [" of ".join(dict.fromkeys(filter(None, (card["scan"], card["model"]))))]
    if density and density["value"] is not None:
        on = f" of {card['tokens']:,} tokens" if card["tokens"] else " of the tokens"
        said.append(f"active on {density['value']:.2%}{on}")
    if label and label["source"]:
        said.append(f"label {label['kind']}, {label['source']}")
    if label and label["score"] is not None:
        control = "" if label["control"] is None else f"; random labels {label['control']:.2f}"
        said.append(
            f"separates {label['score']:.2f} (area under the ROC curve{control}; "
            f"{label['samples']:,} samples)"
        )
    return "; ".join(filter(None, said))


def _table(caption: str, examples: Sequence[Mapping[str, Any]]) -> str:
    if not examples:
        return ""
    rows = "".join(
        f"<tr><td>{_number(e['activations'][e['trigger']])}</td><td>{_line(e)}</td></tr>"
        for e in examples
    )
    return (
        f'<table><caption>{_text(caption)}</caption><tr><th scope="col">activation</th>'
        f'<th scope="col">text</th></tr>{rows}</table>'
    )


def _line(example: Mapping[str, Any]) -> str:
    return "".join(
        f"<mark>{_text(token)}</mark>" if i == example["trigger"] else _text(token)
        for i, token in enumerate(example["tokens"])
    )


def _tokens(logits: Mapping[str, Any] | None) -> str:
    if logits is None:
        return ""
    said = []
    for words, rows in (("raises", logits["positive"]), ("lowers", logits["negative"])):
        listed = ", ".join(
            _text(row["token"]) + (f" {_number(row['value'])}" if row["value"] is not None else "")
            for row in rows
        )
        said.append(f"<p>Next tokens that it {words}: {listed}</p>" if listed else "")
    if control := logits["control"]:
        said.append(
            f"<p>The largest of random directions of equal norm: {_number(control['value'])} "
            f"({_number(control['low'])} to {_number(control['high'])}, {control['draws']} "
            "draws).</p>"
        )
    return "".join(said)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}".replace("-", "−")


def _text(value: object) -> str:
    """Text as markup that shows it."""
    return html.escape(_seen(str(value)))


def _seen(text: str) -> str:
    """Text in which what is invisible or turns text around stands by its code."""
    return "".join(map(_visible, text))


def _visible(sign: str) -> str:
    if sign in "\n\t\r":
        return {"\n": "⏎", "\t": "⇥", "\r": "␍"}[sign]
    if unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return f"⟨{ord(sign):04X}⟩"
    return sign
