"""Runs with something changed, by PyTorch hooks written by hand: nothing from the package.

A change is (layer, site, function of the value there). Frozen attention writes the queries and keys
of a first run back; constrained layers write its MLP outputs back; with all of them constrained
every norm is computed with the scale that it had in the first run.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from plain_places import hooks
from plain_runs import norm_bias, norm_weight, parts
from torch import Tensor, nn

Change = tuple[int, str, Callable[[Tensor], Tensor | None]]
# The stream in the middle of a block, to be read at the time: the hooks of plain_places for
# "resid_mid" wait for the block's output.
INTO_THE_NORM = "into the norm"


@torch.no_grad()
def plain_logits(hf: Any, ids: Tensor, changes: Iterable[Change] = ()) -> Tensor:
    """[position, vocab] of token ids [position]; changes see [position, d]."""
    with ExitStack() as stack:
        for layer, site, fn in changes:
            if site == INTO_THE_NORM:
                stack.enter_context(_into_the_norm(parts(hf).blocks[layer].mlp_norm, fn))
            else:
                stack.enter_context(hooks(hf, layer, site, _one_prompt(fn)))
        logits: Tensor = hf(input_ids=ids[None], use_cache=False).logits
    return logits[0]


@contextmanager
def _into_the_norm(norm: nn.Module, fn: Callable[[Tensor], Any]) -> Iterator[None]:
    def hook(_: Any, args: Any) -> None:
        fn(args[0][0])

    handle = norm.register_forward_pre_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def _one_prompt(fn: Callable[[Tensor], Tensor | None]) -> Callable[[Tensor], Tensor | None]:
    def whole(x: Tensor) -> Tensor | None:
        new = fn(x[0])
        return None if new is None else new[None]

    return whole


def record(hf: Any, ids: Tensor, places: Iterable[tuple[int, str]]) -> dict[Any, Tensor]:
    """What a plain run has at places, [position, d] (patterns [head, query, key])."""
    held: dict[Any, Tensor] = {}

    def keep(where: tuple[int, str]) -> Callable[[Tensor], None]:
        return lambda x: held.update({where: x.clone()})

    plain_logits(hf, ids, [(layer, site, keep((layer, site))) for layer, site in places])
    return held


def frozen_attention(hf: Any, ids: Tensor) -> list[Change]:
    """Queries and keys of the unchanged run, put back in every block."""
    places = [(i, s) for i in range(len(parts(hf).blocks)) for s in ("attn_q", "attn_k")]
    base = record(hf, ids, places)
    return [(*place, lambda x, place=place: base[place]) for place in places]


def held_mlps(hf: Any, ids: Tensor, layers: Collection[int], site: str) -> list[Change]:
    """What the MLPs of these layers give in the unchanged run, put back."""
    base = record(hf, ids, [(layer, site) for layer in layers])
    return [(layer, site, lambda x, i=layer: base[i, site]) for layer in layers]


class FrozenNorms:
    """While it is open, every norm divides by what it divided by in the unchanged run."""

    def __init__(self, hf: Any, ids: Tensor) -> None:
        p = parts(hf)
        self.norms: list[Any] = [p.final_norm]
        for b in p.blocks:
            four = (b.attn_norm, b.attn_post_norm, b.mlp_norm, b.mlp_post_norm)
            self.norms += [norm for norm in four if norm is not None]
        self.scales: dict[nn.Module, Tensor] = {}
        with ExitStack() as stack:
            for norm in self.norms:
                stack.callback(norm.register_forward_hook(self._remember).remove)
            plain_logits(hf, ids)

    def __enter__(self) -> None:
        self.handles = [norm.register_forward_hook(self._scaled) for norm in self.norms]

    def __exit__(self, *_: Any) -> None:
        for handle in self.handles:
            handle.remove()

    def _remember(self, norm: Any, args: Any, out: Tensor) -> None:
        x = _centred(norm, args[0])
        epsilon = norm.eps if hasattr(norm, "eps") else norm.variance_epsilon
        self.scales[norm] = 1 / (x.pow(2).mean(-1, keepdim=True) + epsilon).sqrt()

    def _scaled(self, norm: Any, args: Any, out: Tensor) -> Tensor:
        return norm_weight(norm) * _centred(norm, args[0]) * self.scales[norm] + norm_bias(norm)


def _centred(norm: nn.Module, x: Tensor) -> Tensor:
    return x - x.mean(-1, keepdim=True) if isinstance(norm, nn.LayerNorm) else x
