"""Reads a circuit-tracer folder; the layout is told in this package's `__init__`."""

from pathlib import Path

from torch import Tensor

from interp_widgets.dictionaries import hub
from interp_widgets.dictionaries.activations import Activation, JumpReLU, ReLU, TopK
from interp_widgets.dictionaries.cross_layer import CrossLayerTranscoder
from interp_widgets.dictionaries.errors import DictionaryError
from interp_widgets.dictionaries.formats import gemma_scope
from interp_widgets.dictionaries.formats.circuit_tracer.config import (
    CONFIG,
    Config,
    first_gap,
    read_config,
)
from interp_widgets.dictionaries.formats.weights_file import Weights
from interp_widgets.dictionaries.layers import Layer
from interp_widgets.dictionaries.transcoder import Transcoders


def load(folder: Path, scan: str, lazy: bool | None = None) -> Transcoders | CrossLayerTranscoder:
    """The dictionary in a folder; see `interp_widgets.dictionaries.load`.

    Args:
        scan: the feature set's name where config.yaml gives none.
    """
    config = read_config(folder, scan)
    if config.model_kind == "transcoder_set":
        layers = [
            _transcoder_layer(path, config, lazy) for path in _transcoder_paths(folder, config)
        ]
        return Transcoders(
            _same_activation(layers),
            config.input_hook,
            config.output_hook,
            config.scan,
            config.model_name,
        )
    layers = [
        _cross_layer(index, encoder, decoder, config, lazy)
        for index, (encoder, decoder) in enumerate(_cross_layer_paths(folder))
    ]
    for index, layer in enumerate(layers):
        layer.expect_decoder(len(layers) - index)
    return CrossLayerTranscoder(
        _same_activation(layers),
        config.input_hook,
        config.output_hook,
        config.scan,
        config.model_name,
    )


def _transcoder_layer(path: Path, config: Config, lazy: bool | None) -> Layer:
    weights = Weights(path, lazy)
    if path.suffix == ".npz":
        return gemma_scope.layer_of(weights)
    layer = Layer(
        source=str(path),
        activation=_activation(config, weights, "activation_function.threshold"),
        encoder=weights.rows("W_enc"),
        decoder=weights.rows("W_dec"),
        encoder_bias=weights.take("b_enc"),
        decoder_bias=weights.take("b_dec"),
        skip=weights.take("W_skip") if weights.has("W_skip") else None,
    )
    weights.finish()
    return layer


def _cross_layer(
    index: int, encoder: Path, decoder: Path, config: Config, lazy: bool | None
) -> Layer:
    weights, decoders = Weights(encoder, lazy), Weights(decoder, lazy)
    skip = f"W_skip_{index}"
    layer = Layer(
        source=str(encoder),
        activation=_activation(config, weights, f"threshold_{index}"),
        encoder=weights.rows(f"W_enc_{index}"),
        decoder=decoders.rows(f"W_dec_{index}"),
        encoder_bias=weights.take(f"b_enc_{index}"),
        decoder_bias=weights.take(f"b_dec_{index}"),
        skip=_transposed(weights.take(skip)) if weights.has(skip) else None,
    )
    weights.finish()
    decoders.finish()
    return layer


def _transposed(tensor: Tensor) -> Tensor:
    # What is no matrix passes as it is, so that Layer can say which shape it expected.
    return tensor.mT if tensor.ndim == 2 else tensor


def _activation(config: Config, weights: Weights, key: str) -> Activation:
    """The layer's nonlinearity; a contradiction between thresholds and config.yaml is an error."""
    if not weights.has(key):
        if config.activation == "jumprelu":
            raise DictionaryError(
                f"{weights.path} lacks {key}, but {CONFIG} says activation: jumprelu."
            )
        if config.k is None:
            return ReLU()
        return TopK(config.k, relu=config.activation == "topk_relu")
    if config.activation not in (None, "jumprelu"):
        raise DictionaryError(
            f"{weights.path} has {key}, but {CONFIG} says activation: {config.activation}."
        )
    return JumpReLU(weights.take(key))


def _same_activation(layers: list[Layer]) -> tuple[Layer, ...]:
    """A layer that lost its thresholds must not quietly become a ReLU among JumpReLUs."""
    first = layers[0]
    for layer in layers:
        if type(layer.activation) is not type(first.activation):
            raise DictionaryError(
                f"{layer.source} is a {type(layer.activation).__name__} layer, but "
                f"{first.source} is a {type(first.activation).__name__} layer."
            )
    return tuple(layers)


def _transcoder_paths(folder: Path, config: Config) -> list[Path]:
    if config.transcoders is None:
        return _numbered(folder, "layer")
    return [
        hub.download_file(entry) if entry.startswith("hf://") else folder / entry
        for entry in config.transcoders
    ]


def _cross_layer_paths(folder: Path) -> list[tuple[Path, Path]]:
    encoders, decoders = _numbered(folder, "W_enc"), _numbered(folder, "W_dec")
    shorter, longer = sorted((encoders, decoders), key=len)
    if len(shorter) < len(longer):
        stem = "W_enc" if shorter is encoders else "W_dec"
        raise DictionaryError(
            f"{folder} has {longer[len(shorter)].name} but lacks {stem}_{len(shorter)}.safetensors."
        )
    return list(zip(encoders, decoders, strict=True))


def _numbered(folder: Path, stem: str) -> list[Path]:
    """The files stem_0 .. stem_n of a folder; a gap is an error."""
    found: dict[int, Path] = {}
    for path in folder.glob(f"{stem}_*.safetensors"):
        number = path.stem.removeprefix(f"{stem}_")
        if number.isdecimal() and number == str(int(number)):
            found[int(number)] = path
    if not found:
        raise DictionaryError(
            f"{folder} has no files {stem}_0.safetensors, {stem}_1.safetensors, ..."
        )
    missing = first_gap(found)
    if missing < max(found):
        raise DictionaryError(
            f"{folder} has {stem}_{max(found)}.safetensors but lacks layer {missing} "
            f"({stem}_{missing}.safetensors)."
        )
    return [found[index] for index in sorted(found)]
