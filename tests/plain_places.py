"""Reading and writing the places of a forward pass with plain PyTorch hooks.

The stream in the middle of a block is nobody's output: there the block's output is computed
again from what is put in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from plain_runs import norm_bias, norm_weight, parts
from torch import Tensor, nn


def output_projection(attention: Any) -> nn.Module:
    names = ("o_proj", "c_proj", "dense")
    return next(getattr(attention, name) for name in names if hasattr(attention, name))


def normalized(x: Tensor, norm: nn.Module) -> Tensor:
    """The norm with its weight set to 1 and its bias to 0, in closed form."""
    if isinstance(norm, nn.LayerNorm):
        return nn.functional.layer_norm(x, x.shape[-1:], eps=norm.eps)
    epsilon = norm.eps if hasattr(norm, "eps") else norm.variance_epsilon
    return x / (x.pow(2).mean(-1, keepdim=True) + epsilon).sqrt()  # type: ignore[operator]


@contextmanager
def hooks(hf: Any, layer: int, site: str, fn: Callable[[Tensor], Tensor | None]) -> Iterator[None]:
    """fn(value at a place) in a plain forward pass; what it returns, if anything, replaces it."""
    b = parts(hf).blocks[layer]
    parallel = getattr(hf.config, "use_parallel_residual", False)

    def before(module: nn.Module) -> Any:
        def hook(_: Any, args: Any, kwargs: Any) -> Any:
            if args:
                new = fn(args[0])
                return None if new is None else ((new, *args[1:]), kwargs)
            new = fn(kwargs["hidden_states"])
            return None if new is None else (args, kwargs | {"hidden_states": new})

        return module.register_forward_pre_hook(hook, with_kwargs=True)

    def after(module: nn.Module) -> Any:
        def hook(_: Any, args: Any, out: Any) -> Any:
            new = fn(out[0] if isinstance(out, tuple) else out)
            return (new, *out[1:]) if new is not None and isinstance(out, tuple) else new

        return module.register_forward_hook(hook)

    def after_norm(module: nn.Module) -> Any:
        def hook(_: Any, args: Any, out: Tensor) -> Tensor | None:
            new = fn(normalized(args[0], module))
            return None if new is None else new * norm_weight(module) + norm_bias(module)

        return module.register_forward_hook(hook)

    def middle(block: nn.Module) -> Any:
        """The block's output, computed again from the stream in its middle."""
        held: dict[str, Tensor] = {}
        inner = [
            b.mlp_norm.register_forward_pre_hook(lambda m, args: held.update(mid=args[0].clone())),
            after_attention.register_forward_hook(
                lambda m, args, out: held.update(attn=out[0] if isinstance(out, tuple) else out)
            ),
        ]

        def hook(_: Any, args: Any, out: Tensor) -> Tensor | None:
            for handle in inner:
                handle.remove()
            new = fn(held["mid"])
            if new is None:
                return None
            written = b.mlp(b.mlp_norm(new))
            if b.mlp_post_norm is not None:
                written = b.mlp_post_norm(written)
            return new + written + (held["attn"] if parallel else 0)

        return block.register_forward_hook(hook)

    after_attention = b.attn_post_norm or b.attn

    def projected(index: int) -> Any:
        """Queries (0), keys (1) or values (2), wherever the family projects them."""
        family, heads = hf.config.model_type, hf.config.num_attention_heads
        if family not in ("gpt2", "gpt_neox"):
            return after(getattr(b.attn, ("q_proj", "k_proj", "v_proj")[index]))

        def hook(_: Any, args: Any, out: Tensor) -> Tensor | None:
            if family == "gpt2":
                thirds = list(out.chunk(3, -1))
            else:  # head by head, the three of each together
                thirds = [t.flatten(-2) for t in out.unflatten(-1, (heads, -1)).chunk(3, -1)]
            new = fn(thirds[index])
            if new is None:
                return None
            thirds[index] = new
            if family == "gpt2":
                return torch.cat(thirds, -1)
            return torch.cat([t.unflatten(-1, (heads, -1)) for t in thirds], -1).flatten(-2)

        fused = b.attn.c_attn if family == "gpt2" else b.attn.query_key_value
        return fused.register_forward_hook(hook)

    def pattern(module: nn.Module) -> Any:
        def hook(_: Any, args: Any, out: Any) -> None:
            assert fn(out[1]) is None, "no hook can write a pattern"

        return module.register_forward_hook(hook)

    make = {
        "resid_pre": lambda: before(b.module),
        "attn_normalized": lambda: after_norm(b.attn_norm),
        "attn_q": lambda: projected(0),
        "attn_k": lambda: projected(1),
        "attn_v": lambda: projected(2),
        "pattern": lambda: pattern(b.attn),
        "attn_raw": lambda: after(b.attn),
        "neurons": lambda: before(b.down),
        "final_normalized": lambda: after_norm(parts(hf).final_norm),
        "attn_z": lambda: before(output_projection(b.attn)),
        "attn_out": lambda: after(after_attention),
        "resid_mid": lambda: middle(b.module),
        "mlp_normalized": lambda: after_norm(b.mlp_norm),
        "mlp_in": lambda: before(b.mlp),
        "mlp_raw": lambda: after(b.mlp),
        "mlp_out": lambda: after(b.mlp_post_norm or b.mlp),
        "resid_post": lambda: after(b.module),
    }
    handle = make[site]()
    try:
        yield
    finally:
        handle.remove()
