"""What training reads: groups of rows of tokens, and the vectors a model has there.

A group is what one forward pass takes. Its token ids are known at once; its vectors are computed
when somebody asks, all places on that one pass, which ends behind the last of them. So of several
processes each can skip the groups of the others, and a training that goes on can find its place
by looking at token ids alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Protocol

import torch
from torch import Tensor

from interp_widgets.dictionaries.rows import finite
from interp_widgets.dictionaries.training.corpus import Corpus, Position
from interp_widgets.models import Model, Place


@dataclass(frozen=True)
class Group:
    """Rows of tokens that go through the model together.

    Attributes:
        rows: [row, context] token ids.
        kept: bool [row, context], the positions that are trained on.
        read: the vectors there, per place [n, d], n = kept positions in reading order.
    """

    rows: Tensor
    kept: Tensor
    read: Callable[[], Mapping[Place, Tensor]]


class Source(Protocol):
    """Groups from a text through a model, or from a store on disk."""

    def groups(self, start: Position) -> Iterator[tuple[Group, Position]]:
        """Groups from `start` on, each with the position behind it."""

    @property
    def widths(self) -> Mapping[Place, int]:
        """The places that can be read, and the width of the vectors there."""

    @property
    def fingerprint(self) -> str:
        """What tells this text from another, or ""."""


class TextStream:
    """A model's vectors while it reads a text.

    Args:
        model: what reads.
        corpus: the rows it reads.
        places: what is kept of each pass.
        rows: per forward pass.
    """

    def __init__(self, model: Model, corpus: Corpus, places: Sequence[Place], rows: int) -> None:
        self._model, self._corpus, self._places, self._rows = model, corpus, places, rows
        probe = torch.zeros(1, 1, dtype=torch.int64)
        seen = model.run(probe, read=places, logits=False).seen
        self.widths = {place: value.shape[-1] for place, value in seen.items()}
        self.fingerprint = corpus.fingerprint

    def groups(self, start: Position) -> Iterator[tuple[Group, Position]]:
        rows = self._corpus.rows(start)
        while some := list(islice(rows, self._rows)):
            ids = torch.stack([row for row, _ in some])
            kept = self._corpus.trained_on(ids)
            yield Group(ids, kept, partial(self._read, ids, kept)), some[-1][1]

    def _read(self, ids: Tensor, kept: Tensor) -> dict[Place, Tensor]:
        seen = self._model.run(ids, read=self._places, logits=False).seen
        where = kept.to(self._model.device)
        name = self._model.name
        return {place: finite(x[where], f"{place} of {name}") for place, x in seen.items()}
