"""SAELens' folders: SAEs, transcoders and skip transcoders, from version 6 and before.

    cfg.json                  architecture, d_in, d_sae, k?, apply_b_dec_to_input,
                              normalize_activations, rescale_acts_by_decoder_norm?,
                              metadata {model_name, hook_name, hook_name_out?, sae_lens_version}
                              before 6: flat, hook_name or hook_point, activation_fn or
                              activation_fn_str, activation_fn_kwargs {k}
    sae_weights.safetensors   W_enc [d, F], W_dec [F, d], b_dec [d], b_enc [F]
                              jumprelu: threshold [F]; gated: b_gate, b_mag, r_mag instead of b_enc
                              skip: W_skip [d_out, d_in] (y += x W_skip^T)

    x' = norm(x) - b_dec (if apply_b_dec_to_input),  y = norm^-1(a W_dec + b_dec)

    standard   a = relu(x' W_enc + b_enc)
    topk       a = relu(the k largest of x' W_enc + b_enc); with rescale_acts_by_decoder_norm they
               are multiplied by |W_dec| first, and a divided by it in front of W_dec
    jumprelu   a = relu(pre) where pre > threshold; BatchTopK and Matryoshka are saved as this
    gated      a = relu(x' (W_enc exp(r_mag)) + b_mag) where x' W_enc + b_gate > 0

Read in SAELens 6.54 (saes/*.py, loading/pretrained_sae_loaders.py).
"""

from pathlib import Path

from interp_widgets.dictionaries.formats.saelens.reader import CONFIG, WEIGHTS, load
from interp_widgets.dictionaries.formats.saelens.writer import save

__all__ = ["files", "load", "matches", "name", "save"]

name = "SAELens (cfg.json beside sae_weights.safetensors)"
files = ("cfg.json", "sae_weights.safetensors")


def matches(folder: Path) -> bool:
    """Whether the folder looks like this format, even when something is missing from it."""
    return (folder / CONFIG).exists() or (folder / WEIGHTS).exists()
