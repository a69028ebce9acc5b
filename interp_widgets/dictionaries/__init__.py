"""Sparse dictionaries of a language model's features: load them, encode, decode.

dictionary = load("./my-transcoders")
active = dictionary.encode(layer, x)
vectors = dictionary.decoder(layer, active.feature, target_layer=layer)
"""

from interp_widgets.dictionaries.activations import Activation, Gated, JumpReLU, ReLU, TopK
from interp_widgets.dictionaries.coder import InputNorm, SparseCoder
from interp_widgets.dictionaries.cross_layer import CrossLayerTranscoder
from interp_widgets.dictionaries.dictionary import (
    ActiveFeatures,
    Dictionary,
    check_fits,
    reconstruct,
)
from interp_widgets.dictionaries.errors import DictionaryError
from interp_widgets.dictionaries.formats import FORMATS, Loaded, load, save
from interp_widgets.dictionaries.intervening import BoundFeatures
from interp_widgets.dictionaries.layers import Layer
from interp_widgets.dictionaries.rows import Rows
from interp_widgets.dictionaries.transcoder import Transcoders

__all__ = [
    "FORMATS",
    "Activation",
    "ActiveFeatures",
    "BoundFeatures",
    "CrossLayerTranscoder",
    "Dictionary",
    "DictionaryError",
    "Gated",
    "InputNorm",
    "JumpReLU",
    "Layer",
    "Loaded",
    "ReLU",
    "Rows",
    "SparseCoder",
    "TopK",
    "Transcoders",
    "check_fits",
    "load",
    "reconstruct",
    "save",
]
