"""llamascopium (OpenMOSS, formerly lm-saes): SAEs, transcoders and cross-layer transcoders.

    config.json               sae_type "sae" or "clt", act_fn, top_k, norm_activation,
                              sparsity_include_decoder_norm, use_decoder_bias,
                              hook_point_in, hook_point_out or hook_points_in, hook_points_out
    sae_weights.safetensors   sae  W_E [d, F], b_E [F], W_D [F, d], b_D [d]?
                              clt  W_E [L, d, F], b_E [L, F], W_D.m [m + 1, F, d] (entry l is what
                                   layer l's features add to layer m), b_D.m [d]
                              activation_function.log_jumprelu_threshold [F] or [L, F]?
                              dataset_average_activation_norm.<hook> []

With s = sqrt(d) / (average norm) of each hook ("dataset-wise", 1 otherwise) and |W_D| the length of
a feature's decoder, over all targets, where sparsity_include_decoder_norm (1 otherwise):

    h = s_in x W_E + b_E,   a = f(h |W_D|) / |W_D|,   s_out y = a W_D + b_D

Here features are measured in the input's own units and in units of their decoder's norm:
activations are a |W_D| / s_in. Read in llamascopium 2.0 (sparse_dictionary.py, sae.py, clt.py).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from interp_widgets.dictionaries.activations import Activation, JumpReLU, ReLU, TopK
from interp_widgets.dictionaries.coder import InputNorm, SparseCoder
from interp_widgets.dictionaries.cross_layer import CrossLayerTranscoder
from interp_widgets.dictionaries.formats import folding, hooks
from interp_widgets.dictionaries.formats.settings import Settings
from interp_widgets.dictionaries.formats.weights_file import Weights
from interp_widgets.dictionaries.layers import SITES, Layer
from interp_widgets.dictionaries.rows import finite

name = "llamascopium (config.json beside sae_weights.safetensors)"
files = ("sae_weights.safetensors", "config.json")

_CONFIG, _WEIGHTS = "config.json", "sae_weights.safetensors"
_THRESHOLD = "activation_function.log_jumprelu_threshold"
_NORM = "dataset_average_activation_norm."
_NORMS: dict[str, InputNorm] = {
    "dataset-wise": "none",
    "inference": "none",
    "token-wise": "constant_norm",
}


def matches(folder: Path) -> bool:
    return all((folder / part).exists() for part in (_CONFIG, _WEIGHTS))


def load(folder: Path, scan: str, lazy: bool | None = None) -> SparseCoder | CrossLayerTranscoder:
    settings, weights = Settings.read(folder / _CONFIG), Weights(folder / _WEIGHTS, lazy)
    if settings.one_of("sae_type", ("sae", "clt")) == "clt":
        return cross_layer(settings, weights, scan)
    return coder(settings, weights, scan)


def coder(settings: Settings, weights: Weights, scan: str) -> SparseCoder:
    """The SAE or transcoder that settings and weights describe."""
    if settings.flag("use_glu_encoder", False):
        raise settings.wrong("use_glu_encoder", "false (a gated linear encoder is not read)")
    encoder = weights.rows("W_E", transposed=True)
    layer = Layer(
        source=str(weights.path),
        encoder=encoder,
        decoder=weights.rows("W_D"),
        encoder_bias=weights.take("b_E"),
        decoder_bias=_bias(settings, weights, "b_D", encoder.shape[1]),
        activation=ReLU(),
    )
    layer.expect_decoder()
    norm = settings.one_of("norm_activation", tuple(_NORMS), default="dataset-wise")
    read, written = settings.text("hook_point_in"), settings.text("hook_point_out")
    s_in, s_out = (_scale(settings, weights, hook, layer.d_model) for hook in (read, written))
    threshold = _threshold(settings, weights, [layer.n_features])
    _drop_norms(weights)
    layer = _folded(layer, settings, threshold, s_in, [s_out])
    reads, writes = hooks.place(read, settings.path), hooks.place(written, settings.path)
    return SparseCoder(
        layer, reads, writes, scan, settings.maybe("model_name"), _NORMS[norm], _declared(settings)
    )


def cross_layer(settings: Settings, weights: Weights, scan: str) -> CrossLayerTranscoder:
    """The cross-layer transcoder that settings and weights describe."""
    ins, outs = settings.texts("hook_points_in"), settings.texts("hook_points_out")
    n = len(ins)
    if len(outs) != n:
        raise settings.wrong("hook_points_out", f"{n} hooks, as many as hook_points_in has")
    settings.one_of("norm_activation", ("dataset-wise", "inference"), default="dataset-wise")
    encoders, biases = weights.matrix("W_E", dimensions=3), weights.take("b_E")
    d, features = encoders.shape[1:]
    weights.expect("W_E", encoders, [n, d, features])
    weights.expect("b_E", biases, [n, features])
    written = [weights.matrix(f"W_D.{m}", dimensions=3) for m in range(n)]
    for m, decoders in enumerate(written):
        weights.expect(f"W_D.{m}", decoders, [m + 1, features, d])
    threshold = _threshold(settings, weights, [n, features])
    s_out = [_scale(settings, weights, hook, d) for hook in outs]
    layers = []
    for index in range(n):
        # A feature's decoders lie in as many tensors as it has targets: they are gathered.
        decoder = torch.stack([written[m][index] for m in range(index, n)], dim=1)
        layer = Layer(
            source=f"{weights.path} (layer {index})",
            encoder=weights.as_rows(encoders[index].T, "W_E"),
            decoder=weights.as_rows(decoder, f"W_D of layer {index}"),
            encoder_bias=biases[index],
            decoder_bias=_bias(settings, weights, f"b_D.{index}", d),
            activation=ReLU(),
        )
        s_in = _scale(settings, weights, ins[index], d)
        own = None if threshold is None else threshold[index]
        layers.append(_folded(layer, settings, own, s_in, s_out[index:]))
    _drop_norms(weights)
    return CrossLayerTranscoder(
        tuple(layers),
        _word(settings, "hook_points_in", ins),
        _word(settings, "hook_points_out", outs),
        scan,
        settings.maybe("model_name"),
        _declared(settings),
    )


def _folded(
    layer: Layer, settings: Settings, threshold: Tensor | None, s_in: float, s_out: list[float]
) -> Layer:
    """One formula on raw inputs; s_out: the scale of each target."""
    norms = torch.ones(layer.n_features)
    if settings.flag("sparsity_include_decoder_norm", True):
        norms = folding.decoder_norms(layer)
    targets = torch.tensor(s_out)
    factor = (s_in / targets).expand(layer.n_features, -1)
    if len(layer.decoder.shape) == 2:
        factor = factor[:, 0]
    layer = replace(
        layer,
        encoder_bias=layer.encoder_bias.float() / s_in,
        decoder=layer.decoder.scaled(factor),
        decoder_bias=layer.decoder_bias.float() / s_out[0],
    )
    return folding.scale_features(layer, norms, _activation(settings, threshold, s_in))


def _activation(settings: Settings, threshold: Tensor | None, s_in: float) -> Activation:
    # The batch and layer variants of TopK select over other tokens, too: no function of one x.
    kind = settings.one_of("act_fn", ("relu", "jumprelu", "topk"))
    if kind == "topk":
        return TopK(settings.whole("top_k"), relu=True)
    return ReLU() if threshold is None else JumpReLU(threshold.float() / s_in)


def _threshold(settings: Settings, weights: Weights, shape: list[int]) -> Tensor | None:
    if settings.one_of("act_fn", ("relu", "jumprelu", "topk")) != "jumprelu":
        return None
    logarithm = weights.take(_THRESHOLD)
    weights.expect(_THRESHOLD, logarithm, shape)
    return finite(logarithm, weights.source(_THRESHOLD)).float().exp()


def _scale(settings: Settings, weights: Weights, hook: str, d: int) -> float:
    """sqrt(d) / (average norm) at a hook; the tensor stays, since two layers may share one."""
    if settings.text("norm_activation", "dataset-wise") != "dataset-wise":
        return 1.0
    norm = weights.peek(f"{_NORM}{hook}")
    if norm.numel() != 1 or not 0 < float(norm) < float("inf"):
        raise settings.wrong("norm_activation", f"a norm above 0 at {_NORM}{hook} in the weights")
    return float(d**0.5 / float(norm))


def _bias(settings: Settings, weights: Weights, key: str, size: int) -> Tensor:
    if settings.flag("use_decoder_bias", True):
        return weights.take(key)
    return torch.zeros(size)


def _drop_norms(weights: Weights) -> None:
    """Norms are all that may be left, and have been used where they count."""
    for key in weights.names():
        if key.startswith(_NORM):
            weights.stored(key)
    weights.finish()


def _word(settings: Settings, key: str, names: list[str]) -> str:
    """circuit-tracer's word for the site that each layer's hook names."""
    places = [hooks.place(entry, settings.path) for entry in names]
    words = {site: word for word, site in SITES.items()}
    sites = {place.site for place in places}
    if [place.layer for place in places] != list(range(len(places))):
        raise settings.wrong(key, "the hooks of layers 0, 1, 2, ... in order")
    if len(sites) != 1 or not sites <= words.keys():
        raise settings.wrong(key, "one site of the MLPs in every layer")
    return words[sites.pop()]


def _declared(settings: Settings) -> dict[str, float | str]:
    kind = settings.text("act_fn", "relu")
    declared: dict[str, float | str] = {"format": "llamascopium", "architecture": kind}
    if settings.has("hook_point_in"):
        declared["hook"] = settings.text("hook_point_in")
    if kind == "topk":
        declared["k"] = float(settings.whole("top_k"))
    return declared
