"""What an index says of a unit (a feature, neuron or direction), as values to read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Entries:
    """Where one unit is active.

    position: int64 [n], ascending; counts the indexed tokens. value: float32 [n], never 0; the
    activations rounded to float16, as they are stored.
    """

    position: NDArray[np.int64]
    value: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.position)


@dataclass(frozen=True)
class Example:
    """A piece of text with one unit's activations on it.

    tokens: what each token adds to the text; activations: 0 where it is not active; trigger: the
    token it is an example of, as an index into tokens; position: the same token's place in the
    index; document: the number of the text it comes from.
    """

    tokens: tuple[str, ...]
    activations: tuple[float, ...]
    trigger: int
    position: int
    document: int


@dataclass(frozen=True)
class Group:
    """Examples of like strength. low, high: the weakest and strongest activation of all active
    tokens in the group, of which `examples` are some, evenly spaced in rank."""

    name: str
    low: float
    high: float
    examples: tuple[Example, ...]


@dataclass(frozen=True, eq=False)
class Histogram:
    """How often each strength occurs: counts [bins] between edges [bins + 1]."""

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]


@dataclass(frozen=True)
class Together:
    """A unit that is active on the same tokens. count: on how many of them; jaccard: that, as a
    share of the tokens on which at least one of the two is active."""

    layer: int
    feature: int
    count: int
    jaccard: float


@dataclass(frozen=True)
class TokenWeight:
    """A token of the vocabulary and how much something adds to its logit."""

    token: str
    id: int
    value: float


@dataclass(frozen=True)
class Neighbour:
    """Another unit, and how much it has to do with this one (of which kind, the list says)."""

    layer: int
    feature: int
    value: float


@dataclass(frozen=True)
class Control:
    """What chance gives: mean, and the range that holds 95% of so many draws."""

    value: float
    low: float
    high: float
    draws: int
