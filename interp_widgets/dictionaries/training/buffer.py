"""The mixing buffer: batches whose tokens come from far apart in the text.

The text is read in blocks of equally many groups (stream.py). Half of each block, drawn by a
seeded permutation, is served together with the half of the block before that was held back, in
an order drawn anew:

    round t serves  shuffle( second half of shuffle(block t-1)  +  first half of shuffle(block t) )

So a batch mixes two blocks, the buffer is refilled by half, as elsewhere, and what it holds
follows from two blocks of text alone. Nothing of it has to be saved: a checkpoint names the round,
the batch and where the two blocks begin, a training that goes on reads them again, and a checksum
of the next batch tells whether this machine computed the same bits. (Saving would cost gigabytes
per checkpoint for a deep model; a buffer whose survivors are as old as they like could not be
recomputed at all.)

A block's groups are dealt to LANES lanes and every lane gives the same share of each batch. A
process of several takes some of the lanes, so all processes together see the batches of one.
What is left over at the end of a round, less than a batch beside the lanes' inequality, is not
trained on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice

import torch
from torch import Tensor

from interp_widgets.dictionaries.errors import DictionaryError
from interp_widgets.dictionaries.training.corpus import Position
from interp_widgets.dictionaries.training.stream import Group, Source
from interp_widgets.models import Place

LANES = 8
START = Position()

Vectors = Mapping[Place, Tensor]


@dataclass(frozen=True)
class Cursor:
    """Where a buffer is.

    Attributes:
        round: the round that is served.
        batch: the batch that comes next in it.
        before: where the block before this round's begins (unused in round 0).
        start: where this round's block begins.
    """

    round: int = 0
    batch: int = 0
    before: Position = START
    start: Position = START


@dataclass(frozen=True)
class Sample:
    """Some rows of the newest block, in reading order, to look for examples in.

    rows: [row, context] token ids; kept: bool, the same shape; vectors: per place [n kept, d].
    """

    rows: Tensor
    kept: Tensor
    vectors: Vectors


@dataclass(frozen=True)
class _Block:
    now: list[Vectors]  # per lane of this process
    later: list[Vectors]
    sizes: list[tuple[int, int]]  # per lane, of all processes: tokens in now and in later
    sample: Sample


class MixingBuffer:
    """Serves batches; see above.

    Args:
        source: where groups come from.
        batch: tokens per batch over all processes, a multiple of LANES.
        groups: groups per block, a multiple of LANES.
        seed: of all permutations.
        cursor: where to begin.
        rank, world: which of how many processes this is; LANES is a multiple of `world`.
        reading: called with the share of a block that was read; may raise to stop.

    Raises DictionaryError for numbers that do not divide.
    """

    def __init__(
        self,
        source: Source,
        *,
        batch: int,
        groups: int,
        seed: int,
        cursor: Cursor | None = None,
        rank: int = 0,
        world: int = 1,
        reading: Callable[[float], None] = lambda share: None,
    ) -> None:
        if batch < LANES or batch % LANES:
            raise DictionaryError(f"A batch is a multiple of {LANES} tokens, not {batch}.")
        if LANES % world:
            raise DictionaryError(f"Train with 1, 2, 4 or {LANES} processes, not {world}.")
        self.cursor = cursor or Cursor()
        self._source, self._n_groups, self._seed = source, groups, seed
        self._share = batch // LANES
        self._lanes = range(rank * LANES // world, (rank + 1) * LANES // world)
        self._reading = reading
        self._stream: Iterator[tuple[Group, Position]] | None = None
        self._next = Position()  # where the block after this round's begins
        self._block: _Block | None = None
        self._pools: list[tuple[Vectors, Tensor]] = []  # per lane, vectors and their order
        self._n_batches = 0
        self._ended = False

    def next(self) -> Vectors | None:
        """The next batch, per place [batch / world, d]; None when the text has ended.

        Raises DictionaryError for a text that ends before the buffer was filled once, or blocks
        that are smaller than a batch.
        """
        if not self._ready():
            return None
        batch = self._batch(self.cursor.batch)
        self.cursor = replace(self.cursor, batch=self.cursor.batch + 1)
        return batch

    def fill(self) -> None:
        """Read now what the next batch needs, if that is not there."""
        self._ready()

    def release(self) -> None:
        """Let go of what is held; it is read again if another batch is asked for."""
        self._block, self._pools, self._stream = None, [], None

    def checksum(self) -> int | None:
        """A number that follows from the bits of the next batch; None where it is not read yet."""
        if self._block is None or self.cursor.batch >= self._n_batches:
            return None
        total = 0
        for _, x in sorted(self._batch(self.cursor.batch).items()):
            bits = {2: torch.int16, 4: torch.int32, 8: torch.int64}[x.element_size()]
            whole = int(x.contiguous().view(bits).sum(dtype=torch.int64))
            total = (31 * total + whole) % 2**53
        return total

    @property
    def sample(self) -> Sample | None:
        """Rows to look for examples in, others in every round; None before the first."""
        return None if self._block is None else self._block.sample

    def _ready(self) -> bool:
        """Whether there is a next batch; reads blocks where that is needed."""
        if self._ended:
            return False
        at = self.cursor
        if self._block is None:  # the beginning, or a reading that was broken off
            self._stream = self._source.groups(at.start if at.round == 0 else at.before)
            self._next = at.start
            if not self._enter(self._read(at.round - 1) if at.round else None):
                raise DictionaryError(
                    "The text ends before the buffer is filled once: give more text or a "
                    "smaller buffer."
                )
        while self.cursor.batch >= self._n_batches:
            served, before = self.cursor, self._block
            self.cursor = Cursor(served.round + 1, 0, served.start, self._next)
            if not self._enter(before):
                self.cursor, self._ended = served, True
                return False
        return True

    def _enter(self, before: _Block | None) -> bool:
        """Read the block of the cursor's round and mix it; False where the text has ended."""
        self._block, self._pools = None, []  # room for what is read
        round = self.cursor.round
        block = self._read(round)
        if block is None:
            return False
        held = [size[1] for size in before.sizes] if before else [0] * LANES
        self._n_batches = min(
            (old + size[0]) // self._share for old, size in zip(held, block.sizes, strict=True)
        )
        if not self._n_batches and round > 0:
            raise DictionaryError(
                f"The buffer holds fewer tokens than a batch of {self._share * LANES}: make it "
                "several times larger than a batch."
            )
        for i, lane in enumerate(self._lanes):
            pool = block.now[i]
            if before:
                pool = {place: torch.cat([before.later[i][place], x]) for place, x in pool.items()}
            size = len(next(iter(pool.values())))
            order = torch.randperm(size, generator=self._random("serve", round, lane))
            self._pools.append((pool, order))
        self._block = replace(block, now=[])
        return True

    def _read(self, index: int) -> _Block | None:
        assert self._stream is not None
        groups = []
        for group, behind in islice(self._stream, self._n_groups):
            groups.append(group)
            self._next = behind
        if len(groups) < self._n_groups:
            return None
        mine = [groups[lane::LANES] for lane in self._lanes]
        total = sum(map(len, mine))
        done = 0
        nows: list[Vectors] = []
        laters: list[Vectors] = []
        sample: Sample | None = None
        for lane, lane_groups in zip(self._lanes, mine, strict=True):
            parts = []
            for group in lane_groups:
                self._reading(done / total)
                parts.append(group.read())
                done += 1
            sample = sample or Sample(lane_groups[0].rows, lane_groups[0].kept, parts[0])
            whole = {place: torch.cat([part[place] for part in parts]) for place in parts[0]}
            size = len(next(iter(whole.values())))
            order = torch.randperm(size, generator=self._random("split", index, lane))
            now, later = order[: (size + 1) // 2], order[(size + 1) // 2 :]
            nows.append({place: x[now.to(x.device)] for place, x in whole.items()})
            laters.append({place: x[later.to(x.device)] for place, x in whole.items()})
        assert sample is not None
        sizes = [sum(int(g.kept.sum()) for g in groups[lane::LANES]) for lane in range(LANES)]
        return _Block(nows, laters, [((n + 1) // 2, n // 2) for n in sizes], sample)

    def _batch(self, index: int) -> dict[Place, Tensor]:
        chosen = slice(index * self._share, (index + 1) * self._share)
        return {
            place: torch.cat(
                [pool[place][order[chosen].to(x.device)] for pool, order in self._pools]
            )
            for place, x in self._pools[0][0].items()
        }

    def _random(self, what: str, round: int, lane: int) -> torch.Generator:
        name = f"{self._seed} {what} {round} {lane}".encode()
        seed = int.from_bytes(hashlib.sha256(name).digest()[:7], "big")
        return torch.Generator().manual_seed(seed)
