"""circuit-tracer's folders of transcoders and cross-layer transcoders.

    config.yaml           model_kind, feature_input_hook, feature_output_hook, and optionally
                          scan, model_name, transcoders (one path per layer, .npz for those of
                          Gemma Scope), activation, k
    layer_i.safetensors   transcoder_set: W_enc [F, d], W_dec [F, d], b_enc [F], b_dec [d],
                          activation_function.threshold [F]?, W_skip [d, d]? (y += x W_skip^T)
    W_enc_i.safetensors   cross_layer_transcoder: W_enc_i [F, d], b_enc_i [F], b_dec_i [d],
                          threshold_i [F]?, W_skip_i [d, d]? (y += x W_skip_i, not transposed)
    W_dec_i.safetensors   cross_layer_transcoder: W_dec_i [F, L - i, d]

`activation` is "relu", "jumprelu", "topk" or "topk_relu" (both with `k`; the latter has a ReLU
behind the selection); without it, thresholds make a JumpReLU and none a ReLU. `activation`, `k` and W_skip_i are ours to honour: circuit-tracer
0.5 ignores them when it reads a folder.
"""

from pathlib import Path

from interp_widgets.dictionaries.formats.circuit_tracer.config import CONFIG
from interp_widgets.dictionaries.formats.circuit_tracer.reader import load
from interp_widgets.dictionaries.formats.circuit_tracer.writer import save

__all__ = ["files", "load", "matches", "name", "save"]

name = "circuit-tracer (config.yaml beside layer_i or W_enc_i and W_dec_i .safetensors)"
files = ("config.yaml", "*.safetensors", "labels.json")


def matches(folder: Path) -> bool:
    """Whether the folder looks like this format, even when something is missing from it."""
    weights = ("layer_*.safetensors", "W_enc_*.safetensors", "W_dec_*.safetensors")
    return (folder / CONFIG).exists() or any(any(folder.glob(pattern)) for pattern in weights)
