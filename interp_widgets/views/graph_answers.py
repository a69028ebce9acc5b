"""A graph's answers as its view reads them: predictions, measurements and controls as plain JSON.

One function for each question of graph_asks.py. Nothing is computed here that a notebook could not ask
for itself: `graph.predict`, `measure`, `faithfulness`, `swap`, `suggest_groups`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..attribution.equal_size import random_effects
from ..json_numbers import each_finite, finite
from .graph_asks import Request
from .graph_meaning import firing, meaning, naming
from .graph_signals import DRAWS, Answer, Signals
from .graph_swap import swap

if TYPE_CHECKING:
    from ..attribution.correlation import Correlation
    from ..attribution.effects import Effects, How
    from ..attribution.faithfulness import Faithfulness
    from ..attribution.graph import Graph


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
    graph.wait()
    predicted: dict[How, Effects] = {}
    measured: dict[How, Effects] = {}
    for step, how in enumerate(WAYS):
        signals.report(0.15 * step, f"predicting, {WAYS[how]['name']}")
        predicted[how] = graph.predict(ids, how, factor=factor)
        signals.report(0.15 * step + 0.1, f"running the model, {WAYS[how]['name']}")
        measured[how] = graph.measure(ids, how, factor=factor)
        signals.offer(_checked(graph, predicted, measured, {}))
    targets = predicted["direct"].targets
    random: dict[How, NDArray[np.floating]] = {}
    for step, how in enumerate(WAYS):
        start, end = 0.3 + 0.35 * step, 0.65 + 0.35 * step
        try:
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
        except ValueError as error:  # the layer has too few other units: what is known is shown
            answer = _checked(graph, predicted, measured, {})
            return {**answer, "notes": [f"No random controls: {error}", *answer["notes"]]}
        signals.offer(_checked(graph, predicted, measured, random))
    return _checked(graph, predicted, measured, random)


def _checked(
    graph: Graph,
    predicted: Mapping[How, Effects],
    measured: Mapping[How, Effects],
    random: Mapping[How, NDArray[np.floating]],
) -> Answer:
    probability = measured["total"].probability if "total" in measured else {}
    between = predicted["total"].parts if "total" in predicted else {}
    changes = {
        k: {how: e.change for how, e in v.items()}
        for k, v in (("predicted", predicted), ("measured", measured))
    }
    lines = (
        ("predicted", "graph predicts", "What the graph says follows"),
        ("measured", "model says", "What follows when the model is run so"),
    )
    targets = []
    for k, id in enumerate(predicted["direct"].targets):
        node = graph.node(id)
        found = [
            {
                "kind": kind,
                "name": name,
                "title": title,
                "changes": [
                    {"value": finite(changes[kind][how][k])} if how in changes[kind] else NONE
                    for how in WAYS
                ],
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
                "between": {part: finite(v[k]) for part, v in between.items()},
                "lines": found,
            }
        )
    return {"ways": list(WAYS.values()), "targets": targets, "notes": [LINEAR]}


NONE: Answer = {"value": None}


def _value_name(graph: Graph) -> str:
    return "value" if graph.table.unit == "neuron" else "pre-activation"


def _range(values: NDArray[np.floating]) -> Answer:
    return {
        "value": finite(values.mean()),
        "low": finite(values.min()),
        "high": finite(values.max()),
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
                "predicted": each_finite(found.predicted[how]),
                "measured": each_finite(measured),
                "agreement": _agreement(found.correlations[how]),
                "control": {
                    "name": found.control_name,
                    "predicted": each_finite(found.control[how][0]),
                    "measured": each_finite(measured),
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
        "value": finite(found.rho),
        "low": finite(found.low),
        "high": finite(found.high),
        "n": found.n,
    }


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
                "score": finite(one.cohesion),
                "control": each_finite(one.control),
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
    "meaning": meaning,
    "firing": firing,
    "naming": naming,
}
