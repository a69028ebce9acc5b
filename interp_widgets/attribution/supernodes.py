"""Which nodes go together: proposals for supernodes, from what nodes read and what they write.

Two nodes play the same role if they take their inputs from the same nodes and pass them on to the same
nodes. With N the edges, each row divided by the sum of its absolute values, node i has two profiles
over the nodes that pruning keeps,

    in_i = N[i, :]  and  out_i = N[:, i],     likeness_ij = (cos(in_i, in_j) + cos(out_i, out_j)) / 2.

Nodes at one token are joined bottom-up (average linkage: the two groups with the largest mean likeness
over pairs) until no two groups are alike enough. A shared name counts for it, two different names
against it, and so does every layer in between: a supernode is one step of a story, and a story goes
up. Without randomness, so the same graph always gives the same proposals.

Proposals are nothing but proposals: `Graph.accept` writes one into the notes. Beside the likeness
inside each stands that of groups of the same size, drawn from the same token.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .scores import Floats, normalised
from .table import FEATURE, GraphTable

if TYPE_CHECKING:
    from .acting import Acting

MOST_NODES = 300
#: Groups are joined as long as they are so much alike.
ENOUGH = 0.5
_SAME_NAME, _OTHER_NAME, _PER_LAYER = 0.25, -0.6, -0.05
_DRAWS = 200


@dataclass(frozen=True)
class Proposal:
    """A supernode that may be accepted.

    ids: strongest first; reason: a sentence; cohesion: mean likeness over its pairs, −1 to 1;
    control: the same for random groups of this size at the same token: mean, and the range that
    holds 95% of `draws` of them.
    """

    name: str
    ids: tuple[str, ...]
    reason: str
    cohesion: float
    control: tuple[float, float, float]
    draws: int

    def __repr__(self) -> str:
        mean, low, high = self.control
        return (
            f"Proposal({self.name!r}, {len(self.ids)} nodes, likeness {self.cohesion:.2f}; "
            f"{self.draws} random groups {mean:.2f} [{low:.2f}, {high:.2f}])"
        ).replace("-", "−")


def suggest(graph: Acting, kept: NDArray[np.bool_], seed: int = 0) -> list[Proposal]:
    """Proposals among the kept features or neurons that are in no group yet, strongest first.

    Args:
        graph: the graph.
        kept: [node] bool, what pruning leaves.
        seed: of the random groups.
    """
    table = graph.table
    grouped = {id for group in graph.notes.groups for id in group[1:]}
    free = kept & (table.kind == FEATURE) & ~np.isin(table.ids, list(grouped))
    order = np.flatnonzero(free)
    order = np.sort(order[np.argsort(-graph.influence[order], kind="stable")][:MOST_NODES])
    if len(order) < 2:
        return []
    like = likeness(table, order, np.flatnonzero(kept))
    names = [graph.label_of(int(i)) for i in order]
    groups = _joined(_bonus(table, order, names) + like, table.position[order])
    rng = np.random.default_rng(seed)
    found = [_proposal(graph, order, group, like, names, rng) for group in groups if len(group) > 1]
    weight = {
        id: float(graph.influence[i]) for id, i in zip(table.ids, range(table.n_nodes), strict=True)
    }
    return sorted(found, key=lambda p: -sum(weight[id] for id in p.ids))


def likeness(table: GraphTable, nodes: NDArray[np.integer], among: NDArray[np.integer]) -> Floats:
    """Mean cosine of the in- and the out-profiles of `nodes` over the nodes `among`: [n, n]."""
    share = np.sign(table.weight) * normalised(table.ptr, table.weight)
    column = np.full(table.n_nodes, -1, dtype=np.int64)
    column[among] = np.arange(len(among))
    row = np.full(table.n_nodes, -1, dtype=np.int64)
    row[nodes] = np.arange(len(nodes))
    target = np.repeat(np.arange(table.n_nodes), np.diff(table.ptr))
    reads, writes = np.zeros((len(nodes), len(among))), np.zeros((len(nodes), len(among)))
    into = (row[target] >= 0) & (column[table.source] >= 0)
    reads[row[target[into]], column[table.source[into]]] = share[into]
    out = (row[table.source] >= 0) & (column[target] >= 0)
    writes[row[table.source[out]], column[target[out]]] = share[out]
    return np.asarray((_cosines(reads) + _cosines(writes)) / 2)


def _cosines(profiles: Floats) -> Floats:
    """[n, n]; 0 with an empty profile, which says nothing."""
    size = np.linalg.norm(profiles, axis=1, keepdims=True)
    unit = profiles / np.where(size > 0, size, 1)
    return np.asarray(unit @ unit.T)


def _bonus(table: GraphTable, nodes: NDArray[np.integer], names: list[str]) -> Floats:
    """What names and layers add to the likeness, [n, n]."""
    name = np.array([n.strip().lower() for n in names])
    both = (name != "")[:, None] & (name != "")
    same = name[:, None] == name
    layer = table.layer[nodes].astype(np.int64)
    apart = np.abs(layer[:, None] - layer)
    return np.where(both, np.where(same, _SAME_NAME, _OTHER_NAME), 0.0) + _PER_LAYER * apart


def _joined(score: Floats, position: NDArray[np.integer]) -> list[list[int]]:
    """Average linkage inside each position; groups of places in `score`, each sorted."""
    score = np.where(position[:, None] == position, score, -np.inf)
    np.fill_diagonal(score, -np.inf)
    groups = [[i] for i in range(len(position))]
    alive = np.ones(len(groups), dtype=bool)
    while True:
        flat = int(np.argmax(score))  # the first of equals
        a, b = divmod(flat, len(groups))
        if not score[a, b] >= ENOUGH:
            return [sorted(g) for g, lives in zip(groups, alive, strict=True) if lives]
        a, b = min(a, b), max(a, b)
        n, m = len(groups[a]), len(groups[b])
        mixed = (n * score[a] + m * score[b]) / (n + m)
        mixed[[a, b]] = -np.inf
        score[a], score[:, a] = mixed, mixed
        score[b], score[:, b] = -np.inf, -np.inf
        groups[a] += groups[b]
        alive[b] = False


def _proposal(
    graph: Acting,
    order: NDArray[np.integer],
    group: list[int],
    like: Floats,
    names: list[str],
    rng: np.random.Generator,
) -> Proposal:
    table = graph.table
    nodes = order[group]
    strongest = nodes[np.argsort(-graph.influence[nodes], kind="stable")]
    token = table.tokens[table.position[nodes[0]]]
    layers = sorted(set(table.layer[nodes].tolist()))
    span = f"L{layers[0]}" if len(layers) == 1 else f"L{layers[0]}–{layers[-1]}"
    named = Counter(names[i] for i in group if names[i].strip())
    common, times = named.most_common(1)[0] if named else ("", 0)
    # One name among several nodes names that node, not the group.
    name = common if times > 1 or 2 * times >= len(group) else f'{span} at "{token}"'
    quoted = common if common.startswith("“") else f"“{common}”"
    if times == len(group):
        alike = f"all named {quoted}"
    elif times > 1:
        alike = f"{times} of {len(group)} named {quoted}"
    else:
        alike = f"{table.unit}s that read from and write to the same nodes"
    cohesion = _inside(like, group)
    same_token = np.flatnonzero(table.position[order] == table.position[nodes[0]])
    draws = [
        _inside(like, rng.choice(same_token, len(group), replace=False).tolist())
        for _ in range(_DRAWS)
    ]
    low, high = np.percentile(draws, [2.5, 97.5])
    if len(same_token) == len(group):
        alike += "; nothing else is at this token"
    return Proposal(
        name=name,
        ids=tuple(table.ids[i] for i in strongest),
        reason=f'{len(group)} {table.unit}s at "{token}", {span}: {alike}; likeness {cohesion:.2f}.',
        cohesion=cohesion,
        control=(float(np.mean(draws)), float(low), float(high)),
        draws=_DRAWS,
    )


def _inside(like: Floats, group: list[int]) -> float:
    """Mean over the pairs of a group."""
    pairs = np.triu_indices(len(group), 1)
    return float(like[np.ix_(group, group)][pairs].mean())
