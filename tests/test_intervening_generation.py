"""A plan asked for one stretch of positions after another, as a KV cache grows, is the plan of the
whole text; what it never reached, and passes out of order, are pointed out."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from tiny_models import dictionary, model
from torch import Tensor
from transformers import DynamicCache

from interp_widgets.models import InterventionError, Model
from interp_widgets.models.interventions import (
    Intervention,
    feature,
    head,
    neuron,
    pattern,
    residual,
)
from interp_widgets.models.plan import Plan, compile
from interp_widgets.models.running import advance

IDS = torch.tensor([1, 3, 14, 15, 9, 26, 5, 8, 31])
N, PROMPT_LENGTH = len(IDS), 4
V = torch.linspace(-1, 1, 32)
# Attention's softmax is computed in float32, in whatever pieces the text comes.
CLOSE = dict(rtol=0, atol=1e-5)


@cache
def exact(family: str) -> Model:
    return model(family, torch.float64)


def grown(m: Model, rows: list[list[Intervention]]) -> tuple[Plan, Tensor]:
    """Logits [row, position, vocab], the prompt in one pass and every other token in its own."""
    plan = compile(m, rows, PROMPT_LENGTH)
    cache = DynamicCache(config=m.config)
    logits, start = [], 0
    while start < N:
        length = PROMPT_LENGTH if start == 0 else 1
        reads, writes = plan.edits(start, length)
        ids = IDS[start : start + length].expand(len(rows), -1)
        with m.lock, torch.no_grad():
            logits.append(advance(m._traced, m.hf, m.anatomy, ids, cache, reads, writes))
        start += length
    return plan, torch.stack(logits, 1)


CLT = dictionary("clt", activation="jumprelu", dtype=torch.float64)
LISTS: dict[str, list[Intervention]] = {
    "none": [],
    "stream, on generated tokens": [residual(1).add(2, V).generated()],
    "stream, from a position on": [residual(0).project_out(V).from_(-2)],
    "stream, at a prompt and a generated position": [residual(1).scale(-1).at(1, 6)],
    "head, everywhere": [head(1, 2).ablate()],
    "neuron": [neuron(1, [3, 4]).clamp([2, -2]).generated()],
    "pattern, on generated tokens": [pattern(1, [0, 3]).scale(0.5).generated()],
    "pattern and head": [head(2, 1).scale(3), pattern(2, 1).scale(0.5).from_(2)],
    "pinned feature": [feature(CLT, 0, 3).clamp(4).from_(1), feature(CLT, 1, 5).scale(2)],
    "patched from one position": [residual(0).patch([1, 8, 8, 31], positions=[-1]).generated()],
}


@pytest.mark.parametrize("family", ["llama grouped", "gpt2", "gemma2", "gpt_neox parallel"])
def test_a_text_that_grows_is_the_text_at_once(family: str) -> None:
    m = exact(family)
    plan, logits = grown(m, list(LISTS.values()))
    plan.finish()
    for row, (name, what) in enumerate(LISTS.items()):
        # At once, the prompt's length is the whole text's: say by number where generation starts.
        placed = [
            w.from_(PROMPT_LENGTH) if str(w).endswith("generated tokens") else w for w in what
        ]
        placed = [w.from_(PROMPT_LENGTH - 2) if "position −2" in str(w) else w for w in placed]
        whole = m.intervene(IDS, placed).logits if placed else m.run(IDS[None]).logits[0]  # type: ignore[index]
        expected = whole[PROMPT_LENGTH - 1 :]
        torch.testing.assert_close(
            logits[row], expected, **CLOSE, msg=lambda s, n=name: f"{n}: {s}"
        )
        if what:
            assert (logits[row] - logits[0]).abs().max() > 1e-3, name


def test_a_pinned_value_holds_on_every_generated_token() -> None:
    m = exact("llama grouped")
    unit = (V / V.norm()).double()
    pin = [residual(1).project_out(V), residual(1).add(3, unit)]
    plan = compile(m, [[], pin], PROMPT_LENGTH)
    cache = DynamicCache(config=m.config)
    for start, length in [(0, 4), (4, 1), (5, 1), (6, 1)]:
        reads, writes = plan.edits(start, length)
        found: list[Tensor] = []
        above = residual(2)

        def look(x: Tensor, seen: Any, found: list[Tensor] = found) -> Tensor:
            found.append(seen[residual(1)] @ unit)
            return x

        inner = writes[residual(1)]

        def keep(x: Tensor, seen: Any, inner: Any = inner, found: list[Tensor] = found) -> Tensor:
            new: Tensor = inner(x, seen)
            found.append(new @ unit)
            return new

        ids = IDS[start : start + length].expand(2, -1)
        with m.lock, torch.no_grad():
            advance(
                m._traced, m.hf, m.anatomy, ids, cache, {*reads, residual(1)},
                {**writes, residual(1): keep, above: look},
            )  # fmt: skip
        assert (found[0][1] - 3).abs().max() < 1e-4
        assert (found[0][0] - 3).abs().min() > 1e-3


def test_passes_out_of_order_are_refused() -> None:
    plan = compile(exact("llama grouped"), [[head(1, 2).ablate()]], 4)
    plan.edits(0, 4)
    for start in (0, 5):
        with pytest.raises(
            InterventionError, match="out of order: the next one begins at position 4"
        ):
            plan.edits(start, 1)
    plan.edits(4, 1)


def test_what_was_never_reached_is_pointed_out_at_the_end() -> None:
    m = exact("llama grouped")
    plan = compile(m, [[head(1, 2).ablate()], [residual(1).scale(2).at(9)]], 4)
    plan.edits(0, 4)
    plan.edits(4, 1)
    with pytest.raises(
        InterventionError, match="touched by “L1 resid_post × 2 at position 9”: .* 5"
    ):
        plan.finish()
    plan = compile(m, [[residual(1).add(2, V).generated()]], 4)
    plan.edits(0, 4)
    with pytest.raises(InterventionError, match="Nothing was touched by .* on generated tokens"):
        plan.finish()
    plan.edits(4, 1)
    plan.finish()


def test_a_patched_position_that_the_other_prompt_lacks_is_pointed_out() -> None:
    m = exact("llama grouped")
    plan = compile(m, [[residual(1).patch([1, 8, 8, 31]).generated()]], 4)
    reads, writes = plan.edits(0, 4)
    assert not writes
    reads, writes = plan.edits(4, 1)
    cache = DynamicCache(config=m.config)
    with pytest.raises(InterventionError, match="from position 4, but that prompt has 4 tokens"):
        advance(m._traced, m.hf, m.anatomy, IDS[None, :1], cache, reads, writes)


def test_a_pattern_is_patched_within_the_prompt() -> None:
    m = exact("llama grouped")
    for what in (pattern(1, 2).patch([1, 8, 8, 31]).generated(), pattern(1, 2).patch([1, 8])):
        with pytest.raises(
            InterventionError, match=r"a prompt of the same length \(4\), and not on"
        ):
            compile(m, [[what]], 4)
    with pytest.raises(InterventionError, match="reached a generated token, which looks at 5"):
        grown(m, [[pattern(1, 2).patch([1, 8, 8, 31], positions=[-1])]])
