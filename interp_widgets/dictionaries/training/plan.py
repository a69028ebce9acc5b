"""What a training is from beginning to end, and what was changed on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from interp_widgets.dictionaries.training import checkpoint
from interp_widgets.dictionaries.training.specs import Spec


@dataclass(frozen=True)
class Plan:
    """What a training is from beginning to end; written into every checkpoint.

    tokens: to train on, over all processes. batch: tokens per step. lr: peaks, one per spec.
    rows, context: of a forward pass. groups: forward passes per block of the buffer.
    dtype: of the encoder's product. text: where the text is, if it is a file, folder or store.
    """

    specs: tuple[Spec, ...]
    lr: tuple[float, ...]
    tokens: int
    batch: int
    warmup: float
    decay: float
    sparsity_warmup: float | None
    seed: int
    rows: int
    context: int
    groups: int
    dtype: str
    checkpoint_every: int
    model_name: str = ""
    text: str | None = None
    store: bool = False

    @property
    def steps(self) -> int:
        return self.tokens // self.batch

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"specs": [checkpoint.spec_to_json(spec) for spec in self.specs]}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Plan:
        specs = tuple(checkpoint.spec_from_json(spec) for spec in plain["specs"])
        return cls(**{**plain, "specs": specs, "lr": tuple(plain["lr"])})


@dataclass(frozen=True)
class Change:
    """A setting that was changed while it trained: in force from `step` on."""

    step: int
    tokens: int
    name: str
    what: str
    old: float
    new: float
