"""Interventions on features: every kind of dictionary, the rest of what stands there kept."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from plain_interventions import INTO_THE_NORM, Change, frozen_attention, plain_logits, record
from tiny_models import LAYERS, PROMPT, dictionary, model
from torch import Tensor

from interp_widgets.dictionaries import (
    CrossLayerTranscoder,
    Gated,
    Layer,
    Rows,
    SparseCoder,
    Transcoders,
)
from interp_widgets.models import InterventionError, Model, Place
from interp_widgets.models.interventions import feature, mlp, residual

EXACT = dict(rtol=0, atol=1e-10)
FAMILIES = ("llama grouped", "gpt2", "gemma2", "gpt_neox parallel")
OTHER = "w8 w8 w31 w12 w7 w30"
every_family = pytest.mark.parametrize("family", FAMILIES)
KINDS: dict[str, dict[str, Any]] = {
    "transcoder": dict(),
    "jumprelu, on the stream": dict(
        activation="jumprelu", reads="hook_resid_mid", writes="hook_mlp_out"
    ),
    "topk": dict(activation="topk", reads="ln2.hook_normalized"),
    "skip": dict(skip=True),
    "cross-layer": dict(kind="clt"),
    "cross-layer jumprelu": dict(kind="clt", activation="jumprelu", writes="hook_mlp_out"),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


@cache
def exact(family: str) -> Model:
    return model(family, torch.float64)


@cache
def features(kind: str) -> Transcoders | CrossLayerTranscoder:
    return dictionary(**KINDS[kind], dtype=torch.float64)


def ids_of(m: Model, prompt: str = PROMPT) -> Tensor:
    return m.tokenize(prompt)


def encoded(d: Any, layer: int, x: Tensor) -> Tensor:
    """[position, feature], by the formula; position 0 carries none."""
    held = d.layer(layer)
    a: Tensor = held.activation(x @ held.encoder.whole().T + held.encoder_bias)
    a[0] = 0
    return a


SITE = {
    "hook_resid_mid": "resid_mid",
    "ln2.hook_normalized": "mlp_normalized",
    "mlp.hook_in": "mlp_in",
    "mlp.hook_out": "mlp_raw",
    "hook_mlp_out": "mlp_out",
}


def by_hand(d: Any, layer: int, new: Callable[[Tensor], Tensor]) -> list[Change]:
    """(new activations - activations) times the decoders, at each place where they write."""
    held: dict[str, Tensor] = {}

    def read(x: Tensor) -> None:
        a = encoded(d, layer, x)
        held["change"] = new(a.clone()) - a

    site = SITE[d.input_hook]
    changes: list[Change] = [(layer, INTO_THE_NORM if site == "resid_mid" else site, read)]
    decoder = d.layer(layer).decoder.whole()
    for target in d.writes_to(layer):
        rows = decoder[:, target - layer] if decoder.ndim == 3 else decoder

        def write(y: Tensor, rows: Tensor = rows) -> Tensor:
            return y + held["change"] @ rows

        changes.append((target, SITE[d.output_hook], write))
    return changes


def put(rows: Any, columns: list[int], new: Callable[[Tensor], Tensor]) -> Any:
    def fn(a: Tensor) -> Tensor:
        a[rows, columns] = new(a[rows, columns])
        return a

    return fn


# What is asked for, and the new activations [position, feature] by hand.
ASKED: dict[str, tuple[Callable[[Any], Any], Callable[[Tensor], Tensor]]] = {
    "clamped at a position": (
        lambda d: feature(d, 1, 3).clamp(2.5).at(-2),
        put(-2, [3], lambda a: torch.full_like(a, 2.5)),
    ),
    "clamped everywhere, the special token too": (
        lambda d: feature(d, 0, 3).clamp(2.5),
        put(slice(None), [3], lambda a: torch.full_like(a, 2.5)),
    ),
    "several, each to its value": (
        lambda d: feature(d, 1, [5, 2]).clamp([1.0, -1.0]).from_(2),
        put(slice(2, None), [5, 2], lambda a: torch.tensor([1.0, -1.0]).to(a).expand_as(a)),
    ),
    "ablated": (
        lambda d: feature(d, 1, list(range(24))).ablate(),
        lambda a: torch.zeros_like(a),
    ),
    "ablated to a mean": (
        lambda d: feature(d, 0, [1, 7]).ablate(mean=[0.5, 0.25]),
        put(slice(None), [1, 7], lambda a: torch.tensor([0.5, 0.25]).to(a).expand_as(a)),
    ),
    "scaled": (
        lambda d: feature(d, 0, list(range(24))).scale(-2),
        lambda a: -2 * a,
    ),
    "added": (
        lambda d: feature(d, 1, 4).add(1.5).at(3, 4),
        put([3, 4], [4], lambda a: a + 1.5),
    ),
    "clamped, then scaled": (
        lambda d: [feature(d, 1, [3, 4]).clamp(2), feature(d, 1, [4, 5]).scale(3)],
        lambda a: put(slice(None), [4, 5], lambda v: 3 * v)(
            put(slice(None), [3, 4], lambda v: torch.full_like(v, 2))(a)
        ),
    ),
}
every_request = pytest.mark.parametrize("asked", ASKED)


def layer_of(what: Any) -> int:
    first = what[0] if isinstance(what, list) else what
    layer: int = first.target.layer
    return layer


@every_request
@every_kind
@pytest.mark.parametrize("family", FAMILIES[1:3])
def test_what_features_write_changes_by_their_decoders(family: str, kind: str, asked: str) -> None:
    m, d = exact(family), features(kind)
    make, new = ASKED[asked]
    what, ids = make(d), ids_of(m)
    changes = by_hand(d, layer_of(what), new)
    expected = plain_logits(m.hf, ids, changes)
    torch.testing.assert_close(m.intervene(ids, what).logits, expected, **EXACT)
    assert (expected - plain_logits(m.hf, ids)).abs().max() > 1e-4


@every_kind
@every_family
def test_features_with_attention_frozen(family: str, kind: str) -> None:
    m, d = exact(family), features(kind)
    make, new = ASKED["several, each to its value"]
    ids = ids_of(m)
    out = m.intervene(ids, make(d), attention="frozen")
    changes = [*frozen_attention(m.hf, ids), *by_hand(d, 1, new)]
    torch.testing.assert_close(out.logits, plain_logits(m.hf, ids, changes), **EXACT)


@every_kind
def test_patched_features_are_those_of_the_other_prompt(kind: str) -> None:
    m, d = exact("llama grouped"), features(kind)
    ids, other = ids_of(m), ids_of(m, OTHER)
    where = (1, d.reads(1).site)
    there = encoded(d, 1, record(m.hf, other, [where])[where])
    columns = torch.arange(24)

    def new(a: Tensor) -> Tensor:
        a[2:] = there[2:]
        return a

    out = m.intervene(ids, feature(d, 1, columns.tolist()).patch(OTHER).from_(2))
    torch.testing.assert_close(out.logits, plain_logits(m.hf, ids, by_hand(d, 1, new)), **EXACT)


def test_position_0_carries_no_features() -> None:
    m, d = exact("llama grouped"), features("transcoder")
    ids = ids_of(m)
    # Whatever the encoder finds there, 0 counts as the current activation.
    with pytest.raises(InterventionError, match="at position 0 carries no features"):
        m.intervene(ids, feature(d, 1, [1, 2, 3]).scale(5).at(0))
    elsewhere = feature(d, 1, [1, 2, 3]).scale(5)
    torch.testing.assert_close(
        m.intervene(ids, elsewhere).logits, m.intervene(ids, elsewhere.from_(1)).logits, **EXACT
    )
    added = m.intervene(ids, feature(d, 1, 3).add(2).at(0), read=[Place(1, "mlp_raw")])
    plain = m.run(ids[None], read=[Place(1, "mlp_raw")]).seen[Place(1, "mlp_raw")][0, 0]
    expected = plain + 2 * d.layer(1).decoder.whole()[3]
    torch.testing.assert_close(added.activations[Place(1, "mlp_raw")][0], expected, **EXACT)


def test_an_upper_feature_s_activation_is_the_one_that_lower_interventions_left() -> None:
    m, d = exact("gpt2"), features("cross-layer")
    ids = ids_of(m)
    both = [feature(d, 2, list(range(24))).scale(2), feature(d, 0, 3).clamp(4)]
    changes = [
        *by_hand(d, 0, put(slice(None), [3], lambda a: torch.full_like(a, 4))),
        *by_hand(d, 2, lambda a: 2 * a),
    ]
    out = m.intervene(ids, both)
    torch.testing.assert_close(out.logits, plain_logits(m.hf, ids, changes), **EXACT)


def test_features_and_the_mlp_they_write_to_act_in_the_order_given() -> None:
    m, d = exact("llama grouped"), features("jumprelu, on the stream")
    ids = ids_of(m)
    pinned = put(slice(None), [3], lambda a: torch.full_like(a, 4))
    read, write = by_hand(d, 1, pinned)
    silent: Change = (1, "mlp_out", torch.zeros_like)
    before = m.intervene(ids, [mlp(1).ablate(), feature(d, 1, 3).clamp(4)]).logits
    torch.testing.assert_close(before, plain_logits(m.hf, ids, [read, silent, write]), **EXACT)
    after = m.intervene(ids, [feature(d, 1, 3).clamp(4), mlp(1).ablate()]).logits
    torch.testing.assert_close(after, plain_logits(m.hf, ids, [read, write, silent]), **EXACT)


# Sparse autoencoders and coders of one place


def coder(
    norm: str = "none", site: Any = "resid_post", kind: str = "SAE", activation: str = "jumprelu"
) -> SparseCoder:
    weights = dictionary(
        activation="relu" if activation == "gated" else activation,
        skip=kind == "skip transcoder",
        dtype=torch.float64,
    ).layer(1)
    if activation == "gated":
        scale = torch.linspace(0.5, 1.5, 24, dtype=torch.float64)
        gate = Gated(scale, scale.flip(0) - 1)
        weights = Layer(
            "gated", weights.encoder, weights.decoder, weights.encoder_bias,
            weights.decoder_bias, gate,
        )  # fmt: skip
    place = Place(1, site)
    reads = place if kind == "SAE" else Place(1, "mlp_in")
    writes = place if kind == "SAE" else Place(1, "mlp_out")
    return SparseCoder(weights, reads, writes, "tests/coder", norm=norm)  # type: ignore[arg-type]


def normed(x: Tensor, norm: str) -> tuple[Tensor, Tensor]:
    """x as the coder sees it, and what its outputs are scaled back by."""
    if norm == "constant_norm":
        back = x.norm(dim=-1, keepdim=True) / x.shape[-1] ** 0.5
        return x / back, back
    if norm == "layer_norm":
        std = x.std(-1, keepdim=True)
        return (x - x.mean(-1, keepdim=True)) / (std + 1e-5), std
    return x, torch.ones(1, dtype=x.dtype)


def sae_by_hand(c: SparseCoder, x: Tensor, new: Callable[[Tensor], Tensor]) -> Tensor:
    inside, back = normed(x, c.norm)
    held = c.weights
    a: Tensor = held.activation(inside @ held.encoder.whole().T + held.encoder_bias)
    a[0] = 0
    return x + back * ((new(a.clone()) - a) @ held.decoder.whole())


@pytest.mark.parametrize("norm", ["none", "constant_norm", "layer_norm"])
@pytest.mark.parametrize("site", ["resid_post", "resid_mid", "mlp_out", "attn_out"])
@every_family
def test_an_sae_keeps_its_error(family: str, site: str, norm: str) -> None:
    m, c = exact(family), coder(norm, site)
    ids = ids_of(m)
    new = put(slice(1, None), [3, 8], lambda a: torch.full_like(a, 2))
    out = m.intervene(ids, feature(c, 1, [3, 8]).clamp(2).from_(1))
    changes: list[Change] = [(1, site, lambda x: sae_by_hand(c, x, new))]
    torch.testing.assert_close(out.logits, plain_logits(m.hf, ids, changes), **EXACT)


@pytest.mark.parametrize("activation", ["topk", "gated"])
def test_other_nonlinearities_of_an_sae(activation: str) -> None:
    m, c = exact("llama grouped"), coder(activation=activation)
    ids = ids_of(m)
    out = m.intervene(ids, feature(c, 1, [3, 8]).scale(3))
    new = put(slice(None), [3, 8], lambda a: 3 * a)
    changes: list[Change] = [(1, "resid_post", lambda x: sae_by_hand(c, x, new))]
    expected = plain_logits(m.hf, ids, changes)
    torch.testing.assert_close(out.logits, expected, **EXACT)
    assert (expected - plain_logits(m.hf, ids)).abs().max() > 1e-4


def test_an_sae_reads_the_stream_as_an_earlier_intervention_at_its_place_left_it() -> None:
    m, c = exact("llama grouped"), coder()
    ids = ids_of(m)
    v = torch.linspace(-1, 1, 32).double()
    twice = [feature(c, 1, 3).add(1), residual(1).add(1, v), feature(c, 1, [3, 8]).scale(2)]

    def by_turns(x: Tensor) -> Tensor:
        x = sae_by_hand(c, x, put(slice(None), [3], lambda a: a + 1)) + v.float().double()
        return sae_by_hand(c, x, put(slice(None), [3, 8], lambda a: 2 * a))

    expected = plain_logits(m.hf, ids, [(1, "resid_post", by_turns)])
    torch.testing.assert_close(m.intervene(ids, twice).logits, expected, **EXACT)
    # Without anything in between, what was pinned stays pinned: it is not encoded again.
    out = m.intervene(ids, [feature(c, 1, 3).clamp(2), feature(c, 1, 3).scale(3)])
    six = put(slice(None), [3], lambda a: torch.full_like(a, 6))
    expected = plain_logits(m.hf, ids, [(1, "resid_post", lambda x: sae_by_hand(c, x, six))])
    torch.testing.assert_close(out.logits, expected, **EXACT)


def test_a_coder_of_one_mlp_is_like_a_set_of_transcoders() -> None:
    m, d = exact("gemma2"), features("skip")
    one = Transcoders(d.layers, "mlp.hook_in", "hook_mlp_out", "tests/set")
    ids = ids_of(m)
    for mode in ("free", "frozen"):
        alone = m.intervene(ids, feature(one.coder(1), 1, 3).clamp(2), attention=mode)  # type: ignore[arg-type]
        within = m.intervene(ids, feature(one, 1, 3).clamp(2), attention=mode)  # type: ignore[arg-type]
        assert torch.equal(alone.logits, within.logits)


def test_a_dictionary_in_a_file_or_in_half_precision_is_brought_to_the_model() -> None:
    m, d = exact("llama grouped"), dictionary(dtype=torch.float32)
    ids = ids_of(m)
    expected = m.intervene(ids, feature(d.to(dtype=torch.float64), 1, 3).clamp(2)).logits
    torch.testing.assert_close(
        m.intervene(ids, feature(d, 1, 3).clamp(2)).logits, expected, **EXACT
    )
    mapped = Transcoders(
        tuple(
            Layer(
                layer.source, Rows.map(layer.encoder.whole(), "f"), Rows.map(layer.decoder.whole(), "f"),
                layer.encoder_bias, layer.decoder_bias, layer.activation,
            )
            for layer in d.layers
        ),
        d.input_hook, d.output_hook, "tests/mapped",
    )  # fmt: skip
    found = m.intervene(ids, feature(mapped, 1, 3).clamp(2)).logits
    torch.testing.assert_close(found, expected, **EXACT)


# Constrained layers with skip paths


@pytest.mark.parametrize("layers", [[0], [1], [0, 1], [1, 2]])
def test_a_constrained_skip_path_carries_what_its_inputs_changed_by(layers: list[int]) -> None:
    m, d = exact("llama grouped"), features("skip")
    ids = ids_of(m)
    what = [feature(d, layers[0], 3).clamp(2), residual(0).add(1, torch.ones(32))]
    base = record(
        m.hf,
        ids,
        [(i, s) for i in range(LAYERS) for s in ("mlp_in", "mlp_raw", "attn_q", "attn_k")],
    )
    held: dict[int, Tensor] = {}
    a = encoded(d, layers[0], base[layers[0], "mlp_in"])
    change = put(slice(None), [3], lambda v: torch.full_like(v, 2))(a.clone()) - a

    def read(layer: int) -> Change:
        return (layer, "mlp_in", lambda x: held.update({layer: x.clone()}))

    def write(layer: int) -> Change:
        def fn(y: Tensor) -> Tensor:
            carried = (held[layer] - base[layer, "mlp_in"]) @ d.skip(layer).T
            own = change @ d.layer(layer).decoder.whole() if layer == layers[0] else 0
            return base[layer, "mlp_raw"] + carried + own

        return (layer, "mlp_raw", fn)

    changes = [*frozen_attention(m.hf, ids), (0, "resid_post", lambda x: x + 1)]
    changes += [read(layer) for layer in layers] + [write(layer) for layer in layers]
    out = m.intervene(ids, what, constrained=layers)
    torch.testing.assert_close(out.logits, plain_logits(m.hf, ids, changes), **EXACT)


# What does not fit


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda d: feature(d, 1, 24),
            r"Layer 1 of tests/tiny has 24 features \(0 to 23\): there is no",
        ),
        (
            lambda d: feature(d, 3, 1),
            "3 layers .*no L3 feature 1|features that read in layers 0 to 2",
        ),
        (lambda d: feature(coder(), 0, 1), "features that read in layer 1, none in layer 0"),
        (lambda d: feature(object(), 0, 1), "object is no dictionary of features"),
        (lambda d: feature(dictionary(width=16), 0, 1), "of width 16, but tiny llama grouped has"),
    ],
)
def test_features_that_are_not_there_are_refused(make: Any, sentence: str) -> None:
    m = exact("llama grouped")
    with pytest.raises(ValueError, match=sentence):
        m.intervene(PROMPT, make(features("transcoder")))


def test_two_dictionaries_with_skip_paths_cannot_both_be_followed() -> None:
    m = exact("llama grouped")
    what = [feature(dictionary(skip=True, seed=s), 1, 3).clamp(1) for s in (1, 2)]
    m.intervene(PROMPT, what)
    with pytest.raises(InterventionError, match="Two dictionaries have a skip path in layer 0"):
        m.intervene(PROMPT, what, constrained="all")
