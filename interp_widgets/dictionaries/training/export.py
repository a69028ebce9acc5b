"""The dictionary as others use it: for raw activations, one formula, nothing of the training left.

With x = (raw_x - m) s and y = (raw_y - m') s' the training's centres and scales,

    pre   = (s W_enc) raw_x + (b_enc - s W_enc m)
    raw_y = a (D / s') + (b_dec / s' + m' - W m) + W raw_x,  W = W_skip s / s'
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..coder import SparseCoder
from ..cross_layer import CrossLayerTranscoder
from ..errors import DictionaryError
from ..layers import SITES, Layer
from ..rows import Rows
from .rules import Rule
from .specs import Spec
from .weights import Weights


@torch.no_grad()
def dictionary(
    weights: Weights, rule: Rule, scan: str, model_name: str | None
) -> SparseCoder | CrossLayerTranscoder:
    """A copy on the weights' device."""
    spec = weights.spec
    if weights.d_in != weights.d_out:
        raise DictionaryError(
            f"{spec.title} reads vectors of width {weights.d_in} and writes ones of width "
            f"{weights.d_out}, but a dictionary has one width."
        )
    layers = tuple(_layer(weights, rule, source, scan) for source in range(len(spec.reads)))
    if len(layers) == 1:
        return SparseCoder(layers[0], spec.reads[0], spec.writes[0], scan, model_name)
    input_hook, output_hook = _hooks(spec)
    return CrossLayerTranscoder(layers, input_hook, output_hook, scan, model_name)


def _layer(weights: Weights, rule: Rule, source: int, scan: str) -> Layer:
    c = weights.constants
    mean_in, scale_in = c[f"mean_in.{source}"], c[f"scale_in.{source}"]
    encoder, encoder_bias = weights.encoder(source)
    scales = torch.stack([c[f"scale_out.{m}"] for m in weights.spec.targets(source)])
    joined = torch.cat([weights.parameters[name] for _, name in weights.tables(source)], dim=1)
    decoder = joined.view(len(joined), -1, weights.d_out) / scales[:, None]
    if len(weights.spec.reads) == 1:
        decoder = decoder.squeeze(1)
    scale_out = c[f"scale_out.{source}"]
    decoder_bias = weights.parameters[f"decoder_bias.{source}"] / scale_out
    decoder_bias = decoder_bias + c[f"mean_out.{source}"]
    skip: Tensor | None = None
    if weights.spec.skip:
        skip = weights.parameters[f"skip.{source}"] * (scale_in / scale_out)
        decoder_bias = decoder_bias - skip @ mean_in
    name = f"{scan}: {weights.spec.reads[source]}"
    return Layer(
        source=name,
        encoder=Rows.hold(encoder * scale_in, f"{name}: the encoder"),
        decoder=Rows.hold(decoder.contiguous(), f"{name}: the decoder"),
        encoder_bias=encoder_bias - scale_in * (encoder @ mean_in),
        decoder_bias=decoder_bias,
        activation=rule.activation(weights, source),
        skip=skip,
    )


def _hooks(spec: Spec) -> tuple[str, str]:
    """circuit-tracer's words for where a cross-layer transcoder reads and writes."""
    words = {site: hook for hook, site in SITES.items()}
    sites = []
    for places in (spec.reads, spec.writes):
        site = places[0].site
        if site not in words or [(p.layer, p.site) for p in places] != [
            (layer, site) for layer in range(len(places))
        ]:
            raise DictionaryError(
                f"A cross-layer transcoder has one of {', '.join(words)} of every layer from 0 "
                f"on, but this one has {', '.join(map(str, places))}."
            )
        sites.append(words[site])
    return sites[0], sites[1]
