"""Rows of the edge matrix: for a batch of targets, the direct effect of every source.

Sources are ordered as nodes are: units, errors by (block, position), tokens. A row is filled
site by site while `pull_back` carries the gradient down, so the rows of all targets grow from
the output downwards together.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ..models import FrozenModel
from .sweep import EMBEDDING, Site, Targets, pull_back
from .units import Units


class EdgeRows:
    """The sources of a graph, and the rows computed from them."""

    def __init__(self, frozen: FrozenModel, units: Units) -> None:
        self.frozen = frozen
        self.units = units
        self.n_units = len(units.layer)
        self.n_sources = self.n_units + (frozen.n_layers + 1) * frozen.n_positions
        self._tokens = frozen.recording.embedding

    def error_column(self, layer: int, position: int) -> int:
        return self.n_units + layer * self.frozen.n_positions + position

    def compute(
        self,
        targets: Targets,
        out: Tensor,
        bias: Tensor,
        *,
        site_done: Callable[[int], None] = lambda layer: None,
        cancelled: Callable[[], None] = lambda: None,
    ) -> None:
        """Fill `out` [target, source] (zeros on entry) and `bias` [target].

        site_done: called with the block after each site; EMBEDDING is the last.
        """
        for site in pull_back(
            self.frozen,
            targets,
            written=self.units.constant,
            through_mlp=self.units.through_mlp,
            bias=bias,
            cancelled=cancelled,
        ):
            if site.layer == EMBEDDING:
                self._add_tokens(site, out)
            else:
                self._add_block(site, out)
            site_done(site.layer)

    def _add_block(self, site: Site, out: Tensor) -> None:
        writes, errors = self.units.writes(site.layer), self.units.errors[site.layer]
        rows, m = site.rows, len(writes.unit)
        effect = out.new_zeros(len(rows), m + len(errors))
        for q, seen, gradient in site.positions():
            start, stop = writes.start[q], writes.start[q + 1]
            effect[: len(seen), start:stop] = gradient @ writes.vectors[start:stop].T
            effect[: len(seen), m + q] = gradient @ errors[q]
        first = self.error_column(site.layer, 0)
        out[rows, first : first + len(errors)] = effect[:, m:]
        # A cross-layer feature writes at several blocks: its effects add up.
        out[rows[:, None], writes.unit] += effect[:, :m]

    def _add_tokens(self, site: Site, out: Tensor) -> None:
        first = self.error_column(self.frozen.n_layers, 0)
        for q, seen, gradient in site.positions():
            out[seen, first + q] = gradient @ self._tokens[q]
