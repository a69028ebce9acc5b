"""Patching against a plain loop: one forward pass per part, with hand-written PyTorch hooks."""

from __future__ import annotations

import math
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
import tiny_models
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_places import hooks
from torch import Tensor

from interp_widgets.circuits import (
    PANELS,
    CircuitError,
    Comparison,
    KLDivergence,
    LogitDifference,
    Part,
    Probability,
    compare_runs,
    controls,
    heatmap,
    kl,
    logits_of,
)
from interp_widgets.circuits.parts import Shape, part
from interp_widgets.circuits.patching import batch_rows
from interp_widgets.jobs import Cancelled
from interp_widgets.models import Model, PromptError

CLEAN = "w3 w14 w15 w9 w26 w5"
CORRUPTED = "w3 w14 w33 w9 w8 w5"
POSITIONS = 7  # and BOS
FAMILIES = ["llama grouped", "gpt2", "gpt_neox parallel", "gemma2", "qwen3"]
SITE = {
    "residual": "resid_pre",
    "attention": "attn_out",
    "mlp": "mlp_out",
    "heads": "attn_z",
}


@pytest.fixture(scope="module")
def models() -> dict[str, Model]:
    return {name: tiny_models.model(name, torch.float64) for name in FAMILIES}


@pytest.fixture(scope="module")
def llama(models: dict[str, Model]) -> Model:
    return models["llama grouped"]


def ids_of(model: Model, prompt: str) -> Tensor:
    return model.tokenize(prompt)[None]


@torch.no_grad()
def plainly_seen(model: Model, prompt: str, layer: int, site: str) -> Tensor:
    """What a run has at a place, [position, d]."""
    seen: list[Tensor] = []
    with hooks(model.hf, layer, site, lambda value: seen.append(value[0].clone())):
        model.hf(input_ids=ids_of(model, prompt))
    return seen[0]


@torch.no_grad()
def plainly_patched(model: Model, prompt: str, puts: list[tuple[int, str, Any, Tensor]]) -> Tensor:
    """Logits at the last position, with `values` put at index `where` of each place."""

    def put(value: Tensor, where: Any, values: Tensor) -> Tensor:
        new = value.clone()
        new[0][where] = values[where]
        return new

    with ExitStack() as stack:
        for layer, site, where, values in puts:
            stack.enter_context(
                hooks(model.hf, layer, site, lambda value, w=where, v=values: put(value, w, v))
            )
        logits: Tensor = model.hf(input_ids=ids_of(model, prompt)).logits[0, -1]
    return logits


def favourites(model: Model) -> tuple[int, int]:
    with torch.no_grad():
        one, two = (
            int(model.hf(input_ids=ids_of(model, p)).logits[0, -1].argmax())
            for p in (CLEAN, CORRUPTED)
        )
    assert one != two
    return one, two


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("direction", ["noising", "denoising"])
def test_a_heatmap_equals_a_loop_over_its_parts(
    models: dict[str, Model], name: str, direction: Any
) -> None:
    model, (correct, wrong) = models[name], (12, 27)
    run, source = (CLEAN, CORRUPTED) if direction == "noising" else (CORRUPTED, CLEAN)
    comparison = compare_runs(model, CLEAN, CORRUPTED, direction=direction, metric=(correct, wrong))
    before = plainly_patched(model, run, [])
    base = before[correct] - before[wrong]
    assert comparison.base == pytest.approx(float(base), abs=1e-10)
    d_head = comparison.shape.d_head
    for panel in PANELS:
        found = heatmap(model, comparison, panel).effect
        expected = np.zeros_like(found)
        for layer in range(model.n_layers):
            values = plainly_seen(model, source, layer, SITE[panel])
            for column in range(found.shape[1]):
                head = slice(column * d_head, (column + 1) * d_head)
                where = (slice(None), head) if panel == "heads" else (column,)
                logits = plainly_patched(model, run, [(layer, SITE[panel], where, values)])
                expected[layer, column] = float(logits[correct] - logits[wrong] - base)
        assert found.shape == (3, 4 if panel == "heads" else POSITIONS)
        np.testing.assert_allclose(found, expected, atol=1e-10)
        assert np.abs(expected).max() > 0.01


def test_zeros_and_means_without_a_counterfactual(llama: Model) -> None:
    zero = compare_runs(llama, CLEAN, metric="kl")
    assert zero.method == "zero"
    assert "may never see zeros" in zero.warning
    full = plainly_patched(llama, CLEAN, [])
    width = llama.d_model
    nothing = torch.zeros(POSITIONS, width, dtype=torch.float64)
    logits = plainly_patched(llama, CLEAN, [(1, "mlp_out", (4,), nothing)])
    p, q = full.softmax(-1), logits.softmax(-1)
    expected = sum(float(a) * math.log(float(a) / float(b)) for a, b in zip(p, q, strict=True))
    found = heatmap(llama, zero, "mlp").effect[1, 4]
    assert found == pytest.approx(expected, rel=1e-9)

    reference = ["w7 w8 w9", "w30 w31"]
    mean = compare_runs(llama, CLEAN, reference=reference)
    assert (mean.method, mean.warning) == ("mean", "")
    seen = torch.cat([plainly_seen(llama, each, 1, "attn_out")[1:] for each in reference])
    values = seen.mean(0).expand(POSITIONS, -1)
    logits = plainly_patched(llama, CLEAN, [(1, "attn_out", (4,), values)])
    first, second = full.topk(2).indices
    effect = float((logits - full)[first] - (logits - full)[second])
    assert heatmap(llama, mean, "attention").effect[1, 4] == pytest.approx(effect, abs=1e-10)
    # The first token is the same in every prompt, so its mean is what it has.
    assert np.abs(heatmap(llama, mean, "attention").effect[:, 0]).max() < 1e-12


def test_all_of_the_stream_makes_one_run_the_other(llama: Model) -> None:
    comparison = compare_runs(llama, CLEAN, CORRUPTED)
    assert comparison.full is not None
    logits = logits_of(llama, comparison, [[Part("residual", layer)] for layer in range(3)])
    assert comparison.source_logits is not None
    torch.testing.assert_close(logits, comparison.source_logits.expand(3, -1), atol=1e-12, rtol=0)
    # Where the prompts are the same up to a position, so is the stream.
    assert np.abs(heatmap(llama, comparison, "residual").effect[:, :3]).max() < 1e-12


def test_parts_together_equal_hooks_together(llama: Model) -> None:
    comparison = compare_runs(llama, CLEAN, CORRUPTED)
    parts = [Part("attention", 0, 4), Part("heads", 1, 2), Part("mlp", None, 6)]
    head = slice(2 * comparison.shape.d_head, 3 * comparison.shape.d_head)
    puts: list[tuple[int, str, Any, Tensor]] = [
        (0, "attn_out", (4,), plainly_seen(llama, CORRUPTED, 0, "attn_out")),
        (1, "attn_z", (slice(None), head), plainly_seen(llama, CORRUPTED, 1, "attn_z")),
        *[
            (layer, "mlp_out", (6,), plainly_seen(llama, CORRUPTED, layer, "mlp_out"))
            for layer in range(3)
        ],
    ]
    expected = plainly_patched(llama, CLEAN, puts)
    torch.testing.assert_close(
        logits_of(llama, comparison, [parts])[0], expected, atol=1e-11, rtol=0
    )


def test_rows_come_as_they_are_ready_and_can_be_stopped(llama: Model) -> None:
    comparison = compare_runs(llama, CLEAN, CORRUPTED)
    layers: list[int] = []

    def stop() -> None:
        if len(layers) == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        heatmap(
            llama, comparison, "mlp", on_row=lambda layer, _: layers.append(layer), cancelled=stop
        )
    assert layers == [0, 1]


def test_small_batches_give_the_same_heatmap(llama: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    comparison = compare_runs(llama, CLEAN, CORRUPTED)
    whole = heatmap(llama, comparison, "attention").effect
    monkeypatch.setattr("interp_widgets.circuits.patching._COST", 0.0)
    assert batch_rows(llama, comparison.shape) == 2
    np.testing.assert_allclose(heatmap(llama, comparison, "attention").effect, whole, atol=1e-12)
    assert controls(llama, comparison, [Part("mlp", 1, 6)], n=3).n == 3


class TestControls:
    def test_they_are_moved_as_far_as_the_part(self, llama: Model) -> None:
        """Each control run is seen by a hook of our own, at the place it changes."""
        comparison = compare_runs(llama, CLEAN, CORRUPTED)
        here = plainly_seen(llama, CLEAN, 1, "mlp_out")
        there = plainly_seen(llama, CORRUPTED, 1, "mlp_out")
        seen: list[Tensor] = []
        with hooks(llama.hf, 2, "resid_pre", lambda value: seen.append(value.clone())):
            controls(llama, comparison, [Part("mlp", 1, 6)], n=5)
            llama.hf(input_ids=ids_of(llama, CLEAN))
        changed, plain = seen
        moved = changed - plain
        assert moved.shape == (6, POSITIONS, llama.d_model)
        assert moved[:, :6].abs().max() < 1e-12
        far = float((there - here)[6].norm())
        np.testing.assert_allclose(moved[:, 6].norm(dim=-1), [far] * 6, rtol=1e-9)
        cosines = torch.nn.functional.cosine_similarity(moved[1:, 6], moved[:1, 6])
        assert cosines.abs().max() < 0.8

    def test_where_nothing_changes_they_change_nothing(self, llama: Model) -> None:
        comparison = compare_runs(llama, CLEAN, CORRUPTED)
        found = controls(llama, comparison, [Part("residual", 0, 1)])
        assert found.n == 20
        assert max(abs(found.mean), abs(found.low), abs(found.high)) < 1e-12

    def test_a_seed_is_a_seed(self, llama: Model) -> None:
        comparison = compare_runs(llama, CLEAN, CORRUPTED)
        parts = [Part("heads", 0, 1), Part("residual", 2, 6)]
        assert controls(llama, comparison, parts) == controls(llama, comparison, parts)
        assert controls(llama, comparison, parts) != controls(llama, comparison, parts, seed=1)


class TestWhatCannotBeCompared:
    def test_prompts_of_different_length_are_named_token_by_token(self, llama: Model) -> None:
        with pytest.raises(CircuitError) as raised:
            compare_runs(llama, "w3 w5 w9", "w3 w7 w8 w9")
        assert str(raised.value) == (
            "The prompts have 4 and 5 tokens, and patching needs as many in both: from position 2 "
            "on they read 'w5' (1) and 'w7' 'w8' (2). Choose words that are split into equally "
            "many tokens."
        )
        with pytest.raises(CircuitError, match="read nothing \\(0\\) and 'w9' \\(1\\)"):
            compare_runs(llama, "w3 w5", "w3 w5 w9")

    def test_directions_references_and_metrics_that_are_none(self, llama: Model) -> None:
        with pytest.raises(CircuitError, match="'noising' or 'denoising', not 'sideways'"):
            compare_runs(llama, CLEAN, CORRUPTED, direction="sideways")  # type: ignore[arg-type]
        with pytest.raises(CircuitError, match="not both at once"):
            compare_runs(llama, CLEAN, CORRUPTED, reference=["w5"])
        with pytest.raises(CircuitError, match="is a list of prompts"):
            compare_runs(llama, CLEAN, reference="w5 w6")
        with pytest.raises(CircuitError, match="There is no metric 'accuracy'"):
            compare_runs(llama, CLEAN, CORRUPTED, metric="accuracy")
        with pytest.raises(CircuitError, match="both are 'w9'"):
            compare_runs(llama, CLEAN, CORRUPTED, metric=("w9", 9))
        with pytest.raises(PromptError, match="vocabulary"):
            compare_runs(llama, CLEAN, CORRUPTED, metric=("w9", "elsewhere"))

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("mlp.L3.p1", "has layers 0 to 2"),
            ("mlp.L2.p7", "positions 0 to 6"),
            ("heads.L2.h4", "heads 0 to 3"),
            ("heads.L2.p1", "heads have an h"),
            ("mlp.L1.h1", "heads have an h"),
            ("heads.h1", "names no layer"),
            ("mlp", "names no layer"),
            ("L2.p5", "names no part"),
            ("mlp.L2.p5 ", "names no part"),
        ],
    )
    def test_parts_that_are_not_there(self, llama: Model, text: str, sentence: str) -> None:
        with pytest.raises(CircuitError, match=sentence):
            part(text, Shape.of(llama, POSITIONS))


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_an_id_names_its_part(data: st.DataObject) -> None:
    shape = Shape(layers=12, heads=4, d_head=8, positions=30)
    panel = data.draw(st.sampled_from(PANELS))
    layer = data.draw(
        st.one_of(st.none(), st.integers(0, 11)) if panel != "heads" else st.integers(0, 11)
    )
    index = data.draw(st.integers(0, shape.columns(panel) - 1))
    if layer is not None and data.draw(st.booleans()):
        assert part(Part(panel, layer).id, shape) == Part(panel, layer)
    assert part(Part(panel, layer, index).id, shape) == Part(panel, layer, index)


class TestMetrics:
    def test_kl_is_a_sum_over_the_vocabulary(self) -> None:
        p, q = [0.5, 0.25, 0.25], [0.25, 0.25, 0.5]
        expected = 0.5 * math.log(2) + 0.25 * math.log(0.5)
        found = kl(torch.tensor(p).log(), torch.tensor([q]).log() + 7.0)
        assert float(found) == pytest.approx(expected, rel=1e-6)
        assert float(kl(torch.tensor([0.0, -math.inf]), torch.tensor([0.0, 0.0]))) == (
            pytest.approx(math.log(2))
        )

    def test_named_metrics(self, llama: Model) -> None:
        clean = plainly_patched(llama, CLEAN, [])
        correct, wrong = favourites(llama)

        def compared(**options: Any) -> Comparison:
            return compare_runs(llama, CLEAN, CORRUPTED, **options)

        assert compared().metric == LogitDifference(correct, wrong)
        assert compared(metric="probability").metric == Probability(correct)
        assert compared(metric="probability").base == pytest.approx(float(clean.softmax(-1).max()))
        assert compared(metric=KLDivergence()).base == 0
        assert compared(metric=("w9", "w10")).metric == LogitDifference(9, 10)
        second = int(clean.topk(2).indices[1])
        assert compare_runs(llama, CLEAN).metric == LogitDifference(correct, second)
        # The same answer twice: the likely token that gains most stands against it.
        same = compare_runs(llama, CLEAN, CLEAN).metric
        assert isinstance(same, LogitDifference)
        assert same.correct == correct != same.wrong

    def test_shares_are_of_the_difference_between_the_runs(self, llama: Model) -> None:
        comparison = compare_runs(llama, CLEAN, CORRUPTED)
        found = heatmap(llama, comparison, "residual")
        assert comparison.full is not None
        np.testing.assert_allclose(
            found.share * (comparison.full - comparison.base), found.effect, rtol=1e-12
        )
        with pytest.raises(ValueError, match="no difference"):
            _ = heatmap(llama, compare_runs(llama, CLEAN), "heads").share
