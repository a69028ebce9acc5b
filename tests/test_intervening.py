"""A run with interventions is the run with hooks written by hand, for every operation and family."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from plain_interventions import (
    Change,
    FrozenNorms,
    frozen_attention,
    held_mlps,
    plain_logits,
    record,
)
from plain_places import output_projection
from plain_runs import parts
from tiny_models import HEADS, LAYERS, MLP, VOCAB, WIDTH, model
from torch import Tensor

from interp_widgets.jobs import Cancelled
from interp_widgets.models import Intervention, Model, Place
from interp_widgets.models.intervening import (
    LOGITS_AT_ONCE,
    WORK_AT_ONCE,
    options,
    rows_at_once,
)
from interp_widgets.models.interventions import (
    Vector,
    attention,
    head,
    mlp,
    neuron,
    pattern,
    residual,
)

IDS = torch.tensor([1, 3, 14, 15, 9, 26, 5])
OTHER = torch.tensor([1, 8, 8, 31, 12, 7, 30])
N = len(IDS)
FAMILIES = ("llama grouped", "gpt2", "gemma2", "qwen3", "gpt_neox parallel")
EXACT = dict(rtol=0, atol=1e-10)
every_family = pytest.mark.parametrize("family", FAMILIES)
# Fused and separate projections, both kinds of norm, post-norms, a parallel block.
three_families = pytest.mark.parametrize("family", ["gpt2", "gemma2", "gpt_neox parallel"])


@cache
def exact(family: str) -> Model:
    return model(family, torch.float64)


def draw(n: int, seed: int = 0) -> Tensor:
    """In float64, but of numbers that float32 holds exactly, as a Vector does."""
    return torch.randn(n, generator=torch.Generator().manual_seed(seed)).double()


def d_head(m: Model) -> int:
    width: int = getattr(m.config, "head_dim", None) or WIDTH // HEADS
    return width


def changed(x: Tensor, rows: Any, new: Callable[[Tensor], Tensor], columns: Any = None) -> Tensor:
    """A copy of x with new(what was there) at some positions and columns."""
    out = x.clone()
    for position in range(len(x))[rows] if isinstance(rows, slice) else rows:
        if columns is None:
            out[position] = new(x[position])
        else:
            out[position, columns] = new(x[position, columns])
    return out


# Each case: an intervention, and the same as changes by hand.
Case = Callable[[Model], tuple[Any, list[Change]]]
V, U = draw(WIDTH), draw(WIDTH, 1)


def without(u: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda x: x - (x @ u) / (u @ u) * u


def one_head(m: Model, index: int) -> slice:
    return slice(index * d_head(m), (index + 1) * d_head(m))


def patched(m: Model, layer: int, site: str, columns: Any, rows: dict[int, int]) -> list[Change]:
    """At each position of `rows`, what the other prompt has at the position it maps to."""
    source = record(m.hf, OTHER, [(layer, site)])[layer, site]

    def fn(x: Tensor) -> Tensor:
        out = x.clone()
        for here, there in rows.items():
            out[here, columns] = source[there, columns]
        return out

    return [(layer, site, fn)]


def attended(m: Model, layer: int, new: Callable[[Tensor], Tensor]) -> list[Change]:
    """z of all heads from a changed pattern [head, query, key] and the values."""
    base = record(m.hf, IDS, [(layer, "pattern"), (layer, "attn_v")])
    p = new(base[layer, "pattern"].clone())
    v = base[layer, "attn_v"].unflatten(-1, (-1, d_head(m))).transpose(0, 1)
    v = v.repeat_interleave(len(p) // len(v), 0)
    return [(layer, "attn_z", lambda z: (p @ v).transpose(0, 1).flatten(1))]


def set_rows(heads: list[int], queries: Any, factor: float) -> Callable[[Tensor], Tensor]:
    def fn(p: Tensor) -> Tensor:
        for h in heads:
            p[h, queries] = factor * p[h, queries]
        return p

    return fn


def other_pattern(m: Model) -> list[Change]:
    source = record(m.hf, OTHER, [(1, "pattern")])[1, "pattern"]

    def fn(p: Tensor) -> Tensor:
        p[2, 3] = source[2, 3]
        return p

    return attended(m, 1, fn)


EVERY = slice(None)
CASES: dict[str, Case] = {
    "add to the stream": lambda m: (
        residual(1).add(-1.5, V).at(2, -1),
        [(1, "resid_post", lambda x: changed(x, [2, N - 1], lambda r: r - 1.5 * V))],
    ),
    "scale the stream from a position on": lambda m: (
        Place(1, "resid_pre").scale(0.25).from_(3),
        [(1, "resid_pre", lambda x: changed(x, slice(3, None), lambda r: 0.25 * r))],
    ),
    "project out of the stream": lambda m: (
        residual(0).project_out(U),
        [(0, "resid_post", lambda x: changed(x, EVERY, without(U)))],
    ),
    "clamp the stream's middle": lambda m: (
        Place(1, "resid_mid").clamp(V).at(4),
        [(1, "resid_mid", lambda x: changed(x, [4], lambda r: V))],
    ),
    "patch the stream": lambda m: (
        residual(1).patch(OTHER).at(2, 3),
        patched(m, 1, "resid_post", EVERY, {2: 2, 3: 3}),
    ),
    "patch from elsewhere": lambda m: (
        residual(1).patch(OTHER, positions=[-1, 1]).at(5, 2),
        patched(m, 1, "resid_post", EVERY, {2: N - 1, 5: 1}),
    ),
    "patch several positions from one": lambda m: (
        residual(1).patch(OTHER, positions=[1]).from_(-2),
        patched(m, 1, "resid_post", EVERY, {N - 2: 1, N - 1: 1}),
    ),
    "ablate attention": lambda m: (
        attention(1).ablate().at(-1),
        [(1, "attn_out", lambda x: changed(x, [N - 1], torch.zeros_like))],
    ),
    "ablate attention to a mean": lambda m: (
        attention(1).ablate(mean=V),
        [(1, "attn_out", lambda x: changed(x, EVERY, lambda r: V))],
    ),
    "ablate an MLP": lambda m: (
        mlp(1).ablate(),
        [(1, "mlp_out", torch.zeros_like)],
    ),
    "patch an MLP": lambda m: (
        mlp(2).patch(OTHER).from_(1),
        patched(m, 2, "mlp_out", EVERY, {i: i for i in range(1, N)}),
    ),
    "ablate a head": lambda m: (
        head(1, 2).ablate(),
        [(1, "attn_z", lambda x: changed(x, EVERY, torch.zeros_like, one_head(m, 2)))],
    ),
    "ablate two heads to their means": lambda m: (
        head(1, [3, 0]).ablate(mean=draw(2 * d_head(m))),
        [
            (1, "attn_z", lambda x: changed(
                x, EVERY, lambda r: draw(2 * d_head(m))[: d_head(m)], one_head(m, 3))),
            (1, "attn_z", lambda x: changed(
                x, EVERY, lambda r: draw(2 * d_head(m))[d_head(m) :], one_head(m, 0))),
        ],
    ),
    "add to a head and project out of it": lambda m: (
        [head(1, 1).add(2, draw(d_head(m))), head(1, 1).project_out(draw(d_head(m), 1))],
        [
            (1, "attn_z", lambda x: changed(
                x, EVERY, lambda r: r + 2 * draw(d_head(m)), one_head(m, 1))),
            (1, "attn_z", lambda x: changed(
                x, EVERY, without(draw(d_head(m), 1)), one_head(m, 1))),
        ],
    ),
    "project a direction each out of two heads": lambda m: (
        head(1, [3, 0]).project_out(draw(2 * d_head(m))),
        [
            (
                1,
                "attn_z",
                lambda x: changed(
                    changed(x, EVERY, without(draw(2 * d_head(m))[: d_head(m)]), one_head(m, 3)),
                    EVERY,
                    without(draw(2 * d_head(m))[d_head(m) :]),
                    one_head(m, 0),
                ),
            )
        ],
    ),
    "patch a head": lambda m: (
        head(2, 1).patch(OTHER).at(1, -1),
        patched(m, 2, "attn_z", one_head(m, 1), {1: 1, N - 1: N - 1}),
    ),
    "scale a pattern": lambda m: (
        pattern(1, [0, 3]).scale(0.5).at(-1, 2),
        attended(m, 1, set_rows([0, 3], [2, N - 1], 0.5)),
    ),
    "ablate a pattern": lambda m: (
        pattern(1, 1).ablate(),
        attended(m, 1, set_rows([1], EVERY, 0.0)),
    ),
    "patch a pattern": lambda m: (pattern(1, 2).patch(OTHER).at(3), other_pattern(m)),
    "a head behind its pattern, whatever the order in the list": lambda m: (
        [head(1, 0).scale(3), pattern(1, [0, 1]).scale(0.5), pattern(1, 0).scale(0.5)],
        [
            *attended(m, 1, lambda p: set_rows([1], EVERY, 0.5)(set_rows([0], EVERY, 0.25)(p))),
            (1, "attn_z", lambda x: changed(x, EVERY, lambda r: 3 * r, one_head(m, 0))),
        ],
    ),
    "clamp neurons": lambda m: (
        neuron(1, [7, 2]).clamp([1.5, -0.5]).at(1, 3),
        [(1, "neurons", lambda x: changed(
            x, [1, 3], lambda r: torch.tensor([1.5, -0.5], dtype=r.dtype), [7, 2]))],
    ),
    "scale and add to neurons": lambda m: (
        [neuron(1, [7, 2]).scale(-2), neuron(1, 7).add(0.5)],
        [
            (1, "neurons", lambda x: changed(x, EVERY, lambda r: -2 * r, [7, 2])),
            (1, "neurons", lambda x: changed(x, EVERY, lambda r: r + 0.5, [7])),
        ],
    ),
    "ablate neurons to a mean": lambda m: (
        neuron(0, 47).ablate(mean=0.125).from_(2),
        [(0, "neurons", lambda x: changed(
            x, slice(2, None), lambda r: torch.full_like(r, 0.125), [MLP - 1]))],
    ),
    "patch a neuron": lambda m: (
        neuron(2, 5).patch(OTHER),
        patched(m, 2, "neurons", [5], {i: i for i in range(N)}),
    ),
    "an order at one place": lambda m: (
        [residual(1).add(1, V), residual(1).scale(2), residual(1).project_out(U)],
        [(1, "resid_post", lambda x: changed(x, EVERY, lambda r: without(U)(2 * (r + V))))],
    ),
    "the other order": lambda m: (
        [residual(1).project_out(U), residual(1).scale(2), residual(1).add(1, V)],
        [(1, "resid_post", lambda x: changed(x, EVERY, lambda r: 2 * without(U)(r) + V))],
    ),
    "several places, named from the top": lambda m: (
        [mlp(2).scale(2), neuron(1, 3), head(0, 1), residual(0).add(1, V).at(1)],
        [
            (0, "attn_z", lambda x: changed(x, EVERY, torch.zeros_like, one_head(m, 1))),
            (0, "resid_post", lambda x: changed(x, [1], lambda r: r + V)),
            (1, "neurons", lambda x: changed(x, EVERY, torch.zeros_like, [3])),
            (2, "mlp_out", lambda x: 2 * x),
        ],
    ),
}  # fmt: skip
every_case = pytest.mark.parametrize("case", CASES)


@cache
def frozen(family: str) -> list[Change]:
    return frozen_attention(exact(family).hf, IDS)


@cache
def norms(family: str) -> FrozenNorms:
    return FrozenNorms(exact(family).hf, IDS)


@cache
def held(family: str, layer: int, site: str) -> list[Change]:
    return held_mlps(exact(family).hf, IDS, [layer], site)


@cache
def untouched(family: str) -> Tensor:
    return plain_logits(exact(family).hf, IDS)


@every_case
@every_family
def test_an_intervention_is_the_hook_written_by_hand(family: str, case: str) -> None:
    m = exact(family)
    what, changes = CASES[case](m)
    out = m.intervene(IDS, what)
    torch.testing.assert_close(out.logits, plain_logits(m.hf, IDS, changes), **EXACT)
    assert (out.logits - untouched(family)).abs().max() > 1e-4
    assert out.base is None


@every_case
@three_families
def test_with_attention_frozen_queries_and_keys_are_those_of_the_unchanged_run(
    family: str, case: str
) -> None:
    m = exact(family)
    what, changes = CASES[case](m)
    out = m.intervene(IDS, what, attention="frozen")
    expected = plain_logits(m.hf, IDS, [*frozen(family), *changes])
    torch.testing.assert_close(out.logits, expected, **EXACT)
    torch.testing.assert_close(out.base, untouched(family), **EXACT)


@every_case
@three_families
def test_with_all_layers_constrained_only_the_direct_effect_is_left(family: str, case: str) -> None:
    m = exact(family)
    what, changes = CASES[case](m)
    out = m.intervene(IDS, what, constrained="all")
    # What happens inside an MLP is on top of the held inside, and not overwritten behind it.
    inside = {layer for layer, site, _ in changes if site == "neurons"}
    hold = [
        change
        for layer in range(LAYERS)
        for change in held(family, layer, "neurons" if layer in inside else "mlp_out")
    ]
    with norms(family):
        expected = plain_logits(m.hf, IDS, [*frozen(family), *hold, *changes])
    torch.testing.assert_close(out.logits, expected, **EXACT)


@pytest.mark.parametrize("case", ["ablate a head", "add to the stream", "ablate an MLP"])
@every_family
def test_some_constrained_layers_leave_the_others_and_the_norms_alone(
    family: str, case: str
) -> None:
    m = exact(family)
    what, changes = CASES[case](m)
    out = m.intervene(IDS, what, constrained=[1])
    changes = [*frozen(family), *held(family, 1, "mlp_out"), *changes]
    expected = plain_logits(m.hf, IDS, changes)
    torch.testing.assert_close(out.logits, expected, **EXACT)


@pytest.mark.parametrize("case", ["ablate a head", "add to the stream", "clamp neurons"])
@three_families
def test_with_norms_frozen_patterns_and_scales_are_kept_and_mlps_follow(
    family: str, case: str
) -> None:
    m = exact(family)
    what, changes = CASES[case](m)
    out = m.intervene(IDS, what, norms="frozen")
    with norms(family):
        expected = plain_logits(m.hf, IDS, [*frozen(family), *changes])
    torch.testing.assert_close(out.logits, expected, **EXACT)
    torch.testing.assert_close(out.base, untouched(family), **EXACT)


def test_all_layers_named_are_all_layers() -> None:
    m = exact("gemma2")
    named = m.intervene(IDS, head(1, 2), constrained=range(LAYERS)).logits
    assert torch.equal(named, m.intervene(IDS, head(1, 2), constrained="all").logits)
    assert not torch.equal(named, m.intervene(IDS, head(1, 2), constrained=[0, 1]).logits)


# What an outcome holds


def test_what_is_read_is_what_the_rest_of_the_pass_found() -> None:
    m = exact("llama grouped")
    place, above = residual(0), Place(1, "attn_normalized")
    pinned = [place.project_out(V), place.add(2 / float(V @ V), V)]
    out = m.intervene(IDS, pinned, read=[place, above, Place(1, "pattern")], attention="frozen")
    assert out.base_activations is not None
    torch.testing.assert_close(out.activations[place] @ V, torch.full((N,), 2.0).double())
    assert (out.base_activations[place] @ V - 2).abs().min() > 1e-3
    assert set(out.activations) == {place, above, Place(1, "pattern")}
    assert out.activations[Place(1, "pattern")].shape == (HEADS, N, N)
    torch.testing.assert_close(
        out.activations[Place(1, "pattern")], out.base_activations[Place(1, "pattern")], **EXACT
    )
    fn = changed
    expected = record_after(
        m, place, lambda x: fn(x, EVERY, lambda r: without(V)(r) + 2 / (V @ V) * V), above
    )
    free = m.intervene(IDS, pinned, read=[above])
    torch.testing.assert_close(free.activations[above], expected, **EXACT)


def test_what_was_written_is_kept_apart_from_what_a_parallel_block_does_to_it() -> None:
    # In such a block, the stream's middle is the stream in front of it, read a second time.
    m = exact("gpt_neox parallel")
    front, middle = Place(1, "resid_pre"), Place(1, "resid_mid")
    plain = record(m.hf, IDS, [(1, "resid_pre")])[1, "resid_pre"]
    for what in ([front.add(1, V), middle.scale(3)], [middle.scale(3)]):
        out = m.intervene(IDS, what, read=[front, middle])
        expected = plain + V if len(what) == 2 else plain
        torch.testing.assert_close(out.activations[front], expected, **EXACT)
        torch.testing.assert_close(out.activations[middle], 3 * expected, **EXACT)


def record_after(m: Model, place: Place, fn: Callable[[Tensor], Tensor], above: Place) -> Tensor:
    held: list[Tensor] = []
    changes: list[Change] = [
        (place.layer, place.site, fn),
        (above.layer, above.site, lambda x: held.append(x.clone())),
    ]
    plain_logits(m.hf, IDS, changes)
    return held[0]


def test_logits_only_where_they_are_asked_for() -> None:
    m = exact("gpt2")
    whole = m.intervene(IDS, head(1, 2)).logits
    some = m.intervene(IDS, head(1, 2), logits_at=[-1, 3]).logits
    torch.testing.assert_close(some, whole[[-1, 3]], **EXACT)


def test_passes_are_small_enough_to_be_cancelled_between() -> None:
    m = exact("gpt2")
    weights = sum(p.numel() for p in m.hf.parameters())
    for length in (N, 10_000, 100_000):
        free = options(m, length, "free", "free", (), (), None)
        rows = rows_at_once(m, length, free)
        assert rows_at_once(m, length, replace(free, frozen=True)) == max(1, rows - 1)

        def fits(rows: int, length: int = length) -> bool:
            logits = rows * length * VOCAB * 8
            return rows * length * weights <= WORK_AT_ONCE and logits <= LOGITS_AT_ONCE

        assert fits(rows)
        assert not fits(rows + 1)
    # However large the model, one row runs.
    assert rows_at_once(m, int(1e7), free) == 1


def test_each_of_many_is_what_it_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    m = exact("gemma2")
    many = [
        head(1, 2),
        residual(0).scale(1),
        [mlp(0).scale(2), neuron(1, 3)],
        residual(1).patch(OTHER).at(2),
        pattern(1, 0).scale(0.5),
        head(1, 2),
    ]
    monkeypatch.setattr("interp_widgets.models.intervening.rows_at_once", lambda *_: 2)
    heard: list[float] = []
    for mode in ("free", "frozen"):
        outcomes = m.intervene_each(
            IDS, many, attention=mode, read=[residual(2)], progress=lambda s, t: heard.append(s)
        )
        assert len(outcomes) == len(many)
        for what, outcome in zip(many, outcomes, strict=True):
            alone = m.intervene(IDS, what, attention=mode, read=[residual(2)])
            torch.testing.assert_close(outcome.logits, alone.logits, **EXACT)
            torch.testing.assert_close(
                outcome.activations[residual(2)], alone.activations[residual(2)], **EXACT
            )
            assert outcome.what == alone.what
    assert heard[-1] == 1
    assert heard == sorted(heard[: heard.index(1) + 1]) + sorted(heard[heard.index(1) + 1 :])


def test_patching_from_the_prompt_itself_changes_nothing() -> None:
    m = model("llama grouped")
    base = m.run(IDS[None]).logits
    assert base is not None
    for target in (residual(1), head(1, 2), neuron(1, 4), mlp(0), pattern(1, 1)):
        assert torch.equal(m.intervene(IDS, target.patch(IDS)).logits, base[0])


# Strength 0


@pytest.mark.parametrize("family", ["llama grouped", "gpt2"])
@pytest.mark.parametrize("mode", ["free", "frozen"])
def test_strength_0_is_bit_for_bit_the_plain_run(family: str, mode: Any) -> None:
    m = model(family)
    base = m.run(IDS[None]).logits
    assert base is not None
    nothing: list[Any] = [
        residual(1).add(0, V),
        residual(1).scale(1),
        head(1, 2).scale(1.0),
        neuron(0, [1, 2]).add([0, 0]),
        pattern(1, 0).scale(1),
        [residual(1).add(0, V), head(0, 1).scale(1)],
    ]
    for out in m.intervene_each(IDS, nothing, attention=mode):
        assert torch.equal(out.logits, base[0])
    with_another = m.intervene(IDS, [head(1, 2), *nothing[:-1]], attention=mode)
    assert torch.equal(with_another.logits, m.intervene(IDS, head(1, 2), attention=mode).logits)


# The model afterwards


def test_the_model_is_as_it_was_also_after_errors_and_cancelling() -> None:
    m = model("gemma2")
    base = m.run(IDS[None]).logits
    weights = {name: p.clone() for name, p in m.hf.named_parameters()}
    assert base is not None
    m.intervene(IDS, [residual(1).add(3, V), pattern(0, 1)], constrained="all")

    def fail(share: float, sentence: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        m.intervene_each(IDS, [head(1, 2)], progress=fail)
    asked: list[int] = []
    with pytest.raises(Cancelled):
        m.intervene_each(IDS, [head(1, 2)], cancelled=lambda: asked.append(1) or True)
    assert asked == [1]
    broken = parts(m.hf).blocks[2].mlp.register_forward_hook(_raise)
    with pytest.raises(RuntimeError, match="in the middle"):
        m.intervene(IDS, residual(1).add(3, V))
    broken.remove()
    after = m.run(IDS[None]).logits
    assert after is not None
    assert torch.equal(after, base)
    assert torch.equal(m.hf(input_ids=IDS[None]).logits, base)
    assert all(torch.equal(p, weights[name]) for name, p in m.hf.named_parameters())
    assert m.lock.acquire(blocking=False)
    m.lock.release()


def _raise(*_: Any) -> None:
    raise RuntimeError("in the middle")


def test_in_bfloat16_values_keep_their_dtype() -> None:
    m = model("gemma2", torch.bfloat16)
    what = [residual(1).add(1, V), neuron(1, 3).scale(2), pattern(0, 1).scale(0.5)]
    for mode in ("free", "frozen"):
        out = m.intervene(IDS, what, attention=mode, read=[residual(1)])  # type: ignore[arg-type]
        assert out.logits.dtype == out.activations[residual(1)].dtype == torch.bfloat16
        assert out.logits.isfinite().all()


def test_a_vector_is_as_long_as_it_is_whatever_made_it() -> None:
    m = exact("qwen3")
    runs = [
        m.intervene(IDS, residual(1).add(2, given)).logits
        for given in (V, V.tolist(), V.float(), Vector.of(V))
    ]
    assert all(torch.equal(runs[0], run) for run in runs[1:])


def test_output_projections_are_where_patterns_write() -> None:
    # The plain way above never uses W_O; here it does, for one head and one query.
    m = exact("gpt2")
    out = m.intervene(IDS, pattern(2, 1).scale(0).at(-1), read=[Place(2, "attn_raw")])
    base = record(m.hf, IDS, [(2, "attn_z"), (2, "attn_raw")])
    w_o = output_projection(parts(m.hf).blocks[2].attn).weight  # Conv1D: [in, out]
    lost = base[2, "attn_z"][-1, one_head(m, 1)] @ w_o[one_head(m, 1)]
    expected = base[2, "attn_raw"][-1] - lost
    torch.testing.assert_close(out.activations[Place(2, "attn_raw")][-1], expected, **EXACT)


def test_interventions_are_named_in_the_outcome() -> None:
    out = model("llama grouped").intervene(
        IDS, [head(1, 2), residual(0).add(-2, Vector.of(V, "love")).at(-1)]
    )
    assert repr(out) == "Outcome(L1 head 2 ablated; L0 resid_post − 2 × love at position −1)"
    assert all(isinstance(what, Intervention) for what in out.what)
