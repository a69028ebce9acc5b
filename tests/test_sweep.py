"""The explicit sweep gives the gradients that autograd gives on a model with frozen parts.

Every edge is compared, not only sums: plain_runs.FrozenRun builds the frozen model with
PyTorch hooks and lets autograd do what the sweep does by hand.
"""

from __future__ import annotations

import functools

import pytest
import torch
from edge_rows import edge_rows
from plain_runs import FrozenRun, Seen, parts, see
from tiny_models import LAYERS, MODELS, PROMPT, dictionary, model
from torch import Tensor

from interp_widgets.attribution.rows import EdgeRows
from interp_widgets.attribution.sweep import EMBEDDING, Site, Targets, pull_back
from interp_widgets.attribution.targets import output_targets
from interp_widgets.attribution.units import Features
from interp_widgets.dictionaries import CrossLayerTranscoder, Transcoders
from interp_widgets.models import FrozenModel

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-6}
# Where each dictionary reads and writes, so that every hook is met in every family.
HOOKS = {
    "plain": ("hook_resid_mid", "hook_mlp_out"),
    "skip": ("mlp.hook_in", "mlp.hook_out"),
    "skip before weights": ("ln2.hook_normalized", "hook_mlp_out"),
    "cross-layer": ("hook_resid_mid", "mlp.hook_out"),
    "cross-layer skip": ("mlp.hook_in", "hook_mlp_out"),
}

every_family = pytest.mark.parametrize("name", MODELS)
every_dtype = pytest.mark.parametrize("dtype", TOLERANCE, ids=str)


@functools.cache
def frozen_model(name: str, dtype: torch.dtype) -> tuple[FrozenModel, Seen]:
    m = model(name, dtype)
    recording = m.record(PROMPT)
    return FrozenModel(m, recording), see(m.hf, recording.token_ids)


def by_autograd(
    frozen: FrozenModel, units: Features, d: Transcoders | CrossLayerTranscoder, seen: Seen
) -> Tensor:
    """The same rows from backward passes; sources from the dictionary's own tables."""
    hf, ids = frozen.model.hf, frozen.recording.token_ids
    reads, writes = d.input_hook, d.output_hook
    skips = None if d.skip(0) is None else [d.layer(i).skip for i in range(LAYERS)]
    run = FrozenRun(hf, ids, reads, writes, skips)
    with torch.enable_grad():
        pre = torch.stack([x @ d.layer(i).encoder.whole().T for i, x in enumerate(run.inputs)])[
            units.layer, units.position, units.feature
        ]
        weight = parts(hf).unembed.weight
        above_mean = weight[output_targets(frozen).token_id] - weight.mean(0)
        gradient, at_embedding = run.gradients(torch.cat([pre, above_mean @ run.final[-1]]))
    columns = []
    for layer, position, feature, a in zip(
        units.layer.tolist(), units.position.tolist(), units.feature.tolist(), units.activation,
        strict=True,
    ):  # fmt: skip
        table = d.layer(layer).decoder.whole()[feature].view(-1, d.d_model)
        effects = [g[:, position] @ v for g, v in zip(gradient[layer:], table, strict=False)]
        columns.append(a * sum(effects))
    for layer in range(LAYERS):
        total = d.decoder_bias(layer).expand_as(seen.outputs[writes][layer]).clone()
        if skips is not None:
            total += seen.inputs[reads][layer] @ skips[layer].T
        for unit in range(len(units.layer)):
            at, table = int(units.layer[unit]), d.layer(int(units.layer[unit])).decoder.whole()
            row = table[units.feature[unit]].view(-1, d.d_model)
            if 0 <= layer - at < len(row):
                total[units.position[unit]] += units.activation[unit] * row[layer - at]
        error = seen.outputs[writes][layer] - total
        error[0] = 0
        columns += [gradient[layer][:, q] @ error[q] for q in range(len(error))]
    columns += [at_embedding[:, q] @ x for q, x in enumerate(seen.embedding)]
    return torch.stack(columns, 1)


@every_dtype
@pytest.mark.parametrize("which", HOOKS)
@every_family
def test_every_edge_of_the_sweep_is_what_batched_autograd_gives(
    name: str, which: str, dtype: torch.dtype
) -> None:
    frozen, seen = frozen_model(name, dtype)
    reads, writes = HOOKS[which]
    kind = "cross-layer transcoder" if "cross-layer" in which else "transcoder"
    d = dictionary(kind, "jumprelu", "skip" in which, reads, writes, dtype)
    units = Features(frozen, d)
    found, _ = edge_rows(frozen, units, output_targets(frozen))
    expected = by_autograd(frozen, units, d, seen)
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < TOLERANCE[dtype] * expected.abs().max()


@every_family
def test_a_gradient_is_zero_where_a_target_cannot_see(name: str) -> None:
    frozen, _ = frozen_model(name, torch.float64)
    position = torch.tensor([2, 5, 0, 3])
    layer = torch.tensor([0, LAYERS, 1, 2])
    random = torch.Generator().manual_seed(0)
    vector = torch.randn(4, frozen.d_model, generator=random, dtype=torch.float64)
    seen_at: dict[int, list[tuple[int, list[int]]]] = {}
    with torch.no_grad():
        for site in pull_back(frozen, Targets(layer, position, vector, torch.zeros(4))):
            seen_at[site.layer] = [(q, sorted(rows.tolist())) for q, rows, _ in site.positions()]
    for at, rows in seen_at.items():
        for q, found in rows:
            # A reader at block l sees what blocks before l wrote, at its own and earlier positions.
            expected = [t for t in range(4) if layer[t] > at and position[t] >= q]
            assert found == expected, (at, q)
    assert list(seen_at) == [2, 1, 0, EMBEDDING]


def test_targets_swept_together_and_one_by_one_give_the_same_rows() -> None:
    frozen, _ = frozen_model("llama grouped", torch.float64)
    units = Features(frozen, dictionary("cross-layer transcoder", dtype=torch.float64))
    rows = EdgeRows(frozen, units)
    every = torch.arange(len(units.layer))

    def computed(index: Tensor) -> tuple[Tensor, Tensor]:
        out = torch.zeros(len(index), rows.n_sources, dtype=torch.float64)
        bias = torch.zeros(len(index), dtype=torch.float64)
        with torch.no_grad():
            rows.compute(units.readers(index), out, bias)
        return out, bias

    together, bias = computed(every)
    shuffled = every[torch.randperm(len(every), generator=torch.Generator().manual_seed(3))]
    for part in shuffled.split(7):
        out, one_bias = computed(part)
        torch.testing.assert_close(out, together[part], rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(one_bias, bias[part], rtol=1e-12, atol=1e-12)


def test_a_sweep_stops_at_the_next_block_when_it_is_cancelled() -> None:
    frozen, _ = frozen_model("llama grouped", torch.float64)
    units = Features(frozen, dictionary(dtype=torch.float64))
    sites: list[Site] = []

    class Stop(Exception):
        pass

    def cancelled() -> None:
        if len(sites) == 2:
            raise Stop

    targets = Targets(
        torch.tensor([LAYERS]),
        torch.tensor([3]),
        torch.ones(1, frozen.d_model, dtype=torch.float64),
        torch.zeros(1),
    )
    with pytest.raises(Stop), torch.no_grad():
        sites.extend(pull_back(frozen, targets, written=units.constant, cancelled=cancelled))
    assert [site.layer for site in sites] == [LAYERS - 1, LAYERS - 2]
