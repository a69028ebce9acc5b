"""Every family of models, with every kind of unit: incoming edges and bias sum to the value.

The values come from plain PyTorch hooks on the Hugging Face model (plain_runs.py), so an edge,
a bias or a norm that the linear model forgets, or invents, breaks the sum.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from edge_rows import edge_rows, off
from plain_runs import Seen, parts, see
from tiny_models import LAYERS, MODELS, PROMPT, dictionary, model
from torch import Tensor

from interp_widgets.attribution.neurons import strongest_neurons
from interp_widgets.attribution.targets import OutputTargets, output_targets
from interp_widgets.attribution.trace import trace
from interp_widgets.attribution.units import Features
from interp_widgets.dictionaries import Transcoders
from interp_widgets.models import FrozenModel

READS = ("hook_resid_mid", "ln2.hook_normalized", "mlp.hook_in")
WRITES = ("mlp.hook_out", "hook_mlp_out")
HOOKS = list(itertools.product(READS, WRITES))
KINDS = [
    (kind, activation, skip)
    for kind in ("transcoder", "cross-layer transcoder")
    for activation in ("relu", "jumprelu", "topk")
    for skip in (False, True)
]
# How far sums may be off, relative to the largest value.
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4}

every_family = pytest.mark.parametrize("name", MODELS)
every_kind = pytest.mark.parametrize(("kind", "activation", "skip"), KINDS)
every_dtype = pytest.mark.parametrize("dtype", TOLERANCE, ids=str)


@dataclass(frozen=True)
class Case:
    frozen: FrozenModel
    outputs: OutputTargets
    seen: Seen
    logits_above_mean: Tensor


@functools.cache
def case(name: str, dtype: torch.dtype) -> Case:
    m = model(name, dtype)
    recording = m.record(PROMPT, neurons=True)
    frozen = FrozenModel(m, recording)
    outputs, seen = output_targets(frozen), see(m.hf, recording.token_ids)
    logits = seen.final[-1] @ parts(m.hf).unembed.weight.T  # before Gemma's softcap
    return Case(frozen, outputs, seen, logits[outputs.token_id] - logits.mean())


def sums(c: Case, units: Any) -> tuple[Tensor, Tensor]:
    """Incoming edges plus bias of all units, and of the output targets."""
    matrix, bias = edge_rows(c.frozen, units, c.outputs)
    total, k = matrix.sum(1) + bias, len(c.outputs)
    return total[:-k], total[-k:]


@every_dtype
@every_kind
@every_family
def test_edges_into_a_feature_or_output_and_its_bias_sum_to_its_value(
    name: str, kind: str, activation: str, skip: bool, dtype: torch.dtype
) -> None:
    c = case(name, dtype)
    for reads, writes in HOOKS:
        d = dictionary(kind, activation, skip, reads, writes, dtype)
        units = Features(c.frozen, d)
        pre = torch.stack(
            [x @ d.layer(i).encoder.whole().T + d.layer(i).encoder_bias
             for i, x in enumerate(c.seen.inputs[reads])]
        )  # fmt: skip
        value = pre[units.layer, units.position, units.feature]
        assert off(units.value, value) < TOLERANCE[dtype], (reads, writes)
        found_value, found_logit = sums(c, units)
        assert off(found_value, value) < TOLERANCE[dtype], (reads, writes)
        assert off(found_logit, c.logits_above_mean) < TOLERANCE[dtype], (reads, writes)


@every_kind
@every_family
def test_active_features_are_those_that_a_plain_hook_on_the_model_finds(
    name: str, kind: str, activation: str, skip: bool
) -> None:
    c = case(name, torch.float64)
    for reads, writes in HOOKS:
        d = dictionary(kind, activation, skip, reads, writes, torch.float64)
        units = Features(c.frozen, d)
        expected = []
        for layer in range(LAYERS):
            weights = d.layer(layer)
            pre = c.seen.inputs[reads][layer] @ weights.encoder.whole().T + weights.encoder_bias
            a = weights.activation(pre)
            a[0] = 0  # the first position is an attention sink and carries no features
            expected += [(layer, *place) for place in a.nonzero().tolist()]
        found = torch.stack([units.layer, units.position, units.feature], 1).tolist()
        assert [tuple(row) for row in found] == expected


@every_kind
@every_family
def test_what_an_mlp_wrote_is_features_plus_error_plus_bias_plus_skip(
    name: str, kind: str, activation: str, skip: bool
) -> None:
    dtype = torch.float64
    c = case(name, dtype)
    for reads, writes in HOOKS:
        d = dictionary(kind, activation, skip, reads, writes, dtype)
        units = Features(c.frozen, d)
        wrote, post_norms = c.seen.outputs["hook_mlp_out"], parts(c.frozen.model.hf).blocks
        for layer in range(LAYERS):
            # From where the dictionary writes to the stream: Gemma's second norm, frozen.
            raw, post = c.seen.outputs["mlp.hook_out"][layer], post_norms[layer].mlp_post_norm
            factor = torch.ones_like(raw)
            if writes == "mlp.hook_out" and post is not None:
                factor = wrote[layer] / raw
            total = d.decoder_bias(layer).expand_as(raw).clone()
            if skip:
                total += c.seen.inputs[reads][layer] @ d.layer(layer).skip.T
            total *= factor
            w = units.writes(layer)
            total.index_add_(0, units.position[w.unit], w.vectors)
            rebuilt = (total + units.errors[layer])[1:]
            assert off(rebuilt, wrote[layer][1:]) < TOLERANCE[dtype], (reads, writes, layer)


@every_family
def test_the_vectors_that_features_write_are_activation_times_decoder(name: str) -> None:
    c = case(name, torch.float64)
    for kind in ("transcoder", "cross-layer transcoder"):
        d = dictionary(kind, writes="hook_mlp_out", dtype=torch.float64)
        units = Features(c.frozen, d)
        for target in range(LAYERS):
            w = units.writes(target)
            expected = {}
            for unit in range(len(units.layer)):
                layer, feature = int(units.layer[unit]), int(units.feature[unit])
                table = d.layer(layer).decoder.whole()
                if isinstance(d, Transcoders) and layer == target:
                    expected[unit] = table[feature] * units.activation[unit]
                elif not isinstance(d, Transcoders) and layer <= target:
                    expected[unit] = table[feature, target - layer] * units.activation[unit]
            assert sorted(w.unit.tolist()) == sorted(expected)
            for unit, vector in zip(w.unit.tolist(), w.vectors, strict=True):
                torch.testing.assert_close(vector, expected[unit])


@every_dtype
@pytest.mark.parametrize("count", [20, 10_000], ids=["20 neurons", "all neurons"])
@every_family
def test_edges_into_a_neuron_and_its_bias_sum_to_its_value(
    name: str, count: int, dtype: torch.dtype
) -> None:
    c = case(name, dtype)
    units = strongest_neurons(c.frozen, c.outputs, count)
    value = torch.stack(c.seen.neurons)[units.layer, units.position, units.feature]
    assert off(units.value, value) < TOLERANCE[dtype]
    found_value, found_logit = sums(c, units)
    assert off(found_value, value) < TOLERANCE[dtype]
    assert off(found_logit, c.logits_above_mean) < TOLERANCE[dtype]


@pytest.mark.parametrize("kind", ["transcoder", "cross-layer transcoder", "neurons"])
@every_family
def test_a_graph_with_a_node_budget_keeps_what_it_hides_as_a_number(name: str, kind: str) -> None:
    m = case(name, torch.float32).frozen.model
    d = None if kind == "neurons" else dictionary(kind)
    table = trace(m, PROMPT, d, max_nodes=30, rank_every=10)
    assert (table.kind == 0).sum() == 30
    incoming = np.zeros(table.n_nodes)
    np.add.at(incoming, np.repeat(np.arange(table.n_nodes), np.diff(table.ptr)), table.weight)
    known = ~np.isnan(table.value)
    assert known.sum() == 30 + (table.kind == 3).sum()
    difference = np.abs(incoming + table.bias + table.hidden - table.value)[known]
    assert difference.max() < 1e-4 * np.abs(table.value[known]).max()
    hidden = np.abs(table.hidden[known])
    # Neurons outside the budget are not hidden: they are part of the remainder nodes.
    assert (hidden.max() < 1e-5) if kind == "neurons" else (hidden.max() > 1e-3)
