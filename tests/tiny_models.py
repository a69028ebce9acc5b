"""Tiny random language models of every family, and tiny random dictionaries for them.

Nothing in them is zero, one or symmetric: norm weights and all biases are random, so that a
bias or a norm that is left out shows up as a wrong sum.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import transformers as hub
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor, nn

from interp_widgets.dictionaries import (
    Activation,
    CrossLayerTranscoder,
    JumpReLU,
    Layer,
    ReLU,
    Rows,
    TopK,
    Transcoders,
)
from interp_widgets.models import Model

WIDTH, LAYERS, HEADS, MLP, VOCAB = 32, 3, 4, 48, 40
FEATURES, K = 24, 6
CONTEXT = 16
PROMPT = "w3 w14 w15 w9 w26 w5"
# Matrices this small only wait for a second thread.
torch.set_num_threads(1)

_SHAPE: dict[str, Any] = dict(
    vocab_size=VOCAB,
    hidden_size=WIDTH,
    num_hidden_layers=LAYERS,
    num_attention_heads=HEADS,
    max_position_embeddings=CONTEXT,
    tie_word_embeddings=False,
    bos_token_id=1,
    eos_token_id=2,
    pad_token_id=0,
)
# Four query heads share two key-value heads.
_GROUPED = _SHAPE | dict(intermediate_size=MLP, num_key_value_heads=2)
# Gemma's heads are wider than d_model / heads.
_GEMMA = _GROUPED | dict(head_dim=12, query_pre_attn_scalar=12, sliding_window=3)
_SLIDING = ["sliding_attention", "full_attention", "sliding_attention"]

MODELS: dict[str, Callable[[], Any]] = {
    "gpt2": lambda: hub.GPT2Config(
        vocab_size=VOCAB,
        n_embd=WIDTH,
        n_layer=LAYERS,
        n_head=HEADS,
        n_inner=MLP,
        n_positions=CONTEXT,
        tie_word_embeddings=False,
        bos_token_id=1,
        eos_token_id=2,
    ),
    "gpt_neox parallel": lambda: hub.GPTNeoXConfig(
        **_SHAPE, intermediate_size=MLP, use_parallel_residual=True
    ),
    "gpt_neox sequential": lambda: hub.GPTNeoXConfig(
        **_SHAPE, intermediate_size=MLP, use_parallel_residual=False
    ),
    "llama grouped": lambda: hub.LlamaConfig(**_GROUPED),
    "llama biased": lambda: hub.LlamaConfig(**_GROUPED, attention_bias=True, mlp_bias=True),
    "mistral": lambda: hub.MistralConfig(**_GROUPED, sliding_window=3),
    "qwen2": lambda: hub.Qwen2Config(**_GROUPED),
    "qwen3": lambda: hub.Qwen3Config(**_GROUPED, head_dim=12),
    "gemma": lambda: hub.GemmaConfig(**_GROUPED, head_dim=12),
    "gemma2": lambda: hub.Gemma2Config(**_GEMMA, layer_types=_SLIDING),
    "gemma3": lambda: hub.Gemma3TextConfig(**_GEMMA, layer_types=_SLIDING),
}


def tokenizer(**changes: Any) -> Any:
    """Words w3 .. w39 are single tokens with the ids 3 .. 39; 0, 1, 2 and 4 are special."""
    words = {"<pad>": 0, "<bos>": 1, "<eos>": 2, "<unk>": 4}
    words |= {f"w{i}": i for i in range(3, VOCAB) if i != 4}
    inner = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    names = dict(bos_token="<bos>", eos_token="<eos>", pad_token="<pad>", unk_token="<unk>")
    return hub.PreTrainedTokenizerFast(tokenizer_object=inner, **(names | changes))


def hugging_face(name: str, dtype: torch.dtype = torch.float32, seed: int = 0) -> Any:
    """A random model of MODELS; the same numbers in every dtype."""
    hf = hub.AutoModelForCausalLM.from_config(MODELS[name](), attn_implementation="eager")
    hf = hf.to(torch.float64)
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for path, weight in hf.named_parameters():
            draw = torch.randn(weight.shape, generator=random, dtype=torch.float64)
            if weight.ndim == 2:
                scale = 1.0 if "embed" in path or "wte" in path else WIDTH**-0.5
                weight.copy_(draw * scale)
            else:  # norm weights around 1 (around 0 where the family adds the 1), and biases
                weight.copy_((0.0 if path.endswith("bias") else weight) + 0.3 * draw)
    hf = hf.to(dtype).eval()
    if dtype == torch.float64:
        norm_in_float64(hf)
    return hf


def model(name: str, dtype: torch.dtype = torch.float32, seed: int = 0) -> Model:
    return Model(hugging_face(name, dtype, seed), tokenizer(), name=f"tiny {name}")


def norm_in_float64(hf: nn.Module) -> None:
    """transformers computes an RMS norm in float32 even inside a float64 model, which would
    hide every error below 1e-7."""
    for module in hf.modules():
        if "RMSNorm" in type(module).__name__:
            module.__class__ = _exact(type(module))


def _exact(cls: type[Any]) -> type[Any]:
    def forward(self: Any, x: Tensor) -> Tensor:
        epsilon = self.eps if hasattr(self, "eps") else self.variance_epsilon
        weight = self.weight + (1.0 if "Gemma" in cls.__name__ else 0.0)
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + epsilon) * weight

    return type(cls.__name__, (cls,), {"forward": forward})


def dictionary(
    kind: str = "transcoder",
    activation: str = "relu",
    skip: bool = False,
    reads: str = "mlp.hook_in",
    writes: str = "mlp.hook_out",
    dtype: torch.dtype = torch.float32,
    seed: int = 1,
    width: int = WIDTH,
) -> Transcoders | CrossLayerTranscoder:
    """A random dictionary with about half (TopK: K) of its 24 features active."""
    random = torch.Generator().manual_seed(seed)

    def draw(*shape: int, scale: float = 1.0) -> Tensor:
        return (scale * torch.randn(*shape, generator=random, dtype=torch.float64)).to(dtype)

    def nonlinearity() -> Activation:
        if activation == "jumprelu":
            return JumpReLU(draw(FEATURES, scale=0.2).abs())
        return TopK(K) if activation == "topk" else ReLU()

    layers = []
    for index in range(LAYERS):
        targets = () if kind == "transcoder" else (LAYERS - index,)
        layers.append(
            Layer(
                source=f"layer {index}",
                encoder=Rows.hold(draw(FEATURES, width, scale=width**-0.5), "encoder"),
                decoder=Rows.hold(draw(FEATURES, *targets, width, scale=0.2), "decoder"),
                encoder_bias=draw(FEATURES, scale=0.3),
                decoder_bias=draw(width, scale=0.3),
                activation=nonlinearity(),
                skip=draw(width, width, scale=0.1) if skip else None,
            )
        )
    cls = Transcoders if kind == "transcoder" else CrossLayerTranscoder
    return cls(tuple(layers), reads, writes, "tests/tiny")
