"""Folders in other tools' layouts compute what those tools define."""

from __future__ import annotations

import json
import math
import pathlib

import pytest
import torch
from broken_dictionaries import refusal
from safetensors.torch import save_file
from tiny_formats import CASES, D, Draw, F, K, above, gemma_scope, largest, relu, sparsify
from torch import Tensor

from interp_widgets.dictionaries import (
    ActiveFeatures,
    CrossLayerTranscoder,
    SparseCoder,
    TopK,
    Transcoders,
    load,
    reconstruct,
)
from interp_widgets.dictionaries.formats import weights_file


def inputs(seed: int = 11, n: int = 9) -> Tensor:
    return torch.randn(n, D, generator=torch.Generator().manual_seed(seed))


def dense(active: ActiveFeatures, n: int, features: int = F) -> Tensor:
    a = torch.zeros(n, features)
    a[active.position, active.feature] = active.activation
    return a


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_a_folder_computes_what_its_layout_defines(
    tmp_path: pathlib.Path, case: str, lazy: bool
) -> None:
    written = CASES[case](tmp_path)
    one = load(written.folder, lazy=lazy)
    assert isinstance(one, SparseCoder)
    assert (one.kind, str(one.reads), str(one.writes)) == (
        written.kind,
        written.reads,
        written.writes,
    )
    assert one.model_name == written.model_name
    assert case.startswith(str(one.declared["format"]))
    x = inputs()
    a, y = written.formula(x)
    assert 0 < int((a > 0).sum()) < a.numel()
    torch.testing.assert_close(dense(one.encode(x), len(x)), a, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(one.reconstruct(x), y, rtol=1e-5, atol=1e-5)


def test_a_topk_is_not_taken_for_a_relu(tmp_path: pathlib.Path) -> None:
    """SAELens once read TopK SAEs whose config was older as ReLU (its issue 553)."""
    one = load(CASES["SAELens before 6, topk"](tmp_path).folder)
    assert isinstance(one, SparseCoder)
    assert one.weights.activation == TopK(K, relu=True)
    active = one.encode(inputs(n=40))
    assert torch.bincount(active.position).max() <= K


def test_the_module_s_name_decides_where_saelens_gives_both(tmp_path: pathlib.Path) -> None:
    """SAELens calls what Gemma Scope 2 reads hook_mlp_in, which is in front of the norm."""
    folder = CASES["SAELens transcoder"](tmp_path).folder
    config = json.loads((folder / "cfg.json").read_text())
    block = "model.layers.4"
    config["metadata"] |= {
        "hook_name": "blocks.4.hook_mlp_in",
        "hf_hook_name": f"{block}.pre_feedforward_layernorm.output",
        "hf_hook_name_out": f"{block}.post_feedforward_layernorm.output",
    }
    (folder / "cfg.json").write_text(json.dumps(config))
    one = load(folder)
    assert isinstance(one, SparseCoder)
    assert [str(one.reads), str(one.writes)] == ["L4 mlp_in", "L4 mlp_out"]


def test_a_sparsify_decoder_is_not_transposed(tmp_path: pathlib.Path) -> None:
    """With as many features as dimensions nothing but the values would tell (SAELens' loader)."""
    draw, folder = Draw(0), tmp_path / "layers.0"
    W_dec, b_dec = draw(D, D), draw(D)
    weights = {
        "encoder.weight": draw(D, D),
        "encoder.bias": draw(D),
        "W_dec": W_dec,
        "b_dec": b_dec,
    }
    folder.mkdir()
    save_file(weights, folder / "sae.safetensors")
    (folder / "cfg.json").write_text(json.dumps({"d_in": D, "k": 2, "num_latents": D}))
    one = load(folder)
    assert isinstance(one, SparseCoder)
    assert one.weights.decoder.take(torch.tensor([3]))[0].equal(W_dec[3])


def test_what_is_declared_is_kept(tmp_path: pathlib.Path) -> None:
    declared = load(CASES["Gemma Scope 2 SAE"](tmp_path).folder).declared
    assert declared["l0"] == 60
    assert declared["hook"] == "model.layers.7.output"
    assert load(CASES["Gemma Scope res"](tmp_path).folder).declared["l0"] == 71
    assert load(CASES["SAELens topk"](tmp_path).folder).declared["k"] == K
    assert load(CASES["Llama Scope SAE"](tmp_path).folder).declared["l0"] == K


def test_gemma_scope_must_keep_its_path(tmp_path: pathlib.Path) -> None:
    folder = gemma_scope(tmp_path).folder
    moved = folder.rename(tmp_path / "mine")
    assert "its path does not say what it belongs to" in refusal(moved)


# --- cross-layer --------------------------------------------------------------------------------

L = 3


def layers_of_inputs() -> list[Tensor]:
    return [inputs(seed=20 + layer) for layer in range(L)]


def assert_computes(
    one: object, activations: list[Tensor], outputs: list[Tensor], tolerance: float = 1e-5
) -> None:
    assert isinstance(one, CrossLayerTranscoder)
    xs = layers_of_inputs()
    active = [one.encode(layer, x) for layer, x in enumerate(xs)]
    for layer in range(L):
        found = dense(active[layer], len(xs[layer]))
        torch.testing.assert_close(found, activations[layer], rtol=tolerance, atol=tolerance)
    for found, expected in zip(reconstruct(one, xs, active), outputs, strict=True):
        torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def gemma_scope_2_clt(folder: pathlib.Path, config: bool = True) -> list[dict[str, Tensor]]:
    draw, files = Draw(30), []
    folder.mkdir(parents=True)
    for layer in range(L):
        w_dec = draw(F, L, D)
        w_dec[:, :layer] = 0
        files.append(
            {"w_enc": draw(D, F), "w_dec": w_dec, "b_enc": draw(F), "b_dec": draw(D),
             "threshold": draw(F), "affine_skip_connection": draw(D, D)}
        )  # fmt: skip
        save_file(files[-1], folder / f"params_layer_{layer}.safetensors")
    if config:
        about = {
            "architecture": "jump_relu",
            "type": "clt",
            "l0": 50,
            "model_name": "gemma-3-1b-pt",
        }
        (folder / "config.json").write_text(json.dumps(about))
    return files


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("config", [False, True])
def test_a_gemma_scope_2_clt_has_every_layer(
    tmp_path: pathlib.Path, lazy: bool, config: bool
) -> None:
    files = gemma_scope_2_clt(tmp_path / "clt", config)
    one = load(tmp_path / "clt", lazy=lazy)
    xs, a = layers_of_inputs(), []
    for x, part in zip(xs, files, strict=True):
        pre = x @ part["w_enc"] + part["b_enc"]
        a.append((pre > part["threshold"]) * relu(pre))
    y = []
    for target in range(L):
        total = files[target]["b_dec"] + xs[target] @ files[target]["affine_skip_connection"]
        for source in range(L):
            total = total + a[source] @ files[source]["w_dec"][:, target]
        y.append(total)
    assert_computes(one, a, y)
    assert isinstance(one, CrossLayerTranscoder)
    assert [str(one.reads(1)), str(one.writes(1))] == ["L1 mlp_in", "L1 mlp_out"]


def test_a_gemma_scope_2_clt_with_a_layer_lost_or_shifted_is_refused(
    tmp_path: pathlib.Path,
) -> None:
    """Counting to the largest number loses the last layer; w_dec says how many there are."""
    folder = tmp_path / "clt"
    gemma_scope_2_clt(folder)
    last = folder / "params_layer_2.safetensors"
    last.rename(tmp_path / "last.safetensors")
    assert "writes to 3 layers, but there are files for 2" in refusal(folder)
    (folder / "params_layer_1.safetensors").rename(last)
    assert "lacks params_layer_1.safetensors" in refusal(folder)
    (tmp_path / "last.safetensors").rename(folder / "params_layer_1.safetensors")
    assert "params_layer_2.safetensors: w_dec writes to layers below 2" in refusal(folder)


def test_a_crosscoder_is_not_taken_for_a_clt(tmp_path: pathlib.Path) -> None:
    gemma_scope_2_clt(tmp_path / "crosscoder" / "layer_7_13_17", config=False)
    assert "is a crosscoder" in refusal(tmp_path / "crosscoder" / "layer_7_13_17")


@pytest.mark.parametrize("act_fn", ["jumprelu", "topk"])
@pytest.mark.parametrize("include_norm", [True, False])
def test_a_llamascopium_clt_computes_what_it_defines(
    tmp_path: pathlib.Path, act_fn: str, include_norm: bool
) -> None:
    draw, folder = Draw(31), tmp_path / "clt"
    W_E, b_E, log_theta = draw(L, D, F), draw(L, F), draw(L, F, scale=0.5)
    W_D = [draw(target + 1, F, D) for target in range(L)]
    b_D = [draw(D) for _ in range(L)]
    ins = [f"blocks.{layer}.ln2.hook_normalized" for layer in range(L)]
    outs = [f"blocks.{layer}.hook_mlp_out" for layer in range(L)]
    average = {hook: 0.5 + 0.3 * i for i, hook in enumerate(ins + outs)}
    weights = {"W_E": W_E, "b_E": b_E, **{f"W_D.{m}": W_D[m] for m in range(L)}}
    weights |= {f"b_D.{m}": b_D[m] for m in range(L)}
    weights |= {f"dataset_average_activation_norm.{k}": torch.tensor(v) for k, v in average.items()}
    if act_fn == "jumprelu":
        weights["activation_function.log_jumprelu_threshold"] = log_theta
    folder.mkdir()
    save_file(weights, folder / "sae_weights.safetensors")
    config = {"sae_type": "clt", "act_fn": act_fn, "top_k": K, "norm_activation": "dataset-wise",
              "sparsity_include_decoder_norm": include_norm, "hook_points_in": ins,
              "hook_points_out": outs, "d_model": D, "expansion_factor": F / D}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))

    xs, used, a = layers_of_inputs(), [], []
    for layer, x in enumerate(xs):
        s_in = math.sqrt(D) / average[ins[layer]]
        lengths = torch.stack([W_D[m][layer] for m in range(layer, L)]).square().sum((0, 2)).sqrt()
        norms = lengths if include_norm else torch.ones(F)
        pre = (s_in * x @ W_E[layer] + b_E[layer]) * norms
        kept = largest(pre, K) if act_fn == "topk" else above(pre, log_theta[layer].exp())
        used.append(kept / norms)
        a.append(kept / s_in)
    y = []
    for target in range(L):
        total = b_D[target] + sum(
            used[source] @ W_D[target][source] for source in range(target + 1)
        )
        y.append(total * average[outs[target]] / math.sqrt(D))
    one = load(folder)
    assert_computes(one, a, y)
    assert isinstance(one, CrossLayerTranscoder)
    assert str(one.reads(2)) == "L2 mlp_normalized"


def test_one_sparsify_transcoder_for_each_layer_is_a_set(tmp_path: pathlib.Path) -> None:
    written = sparsify(tmp_path, transcode=True, skip=True)
    run = written.folder.parent
    for layer in (0, 1, 2):
        (run / f"layers.{layer}.mlp").mkdir()
        for name in ("cfg.json", "sae.safetensors"):
            content = (written.folder / name).read_bytes()
            (run / f"layers.{layer}.mlp" / name).write_bytes(content)
    one = load(run)
    assert isinstance(one, Transcoders)
    assert (one.n_layers, one.model_name, one.scan) == (4, "someone/model", "run")
    x = inputs()
    torch.testing.assert_close(one.coder(2).reconstruct(x), written.formula(x)[1])
    (run / "layers.1.mlp" / "sae.safetensors").unlink()
    (run / "layers.1.mlp" / "cfg.json").unlink()
    assert "in the place of layer 1 stands run/layers.2.mlp" in refusal(run)


def test_circuit_tracer_s_config_may_list_gemma_scope_s_files(tmp_path: pathlib.Path) -> None:
    written = gemma_scope(tmp_path, "transcoders")
    params = (written.folder / "params.npz").relative_to(tmp_path).as_posix()
    hooks = {"feature_input_hook": "ln2.hook_normalized", "feature_output_hook": "hook_mlp_out"}
    config = {"model_kind": "transcoder_set", "transcoders": [params, params], **hooks}
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    one, x = load(tmp_path), inputs()
    assert isinstance(one, Transcoders)
    assert [str(one.reads(1)), str(one.writes(1))] == ["L1 mlp_normalized", "L1 mlp_out"]
    torch.testing.assert_close(one.coder(1).reconstruct(x), written.formula(x)[1])


def test_saes_of_several_layers_are_not_a_set(tmp_path: pathlib.Path) -> None:
    CASES["SAELens standard"](tmp_path / "saes")
    CASES["SAELens topk"](tmp_path / "saes")
    assert "holds several dictionaries (standard, topk)" in refusal(tmp_path / "saes")


def test_only_large_files_stay_on_disk(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = gemma_scope(tmp_path).folder
    assert not load(folder).weights.decoder.mapped  # type: ignore[union-attr]
    monkeypatch.setattr(weights_file, "LAZY_BYTES", 100)
    assert load(folder).weights.decoder.mapped  # type: ignore[union-attr]
