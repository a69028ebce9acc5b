"""Writes a dictionary in circuit-tracer's layout, all of it or nothing."""

from pathlib import Path

import yaml
from torch import Tensor
from torch.nn.functional import pad

from interp_widgets.dictionaries.activations import Gated, JumpReLU, ReLU, TopK
from interp_widgets.dictionaries.cross_layer import CrossLayerTranscoder
from interp_widgets.dictionaries.errors import DictionaryError
from interp_widgets.dictionaries.formats.circuit_tracer.config import CONFIG
from interp_widgets.dictionaries.formats.writing import write_folder, write_tensors
from interp_widgets.dictionaries.layers import Layer
from interp_widgets.dictionaries.transcoder import Transcoders


def save(dictionary: Transcoders | CrossLayerTranscoder, folder: str | Path) -> None:
    """Writes a dictionary to a new or empty folder, bit for bit as it is held.

    Raises:
        DictionaryError: the folder holds something already, or cannot be written.
    """

    def fill(target: Path) -> None:
        for index in range(dictionary.n_layers):
            layer = dictionary.layer(index)
            if isinstance(dictionary, Transcoders):
                write_tensors(target / f"layer_{index}.safetensors", _transcoder_tensors(layer))
            else:
                encoder, decoder = _cross_layer_tensors(index, layer, dictionary.n_layers)
                write_tensors(target / f"W_enc_{index}.safetensors", encoder)
                write_tensors(target / f"W_dec_{index}.safetensors", decoder)
        config = yaml.safe_dump(_config(dictionary), allow_unicode=True)
        (target / CONFIG).write_text(config, encoding="utf-8")

    write_folder(folder, fill, dictionary)


def _transcoder_tensors(layer: Layer) -> dict[str, Tensor]:
    tensors = {
        "W_enc": layer.encoder.whole(),
        "W_dec": layer.decoder.whole(),
        "b_enc": layer.encoder_bias,
        "b_dec": layer.decoder_bias,
    }
    if isinstance(layer.activation, JumpReLU):
        tensors["activation_function.threshold"] = layer.activation.threshold
    if layer.skip is not None:
        tensors["W_skip"] = layer.skip
    return tensors


def _cross_layer_tensors(
    index: int, layer: Layer, n_layers: int
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    encoder = {
        f"W_enc_{index}": layer.encoder.whole(),
        f"b_enc_{index}": layer.encoder_bias,
        f"b_dec_{index}": layer.decoder_bias,
    }
    if isinstance(layer.activation, JumpReLU):
        encoder[f"threshold_{index}"] = layer.activation.threshold
    if layer.skip is not None:
        encoder[f"W_skip_{index}"] = layer.skip.mT
    # The layout has room for every later layer; beyond a window decoders are zero.
    decoder = layer.decoder.whole()
    unreached = n_layers - index - decoder.shape[1]
    return encoder, {f"W_dec_{index}": pad(decoder, (0, 0, 0, unreached))}


def _config(dictionary: Transcoders | CrossLayerTranscoder) -> dict[str, str | int]:
    whole_set = isinstance(dictionary, Transcoders)
    config: dict[str, str | int] = {
        "model_kind": "transcoder_set" if whole_set else "cross_layer_transcoder",
        "feature_input_hook": dictionary.input_hook,
        "feature_output_hook": dictionary.output_hook,
        "scan": dictionary.scan,
    }
    if dictionary.model_name is not None:
        config["model_name"] = dictionary.model_name
    return config | _activation_words(dictionary)


def _activation_words(dictionary: Transcoders | CrossLayerTranscoder) -> dict[str, str | int]:
    """The one activation that the format has room for."""
    kinds = {_words(dictionary.layer(index)) for index in range(dictionary.n_layers)}
    if len(kinds) > 1:
        raise DictionaryError(
            f"{dictionary.scan} has different activations in different layers "
            f"({', '.join(str(kind) for kind in sorted(kinds))}), which config.yaml cannot say."
        )
    activation, k = kinds.pop()
    return {"activation": activation} | ({"k": k} if k else {})


def _words(layer: Layer) -> tuple[str, int]:
    match layer.activation:
        case TopK(k, relu):
            return "topk_relu" if relu else "topk", k
        case JumpReLU():
            return "jumprelu", 0
        case ReLU():
            return "relu", 0
        case Gated():
            raise DictionaryError(
                f"{layer.source} is gated, which circuit-tracer's layout has no words for."
            )
