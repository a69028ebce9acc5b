"""Model.run: what it reads and writes is what plain PyTorch hooks read and write, everywhere."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import cache
from typing import Any

import pytest
import torch
from plain_places import hooks
from plain_runs import parts
from tiny_models import CONTEXT, LAYERS, MODELS, VOCAB, model
from torch import Tensor

from interp_widgets.models import SITES, Model, ModelError, Place, PromptError, Run

IDS = torch.tensor([[1, 3, 14, 15, 9, 26], [1, 8, 8, 31, 12, 7]])
every_family = pytest.mark.parametrize("family", MODELS)
LAST = LAYERS - 1
every_written_site = pytest.mark.parametrize("site", [s for s in SITES if s != "pattern"])


def places(layer: int) -> list[Place]:
    """All places of a layer; the last norm stands behind the last one."""
    return [Place(layer, s) for s in SITES if s != "final_normalized" or layer == LAST]


@pytest.fixture(scope="module")
def llama() -> Model:
    return model("llama grouped")


@cache
def exact(family: str) -> Model:
    return model(family, torch.float64)


@cache
def untouched(family: str) -> Run:
    """A run without writes that reads all of layer 1."""
    return exact(family).run(IDS, read=[*places(1), Place(LAST, "final_normalized")])


@torch.no_grad()
def plain(
    hf: Any, edits: Mapping[Place, Callable[[Tensor], Tensor | None]], ids: Tensor = IDS
) -> Tensor:
    with ExitStack() as stack:
        for place, fn in edits.items():
            stack.enter_context(hooks(hf, place.layer, place.site, fn))
        logits: Tensor = hf(input_ids=ids, use_cache=False).logits
    return logits


def change(x: Tensor) -> Tensor:
    return 0.5 * x.flip(-1) + 0.1


# Reading and writing


@every_family
def test_every_place_reads_what_a_hook_reads(family: str) -> None:
    m = exact(family)
    everywhere = [place for layer in range(LAYERS) for place in places(layer)]
    expected: dict[Place, Tensor] = {}

    def keep(place: Place) -> Callable[[Tensor], None]:
        return lambda x: expected.update({place: x.clone()})

    logits = plain(m.hf, {place: keep(place) for place in everywhere})
    run = m.run(IDS, read=everywhere)
    assert run.logits is not None
    torch.testing.assert_close(run.logits, logits, rtol=0, atol=1e-12)
    assert set(run.seen) == set(everywhere)
    for place in everywhere:
        torch.testing.assert_close(run.seen[place], expected[place], rtol=0, atol=1e-12)


@every_written_site
@every_family
def test_a_write_does_what_a_hook_does(family: str, site: Any) -> None:
    m, before = exact(family), untouched(family)
    place = Place(LAST if site == "final_normalized" else 1, site)
    run = m.run(IDS, read=[place], write={place: lambda x, seen: change(x)})
    assert run.logits is not None
    assert before.logits is not None
    torch.testing.assert_close(run.logits, plain(m.hf, {place: change}), rtol=0, atol=1e-12)
    assert (run.logits - before.logits).abs().max() > 1e-3
    # What is read at a written place is what was there before.
    torch.testing.assert_close(run.seen[place], before.seen[place], rtol=0, atol=0)


@every_family
def test_a_parallel_or_sequential_stream_that_is_written_leaves_earlier_reads_alone(
    family: str,
) -> None:
    m = model(family)
    early = [Place(0, "resid_post"), Place(1, "resid_pre"), Place(1, "resid_mid")]
    run = m.run(IDS, read=early, write={Place(1, "resid_mid"): lambda x, seen: change(x)})
    before = m.run(IDS, read=early)
    for place in early:
        assert torch.equal(run.seen[place], before.seen[place])


def test_writes_at_one_module_follow_one_another_and_reads_above_see_the_changed_pass(
    llama: Model,
) -> None:
    raw, out, post = Place(1, "mlp_raw"), Place(1, "mlp_out"), Place(1, "resid_post")
    mid = Place(1, "resid_mid")
    write = {out: lambda x, seen: x + 1, raw: lambda x, seen: 0 * x}
    run = llama.run(IDS, read=[mid, out, post], write=write, logits=False)
    assert torch.equal(run.seen[out], torch.zeros_like(run.seen[out]))
    torch.testing.assert_close(run.seen[post], run.seen[mid] + 1)


def test_a_write_may_use_what_was_read_below_it(llama: Model) -> None:
    low, high = Place(0, "mlp_in"), Place(2, "mlp_out")
    run = llama.run(IDS, read=[low], write={high: lambda x, seen: x + seen[low]})
    value: dict[str, Tensor] = {}
    logits = plain(
        llama.hf,
        {low: lambda x: value.update(low=x.clone()), high: lambda x: x + value["low"]},
    )
    torch.testing.assert_close(run.logits, logits)


def test_values_have_the_model_s_dtype_whatever_a_write_returns() -> None:
    m = model("gemma2", torch.bfloat16)
    place = Place(1, "mlp_normalized")
    run = m.run(IDS, read=[place], write={place: lambda x, seen: x.double()})
    assert run.seen[place].dtype == torch.bfloat16
    assert run.logits is not None
    assert run.logits.dtype == torch.bfloat16


def test_nothing_asks_for_a_gradient(llama: Model) -> None:
    run = llama.run(IDS, read=[Place(0, "resid_pre")])
    assert not run.seen[Place(0, "resid_pre")].requires_grad


# Stopping early and padding


def test_without_logits_the_run_stops_behind_the_last_place(llama: Model) -> None:
    reached = []
    blocks = parts(llama.hf).blocks
    handles = [
        blocks[layer].mlp.register_forward_hook(lambda m, a, o, layer=layer: reached.append(layer))
        for layer in range(LAYERS)
    ]
    try:
        run = llama.run(IDS, read=[Place(1, "mlp_in")], logits=False)
        assert reached == [0]
        llama.run(IDS)
        assert reached == [0, 0, 1, 2]
    finally:
        for handle in handles:
            handle.remove()
    assert run.logits is None
    whole = llama.run(IDS, read=[Place(1, "mlp_in")])
    assert torch.equal(run.seen[Place(1, "mlp_in")], whole.seen[Place(1, "mlp_in")])


@every_family
def test_padding_changes_nothing_at_the_tokens_before_it(family: str) -> None:
    m = exact(family)
    n = CONTEXT
    short, place = IDS[1:, :4], Place(2, "resid_post")
    ids = IDS.repeat(1, 3)[:, :n]
    mask = torch.tensor([[True] * n, [True] * 4 + [False] * (n - 4)])
    alone = m.run(short, read=[place])
    batch = m.run(torch.where(mask, ids, 0), mask=mask, read=[place])
    assert alone.logits is not None
    assert batch.logits is not None
    # transformers' attention takes its softmax in float32, also in a float64 model.
    close = dict(rtol=0, atol=2e-6)
    torch.testing.assert_close(batch.logits[1:, :4], alone.logits, **close)
    torch.testing.assert_close(batch.seen[place][1:, :4], alone.seen[place], **close)


# Sharing the model


def test_the_model_is_locked_while_a_run_is_under_way(llama: Model) -> None:
    free = []

    def look(x: Tensor, seen: Any) -> Tensor:
        other = threading.Thread(target=lambda: free.append(llama.lock.acquire(blocking=False)))
        other.start()
        other.join()
        return x

    llama.run(IDS, write={Place(0, "mlp_out"): look})
    assert free == [False]


def test_an_error_in_a_write_reaches_the_caller_and_the_model_stays_usable(llama: Model) -> None:
    before = llama.run(IDS).logits

    def fail(x: Tensor, seen: Any) -> Tensor:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        llama.run(IDS, write={Place(0, "mlp_out"): fail})
    after = llama.run(IDS).logits
    assert before is not None
    assert after is not None
    assert torch.equal(before, after)


# What does not fit


def test_places_sort_in_forward_order_and_say_where_they_are() -> None:
    in_order = [Place(layer, site) for layer in range(2) for site in SITES]
    backwards = list(reversed(in_order))
    assert sorted(backwards) == in_order
    assert str(Place(3, "mlp_out")) == "L3 mlp_out"


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Place(0, "mlp"), "There is no site 'mlp'; the sites are resid_pre, "),  # type: ignore[arg-type]
        (lambda: Place(-1, "mlp_out"), "Layers are counted from 0; there is no layer -1"),
    ],
)
def test_a_place_that_cannot_be_is_refused(make: Any, sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        make()


def test_a_layer_the_model_does_not_have_is_refused(llama: Model) -> None:
    with pytest.raises(ModelError, match=r"has 3 layers \(0 to 2\): no L3 mlp_out"):
        llama.run(IDS, read=[Place(3, "mlp_out")])
    with pytest.raises(ModelError, match="no L7 mlp_in"):
        llama.run(IDS, write={Place(7, "mlp_in"): lambda x, seen: x})


def test_a_pattern_is_not_written_and_the_last_norm_is_behind_the_last_block(llama: Model) -> None:
    with pytest.raises(ModelError, match="L1 pattern can be read but not written: use an interv"):
        llama.run(IDS, write={Place(1, "pattern"): lambda x, seen: x})
    with pytest.raises(ModelError, match="stands behind block 2: there is no L1 final_normalized"):
        llama.run(IDS, read=[Place(1, "final_normalized")])


def test_logits_at_some_positions_are_those_of_the_whole_run(llama: Model) -> None:
    whole, some = llama.run(IDS).logits, llama.run(IDS, logits=[4, 1]).logits
    assert whole is not None
    assert some is not None
    torch.testing.assert_close(some, whole[:, [4, 1]], rtol=0, atol=1e-6)


def test_a_replacement_of_another_shape_is_refused(llama: Model) -> None:
    with pytest.raises(ModelError, match=r"written at L1 mlp_out has shape \[2, 6, 3\], expected"):
        llama.run(IDS, write={Place(1, "mlp_out"): lambda x, seen: x[..., :3]})


@pytest.mark.parametrize(
    ("ids", "mask", "sentence"),
    [
        (IDS[0], None, r"token ids \[batch, position\], not \[6\]"),
        (IDS.double(), None, "whole-number token ids"),
        (IDS[:0], None, r"not \[0, 6\]"),
        (IDS + VOCAB, None, "outside the vocabulary"),
        (-IDS, None, "outside the vocabulary"),
        (IDS.repeat(1, 3), None, "18 tokens are too long: tiny llama grouped reads at most 16"),
        (IDS, torch.ones(2, 5, dtype=torch.bool), r"mask has shape \[2, 5\]"),
        (IDS, torch.arange(6).expand(2, 6) > 1, "not right-padded"),
    ],
)
def test_ids_and_masks_that_do_not_fit_are_refused(
    llama: Model, ids: Tensor, mask: Tensor | None, sentence: str
) -> None:
    with pytest.raises(PromptError, match=sentence):
        llama.run(ids, mask=mask)
