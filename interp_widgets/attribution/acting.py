"""What a graph can be asked once it knows the model it came from: predictions and measurements.

The questions are methods of `Graph`; what answers them is beside this file: effects.py and measured.py
(one group of nodes), faithfulness.py (many nodes, with a control), swap.py (one group for another),
supernodes.py (which nodes go together).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from ..models.intervening import Attention
from . import effects, measured
from .effects import Effects, How
from .faithfulness import DRAWS, Faithfulness, Progress, choose, faithfulness, metric_of
from .group import Nodes
from .node import Node
from .readings import Readings
from .replica import Origin, Replica
from .scores import Pruning
from .supernodes import Proposal, suggest
from .swap import CONTROLS, Swap, swap
from .table import OUTPUT, GraphTable

if TYPE_CHECKING:
    from .notes import Notes

NodeLike = Node | str
NodesLike = NodeLike | Sequence[NodeLike]


class Acting:
    """The part of `Graph` that asks its model; see the top of this file."""

    notes: Notes
    _origin: Origin | None = None

    @property
    def table(self) -> GraphTable:
        raise NotImplementedError

    @cached_property
    def influence(self) -> NDArray[np.floating]:
        raise NotImplementedError

    def prune(self, node_threshold: float = 0.8, edge_threshold: float = 0.98) -> Pruning:
        raise NotImplementedError

    def _index(self, node: Node | str) -> int:
        raise NotImplementedError

    def _node(self, i: int) -> Node:
        raise NotImplementedError

    @property
    def origin(self) -> Origin:
        """The model, prompt and dictionary that the graph was computed from.

        Raises ValueError for a graph from a file, which has none of them.
        """
        if self._origin is None:
            raise ValueError(
                "This graph came from a file and has no model: compute it again with "
                "`attribute(model, prompt, ...)` to predict, measure or change anything."
            )
        return self._origin

    @property
    def has_model(self) -> bool:
        """Whether the graph knows the model it came from; one from a file does not."""
        return self._origin is not None

    @cached_property
    def replica(self) -> Replica:
        """The graph's linear model, made when first asked for: one run of the model."""
        return Replica(self.origin, self.table)

    def units_among(self, nodes: NodesLike) -> NDArray[np.int64]:
        """The places of nodes in the table, each once.

        Raises ValueError for no nodes, or for a node that is no feature or neuron; KeyError for an
        id that the graph does not have.
        """
        return effects.nodes_of(self.table, [self._index(n) for n in listed(nodes)])

    def predict(
        self,
        nodes: NodesLike,
        how: How = "direct",
        *,
        factor: float = 0.0,
        targets: NodesLike | None = None,
    ) -> Effects:
        """What the graph says follows when nodes are set to `factor` times their activations.

        Args:
            nodes: features or neurons; several are changed together.
            how: "edges" (one step), "direct" (paths of any length; attention patterns and norm scales
                frozen) or "total" (the live derivative, nothing frozen); see
                `attribution/effects.py`.
            factor: 0 ablates, −1 turns over, 2 doubles.
            targets: features, neurons or outputs; None: all outputs, and up to 20 nodes that the
                group writes to most strongly.

        A graph from a file answers "edges", and "direct" along its own edges.

        Raises ValueError for what cannot be changed or is no target, and KeyError for unknown ids.
        """
        index, wanted = self._asked(nodes, how, targets)
        if self._origin is None and how != "total":
            found = effects.predict_in_table(self.table, index, wanted, how, factor)
        else:
            self.origin  # noqa: B018 - raises its sentence for a graph from a file
            found = effects.predict(self.replica, index, wanted, how, factor)
        return self._effects(
            "predicted", how, factor, index, wanted, self.table.value[wanted], *found
        )

    def measure(
        self,
        nodes: NodesLike,
        how: How = "total",
        *,
        factor: float = 0.0,
        targets: NodesLike | None = None,
    ) -> Effects:
        """What follows in the model when nodes are set to `factor` times their activations.

        Args as in `predict`. how: "edges" (everything else held), "direct" (attention patterns and
        norm scales held) or "total" (everything free).

        Raises ValueError as `predict` does, and for a graph from a file.
        """
        index, wanted = self._asked(nodes, how, targets)
        replica = self.replica
        run = self.group(index).clamp(times=factor)
        found = measured.measure(replica, Readings(replica, wanted), [run], how)
        change = found.changes[0].double().cpu().numpy()
        before, after = (
            torch.softmax(x.double(), -1) for x in (found.base_logits, found.logits[0])
        )
        table = self.table
        tokens = [i for i in wanted if table.kind[i] == OUTPUT and table.feature[i] < len(before)]
        probability = {
            table.ids[i]: (float(before[table.feature[i]]), float(after[table.feature[i]]))
            for i in tokens
        }
        base = found.base.float().cpu().numpy()
        return self._effects("measured", how, factor, index, wanted, base, change, {}, probability)

    def faithfulness(
        self,
        nodes: NodesLike | None = None,
        *,
        n: int = 60,
        factor: float = 0.0,
        target: str | tuple[str, str] | None = None,
        how: Sequence[How] = ("direct", "total"),
        draws: int = DRAWS,
        seed: int = 0,
        progress: Progress | None = None,
        cancelled: Callable[[], None] | None = None,
        offer: Callable[[Faithfulness], None] | None = None,
    ) -> Faithfulness:
        """Predicted against measured for many nodes, one at a time, with random graphs beside.

        Args:
            nodes: which features or neurons. None: the n/2 strongest by influence and as many at
                random from the others.
            n: how many, where none are given.
            factor: what each activation is multiplied by; 0 ablates.
            target: an output's id or name, or two for their difference. None: the difference of
                the two most probable tokens if the graph has two, else its first output.
            how: which predictions and measurements; see `predict`.
            draws: how many random graphs the control takes.
            seed: of the random nodes, the random graphs and the bootstrap.
            progress: called with the share done and a sentence.
            cancelled: called between runs; raises to stop.
            offer: called with the nodes that are measured so far, as a result of its own.

        A run takes time: to keep a notebook free, `Job(lambda job: graph.faithfulness(
        progress=job.report, cancelled=job.check), changed)`.

        Raises ValueError as `predict` does, for a target that is no output, and for fewer than
        three nodes; KeyError for unknown ids.
        """
        self.origin  # noqa: B018 - raises its sentence for a graph from a file
        for one in how:
            effects.check_how(one)
        strongest: NDArray[np.bool_] | None = None
        if nodes is None:
            chosen, strongest = choose(self, n, seed)
        else:
            chosen = self.units_among(nodes)
        if len(chosen) < 3:
            raise ValueError(
                f"A correlation needs at least three nodes, and these are {len(chosen)}."
            )
        return faithfulness(
            self,
            chosen,
            strongest,
            metric_of(self, target),
            hows=how,
            factor=factor,
            draws=draws,
            seed=seed,
            progress=progress,
            cancelled=cancelled,
            offer=offer,
        )

    def swap(
        self,
        out: NodesLike,
        into: Nodes,
        *,
        at: int | Mapping[int, int] | None = None,
        strength: float = 1.0,
        attention: Attention = "free",
        controls: int = CONTROLS,
        seed: int = 0,
        progress: Progress | None = None,
        cancelled: Callable[[], None] | None = None,
    ) -> Swap:
        """Exchange a group for another graph's, on this graph's prompt: Texas for California.

        Args:
            out: features or neurons of this graph; they are set to 0.
            into: nodes of another graph over the same dictionary (`other.features("california")`);
                they are set to their activations there.
            at: where they go: one position, or position there to position here. None: in order, if
                both groups stand at as many positions; else the same positions, if both prompts are
                equally long.
            strength: what the other group's activations are multiplied by.
            attention: "free", or "frozen" to hold the patterns of this prompt.
            controls: so many random swaps of the same size.
            progress, cancelled: as in `faithfulness`.

        Raises ValueError for nodes that cannot be changed, for groups of two dictionaries, and where
        it is not clear where the other group goes.
        """
        return swap(
            self,
            self.units_among(out),
            into,
            at=at,
            strength=strength,
            attention=attention,
            controls=controls,
            seed=seed,
            progress=progress,
            cancelled=cancelled,
        )

    def suggest_groups(self, threshold: float = 0.8, seed: int = 0) -> list[Proposal]:
        """Supernodes that could be made of the nodes that pruning keeps; nothing is changed.

        Args:
            threshold: of pruning, the share of the influence kept.
            seed: of the random groups that stand beside each proposal.

        Accept one with `accept`.
        """
        return suggest(self, self.prune(threshold).nodes, seed)

    def accept(self, proposal: Proposal) -> None:
        """Make a proposal a supernode, in the notes and in the view.

        Raises KeyError if it names a node that the graph does not have.
        """
        for id in proposal.ids:
            self._index(id)
        groups = [*self.notes.groups, [proposal.name, *proposal.ids]]
        if "view" in self.__dict__:  # it writes the notes itself
            self.__dict__["view"].groups = groups
        else:
            self.notes.groups = groups

    def label_of(self, i: int) -> str:
        """A node's name: the user's own label, or the one that came with the graph."""
        return self.notes.labels.get(self.table.ids[i], self.table.names[i])

    def _asked(
        self, nodes: NodesLike, how: How, targets: NodesLike | None
    ) -> tuple[NDArray[np.int64], NDArray[np.integer]]:
        effects.check_how(how)
        index = self.units_among(nodes)
        named = None
        if targets is not None:
            named = np.array([self._index(t) for t in listed(targets)], dtype=np.int64)
        return index, effects.targets_of(self.table, index, named)

    def _effects(
        self,
        kind: effects.Kind,
        how: How,
        factor: float,
        nodes: NDArray[np.integer],
        targets: NDArray[np.integer],
        value: NDArray[np.floating],
        change: NDArray[np.floating],
        parts: Mapping[str, NDArray[np.floating]],
        probability: dict[str, tuple[float, float]] | None = None,
    ) -> Effects:
        ids = self.table.ids
        return Effects(
            kind=kind,
            how=how,
            factor=factor,
            nodes=tuple(ids[i] for i in nodes),
            targets=tuple(ids[i] for i in targets),
            value=value.astype(np.float32),
            change=change.astype(np.float32),
            parts={name: values.astype(np.float32) for name, values in parts.items()},
            probability=probability or {},
        )

    def group(self, index: Iterable[int]) -> Nodes:
        """Nodes by their places in the table."""
        return Nodes((self._node(int(i)) for i in index), self)


def listed(nodes: NodesLike) -> Sequence[NodeLike]:
    """One node or several, as a list."""
    return [nodes] if isinstance(nodes, (str, Node)) else nodes
