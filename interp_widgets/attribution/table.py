"""GraphTable: an attribution graph as arrays, which is what is computed, stored and sent.

Nodes are sorted: features (or neurons) by (layer, position, feature), then errors (or
remainders) by (layer, position), then tokens, then outputs. Edges are CSR by target, because
a target's incoming edges are what sums to its value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

FEATURE, ERROR, TOKEN, OUTPUT = 0, 1, 2, 3
KIND_NAMES = ("feature", "error", "token", "output")


@dataclass(frozen=True, eq=False)
class GraphTable:
    """Nodes, edges and what they are about. All arrays are read-only by convention.

    Nodes, [node] each:
        ids: unique, opaque strings.
        kind: 0 feature or neuron, 1 error or remainder, 2 token, 3 output target.
        layer: -1 for tokens, n_layers for outputs.
        position: token position.
        feature: index in its layer; the token id for tokens and outputs; -1 otherwise.
        activation: NaN where there is none.
        value: what incoming edges and bias add up to (a pre-activation; for an output, the
            target's value before a softcap); NaN where nothing was attributed.
        bias: the part of `value` that comes from no node (encoder and decoder biases, norm
            biases, learned positions, MLP outputs at the first position).
        hidden: the part of `value` that comes from units outside the node budget; 0 when all
            units are nodes.
        probability: of an output token, NaN otherwise.
        effect: live gradient x activation on the weighted targets, NaN where not computed.
        target_weight: w in the definition of influence; 0 but for outputs.
        names: a label that came with the graph, or "".
    Edges:
        ptr: [node + 1]; source: [edge]; weight: [edge], the direct effect with attention
        patterns and norm scales frozen.
    And:
        cumulative: cumulative influence scores that came with a pruned graph file, whose own
            edges no longer give them; None for a graph computed here.
        settings: how the graph was made.
    """

    prompt: str
    tokens: tuple[str, ...]
    n_layers: int
    unit: str
    error_name: str
    scan: str
    model: str
    ids: tuple[str, ...]
    names: tuple[str, ...]
    kind: NDArray[np.uint8]
    layer: NDArray[np.int16]
    position: NDArray[np.int32]
    feature: NDArray[np.int32]
    activation: NDArray[np.float32]
    value: NDArray[np.float32]
    bias: NDArray[np.float32]
    hidden: NDArray[np.float32]
    probability: NDArray[np.float32]
    effect: NDArray[np.float32]
    target_weight: NDArray[np.float32]
    ptr: NDArray[np.int64]
    source: NDArray[np.int32]
    weight: NDArray[np.float32]
    cumulative: NDArray[np.float32] | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def n_nodes(self) -> int:
        return len(self.kind)

    @property
    def n_edges(self) -> int:
        return len(self.source)

    @property
    def level(self) -> NDArray[np.int32]:
        """Order of computation: what writes later has the larger level, [node].

        Within a block features are read before anything is written, so a feature and the
        error of its block share a level.
        """
        return self.layer.astype(np.int32)


def node_id(kind: int, layer: int, position: int, feature: int) -> str:
    """circuit-tracer's node ids, except for errors, whose ids collide there with layer 0's
    features: `0_{layer}_{position}` is also feature `layer` of layer 0."""
    if kind == FEATURE:
        return f"{layer}_{feature}_{position}"
    if kind == ERROR:
        return f"{layer}_error_{position}"
    if kind == TOKEN:
        return f"E_{feature}_{position}"
    return f"{layer + 1}_{feature}_{position}"
