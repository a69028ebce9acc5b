"""What a model does, seen with plain PyTorch hooks: no nnsight, nothing from the package.

`see` runs a model and notes what passes; `FrozenRun` runs it once more as the linear model of
the Circuit Tracing paper, built the slow way: the model's own forward pass with queries, keys
and norm denominators detached and every MLP output replaced by a leaf, so that autograd gives
the direct effects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Block:
    attn: nn.Module
    attn_norm: nn.Module
    attn_post_norm: nn.Module | None
    mlp: nn.Module
    mlp_norm: nn.Module
    mlp_post_norm: nn.Module | None
    gate: nn.Module | None
    up: nn.Module
    down: nn.Module
    module: nn.Module


@dataclass(frozen=True)
class Parts:
    blocks: list[Block]
    final_norm: nn.Module
    unembed: nn.Module
    positions: Tensor | None  # [context, d_model], learned


def parts(hf: Any) -> Parts:
    """The modules of a model, named once more, apart from the package's own table."""
    family = hf.config.model_type
    unembed = hf.get_output_embeddings()
    if family == "gpt2":
        blocks = [
            Block(b.attn, b.ln_1, None, b.mlp, b.ln_2, None, None, b.mlp.c_fc, b.mlp.c_proj, b)
            for b in hf.transformer.h
        ]
        return Parts(blocks, hf.transformer.ln_f, unembed, hf.transformer.wpe.weight)
    if family == "gpt_neox":
        blocks = [
            Block(
                b.attention, b.input_layernorm, None,
                b.mlp, b.post_attention_layernorm, None,
                None, b.mlp.dense_h_to_4h, b.mlp.dense_4h_to_h, b,
            )
            for b in hf.gpt_neox.layers
        ]  # fmt: skip
        return Parts(blocks, hf.gpt_neox.final_layer_norm, unembed, None)
    blocks = []
    for b in hf.model.layers:
        twice = family in ("gemma2", "gemma3_text")
        blocks.append(
            Block(
                b.self_attn,
                b.input_layernorm,
                b.post_attention_layernorm if twice else None,
                b.mlp,
                b.pre_feedforward_layernorm if twice else b.post_attention_layernorm,
                b.post_feedforward_layernorm if twice else None,
                b.mlp.gate_proj,
                b.mlp.up_proj,
                b.mlp.down_proj,
                b,
            )
        )
    return Parts(blocks, hf.model.norm, unembed, None)


def norm_weight(norm: Any) -> Tensor:
    """What a norm multiplies by; Gemma stores it minus one."""
    weight: Tensor = norm.weight
    return weight + 1 if "Gemma" in type(norm).__name__ else weight


def norm_bias(norm: Any) -> Tensor | float:
    return getattr(norm, "bias", None) if getattr(norm, "bias", None) is not None else 0.0


@contextmanager
def hooked(hooks: list[tuple[nn.Module, Callable[..., Any]]]) -> Iterator[None]:
    """fn(input, output) after each module; what it returns, if anything, replaces the output."""
    with ExitStack() as stack:
        for module, fn in hooks:

            def hook(_: Any, args: Any, kwargs: Any, out: Any, fn: Any = fn) -> Any:
                x = args[0] if args else kwargs["hidden_states"]
                if isinstance(out, tuple):  # attention gives its pattern along
                    changed = fn(x, out[0])
                    return None if changed is None else (changed, *out[1:])
                return fn(x, out)

            handle = module.register_forward_hook(hook, with_kwargs=True)
            stack.callback(handle.remove)
        yield


@dataclass
class Seen:
    """Per block [position, .]; the names of inputs and outputs are those of dictionary hooks."""

    inputs: dict[str, list[Tensor]] = field(default_factory=dict)
    outputs: dict[str, list[Tensor]] = field(default_factory=dict)
    resid_pre: list[Tensor] = field(default_factory=list)
    attn_out: list[Tensor] = field(default_factory=list)
    gate: list[Tensor] = field(default_factory=list)
    up: list[Tensor] = field(default_factory=list)
    neurons: list[Tensor] = field(default_factory=list)
    embedding: Tensor = field(default_factory=lambda: torch.empty(0))
    final: Tensor = field(default_factory=lambda: torch.empty(0))
    logits: Tensor = field(default_factory=lambda: torch.empty(0))


@torch.no_grad()
def see(hf: Any, ids: Tensor) -> Seen:
    """One run on token ids [position]."""
    p, seen = parts(hf), Seen()
    for name in ("hook_resid_mid", "ln2.hook_normalized", "mlp.hook_in"):
        seen.inputs[name] = []
    for name in ("mlp.hook_out", "hook_mlp_out"):
        seen.outputs[name] = []
    hooks: list[tuple[nn.Module, Callable[..., Any]]] = []
    for b in p.blocks:

        def at_norm(x: Tensor, out: Tensor, norm: nn.Module = b.mlp_norm) -> None:
            seen.inputs["hook_resid_mid"].append(x[0])
            seen.inputs["ln2.hook_normalized"].append(
                (out[0] - norm_bias(norm)) / norm_weight(norm)
            )

        def at_mlp(x: Tensor, out: Tensor, post: nn.Module | None = b.mlp_post_norm) -> None:
            seen.inputs["mlp.hook_in"].append(x[0])
            seen.outputs["mlp.hook_out"].append(out[0])
            if post is None:
                seen.outputs["hook_mlp_out"].append(out[0])

        def at_post_norm(x: Tensor, out: Tensor) -> None:
            seen.outputs["hook_mlp_out"].append(out[0])

        hooks += [(b.mlp_norm, at_norm), (b.mlp, at_mlp)]
        hooks += [(b.attn_norm, lambda x, out: seen.resid_pre.append(x[0]))]
        hooks += [(b.attn_post_norm or b.attn, lambda x, out: seen.attn_out.append(out[0]))]
        hooks += [(b.down, lambda x, out: seen.neurons.append(x[0]))]
        hooks += [(b.up, lambda x, out: seen.up.append(out[0]))]
        if b.gate is not None:
            hooks += [(b.gate, lambda x, out: seen.gate.append(out[0]))]
        if b.mlp_post_norm is not None:
            hooks += [(b.mlp_post_norm, at_post_norm)]

    def at_final(x: Tensor, out: Tensor) -> None:
        seen.final = out[0]

    hooks.append((p.final_norm, at_final))
    with hooked(hooks):
        seen.logits = hf(input_ids=ids[None]).logits[0]
    seen.embedding = seen.resid_pre[0]
    if p.positions is not None:
        seen.embedding = seen.embedding - p.positions[: len(ids)]
    return seen


class FrozenRun:
    """The linear model around one prompt, as an autograd graph.

    Args:
        hf: the model; float32 or float64.
        ids: [position].
        hook: the output hook, where MLP outputs become leaves.
        reads: the input hook, where targets read.
        skip: per block [d_out, d_in] or None, a linear path from what is read to the leaf.

    Attributes:
        leaves: per block, [position, d_model].
        embedding: the leaf in front of block 0, [position, d_model].
        inputs: per block, what a dictionary reads, differentiable, [position, d_model].
        final: the final norm's output, differentiable, [position, d_model].
    """

    def __init__(
        self, hf: Any, ids: Tensor, reads: str, hook: str, skip: list[Tensor] | None = None
    ) -> None:
        p = parts(hf)
        plain = see(hf, ids)
        self.leaves = [x.clone().requires_grad_(True) for x in plain.outputs[hook]]
        self.inputs: list[Tensor] = []
        hooks: list[tuple[nn.Module, Callable[..., Any]]] = []
        for index, b in enumerate(p.blocks):
            norms = (b.attn_norm, b.attn_post_norm, b.mlp_norm, b.mlp_post_norm)
            hooks += [(n, _linear_norm(n)) for n in norms if n is not None]
            hooks += _detached_queries_and_keys(hf.config, b.attn)
            if reads == "mlp.hook_in":
                hooks.append((b.mlp, lambda x, out: self.inputs.append(x[0])))
            elif reads == "hook_resid_mid":
                hooks.append((b.mlp_norm, lambda x, out: self.inputs.append(x[0])))
            else:

                def at_norm(x: Tensor, out: Tensor, norm: nn.Module = b.mlp_norm) -> None:
                    normalized = (out[0] - norm_bias(norm)) / norm_weight(norm)
                    self.inputs.append(normalized)

                hooks.append((b.mlp_norm, at_norm))
            place = b.mlp if hook == "mlp.hook_out" or b.mlp_post_norm is None else b.mlp_post_norm

            def replaced(x: Tensor, out: Tensor, index: int = index) -> Tensor:
                leaf = self.leaves[index]
                if skip is None:
                    return leaf[None]
                read = self.inputs[index]
                # The leaf holds the skip's value already: only its gradient is added.
                carried = read @ skip[index].T
                return (leaf + carried - carried.detach())[None]

            hooks.append((place, replaced))
        hooks.append((p.final_norm, _linear_norm(p.final_norm)))
        hooks.append((p.final_norm, lambda x, out: setattr(self, "final", out[0])))

        def enter(module: Any, args: Any, kwargs: Any) -> Any:
            x = args[0] if args else kwargs["hidden_states"]
            self.embedding = x[0].detach().clone().requires_grad_(True)
            if args:
                return (self.embedding[None], *args[1:]), kwargs
            return args, kwargs | {"hidden_states": self.embedding[None]}

        handle = p.blocks[0].module.register_forward_pre_hook(enter, with_kwargs=True)
        try:
            with torch.enable_grad(), hooked(hooks):
                hf(input_ids=ids[None], use_cache=False)
        finally:
            handle.remove()

    def gradients(self, targets: Tensor) -> tuple[list[Tensor], Tensor]:
        """Of targets [k] with respect to every leaf ([k, position, d_model] per block) and to
        the embedding, by one batched backward pass."""
        sources = [*self.leaves, self.embedding]
        k = len(targets)
        found = torch.autograd.grad(
            targets,
            sources,
            torch.eye(k, dtype=targets.dtype),
            is_grads_batched=True,
            retain_graph=True,
            allow_unused=True,
        )
        filled = [
            s.new_zeros(k, *s.shape) if f is None else f
            for s, f in zip(sources, found, strict=True)
        ]
        return filled[:-1], filled[-1]


def _linear_norm(norm: Any) -> Callable[[Tensor, Tensor], Tensor]:
    centred = isinstance(norm, nn.LayerNorm)

    def linear(x: Tensor, out: Tensor) -> Tensor:
        centre = x - x.mean(-1, keepdim=True) if centred else x
        epsilon = norm.eps if hasattr(norm, "eps") else norm.variance_epsilon
        scale = torch.rsqrt(centre.detach().pow(2).mean(-1, keepdim=True) + epsilon)
        return norm_weight(norm) * centre * scale + norm_bias(norm)

    return linear


def _detached_queries_and_keys(
    config: Any, attn: Any
) -> list[tuple[nn.Module, Callable[..., Any]]]:
    if config.model_type == "gpt2":
        d = config.hidden_size
        return [
            (
                attn.c_attn,
                lambda x, out: torch.cat([out[..., : 2 * d].detach(), out[..., 2 * d :]], -1),
            )
        ]
    if config.model_type == "gpt_neox":

        def values_only(x: Tensor, out: Tensor) -> Tensor:
            heads = out.view(*out.shape[:-1], config.num_attention_heads, 3, -1)
            mixed = torch.stack(
                [heads[..., 0, :].detach(), heads[..., 1, :].detach(), heads[..., 2, :]], -2
            )
            return mixed.view(out.shape)

        return [(attn.query_key_value, values_only)]
    return [(attn.q_proj, lambda x, out: out.detach()), (attn.k_proj, lambda x, out: out.detach())]
