"""What is written computes the same when it is read: in our layout, and in SAELens'."""

from __future__ import annotations

import json
import pathlib

import pytest
import torch
from safetensors.torch import load_file
from test_dictionaries_coder import coder, windowed
from tiny_dictionaries import FEATURES, KINDS, LAYERS, WIDTH, assert_same, inputs, tiny
from torch import Tensor

from interp_widgets.dictionaries import (
    CrossLayerTranscoder,
    DictionaryError,
    Gated,
    JumpReLU,
    Layer,
    SparseCoder,
    Transcoders,
    load,
    reconstruct,
    save,
)
from interp_widgets.dictionaries.labels import Label
from interp_widgets.models.places import Place

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
ACTIVATIONS = ("relu", "jumprelu", "topk", "topk_relu", "gated")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_model_s_dictionary_is_kept_bit_for_bit(
    tmp_path: pathlib.Path, kind: str, activation: str, lazy: bool, dtype: str
) -> None:
    before = tiny(kind, activation, skip=activation != "relu", dtype=DTYPES[dtype])
    save(before, tmp_path / "set")
    after = load(tmp_path / "set", lazy=lazy)
    assert type(after) is type(before)
    for name in ("input_hook", "output_hook", "scan", "model_name", "dtype", "n_layers"):
        assert getattr(after, name) == getattr(before, name)
    for index in range(LAYERS):
        assert after.layer(index).encoder.mapped is lazy
        assert_same(before.layer(index), after.layer(index))


@pytest.mark.parametrize("norm", ["none", "constant_norm", "layer_norm"])
@pytest.mark.parametrize("kind", ["SAE", "skip transcoder"])
def test_a_coder_keeps_its_places_norm_and_declarations(
    tmp_path: pathlib.Path, kind: str, norm: str
) -> None:
    if kind != "SAE":
        norm = "none"
    one = coder(kind, "gated", norm)
    declared = {"l0": 12.5, "hook": "somewhere"}
    before = SparseCoder(one.weights, one.reads, one.writes, "a/b", "gpt2", one.norm, declared)
    save(before, tmp_path / "one")
    after = load(tmp_path / "one")
    assert isinstance(after, SparseCoder)
    for name in ("reads", "writes", "scan", "model_name", "norm", "declared", "kind"):
        assert getattr(after, name) == getattr(before, name)
    assert_same(before.weights, after.weights)
    assert [p.name for p in (tmp_path / "one").glob("*.safetensors")] == ["features_1.safetensors"]


def test_windows_and_labels_are_kept(tmp_path: pathlib.Path) -> None:
    save(windowed(2), tmp_path / "clt")
    after = load(tmp_path / "clt")
    assert isinstance(after, CrossLayerTranscoder)
    assert after.window == 2
    labels = {(1, 3): Label("texas", 0.97, 0.5, 40, "by hand")}
    before = tiny()
    named = Transcoders(before.layers, "mlp.hook_in", "mlp.hook_out", "x", labels=labels)
    save(named, tmp_path / "named")
    assert load(tmp_path / "named").labels == labels  # type: ignore[union-attr]


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_int8_is_off_by_half_a_step_at_most(tmp_path: pathlib.Path, kind: str, lazy: bool) -> None:
    before = tiny(kind, "jumprelu", skip=True)
    save(before, tmp_path / "set", dtype="int8")
    after = load(tmp_path / "set", lazy=lazy)
    assert isinstance(after, Transcoders | CrossLayerTranscoder)
    assert after.dtype == torch.float32
    for index in range(LAYERS):
        one, other = before.layer(index), after.layer(index)
        for table, found in (
            (one.encoder.whole(), other.encoder.whole()),
            (one.decoder.whole(), other.decoder.whole()),
            (one.skip, other.skip),
        ):
            assert table is not None
            assert found is not None
            step = table.abs().amax(-1, keepdim=True) / 127
            assert bool(((table - found).abs() <= step * 0.5001).all())
            assert not table.equal(found)
        assert one.encoder_bias.equal(other.encoder_bias)
        assert_thresholds(one, other)
        some = torch.tensor([3, 19, 3])
        assert after.encoder(index, some).equal(other.encoder.whole()[some])
    stored = load_file(tmp_path / "set" / "features_0.safetensors")
    assert stored["encoder"].dtype == torch.int8
    assert stored["encoder.scale"].shape == (FEATURES,)
    xs = inputs()
    active = [after.encode(layer, x) for layer, x in enumerate(xs)]
    exact = reconstruct(before, xs, [before.encode(layer, x) for layer, x in enumerate(xs)])
    found_y, exact_y = torch.stack(reconstruct(after, xs, active)), torch.stack(exact)
    assert float((found_y - exact_y).square().sum() / exact_y.square().sum()) < 1e-2


def assert_thresholds(one: Layer, other: Layer) -> None:
    assert isinstance(one.activation, JumpReLU)
    assert isinstance(other.activation, JumpReLU)
    assert one.activation.threshold.equal(other.activation.threshold)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_weights_are_stored_in_the_dtype_asked_for(tmp_path: pathlib.Path, dtype: str) -> None:
    save(tiny(), tmp_path / "set", dtype=dtype)  # type: ignore[arg-type]
    assert load(tmp_path / "set").dtype == DTYPES[dtype]


def test_what_cannot_be_written_leaves_nothing(tmp_path: pathlib.Path) -> None:
    huge = tiny()
    layer = huge.layer(1)
    layer.decoder_bias[0] = 1e6
    with pytest.raises(DictionaryError, match="layer 1: decoder_bias holds NaN or infinity"):
        save(huge, tmp_path / "set", dtype="float16")
    with pytest.raises(DictionaryError, match="not 'int4'"):
        save(huge, tmp_path / "set", dtype="int4")  # type: ignore[arg-type]
    with pytest.raises(DictionaryError, match="no layout 'sparsify'"):
        save(huge, tmp_path / "set", "sparsify")  # type: ignore[arg-type]
    with pytest.raises(DictionaryError, match="put them together"):
        save(coder(), tmp_path / "set", "circuit-tracer")
    with pytest.raises(DictionaryError, match="Only our own layout"):
        save(huge, tmp_path / "set", "saelens", dtype="float16")
    assert not list(tmp_path.iterdir())


# --- SAELens ------------------------------------------------------------------------------------


def saelens_formula(folder: pathlib.Path, x: Tensor) -> tuple[Tensor, Tensor]:
    """What SAELens 6 makes of a folder, after its classes' encode and decode."""
    cfg = json.loads((folder / "cfg.json").read_text())
    w = load_file(folder / "sae_weights.safetensors")
    assert not cfg["apply_b_dec_to_input"]
    z, scale, shift = x, torch.ones(len(x), 1), torch.zeros(len(x), 1)
    if cfg["normalize_activations"] == "constant_norm_rescale":
        scale = x.norm(dim=-1, keepdim=True) / cfg["d_in"] ** 0.5
        z = x / scale
    elif cfg["normalize_activations"] == "layer_norm":
        shift, scale = x.mean(-1, keepdim=True), x.std(-1, keepdim=True)
        z = (x - shift) / (scale + 1e-5)
    if cfg["architecture"] == "gated":
        gate = z @ w["W_enc"] + w["b_gate"]
        a = (gate > 0) * (z @ (w["W_enc"] * w["r_mag"].exp()) + w["b_mag"]).relu()
    else:
        pre = z @ w["W_enc"] + w["b_enc"]
        a = pre.relu()
        if "threshold" in w:
            a = a * (pre > w["threshold"])
        if cfg["architecture"] == "topk":
            kept = pre.topk(cfg["k"], dim=-1)
            a = torch.zeros_like(pre).scatter(-1, kept.indices, kept.values.relu())
    y = (a @ w["W_dec"] + w["b_dec"]) * scale + shift
    return a, y + x @ w["W_skip"].T if "W_skip" in w else y


def positive(one: SparseCoder) -> SparseCoder:
    """With thresholds of at least 0, which are all that SAELens knows."""
    weights, activation = one.weights, one.weights.activation
    if isinstance(activation, JumpReLU):
        activation = JumpReLU(activation.threshold.abs())
    layer = Layer("layer", weights.encoder, weights.decoder, weights.encoder_bias,
                  weights.decoder_bias, activation, weights.skip)  # fmt: skip
    return SparseCoder(layer, one.reads, one.writes, one.scan, "gpt2", one.norm)


SAELENS = {
    "standard": ("SAE", "relu", "none"),
    "topk": ("SAE", "topk_relu", "layer_norm"),
    "jumprelu": ("SAE", "jumprelu", "constant_norm"),
    "gated": ("SAE", "gated", "none"),
    "transcoder": ("transcoder", "relu", "none"),
    "skip_transcoder": ("skip transcoder", "relu", "none"),
    "jumprelu_transcoder": ("transcoder", "jumprelu", "none"),
    "jumprelu_skip_transcoder": ("skip transcoder", "jumprelu", "none"),
}


@pytest.mark.parametrize("architecture", SAELENS)
def test_saelens_finds_what_we_held(tmp_path: pathlib.Path, architecture: str) -> None:
    before, x = positive(coder(*SAELENS[architecture])), inputs()[0]
    save(before, tmp_path / "sae", "saelens")
    cfg = json.loads((tmp_path / "sae" / "cfg.json").read_text())
    assert cfg["architecture"] == architecture
    assert (cfg["d_in"], cfg["d_sae"]) == (WIDTH, FEATURES)
    a, y = saelens_formula(tmp_path / "sae", x)
    torch.testing.assert_close(before.reconstruct(x), y)
    active = before.encode(x)
    assert active.feature.equal(a.nonzero()[:, 1])
    torch.testing.assert_close(active.activation, a[a != 0])
    after = load(tmp_path / "sae")
    assert isinstance(after, SparseCoder)
    for name in ("reads", "writes", "model_name", "norm", "kind"):
        assert getattr(after, name) == getattr(before, name)
    torch.testing.assert_close(after.reconstruct(x), y)


def test_transcoders_become_a_folder_for_each_layer(tmp_path: pathlib.Path) -> None:
    before = tiny("transcoder", "relu", skip=True)
    save(before, tmp_path / "set", "saelens")
    after = load(tmp_path / "set")
    assert isinstance(after, Transcoders)
    for index in range(LAYERS):
        assert_same(before.layer(index), after.layer(index))
        folder = tmp_path / "set" / f"layer_{index}"
        x = inputs()[index]
        found = after.coder(index).reconstruct(x)
        torch.testing.assert_close(found, saelens_formula(folder, x)[1])


def test_what_saelens_has_no_class_for_is_refused(tmp_path: pathlib.Path) -> None:
    refused = {
        "cross-layer transcoder, which SAELens has no layout": tiny("cross-layer transcoder"),
        "keeps negative activations": coder(activation="topk"),
        "thresholds below 0": coder(activation="jumprelu"),
        "TopK transcoder, but SAELens has": coder("transcoder", "topk_relu"),
        "Gated transcoder, but SAELens has": coder("transcoder", "gated"),
    }
    for said, dictionary in refused.items():
        with pytest.raises(DictionaryError, match=said):
            save(dictionary, tmp_path / "sae", "saelens")
    layer = coder().weights
    shut = Gated(torch.zeros(FEATURES), torch.ones(FEATURES))
    gated = Layer("x", layer.encoder, layer.decoder, layer.encoder_bias, layer.decoder_bias, shut)
    one = SparseCoder(gated, Place(0, "mlp_in"), Place(0, "mlp_in"), "x")
    with pytest.raises(DictionaryError, match="gates of scale 0"):
        save(one, tmp_path / "sae", "saelens")
    assert not list(tmp_path.iterdir())
