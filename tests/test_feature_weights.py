"""What the weights say of a unit, against a model that plain hooks made linear (linear_runs.py)
and against plain loops over explicit vectors."""

from __future__ import annotations

import gc
import threading
import weakref
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models
import torch
from linear_runs import LinearRun
from tiny_models import FEATURES, LAYERS, MLP, VOCAB, WIDTH
from torch import Tensor

from interp_widgets.dictionaries import (
    DictionaryError,
    Layer,
    ReLU,
    Rows,
    SparseCoder,
    load,
    save,
)
from interp_widgets.features.errors import FeatureError
from interp_widgets.features.units import units_of
from interp_widgets.features.values import Control, Neighbour
from interp_widgets.features.weights import Weights
from interp_widgets.features.weights.lists import Logits
from interp_widgets.features.weights.stream import meets
from interp_widgets.models import Model, Place
from interp_widgets.models.places import SITES

FAMILIES = ("llama grouped", "gemma2", "gpt2", "gpt_neox parallel", "gpt_neox sequential")
KINDS = ("transcoder", "cross-layer transcoder")
ALL = 10_000
F64 = torch.float64


@cache
def exact(family: str) -> Model:
    return tiny_models.model(family, F64)


@cache
def linear(family: str) -> LinearRun:
    return LinearRun(tiny_models.hugging_face(family, F64))


@cache
def dictionary(kind: str, reads: str = "mlp.hook_in", writes: str = "mlp.hook_out") -> Any:
    return tiny_models.dictionary(kind, reads=reads, writes=writes, dtype=F64)


def decoders(found: Any, layer: int, features: Tensor) -> dict[tuple[int, str], Tensor]:
    """What features of a layer write, where: [k, d] each."""
    return {
        (target, found.writes(target).site): found.decoder(layer, features, target)
        for target in found.writes_to(layer)
    }


def links(family: str, found: Any) -> dict[tuple[int, int], Tensor]:
    """Virtual weights as changes of what encoders read, [source, reader] per pair of layers."""
    out, every = {}, torch.arange(FEATURES)
    for source in range(LAYERS):
        changes, _ = linear(family).change(decoders(found, source, every))
        for at in range(LAYERS):
            place = found.reads(at)
            change = changes[place.layer, place.site]
            if change.abs().max() > 0:
                out[source, at] = change @ found.encoder(at, every).T
    return out


def by_unit(listed: list[Neighbour]) -> dict[tuple[int, int], float]:
    return {(each.layer, each.feature): each.value for each in listed}


def above_mean(logits: Tensor) -> dict[int, float]:
    """Token id to logit above the mean over the vocabulary; logits: [1, V]."""
    return dict(enumerate((logits - logits.mean())[0].tolist()))


def tokens(shown: Logits | None) -> dict[int, float]:
    assert shown is not None
    return {token.id: token.value for token in shown.positive}


def own_draws(parts: list[Tensor], n: int = 400) -> list[Tensor]:
    """Random directions as long as parts [d], other ones than the code has: [draw, d] each."""
    random = torch.Generator().manual_seed(77)
    drawn = [torch.randn(n, len(part), generator=random, dtype=F64) for part in parts]
    return [
        d / d.norm(dim=1, keepdim=True) * part.norm() for d, part in zip(drawn, parts, strict=True)
    ]


def agrees(control: Control, values: Tensor) -> bool:
    """Whether 20 draws and these many have one mean, as far as their spread can say."""
    error = float(values.std()) * (1 / control.draws + 1 / len(values)) ** 0.5
    ordered = control.low <= control.value <= control.high
    return ordered and control.draws == 20 and abs(control.value - float(values.mean())) < 4 * error


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_virtual_weight_is_what_a_decoder_in_the_stream_changes_of_a_pre_activation(
    family: str, kind: str
) -> None:
    found = dictionary(kind)
    weights, expected = Weights(exact(family), found), links(family, found)
    for listed_by, end in ((weights.downstream, 0), (weights.upstream, 1)):
        for layer, feature in [(0, 3), (1, 0), (2, 23)]:
            listed, _ = listed_by(layer, feature, ALL)
            want = {
                (link[1 - end], i): float(change.select(end, feature)[i])
                for link, change in expected.items()
                if link[end] == layer
                for i in range(FEATURES)
            }
            assert by_unit(listed) == pytest.approx(want, abs=1e-10)
            assert listed == sorted(listed, key=lambda each: -abs(each.value))


@pytest.mark.parametrize(
    ("reads", "writes"),
    [
        ("hook_resid_mid", "hook_mlp_out"),
        ("ln2.hook_normalized", "hook_mlp_out"),
        ("hook_resid_mid", "hook_resid_mid"),
    ],
)
@pytest.mark.parametrize("family", ["gemma2", "gpt2", "gpt_neox parallel"])
def test_virtual_weights_follow_where_a_dictionary_reads_and_writes(
    family: str, reads: str, writes: str
) -> None:
    found = dictionary("transcoder", reads, writes)
    weights, expected = Weights(exact(family), found), links(family, found)
    assert set(expected) == {(0, 1), (0, 2), (1, 2)}
    for (source, at), change in expected.items():
        down = by_unit(weights.downstream(source, 7, ALL)[0])
        assert [down[at, i] for i in range(FEATURES)] == pytest.approx(change[7], abs=1e-10)


@pytest.mark.parametrize("family", ["llama grouped", "gpt2", "gpt_neox parallel"])
def test_one_place_meets_another_where_what_is_put_in_changes_what_is_read(family: str) -> None:
    run, model = linear(family), exact(family)
    width = {"attn_z": WIDTH, "neurons": MLP}
    reading = [Place(at, site) for at, site in run({}, 1)[0]]
    for site in ("resid_pre", "attn_z", "attn_raw", "attn_out", "resid_mid", "neurons", "mlp_raw"):
        put = torch.randn(1, width.get(site, WIDTH), dtype=F64)
        changes, _ = run.change({(1, site): put})
        reached = {p for p in reading if changes[p.layer, p.site].abs().max() > 1e-12}
        assert {p for p in reading if meets(model, Place(1, site), p)} == reached
    # What stands inside attention or the MLP reaches the stream only by way of something else.
    inside = [s for s in SITES if s in ("attn_q", "attn_v", "attn_normalized", "mlp_in")]
    assert not any(meets(model, Place(0, site), place) for site in inside for place in reading)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "sites",
    [
        ("attn_z", "mlp_in", "final_normalized"),
        ("neurons", "attn_normalized", "resid_post"),
        ("mlp_raw", "resid_mid", "resid_pre"),
        ("resid_post", "resid_pre", "mlp_normalized"),
        ("attn_raw", "attn_out", "mlp_in"),
    ],
)
def test_directions_are_linked_as_they_are_in_the_linear_run(
    family: str, sites: tuple[str, ...]
) -> None:
    run, random = linear(family), torch.Generator().manual_seed(3)
    # Gemma's four heads of 12 are wider than d_model.
    width = {"attn_z": 48 if family == "gemma2" else WIDTH, "neurons": MLP}
    vectors = {
        at: torch.randn(2, width.get(site, WIDTH), generator=random).to(F64)
        for at, site in enumerate(sites)
    }
    named = {
        f"{at}/{i}": (Place(at, sites[at]), vector)
        for at, pair in vectors.items()
        for i, vector in enumerate(pair)
    }
    weights = Weights(exact(family), named)
    for source in range(LAYERS - 1):
        down, _ = weights.downstream(source, 1, ALL)
        changes, _ = run.change({(source, sites[source]): vectors[source][1:]})
        want = {}
        for at in range(source + 1, LAYERS):
            change = changes.get((at, sites[at]))
            if change is not None and change.abs().max() > 1e-12:
                want |= {(at, i): float(change[0] @ vectors[at][i]) for i in range(2)}
        assert by_unit(down) == pytest.approx(want, abs=1e-9)
        assert (weights.why_none("downstream", source) is None) == bool(want)


def test_neurons_without_a_gate_read_and_write_and_gated_ones_only_write() -> None:
    run, weights = linear("gpt2"), Weights(exact("gpt2"), "neurons")
    one = torch.zeros(1, MLP, dtype=F64)
    one[0, 30] = 1
    changes, logits = run.change({(0, "neurons"): one})
    up = {at: run.blocks[at].mlp.c_fc.weight.detach().T for at in (1, 2)}
    down, control = weights.downstream(0, 30, ALL)
    want = {(at, i): float(changes[at, "mlp_in"][0] @ up[at][i]) for at in up for i in range(MLP)}
    assert by_unit(down) == pytest.approx(want, abs=1e-10)
    assert control is not None
    assert tokens(weights.logits(0, 30, VOCAB)) == pytest.approx(above_mean(logits))

    gated = Weights(exact("llama grouped"), "neurons")
    assert gated.upstream(1, 5) == ([], None)
    assert gated.downstream(1, 5) == ([], None)
    assert gated.effect(1, 5) == []
    for part in ("upstream", "downstream", "effect"):
        assert "gated neuron" in str(gated.why_none(part, 1))  # type: ignore[arg-type]
    assert gated.logits(1, 5) is not None
    assert len(gated.similar(1, 5)[0]) == 10


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_what_a_decoder_changes_of_the_logits_above_their_mean(
    family: str, kind: str
) -> None:
    found = dictionary(kind)
    weights = Weights(exact(family), found)
    for layer in range(LAYERS):
        _, logits = linear(family).change(decoders(found, layer, torch.tensor([4])))
        expected = above_mean(logits)
        assert tokens(weights.logits(layer, 4, VOCAB)) == pytest.approx(expected)
        top = weights.logits(layer, 4, 3)
        assert top is not None
        ranked = sorted(expected, key=lambda token: -expected[token])
        assert [t.id for t in top.positive] == ranked[:3]
        assert [t.id for t in top.negative] == ranked[:-4:-1]
        assert top.positive[0].token == exact(family).token_text(top.positive[0].id)


def test_a_direction_behind_the_final_norm_is_read_by_the_unembedding_alone() -> None:
    vector = torch.randn(WIDTH, generator=torch.Generator().manual_seed(2)).to(F64)
    weights = Weights(exact("gemma2"), {"out": (Place(2, "final_normalized"), vector)})
    _, logits = linear("gemma2").change({(2, "final_normalized"): vector[None]})
    assert tokens(weights.logits(2, 0, VOCAB)) == pytest.approx(above_mean(logits))
    assert weights.effect(2, 0) == []
    assert "not added straight" in str(weights.why_none("effect", 2))


def test_rows_that_only_pad_the_unembedding_are_no_tokens() -> None:
    hf = tiny_models.hugging_face("llama grouped", F64)
    hf.resize_token_embeddings(VOCAB + 8)
    with torch.no_grad():
        hf.lm_head.weight[VOCAB:] = 100.0
    padded = Weights(Model(hf, tiny_models.tokenizer()), dictionary("transcoder"))
    plain = Weights(exact("llama grouped"), dictionary("transcoder"))
    assert tokens(padded.logits(1, 4, ALL)) == pytest.approx(tokens(plain.logits(1, 4, ALL)))
    with pytest.raises(FeatureError, match=f"Token {VOCAB} is outside the vocabulary"):
        padded.promotes(VOCAB)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", ["gemma2", "gpt2"])
def test_units_that_promote_a_token_are_ranked_by_z_over_their_own_logits(
    family: str, kind: str
) -> None:
    found, want = dictionary(kind), []
    for layer in range(LAYERS):
        _, logits = linear(family).change(decoders(found, layer, torch.arange(FEATURES)))
        for feature, row in enumerate(logits.tolist()):
            mean = sum(row) / VOCAB
            spread = (sum((x - mean) ** 2 for x in row) / VOCAB) ** 0.5
            want.append((layer, feature, row[17] - mean, (row[17] - mean) / spread))
    want.sort(key=lambda each: -each[3])
    shown = Weights(exact(family), found).promotes(17, 30)
    assert [each[:2] for each in shown] == [each[:2] for each in want[:30]]
    assert [x for each in shown for x in each[2:]] == pytest.approx(
        [x for each in want[:30] for x in each[2:]]
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", ["llama grouped", "gemma2"])
def test_similar_units_have_the_largest_cosines_of_all_that_they_add_to_the_stream(
    family: str, kind: str
) -> None:
    """Explicit long vectors: one block of d_model for each target layer (transcoders: one)."""
    found, run, across = dictionary(kind), linear(family), kind != "transcoder"
    long = torch.zeros(LAYERS, FEATURES, LAYERS if across else 1, WIDTH, dtype=F64)
    for layer in range(LAYERS):
        for (target, site), rows in decoders(found, layer, torch.arange(FEATURES)).items():
            # What arrives behind the block is what was added to the stream.
            changes, _ = run.change({(target, site): rows})
            long[layer, :, target if across else 0] = changes[target, "resid_post"]
    cosine = torch.cosine_similarity
    weights = Weights(exact(family), found)
    for unit in [(0, 5), (2, 11)]:
        own = long[unit].flatten()
        cosines = {
            (layer, feature): float(cosine(own, long[layer, feature].flatten(), dim=0))
            for layer in range(LAYERS)
            for feature in range(FEATURES)
            if (layer, feature) != unit
        }
        shown, control = weights.similar(*unit, ALL)
        assert by_unit(shown) == pytest.approx(cosines, abs=1e-10)
        assert [x.value for x in shown] == sorted((x.value for x in shown), reverse=True)
        assert control is not None


def test_controls_are_the_largest_that_random_directions_of_the_same_length_get() -> None:
    model, found = exact("llama grouped"), dictionary("transcoder")
    weights, run = Weights(model, found), linear("llama grouped")
    decoder = found.decoder(0, torch.tensor([6]), 0)[0]
    (drawn,) = own_draws([decoder])
    changes, logits = run.change({(0, "mlp_out"): drawn})
    shown = weights.logits(0, 6)
    assert shown is not None
    assert agrees(shown.control, (logits - logits.mean(1, keepdim=True)).amax(1))

    every = torch.arange(FEATURES)
    read = [changes[at, "mlp_in"] @ found.encoder(at, every).T for at in (1, 2)]
    _, control = weights.downstream(0, 6)
    assert control is not None
    assert agrees(control, torch.cat(read, 1).abs().amax(1))

    norm = run.blocks[2].post_attention_layernorm.weight.detach()
    (readers,) = own_draws([found.encoder(2, torch.tensor([9]))[0] * norm])
    sources = torch.cat([found.decoder(m, every, m) for m in (0, 1)])
    _, control = weights.upstream(2, 9)
    assert control is not None
    assert agrees(control, (readers @ sources.T).abs().amax(1))

    unit = torch.cat([found.decoder(m, every, m) for m in range(LAYERS)])
    unit = unit / unit.norm(dim=1, keepdim=True)
    _, control = weights.similar(0, 6)
    assert control is not None
    assert agrees(control, (drawn / drawn.norm(dim=1, keepdim=True) @ unit.T).amax(1))


def test_the_control_of_a_cross_layer_feature_has_one_random_direction_for_each_layer() -> None:
    found, run = dictionary("cross-layer transcoder", writes="hook_mlp_out"), linear("gpt2")
    uneven = found.layer(0).decoder.whole()[2] * torch.tensor([0.1, 3.0, 1.0])[:, None]
    found = changed(found, 0, decoder={2: uneven})
    rows = [found.decoder(0, torch.tensor([2]), at)[0] for at in range(LAYERS)]
    put = {(at, "mlp_out"): drawn for at, drawn in enumerate(own_draws(rows))}
    changes, logits = run.change(put)
    weights, every = Weights(exact("gpt2"), found), torch.arange(FEATURES)
    shown = weights.logits(0, 2)
    assert shown is not None
    assert agrees(shown.control, (logits - logits.mean(1, keepdim=True)).amax(1))
    read = [changes[at, "mlp_in"] @ found.encoder(at, every).T for at in (1, 2)]
    _, control = weights.downstream(0, 2)
    assert control is not None
    assert agrees(control, torch.cat(read, 1).abs().amax(1))


def test_a_control_of_signed_weights_is_a_size() -> None:
    """With one reader half of the random weights are negative; their sizes have the mean
    |a| |b| E|cosine|, about sqrt(2 / (pi d))."""
    a, b = torch.randn(2, WIDTH, generator=torch.Generator().manual_seed(5))
    named = {"a": (Place(0, "resid_post"), a), "b": (Place(1, "resid_post"), b)}
    _, control = Weights(exact("gpt2"), named).downstream(0, 0)
    assert control is not None
    assert control.low > 0
    expected = float(a.norm() * b.norm()) * (2 / np.pi / WIDTH) ** 0.5
    assert control.value == pytest.approx(expected, rel=0.7)


def test_shares_are_the_ten_strongest_readings_above_chance_divided_by_their_sum() -> None:
    """Every reader as a direction of length 1, by explicit loops; chance from other draws."""
    found, run = dictionary("cross-layer transcoder", writes="hook_mlp_out"), linear("gpt2")
    blocks, lines = run.blocks, {}
    centre = torch.eye(WIDTH, dtype=F64) - 1 / WIDTH
    for at in (1, 2):
        norm = torch.diag(blocks[at].ln_2.weight.detach())
        lines[f"L{at}"] = [centre @ norm @ row for row in found.layer(at).encoder.whole()]
    unembedding = run.hf.lm_head.weight.detach()
    final = torch.diag(run.final.weight.detach())
    lines["output"] = [centre @ final @ (row - unembedding.mean(0)) for row in unembedding]

    def strengths(rows: list[Tensor]) -> dict[str, float]:
        out, length = {}, sum(float(row @ row) for row in rows)
        for to, readers in lines.items():
            front = int(to[1:]) if to != "output" else LAYERS
            seen = torch.stack(rows[:front]).sum(0)
            squares = sorted(float(line @ seen / line.norm()) ** 2 for line in readers)
            out[to] = sum(squares[-10:]) / 10 / length
        return out

    weights = Weights(exact("gpt2"), found)
    shown = {i: shares for i in range(FEATURES) if (shares := weights.effect(0, i))}
    assert shown  # some random decoder is above the range of chance
    for feature, shares in shown.items():
        rows = [found.decoder(0, torch.tensor([feature]), at)[0] for at in range(LAYERS)]
        drawn = [strengths(list(each)) for each in zip(*own_draws(rows, 60), strict=True)]
        assert {each.to: each.strength for each in shares} == pytest.approx(strengths(rows))
        above = {s.to: s.strength - s.control for s in shares if s.share > 0}
        for each in shares:
            assert each.share == pytest.approx(above.get(each.to, 0) / sum(above.values()))
            chance = np.array([draw[each.to] for draw in drawn])
            error = float(chance.std()) * (1 / 20 + 1 / len(chance)) ** 0.5
            assert abs(each.control - float(chance.mean())) < 4 * error


@pytest.mark.parametrize("kind", KINDS)
def test_few_random_features_seem_to_go_anywhere(kind: str) -> None:
    """2.5% of random decoders seem to go somewhere, wherever that is: not 2.5% for each place, and
    not whatever share a few draws happen to leave above them."""
    random = torch.Generator().manual_seed(3)
    n = 500

    def layer(at: int) -> Layer:
        targets = () if kind == "transcoder" else (LAYERS - at,)

        def rows(*shape: int) -> Rows:
            return Rows.hold(torch.randn(*shape, generator=random, dtype=F64), f"layer {at}")

        zero, source = torch.zeros, f"layer {at}"
        return Layer(
            source, rows(n, WIDTH), rows(n, *targets, WIDTH),
            zero(n, dtype=F64), zero(WIDTH, dtype=F64), ReLU(),
        )  # fmt: skip

    found = replace(dictionary(kind), layers=tuple(layer(at) for at in range(LAYERS)))
    weights = Weights(exact("llama grouped"), found)
    for at in range(LAYERS):
        assert sum(bool(weights.effect(at, feature)) for feature in range(n)) / n < 0.05, at


def changed(found: Any, layer: int, **rows: dict[int, Tensor]) -> Any:
    """A dictionary with other rows in the encoder or decoder of a layer."""
    held, new = found.layer(layer), {}
    for name, by_feature in rows.items():
        table = getattr(held, name).whole().clone()
        for feature, row in by_feature.items():
            table[feature] = row
        new[name] = Rows.hold(table, name)
    layers = list(found.layers)
    layers[layer] = replace(held, **new)
    return replace(found, layers=tuple(layers))


def test_a_feature_made_for_later_features_goes_there_and_one_made_for_tokens_to_the_output() -> (
    None
):
    found = tiny_models.dictionary(dtype=F64, writes="hook_mlp_out", reads="hook_resid_mid")
    vector = torch.randn(WIDTH, generator=torch.Generator().manual_seed(8)).to(F64)
    found = changed(found, 0, decoder={0: vector})
    for_features = changed(found, 2, encoder=dict.fromkeys(range(10), vector))
    shares = {s.to: s.share for s in Weights(exact("llama grouped"), for_features).effect(0, 0)}
    assert shares["L2"] > 0.8
    shares = {s.to: s.share for s in Weights(made_for(vector), found).effect(0, 0)}
    assert shares["output"] > 0.8


def made_for(vector: Tensor) -> Model:
    """A model in which ten tokens read a vector."""
    hf = tiny_models.hugging_face("llama grouped", F64)
    with torch.no_grad():
        hf.lm_head.weight[:10] = vector / hf.model.norm.weight
    return Model(hf, tiny_models.tokenizer(), name="planted")


def test_behind_the_last_reader_all_goes_to_the_output() -> None:
    vector = torch.randn(WIDTH, generator=torch.Generator().manual_seed(8)).to(F64)
    found = tiny_models.dictionary(dtype=F64, writes="hook_mlp_out")
    weights = Weights(made_for(vector), changed(found, 2, decoder={0: vector}))
    assert [(s.to, s.share) for s in weights.effect(2, 0)] == [("output", 1.0)]
    assert weights.downstream(2, 0) == ([], None)
    assert weights.why_none("effect", 2) is None
    assert weights.why_none("downstream", 2) == "No feature of tests/tiny reads behind L2 mlp_out."
    assert weights.why_none("upstream", 0) == (
        "No feature of tests/tiny writes in front of L0 mlp_in."
    )


def test_a_random_decoder_does_not_stand_out_from_chance() -> None:
    weights = Weights(exact("gpt2"), dictionary("transcoder"))
    found = [weights.effect(layer, i) for layer in range(LAYERS) for i in range(FEATURES)]
    # 2.5% of chance lies above its own range, in up to three places for each of 72 units.
    assert sum(bool(shares) for shares in found) < 12


def test_a_unit_that_writes_nothing_has_no_effect_and_no_likeness() -> None:
    found = changed(tiny_models.dictionary(), 0, decoder={3: torch.zeros(WIDTH)})
    weights = Weights(tiny_models.model("llama grouped"), found)
    assert weights.effect(0, 3) == []
    assert {each.value for each in weights.similar(0, 3)[0]} == {0.0}
    assert set(tokens(weights.logits(0, 3)).values()) == {0.0}
    (dead,) = [each for each in weights.promotes(7, ALL) if each[:2] == (0, 3)]
    assert (dead.value, dead.z) == (0.0, 0.0)


def sae(place: Place, width: int = WIDTH) -> SparseCoder:
    random = torch.Generator().manual_seed(4)
    rows = [torch.randn(6, width, generator=random).to(F64) for _ in range(2)]
    zeros = torch.zeros(6, dtype=F64), torch.zeros(width, dtype=F64)
    layer = Layer("sae", Rows.hold(rows[0], "e"), Rows.hold(rows[1], "d"), *zeros, ReLU())
    return SparseCoder(layer, place, place, "an SAE")


def test_an_sae_writes_tokens_and_has_no_other_layers_to_be_linked_with() -> None:
    found = sae(Place(1, "resid_post"))
    weights = Weights(exact("gpt2"), found)
    row = found.weights.decoder.whole()[2:3]
    _, logits = linear("gpt2").change({(1, "resid_post"): row})
    assert tokens(weights.logits(1, 2, VOCAB)) == pytest.approx(above_mean(logits))
    assert len(weights.similar(1, 2)[0]) == 5
    assert weights.upstream(1, 2) == weights.downstream(1, 2) == ([], None)
    assert weights.effect(1, 2) == []
    where = "L1 resid_post"
    assert weights.why_none("upstream", 1) == f"No feature of an SAE writes in front of {where}."
    assert weights.why_none("downstream", 1) == f"No feature of an SAE reads behind {where}."
    with pytest.raises(FeatureError, match="no features of layer 0; layers: 1"):
        weights.logits(0, 2)


def test_what_is_not_added_to_the_stream_has_no_tokens_but_neighbours() -> None:
    found = sae(Place(1, "mlp_in"))
    weights = Weights(exact("llama grouped"), found)
    assert weights.logits(1, 0) is None
    assert weights.promotes(5) == []
    assert "What stands at L1 mlp_in is not added straight" in str(weights.why_none("logits", 1))
    rows = found.weights.decoder.whole()
    cosines = torch.cosine_similarity(rows[:1], rows, dim=1)
    want = {(1, i): float(cosines[i]) for i in range(1, 6)}
    assert by_unit(weights.similar(1, 0)[0]) == pytest.approx(want)


@pytest.mark.parametrize("dtype", ["int8", "float16", None])
def test_mapped_dictionaries_stay_mapped_and_say_the_same(tmp_path: Path, dtype: Any) -> None:
    save(tiny_models.dictionary("cross-layer transcoder"), tmp_path / "d", dtype=dtype)
    lazy, held = load(tmp_path / "d", lazy=True), load(tmp_path / "d", lazy=False)
    model = tiny_models.model("gemma2")
    a, b = Weights(model, lazy), Weights(model, held)
    assert a.units.dictionary.layer(0).decoder.mapped  # type: ignore[union-attr]
    close = dict(rel=1e-4, abs=1e-5)
    for unit in [(0, 4), (1, 9), (2, 20)]:
        assert tokens(a.logits(*unit, ALL)) == pytest.approx(tokens(b.logits(*unit, ALL)), **close)
        for part in ("similar", "upstream", "downstream"):
            found = by_unit(getattr(a, part)(*unit, ALL)[0])
            assert found == pytest.approx(by_unit(getattr(b, part)(*unit, ALL)[0]), **close)
        shares = [each.share for each in a.effect(*unit)]
        assert shares == pytest.approx([each.share for each in b.effect(*unit)], **close)
    assert [each[:2] for each in a.promotes(9, 5)] == [each[:2] for each in b.promotes(9, 5)]


def test_a_broken_row_of_a_mapped_dictionary_is_named() -> None:
    found = tiny_models.dictionary()
    broken = found.layer(1).decoder.whole().clone()
    broken[13, 2] = float("nan")
    rows = Rows.map(broken, "layer_1: W_dec")
    layers = (found.layer(0), replace(found.layer(1), decoder=rows), found.layer(2))
    weights = Weights(tiny_models.model("gpt2"), replace(found, layers=layers))
    with pytest.raises(DictionaryError, match="layer_1: W_dec holds NaN.* feature 13"):
        weights.upstream(2, 0)


def test_half_precision_models_are_computed_in_float32() -> None:
    found = tiny_models.dictionary()
    half = Weights(tiny_models.model("gemma2", torch.bfloat16), found)
    full = Weights(tiny_models.model("gemma2"), found)
    got, want = tokens(half.logits(0, 1, ALL)), tokens(full.logits(0, 1, ALL))
    assert got == pytest.approx(want, abs=0.03 * max(want.values()))


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda w: w.logits(5, 0), "no features of layer 5; layers: 0, 1, 2"),
        (lambda w: w.similar(0, FEATURES), "has features 0 to 23: there is no 24"),
        (lambda w: w.upstream(1, -1), "there is no -1"),
        (lambda w: w.downstream(0, 0, 0), "at least 1 entry, not 0"),
        (lambda w: w.effect(3, 0), "no features of layer 3"),
        (lambda w: w.promotes(VOCAB), "Token 40 is outside the vocabulary"),
        (lambda w: w.promotes(3, 0), "at least 1 entry"),
    ],
)
def test_what_is_not_there_is_said_in_a_sentence(ask: Any, message: str) -> None:
    with pytest.raises(FeatureError, match=message):
        ask(Weights(exact("gpt2"), dictionary("transcoder")))


def test_a_dictionary_of_another_model_is_refused() -> None:
    with pytest.raises(DictionaryError, match="width"):
        Weights(exact("gpt2"), tiny_models.dictionary(width=16))


def test_the_units_of_an_index_and_their_dictionary_say_the_same() -> None:
    model, found = exact("gpt2"), dictionary("transcoder")
    units = units_of(model, found)
    assert Weights(model, units).downstream(0, 2) == Weights(model, found).downstream(0, 2)


def test_threads_get_what_one_gets() -> None:
    model, found = tiny_models.model("gemma2"), tiny_models.dictionary("cross-layer transcoder")

    def all_of(weights: Weights, layer: int) -> list[Any]:
        unit = (layer, 3)
        lists = [weights.logits(*unit), weights.similar(*unit), weights.upstream(*unit)]
        return [*lists, weights.downstream(*unit), weights.effect(*unit), weights.promotes(7)]

    together: dict[int, Any] = {}

    def work(number: int) -> None:
        together[number] = all_of(Weights(model, found), number % LAYERS)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    fresh = Weights(tiny_models.model("gemma2"), tiny_models.dictionary("cross-layer transcoder"))
    alone = [all_of(fresh, layer) for layer in range(LAYERS)]
    assert all(together[i] == alone[i % LAYERS] for i in range(12))


def test_what_is_kept_goes_with_the_dictionary_and_with_the_model() -> None:
    model, found = tiny_models.model("gpt2"), tiny_models.dictionary()
    weights = Weights(model, found)
    assert Weights(model, found).units is weights.units  # converted once
    weights.effect(0, 1), weights.promotes(5), weights.similar(1, 1), weights.upstream(2, 1)
    held = weakref.ref(weights.units)
    gone = weakref.ref(found)
    del weights, found
    gc.collect()
    assert gone() is None
    assert held() is None
    neurons, alive = Weights(model, "neurons"), weakref.ref(model)
    neurons.similar(0, 1)
    del neurons, model
    gc.collect()
    assert alive() is None
