"""Compute an attribution graph, step by step.

1. Run the model once; record the stream, attention patterns and MLP outputs (models/).
2. Freeze patterns and norm scales; choose the output targets (targets.py).
3. Find the units: active features of a dictionary, or the neurons with the largest live
   effect (units.py, neurons.py).
4. Pull the outputs back through the linear model: their rows of direct effects (sweep.py).
5. While the node budget lasts: rank the units by their influence over the rows so far, pull
   the best ones back, rank again. Without a budget, pull all of them back.
6. Keep rows and columns of the chosen units: the graph (table.py).

This is the algorithm of Ameisen et al. 2025 as circuit-tracer implements it (steps 4 and 5
give the same nodes and edges); the pull-back replaces its backward passes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from ..dictionaries import Dictionary
from ..models import FrozenModel, Model, PromptError
from ..models.model import Prompt
from .memory import SWEEP_ROWS, check_memory
from .neurons import random_neurons, strongest_neurons
from .rows import EdgeRows
from .sweep import EMBEDDING, Targets
from .table import ERROR, FEATURE, OUTPUT, TOKEN, GraphTable, node_id
from .targets import OutputTargets, TargetLike, output_targets
from .units import Features, Units

# A partial graph is offered this often, in seconds, and rarer if making one takes long: the time
# between two offers is at least so many times what the last one took.
_OFFER_EVERY = 0.4
_OFFER_REST = 4
DEFAULT_NEURONS = 1000

Offer = Callable[[GraphTable, float, str], None]


@torch.no_grad()
def trace(
    model: Model,
    prompt: Prompt,
    dictionary: Dictionary | None = None,
    targets: TargetLike | Sequence[TargetLike] | None = None,
    *,
    max_nodes: int | None = None,
    rank_every: int | None = None,
    max_targets: int = 10,
    min_probability: float = 0.95,
    like: GraphTable | None = None,
    seed: int = 0,
    offer: Offer | None = None,
    cancelled: Callable[[], None] = lambda: None,
) -> GraphTable:
    """The attribution graph of a prompt. Blocks until done; see `interp_widgets.attribute`.

    Args:
        model: the model.
        prompt: text or token ids.
        dictionary: transcoders or a cross-layer transcoder; None draws MLP neurons.
        targets: see `output_targets`; None takes the most probable next tokens.
        max_nodes: how many features or neurons at most. None: all active features, or 1000
            neurons.
        rank_every: how many features join between two rankings (default max_nodes / 16, at
            least 64; smaller is a better choice of nodes and slower).
        max_targets, min_probability: for automatic targets.
        like: a control for this graph, drawn with `seed`: as many random neurons in every block
            and position as it has; or its own features, with decoders in random directions.
        offer: called with a partial graph, the fraction done and a sentence, a few times a
            second.
        cancelled: called often; raises to stop.

    Raises PromptError, ModelError, DictionaryError, or OutOfMemory, each a sentence.
    """
    if max_nodes is not None and max_nodes < 1:
        raise PromptError(f"max_nodes is {max_nodes}: a graph needs at least one node.")
    recording = model.record(prompt, neurons=dictionary is None)
    cancelled()
    frozen = FrozenModel(model, recording)
    outputs = output_targets(
        frozen, targets, max_targets=max_targets, min_probability=min_probability
    )
    units: Units
    if dictionary is not None:
        units = Features(frozen, dictionary, None if like is None else seed)
    elif like is not None:
        units = random_neurons(frozen, like, seed)
    else:
        units = strongest_neurons(frozen, outputs, max_nodes or DEFAULT_NEURONS)
    cancelled()
    if like is not None:
        max_nodes = int((like.kind == FEATURE).sum())
    run = _Run(frozen, outputs, units, max_nodes, rank_every, offer, cancelled)
    run.rows_of_outputs()
    if like is not None and dictionary is not None:  # random neurons are drawn already
        run.rows_of_units(_units_of(like, units))
    else:
        run.rows_of_units()
    return run.table()


def _units_of(graph: GraphTable, units: Units) -> Tensor:
    """Which of the units are nodes of a graph."""
    shown = set(graph.ids)
    places = zip(units.layer.tolist(), units.position.tolist(), units.feature.tolist(), strict=True)
    here = [i for i, place in enumerate(places) if node_id(FEATURE, *place) in shown]
    return torch.tensor(here, dtype=torch.int64, device=units.layer.device)


class _Run:
    """The rows computed so far; alive for one call of `trace`."""

    def __init__(
        self,
        frozen: FrozenModel,
        outputs: OutputTargets,
        units: Units,
        max_nodes: int | None,
        rank_every: int | None,
        offer: Offer | None,
        cancelled: Callable[[], None],
    ) -> None:
        self.frozen, self.outputs, self.units = frozen, outputs, units
        self.edges = EdgeRows(frozen, units)
        self.offer, self.cancelled = offer, cancelled
        self.wanted = min(max_nodes or self.edges.n_units, self.edges.n_units)
        self.rank_every = rank_every or max(64, self.wanted // 16)
        self.n_outputs = len(outputs)
        check_memory(self.edges, self.wanted, self.n_outputs)
        device, dtype = frozen.recording.embedding.device, frozen.dtype
        n_rows = self.n_outputs + self.wanted
        self.matrix = torch.zeros(n_rows, self.edges.n_sources, dtype=dtype, device=device)
        self.bias = torch.zeros(n_rows, dtype=dtype, device=device)
        self.sums = torch.zeros(n_rows, dtype=dtype, device=device)
        self.unit_of_row = torch.full((n_rows,), -1, dtype=torch.int64, device=device)
        self.done = self.n_outputs
        self._next_offer = 0.0

    def rows_of_outputs(self) -> None:
        frozen, outputs = self.frozen, self.outputs
        vectors, constant = frozen.read_final(outputs.vectors)
        k, device = self.n_outputs, vectors.device
        targets = Targets(
            layer=torch.full((k,), frozen.n_layers, device=device),
            position=torch.full((k,), frozen.n_positions - 1, device=device),
            vector=vectors,
            constant=constant + outputs.constant.to(constant),
        )
        self.output_value = vectors @ frozen.recording.resid_final[-1] + targets.constant
        self._compute(targets, slice(0, k), "direct effects on the output")

    def rows_of_units(self, chosen: Tensor | None = None) -> None:
        """Rows of the best units within the budget, or of the ones given."""
        if chosen is not None:
            self._add(chosen)
            return
        if self.wanted == self.edges.n_units:
            # Later blocks first, so that the picture grows from the output down.
            self._add(torch.arange(self.edges.n_units - 1, -1, -1, device=self.bias.device))
            return
        visited = torch.zeros(self.edges.n_units, dtype=torch.bool, device=self.bias.device)
        left = self.wanted
        while left:
            order = torch.argsort(self._influence(), descending=True)
            queue = order[~visited[order]][: min(self.rank_every, left)]
            visited[queue] = True
            left -= len(queue)
            self._add(queue)

    def _add(self, queue: Tensor) -> None:
        for batch in queue.split(max(16, SWEEP_ROWS // self.frozen.n_positions)):
            rows = slice(self.done, self.done + len(batch))
            self.unit_of_row[rows] = batch
            self._compute(self.units.readers(batch), rows, f"edges between {self.units.name}s")

    def _compute(self, targets: Targets, rows: slice, what: str) -> None:
        n_layers = self.frozen.n_layers

        def site_done(layer: int) -> None:
            if self.offer is None or time.monotonic() < self._next_offer:
                return
            began = time.monotonic()
            swept = (n_layers - layer) / (n_layers + 1)
            part = (rows.start + swept * (rows.stop - rows.start)) / len(self.bias)
            at = "embeddings" if layer == EMBEDDING else f"layer {layer}"
            self.offer(self.table(rows.stop), part, f"{what}, {at}")
            now = time.monotonic()
            self._next_offer = now + max(_OFFER_EVERY, _OFFER_REST * (now - began))

        self.edges.compute(
            targets,
            self.matrix[rows],
            self.bias[rows],
            site_done=site_done,
            cancelled=self.cancelled,
        )
        self.sums[rows] = torch.linalg.vector_norm(self.matrix[rows], ord=1, dim=1)
        self.done = rows.stop

    def _influence(self) -> Tensor:
        """Influence of every unit on the outputs over the rows so far, [unit]."""
        n_units = self.edges.n_units
        share = 1 / self.sums.clamp(min=1e-8)
        k = self.n_outputs
        weight = self.outputs.weight.to(share)
        total = (weight * share[:k]) @ self.matrix[:k, :n_units].abs()
        units = self.unit_of_row[k : self.done]
        layers = self.units.layer[units]
        first = torch.searchsorted(
            self.units.layer, torch.arange(self.frozen.n_layers + 1).to(layers)
        )
        for layer in layers.unique().flip(0).tolist():
            rows = k + (layers == layer).nonzero()[:, 0]
            # Sources of a unit lie in earlier blocks: a prefix of the columns.
            below = int(first[layer])
            passed = total[self.unit_of_row[rows]] * share[rows]
            total[:below] += passed @ self.matrix[rows, :below].abs()
        return total

    def table(self, n_rows: int | None = None) -> GraphTable:
        """The graph with the rows that exist or are being computed.

        Its nodes are the units with rows, or all of them where all will have one: then nothing
        moves while the edges arrive.
        """
        n_rows = n_rows or self.done
        k, n_units = self.n_outputs, self.edges.n_units
        row_of_unit = torch.full_like(self.units.layer, -1)
        row_of_unit[self.unit_of_row[k:n_rows]] = torch.arange(k, n_rows).to(row_of_unit)
        units = torch.arange(n_units).to(row_of_unit)
        if self.wanted < n_units:
            units = units[row_of_unit >= 0]
        rows = row_of_unit[units]
        columns = torch.cat([units, torch.arange(n_units, self.edges.n_sources).to(units)])
        n = len(columns) + k
        has_row = np.zeros(n, dtype=bool)
        has_row[: len(units)] = (rows >= 0).cpu().numpy()
        has_row[n - k :] = True
        rows = torch.cat([rows[rows >= 0], torch.arange(k).to(rows)])
        counts, sources, weights = np.zeros(n, dtype=np.int64), [], []
        hidden = np.full(n, np.nan, dtype=np.float32)
        places = np.flatnonzero(has_row)
        cuts = range(1024, len(places), 1024)
        for part, at in zip(rows.split(1024), np.split(places, cuts), strict=True):
            every = self.matrix[part]
            shown = every[:, columns]
            hidden[at] = (every.sum(1) - shown.sum(1)).float().cpu().numpy()
            flat = shown.cpu().numpy().ravel()
            entries = np.flatnonzero(flat)
            counts[at] = np.bincount(entries // len(columns), minlength=len(at))
            sources.append((entries % len(columns)).astype(np.int32))
            weights.append(flat[entries].astype(np.float32, copy=False))
        return self._package(
            units,
            rows,
            has_row,
            hidden,
            np.concatenate([[0], np.cumsum(counts)]),
            np.concatenate(sources),
            np.concatenate(weights),
        )

    def _package(
        self,
        units: Tensor,
        rows: Tensor,
        has_row: np.ndarray,
        hidden: np.ndarray,
        ptr: np.ndarray,
        source: np.ndarray,
        weight: np.ndarray,
    ) -> GraphTable:
        frozen, outputs, u = self.frozen, self.outputs, self.units
        n_layers, n = frozen.n_layers, frozen.n_positions
        tokens = frozen.recording.token_ids.cpu()
        # A target that is not a token gets a number past the vocabulary, as in circuit-tracer.
        vocab = len(frozen.recording.logits)
        output_id = [i if i >= 0 else vocab + j for j, i in enumerate(outputs.token_id.tolist())]
        blocks, places = torch.arange(n_layers), torch.arange(n)

        def nodes(
            of_units: Tensor, of_errors: Tensor, of_tokens: Tensor, of_outputs: Tensor
        ) -> np.ndarray:
            parts = (of_units, of_errors, of_tokens, of_outputs)
            return torch.cat([p.double().cpu() for p in parts]).numpy()

        def unknown(*shape: int) -> Tensor:
            return torch.full(shape, float("nan"))

        k, m = len(outputs), len(units)
        kind = np.repeat([FEATURE, ERROR, TOKEN, OUTPUT], [m, n_layers * n, n, k]).astype(np.uint8)
        layer = nodes(
            u.layer[units],
            blocks.repeat_interleave(n),
            torch.full((n,), -1),
            torch.full((k,), n_layers),
        ).astype(np.int16)
        position = nodes(
            u.position[units], places.repeat(n_layers), places, torch.full((k,), n - 1)
        ).astype(np.int32)
        feature = nodes(
            u.feature[units], torch.full((n_layers * n,), -1), tokens, torch.tensor(output_id)
        ).astype(np.int32)
        effect = u.effect
        value = nodes(u.value[units], unknown(n_layers * n), unknown(n), self.output_value)
        value = np.where(has_row, value, np.nan).astype(np.float32)
        bias = np.full(len(kind), np.nan, dtype=np.float32)
        bias[has_row] = self.bias[rows].float().cpu().numpy()
        named = zip(u.layer[units].tolist(), u.feature[units].tolist(), strict=True)
        names = [u.label(*place) for place in named] + [""] * (n_layers * n)
        names += [*frozen.recording.tokens, *outputs.names]
        ids = tuple(
            node_id(*four)
            for four in zip(
                kind.tolist(), layer.tolist(), position.tolist(), feature.tolist(), strict=True
            )
        )
        return GraphTable(
            prompt=frozen.recording.prompt,
            tokens=frozen.recording.tokens,
            n_layers=n_layers,
            unit=u.name,
            error_name=u.error_name,
            scan=u.scan,
            model=frozen.model.name,
            ids=ids,
            names=tuple(names),
            kind=kind,
            layer=layer,
            position=position,
            feature=feature,
            activation=nodes(
                u.activation[units], unknown(n_layers * n), unknown(n), unknown(k)
            ).astype(np.float32),
            value=value,
            bias=bias,
            hidden=hidden,
            probability=nodes(
                unknown(m), unknown(n_layers * n), unknown(n), outputs.probability
            ).astype(np.float32),
            effect=(
                np.full(len(kind), np.nan, dtype=np.float32)
                if effect is None
                else nodes(effect[units], unknown(n_layers * n), unknown(n), unknown(k)).astype(
                    np.float32
                )
            ),
            target_weight=nodes(
                torch.zeros(m), torch.zeros(n_layers * n), torch.zeros(n), outputs.weight
            ).astype(np.float32),
            ptr=ptr,
            source=source,
            weight=weight,
            settings={
                "weights": frozen.model.origin,
                "max_nodes": int(self.wanted),
                "units_active": int(self.edges.n_units),
                "rank_every": int(self.rank_every),
            },
        )
