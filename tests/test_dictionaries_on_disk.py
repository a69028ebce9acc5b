"""Dictionaries survive the disk unchanged, and circuit-tracer's folders load as what they are."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from tiny_dictionaries import FEATURES, LAYERS, WIDTH, assert_same, every_dictionary, inputs, tiny

from interp_widgets.dictionaries import (
    CrossLayerTranscoder,
    DictionaryError,
    JumpReLU,
    Layer,
    ReLU,
    Rows,
    TopK,
    Transcoders,
    load,
    reconstruct,
)
from interp_widgets.dictionaries.formats import weights_file
from interp_widgets.dictionaries.formats.circuit_tracer import save

ORACLES = pathlib.Path(__file__).parents[2] / "shared" / "oracles"
needs_oracles = pytest.mark.skipif(
    not ORACLES.is_dir(), reason="the reference cases lie beside the checkout, in shared/oracles"
)


@every_dictionary
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("lazy", [False, True])
def test_saved_and_loaded_is_the_same_bit_for_bit(
    tmp_path: pathlib.Path,
    kind: str,
    activation: str,
    skip: bool,
    dtype: torch.dtype,
    lazy: bool,
) -> None:
    before = tiny(kind, activation, skip, dtype)
    save(before, tmp_path / "set")
    after = load(tmp_path / "set", lazy=lazy)
    assert type(after) is type(before)
    for name in ("input_hook", "output_hook", "scan", "model_name", "dtype", "n_layers"):
        assert getattr(after, name) == getattr(before, name)
    for index in range(LAYERS):
        one, other = before.layer(index), after.layer(index)
        assert other.encoder.mapped is lazy
        assert other.decoder.mapped is lazy
        assert_same(one, other)
    save(after, tmp_path / "again")
    for path in (tmp_path / "set").iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


@every_dictionary
def test_mapped_and_held_weights_give_the_same(
    tmp_path: pathlib.Path, kind: str, activation: str, skip: bool
) -> None:
    save(tiny(kind, activation, skip), tmp_path / "set")
    for dtype in (torch.float32, torch.float64):
        held = load(tmp_path / "set", lazy=False).to(dtype=dtype)
        mapped = load(tmp_path / "set", lazy=True).to(dtype=dtype)
        active = [[d.encode(i, x) for i, x in enumerate(inputs())] for d in (held, mapped)]
        for one, other in zip(*active, strict=True):
            assert one.feature.equal(other.feature)
            assert one.activation.equal(other.activation)
            assert other.activation.dtype == dtype
        for one, other in zip(
            *(reconstruct(d, inputs(), a) for d, a in zip((held, mapped), active, strict=True)),
            strict=True,
        ):
            assert one.equal(other)


def test_a_cross_layer_skip_is_stored_the_other_way_round(tmp_path: pathlib.Path) -> None:
    dictionary = tiny("cross-layer transcoder", skip=True)
    save(dictionary, tmp_path / "set")
    stored = load_file(tmp_path / "set" / "W_enc_1.safetensors")["W_skip_1"]
    x, skip = inputs()[1], dictionary.skip(1)
    assert skip is not None
    torch.testing.assert_close(x @ stored, x @ skip.T)


def test_files_of_mixed_precision_keep_the_most_precise(tmp_path: pathlib.Path) -> None:
    save(tiny(dtype=torch.bfloat16), tmp_path / "set")
    path = tmp_path / "set" / "layer_2.safetensors"
    tensors = load_file(path)
    exact = tensors["W_dec"].float() + 1e-4
    save_file(tensors | {"W_dec": exact}, path)
    dictionary = load(tmp_path / "set")
    assert dictionary.dtype == torch.float32
    assert dictionary.decoder(2, torch.arange(FEATURES), 2).equal(exact)
    assert dictionary.encoder(0, torch.arange(FEATURES)).dtype == torch.float32


def test_transcoders_may_be_listed_or_numbered_in_the_config(tmp_path: pathlib.Path) -> None:
    save(tiny(), tmp_path / "set")
    path = tmp_path / "set" / "config.yaml"
    config = yaml.safe_load(path.read_text())
    names = [f"part_{index}.safetensors" for index in range(LAYERS)]
    for index, name in enumerate(names):
        (tmp_path / "set" / f"layer_{index}.safetensors").rename(tmp_path / "set" / name)
    for listed in (names, {2: names[2], 0: names[0], "1": names[1]}):
        path.write_text(yaml.safe_dump(config | {"transcoders": listed}))
        rows = load(tmp_path / "set").encoder(2, torch.arange(FEATURES))
        assert rows.equal(tiny().encoder(2, torch.arange(FEATURES)))


def test_only_large_files_stay_on_disk_by_default(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tiny(), tmp_path / "set")
    assert not load(tmp_path / "set").layer(0).decoder.mapped
    monkeypatch.setattr(weights_file, "LAZY_BYTES", 100)
    assert load(tmp_path / "set").layer(0).decoder.mapped
    assert not load(tmp_path / "set", lazy=False).layer(0).decoder.mapped


def test_tied_weights_can_be_saved(tmp_path: pathlib.Path) -> None:
    table = Rows.hold(torch.randn(FEATURES, WIDTH), "tied")
    bias = torch.randn(FEATURES)
    layer = Layer("tied", table, table, bias, torch.randn(WIDTH), JumpReLU(bias))
    save(Transcoders((layer,), "mlp.hook_in", "mlp.hook_out", "tied"), tmp_path / "set")
    after = load(tmp_path / "set").layer(0)
    assert after.encoder.whole().equal(after.decoder.whole())


def test_a_full_folder_is_not_overwritten_and_a_failed_save_leaves_nothing(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "set"
    save(tiny(), folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(DictionaryError, match="already holds something"):
        save(tiny(), folder)
    (tmp_path / "empty").mkdir()
    save(tiny(), tmp_path / "empty")

    def full_disk(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_text", full_disk)
    with pytest.raises(DictionaryError, match="No space left"):
        save(tiny(), tmp_path / "new")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "set"]


@needs_oracles
def test_reference_folders_load_as_what_they_are() -> None:
    cases = yaml.safe_load((ORACLES / "cases" / "cases.json").read_text())
    kinds = {"plt": Transcoders, "clt": CrossLayerTranscoder}
    activations = {"relu": ReLU, "jumprelu": JumpReLU, "topk": TopK}
    for case in cases:
        dictionary = load(ORACLES / "cases" / "transcoders" / case["case"])
        assert isinstance(dictionary, kinds[case["arch"]])
        assert isinstance(dictionary.activation_function(0), activations[case["activation"]])
        assert dictionary.n_features(0) == case["d_transcoder"]
        assert (dictionary.skip(0) is not None) == case["skip"]
        assert dictionary.input_hook == case["feature_input_hook"]
        assert dictionary.output_hook == case["feature_output_hook"]
        assert dictionary.model_name == case["model"]
        if case["k"]:
            assert dictionary.activation_function(0) == TopK(case["k"])


@needs_oracles
def test_reference_activations_are_allowed_by_the_activation_functions() -> None:
    for path in sorted((ORACLES / "refs").glob("*__short__*.npz")):
        dictionary = load(ORACLES / "cases" / "transcoders" / path.stem.split("__short__")[0])
        with np.load(path, allow_pickle=False) as reference:
            layer, _, feature = torch.from_numpy(reference["active_features"]).T
            values = torch.from_numpy(reference["activation_values"])
        for index in range(dictionary.n_layers):
            here = layer == index
            activation = dictionary.activation_function(index)
            if isinstance(activation, JumpReLU):
                assert (values[here] > activation.threshold[feature[here]]).all()
            elif isinstance(activation, ReLU):
                assert (values[here] > 0).all()
