"""A graph's answers as its view reads them: predictions, measurements and controls as plain JSON.

One function for each question of graph_asks.py. Nothing is computed here that a notebook could not ask
for itself: `graph.predict`, `measure`, `faithfulness`, `swap`, `suggest_groups`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..attribution.equal_size import random_effects
from .graph_asks import Request

if TYPE_CHECKING:
    from ..attribution.correlation import Correlation
    from ..attribution.effects import Effects, How
    from ..attribution.faithfulness import Faithfulness
    from ..attribution.graph import Graph
    from ..attribution.group import Nodes

Answer = dict[str, Any]
DRAWS = 20

WAYS: dict[How, dict[str, str]] = {
    "direct": {
        "name": "direct",
        "note": "attention frozen",
        "title": "Predicted along the graph's paths; measured with attention patterns and norm "
        "scales held",
    },
    "total": {
        "name": "total",
        "note": "live gradient",
        "title": "Predicted by the live gradient; measured with everything free",
    },
}
LINEAR = (
    "Between direct and total lies what runs through attention patterns and norm scales, which a "
    "graph holds fixed. Predictions are linear: setting a strong node to zero is no small step."
)


@dataclass(frozen=True)
class Signals:
    """How an answer reports while it is computed.

    report: called with the share done and a sentence; check: raises to stop; offer: called with
    the part that is there.
    """

    report: Callable[[float, str], None]
    check: Callable[[], None]
    offer: Callable[[Answer], None]

    def part(self, start: float, end: float, name: str = "") -> Callable[[float, str], None]:
        """`report` for a step that takes the work from one share to another."""
        return lambda share, message: self.report(start + share * (end - start), name or message)


def unable(graph: Graph) -> str:
    """Why a graph's model cannot be asked, in a sentence; empty where it can."""
    try:
        graph.origin  # noqa: B018 - a graph from a file raises its sentence
    except ValueError as error:
        return str(error)
    return ""


# --- one group -----------------------------------------------------------------------------------


def check(graph: Graph, request: Request, signals: Signals) -> Answer:
    """Predicted and measured effects of a group on its targets, and of random groups."""
    ids, factor = request["ids"], request["factor"]
    signals.report(0.0, "predicting")
    graph.wait()
    predicted = {how: graph.predict(ids, how, factor=factor) for how in WAYS}
    signals.report(0.1, "running the model")
    measured = {how: graph.measure(ids, how, factor=factor) for how in WAYS}
    signals.offer(_checked(graph, predicted, measured, {}))
    targets = predicted["direct"].targets
    random: dict[How, NDArray[np.floating]] = {}
    for step, how in enumerate(WAYS):
        start, end = 0.25 + 0.37 * step, 0.62 + 0.38 * step
        random[how] = random_effects(
            graph,
            ids,
            targets,
            how,
            factor=factor,
            draws=DRAWS,
            progress=signals.part(start, end, "random controls"),
            cancelled=signals.check,
        )
        signals.offer(_checked(graph, predicted, measured, random))
    return _checked(graph, predicted, measured, random)


def _checked(
    graph: Graph,
    predicted: Mapping[How, Effects],
    measured: Mapping[How, Effects],
    random: Mapping[How, NDArray[np.floating]],
) -> Answer:
    one = predicted["direct"]
    probability = measured["total"].probability
    changes = {
        k: {how: e.change for how, e in v.items()}
        for k, v in (("predicted", predicted), ("measured", measured))
    }
    lines = (
        ("predicted", "graph predicts", "What the graph says follows"),
        ("measured", "model says", "What follows when the model is run so"),
    )
    targets = []
    for k, id in enumerate(one.targets):
        node = graph.node(id)
        found = [
            {
                "kind": kind,
                "name": name,
                "title": title,
                "changes": [{"value": number(changes[kind][how][k])} for how in WAYS],
            }
            for kind, name, title in lines
        ]
        found.append(
            {
                "kind": "random",
                "name": f"{DRAWS} random",
                "title": f"{DRAWS} changes of equal size on random {graph.table.unit}s of the "
                "same layers and tokens: the range of all",
                "changes": [_range(random[how][:, k]) if how in random else NONE for how in WAYS],
            }
        )
        targets.append(
            {
                "id": id,
                "name": node.label,
                "unit": "logit" if node.kind == "output" else _value_name(graph),
                "probability": probability.get(id),
                "between": {part: number(v[k]) for part, v in predicted["total"].parts.items()},
                "lines": found,
            }
        )
    return {"ways": list(WAYS.values()), "targets": targets, "notes": [LINEAR]}


NONE: Answer = {"value": None}


def _value_name(graph: Graph) -> str:
    return "value" if graph.table.unit == "neuron" else "pre-activation"


def _range(values: NDArray[np.floating]) -> Answer:
    return {
        "value": number(values.mean()),
        "low": number(values.min()),
        "high": number(values.max()),
    }


# --- many nodes ----------------------------------------------------------------------------------


def many(graph: Graph, request: Request, signals: Signals) -> Answer:
    """Predicted against measured for many nodes, one at a time, and for random graphs."""
    graph.wait()
    found = graph.faithfulness(
        n=request["nodes"],
        factor=request["factor"],
        draws=DRAWS,
        progress=signals.report,
        cancelled=signals.check,
        offer=lambda part: signals.offer(_faithful(part)),
    )
    return _faithful(found)


def _faithful(found: Faithfulness) -> Answer:
    series = []
    for how, way in WAYS.items():
        measured = found.measured[how]
        series.append(
            {
                "name": way["name"],
                "title": f"{way['note']}: {way['title']}",
                "unit": f"change of {found.metric}",
                "ids": list(found.nodes),
                "predicted": numbers(found.predicted[how]),
                "measured": numbers(measured),
                "agreement": _agreement(found.correlations[how]),
                "control": {
                    "name": found.control_name,
                    "predicted": numbers(found.control[how][0]),
                    "measured": numbers(measured),
                    "agreement": _agreement(found.controls[how]),
                },
            }
        )
    strongest = int(found.strongest.sum()) if found.strongest is not None else 0
    notes = [
        f"{strongest} strongest and {found.n - strongest} random {found.unit}s, each ablated by "
        f"itself. Grey: the same with {found.control_name} (one of {DRAWS} draws; the interval is "
        "over all)."
    ]
    return {"series": series, "notes": notes}


def _agreement(found: Correlation) -> Answer:
    return {
        "value": number(found.rho),
        "low": number(found.low),
        "high": number(found.high),
        "n": found.n,
    }


# --- swap ----------------------------------------------------------------------------------------


def swap(graph: Graph, request: Request, signals: Signals) -> Answer:
    """A group swapped for the nodes of another prompt that have a label."""
    from ..attribution import attribute

    graph.wait()
    out = graph.units_among(request["ids"])
    origin = graph.origin
    signals.report(0.0, "the other prompt's graph")
    other = attribute(origin.model, request["prompt"], origin.dictionary or "neurons")
    while other.state == "computing":
        try:
            other.wait(0.1)
        except TimeoutError:
            signals.report(0.5 * other.progress[0], "the other prompt's graph")
    here = graph.table.position[out]
    into = matching(other, request["label"], sorted(set(here.tolist())), len(graph.table.tokens))
    signals.report(0.5, "swapping")
    found = graph.swap(
        request["ids"],
        into,
        controls=DRAWS,
        progress=signals.part(0.5, 1.0),
        cancelled=signals.check,
    )
    order = np.argsort(-np.maximum(found.before, found.after), kind="stable")[:6]
    answers = [
        {
            "token": found.answers[k],
            "before": number(found.before[k]),
            "after": number(found.after[k]),
            "random": [number(f(found.random[:, k])) for f in (np.mean, np.min, np.max)],
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
    """Nodes by name and token, with how many there are of each."""
    names = Counter(f"{n.label or n.place} at “{n.token.strip()}”" for n in nodes)
    return [f"{name} ({count} nodes)" if count > 1 else name for name, count in names.items()]


def matching(other: Graph, label: str, here: Sequence[int], length: int) -> Nodes:
    """The nodes of another prompt's graph that a label means.

    Those with exactly this label, else those whose label contains it, else those at a token of this
    name; of these, the ones at the tokens that the group stands at (`here`, of `length`) if both
    prompts are equally long, else at as many tokens: those with the most influence.

    Raises ValueError if there are none.
    """
    from ..attribution.group import Nodes

    wanted = label.strip().lower()
    units = other.nodes(kind=other.table.unit)
    found = [n for n in units if n.label.strip().lower() == wanted]
    found = found or [n for n in units if wanted in n.label.lower()]
    found = found or [n for n in units if n.token.strip().lower() == wanted]
    if not found:
        some = ", ".join(dict.fromkeys(n.label for n in units if n.label))[:200]
        raise ValueError(
            f"No {other.table.unit} of the other prompt is labelled “{label}”"
            + (f"; there are {some} …" if some else ", and none has a label: name a token.")
        )
    at = {n.position for n in found}
    if len(other.table.tokens) == length and at & set(here):
        at &= set(here)
    elif len(at) > len(here):
        weight = {p: sum(n.influence for n in found if n.position == p) for p in at}
        at = set(sorted(at, key=lambda p: -weight[p])[: len(here)])
    return Nodes([n for n in found if n.position in at], other)


# --- suggestions ---------------------------------------------------------------------------------


def proposals(graph: Graph, request: Request, signals: Signals) -> Answer:
    """Suggested supernodes, each beside random groups of its size."""
    signals.report(0.1, "comparing nodes")
    graph.wait()
    found = graph.suggest_groups()
    return {
        "proposals": [
            {
                "key": " ".join(one.ids),
                "name": one.name,
                "ids": list(one.ids),
                "reason": one.reason,
                "score": number(one.cohesion),
                "control": numbers(one.control),
                "draws": one.draws,
            }
            for one in found
        ],
        "notes": [],
    }


ANSWERS: dict[str, Callable[[Graph, Request, Signals], Answer]] = {
    "check": check,
    "many": many,
    "swap": swap,
    "proposals": proposals,
}


def number(value: Any) -> float | None:
    """JSON has no NaN and no infinity."""
    return float(value) if math.isfinite(value) else None


def numbers(values: Any) -> list[float | None]:
    return [number(value) for value in values]
