"""What an intervention does, and where along the prompt: plain values.

An operation takes what stands at a target and gives what is put there instead:

    Clamp(v)       v, whatever was there          Scale(f)       f times what was there
    Add(a, w)      plus a (times the vector w)    Ablate(m)      0, or the mean m
    Patch(p)       what a run on the prompt p     ProjectOut(u)  what is left without the
                   has there                                     direction u: x - (x . u) u / |u|^2

All are frozen, hashable and small to print; a Vector is compared by its content.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .errors import InterventionError


@dataclass(frozen=True, repr=False)
class Vector:
    """Numbers along one axis, kept as little-endian float32; use `Vector.of`.

    The name is for readers and no part of what is compared or hashed.
    """

    data: bytes
    name: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not self.data or len(self.data) % 4:
            raise InterventionError("A vector holds float32 numbers, at least one.")
        if not np.isfinite(self._numbers()).all():
            raise InterventionError(f"{self!r} holds NaN or infinity.")

    @classmethod
    def of(cls, values: Vector | Tensor | Sequence[float], name: str = "") -> Vector:
        """From numbers [d]; a Vector stays as it is, with the name if one is given.

        Raises InterventionError unless the values are one axis of finite numbers.
        """
        if isinstance(values, Vector):
            return cls(values.data, name or values.name)
        held = torch.as_tensor(values).detach().to("cpu", torch.float32)
        if held.ndim != 1:
            raise InterventionError(
                f"A vector has one axis, but these numbers have shape {list(held.shape)}."
            )
        return cls(held.numpy().astype("<f4").tobytes(), name)

    def tensor(
        self, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
    ) -> Tensor:
        """[d], a copy."""
        return torch.from_numpy(self._numbers().astype(np.float32)).to(device, dtype)

    @property
    def norm(self) -> float:
        return float(np.linalg.norm(self._numbers().astype(np.float64)))

    def __len__(self) -> int:
        return len(self.data) // 4

    def __repr__(self) -> str:
        name = f"{self.name!r}, " if self.name else ""
        return f"Vector({name}{len(self):,} numbers, norm {self.norm:.3g})"

    def __str__(self) -> str:
        return self.name or f"a vector of norm {self.norm:.3g}"

    def _numbers(self) -> Any:
        return np.frombuffer(self.data, dtype="<f4")


# Positions. Negative ones count from the prompt's end; position 0 is the special token in front.


@dataclass(frozen=True)
class Everywhere:
    """Every position, of the prompt and of generated text."""

    def below(self, stop: int, prompt_length: int) -> Sequence[int]:
        return range(stop)

    def __str__(self) -> str:
        return "everywhere"


@dataclass(frozen=True)
class At:
    """These positions."""

    positions: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "positions", whole_numbers(self.positions, "positions"))

    def below(self, stop: int, prompt_length: int) -> Sequence[int]:
        found = {_from_the_front(p, prompt_length) for p in self.positions}
        return sorted(p for p in found if p < stop)

    def __str__(self) -> str:
        return ("at position " if len(self.positions) == 1 else "at positions ") + ", ".join(
            str(p).replace("-", "−") for p in self.positions
        )


@dataclass(frozen=True)
class From:
    """From a position on, also over generated text."""

    start: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", whole_numbers((self.start,), "positions")[0])

    def below(self, stop: int, prompt_length: int) -> Sequence[int]:
        return range(_from_the_front(self.start, prompt_length), stop)

    def __str__(self) -> str:
        return f"from position {self.start} on".replace("-", "−")


@dataclass(frozen=True)
class Generated:
    """The positions of generated tokens, behind the prompt."""

    def below(self, stop: int, prompt_length: int) -> Sequence[int]:
        return range(prompt_length, stop)

    def __str__(self) -> str:
        return "on generated tokens"


Positions = Everywhere | At | From | Generated


def _from_the_front(position: int, prompt_length: int) -> int:
    if position >= 0:
        return position
    if position < -prompt_length:
        raise InterventionError(
            f"There is no position {position} in a prompt of {prompt_length} tokens."
        )
    return prompt_length + position


# Operations

Numbers = float | tuple[float, ...]  # one for all units, or one for each


@dataclass(frozen=True)
class Clamp:
    """What is put there: numbers for features and neurons, a vector elsewhere."""

    value: Numbers | Vector

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", _value(self.value, "Clamp"))

    def __str__(self) -> str:
        return f"= {shown(self.value)}"


@dataclass(frozen=True)
class Scale:
    """What stands there, times a factor."""

    factor: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "factor", _number(self.factor, "Scale"))

    def __str__(self) -> str:
        return f"× {shown(self.factor)}"


@dataclass(frozen=True)
class Add:
    """An amount more: of the feature's or neuron's activation, or times a vector elsewhere."""

    amount: Numbers
    vector: Vector | None = None

    def __post_init__(self) -> None:
        amount = _value(self.amount, "Add")
        if isinstance(amount, Vector):
            raise InterventionError("Add takes an amount first, and the vector behind it.")
        object.__setattr__(self, "amount", amount)
        if self.vector is not None:
            if isinstance(amount, tuple):
                raise InterventionError("Add takes one amount of a vector, not several.")
            object.__setattr__(self, "vector", Vector.of(self.vector))

    def __str__(self) -> str:
        if isinstance(self.amount, tuple):
            return f"+ {shown(self.amount)}"
        sign, size = ("−" if self.amount < 0 else "+"), shown(abs(self.amount))
        return f"{sign} {size}" + ("" if self.vector is None else f" × {self.vector}")


@dataclass(frozen=True)
class Ablate:
    """Nothing (0), or a mean that stands for no information."""

    mean: Numbers | Vector | None = None

    def __post_init__(self) -> None:
        if self.mean is not None:
            object.__setattr__(self, "mean", _value(self.mean, "Ablate"))

    def __str__(self) -> str:
        return "ablated" if self.mean is None else f"ablated to the mean {shown(self.mean)}"


@dataclass(frozen=True)
class Patch:
    """What an unchanged run on another prompt has there: counterfactual resampling.

    positions: which positions of that run, one for all or one for each position written (in
        ascending order); None: the same ones.
    """

    prompt: str | tuple[int, ...]
    positions: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.prompt, str):
            ids = self.prompt
            ids = ids.reshape(-1).tolist() if isinstance(ids, Tensor) else ids
            object.__setattr__(self, "prompt", whole_numbers(ids, "token ids"))
        if self.positions is not None:
            object.__setattr__(self, "positions", whole_numbers(self.positions, "positions"))

    def __str__(self) -> str:
        prompt = self.prompt if isinstance(self.prompt, str) else f"{len(self.prompt)} token ids"
        where = "" if self.positions is None else f" ({At(self.positions)})"
        return f"as in “{prompt if len(prompt) <= 40 else prompt[:39] + '…'}”{where}"


@dataclass(frozen=True)
class ProjectOut:
    """What is left without a direction; the direction's length does not matter."""

    vector: Vector

    def __post_init__(self) -> None:
        object.__setattr__(self, "vector", Vector.of(self.vector))
        if self.vector.norm == 0:
            raise InterventionError("A vector of zeros has no direction to project out.")

    def __str__(self) -> str:
        return f"without the direction {self.vector}"


Operation = Clamp | Scale | Add | Ablate | Patch | ProjectOut


def is_identity(operation: Operation) -> bool:
    """Whether it leaves every value as it is, to the last bit."""
    match operation:
        case Scale(factor):
            return factor == 1
        case Add(amount, vector):
            nothing = amount == 0 if isinstance(amount, float) else not any(amount)
            return nothing or (vector is not None and vector.norm == 0)
    return False


def applied(operation: Operation, x: Tensor, patched: Tensor | None) -> Tensor:
    """What is put in the place of x.

    Args:
        x: [position, unit] for numbers, [position, unit, width] for vectors.
        patched: for Patch, what the other run has there, as x.
    """
    match operation:
        case Clamp(value):
            return _spread(value, x)
        case Scale(factor):
            return x * factor
        case Add(amount, vector) if vector is None:
            return x + _spread(amount, x)
        case Add(amount, vector):
            return x + _spread(vector, x) * float(amount)  # type: ignore[arg-type]
        case Ablate(mean):
            return torch.zeros_like(x) if mean is None else _spread(mean, x)
        case ProjectOut(vector):
            direction = _spread(vector, x[:1]).to(torch.float64)
            # Of directions for each unit, one may be zero: then that unit keeps all.
            length = direction.norm(dim=-1, keepdim=True).clamp(min=1e-300)
            direction = (direction / length).to(x)
            return x - (x * direction).sum(-1, keepdim=True) * direction
    assert patched is not None
    return patched.to(x)


def _spread(value: Numbers | Vector, x: Tensor) -> Tensor:
    if isinstance(value, Vector):
        held = value.tensor(x.dtype, x.device)
        return (held if len(held) == x.shape[-1] else held.view(x.shape[1:])).expand_as(x)
    return torch.as_tensor(value, dtype=x.dtype, device=x.device).expand_as(x)


def shown(value: Numbers | Vector) -> str:
    """A value as a reader sees it, with a real minus sign."""
    if isinstance(value, Vector):
        return str(value)
    numbers = value if isinstance(value, tuple) else (value,)
    return ", ".join(f"{v:.4g}".replace("-", "−") for v in numbers)


def whole_numbers(values: Any, what: str) -> tuple[int, ...]:
    """As a tuple of ints; raises InterventionError if there are none or one is no whole number."""
    held = tuple(values.tolist()) if isinstance(values, Tensor) else values
    held = tuple(held) if isinstance(held, Iterable) else (held,)
    for value in held:
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise InterventionError(
                f"{what[0].upper()}{what[1:]} are whole numbers, and {value!r} is not."
            )
    if not held:
        raise InterventionError(f"There are no {what}: give at least one.")
    return tuple(int(value) for value in held)


def _number(value: Any, what: str) -> float:
    try:
        held = float(value)
    except (TypeError, ValueError, RuntimeError):
        held = math.nan
    if not math.isfinite(held):
        raise InterventionError(f"{what} takes finite numbers, and {value!r} is none.")
    return held


def _value(value: Any, what: str) -> Numbers | Vector:
    if isinstance(value, Vector):
        return value
    if isinstance(value, Tensor) and value.ndim:
        value = value.detach().tolist()
    if isinstance(value, Sequence) and not isinstance(value, str):
        if not value:
            raise InterventionError(f"{what} was given no numbers: give one, or one for each.")
        return tuple(_number(v, what) for v in value)
    return _number(value, what)
