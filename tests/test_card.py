"""Everything of one unit as JSON: counted again by plain loops, finite, and whatever is missing."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models
import torch

from interp_widgets.dictionaries import Rows
from interp_widgets.dictionaries.labels import Label
from interp_widgets.features import FeatureError, Index, StoredIndex, index
from interp_widgets.features.card import card, chance_together
from interp_widgets.features.labelling.book import LabelBook
from interp_widgets.features.neuronpedia import from_neuronpedia
from interp_widgets.features.units import units_of
from interp_widgets.jobs import Cancelled
from interp_widgets.models.interventions import residual

RNG = np.random.default_rng(3)
TEXTS = [" ".join(f"w{i}" for i in RNG.integers(5, 40, size=n)) for n in (30, 12, 7, 25, 18, 40)]
LONG = [" ".join(f"w{i}" for i in RNG.integers(5, 40, size=40)) for _ in range(30)]

# The fields of the contract between Python and the views.
FIELDS = [
    "unit",
    "name",
    "layer",
    "feature",
    "scan",
    "model",
    "tokens",
    "documents",
    "complete",
    "indexed",
    "label",
    "density",
    "activations",
    "examples",
    "negative",
    "groups",
    "logits",
    "similar",
    "upstream",
    "downstream",
    "virtual_control",
    "effect",
    "notes",
]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Index:
    folder = tmp_path_factory.mktemp("cards")
    model, dictionary = tiny_models.model("llama grouped"), tiny_models.dictionary("transcoder")
    made = index(model, dictionary, TEXTS, folder=folder / "index", context=9).wait()
    made.__dict__["book"] = LabelBook("tests/tiny", path=folder / "labels.json")
    return made


@pytest.fixture(scope="module")
def neurons(tmp_path_factory: pytest.TempPathFactory) -> Index:
    folder = tmp_path_factory.mktemp("neuron-cards")
    model = tiny_models.model("gpt2")
    return index(model, "neurons", LONG, folder=folder / "index", context=9).wait()


def numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [n for inner in value.values() for n in numbers(inner)]
    if isinstance(value, list):
        return [n for inner in value for n in numbers(inner)]
    return [value] if isinstance(value, int | float) else []


@pytest.mark.parametrize("weights", [True, False])
def test_a_card_is_plain_json_with_all_fields_and_finite_numbers(
    found: Index, neurons: Index, weights: bool
) -> None:
    for each, layer, feature in ((found, 1, 5), (found, 2, 0), (neurons, 0, 7)):
        made = card(each, layer, feature, here=0.5, weights=weights)
        assert set(FIELDS) <= set(made)
        assert json.loads(json.dumps(made, allow_nan=False)) == made
        assert all(math.isfinite(n) for n in numbers(made))


def test_the_corpus_half_says_what_the_index_says(found: Index) -> None:
    stored = found.stored
    made = card(found, 1, 5, weights=False)
    assert (made["unit"], made["name"]) == ("feature", "L1/5")
    assert (made["scan"], made["model"]) == ("tests/tiny", "tiny llama grouped")
    assert (made["tokens"], made["documents"]) == (sum(len(t.split()) for t in TEXTS), 6)
    assert made["complete"]
    assert made["indexed"]
    rows = stored.examples(1, 5, 20)
    assert [e["position"] for e in made["examples"]] == [e.position for e in rows]
    first, there = made["examples"][0], rows[0]
    assert tuple(first["tokens"]) == there.tokens
    assert tuple(first["activations"]) == there.activations
    assert (first["trigger"], first["document"]) == (there.trigger, there.document)
    assert made["negative"] == []
    assert [g["name"] for g in made["groups"]] == [g.name for g in stored.groups(1, 5)]
    assert made["activations"]["max"] == max(stored.entries(1, 5).value)
    assert sum(made["activations"]["counts"]) == len(stored.entries(1, 5))


def test_the_density_stands_among_those_of_its_layer(found: Index) -> None:
    stored = found.stored
    made = card(found, 0, 4, weights=False)["density"]
    share = [len(stored.entries(0, i)) / stored.n_tokens for i in range(tiny_models.FEATURES)]
    assert made["value"] == share[4]
    assert made["count"] == len(stored.entries(0, 4))
    assert made["silent"] == share.count(0.0)
    edges, bars = made["edges"], made["counts"]
    assert edges[-1] == 0
    assert edges[0] <= math.log10(1 / stored.n_tokens)
    assert np.diff(edges) == pytest.approx(0.25)
    for low, high, bar in zip(edges[:-1], edges[1:], bars, strict=True):
        inside = [s for s in share if s and low <= math.log10(s) < high]
        if high == 0:
            inside += [s for s in share if s == 1]
        assert bar == len(inside)


def test_the_percentile_counts_active_tokens_of_the_same_sign(found: Index, neurons: Index) -> None:
    values = sorted(found.stored.entries(1, 5).value.tolist())

    def percentile(here: Any, of: Index = found, layer: int = 1, number: int = 5) -> Any:
        return card(of, layer, number, here=here, weights=False)["activations"]["percentile"]

    assert percentile(None) is None
    assert percentile(0.0) == 0
    assert percentile(values[-1]) == 100
    # An activation comes in float32 and is stored in float16, which may be a little less.
    assert percentile(np.nextafter(np.float32(values[-1]), np.float32(-9))) == 100
    middle = values[len(values) // 3]
    assert percentile(middle) == pytest.approx(100 * sum(v <= middle for v in values) / len(values))
    for odd in (math.nan, math.inf):
        made = card(found, 1, 5, here=odd, weights=False)["activations"]
        assert (made["here"], made["percentile"]) == (None, None)
    layer, number = two_sided(neurons.stored)
    both = neurons.stored.entries(layer, number).value.tolist()
    below = [v for v in both if v < 0]
    strength = sorted(below)[len(below) // 2]
    assert percentile(strength, neurons, layer, number) == pytest.approx(
        100 * sum(v >= strength for v in below) / len(below)
    )


def two_sided(stored: StoredIndex) -> tuple[int, int]:
    for layer in stored.layers:
        for number in range(stored.n_features(layer)):
            signs = np.sign(stored.entries(layer, number).value)
            if min((signs > 0).sum(), (signs < 0).sum()) > 1:
                return layer, number
    raise AssertionError("no unit has two sides")


def test_units_with_two_sides_show_both(neurons: Index) -> None:
    layer, number = two_sided(neurons.stored)
    made = card(neurons, layer, number, weights=False)
    lowest = [e["activations"][e["trigger"]] for e in made["negative"]]
    highest = [e["activations"][e["trigger"]] for e in made["examples"]]
    assert lowest == sorted(lowest)
    assert max(lowest) < 0 < min(highest)
    assert made["unit"] == "neuron"
    assert any("largest 1%" in note for note in made["notes"])


def test_the_weights_half_says_what_the_weights_say(found: Index) -> None:
    made, held = card(found, 1, 5), found.weights
    logits = held.logits(1, 5, 10)
    assert logits is not None
    assert made["logits"]["positive"] == [
        {"token": w.token, "value": w.value} for w in logits.positive
    ]
    assert made["logits"]["control"]["value"] == logits.control.value
    similar, control = held.similar(1, 5, 10)
    assert control is not None
    assert [(r["layer"], r["feature"], r["value"]) for r in made["similar"]["decoder"]] == [
        (n.layer, n.feature, n.value) for n in similar
    ]
    assert made["similar"]["control"]["draws"] == control.draws
    upstream, up = held.upstream(1, 5, 10)
    downstream, down = held.downstream(1, 5, 10)
    assert up is not None
    assert down is not None
    assert [r["value"] for r in made["upstream"]] == [n.value for n in upstream]
    assert [r["value"] for r in made["downstream"]] == [n.value for n in downstream]
    assert made["upstream_control"]["value"] == up.value
    assert made["downstream_control"]["value"] == down.value
    assert made["virtual_control"]["value"] == max(up.value, down.value)
    nowhere = "Nowhere does what it writes stand out from chance"
    assert made["effect"] is None  # a random decoder goes nowhere
    assert any(nowhere in note for note in made["notes"])
    assert any("Virtual weights are the direct path" in note for note in made["notes"])


def test_where_an_effect_goes_stands_beside_chance(found: Index) -> None:
    """A feature that writes what the unembedding reads for one token."""
    hf, dictionary = found.model.hf, tiny_models.dictionary("transcoder")
    unembedding, layer = hf.lm_head.weight.detach(), dictionary.layer(1)
    table = layer.decoder.whole().clone()
    table[5] = (unembedding[7] - unembedding.mean(0)) * hf.model.norm.weight.detach()
    changed = replace(layer, decoder=Rows.hold(table, "changed"))
    layers = (dictionary.layer(0), changed, dictionary.layer(2))
    edited = replace(dictionary, layers=layers)
    made = card(Index(found.model, edited, units_of(found.model, edited)), 1, 5)
    rows = {row["to"]: row for row in made["effect"]}
    assert list(rows) == ["L2", "output"]
    assert (rows["L2"]["share"], rows["output"]["share"]) == (0, 1)
    assert rows["output"]["strength"] > 1 / 10 > rows["output"]["control"] > 0
    assert not any("Nowhere does what it writes" in note for note in made["notes"])


def test_without_weights_nothing_is_asked_of_them(tmp_path: Path) -> None:
    model, dictionary = tiny_models.model("llama grouped"), tiny_models.dictionary("transcoder")
    made = index(model, dictionary, TEXTS, folder=tmp_path, context=9).wait()
    shown = card(made, 1, 5, weights=False)
    assert "weights" not in made.__dict__
    empty = ("logits", "similar", "upstream", "downstream", "virtual_control", "effect")
    assert [shown[name] for name in empty] == [None] * 6


def test_what_has_no_straight_path_is_null_and_says_why(tmp_path: Path) -> None:
    # A gated neuron multiplies two readings, so it has no one encoder.
    model = tiny_models.model("llama grouped")
    made = index(model, "neurons", TEXTS, folder=tmp_path, context=9).wait()
    shown = card(made, 1, 5)
    assert (shown["upstream"], shown["downstream"]) == (None, None)
    assert shown["logits"] is not None
    assert any("gated neuron" in note.lower() for note in shown["notes"])


# --- co-activation -------------------------------------------------------------------------------


def jaccard(one: set[int], other: set[int]) -> float:
    return len(one & other) / len(one | other) if one | other else 0.0


def test_units_that_fire_together_stand_beside_chance(found: Index) -> None:
    stored = found.stored
    made = card(found, 1, 5)["similar"]
    mine, *others = (
        set(stored.entries(1, i).position.tolist()) for i in (5, *range(tiny_models.FEATURES))
    )
    expected = sorted((jaccard(mine, o) for i, o in enumerate(others) if i != 5), reverse=True)
    assert [row["value"] for row in made["together"]] == pytest.approx(expected[:10])
    row = made["together"][0]
    assert row["count"] == len(mine & others[row["feature"]])
    # Chance: the same unit moved along the corpus, and the best of all that it then meets.
    rng = np.random.default_rng((1, 5))
    drawn = []
    for _ in range(20):
        shift = int(rng.uniform(0.1, 0.9) * stored.n_positions)
        moved = {(p + shift) % stored.n_positions for p in mine}
        drawn.append(max(jaccard(moved, o) for i, o in enumerate(others) if i != 5))
    control = made["together_control"]
    assert control["value"] == pytest.approx(np.mean(drawn))
    assert (control["low"], control["high"]) == pytest.approx(np.percentile(drawn, (2.5, 97.5)))
    assert control["draws"] == 20


def test_a_unit_with_a_twin_is_far_above_chance(tmp_path: Path) -> None:
    model, dictionary = tiny_models.model("llama grouped"), tiny_models.dictionary("transcoder")
    for layer in dictionary.layers:
        layer.encoder.tensor[7] = 2 * layer.encoder.tensor[6]
        layer.encoder_bias[7] = 2 * layer.encoder_bias[6]
    made = index(model, dictionary, LONG, folder=tmp_path, context=9).wait()
    best = made.stored.together(0, 6, 1)[0]
    assert (best.feature, best.jaccard) == (7, 1)
    assert chance_together(made.stored, 0, 6).high < 0.9


# --- what is not there ---------------------------------------------------------------------------


def test_without_an_indexed_text_the_weights_and_the_label_are_there(tmp_path: Path) -> None:
    model, dictionary = tiny_models.model("llama grouped"), tiny_models.dictionary("transcoder")
    bare = Index(model, dictionary, units_of(model, dictionary))
    bare.__dict__["book"] = LabelBook("tests/tiny", path=tmp_path / "labels.json")
    bare.book.put(1, 5, "mine")
    made = card(bare, 1, 5, here=0.5)
    assert not made["indexed"]
    assert made["examples"] == made["groups"] == made["negative"] == []
    assert made["density"] is None
    assert made["logits"]["positive"]
    assert made["similar"]["decoder"]
    assert made["similar"]["together"] == []
    assert made["similar"]["together_control"] is None
    assert made["label"]["text"] == "mine"
    assert made["activations"]["here"] == 0.5
    assert "iw.index(model, dictionary, text)" in made["notes"][0]
    json.dumps(made, allow_nan=False)


def test_without_a_model_the_corpus_is_there(found: Index) -> None:
    bare = Index(None, found.dictionary, found.units, found.stored)  # type: ignore[arg-type]
    made = card(bare, 1, 5)
    assert made["model"] == "tiny llama grouped"  # the index knows
    assert made["examples"]
    assert made["logits"] is None
    assert "no model" in made["notes"][-1]


def test_a_unit_that_was_never_active_says_so(tmp_path: Path) -> None:
    model, dictionary = tiny_models.model("llama grouped"), tiny_models.dictionary("transcoder")
    dictionary.layers[1].encoder_bias[5] = -100
    made = index(model, dictionary, TEXTS, folder=tmp_path, context=9).wait()
    shown = card(made, 1, 5, here=0.1)
    assert (shown["density"]["value"], shown["density"]["count"]) == (0, 0)
    assert shown["density"]["silent"] >= 1
    assert shown["activations"]["max"] == 0
    assert shown["activations"]["percentile"] is None
    assert shown["similar"]["together"] == []
    assert "It was active on none of the 132 tokens." in shown["notes"]
    json.dumps(shown, allow_nan=False)


def test_a_corpus_that_was_not_read_to_its_end_says_so(tmp_path: Path) -> None:
    model, dictionary = tiny_models.model("llama grouped"), tiny_models.dictionary("transcoder")
    how: dict[str, Any] = {"folder": tmp_path, "context": 9, "shard_tokens": 30, "tokens": 60}
    made = index(model, dictionary, TEXTS, **how).wait()
    shown = card(made, 1, 5, weights=False)
    assert not shown["complete"]
    assert any(f"to its end: {shown['tokens']:,} tokens" in note for note in shown["notes"])
    assert 60 <= shown["tokens"] < 132


def test_while_the_corpus_is_read_the_card_waits_for_nothing(tmp_path: Path) -> None:
    model, dictionary = tiny_models.model("llama grouped"), tiny_models.dictionary("transcoder")
    with model.lock:  # the pass cannot go on
        made = index(model, dictionary, TEXTS, folder=tmp_path, context=9)
        shown = card(made, 1, 5, weights=False)
        made.cancel()
    assert not shown["indexed"]
    assert shown["notes"] == ["The corpus is being read: examples come when that is done."]
    with pytest.raises((Cancelled, FeatureError)):
        made.wait(60)


def test_numbers_of_numpy_name_units_as_well(found: Index) -> None:
    made = card(found, np.int64(1), np.int32(5), weights=False)  # type: ignore[arg-type]
    assert json.dumps(made) == json.dumps(card(found, 1, 5, weights=False))


def test_there_is_no_card_of_a_unit_that_there_is_not(found: Index) -> None:
    with pytest.raises(FeatureError, match="there is no 24"):
        card(found, 1, 24)
    with pytest.raises(FeatureError, match="no features of layer 7"):
        card(found, 7, 0)


# --- labels --------------------------------------------------------------------------------------


def test_a_label_comes_with_its_provenance(found: Index) -> None:
    assert card(found, 0, 1, weights=False)["label"] is None
    found.book.put(0, 1, Label("months", 0.9, 0.5, 80, "by rules", "proposed", 0.8, 1.0))
    made = card(found, 0, 1, weights=False)["label"]
    assert {k: v for k, v in made.items() if k != "date"} == {
        "text": "months",
        "kind": "proposed",
        "source": "by rules",
        "score": 0.9,
        "low": 0.8,
        "high": 1.0,
        "control": 0.5,
        "samples": 80,
    }
    assert len(made["date"]) == 10
    # Neighbours are called by their labels.
    rows = card(found, 0, 2)["similar"]["decoder"] + card(found, 0, 2)["similar"]["together"]
    named = {(r["layer"], r["feature"]): r["label"] for r in rows}
    for (layer, feature), label in named.items():
        own = found.book.get(layer, feature)
        assert label == (own.text if own else None)


def test_a_direction_goes_by_its_name(tmp_path: Path) -> None:
    model = tiny_models.model("llama grouped")
    vector = torch.randn(tiny_models.WIDTH, generator=torch.Generator().manual_seed(0)).tolist()
    made = index(model, {"truth": (residual(1), vector)}, LONG, folder=tmp_path, context=9).wait()
    shown = card(made, 1, 0)
    assert shown["unit"] == "direction"
    assert shown["label"]["text"] == "truth"
    assert shown["examples"]
    assert shown["negative"]
    read = from_neuronpedia(made[1, 0].to_neuronpedia())
    assert read.unit == "direction"
    assert read.label is not None
    assert read.label.text == "truth"
    json.dumps(shown, allow_nan=False)


def test_the_cards_of_a_feature_are_these(found: Index) -> None:
    assert found[1, 5].card(here=0.5) == card(found, 1, 5, here=0.5)
