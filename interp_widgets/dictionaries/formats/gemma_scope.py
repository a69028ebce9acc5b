"""Gemma Scope (Lieberum et al. 2024): JumpReLU SAEs and transcoders of Gemma 2.

    google/gemma-scope-2b-pt-res/layer_20/width_16k/average_l0_71/params.npz
        W_enc [d, F], W_dec [F, d], b_enc [F], b_dec [d], threshold [F]

    a = relu(x W_enc + b_enc) where x W_enc + b_enc > threshold,  y = a W_dec + b_dec

There is no config: the folder's path says what it belongs to. -res is the stream behind a
block, -mlp what the MLP adds to it (after the post-norm), -att the heads' outputs before their
projection, -transcoders reads the MLP's normalised input (before the norm's weight) and writes
what the MLP adds.
"""

from __future__ import annotations

import re
from pathlib import Path

from interp_widgets.dictionaries.coder import SparseCoder
from interp_widgets.dictionaries.errors import DictionaryError
from interp_widgets.dictionaries.formats import folding
from interp_widgets.dictionaries.formats.weights_file import Weights
from interp_widgets.dictionaries.layers import Layer
from interp_widgets.models.places import Place, Site

name = "Gemma Scope (params.npz in a folder named as on the hub)"
files = ("params.npz",)

_WEIGHTS = "params.npz"
_SITES: dict[str, tuple[Site, Site]] = {
    "res": ("resid_post", "resid_post"),
    "mlp": ("mlp_out", "mlp_out"),
    "att": ("attn_z", "attn_z"),
    "transcoders": ("mlp_normalized", "mlp_out"),
}
_PATH = re.compile(
    r"gemma-scope-(?P<model>\d+b-(?:pt|it))-(?P<site>res|mlp|att|transcoders)\b.*"
    r"/layer_(?P<layer>\d{1,4})/(?P<rest>.*)",
    re.ASCII,
)
_L0 = re.compile(r"average_l0_(\d+)")


def matches(folder: Path) -> bool:
    return (folder / _WEIGHTS).exists()


def load(folder: Path, scan: str, lazy: bool | None = None) -> SparseCoder:
    weights = Weights(folder / _WEIGHTS, lazy)
    return dictionary(weights, f"{folder.resolve().as_posix()}/", scan)


def dictionary(weights: Weights, path: str, scan: str) -> SparseCoder:
    """The dictionary of a params.npz; path: its folder, named as on the hub."""
    # The last part of the path counts that looks like the hub's names.
    found = _PATH.search(path[path.rfind("gemma-scope-") :]) if "gemma-scope-" in path else None
    if found is None:
        raise DictionaryError(
            f"{weights.path} has no config, and its path does not say what it belongs to: keep "
            "the hub's names, as in gemma-scope-2b-pt-res/layer_20/width_16k/average_l0_71."
        )
    layer = layer_of(weights)
    sites = _SITES[found["site"]]
    reads, writes = (Place(int(found["layer"]), site) for site in sites)
    declared: dict[str, float | str] = {"format": "Gemma Scope", "architecture": "jumprelu"}
    l0 = _L0.search(found["rest"])
    if l0 is not None:
        declared["l0"] = float(l0[1])
    # google/gemma-2-2b-it, but google/gemma-2-2b for what is called -pt here.
    model = f"google/gemma-2-{found['model'].removesuffix('-pt')}"
    return SparseCoder(layer, reads, writes, scan, model, declared=declared)


def layer_of(weights: Weights) -> Layer:
    """The weights of a params.npz."""
    encoder = weights.rows("W_enc", transposed=True)
    layer = Layer(
        source=str(weights.path),
        encoder=encoder,
        decoder=weights.rows("W_dec"),
        encoder_bias=weights.take("b_enc"),
        decoder_bias=weights.take("b_dec"),
        activation=folding.jump_relu(weights.take("threshold"), weights.source("threshold")),
    )
    weights.finish()
    return layer
