"""Is a graph right? Its predictions for many nodes against the model, with a random graph beside.

One node after the other is set to `factor` times its activation, and the change of one number is
predicted and measured: an output target's value, or the difference of two (a logit difference).

    predicted                                      measured
    direct   path sums: patterns, norm scales      patterns and norm scales held, MLPs free
             frozen, units linear
    total    live derivative times change          everything free

(effects.py defines them.) And, since this is what a reader of a graph wants to know, the path sums are
also set against the free model. Half of the nodes are the strongest by influence, which is where a reader
looks; half are drawn at random from the others, so that the choice does not favour the prediction.
Spearman's rho says how well the order is predicted (correlation.py).

The control is a random graph of equal size: what would a graph say that has the same nodes at the same
places with the same activations, but whose nodes write as much into random directions? Its predictions
are set against the same measurements, for several draws. Shuffling the pairs would be a weaker control: it
also tears apart what any prediction gets right by knowing a node's layer, position and size. Other neurons
of the same layer and position would be none at all: what an MLP adds there has one sign for the target, and
all its neurons share a little of it (SmolLM2: rho +.05, interval without 0).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .correlation import Correlation, correlate
from .effects import How
from .live import gradient_along, live_gradient
from .measured import measure
from .neurons import NeuronUnits
from .paths import unit_paths
from .readings import Readings
from .replica import Replica
from .table import FEATURE, OUTPUT
from .units import Features

if TYPE_CHECKING:
    from .acting import Acting

Floats = NDArray[np.floating]
Progress = Callable[[float, str], None]

DRAWS = 20
#: So many nodes are measured between two reports of progress.
_BATCH = 16


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """Predicted and measured effects of many nodes on one number.

    metric: the number, in words; factor: what activations were multiplied by.
    nodes: ids; strongest: [node] bool, False for those drawn at random; None where nodes were given.
    predicted, measured: by name ("direct", "total"), [node] each; not finite where a run with norm
        scales held ran away.
    control: by name, [draw, node], what random graphs of equal size predict.
    """

    metric: str
    unit: str
    factor: float
    nodes: tuple[str, ...]
    strongest: NDArray[np.bool_] | None
    predicted: Mapping[How, Floats]
    measured: Mapping[How, Floats]
    control: Mapping[How, Floats]
    control_name: str
    seed: int

    @property
    def n(self) -> int:
        return len(self.nodes)

    @cached_property
    def correlations(self) -> dict[How, Correlation]:
        """Spearman between prediction and measurement of the same name."""
        return {
            how: correlate(self.predicted[how], self.measured[how], self.seed)
            for how in self.predicted
        }

    @cached_property
    def controls(self) -> dict[How, Correlation]:
        """The same for the random graphs: the mean over draws; the interval is over both."""
        return {
            how: correlate(self.control[how], self.measured[how], self.seed) for how in self.control
        }

    @cached_property
    def across(self) -> Correlation | None:
        """Spearman between the graph's prediction (direct) and the free model."""
        if "direct" not in self.predicted or "total" not in self.measured:
            return None
        return correlate(self.predicted["direct"], self.measured["total"], self.seed)

    def __repr__(self) -> str:
        chosen = f"{self.n} {self.unit}s"
        if self.strongest is not None:
            top = int(self.strongest.sum())
            chosen = f"{top} strongest and {self.n - top} random {self.unit}s"
        lines = [
            f"Faithfulness({chosen}, each × {_number(self.factor)}; change of {self.metric}; "
            f"Spearman [95%]"
        ]
        for how, found in self.correlations.items():
            draws = len(self.control[how])
            lines.append(
                f"  {_WORDS[how]}: {found}, {self.control_name}: {self.controls[how]} "
                f"({draws} draws)"
            )
        if self.across is not None:
            lines.append(f"  direct prediction, everything free: {self.across}")
        return "\n".join(lines) + ")"


_WORDS: dict[How, str] = {
    "edges": "edges (one step, all else held)",
    "direct": "direct (attention and norm scales frozen)",
    "total": "total (live derivative, everything free)",
}


@dataclass(frozen=True)
class Metric:
    """A weighted sum of output targets. outputs: nodes [k]; weight: [k]."""

    name: str
    outputs: NDArray[np.int64]
    weight: Floats


def metric_of(graph: Acting, wanted: str | tuple[str, str] | None) -> Metric:
    """The number that effects are measured on.

    wanted: the id or name of an output, or two of them for their difference. None: the difference
        of the two most probable tokens if there are two, else the first output.

    Raises ValueError for what is no output of the graph.
    """
    table = graph.table
    outputs = np.flatnonzero(table.kind == OUTPUT)
    names = [table.names[i] for i in outputs]

    def place(name: str) -> int:
        for i in outputs:
            if name in (table.ids[i], table.names[i]):
                return int(i)
        raise ValueError(f"{name!r} is no output of this graph; its outputs are {names}.")

    if wanted is None:
        tokens = [i for i in outputs if not np.isnan(table.probability[i])]
        chosen = [int(i) for i in (tokens[:2] if len(tokens) > 1 else outputs[:1])]
    else:
        chosen = [place(name) for name in ([wanted] if isinstance(wanted, str) else wanted)]
    if len(chosen) > 2:
        raise ValueError(f"A metric is one output or the difference of two, not {len(chosen)}.")
    words = " − ".join(f'"{table.names[i]}"' for i in chosen)
    return Metric(words, np.array(chosen), np.array([1.0, -1.0])[: len(chosen)])


def choose(graph: Acting, n: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Which nodes to measure [node], and which of them are the strongest [node]."""
    units = np.flatnonzero(graph.table.kind == FEATURE)
    order = units[np.argsort(-graph.influence[units], kind="stable")]
    top = order[: min(len(order), (n + 1) // 2)]
    rest = order[len(top) :]
    drawn = np.random.default_rng(seed).choice(rest, min(len(rest), n - len(top)), replace=False)
    nodes = np.concatenate([top, np.sort(drawn)])
    return nodes, np.arange(len(nodes)) < len(top)


def faithfulness(
    graph: Acting,
    nodes: NDArray[np.int64],
    strongest: NDArray[np.bool_] | None,
    metric: Metric,
    *,
    hows: Sequence[How],
    factor: float,
    draws: int,
    seed: int,
    progress: Progress | None,
    cancelled: Callable[[], None] | None,
    offer: Callable[[Faithfulness], None] | None,
) -> Faithfulness:
    """See `Graph.faithfulness`."""
    replica = graph.replica
    check = cancelled or (lambda: None)
    report = progress or (lambda share, message: None)
    report(0.0, "predicting")
    predicted = {how: _predicted(replica, nodes, metric, how, factor) for how in hows}
    control: dict[How, list[Floats]] = {how: [] for how in hows}
    for draw in range(draws):
        check()
        other = random_graph(replica, seed + draw)
        for how in hows:
            control[how].append(_predicted(other, nodes, metric, how, factor))
        report(0.2 * (draw + 1) / draws, "predicting with random graphs")
    readings = Readings(replica, metric.outputs)
    measured: dict[How, Floats] = {how: np.empty(0) for how in hows}

    def so_far(n: int) -> Faithfulness:
        ids = graph.table.ids
        return Faithfulness(
            metric=metric.name,
            unit=graph.table.unit,
            factor=factor,
            nodes=tuple(ids[i] for i in nodes[:n]),
            strongest=None if strongest is None else strongest[:n],
            predicted={how: found[:n] for how, found in predicted.items()},
            measured=dict(measured),
            control={
                how: np.array(found).reshape(-1, len(nodes))[:, :n]
                for how, found in control.items()
            },
            control_name="random decoders",
            seed=seed,
        )

    for start in range(0, len(nodes), _BATCH):
        batch = nodes[start : start + _BATCH]
        runs = [graph.group([i]).clamp(times=factor) for i in batch]
        for how in hows:
            check()
            changes = measure(replica, readings, runs, how, cancelled=cancelled).changes
            found = changes.double().cpu().numpy() @ metric.weight
            measured[how] = np.concatenate([measured[how], found])
        n = start + len(batch)
        if offer is not None:
            offer(so_far(n))
        report(0.2 + 0.8 * n / len(nodes), f"measured {n} of {len(nodes)} {graph.table.unit}s")
    return so_far(len(nodes))


def random_graph(replica: Replica, seed: int) -> Replica:
    """The control of the same size: unit i stands where the replica's unit i does."""
    other = copy.copy(replica)
    if isinstance(replica.units, Features):
        dictionary = replica.origin.dictionary
        assert dictionary is not None
        other.units = Features(replica.frozen, dictionary, random_decoders=seed)
    else:
        units = replica.units
        numbers = (units.layer * len(units.keep) + units.position) * units.d_mlp + units.feature
        other.units = NeuronUnits(replica.frozen, numbers, random_decoders=seed)
    return other


def _predicted(
    replica: Replica, nodes: NDArray[np.int64], metric: Metric, how: How, factor: float
) -> Floats:
    """The predicted change of the metric when each node by itself is changed, [node]."""
    unit = torch.from_numpy(replica.unit[nodes]).to(replica.units.layer.device)
    if how == "total":
        gradient = live_gradient(replica, _vector(replica, metric))
        return gradient_along(replica, gradient, unit, factor - 1)
    responds = None
    if how == "edges":
        responds = torch.zeros_like(replica.units.layer, dtype=torch.bool)
    effects = unit_paths(
        replica,
        replica.readers(metric.outputs),
        responds=responds,
        others_respond=how != "edges",
    )
    return (factor - 1) * (metric.weight @ effects[:, unit].double().cpu().numpy())


def _vector(replica: Replica, metric: Metric) -> Tensor:
    """The metric as a vector [d_model] in the space of the final norm's output."""
    vectors = replica.outputs.vectors[replica.output_number(metric.outputs)]
    return torch.from_numpy(metric.weight).to(vectors) @ vectors


def _number(value: float) -> str:
    return f"{value:g}".replace("-", "−")
