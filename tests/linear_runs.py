"""A language model made linear by plain PyTorch hooks: the oracle for virtual weights.

What attention and MLPs multiply their output matrices with is 0, and every norm is its weight and
bias at scale 1. So a vector that is put in at one place changes what stands at all others, and the
logits, by exactly what goes straight through the residual stream.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

# Paths of a block's parts: attention's output projection, MLP, its down projection, the MLP's norm
# and post-norm, attention, its norm and post-norm.
LLAMA = dict(
    layers="model.layers",
    final="model.norm",
    z="self_attn.o_proj",
    mlp="mlp",
    down="mlp.down_proj",
    norm="post_attention_layernorm",
    attention="self_attn",
    attention_norm="input_layernorm",
)
PARTS = {
    "llama": LLAMA,
    "gemma2": LLAMA
    | dict(
        norm="pre_feedforward_layernorm",
        post="post_feedforward_layernorm",
        attention_post="post_attention_layernorm",
    ),
    "gpt2": dict(
        layers="transformer.h",
        final="transformer.ln_f",
        z="attn.c_proj",
        mlp="mlp",
        down="mlp.c_proj",
        norm="ln_2",
        attention="attn",
        attention_norm="ln_1",
    ),
    "gpt_neox": dict(
        layers="gpt_neox.layers",
        final="gpt_neox.final_layer_norm",
        z="attention.dense",
        mlp="mlp",
        down="mlp.dense_4h_to_h",
        norm="post_attention_layernorm",
        attention="attention",
        attention_norm="input_layernorm",
    ),
}


class LinearRun:
    """A model that hooks have made linear, and what stands at its places while it runs."""

    def __init__(self, hf: Any) -> None:
        self.hf = hf
        hf.config.final_logit_softcapping = None
        self.family = hf.config.model_type
        self.names = names = PARTS[self.family]
        self.blocks = hf.get_submodule(names["layers"])
        self.final = hf.get_submodule(names["final"])
        self.put: dict[tuple[int, str], Tensor] = {}
        self.seen: dict[tuple[int, str], Tensor] = {}
        self._norm(self.final, len(self.blocks) - 1, "final_normalized")
        for at, block in enumerate(self.blocks):
            part = {
                name: block.get_submodule(path)
                for name, path in names.items()
                if name not in ("layers", "final")
            }
            block.register_forward_pre_hook(self._into(at, "resid_pre"), with_kwargs=True)
            self._norm(part["attention_norm"], at, "attn_normalized")
            part["z"].register_forward_pre_hook(self._silent(at, "attn_z"))
            part["norm"].register_forward_pre_hook(self._in_place(at, "resid_mid"))
            self._norm(part["norm"], at, "mlp_normalized")
            part["mlp"].register_forward_pre_hook(self._look(at, "mlp_in"))
            part["down"].register_forward_pre_hook(self._silent(at, "neurons"))
            part["attention"].register_forward_hook(self._behind(at, "attn_raw"))
            part["mlp"].register_forward_hook(self._behind(at, "mlp_raw"))
            for post, site, other in (
                ("attention_post", "attn_out", "attention"),
                ("post", "mlp_out", "mlp"),
            ):
                if post in part:
                    self._norm(part[post], at, "")
                part.get(post, part[other]).register_forward_hook(self._behind(at, site))
            block.register_forward_hook(self._behind(at, "resid_post"))

    def __call__(
        self, put: dict[tuple[int, str], Tensor], rows: int
    ) -> tuple[dict[tuple[int, str], Tensor], Tensor]:
        """What stands at all places, and the logits, [row, d] each, with vectors [row, d] put in."""
        self.put, self.seen = put, {}
        with torch.no_grad():
            logits = self.hf(torch.full((rows, 1), 5), use_cache=False).logits[:, 0]
        return self.seen, logits

    def change(
        self, put: dict[tuple[int, str], Tensor]
    ) -> tuple[dict[tuple[int, str], Tensor], Tensor]:
        """By how much what is put in changes what stands at all places, and the logits."""
        rows = len(next(iter(put.values())))
        without, logits = self({}, rows)
        with_it, changed = self(put, rows)
        return {place: with_it[place] - x for place, x in without.items()}, changed - logits

    def _norm(self, module: Any, at: int, site: str) -> None:
        def straight(module: Any, args: Any, out: Tensor) -> Tensor:
            x, weight, bias = args[0], module.weight, getattr(module, "bias", None)
            if isinstance(module, torch.nn.LayerNorm):
                x = x - x.mean(-1, keepdim=True)
            if self.family == "gemma2":
                weight = 1 + weight
            if site:
                self.seen[at, site] = x[:, 0].clone()
            if (at, site) in self.put:
                x = x + self.put[at, site][:, None]
            return x * weight if bias is None else x * weight + bias

        module.register_forward_hook(straight)

    def _into(self, at: int, site: str) -> Callable[..., Any]:
        def hook(module: Any, args: Any, kwargs: Any) -> Any:
            x = args[0] if args else kwargs["hidden_states"]
            self.seen[at, site] = x[:, 0].clone()
            if (at, site) in self.put:
                x = x + self.put[at, site][:, None]
            if args:
                return (x, *args[1:]), kwargs
            return args, kwargs | {"hidden_states": x}

        return hook

    def _in_place(self, at: int, site: str) -> Callable[..., None]:
        # The stream in the middle of a block is no module's output: change the tensor itself.
        def hook(module: Any, args: Any) -> None:
            self.seen[at, site] = args[0][:, 0].clone()
            if (at, site) in self.put:
                args[0].add_(self.put[at, site][:, None])

        return hook

    def _look(self, at: int, site: str) -> Callable[..., None]:
        def hook(module: Any, args: Any) -> None:
            self.seen[at, site] = args[0][:, 0].clone()

        return hook

    def _silent(self, at: int, site: str) -> Callable[..., Any]:
        def hook(module: Any, args: Any) -> Any:
            x = torch.zeros_like(args[0])
            if (at, site) in self.put:
                x = x + self.put[at, site][:, None]
            return (x, *args[1:])

        return hook

    def _behind(self, at: int, site: str) -> Callable[..., Any]:
        def hook(module: Any, args: Any, out: Any) -> Any:
            x = out[0] if isinstance(out, tuple) else out
            if (at, site) in self.put:
                x = x + self.put[at, site][:, None]
            if site == "resid_post":
                self.seen[at, site] = x[:, 0].clone()
            return (x, *out[1:]) if isinstance(out, tuple) else x

        return hook
