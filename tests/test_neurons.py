"""Neurons as units: their values, what they write, what is left over, and their live effects."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import torch
from plain_runs import Seen, hooked, parts, see
from tiny_models import LAYERS, MLP, MODELS, PROMPT, WIDTH, model
from torch import Tensor

from interp_widgets.attribution.neurons import live_effects, strongest_neurons
from interp_widgets.attribution.table import ERROR, FEATURE, GraphTable
from interp_widgets.attribution.targets import OutputTargets, output_targets
from interp_widgets.attribution.trace import trace
from interp_widgets.models import FrozenModel, ModelError

POSITIONS = len(PROMPT.split()) + 1
# At the first position all that the MLP wrote is bias.
ALLOWED = LAYERS * (POSITIONS - 1) * MLP
every_family = pytest.mark.parametrize("name", MODELS)


@functools.cache
def case(name: str) -> tuple[FrozenModel, OutputTargets, Seen]:
    m = model(name, torch.float64)
    recording = m.record(PROMPT, neurons=True)
    frozen = FrozenModel(m, recording)
    return frozen, output_targets(frozen), see(m.hf, recording.token_ids)


def act(hf: Any, x: Tensor) -> Tensor:
    """The non-linearity by its name in the config, from its formula."""
    name = getattr(hf.config, "hidden_act", None) or getattr(hf.config, "activation_function", None)
    name = name or hf.config.hidden_activation
    if name == "silu":
        return x * torch.sigmoid(x)
    if name == "gelu":
        return x * 0.5 * (1 + torch.erf(x / 2**0.5))
    assert name in ("gelu_new", "gelu_pytorch_tanh"), name
    inner = (2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3)
    return 0.5 * x * (1 + torch.tanh(inner))


@every_family
def test_a_neurons_value_is_its_non_linearity_times_its_up_projection(name: str) -> None:
    frozen, _, seen = case(name)
    units = strongest_neurons(frozen, output_targets(frozen), ALLOWED)
    assert len(units.layer) == ALLOWED
    hf = frozen.model.hf
    gated = bool(seen.gate)
    expected = torch.stack(
        [
            act(hf, seen.gate[i]) * seen.up[i] if gated else act(hf, seen.up[i])
            for i in range(LAYERS)
        ]
    )
    value = expected[units.layer, units.position, units.feature]
    torch.testing.assert_close(units.value, value, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(units.activation, value, rtol=1e-12, atol=1e-12)


@every_family
def test_all_neurons_and_the_bias_are_what_the_mlp_wrote(name: str) -> None:
    frozen, outputs, seen = case(name)
    units = strongest_neurons(frozen, outputs, ALLOWED)
    for layer in range(LAYERS):
        writes = units.writes(layer)
        total = units.constant(layer).index_add(0, units.position[writes.unit], writes.vectors)
        wrote = seen.outputs["hook_mlp_out"][layer]
        torch.testing.assert_close(total, wrote, rtol=1e-11, atol=1e-12)
        assert units.errors[layer].abs().max() < 1e-11


@every_family
@pytest.mark.parametrize("count", [1, 37, 300])
def test_the_remainder_is_exactly_the_neurons_that_are_not_shown(name: str, count: int) -> None:
    frozen, outputs, seen = case(name)
    units = strongest_neurons(frozen, outputs, count)
    shown = set(
        zip(units.layer.tolist(), units.position.tolist(), units.feature.tolist(), strict=True)
    )
    assert len(shown) == count
    hf = frozen.model.hf
    for layer in range(LAYERS):
        block = parts(hf).blocks[layer]
        weight = (
            block.down.weight if isinstance(block.down, torch.nn.Linear) else block.down.weight.T
        )
        hidden = seen.neurons[layer].clone()
        for at, position, j in shown:
            if at == layer:
                hidden[position, j] = 0
        rest = hidden @ weight.T
        if block.mlp_post_norm is not None:  # frozen, so a factor per position and coordinate
            rest = rest * seen.outputs["hook_mlp_out"][layer] / seen.outputs["mlp.hook_out"][layer]
        rest[0] = 0
        torch.testing.assert_close(units.errors[layer], rest, rtol=1e-9, atol=1e-11)


@pytest.fixture
def softmax_in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers rounds attention patterns to float32, which a small nudge cannot move."""
    softmax = torch.nn.functional.softmax

    def exact(x: Tensor, dim: int | None = None, dtype: torch.dtype | None = None) -> Tensor:
        return softmax(x, dim=dim, dtype=None if x.dtype == torch.float64 else dtype)

    monkeypatch.setattr(torch.nn.functional, "softmax", exact)


@every_family
@pytest.mark.usefixtures("softmax_in_float64")
def test_a_live_effect_is_value_times_what_nudging_the_neuron_does_to_the_target(
    name: str,
) -> None:
    frozen, _, seen = case(name)
    targets = output_targets(frozen, [("w9", "w20"), ("w11", "w30"), torch.ones(WIDTH)])
    signed, size = live_effects(frozen, targets)
    hf, ids = frozen.model.hf, frozen.recording.token_ids
    random = np.random.default_rng(0)
    places = [
        (layer, int(random.integers(POSITIONS)), int(random.integers(MLP)))
        for layer in range(LAYERS)
        for _ in range(4)
    ]
    found, expected = [], []
    for layer, position, j in places:
        slope = (
            nudged(hf, ids, layer, position, j, 1e-5) - nudged(hf, ids, layer, position, j, -1e-5)
        ) / 2e-5
        effect = (targets.vectors @ slope) * seen.neurons[layer][position, j]
        expected += [(targets.weight * effect).sum(), (targets.weight * effect.abs()).sum()]
        found += [signed[layer][position, j], size[layer][position, j]]
    largest = torch.stack(expected).abs().max()
    torch.testing.assert_close(
        torch.stack(found), torch.stack(expected), rtol=1e-5, atol=float(1e-6 * largest)
    )


@torch.no_grad()
def nudged(hf: Any, ids: Tensor, layer: int, position: int, j: int, by: float) -> Tensor:
    """The final norm's output at the last position, one neuron's value changed; nothing frozen."""
    p = parts(hf)
    final: list[Tensor] = []

    def nudge(module: Any, args: Any) -> Any:
        value = args[0].clone()
        value[0, position, j] += by
        return (value, *args[1:])

    handle = p.blocks[layer].down.register_forward_pre_hook(nudge)
    try:
        with hooked([(p.final_norm, lambda x, out: final.append(out[0, -1]))]):
            hf(input_ids=ids[None], use_cache=False)
    finally:
        handle.remove()
    return final[0]


@pytest.mark.usefixtures("softmax_in_float64")
def test_weak_targets_share_a_pass_without_changing_the_weighted_effect() -> None:
    frozen, _, _ = case("llama grouped")
    # A pair has a fixed weight, beside which improbable tokens are weak.
    targets = output_targets(frozen, [("w9", "w20"), "w11", "w30", "w7"])
    assert (targets.weight < 0.1 * targets.weight.max()).sum() >= 2
    together, _ = live_effects(frozen, targets)
    gradients = frozen.model.gradients(frozen.recording.token_ids, targets.vectors)
    neurons = frozen.recording.neurons
    assert neurons is not None
    for layer in range(LAYERS):
        each = [g[layer] * neurons[layer].value for g in gradients]
        expected = sum(w * e for w, e in zip(targets.weight.tolist(), each, strict=True))
        torch.testing.assert_close(together[layer], expected, rtol=1e-9, atol=1e-12)


@every_family
@pytest.mark.parametrize("count", [1, 10, 100])
def test_the_neurons_of_a_graph_are_those_with_the_largest_effect(name: str, count: int) -> None:
    frozen, outputs, _ = case(name)
    _, size = live_effects(frozen, outputs)
    every = torch.stack(size)
    every[:, 0] = -1
    smallest = every.flatten().sort(descending=True).values[count - 1]
    expected = {tuple(place) for place in (every >= smallest).nonzero().tolist()}
    units = strongest_neurons(frozen, outputs, count)
    rows = torch.stack([units.layer, units.position, units.feature], 1).tolist()
    assert {tuple(row) for row in rows} == expected
    assert rows == sorted(rows)


def test_more_neurons_than_there_are_shows_all_but_the_first_position() -> None:
    frozen, outputs, _ = case("qwen2")
    units = strongest_neurons(frozen, outputs, 10**9)
    assert len(units.layer) == ALLOWED
    assert units.position.min() == 1


@every_family
def test_a_silent_neuron_has_no_effect_and_breaks_nothing(name: str) -> None:
    m = model(name, torch.float64)
    for block in parts(m.hf).blocks:  # neuron 5 reads nothing: act(0) / 0 must not be NaN
        for module in (block.up, block.gate):
            if module is None:
                continue
            row = module.weight[5] if isinstance(module, torch.nn.Linear) else module.weight[:, 5]
            row.zero_()
            if module.bias is not None:
                module.bias[5] = 0
    table = trace(m, PROMPT, max_nodes=ALLOWED)
    silent = (table.kind == FEATURE) & (table.feature == 5)
    assert silent.sum() == LAYERS * (POSITIONS - 1)
    assert np.abs(table.value[silent]).max() == 0
    assert np.isfinite(table.weight).all()
    assert off_by(table) < 1e-5


@every_family
def test_a_graph_of_neurons_adds_up(name: str) -> None:
    table = trace(model(name), PROMPT, max_nodes=50)
    assert table.unit == "neuron"
    assert (table.kind == FEATURE).sum() == 50
    assert off_by(table) < 1e-4
    assert np.isfinite(table.effect[table.kind == FEATURE]).all()
    assert np.isnan(table.effect[table.kind == ERROR]).all()


def off_by(table: GraphTable) -> float:
    targets = np.repeat(np.arange(table.n_nodes), np.diff(table.ptr))
    total = np.bincount(targets, table.weight, minlength=table.n_nodes)
    known = ~np.isnan(table.value)
    residual = np.abs(total + table.bias + table.hidden - table.value)[known]
    return float(residual.max() / np.abs(table.value[known]).max())


def test_a_recording_without_neurons_says_what_to_do() -> None:
    m = model("llama grouped")
    frozen = FrozenModel(m, m.record(PROMPT))
    with pytest.raises(ModelError, match="record with neurons=True"):
        strongest_neurons(frozen, output_targets(frozen), 5)
