"""Recording: what one run of a model on one prompt left behind.

All residual-stream values are per block l = 0 .. n_layers - 1. In a sequential block

    resid_mid = resid_pre + attn_out        resid_post = resid_mid + mlp_out

and in a parallel block (GPT-NeoX) the MLP reads resid_pre, so resid_mid is what the MLP
reads, in either case. attn_out and mlp_out are what is added to the stream, that is after the
post-norms of Gemma 2 and 3.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Neurons:
    """The MLP's inner values of one block: value = act(gate) * up, or act(up) with no gate.

    up, gate, value: [position, d_mlp]; gate is None where the family has none.
    """

    up: Tensor
    gate: Tensor | None
    value: Tensor


@dataclass(frozen=True)
class Recording:
    """What one run left behind; tensors are detached and live where their block lives.

    Attributes:
        prompt: the text as given (decoded where token ids were given).
        tokens: token strings as a reader sees them, [position].
        token_ids: [position] int64.
        embedding: the token embedding alone, as it enters block 0, [position, d_model].
        resid_pre, resid_mid, attn_out, mlp_out: per block, [position, d_model].
        attn_raw, mlp_raw: the sublayer's output before a post-norm (equal to attn_out and
            mlp_out where the family has none).
        patterns: attention weights per block, [head, query, key].
        resid_final: the stream before the final norm, [position, d_model].
        logits: at the last position, [vocab]; as the model gives them (after a softcap).
        neurons: per block, where asked for.
    """

    prompt: str
    tokens: tuple[str, ...]
    token_ids: Tensor
    embedding: Tensor
    resid_pre: tuple[Tensor, ...]
    resid_mid: tuple[Tensor, ...]
    attn_out: tuple[Tensor, ...]
    attn_raw: tuple[Tensor, ...]
    mlp_out: tuple[Tensor, ...]
    mlp_raw: tuple[Tensor, ...]
    patterns: tuple[Tensor, ...]
    resid_final: Tensor
    logits: Tensor
    neurons: tuple[Neurons, ...] | None = None

    @property
    def n_positions(self) -> int:
        return len(self.tokens)

    @property
    def n_layers(self) -> int:
        return len(self.resid_pre)
