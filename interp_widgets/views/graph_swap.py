"""The view's question for a swap: which nodes of another prompt come in, and what the model says then.

`graph.swap` does the work; here is what a user of the view says in two fields, a prompt and a label.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..attribution.group import Nodes
from ..json_numbers import each_finite, finite
from .graph_asks import Request
from .graph_signals import DRAWS, Answer, Signals

if TYPE_CHECKING:
    from ..attribution.graph import Graph

#: So many names are listed of what came in.
SOME = 3


def swap(graph: Graph, request: Request, signals: Signals) -> Answer:
    """A group swapped for the nodes of another prompt that have a label."""
    from ..attribution import attribute

    graph.wait()
    out = graph.units_among(request["ids"])
    origin = graph.origin
    signals.report(0.0, "the other prompt's graph")
    other = attribute(origin.model, request["prompt"], origin.dictionary or "neurons")
    try:
        while other.state == "computing":
            try:
                other.wait(0.1)
            except TimeoutError:
                signals.report(0.5 * other.progress[0], "the other prompt's graph")
    except BaseException:  # nobody waits for it any more
        other.cancel()
        raise
    here = graph.table.position[out]
    into = matching(other, request["label"], here.tolist(), len(graph.table.tokens))
    signals.report(0.5, "swapping")
    found = graph.swap(
        request["ids"],
        into,
        strength=request.get("strength", 1.0),
        controls=DRAWS,
        progress=signals.part(0.5, 1.0),
        cancelled=signals.check,
    )
    order = np.argsort(-np.maximum(found.before, found.after), kind="stable")[:6]
    answers = [
        {
            "token": found.answers[k],
            "before": finite(found.before[k]),
            "after": finite(found.after[k]),
            "random": each_finite(f(found.random[:, k]) for f in (np.mean, np.min, np.max)),
        }
        for k in order
    ]
    before, after = found.favourite
    kept = sum(said == before for said in found.random_favourites)
    says = f"The model says “{after.strip()}” instead of “{before.strip()}”"
    if after == before:
        says = f"The model still says “{before.strip()}”"
    return {
        "answers": answers,
        "brought": _summary(into),
        "controls": f"{DRAWS} random",
        "notes": [
            f"{says}; after {kept} of {DRAWS} random swaps of equal size it says "
            f"“{before.strip()}”."
        ],
    }


def _summary(nodes: Nodes) -> list[str]:
    """How many nodes of each token, and what the strongest are called."""
    lines = []
    for token, count in Counter(node.token.strip() for node in nodes).items():
        names = list(dict.fromkeys(n.label or n.place for n in nodes if n.token.strip() == token))
        more = ", …" if len(names) > SOME else ""
        unit = nodes[0].kind + "s" * (count > 1)
        lines.append(f"{count} {unit} at “{token}” ({', '.join(names[:SOME])}{more})")
    return lines


def matching(other: Graph, label: str, here: Sequence[int], length: int) -> Nodes:
    """The nodes of another prompt's graph that a label means.

    Those whose label has these words, else, where nothing has a label, the strongest at a token of
    this name, as many as the group has. Of these, the ones at the tokens that the group stands at if
    both prompts are equally long, else at as many tokens: those with the most influence.

    Args:
        here: the position of each node of the group, in a prompt of `length` tokens.

    Raises ValueError if there are none.
    """
    wanted = label.strip().lower()
    units = other.nodes(kind=other.table.unit)
    words = re.compile(rf"(?<!\w){re.escape(wanted)}(?!\w)")
    found = [n for n in units if words.search(n.label.lower())]
    found = found or [n for n in units if n.token.strip().lower() == wanted][: len(here)]
    if not found:
        some = ", ".join(dict.fromkeys(n.label for n in units if n.label))[:200]
        raise ValueError(
            f"No {other.table.unit} of the other prompt is labelled “{label}”"
            + (f"; there are {some} …" if some else ", and none has a label: name a token.")
        )
    at = {n.position for n in found}
    if len(other.table.tokens) == length and at & set(here):
        at &= set(here)
    elif len(at) > len(set(here)):
        weight = {p: sum(n.influence for n in found if n.position == p) for p in at}
        at = set(sorted(at, key=lambda p: -weight[p])[: len(set(here))])
    return Nodes([n for n in found if n.position in at], other)
