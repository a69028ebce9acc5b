"""A small Llama for training: the arithmetic of `LlamaForCausalLM`, with a place to reach in.

Pre-norm blocks of rotary attention and a SwiGLU MLP, RMSNorm, tied embeddings. Names of the
parameters are those of transformers, so `state_dict()` loads into `LlamaForCausalLM` and gives
the same logits (tests/test_organism.py). What the original has no short way to do is stop between
two blocks, change the residual stream there and go on; interchange training does that at every
step (interchange.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Part = Literal["residual", "mlp", "attention"]
Edit = Callable[[Tensor, Part, int], Tensor]
"""Takes what stands at (part, block), [batch, position, d_model]; returns what to go on with."""


@dataclass(frozen=True)
class Shape:
    vocab: int
    layers: int = 5
    d_model: int = 128
    heads: int = 4
    d_mlp: int = 512
    context: int = 64
    rope_theta: float = 1000.0
    norm_eps: float = 1e-5


class RMSNorm(nn.Module):
    def __init__(self, d: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


class Attention(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        d = shape.d_model
        self.heads = shape.heads
        self.q_proj = nn.Linear(d, d, bias=False)
        self.k_proj = nn.Linear(d, d, bias=False)
        self.v_proj = nn.Linear(d, d, bias=False)
        self.o_proj = nn.Linear(d, d, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None) -> Tensor:
        rows, length, d = x.shape

        def split(y: Tensor) -> Tensor:
            return y.view(rows, length, self.heads, -1).transpose(1, 2)

        q, k = (_rotate(split(p(x)), cos, sin) for p in (self.q_proj, self.k_proj))
        v = split(self.v_proj(x))
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        return self.o_proj(out.transpose(1, 2).reshape(rows, length, d))


class Mlp(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.d_model, shape.d_mlp, bias=False)
        self.up_proj = nn.Linear(shape.d_model, shape.d_mlp, bias=False)
        self.down_proj = nn.Linear(shape.d_mlp, shape.d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(shape.d_model, shape.norm_eps)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = RMSNorm(shape.d_model, shape.norm_eps)
        self.mlp = Mlp(shape)

    def forward(
        self,
        x: Tensor,
        cos: Tensor,
        sin: Tensor,
        mask: Tensor | None,
        edit: Edit | None,
        index: int,
    ) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, mask)
        out = self.mlp(self.post_attention_layernorm(x))
        if edit is None:
            return x + out
        return edit(x + edit(out, "mlp", index), "residual", index)


class Llama(nn.Module):
    """The decoder; `network(ids)` gives logits [batch, position, vocabulary]."""

    cos: Tensor
    sin: Tensor

    def __init__(self, shape: Shape, seed: int = 0) -> None:
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.vocab, shape.d_model)
        self.layers = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = RMSNorm(shape.d_model, shape.norm_eps)
        d_head = shape.d_model // shape.heads
        frequency = shape.rope_theta ** -(torch.arange(0, d_head, 2) / d_head)
        angle = torch.arange(shape.context)[:, None] * frequency
        self.register_buffer("cos", angle.cos().repeat(1, 2), persistent=False)
        self.register_buffer("sin", angle.sin().repeat(1, 2), persistent=False)
        generator = torch.Generator().manual_seed(seed)
        deep = (2 * shape.layers) ** -0.5
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                into_stream = name.endswith(("o_proj.weight", "down_proj.weight"))
                std = 0.02 if "embed" in name else weight.shape[1] ** -0.5 * 0.5
                nn.init.normal_(weight, std=std * (deep if into_stream else 1), generator=generator)

    def forward(
        self,
        ids: Tensor,
        *,
        mask: Tensor | None = None,
        edit: Edit | None = None,
        blocks: int | None = None,
    ) -> Tensor:
        """Logits of ids [batch, position].

        Args:
            mask: [batch, 1, position, position], True where a query may look; None is causal.
            edit: is asked at every MLP output and at the residual stream after every block.
            blocks: how many blocks to run; None: all.
        """
        x = self.embed_tokens(ids)
        length = ids.shape[1]
        cos, sin = self.cos[:length], self.sin[:length]
        for index, block in enumerate(self.layers[:blocks]):
            x = block(x, cos, sin, mask, edit, index)
        return F.linear(self.norm(x), self.embed_tokens.weight)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin
