"""Where the parts of a language model are: one row per family.

Every decoder-only transformer here is the same machine (embedding, blocks of attention and
MLP around a residual stream, a final norm, an unembedding) under different attribute names.
A row names the parts; the rest of the package reads rows, never families. Two small
functions per row unpack the attention weights, because GPT-2 and GPT-NeoX store queries,
keys and values in one matrix.

To add a family: add a row, and run `pytest tests/test_families.py`, which checks on a tiny
random model that incoming edges add up to the pre-activation (residual 1e-10 in float64).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from .errors import ModelError


@dataclass(frozen=True)
class AttentionWeights:
    """The value-output circuit of one attention block.

    w_v: [kv_heads * d_head, d_model]; b_v: [kv_heads * d_head] or None
    w_o: [d_model, heads * d_head];    b_o: [d_model] or None
    """

    w_v: Tensor
    b_v: Tensor | None
    w_o: Tensor
    b_o: Tensor | None


@dataclass(frozen=True)
class MlpWeights:
    """The MLP as a sum over neurons: out = down @ (act(gate @ x) * (up @ x)) + b_down.

    Without a gate the neuron is act(up @ x + b_up). up, gate: [d_mlp, d_model]; down:
    [d_model, d_mlp].
    """

    up: Tensor
    b_up: Tensor | None
    gate: Tensor | None
    b_gate: Tensor | None
    down: Tensor
    b_down: Tensor | None


@dataclass(frozen=True)
class Anatomy:
    """Dotted paths of a family's parts; those inside a block are relative to the block."""

    family: str
    embed: str
    layers: str
    final_norm: str
    unembed: str
    attn: str
    attn_write: str  # its output projection
    attn_norm: str
    mlp: str
    mlp_norm: str
    up: str
    down: str
    qkv: tuple[str, str, str]  # the projections to queries, keys, values; one module if fused
    fused: Literal["columns", "heads"] | None = None  # how one module's output holds the three
    gate: str | None = None
    attn_post_norm: str | None = None  # Gemma 2 and 3 normalise what a sublayer writes, too
    mlp_post_norm: str | None = None
    position_embed: str | None = None  # learned positions, added to the token embedding
    norm_offset: float = 0.0  # Gemma stores the norm weight minus one
    parallel: Callable[[Any], bool] = lambda config: False  # MLP reads the block's input
    attention_weights: Callable[[Any, Any], AttentionWeights] = None  # type: ignore[assignment]


def _separate(attn: Any, config: Any) -> AttentionWeights:
    v, o = attn.v_proj, attn.o_proj
    return AttentionWeights(v.weight, v.bias, o.weight, o.bias)


def _gpt2(attn: Any, config: Any) -> AttentionWeights:
    # Conv1D keeps [in, out]; the columns are queries, keys, values.
    d = config.hidden_size
    qkv, o = attn.c_attn, attn.c_proj
    return AttentionWeights(qkv.weight[:, 2 * d :].T, qkv.bias[2 * d :], o.weight.T, o.bias)


def _neox(attn: Any, config: Any) -> AttentionWeights:
    # Rows are grouped by head: (q, k, v) of head 0, (q, k, v) of head 1, ...
    qkv, o, heads = attn.query_key_value, attn.dense, config.num_attention_heads
    d = config.hidden_size
    w_v = qkv.weight.view(heads, 3, d // heads, d)[:, 2].reshape(d, d)
    b_v = None if qkv.bias is None else qkv.bias.view(heads, 3, d // heads)[:, 2].reshape(d)
    return AttentionWeights(w_v, b_v, o.weight, o.bias)


def _llama_like(family: str, **changes: Any) -> Anatomy:
    row: dict[str, Any] = dict(
        family=family,
        embed="model.embed_tokens",
        layers="model.layers",
        final_norm="model.norm",
        unembed="lm_head",
        attn="self_attn",
        attn_write="self_attn.o_proj",
        attn_norm="input_layernorm",
        mlp="mlp",
        mlp_norm="post_attention_layernorm",
        up="mlp.up_proj",
        gate="mlp.gate_proj",
        down="mlp.down_proj",
        qkv=("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        attention_weights=_separate,
    )
    return Anatomy(**{**row, **changes})


_GEMMA_POST_NORMS = dict(
    mlp_norm="pre_feedforward_layernorm",
    attn_post_norm="post_attention_layernorm",
    mlp_post_norm="post_feedforward_layernorm",
)

FAMILIES: dict[str, Anatomy] = {
    row.family: row
    for row in (
        _llama_like("llama"),
        _llama_like("mistral"),
        _llama_like("qwen2"),
        _llama_like("qwen3"),
        _llama_like("gemma", norm_offset=1.0),
        _llama_like("gemma2", norm_offset=1.0, **_GEMMA_POST_NORMS),
        _llama_like("gemma3_text", norm_offset=1.0, **_GEMMA_POST_NORMS),
        Anatomy(
            family="gpt2",
            embed="transformer.wte",
            position_embed="transformer.wpe",
            layers="transformer.h",
            final_norm="transformer.ln_f",
            unembed="lm_head",
            attn="attn",
            attn_write="attn.c_proj",
            attn_norm="ln_1",
            mlp="mlp",
            mlp_norm="ln_2",
            up="mlp.c_fc",
            down="mlp.c_proj",
            qkv=("attn.c_attn",) * 3,
            fused="columns",
            attention_weights=_gpt2,
        ),
        Anatomy(
            family="gpt_neox",
            embed="gpt_neox.embed_in",
            layers="gpt_neox.layers",
            final_norm="gpt_neox.final_layer_norm",
            unembed="lm_head",
            attn="attention",
            attn_write="attention.dense",
            attn_norm="input_layernorm",
            mlp="mlp",
            mlp_norm="post_attention_layernorm",
            up="mlp.dense_h_to_4h",
            down="mlp.dense_4h_to_h",
            qkv=("attention.query_key_value",) * 3,
            fused="heads",
            parallel=lambda config: config.use_parallel_residual,
            attention_weights=_neox,
        ),
    )
}


def part(root: Any, path: str) -> Any:
    """The module at a dotted path; works on torch modules and on nnsight envoys alike."""
    for name in path.split("."):
        root = getattr(root, name)
    return root


def anatomy_of(hf: nn.Module) -> Anatomy:
    """The row for a Hugging Face causal language model.

    Raises ModelError for an unknown family, or a known one whose parts are not where the row
    says (a model class of the same type with another layout).
    """
    config: Any = hf.config
    family = getattr(config, "model_type", "unknown")
    row = FAMILIES.get(family)
    if row is None:
        raise ModelError(
            f"No row for the model family {family!r} ({type(hf).__name__}). Known families: "
            f"{', '.join(sorted(FAMILIES))}. To add one, name its embedding, blocks, norms, "
            f"attention, MLP and unembedding in a row of interp_widgets/models/anatomy.py and "
            f"run tests/test_families.py."
        )
    if hasattr(hf, "embed_out"):  # GPT-NeoX's name for lm_head before transformers 5.14
        row = replace(row, unembed="embed_out")
    block = [row.attn, row.attn_write, row.attn_norm, row.mlp, row.mlp_norm, row.up, row.down]
    block += row.qkv
    block += [p for p in (row.gate, row.attn_post_norm, row.mlp_post_norm) if p]
    top = [row.embed, row.layers, row.final_norm, row.unembed]
    for owner, paths in ((hf, top), (None, block)):
        for path in paths:
            try:
                part(owner if owner is not None else part(hf, row.layers)[0], path)
            except AttributeError:
                where = type(hf).__name__ + ("" if owner is not None else " block 0")
                raise ModelError(
                    f"Looked for {path!r} in {where} (family {family!r}) and did not find it. "
                    f"If the model is laid out differently, add a row of its own to "
                    f"interp_widgets/models/anatomy.py."
                ) from None
    return row


def mlp_weights(block: nn.Module, row: Anatomy) -> MlpWeights:
    """The MLP weights of one block, as [out, in] whatever module class holds them."""

    def linear(path: str | None) -> tuple[Tensor | None, Tensor | None]:
        if path is None:
            return None, None
        module = part(block, path)
        weight = module.weight
        # GPT-2's Conv1D keeps [in, out].
        return (weight if isinstance(module, nn.Linear) else weight.T), module.bias

    up, b_up = linear(row.up)
    gate, b_gate = linear(row.gate)
    down, b_down = linear(row.down)
    assert up is not None
    assert down is not None
    return MlpWeights(up, b_up, gate, b_gate, down, b_down)


def fused_part(projected: Tensor, index: int, row: Anatomy, heads: int) -> Tensor:
    """Queries (0), keys (1) or values (2) in what the projections gave: a view of it.

    Separate projections: [.., n], as it is. One for all three: [.., d] where the columns of each
    stand together (GPT-2), [.., head, d_head] where those of each head do (GPT-NeoX).
    """
    if row.fused is None:
        return projected
    if row.fused == "columns":
        return projected.unflatten(-1, (3, -1))[..., index, :]
    return projected.unflatten(-1, (heads, 3, -1))[..., index, :]


def norm_parameters(norm: Any, row: Anatomy) -> tuple[Tensor, Tensor | None, float, bool]:
    """(weight [d_model], bias [d_model] or None, epsilon, whether the mean is subtracted)."""
    if isinstance(norm, nn.LayerNorm):
        return norm.weight, norm.bias, norm.eps, True
    epsilon = getattr(norm, "variance_epsilon", None)
    if epsilon is None:
        epsilon = norm.eps
    return norm.weight + row.norm_offset, None, float(epsilon), False


def activation_of(block: nn.Module, row: Anatomy) -> Callable[[Tensor], Tensor]:
    """The MLP's non-linearity."""
    mlp = part(block, row.mlp)
    act = getattr(mlp, "act_fn", None) or mlp.act
    return lambda x: act(x)


def heads_of(hf: nn.Module) -> tuple[int, int, int]:
    """(query heads, key-value heads, d_head)."""
    config: Any = hf.config
    heads = config.num_attention_heads
    d_head = getattr(config, "head_dim", None) or config.hidden_size // heads
    return heads, getattr(config, "num_key_value_heads", None) or heads, d_head


def dtype_for_analysis(dtype: torch.dtype) -> torch.dtype:
    """Analysis runs in float32 unless the model itself is float64."""
    return torch.float64 if dtype == torch.float64 else torch.float32
