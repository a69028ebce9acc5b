"""Everything that runs under nnsight: this file is the only one that opens a trace.

Trace bodies are short, in plain functions and without `self`, because nnsight reads their
source and runs it in a greenlet. Sites are visited in the order the forward pass reaches them.

`visit` reads and writes places on a batch of prompts: only those that are named, and it stops
behind the last one if nobody wants logits. Writes act on what the rest of the pass computes, so
the pass that a reader sees above a write is the changed one.

Attention is causal and padding stands behind the tokens, so no token ever looks at padding and
the model needs no mask for it. (Given one, a sliding window makes rows of padding that may look
at nothing; their softmax is NaN in float64, and NaN times 0 reaches the tokens.)

The stream in the middle of a block is no module's output. It is written in place: the tensor
that the MLP's norm reads is the tensor that the MLP's output is added to.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import nnsight
import torch
from torch import Tensor, nn

from .anatomy import Anatomy, fused_part, heads_of, norm_parameters, part
from .errors import ModelError, PromptError
from .places import Place, Site

# From the value at a place and what was read before it, to what is put there instead.
Edit = Callable[[Tensor, Mapping[Place, Tensor]], Tensor]


@dataclass(frozen=True)
class Run:
    """What one forward pass left behind.

    Attributes:
        logits: [batch, position, vocab] in the model's dtype, or None where not asked for.
        seen: per place that was read, [batch, position, d], as it was before a write there.
    """

    logits: Tensor | None
    seen: dict[Place, Tensor]


def check_ids(ids: Tensor, mask: Tensor | None, config: Any, name: str) -> None:
    """Raises PromptError unless ids and mask are a right-padded batch that the model can read."""
    if ids.ndim != 2 or 0 in ids.shape or ids.is_floating_point():
        raise PromptError(
            f"A run takes whole-number token ids [batch, position], not {list(ids.shape)} "
            f"{ids.dtype}."
        )
    low, high = int(ids.min()), int(ids.max())
    if low < 0 or high >= config.vocab_size:
        wrong = low if low < 0 else high
        raise PromptError(
            f"Token id {wrong} is outside the vocabulary (0 to {config.vocab_size - 1})."
        )
    limit = getattr(config, "max_position_embeddings", None)
    if limit is not None and ids.shape[1] > limit:
        raise PromptError(f"{ids.shape[1]} tokens are too long: {name} reads at most {limit}.")
    if mask is None:
        return
    if mask.shape != ids.shape:
        raise PromptError(
            f"The mask has shape {list(mask.shape)}, but the ids have {list(ids.shape)}."
        )
    kept = mask.to(torch.int8)
    if bool((kept[:, 1:] > kept[:, :-1]).any()) or not bool(kept[:, 0].all()):
        raise PromptError(
            "The batch is not right-padded: padding in front would shift every position."
        )


def check_places(read: Iterable[Place], write: Iterable[Place], n_layers: int, name: str) -> None:
    """Raises ModelError for a place that the model does not have, and for a written pattern."""
    for place in (*read, *write):
        if place.layer >= n_layers:
            raise ModelError(f"{name} has {n_layers} layers (0 to {n_layers - 1}): no {place}.")
        if place.site == "final_normalized" and place.layer != n_layers - 1:
            raise ModelError(
                f"The last norm of {name} stands behind block {n_layers - 1}: there is no {place}."
            )
    for place in write:
        if place.site == "pattern":
            raise ModelError(
                f"{place} can be read but not written: use an intervention on patterns, which "
                f"writes what attention gives with the changed ones."
            )


def visit(
    traced: Any,
    hf: nn.Module,
    row: Anatomy,
    ids: Tensor,
    read: Collection[Place],
    write: Mapping[Place, Edit],
    logits: bool | Tensor,
) -> Run:
    """One run of `hf`, which `traced` wraps; the rest is as `Model.run` describes it."""
    seen: dict[Place, Tensor] = {}
    output: list[Tensor] = []
    wanted = logits is not False
    if not (wanted or read or write):
        return Run(None, seen)
    keep = {"logits_to_keep": logits} if isinstance(logits, Tensor) else {}
    with traced.trace(input_ids=ids, use_cache=False, **keep) as tracer:
        _visit_places(traced, hf, row, read, write, seen)
        # A trace that is stopped loses what it assigned, but not what it put into a list.
        output.append(traced.output.logits) if wanted else tracer.stop()
    # A model may be spread over devices.
    seen = {place: value.to(ids.device) for place, value in seen.items()}
    return Run(output[0].to(ids.device) if wanted else None, seen)


def advance(
    traced: Any,
    hf: nn.Module,
    row: Anatomy,
    ids: Tensor,
    cache: Any,
    read: Collection[Place],
    write: Mapping[Place, Edit],
) -> Tensor:
    """Logits [batch, vocab] behind `ids` [batch, position], which stand behind what `cache` holds.

    The cache (transformers' own) takes up the keys and values of this pass. Values at places are
    those of `ids` alone.
    """
    seen: dict[Place, Tensor] = {}
    output: list[Tensor] = []
    with traced.trace(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1):
        _visit_places(traced, hf, row, read, write, seen)
        output.append(traced.output.logits)
    return output[0][:, -1].to(ids.device)


def _visit_places(
    traced: Any,
    hf: nn.Module,
    row: Anatomy,
    read: Collection[Place],
    write: Mapping[Place, Edit],
    seen: dict[Place, Tensor],
) -> None:
    # In a parallel block the stream's tensor is also an earlier place's: keep that as it was.
    in_place = any(place.site == "resid_mid" for place in write)
    heads = heads_of(hf)[0]
    for place in sorted({*read, *write}):
        block = part(traced, row.layers)[place.layer]
        module = part(hf, row.layers)[place.layer]
        if place.site == "final_normalized":
            block, module = traced, hf
        value = _value(block, module, row, place, heads)
        if place in read:
            seen[place] = value.clone() if in_place else value
        if place in write:
            new = write[place](value, MappingProxyType(seen))
            if new.shape != value.shape:
                raise ModelError(
                    f"What is written at {place} has shape {list(new.shape)}, "
                    f"expected {list(value.shape)}."
                )
            _replace(block, module, row, place, heads, new.to(value))


_QKV = {"attn_q": 0, "attn_k": 1, "attn_v": 2}


def norms_of(row: Anatomy) -> list[tuple[str, Site, Site]]:
    """The norms inside a block: path, the site it reads, the site of its output."""
    norms: list[tuple[str | None, Site, Site]] = [
        (row.attn_norm, "resid_pre", "attn_normalized"),
        (row.attn_post_norm, "attn_raw", "attn_out"),
        (row.mlp_norm, "resid_mid", "mlp_normalized"),
        (row.mlp_post_norm, "mlp_raw", "mlp_out"),
    ]
    return [(path, source, target) for path, source, target in norms if path is not None]


def _value(block: Any, module: Any, row: Anatomy, place: Place, heads: int) -> Tensor:
    value: Tensor
    match place.site:
        case "resid_pre":
            value = block.input
        case "attn_normalized":
            value = _normalized(part(block, row.attn_norm).input, part(module, row.attn_norm), row)
        case "attn_q" | "attn_k" | "attn_v":
            index = _QKV[place.site]
            whole = part(block, row.qkv[index]).output
            value = fused_part(whole, index, row, heads).reshape(*whole.shape[:-1], -1)
        case "attn_z":
            value = part(block, row.attn_write).input
        case "attn_out" if row.attn_post_norm:
            value = part(block, row.attn_post_norm).output
        case "attn_raw" | "attn_out":
            value = part(block, row.attn).output[0]
        case "pattern":
            value = part(block, row.attn).output[1]
        case "resid_mid":
            value = part(block, row.mlp_norm).input
        case "mlp_normalized":
            value = _normalized(part(block, row.mlp_norm).input, part(module, row.mlp_norm), row)
        case "mlp_in":
            value = part(block, row.mlp).input
        case "neurons":
            value = part(block, row.down).input
        case "mlp_out" if row.mlp_post_norm:
            value = part(block, row.mlp_post_norm).output
        case "mlp_raw" | "mlp_out":
            value = part(block, row.mlp).output
        case "resid_post":
            value = block.output
        case "final_normalized":
            norm = part(block, row.final_norm)
            value = _normalized(norm.input, part(module, row.final_norm), row)
    return value


def _replace(block: Any, module: Any, row: Anatomy, place: Place, heads: int, new: Tensor) -> None:
    match place.site:
        case "resid_pre":
            block.input = new
        case "attn_normalized":
            part(block, row.attn_norm).output = _weighted(new, part(module, row.attn_norm), row)
        case "attn_q" | "attn_k" | "attn_v":
            index = _QKV[place.site]
            projection = part(block, row.qkv[index])
            if row.fused is None:
                projection.output = new
            else:
                whole = projection.output.clone()
                place_in = fused_part(whole, index, row, heads)
                place_in.copy_(new.reshape(place_in.shape))
                projection.output = whole
        case "attn_z":
            part(block, row.attn_write).input = new
        case "attn_out" if row.attn_post_norm:
            part(block, row.attn_post_norm).output = new
        case "attn_raw" | "attn_out":
            attn = part(block, row.attn)
            attn.output = (new, *attn.output[1:])
        case "resid_mid":
            part(block, row.mlp_norm).input.copy_(new)
        case "mlp_normalized":
            part(block, row.mlp_norm).output = _weighted(new, part(module, row.mlp_norm), row)
        case "mlp_in":
            part(block, row.mlp).input = new
        case "neurons":
            part(block, row.down).input = new
        case "mlp_out" if row.mlp_post_norm:
            part(block, row.mlp_post_norm).output = new
        case "mlp_raw" | "mlp_out":
            part(block, row.mlp).output = new
        case "resid_post":
            block.output = new
        case "final_normalized":
            part(block, row.final_norm).output = _weighted(new, part(module, row.final_norm), row)


def _weighted(normalized: Tensor, norm: nn.Module, row: Anatomy) -> Tensor:
    """What the norm gives, from what stands in front of its weight and bias."""
    weight, bias, _, _ = norm_parameters(norm, row)
    new = normalized * weight
    return new if bias is None else new + bias


def _normalized(x: Tensor, norm: nn.Module, row: Anatomy) -> Tensor:
    """x as the norm scales it, in front of the norm's weight; in float32 at least, as there."""
    _, _, epsilon, centred = norm_parameters(norm, row)
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    if centred:
        wide = wide - wide.mean(-1, keepdim=True)
    return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + epsilon)).to(x)


def read_one_prompt(
    traced: Any, row: Anatomy, ids: Tensor, n_layers: int, neurons: bool
) -> dict[str, Any]:
    """What a Recording is made of: per block and for the whole model, by the names it has there."""
    with traced.trace(input_ids=ids):
        out = nnsight.save(_read_sites(traced, row, n_layers, neurons))
    return out


def _read_sites(traced: Any, row: Anatomy, n_layers: int, neurons: bool) -> dict[str, Any]:
    blocks = []
    embedding = None
    for index in range(n_layers):
        block = part(traced, row.layers)[index]
        b = {"resid_pre": block.input[0]}
        if index == 0:
            embedding = b["resid_pre"]
        attn = part(block, row.attn).output
        b["attn_raw"], b["pattern"] = attn[0][0], attn[1][0]
        b["attn_out"] = b["attn_raw"]
        if row.attn_post_norm:
            b["attn_out"] = part(block, row.attn_post_norm).output[0]
        b["resid_mid"] = part(block, row.mlp_norm).input[0]
        if neurons:
            if row.gate:
                b["gate"] = part(block, row.gate).output[0]
            b["up"] = part(block, row.up).output[0]
            b["value"] = part(block, row.down).input[0]
        b["mlp_raw"] = part(block, row.mlp).output[0]
        b["mlp_out"] = b["mlp_raw"]
        if row.mlp_post_norm:
            b["mlp_out"] = part(block, row.mlp_post_norm).output[0]
        blocks.append(b)
    resid_final = part(traced, row.final_norm).input[0]
    logits = traced.output.logits[0, -1]
    return {"blocks": blocks, "embedding": embedding, "resid_final": resid_final, "logits": logits}


def read_for_gradient(
    traced: Any, hf: nn.Module, row: Anatomy, ids: Tensor, n_layers: int, site: Site
) -> tuple[list[Tensor], Tensor]:
    """Per block what stands at a site, and the final norm's output, as parts of a gradient's graph."""
    with traced.trace(input_ids=ids):
        out = nnsight.save(_gradient_sites(traced, hf, row, n_layers, site))
    return out


def _gradient_sites(
    traced: Any, hf: nn.Module, row: Anatomy, n_layers: int, site: Site
) -> tuple[list[Tensor], Tensor]:
    # No parameter asks for a gradient, so the graph starts at the embedding.
    part(traced, row.embed).output.requires_grad_(True)
    heads, values = heads_of(hf)[0], []
    for index in range(n_layers):
        block, module = (part(whole, row.layers)[index] for whole in (traced, hf))
        values.append(_value(block, module, row, Place(index, site), heads))
    return values, part(traced, row.final_norm).output
