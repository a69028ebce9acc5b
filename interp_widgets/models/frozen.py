"""A run with attention patterns and norm scales frozen: linear in the residual stream.

With the pattern P, the scale s = 1 / rms(x) (or 1 / std(x)) and the post-norm scale held at
their recorded values, attention is a linear map of the stream,

    attn_out[q] = sum over heads h and keys k of
                  (s_post[q] P_h[q, k] s[k]) * w_post * W_O_h W_V_h (w * centre(x[k])) + constant,

and reading the stream at an MLP's input is linear, too. So the gradient of any target is one
matrix product after another. Everything that does not depend on the stream (biases, learned
positions) is kept as a constant, so that sums can be checked to the last digit.

This is the local replacement model of Ameisen et al. 2025, Circuit Tracing, without the MLPs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .anatomy import (
    AttentionWeights,
    MlpWeights,
    activation_of,
    heads_of,
    mlp_weights,
    norm_parameters,
    part,
)
from .errors import ModelError
from .recording import Recording

if TYPE_CHECKING:
    from .model import Model

# circuit-tracer's names (after TransformerLens) for where a dictionary reads and writes.
INPUT_HOOKS = {
    "hook_resid_mid": "residual",
    "ln2.hook_normalized": "normalized",
    "mlp.hook_in": "normed",
}
OUTPUT_HOOKS = {"hook_mlp_out": "added", "mlp.hook_out": "raw"}


@dataclass(frozen=True)
class FrozenAttention:
    """Attention as a linear map; norm scales are folded into `mix`, norm weights into `w_*`.

    mix: [kv_head, group, query, key]   w_v: [kv_heads * d_head, d_model]
    w_o: [d_model, heads * d_head]      constant: [position, d_model], None without biases
    """

    mix: Tensor
    w_v: Tensor
    w_o: Tensor
    constant: Tensor | None


@dataclass(frozen=True)
class _Norm:
    weight: Tensor  # [d_model]
    bias: Tensor | None
    scale: Tensor  # [position], frozen
    centred: bool

    def pull_back(self, vectors: Tensor, position: Tensor, *, weighted: bool = True) -> Tensor:
        """From vectors [k, d_model] after the norm at `position` [k] to before it."""
        out = vectors * self.weight if weighted else vectors
        if self.centred:
            out = out - out.mean(-1, keepdim=True)
        return out * self.scale[position, None]


def _norm(module: nn.Module, row: Any, x: Tensor) -> _Norm:
    weight, bias, epsilon, centred = norm_parameters(module, row)
    deviation = x - x.mean(-1, keepdim=True) if centred else x
    scale = torch.rsqrt(deviation.pow(2).mean(-1) + epsilon)
    return _Norm(weight.to(x), None if bias is None else bias.to(x), scale, centred)


class FrozenModel:
    """The linear model around one recording. Tensors are float32 (float64 if the model is).

    Blocks are prepared one at a time, when asked for, so that a large model's weights are
    never copied as a whole.
    """

    def __init__(self, model: Model, recording: Recording) -> None:
        self.model = model
        self.recording = recording
        self.n_layers = model.n_layers
        self.n_positions = recording.n_positions
        self.d_model = model.d_model
        self.dtype = model.dtype
        self.parallel = model.anatomy.parallel(model.config)
        row = model.anatomy
        self._refuse_packed_weights()
        table = part(model.hf, row.position_embed).weight if row.position_embed else None
        self.position_embedding: Tensor | None = (
            None if table is None else table[: self.n_positions].detach().to(recording.embedding)
        )

    def _refuse_packed_weights(self) -> None:
        row, block = self.model.anatomy, self._block(0)
        weights = row.attention_weights(part(block, row.attn), self.model.config)
        for weight in (weights.w_v, weights.w_o, mlp_weights(block, row).down):
            if not weight.is_floating_point():
                raise ModelError(
                    f"{self.model.name} holds quantised weights ({weight.dtype}), and the linear "
                    f"model needs the matrices themselves: load it without quantisation, for "
                    f"instance with dtype=torch.bfloat16."
                )

    def attention(self, layer: int) -> FrozenAttention:
        """Block l's attention."""
        block, row, rec = self._block(layer), self.model.anatomy, self.recording
        pre = _norm(part(block, row.attn_norm), row, rec.resid_pre[layer])
        weights = row.attention_weights(part(block, row.attn), self.model.config)
        w_v, w_o = weights.w_v.detach().to(pre.weight), weights.w_o.detach().to(pre.weight)
        heads, kv_heads, _ = heads_of(self.model.hf)
        group = heads // kv_heads

        constant = self._attention_constant(layer, w_v, w_o, weights, pre)
        w_v = w_v * pre.weight
        if pre.centred:
            w_v = w_v - w_v.mean(-1, keepdim=True)
        mix = rec.patterns[layer] * pre.scale[None, None, :]
        if row.attn_post_norm:
            post = _norm(part(block, row.attn_post_norm), row, rec.attn_raw[layer])
            mix = mix * post.scale[None, :, None]
            w_o = w_o * post.weight[:, None]
            if constant is not None:
                constant = constant * post.weight * post.scale[:, None]
        mix = mix.view(kv_heads, group, self.n_positions, self.n_positions)
        return FrozenAttention(mix, w_v, w_o, constant)

    def _attention_constant(
        self, layer: int, w_v: Tensor, w_o: Tensor, weights: AttentionWeights, pre: _Norm
    ) -> Tensor | None:
        """What biases alone make attention write, [position, d_model]; None without biases."""
        if pre.bias is None and weights.b_v is None and weights.b_o is None:
            return None
        heads, kv_heads, d_head = heads_of(self.model.hf)
        value_bias = torch.zeros(len(w_v), dtype=w_v.dtype, device=w_v.device)
        if pre.bias is not None:
            value_bias = value_bias + w_v @ pre.bias
        if weights.b_v is not None:
            value_bias = value_bias + weights.b_v.detach().to(value_bias)
        # A pattern's rows add up to 1 only as far as the dtype it was computed in goes.
        total = self.recording.patterns[layer].sum(-1).to(w_o).T
        total = total.reshape(self.n_positions, kv_heads, heads // kv_heads, 1)
        per_head = total * value_bias.view(kv_heads, 1, d_head)
        constant = per_head.reshape(self.n_positions, -1) @ w_o.T
        return constant if weights.b_o is None else constant + weights.b_o.detach().to(constant)

    def read(
        self, layer: int, position: Tensor, vectors: Tensor, hook: str
    ) -> tuple[Tensor, Tensor]:
        """Vectors [k, d_model] that read at block l's MLP input, as readers of the stream.

        Returns ([k, d_model] to be multiplied with the stream the MLP reads, [k] constants).
        """
        kind = input_kind(hook)
        if kind == "residual":
            return vectors, vectors.new_zeros(len(vectors))
        norm = self._mlp_norm(layer)
        weighted = kind == "normed"
        constant = vectors.new_zeros(len(vectors))
        if weighted and norm.bias is not None:
            constant = vectors @ norm.bias
        return norm.pull_back(vectors, position, weighted=weighted), constant

    def write(self, layer: int, position: Tensor, vectors: Tensor, hook: str) -> Tensor:
        """Vectors [k, d_model] at block l's MLP output, as added to the stream.

        A diagonal map, so it is its own transpose: it carries gradients back as well.
        """
        row = self.model.anatomy
        if output_kind(hook) == "added" or row.mlp_post_norm is None:
            return vectors
        post = _norm(
            part(self._block(layer), row.mlp_post_norm), row, self.recording.mlp_raw[layer]
        )
        return vectors * post.weight * post.scale[position, None]

    def mlp_input(self, layer: int, hook: str) -> Tensor:
        """What a dictionary with this input hook reads in block l, [position, d_model]."""
        kind, x = input_kind(hook), self.recording.resid_mid[layer]
        if kind == "residual":
            return x
        norm = self._mlp_norm(layer)
        if norm.centred:
            x = x - x.mean(-1, keepdim=True)
        x = x * norm.scale[:, None]
        if kind == "normed":
            x = x * norm.weight
            x = x if norm.bias is None else x + norm.bias
        return x

    def input_bias(self, layer: int, hook: str) -> Tensor | None:
        """The constant in what a dictionary reads: the norm's bias [d_model], if it has one."""
        return self._mlp_norm(layer).bias if input_kind(hook) == "normed" else None

    def mlp_output(self, layer: int, hook: str) -> Tensor:
        """What a dictionary with this output hook should give in block l."""
        rec = self.recording
        return rec.mlp_out[layer] if output_kind(hook) == "added" else rec.mlp_raw[layer]

    def read_final(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors [k, d_model] after the final norm at the last position, as readers of the
        stream there; and their constants [k]."""
        rec, row = self.recording, self.model.anatomy
        norm = _norm(part(self.model.hf, row.final_norm), row, rec.resid_final)
        vectors = vectors.to(norm.weight)
        position = torch.full((len(vectors),), self.n_positions - 1, device=vectors.device)
        constant = vectors.new_zeros(len(vectors))
        if norm.bias is not None:
            constant = vectors @ norm.bias
        return norm.pull_back(vectors, position), constant

    def mlp(self, layer: int) -> tuple[MlpWeights, Any]:
        """Block l's MLP weights (in the model's dtype) and its non-linearity."""
        block, row = self._block(layer), self.model.anatomy
        return mlp_weights(block, row), activation_of(block, row)

    def unembedding(self) -> tuple[Tensor, Tensor | None]:
        """W_U [vocab, d_model] and its bias [vocab] or None, in the model's dtype."""
        module = part(self.model.hf, self.model.anatomy.unembed)
        return module.weight.detach(), getattr(module, "bias", None)

    def _block(self, layer: int) -> nn.Module:
        block: nn.Module = part(self.model.hf, self.model.anatomy.layers)[layer]
        return block

    def _mlp_norm(self, layer: int) -> _Norm:
        row = self.model.anatomy
        return _norm(part(self._block(layer), row.mlp_norm), row, self.recording.resid_mid[layer])


def input_kind(hook: str) -> str:
    """residual, normalized (before the norm's weight) or normed."""
    if hook not in INPUT_HOOKS:
        raise ModelError(f"Unknown input hook {hook!r}: known are {', '.join(INPUT_HOOKS)}.")
    return INPUT_HOOKS[hook]


def output_kind(hook: str) -> str:
    """added (after a post-norm, as added to the stream) or raw (before it)."""
    if hook not in OUTPUT_HOOKS:
        raise ModelError(f"Unknown output hook {hook!r}: known are {', '.join(OUTPUT_HOOKS)}.")
    return OUTPUT_HOOKS[hook]
