"""Graph: what `attribute` returns; shows itself, fills while it computes, answers questions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..files import write_whole
from ..jobs import Filling, Job
from . import documents, storage
from .acting import Acting
from .group import Nodes
from .node import Edge, Node
from .notes import Notes
from .replica import Origin
from .scores import (
    Pruning,
    Scores,
    cumulative_influence,
    node_influence,
    prune,
    row_sums,
    scores,
)
from .table import FEATURE, KIND_NAMES, OUTPUT, TOKEN, GraphTable

if TYPE_CHECKING:
    from ..views import GraphView


class Graph(Acting, Filling[GraphTable]):
    """An attribution graph.

    As the last line of a cell it shows itself and fills while it computes. Everything that
    needs the complete graph waits for it, `selected` and its like too, because they describe
    nodes; the ids alone, in `notes` and `view`, can be read at any time.

    It remembers the model it came from, so it can be asked what would follow from a change and
    what does follow: `predict`, `measure`, `faithfulness`, `swap` (acting.py).

    Made by `interp_widgets.attribute`, `Graph.load` or `Graph.from_json`.
    """

    def __init__(self, table: GraphTable | None = None, notes: Notes | None = None) -> None:
        super().__init__()
        self.notes = notes or Notes()
        self._table = table

    @classmethod
    def computing(
        cls, trace: Callable[..., GraphTable], prompt: str, origin: Origin | None = None
    ) -> Graph:
        """A graph whose table `trace(offer=, cancelled=)` computes in the background."""
        graph = cls()
        graph._prompt, graph._trace, graph._origin = prompt, trace, origin

        def work(job: Job[GraphTable]) -> GraphTable:
            def offer(table: GraphTable, progress: float, message: str) -> None:
                graph._table = table
                job.report(progress, message)

            graph._table = trace(offer=offer, cancelled=job.check)
            return graph._table

        def changed() -> None:
            graph._changed()
            if graph._job and graph._job.state == "done":
                graph._start_control()

        graph._job = Job(work, changed)
        graph._job.start()
        return graph

    def _start_control(self) -> None:
        """The scores of one control, behind the complete graph: the view shows them beside."""

        def work(job: Job[Scores]) -> Scores:
            return self._random_score(seed=0, cancelled=job.check)

        self._control = Job(work, self._changed)
        self._control.start()

    _prompt = ""
    _trace: Callable[..., GraphTable] | None = None
    _control: Job[Scores] | None = None

    # --- while it computes -------------------------------------------------------------------

    def cancel(self) -> None:
        """Stop computing. The edges computed so far stay in `so_far` and in the view."""
        for job in (self._job, self._control):
            if job:
                job.cancel()

    @property
    def so_far(self) -> GraphTable | None:
        """The part that is computed; None before the first edges."""
        return self._table

    # --- the graph ---------------------------------------------------------------------------

    @property
    def table(self) -> GraphTable:
        """The complete graph as arrays."""
        self.wait()
        assert self._table is not None
        return self._table

    @cached_property
    def influence(self) -> NDArray[np.floating]:
        """Share of the targets that flows through each node, [node]; see `scores`."""
        return node_influence(self.table)

    @cached_property
    def cumulative(self) -> NDArray[np.floating]:
        """Share of all influence held by a node and the stronger ones, [node], 0 to 1."""
        return cumulative_influence(self.table, self.influence)

    @cached_property
    def scores(self) -> Scores:
        """Replacement and completeness: how much of the model the graph explains."""
        return scores(self.table, self.influence)

    @property
    def control(self) -> Scores | None:
        """`scores` of one control, see `random_scores`.

        Computed in the background after the graph; None until it is there, and for a graph from a
        file.
        """
        return self._control.result if self._control else None

    def random_scores(self, samples: int = 3, seed: int = 0) -> list[Scores]:
        """The control for `scores` on several samples; runs the model once for each.

        For neurons: graphs of as many random neurons in every layer and position. For features:
        the same features, with decoder vectors of the same lengths in random directions.

        Raises ValueError for a graph from a file, which has no model.
        """
        if self._trace is None:
            raise ValueError("A graph from a file has no model to draw random units from.")
        self.wait()
        return [self._random_score(seed + i) for i in range(samples)]

    def _random_score(self, seed: int, **signals: Any) -> Scores:
        assert self._trace is not None
        drawn = self._trace(like=self._table, seed=seed, **signals)
        return scores(drawn, node_influence(drawn))

    def prune(self, node_threshold: float = 0.8, edge_threshold: float = 0.98) -> Pruning:
        """Which nodes and edges carry these shares of the influence."""
        return prune(self.table, self.influence, node_threshold, edge_threshold)

    def adjacency(self) -> NDArray[np.float32]:
        """Dense [target, source]; order: features, errors by layer, tokens, outputs."""
        t = self.table
        out = np.zeros((t.n_nodes, t.n_nodes), dtype=np.float32)
        out[np.repeat(np.arange(t.n_nodes), np.diff(t.ptr)), t.source] = t.weight
        return out

    def residual(self) -> float:
        """Largest |edges + hidden + bias - value| over targets, relative to the largest value.

        The identity that makes a graph trustworthy: about 1e-6 in float32. NaN for a graph
        from a file, which carries no biases.
        """
        t = self.table
        total = row_sums(t.ptr, t.weight) + t.hidden + t.bias
        known = ~np.isnan(t.value)
        if not known.any():
            return float("nan")
        return float(np.abs(total - t.value)[known].max() / np.abs(t.value[known]).max())

    def nodes(self, query: str = "", kind: str | None = None) -> Nodes:
        """Nodes whose label or token contains `query`, strongest first."""
        wanted = query.lower()
        order = np.argsort(-self.influence, kind="stable")
        found = (
            n
            for n in self.group(order)
            if (kind is None or n.kind == kind)
            and (wanted in n.label.lower() or wanted in n.token.lower())
        )
        return Nodes(found, self)

    def features(self, query: str = "") -> Nodes:
        """Features (or neurons) whose label contains `query`, strongest first.

        They can be acted with: `graph.features("texas").scale(-2)` are interventions.
        """
        units = self.nodes(kind=self.table.unit)
        return Nodes((n for n in units if query.lower() in n.label.lower()), self)

    def node(self, id: str) -> Node:
        """The node with this id. Raises KeyError, naming a few ids, if there is none."""
        return self._node(self._index(id))

    def inputs(self, node: Node | str) -> list[Edge]:
        """Edges into a node, strongest first."""
        t, i = self.table, self._index(node)
        entries = np.arange(t.ptr[i], t.ptr[i + 1])
        return self._edges(entries, np.full(len(entries), i))

    def outputs(self, node: Node | str) -> list[Edge]:
        """Edges out of a node, strongest first."""
        t, i = self.table, self._index(node)
        entries = np.flatnonzero(t.source == i)
        return self._edges(entries, np.searchsorted(t.ptr, entries, side="right") - 1)

    # --- what a user did ---------------------------------------------------------------------

    @property
    def selected(self) -> Nodes:
        """What is selected in the view; the last one is what the panel shows."""
        return Nodes(map(self.node, self.notes.selected), self)

    @property
    def pinned(self) -> Nodes:
        """What is pinned in the view."""
        return Nodes(map(self.node, self.notes.pinned), self)

    @property
    def groups(self) -> dict[str, Nodes]:
        """Supernodes by name. Two of one name are numbered."""
        out: dict[str, Nodes] = {}
        for name, *ids in self.notes.groups:
            key, count = name, 2
            while key in out:
                key, count = f"{name} ({count})", count + 1
            out[key] = Nodes(map(self.node, ids), self)
        return out

    @cached_property
    def view(self) -> GraphView:
        """The widget; the same one wherever this graph is shown."""
        # A result shows itself: the one step from results to views, taken only when asked.
        from ..views.live import show

        return show(self)

    def to_html(self, title: str = "") -> str:
        """One page with this graph as it stands now, without kernel or network."""
        return self.view.to_html(title)

    # --- files -------------------------------------------------------------------------------

    def save(self, path: str | Path) -> Path:
        """Write everything to one safetensors file, to be read by `Graph.load`."""
        return storage.save(self.table, self.notes, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Graph:
        """Read what `save` wrote. Raises GraphFileError for a damaged or foreign file."""
        return cls(*storage.load(Path(path)))

    def to_json(
        self,
        path: str | Path | None = None,
        *,
        slug: str | None = None,
        node_threshold: float = 0.8,
        edge_threshold: float = 0.98,
    ) -> dict[str, Any]:
        """The pruned graph as circuit-tracer and Neuronpedia read it; thresholds of 1 keep all.

        slug: the graph's name in other tools; default: the one it came with, or "graph".
        Returns the document, and writes it if a path is given.
        """
        import json

        nodes = edges = None
        if (node_threshold, edge_threshold) != (1, 1):
            kept = self.prune(node_threshold, edge_threshold)
            marked = {i for group in self.notes.groups for i in group[1:]}
            marked |= {*self.notes.pinned, *self.notes.selected}
            # What a user marked stays in the file, however weak.
            nodes = kept.nodes | np.array([id in marked for id in self.table.ids])
            edges = kept.edges
        document = documents.to_document(
            self.table,
            self.notes,
            nodes,
            edges,
            self.cumulative,
            slug=slug or str(self.table.settings.get("slug", "graph")),
            node_threshold=node_threshold,
        )
        if path is not None:
            write_whole(path, json.dumps(document, allow_nan=False).encode())
        return document

    @classmethod
    def from_json(cls, document: dict[str, Any] | str | bytes | Path) -> Graph:
        """Read a graph file of circuit-tracer or Neuronpedia: a path, text, or parsed JSON.

        Raises GraphFileError, saying what is wrong and where.
        """
        return cls(*documents.from_document(document))

    # --- how it shows itself -----------------------------------------------------------------

    def __repr__(self) -> str:
        table = self._table
        what = repr(table.prompt if table else self._prompt)
        if self.state != "done" or table is None:
            progress, message = self.progress
            return f"Graph({what}, {self.state}, {progress:.0%}, {message})"
        s = self.scores
        units = int((table.kind == FEATURE).sum())
        return (
            f"Graph({what}, {units:,} {table.unit}s, {table.n_edges:,} edges, "
            f"replacement {s.replacement:.2f}, completeness {s.completeness:.2f})"
        )

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.view._repr_mimebundle_(**options)

    def _index(self, node: Node | str) -> int:
        id = node.id if isinstance(node, Node) else node
        try:
            return self._places[id]
        except KeyError:
            some = ", ".join(self.table.ids[:3])
            raise KeyError(f"The graph has no node {id!r}; ids look like {some}.") from None

    @cached_property
    def _places(self) -> dict[str, int]:
        return {id: i for i, id in enumerate(self.table.ids)}

    def _node(self, i: int) -> Node:
        t = self.table
        kind = t.unit if t.kind[i] == FEATURE else KIND_NAMES[t.kind[i]]

        def number(values: NDArray[np.float32]) -> float | None:
            return None if np.isnan(values[i]) else float(values[i])

        token = t.tokens[t.position[i]]
        name = t.names[i]
        return Node(
            id=t.ids[i],
            kind=kind,
            label=self.notes.labels.get(t.ids[i], name),
            layer=int(t.layer[i]),
            position=int(t.position[i]),
            token=name if t.kind[i] in (TOKEN, OUTPUT) and name else token,
            feature=int(t.feature[i]),
            activation=number(t.activation),
            influence=float(self.influence[i]),
            effect=number(t.effect),
        )

    def _edges(self, entries: NDArray[np.integer], target: NDArray[np.integer]) -> list[Edge]:
        t = self.table
        order: Sequence[int] = np.argsort(-np.abs(t.weight[entries]), kind="stable").tolist()

        def edges() -> Iterator[Edge]:
            for j in order:
                source = self._node(int(t.source[entries[j]]))
                yield Edge(source, self._node(int(target[j])), float(t.weight[entries[j]]))

        return list(edges())
