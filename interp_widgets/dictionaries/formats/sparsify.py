"""EleutherAI's sparsify: SAEs, transcoders and skip transcoders, one folder per hookpoint.

    layers.3.mlp/cfg.json          d_in, k, num_latents, activation, transcode, skip_connection
    layers.3.mlp/sae.safetensors   encoder.weight [F, d], encoder.bias [F], W_dec [F, d],
                                   b_dec [d], W_skip [d, d]?

    a = topk(relu(W_enc (x - b_dec) + b_enc)),  y = a W_dec + b_dec (+ x W_skip^T)

where b_dec is subtracted from the input only if not `transcode`. The folder is named after the
module: an SAE reads and writes its output, a transcoder reads its input and writes its output.
Read in sparsify 1.3.3 (sparse_coder.py, fused_encoder.py).
"""

from __future__ import annotations

from pathlib import Path

from interp_widgets.dictionaries.activations import TopK
from interp_widgets.dictionaries.coder import SparseCoder
from interp_widgets.dictionaries.formats import folding, hooks
from interp_widgets.dictionaries.formats.settings import Settings
from interp_widgets.dictionaries.formats.weights_file import Weights
from interp_widgets.dictionaries.layers import Layer

name = "sparsify (cfg.json beside sae.safetensors)"
files = ("sae.safetensors", "cfg.json", "../config.json")

_WEIGHTS = "sae.safetensors"


def matches(folder: Path) -> bool:
    return (folder / _WEIGHTS).exists()


def load(folder: Path, scan: str, lazy: bool | None = None) -> SparseCoder:
    settings, weights = Settings.read(folder / "cfg.json"), Weights(folder / _WEIGHTS, lazy)
    return dictionary(settings, weights, folder.resolve().name, scan, _model_name(folder))


def dictionary(
    settings: Settings, weights: Weights, hookpoint: str, scan: str, model_name: str | None
) -> SparseCoder:
    """The dictionary that settings and weights describe; hookpoint: the module's name."""
    settings.one_of("activation", ("topk",), default="topk")
    if settings.flag("signed", False):
        raise settings.wrong("signed", "false (the largest by absolute value are not read)")
    transcode, skip = settings.flag("transcode", False), settings.flag("skip_connection", False)
    layer = Layer(
        source=str(weights.path),
        encoder=weights.rows("encoder.weight"),
        decoder=weights.rows("W_dec"),
        encoder_bias=weights.take("encoder.bias"),
        decoder_bias=weights.take("b_dec"),
        activation=TopK(settings.whole("k"), relu=True),
        skip=weights.take("W_skip") if skip else None,
    )
    weights.finish()
    if settings.whole("d_in") != layer.d_model:
        raise settings.wrong("d_in", f"{layer.d_model}, the width of the weights")
    reads, writes = hooks.module_in_and_out(hookpoint, settings.path.parent)
    if not transcode:
        layer, reads = folding.subtract_from_input(layer, layer.decoder_bias), writes
    k = float(settings.whole("k"))
    declared: dict[str, float | str] = {"format": "sparsify", "hook": hookpoint, "k": k}
    return SparseCoder(layer, reads, writes, scan, model_name, declared=declared)


def _model_name(folder: Path) -> str | None:
    """The run's settings lie one folder up, where they are not left out."""
    path = folder.resolve().parent / "config.json"
    return Settings.read(path).maybe("model") if path.is_file() else None
