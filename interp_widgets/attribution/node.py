"""Nodes and edges of a graph, one at a time, as values to read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Node:
    """One node, as a value to read.

    kind: "feature", "neuron", "error", "token" or "output"; layer: -1 for tokens, n_layers for
    outputs; influence: share of the targets that flows through it; effect: live gradient x
    activation on the targets, None where not computed.
    """

    id: str
    kind: str
    label: str
    layer: int
    position: int
    token: str
    feature: int
    activation: float | None
    influence: float
    effect: float | None

    @property
    def place(self) -> str:
        """Where it is, for a reader: L4/117 at "las"."""
        at = f'at "{self.token}"'
        if self.kind in ("feature", "neuron"):
            return f"L{self.layer}/{self.feature} {at}"
        return f"L{self.layer} {self.kind} {at}" if self.kind == "error" else f"{self.kind} {at}"

    def __repr__(self) -> str:
        name = f"{self.label!r}, " if self.label else ""
        return f"Node({name}{self.place}, influence {self.influence:.3f})"


@dataclass(frozen=True)
class Edge:
    """A direct effect: how much `source` adds to `target`'s value, attention frozen."""

    source: Node
    target: Node
    weight: float
