"""Running the organism on rows, reading and exchanging vectors on the way.

All functions take rows that end where the answer is asked for, so the prediction is read at each
row's last token. Rows are padded at the end, which a causal network does not see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from .documents import Row
from .network import Block, Llama, Part
from .training import padded

Put = Mapping[tuple[Part, int], Tensor]
"""(part, block) -> vectors [row, d_model] to stand there; "residual" is the stream after a block."""

_BATCH = 512


def predict(
    network: Llama,
    rows: Sequence[Row],
    put: Put | None = None,
    at: Sequence[int] | None = None,
    add: Put | None = None,
) -> Tensor:
    """The most probable next token of each row, [row]."""
    return last_logits(network, rows, put, at, add).argmax(-1)


@torch.no_grad()
def last_logits(
    network: Llama,
    rows: Sequence[Row],
    put: Put | None = None,
    at: Sequence[int] | None = None,
    add: Put | None = None,
) -> Tensor:
    """Logits at the end of each row, [row, vocabulary].

    Args:
        put, add: vectors that replace what the network computes, or are added to it.
        at: the position in each row where they are put; None: the last piece of its name.
    """
    place = torch.tensor([row.last for row in rows] if at is None else list(at))
    found = []
    for here in torch.arange(len(rows)).split(_BATCH):
        some = [rows[int(i)] for i in here]
        ends = torch.tensor([len(row.ids) - 1 for row in some])
        with ExitStack() as stack:
            for (part, block), vectors in (put or {}).items():
                edit = _writing(place[here], vectors[here], keep=0.0)
                stack.enter_context(hooked(network, part, block, edit))
            for (part, block), vectors in (add or {}).items():
                edit = _writing(place[here], vectors[here], keep=1.0)
                stack.enter_context(hooked(network, part, block, edit))
            logits = network(padded(some))
        found.append(logits[torch.arange(len(some)), ends])
    return torch.cat(found)


@torch.no_grad()
def read(
    network: Llama, rows: Sequence[Row], places: Sequence[tuple[Part, int]]
) -> dict[tuple[Part, int], Tensor]:
    """What stands at the last piece of each row's name: [row, d_model] for every place."""
    seen: dict[tuple[Part, int], list[Tensor]] = {place: [] for place in places}
    for here in torch.arange(len(rows)).split(_BATCH):
        some = [rows[int(i)] for i in here]
        at = torch.arange(len(some)), torch.tensor([row.last for row in some])
        with ExitStack() as stack:
            for place in places:
                stack.enter_context(hooked(network, *place, _keeping(at, seen[place])))
            network(padded(some))
    return {place: torch.cat(found) for place, found in seen.items()}


@contextmanager
def hooked(
    network: Llama, part: Part, block: int, edit: Callable[[Tensor], Tensor | None]
) -> Iterator[None]:
    """While open, edit sees [row, position, d_model] at a place; what it returns goes on."""
    layer: Block = network.layers[block]  # type: ignore[assignment]
    modules: dict[str, nn.Module] = {
        "residual": layer,
        "mlp": layer.mlp,
        "attention": layer.self_attn,
    }

    def hook(module: nn.Module, inputs: Any, output: Tensor) -> Tensor | None:
        return edit(output)

    handle = modules[part].register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def _keeping(at: tuple[Tensor, Tensor], found: list[Tensor]) -> Callable[[Tensor], None]:
    def keep(x: Tensor) -> None:
        found.append(x[at])

    return keep


def _writing(place: Tensor, vectors: Tensor, keep: float) -> Callable[[Tensor], Tensor]:
    index = torch.arange(len(place))

    def write(x: Tensor) -> Tensor:
        changed = x.clone()
        changed[index, place] = keep * x[index, place] + vectors
        return changed

    return write
