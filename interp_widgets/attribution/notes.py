"""What a user did to a graph: plain values, changed in place, saved with the graph."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Notes:
    """Selection, pins, groups and labels. Nodes are named by their ids.

    selected: the last one is what the panel shows; groups: [name, id, id, ...] each (a
    supernode); labels: id to the user's own label; threshold: the share of influence that the
    view keeps.
    """

    selected: list[str] = field(default_factory=list)
    pinned: list[str] = field(default_factory=list)
    groups: list[list[str]] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    threshold: float = 0.8
