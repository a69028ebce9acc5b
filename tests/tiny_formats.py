"""A small folder in each layout, and what its own definition makes of it, as plain formulas.

Each case writes random weights in a layout's words and gives a function from inputs [n, d] to
(activations [n, F], outputs [n, d]), written after the layout's documentation and not after our
reader.
"""

from __future__ import annotations

import json
import math
import pathlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

F, D, K = 24, 8, 4
Formula = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Case:
    """A folder, the formula of what is in it, and what it should be taken for."""

    folder: pathlib.Path
    formula: Formula
    kind: str
    reads: str
    writes: str
    model_name: str | None = None


class Draw:
    """Random tensors, none of them zero or symmetric."""

    def __init__(self, seed: int) -> None:
        self.random = torch.Generator().manual_seed(seed)

    def __call__(self, *shape: int, scale: float = 1.0) -> Tensor:
        return torch.randn(*shape, generator=self.random) * scale


def relu(pre: Tensor) -> Tensor:
    return pre.clamp(min=0)


def largest(pre: Tensor, k: int) -> Tensor:
    """Each row's k largest entries, entry by entry, cut off at 0."""
    kept = torch.zeros_like(pre)
    for row in range(len(pre)):
        order = sorted(range(pre.shape[1]), key=lambda i: -float(pre[row, i]))
        for i in order[:k]:
            kept[row, i] = max(float(pre[row, i]), 0.0)
    return kept


def above(pre: Tensor, threshold: Tensor | float) -> Tensor:
    return torch.where(pre > threshold, relu(pre), torch.zeros_like(pre))


def write(
    folder: pathlib.Path, config: tuple[str, Any], weights: tuple[str, dict[str, Any]]
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / config[0]).write_text(json.dumps(config[1]))
    path = folder / weights[0]
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".npz":
        np.savez(path, **{key: tensor.numpy() for key, tensor in weights[1].items()})
    elif path.suffix == ".pt":
        torch.save(weights[1], path)
    else:
        save_file({key: tensor.contiguous() for key, tensor in weights[1].items()}, path)


# --- sparsify -----------------------------------------------------------------------------------


def sparsify(root: pathlib.Path, transcode: bool = False, skip: bool = False) -> Case:
    draw, folder = Draw(1), root / "run" / "layers.3.mlp"
    weights = {
        "encoder.weight": draw(F, D),
        "encoder.bias": draw(F),
        "W_dec": draw(F, D),
        "b_dec": draw(D),
    }
    if skip:
        weights["W_skip"] = draw(D, D)
    config = {"activation": "topk", "expansion_factor": 32, "normalize_decoder": True,
              "num_latents": F, "k": K, "multi_topk": False, "skip_connection": skip,
              "transcode": transcode, "d_in": D}  # fmt: skip
    write(folder, ("cfg.json", config), ("sae.safetensors", weights))
    (root / "run" / "config.json").write_text(json.dumps({"model": "someone/model", "sae": {}}))

    def formula(x: Tensor) -> tuple[Tensor, Tensor]:
        centred = x if transcode else x - weights["b_dec"]
        a = largest(centred @ weights["encoder.weight"].T + weights["encoder.bias"], K)
        y = a @ weights["W_dec"] + weights["b_dec"]
        return a, y + x @ weights["W_skip"].T if skip else y

    kind = "skip transcoder" if skip else "transcoder" if transcode else "SAE"
    reads = "L3 mlp_in" if transcode else "L3 mlp_raw"
    return Case(folder, formula, kind, reads, "L3 mlp_raw", "someone/model")


# --- dictionary_learning ------------------------------------------------------------------------


def dictionary_learning(root: pathlib.Path, dict_class: str) -> Case:
    draw, folder = Draw(2), root / dict_class
    upright = dict_class in ("MatryoshkaBatchTopKSAE", "JumpReluAutoEncoder")
    W_enc, W_dec, b_enc, b_dec = draw(D, F), draw(F, D), draw(F), draw(D)
    if upright:
        state = {"W_enc": W_enc, "W_dec": W_dec, "b_enc": b_enc, "b_dec": b_dec}
    else:
        state = {"encoder.weight": W_enc.T, "decoder.weight": W_dec.T, "encoder.bias": b_enc}
    trainer: dict[str, Any] = {
        "dict_class": dict_class, "activation_dim": D, "dict_size": F, "layer": 5,
        "lm_name": "someone/model", "submodule_name": "resid_post_layer_5",
    }  # fmt: skip
    threshold = 0.7

    def of(x: Tensor) -> Tensor:
        return x @ W_enc + b_enc

    formula: Formula
    match dict_class:
        case "AutoEncoder":
            state["bias"] = b_dec
            norms = W_dec.norm(dim=1)  # the loader's normalize_decoder is on by default

            def formula(x: Tensor) -> tuple[Tensor, Tensor]:
                a = relu(of(x - b_dec))
                return a * norms, a @ W_dec + b_dec
        case "AutoEncoderNew":
            state["decoder.bias"] = b_dec

            def formula(x: Tensor) -> tuple[Tensor, Tensor]:
                a = relu(of(x))
                return a, a @ W_dec + b_dec
        case "AutoEncoderTopK":
            state |= {"b_dec": b_dec, "k": torch.tensor(K, dtype=torch.int),
                      "threshold": torch.tensor(threshold)}  # fmt: skip
            trainer["k"] = K

            def formula(x: Tensor) -> tuple[Tensor, Tensor]:
                a = largest(of(x - b_dec), K)
                return a, a @ W_dec + b_dec
        case "BatchTopKSAE" | "MatryoshkaBatchTopKSAE":
            state |= {"b_dec": b_dec, "k": torch.tensor(K, dtype=torch.int),
                      "threshold": torch.tensor(threshold)}  # fmt: skip
            if upright:
                state["group_sizes"] = torch.tensor([8, 16])
            trainer["k"] = K

            def formula(x: Tensor) -> tuple[Tensor, Tensor]:
                a = above(of(x - b_dec), threshold)
                return a, a @ W_dec + b_dec
        case "JumpReluAutoEncoder":
            state["threshold"] = thresholds = draw(F)

            def formula(x: Tensor) -> tuple[Tensor, Tensor]:
                a = relu(of(x) * (of(x) > thresholds))
                return a, a @ W_dec + b_dec
        case _:
            del state["encoder.bias"]
            gate, mag, r_mag = draw(F), draw(F), draw(F, scale=0.3)
            state |= {"decoder_bias": b_dec, "gate_bias": gate, "mag_bias": mag, "r_mag": r_mag}

            def formula(x: Tensor) -> tuple[Tensor, Tensor]:
                encoded = (x - b_dec) @ W_enc
                a = (encoded + gate > 0) * relu(r_mag.exp() * encoded + mag)
                return a, a @ W_dec + b_dec

    config = {"trainer": trainer, "buffer": {"d_submodule": D, "io": "out", "ctx_len": 128}}
    write(folder, ("config.json", config), ("ae.pt", state))
    return Case(folder, formula, "SAE", "L5 resid_post", "L5 resid_post", "someone/model")


# --- Gemma Scope --------------------------------------------------------------------------------


def gemma_scope(root: pathlib.Path, site: str = "res") -> Case:
    draw = Draw(3)
    folder = root / f"gemma-scope-2b-pt-{site}" / "layer_20" / "width_16k" / "average_l0_71"
    W_enc, W_dec, b_enc, b_dec, threshold = draw(D, F), draw(F, D), draw(F), draw(D), draw(F)
    weights = {
        "W_enc": W_enc,
        "W_dec": W_dec,
        "b_enc": b_enc,
        "b_dec": b_dec,
        "threshold": threshold,
    }
    write(folder, ("README.md", "no config"), ("params.npz", weights))

    def formula(x: Tensor) -> tuple[Tensor, Tensor]:
        pre = x @ W_enc + b_enc
        a = (pre > threshold) * relu(pre)
        return a, a @ W_dec + b_dec

    reads, writes, kind = {
        "res": ("L20 resid_post", "L20 resid_post", "SAE"),
        "mlp": ("L20 mlp_out", "L20 mlp_out", "SAE"),
        "att": ("L20 attn_z", "L20 attn_z", "SAE"),
        "transcoders": ("L20 mlp_normalized", "L20 mlp_out", "transcoder"),
    }[site]
    return Case(folder, formula, kind, reads, writes, "google/gemma-2-2b")


def gemma_scope_2(root: pathlib.Path, kind: str = "sae") -> Case:
    draw, folder = Draw(4), root / kind / "layer_7_width_16k_l0_medium"
    w_enc, w_dec, b_enc, b_dec, threshold = draw(D, F), draw(F, D), draw(F), draw(D), draw(F)
    affine, block = draw(D, D), "model.layers.7"
    weights = {
        "w_enc": w_enc,
        "w_dec": w_dec,
        "b_enc": b_enc,
        "b_dec": b_dec,
        "threshold": threshold,
    }
    reads = writes = f"{block}.output"
    if kind == "transcoder":
        weights["affine_skip_connection"] = affine
        reads = f"{block}.pre_feedforward_layernorm.output"
        writes = f"{block}.post_feedforward_layernorm.output"
    config = {"architecture": "jump_relu", "model_name": "google/gemma-3-1b-pt", "width": F,
              "l0": 60, "type": kind, "affine_connection": kind == "transcoder",
              "hf_hook_point_in": reads, "hf_hook_point_out": writes}  # fmt: skip
    write(folder, ("config.json", config), ("params.safetensors", weights))

    def formula(x: Tensor) -> tuple[Tensor, Tensor]:
        pre = x @ w_enc + b_enc
        a = (pre > threshold) * relu(pre)
        y = a @ w_dec + b_dec
        return a, y + x @ affine if kind == "transcoder" else y

    if kind == "sae":
        return Case(
            folder, formula, "SAE", "L7 resid_post", "L7 resid_post", "google/gemma-3-1b-pt"
        )
    return Case(
        folder, formula, "skip transcoder", "L7 mlp_in", "L7 mlp_out", "google/gemma-3-1b-pt"
    )


# --- Llama Scope and llamascopium ---------------------------------------------------------------


def llama_scope(root: pathlib.Path, transcoder: bool = False, act_fn: str = "jumprelu") -> Case:
    draw = Draw(5)
    folder = root / f"Llama3_1-8B-Base-L8{'TC' if transcoder else 'R'}-8x"
    encoder, decoder, b_enc, b_dec = draw(F, D), draw(D, F), draw(F), draw(D)
    norm_in, norm_out, theta = (2.5, 0.7, 0.9) if transcoder else (1.7, 1.7, 0.9)
    weights = {"encoder.weight": encoder, "encoder.bias": b_enc,
               "decoder.weight": decoder, "decoder.bias": b_dec}  # fmt: skip
    config = {"d_model": D, "d_sae": F, "use_decoder_bias": True, "act_fn": act_fn,
              "apply_decoder_bias_to_pre_encoder": False, "jump_relu_threshold": theta,
              "norm_activation": "dataset-wise", "sparsity_include_decoder_norm": True,
              "dataset_average_activation_norm": {"in": norm_in, "out": norm_out}, "top_k": K,
              "hook_point_in": f"blocks.8.{'ln2.hook_normalized' if transcoder else 'hook_resid_post'}",
              "hook_point_out": f"blocks.8.{'hook_mlp_out' if transcoder else 'hook_resid_post'}"}  # fmt: skip
    write(folder, ("hyperparams.json", config), ("checkpoints/final.safetensors", weights))

    def formula(x: Tensor) -> tuple[Tensor, Tensor]:
        # lm-saes' from_config: standardise, then unit decoder norm, then the threshold.
        s_in, s_out = math.sqrt(D) / norm_in, math.sqrt(D) / norm_out
        W_dec = decoder * s_in / s_out
        norms = W_dec.norm(dim=0)
        pre = x @ (encoder * norms[:, None]).T + b_enc / s_in * norms
        a = torch.where(pre > theta, pre, torch.zeros_like(pre))
        return a, a @ (W_dec / norms).T + b_dec / s_out

    model = "meta-llama/Llama-3.1-8B"
    if transcoder:
        return Case(folder, formula, "transcoder", "L8 mlp_normalized", "L8 mlp_out", model)
    return Case(folder, formula, "SAE", "L8 resid_post", "L8 resid_post", model)


def llamascopium(
    root: pathlib.Path, act_fn: str, include_norm: bool = True, transcoder: bool = False,
    norm_activation: str = "dataset-wise",
) -> Case:  # fmt: skip
    draw, folder = Draw(6), root / f"{act_fn}-{include_norm}"
    W_E, b_E, W_D, b_D, log_theta = draw(D, F), draw(F), draw(F, D), draw(D), draw(F, scale=0.5)
    hook_in = "blocks.6.ln2.hook_normalized" if transcoder else "blocks.6.hook_resid_post"
    hook_out = "blocks.6.hook_mlp_out" if transcoder else hook_in
    average = {hook_in: 1.9, hook_out: 0.8} if transcoder else {hook_in: 1.9}
    weights = {"W_E": W_E, "b_E": b_E, "W_D": W_D, "b_D": b_D}
    weights |= {f"dataset_average_activation_norm.{k}": torch.tensor(v) for k, v in average.items()}
    if act_fn == "jumprelu":
        weights["activation_function.log_jumprelu_threshold"] = log_theta
    config = {"sae_type": "sae", "d_model": D, "expansion_factor": F / D, "use_decoder_bias": True,
              "act_fn": act_fn, "norm_activation": norm_activation, "top_k": K,
              "sparsity_include_decoder_norm": include_norm, "hook_point_in": hook_in,
              "hook_point_out": hook_out, "use_glu_encoder": False, "dtype": "torch.float32"}  # fmt: skip
    write(folder, ("config.json", config), ("sae_weights.safetensors", weights))

    def formula(x: Tensor) -> tuple[Tensor, Tensor]:
        s_in, s_out = (math.sqrt(D) / average[hook] for hook in (hook_in, hook_out))
        factors = torch.full((len(x), 1), s_in)
        if norm_activation == "token-wise":
            factors = math.sqrt(D) / x.norm(dim=-1, keepdim=True)
        elif norm_activation == "inference":
            factors = torch.ones(len(x), 1)
        norms = W_D.norm(dim=1) if include_norm else torch.ones(F)
        gated = (factors * x @ W_E + b_E) * norms
        if act_fn == "topk":
            a = largest(gated, K)
        else:
            a = above(gated, log_theta.exp() if act_fn == "jumprelu" else 0.0)
        back = 1 / (s_out if norm_activation == "dataset-wise" else factors)
        y = (a / norms @ W_D + b_D) * back
        # In the input's own units; a norm for each x stays with the coder.
        return a / (s_in if norm_activation == "dataset-wise" else 1), y

    if transcoder:
        return Case(folder, formula, "transcoder", "L6 mlp_normalized", "L6 mlp_out")
    return Case(folder, formula, "SAE", "L6 resid_post", "L6 resid_post")


# --- SAELens ------------------------------------------------------------------------------------


def saelens(
    root: pathlib.Path, architecture: str, norm: str = "none", subtract: bool = True,
    rescale: bool = False, **older: Any,
) -> Case:  # fmt: skip
    draw, folder = Draw(7), root / architecture
    W_enc, W_dec, b_enc, b_dec = draw(D, F), draw(F, D), draw(F), draw(D)
    threshold, b_mag, r_mag, W_skip = draw(F), draw(F), draw(F, scale=0.3), draw(D, D)
    transcodes, skips = "transcoder" in architecture, "skip" in architecture
    weights = {"W_enc": W_enc, "W_dec": W_dec, "b_dec": b_dec, "b_enc": b_enc}
    if "jumprelu" in architecture:
        weights["threshold"] = threshold
    if architecture == "gated":
        del weights["b_enc"]
        weights |= {"b_gate": b_enc, "b_mag": b_mag, "r_mag": r_mag}
    if skips:
        weights["W_skip"] = W_skip
    hook_in = "blocks.4.mlp.hook_in" if transcodes else "blocks.4.hook_resid_pre"
    about = {"model_name": "gpt2-small", "hook_name": hook_in, "sae_lens_version": "6.54.0"}
    if transcodes:
        about["hook_name_out"] = "blocks.4.hook_mlp_out"
    config = {"architecture": architecture, "d_in": D, "d_sae": F, "dtype": "float32",
              "device": "cpu", "apply_b_dec_to_input": subtract and not transcodes,
              "normalize_activations": norm, "reshape_activations": "none", "metadata": about}  # fmt: skip
    if architecture == "topk":
        config |= {"k": K, "rescale_acts_by_decoder_norm": rescale}
    factor = older.pop("factor", None)
    if factor is not None:
        weights["scaling_factor"] = factor
    if older:
        config = older
    write(folder, ("cfg.json", config), ("sae_weights.safetensors", weights))
    if older:
        topk = "k" in older.get("activation_fn_kwargs", {})
        architecture = "topk" if topk else architecture

    def formula(x: Tensor) -> tuple[Tensor, Tensor]:
        z = x
        if norm == "constant_norm_rescale":
            z = x * math.sqrt(D) / x.norm(dim=-1, keepdim=True)
        elif norm == "layer_norm":
            z = x - x.mean(-1, keepdim=True)
            std = z.std(-1, keepdim=True)
            z = z / (std + 1e-5)
        pre = (z if transcodes or not subtract else z - b_dec) @ W_enc + b_enc
        if architecture == "topk":
            a = largest(pre * W_dec.norm(dim=-1) if rescale else pre, K)
        elif architecture == "gated":
            a = (pre > 0) * relu((pre - b_enc) * r_mag.exp() + b_mag)
        elif "jumprelu" in architecture:
            a = relu(pre) * (pre > threshold)
        else:
            a = relu(pre)
        used = a / W_dec.norm(dim=-1) if rescale else a
        y = (used if factor is None else used * factor) @ W_dec + b_dec
        if norm == "constant_norm_rescale":
            y = y * x.norm(dim=-1, keepdim=True) / math.sqrt(D)
        elif norm == "layer_norm":
            y = y * (x - x.mean(-1, keepdim=True)).std(-1, keepdim=True) + x.mean(-1, keepdim=True)
        return a, y + x @ W_skip.T if skips else y

    if transcodes:
        kind = "skip transcoder" if skips else "transcoder"
        return Case(folder, formula, kind, "L4 mlp_in", "L4 mlp_out", "gpt2-small")
    return Case(folder, formula, "SAE", "L4 resid_pre", "L4 resid_pre", "gpt2-small")


OLDER = {"hook_point": "blocks.4.hook_resid_pre", "hook_point_layer": 4, "d_in": D, "d_sae": F,
         "model_name": "gpt2-small", "activation_fn_str": "relu", "dtype": "torch.float32"}  # fmt: skip

CASES: dict[str, Callable[[pathlib.Path], Case]] = {
    "sparsify SAE": sparsify,
    "sparsify transcoder": lambda root: sparsify(root, transcode=True),
    "sparsify skip transcoder": lambda root: sparsify(root, transcode=True, skip=True),
    **{
        f"dictionary_learning {kind}": lambda root, kind=kind: dictionary_learning(root, kind)  # type: ignore[misc]
        for kind in ("AutoEncoder", "AutoEncoderNew", "AutoEncoderTopK", "BatchTopKSAE",
                     "MatryoshkaBatchTopKSAE", "JumpReluAutoEncoder", "GatedAutoEncoder")
    },
    **{
        f"Gemma Scope {site}": lambda root, site=site: gemma_scope(root, site)  # type: ignore[misc]
        for site in ("res", "mlp", "att", "transcoders")
    },
    "Gemma Scope 2 SAE": gemma_scope_2,
    "Gemma Scope 2 transcoder": lambda root: gemma_scope_2(root, "transcoder"),
    "Llama Scope SAE": llama_scope,
    "Llama Scope TopK with a threshold": lambda root: llama_scope(root, act_fn="topk"),
    "Llama Scope transcoder": lambda root: llama_scope(root, transcoder=True),
    "llamascopium relu": lambda root: llamascopium(root, "relu"),
    "llamascopium jumprelu": lambda root: llamascopium(root, "jumprelu"),
    "llamascopium topk": lambda root: llamascopium(root, "topk"),
    "llamascopium topk by activation": lambda root: llamascopium(root, "topk", False),
    "llamascopium jumprelu by activation": lambda root: llamascopium(root, "jumprelu", False),
    "llamascopium transcoder": lambda root: llamascopium(root, "jumprelu", transcoder=True),
    "llamascopium folded": lambda root: llamascopium(root, "topk", norm_activation="inference"),
    "llamascopium per token": lambda root: llamascopium(root, "relu", norm_activation="token-wise"),
    "SAELens standard": lambda root: saelens(root, "standard"),
    "SAELens standard, bias kept": lambda root: saelens(root, "standard", subtract=False),
    "SAELens topk": lambda root: saelens(root, "topk"),
    "SAELens topk by decoder norm": lambda root: saelens(root, "topk", rescale=True),
    "SAELens jumprelu": lambda root: saelens(root, "jumprelu"),
    "SAELens gated": lambda root: saelens(root, "gated"),
    "SAELens layer norm": lambda root: saelens(root, "standard", norm="layer_norm"),
    "SAELens constant norm": lambda root: saelens(root, "topk", norm="constant_norm_rescale"),
    "SAELens transcoder": lambda root: saelens(root, "transcoder"),
    "SAELens skip transcoder": lambda root: saelens(root, "skip_transcoder"),
    "SAELens jumprelu transcoder": lambda root: saelens(root, "jumprelu_transcoder"),
    "SAELens jumprelu skip transcoder": lambda root: saelens(root, "jumprelu_skip_transcoder"),
    "SAELens before 6": lambda root: saelens(root, "standard", **OLDER),
    "SAELens before 6, topk": lambda root: saelens(
        root, "standard", **OLDER | {"activation_fn_str": "topk", "activation_fn_kwargs": {"k": K}}
    ),
    "SAELens before 6, finetuned": lambda root: saelens(
        root, "standard", factor=torch.linspace(0.5, 1.5, F), **OLDER | {"finetuning_scaling_factor": True}
    ),
}  # fmt: skip
