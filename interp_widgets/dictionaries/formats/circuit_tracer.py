"""Reads and writes circuit-tracer's folders.

    config.yaml           model_kind, feature_input_hook, feature_output_hook, and optionally
                          scan, model_name, transcoders (one path per layer), activation, k
    layer_i.safetensors   transcoder_set: W_enc [F, d], W_dec [F, d], b_enc [F], b_dec [d],
                          activation_function.threshold [F]?, W_skip [d, d]? (y += x W_skip^T)
    W_enc_i.safetensors   cross_layer_transcoder: W_enc_i [F, d], b_enc_i [F], b_dec_i [d],
                          threshold_i [F]?, W_skip_i [d, d]? (y += x W_skip_i, not transposed)
    W_dec_i.safetensors   cross_layer_transcoder: W_dec_i [F, L - i, d]

`activation` is "relu", "jumprelu" or "topk" (with `k`); without it, thresholds make a
JumpReLU and none a ReLU. circuit-tracer itself ignores `activation` and `k`.
"""

from pathlib import Path

from torch import Tensor

from interp_widgets.dictionaries.activations import Activation, JumpReLU, ReLU, TopK
from interp_widgets.dictionaries.cross_layer import CrossLayerTranscoder
from interp_widgets.dictionaries.errors import DictionaryError
from interp_widgets.dictionaries.formats.circuit_tracer_config import CONFIG, Config, read_config
from interp_widgets.dictionaries.formats.weights_file import read_mapped
from interp_widgets.dictionaries.layers import Layer
from interp_widgets.dictionaries.rows import Rows
from interp_widgets.dictionaries.transcoder import Transcoders

name = "circuit-tracer (config.yaml with layer_i or W_enc_i and W_dec_i .safetensors)"

# Beyond this size a file's matrices stay on disk and rows are read when used.
LAZY_BYTES = 256 * 2**20


def matches(folder: Path) -> bool:
    """Whether the folder looks like this format, even when something is missing from it."""
    weights = ("layer_*.safetensors", "W_enc_*.safetensors", "W_dec_*.safetensors")
    return (folder / CONFIG).exists() or any(any(folder.glob(w)) for w in weights)


def load(folder: Path, scan: str, lazy: bool | None = None) -> Transcoders | CrossLayerTranscoder:
    """The dictionary in a folder; see `interp_widgets.dictionaries.load`.

    Args:
        scan: the feature set's name where config.yaml gives none.
    """
    config = read_config(folder, scan)
    if config.model_kind == "transcoder_set":
        layers = [_transcoder_layer(path, config, lazy) for path in _layer_paths(folder, config)]
        return Transcoders(
            _same_activation(layers),
            config.input_hook,
            config.output_hook,
            config.scan,
            config.model_name,
        )
    encoders = _numbered(folder, "W_enc")
    decoders = _numbered(folder, "W_dec")
    if len(encoders) != len(decoders):
        raise DictionaryError(
            f"{folder} has {len(encoders)} encoder files W_enc_i.safetensors, "
            f"but {len(decoders)} decoder files W_dec_i.safetensors."
        )
    layers = [
        _cross_layer(index, encoder, decoder, config, lazy)
        for index, (encoder, decoder) in enumerate(zip(encoders, decoders, strict=True))
    ]
    return CrossLayerTranscoder(
        _same_activation(layers),
        config.input_hook,
        config.output_hook,
        config.scan,
        config.model_name,
    )


def _transcoder_layer(path: Path, config: Config, lazy: bool | None) -> Layer:
    tensors = read_mapped(path)
    threshold = tensors.pop("activation_function.threshold", None)
    layer = Layer(
        source=str(path),
        encoder=_rows(tensors, "W_enc", path, lazy),
        decoder=_rows(tensors, "W_dec", path, lazy),
        encoder_bias=_held(tensors, "b_enc", path),
        decoder_bias=_held(tensors, "b_dec", path),
        activation=_activation(config, threshold, path),
        skip=_held(tensors, "W_skip", path) if "W_skip" in tensors else None,
    )
    _nothing_left(tensors, path)
    return layer


def _cross_layer(
    index: int, encoder: Path, decoder: Path, config: Config, lazy: bool | None
) -> Layer:
    tensors, decoders = read_mapped(encoder), read_mapped(decoder)
    threshold = tensors.pop(f"threshold_{index}", None)
    skip_key = f"W_skip_{index}"
    layer = Layer(
        source=str(encoder),
        encoder=_rows(tensors, f"W_enc_{index}", encoder, lazy),
        decoder=_rows(decoders, f"W_dec_{index}", decoder, lazy),
        encoder_bias=_held(tensors, f"b_enc_{index}", encoder),
        decoder_bias=_held(tensors, f"b_dec_{index}", encoder),
        activation=_activation(config, threshold, encoder),
        skip=_held(tensors, skip_key, encoder).mT if skip_key in tensors else None,
    )
    _nothing_left(tensors, encoder)
    _nothing_left(decoders, decoder)
    return layer


def _take(tensors: dict[str, Tensor], key: str, path: Path) -> Tensor:
    if key not in tensors:
        found = ", ".join(sorted(tensors)) or "no tensors"
        raise DictionaryError(f"{path} lacks the tensor {key} (it has {found}).")
    return tensors.pop(key)


def _held(tensors: dict[str, Tensor], key: str, path: Path) -> Tensor:
    return _take(tensors, key, path).clone()


def _rows(tensors: dict[str, Tensor], key: str, path: Path, lazy: bool | None) -> Rows:
    tensor = _take(tensors, key, path)
    source = f"{path}: {key}"
    if lazy or (lazy is None and path.stat().st_size > LAZY_BYTES):
        return Rows.map(tensor, source)
    return Rows.hold(tensor.clone(), source)


def _nothing_left(tensors: dict[str, Tensor], path: Path) -> None:
    """Ignoring a weight that we do not know would silently change what the features do."""
    if tensors:
        raise DictionaryError(
            f"{path} has tensors that this format does not define: {', '.join(sorted(tensors))}."
        )


def _activation(config: Config, threshold: Tensor | None, path: Path) -> Activation:
    if threshold is not None and config.activation in (None, "jumprelu"):
        return JumpReLU(threshold.clone())
    if threshold is not None:
        raise DictionaryError(
            f"{path} has thresholds, but {CONFIG} says activation: {config.activation}."
        )
    if config.activation == "jumprelu":
        raise DictionaryError(f"{path} has no thresholds, but {CONFIG} says activation: jumprelu.")
    return ReLU() if config.k is None else TopK(config.k)


def _same_activation(layers: list[Layer]) -> tuple[Layer, ...]:
    """A layer that lost its thresholds must not quietly become a ReLU among JumpReLUs."""
    for layer in layers:
        if type(layer.activation) is not type(layers[0].activation):
            raise DictionaryError(
                f"{layer.source} is a {type(layer.activation).__name__} layer, but "
                f"{layers[0].source} is a {type(layers[0].activation).__name__} layer."
            )
    return tuple(layers)


def _layer_paths(folder: Path, config: Config) -> list[Path]:
    return _numbered(folder, "layer") if config.transcoders is None else config.transcoders


def _numbered(folder: Path, stem: str) -> list[Path]:
    """The files stem_0 .. stem_n of a folder; a gap is an error."""
    found = {
        int(number): path
        for path in folder.glob(f"{stem}_*.safetensors")
        if (number := path.stem.removeprefix(f"{stem}_")).isdecimal()
    }
    if not found:
        raise DictionaryError(
            f"{folder} has no files {stem}_0.safetensors, {stem}_1.safetensors, ..."
        )
    missing = sorted(set(range(max(found))) - set(found))
    if missing:
        raise DictionaryError(
            f"{folder} has {stem}_{max(found)}.safetensors but lacks layer {missing[0]} "
            f"({stem}_{missing[0]}.safetensors)."
        )
    return [found[index] for index in sorted(found)]
