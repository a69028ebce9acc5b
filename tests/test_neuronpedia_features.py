"""Feature files of circuit-tracer and Neuronpedia: read, written, imported, and refused."""

from __future__ import annotations

import copy
import gzip
import json
import math
import os
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from interp_widgets.attribution.formats.naming import uncantor
from interp_widgets.dictionaries.labels import Label
from interp_widgets.features import FeatureError, Index, index
from interp_widgets.features.labelling.book import LabelBook
from interp_widgets.features.neuronpedia import (
    ForeignFeature,
    from_neuronpedia,
    import_labels,
    read_neuronpedia,
    to_neuronpedia,
    write_neuronpedia,
)
from interp_widgets.features.neuronpedia import fields as fields
from interp_widgets.jobs import Cancelled
from interp_widgets.models import Model

RNG = np.random.default_rng(11)
TEXTS = [" ".join(f"w{i}" for i in RNG.integers(5, 40, size=n)) for n in (30, 12, 7, 25, 18, 40)]
HOSTILE = "</script><img src=x onerror=alert(1)>\u202e\x00"

# As circuit-tracer's model of a feature has it (frontend/feature_models.py).
CIRCUIT_TRACER: dict[str, Any] = {
    "transcoder_id": "some-transcoder",
    "index": 781859,
    "examples_quantiles": [
        {
            "quantile_name": "Top Activations",
            "examples": [
                {
                    "tokens_acts_list": [0.0, 0.5, 0.8, 0.3, 0.0],
                    "train_token_ind": 2,
                    "is_repeated_datapoint": False,
                    "tokens": ["The", " quick", " brown", " fox", " jumps"],
                },
                {
                    "tokens_acts_list": [2.5, 0.0],
                    "train_token_ind": 0,
                    "is_repeated_datapoint": True,
                    "tokens": ["A", " sample"],
                },
            ],
        },
        {
            "quantile_name": "Quantile 0.5",
            "examples": [
                {
                    "tokens_acts_list": [0.0, 0.25, 0.4],
                    "train_token_ind": 1,
                    "is_repeated_datapoint": False,
                    "tokens": ["Another", " example", " of"],
                }
            ],
        },
    ],
    "top_logits": [" fox", " hound"],
    "bottom_logits": [" the"],
    "act_min": 0.0,
    "act_max": 2.5,
    "quantile_values": [0.1, 2.5],
    "histogram": [3, 1, 0, 1, 5],
    "activation_frequency": 0.0125,
}

# As Neuronpedia's interface answers (lib/db/neuron.ts and the database's columns).
NATIVE: dict[str, Any] = {
    "modelId": "gpt2-small",
    "layer": "7-res-jb",
    "index": "14057",
    "sourceSetName": "res-jb",
    "maxActApprox": 9.5,
    "frac_nonzero": 0.0037,
    "pos_str": [" York", " Jersey"],
    "pos_values": [1.25, 0.5],
    "neg_str": ["ing"],
    "neg_values": [-0.75],
    "freq_hist_data_bar_values": [0.5, 1.5, 2.5],
    "freq_hist_data_bar_heights": [10, 4, 1],
    "logits_hist_data_bar_values": [0.0],
    "logits_hist_data_bar_heights": [7],
    "source": {"dataset": "some/corpus", "num_prompts": 1000, "num_tokens_in_prompt": 128},
    "activations": [
        {
            "tokens": ["in", " New", " York"],
            "values": [0, 4.5, 9.5],
            "maxValue": 9.5,
            "maxValueTokenIndex": 2,
            "minValue": 0,
            "binMin": -1,
            "binMax": 9.5,
            "binContains": -1,
            "qualifyingTokenIndex": None,
            "dfaValues": [],
            "dataSource": None,
        },
        {
            "tokens": ["a", " new", " new", " day"],
            "values": [0, 1.5, 2.0, 0],
            "maxValue": 2.0,
            "maxValueTokenIndex": 2,
            "minValue": 0,
            "binMin": 1.0,
            "binMax": 2.5,
            "binContains": 0.001,
            "qualifyingTokenIndex": 1,
        },
        {
            "tokens": ["old", " days"],
            "values": [-3.0, 0.5],
            "maxValue": 0.5,
            "maxValueTokenIndex": 1,
            "minValue": -3.0,
            "dataSource": "bottom",
        },
    ],
    "explanations": [
        {
            "description": "names of   American\ncities",
            "explanationModelName": "gpt-4o-mini",
            "typeName": "oai_token-act-pair",
            "scores": [
                {
                    "value": 0.83,
                    "explanationScoreTypeName": "eleuther_recall",
                    "explanationScoreModelName": "gpt-4o",
                }
            ],
            "triggeredByUser": {"id": "c1", "name": "ada"},
        },
        {"description": "places", "explanationModelName": None, "typeName": None, "scores": []},
    ],
}

# As SAEDashboard writes batch-0.json (neuronpedia/neuronpedia_dashboard.py).
BATCH: dict[str, Any] = {
    "model_id": "gemma-2b",
    "layer": 12,
    "sae_set": "res-jb",
    "sae_id_suffix": None,
    "features": [
        {
            "feature_index": number,
            "neg_str": ["x"],
            "neg_values": [-0.1],
            "pos_str": ["y"],
            "pos_values": [0.2],
            "frac_nonzero": 0.5,
            "freq_hist_data_bar_values": [],
            "freq_hist_data_bar_heights": [],
            "n_prompts_total": 10,
            "n_tokens_in_prompt": 8,
            "dataset": "a/corpus",
            "activations": [
                {
                    "bin_min": 0.0,
                    "bin_max": 0.7,
                    "bin_contains": 0.2,
                    "tokens": ["one", " two"],
                    "values": [0.25, 0.5],
                    "qualifying_token_index": -1,
                }
            ],
        }
        for number in (3, 9)
    ],
}

# What Neuronpedia's upload takes (api/feature/upload-batch/route.tsx).
UPLOAD: dict[str, Any] = {
    "modelId": "some-model",
    "source": "4-mine",
    "features": [
        {
            "index": 6,
            "density": 0.25,
            "topLogits": [{"token": " up", "value": 1.5}],
            "bottomLogits": [{"token": " down", "value": -1.5}],
            "explanations": [{"text": "directions", "methodName": "m", "modelName": "n"}],
            "activations": [
                {"tokens": ["go", " up"], "values": [0, 3.5]},
                {
                    "tokens": ["look", " up"],
                    "values": [0, 0.5],
                    "quantileMin": 0.25,
                    "quantileMax": 1.0,
                    "quantileFraction": 0.5,
                },
            ],
        }
    ],
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Index:
    """A tiny model's features, two of them labelled, on 132 words."""
    folder = tmp_path_factory.mktemp("feature-files")
    model, dictionary = tiny_models.model("llama grouped"), tiny_models.dictionary("transcoder")
    made = index(model, dictionary, TEXTS, folder=folder / "index", context=9).wait()
    made.__dict__["book"] = LabelBook("tests/tiny", path=folder / "labels.json")
    label = Label("“w7” or <b>w8</b>", 0.91, 0.5, 240, "w. rules", "proposed", 0.8, 1)
    tested: dict[str, Any] = {"by": "examples", "active": 40, "tested_on": "other text"}
    made.book.put(1, 5, replace(label, **tested))
    return made


@pytest.fixture(scope="module")
def neurons(tmp_path_factory: pytest.TempPathFactory) -> Index:
    folder = tmp_path_factory.mktemp("neuron-files")
    model = tiny_models.model("llama grouped")
    # Only 1% of the tokens count, so it takes more of them.
    texts = [" ".join(f"w{i}" for i in RNG.integers(5, 40, size=40)) for _ in range(30)]
    return index(model, "neurons", texts, folder=folder / "index", context=9).wait()


# --- reading -------------------------------------------------------------------------------------


def test_circuit_tracers_form_is_read_as_it_says() -> None:
    feature = from_neuronpedia(CIRCUIT_TRACER, layer=3)
    assert (feature.name, feature.scan) == ("L3/781859", "some-transcoder")
    # Strongest first, whatever the order in the file.
    assert [e.tokens[e.trigger] for e in feature.examples] == ["A", " brown"]
    assert feature.examples[1].activations == (0.0, 0.5, 0.8, 0.3, 0.0)
    (group,) = feature.groups
    assert group.name == "Quantile 0.5"
    assert math.isnan(group.low)
    assert math.isnan(group.high)
    assert group.examples[0].trigger == 1  # what the file was drawn for, not its largest value
    assert feature.histogram is not None
    assert feature.histogram.edges.tolist() == [0, 0.5, 1, 1.5, 2, 2.5]
    assert feature.histogram.counts.tolist() == [3, 1, 0, 1, 5]
    assert (feature.density, feature.strongest) == (0.0125, 2.5)
    assert [each.token for each in feature.positive] == [" fox", " hound"]
    assert [each.token for each in feature.negative_logits] == [" the"]
    assert feature.label is None
    assert feature.layer == 3


def test_circuit_tracers_form_needs_two_fields_only() -> None:
    feature = from_neuronpedia({"index": 4, "examples_quantiles": []})
    card = feature.card(here=0.5)
    assert (card["name"], card["layer"], card["examples"]) == ("feature 4", None, [])
    assert card["logits"] is None
    assert card["activations"]["here"] == 0.5
    assert card["density"]["value"] is None


def test_neuronpedias_form_is_read_as_it_says() -> None:
    feature = from_neuronpedia(NATIVE)
    assert (feature.name, feature.scan, feature.model) == ("L7/14057", "res-jb", "gpt2-small")
    (top,) = feature.examples
    assert (top.tokens, top.trigger) == (("in", " New", " York"), 2)
    (group,) = feature.groups
    assert (group.name, group.low, group.high) == ("1–2.5", 1.0, 2.5)
    assert group.examples[0].trigger == 1
    (below,) = feature.negative
    assert below.trigger == 0
    assert feature.histogram is not None
    assert feature.histogram.edges.tolist() == [0, 1, 2, 3]
    assert feature.histogram.counts.tolist() == [10, 4, 1]
    assert [(w.token, w.value) for w in feature.positive] == [(" York", 1.25), (" Jersey", 0.5)]
    assert [(w.token, w.value) for w in feature.negative_logits] == [("ing", -0.75)]
    assert (feature.density, feature.strongest, feature.tokens) == (0.0037, 9.5, 128_000)
    assert any("some/corpus" in note for note in feature.card()["notes"])


def test_an_explanation_is_an_imported_label_with_its_source_and_without_a_score_of_ours() -> None:
    first, second = from_neuronpedia(NATIVE).labels
    assert (first.text, first.kind) == ("names of American cities", "imported")
    assert first.source == (
        "Neuronpedia, oai_token-act-pair, gpt-4o-mini, by ada, eleuther_recall 0.83 (gpt-4o)"
    )
    # Their recall is no area under the ROC curve.
    assert (first.score, first.control, first.samples) == (None, None, 0)
    assert (second.text, second.source) == ("places", "Neuronpedia")


def test_saedashboards_batches_are_read_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "batch-0.json"
    path.write_text(json.dumps(BATCH))
    three, nine = read_neuronpedia(path)
    assert (three.name, nine.name) == ("L12/3", "L12/9")
    assert (three.model, three.scan, three.tokens) == ("gemma-2b", "res-jb", 80)
    # No example is marked as the strongest: the strongest of the groups stand there, and it says so.
    assert three.examples[0].trigger == 1
    assert three.groups[0].name == "0–0.7"
    assert any("marks no examples" in note for note in three.notes)
    assert three.histogram is None
    with pytest.raises(FeatureError, match=r"batch-0\.json.*several features.*read_neuronpedia"):
        from_neuronpedia(path)


def test_what_neuronpedia_takes_as_upload_is_read(tmp_path: Path) -> None:
    path = tmp_path / "upload.json"
    path.write_text(json.dumps(UPLOAD))
    (feature,) = read_neuronpedia(path)
    assert (feature.name, feature.scan, feature.model) == ("L4/6", "mine", "some-model")
    assert (feature.positive[0].token, feature.negative_logits[0].value) == (" up", -1.5)
    assert feature.density == 0.25
    assert len(feature.examples) == 1
    assert (feature.groups[0].low, feature.groups[0].high) == (0.25, 1.0)
    assert feature.label is not None
    assert (feature.label.text, feature.label.source) == ("directions", "Neuronpedia, m, n")


@pytest.mark.parametrize("name", ["all.jsonl", "all.ndjson.gz", "all.json", "all.json.gz"])
def test_many_features_are_read_from_lists_and_lines(tmp_path: Path, name: str) -> None:
    rows = [NATIVE, CIRCUIT_TRACER, NATIVE | {"index": 2}]
    whole = (
        json.dumps(rows) if ".json." in f"{name}." else "\n".join(map(json.dumps, rows)) + "\n\n"
    )
    content = whole.encode("utf-8-sig")
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert [f.feature for f in read_neuronpedia(tmp_path / name)] == [14057, 781859, 2]


def test_lines_that_are_called_json_are_read_as_lines(tmp_path: Path) -> None:
    (tmp_path / "all.json").write_text(f"{json.dumps(NATIVE)}\n{json.dumps(NATIVE)}\n")
    assert len(list(read_neuronpedia(tmp_path / "all.json"))) == 2


def test_a_folder_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text(json.dumps(NATIVE))
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(json.dumps(CIRCUIT_TRACER).encode()))
    (tmp_path / "notes.txt").write_text("no feature")
    assert [f.feature for f in read_neuronpedia(tmp_path)] == [781859, 14057]


@pytest.mark.parametrize(
    ("tokens", "logits", "text", "said"),
    [
        # As transformers' tokenizers of Llama 2 and of GPT-2 spell them.
        (["▁The", "▁d", "ía", "<0x0A>", "<0xE2>"], "▁up", "The día\n\ufffd", "▁ for a blank"),
        (["The", "Ġd", "ÃŃa", "Ċ", "ĠâĢľ"], "Ġup", "The día\n “", "Ġ for a blank"),
        # Text as it is: nothing is changed, whatever it looks like.
        (["The", " d", "Ġía", "▁", "<0x0A>"], "Ġup", "The dĠía▁<0x0A>", ""),
        (["The", "día", "Ċ", "<0x0A>", "<|end|>"], "up", "ThedíaĊ<0x0A><|end|>", ""),
    ],
)
def test_tokens_that_are_spelt_as_in_a_vocabulary_become_text(
    tokens: list[str], logits: str, text: str, said: str
) -> None:
    values = [0.0, 1.0, 0.0, 0.0, 0.0]
    row = {"tokens": tokens, "values": values}
    rows = [row, row | {"binMin": 0.5, "binMax": 2.0}, row | {"dataSource": "bottom"}]
    feature = from_neuronpedia({"index": 1, "pos_str": [logits], "activations": rows})
    for example in (feature.examples[0], feature.groups[0].examples[0], feature.negative[0]):
        assert "".join(example.tokens).strip(" ") == text
    assert feature.positive[0].token == (" up" if said else logits)
    assert any(said in note for note in feature.notes) if said else feature.notes == ()


# --- refusing ------------------------------------------------------------------------------------


def changed(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of a document with something else at a place; ... takes it away."""
    copied = copy.deepcopy(document)
    *outer, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    inner: Any = copied
    for key in outer:
        inner = inner[key]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return copied


@pytest.mark.parametrize(
    ("document", "path", "value", "said"),
    [
        (NATIVE, "index", ..., r"index is missing where a whole number"),
        (NATIVE, "index", "-3", r"index is the text '-3'"),
        (NATIVE, "index", 10**30, r"index is a huge number"),
        (NATIVE, "activations", 7, r"activations is 7 where a list"),
        (NATIVE, "activations.1", None, r"activations\[1\] is missing where an object"),
        (NATIVE, "activations.1.tokens", ..., r"activations\[1\]\.tokens is missing"),
        (NATIVE, "activations.1.tokens.2", 5, r"activations\[1\]\.tokens\[2\] is 5 where a text"),
        (NATIVE, "activations.0.values.1", "4.5", r"activations\[0\]\.values\[1\] is the text"),
        (NATIVE, "activations.0.values.1", math.nan, r"values\[1\] is nan where a finite number"),
        (NATIVE, "activations.0.values.1", math.inf, r"values\[1\] is inf"),
        (NATIVE, "activations.0.values.1", 10**400, r"values\[1\] is a huge number"),
        (NATIVE, "activations.0.values.1", True, r"values\[1\] is True"),
        (NATIVE, "activations.0.values", [1.0], r"has 1 numbers for 3 tokens"),
        (NATIVE, "explanations", "cities", r"explanations is the text 'cities' where a list"),
        (CIRCUIT_TRACER, "index", ..., r"index is missing"),
        (CIRCUIT_TRACER, "examples_quantiles", {}, r"examples_quantiles is an object where a list"),
        (
            CIRCUIT_TRACER,
            "examples_quantiles.1.examples",
            ...,
            r"examples_quantiles\[1\]\.examples is missing",
        ),
        (
            CIRCUIT_TRACER,
            "examples_quantiles.0.examples.1.tokens_acts_list.0",
            None,
            r"examples_quantiles\[0\]\.examples\[1\]\.tokens_acts_list\[0\] is missing",
        ),
        ({"a": 1}, "a", 2, r"neither examples_quantiles .* nor activations"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_field(
    tmp_path: Path, document: dict[str, Any], path: str, value: Any, said: str
) -> None:
    file = tmp_path / "theirs.json"
    file.write_text(json.dumps(changed(document, path, value)))
    with pytest.raises(FeatureError, match=rf"^theirs\.json: .*{said}"):
        from_neuronpedia(file)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not readable JSON"),
        (b"{", "not readable JSON"),
        (b"\xff\xfe{}", "not readable JSON"),
        (b"[" * 100_000, "not readable JSON"),
        (b"[1]", "is a list where an object"),
        (b"7", "is 7 where an object"),
        (b'{"index": ' + b"9" * 5000 + b"}", "not readable JSON"),
        (gzip.compress(b'{"index": 1}')[:-9], "cannot be read"),
        (b"\x1f\x8b" + b"\x00" * 20, "cannot be read"),
    ],
)
def test_files_that_are_no_documents_are_refused(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "theirs.json"
    file.write_bytes(content)
    with pytest.raises(FeatureError, match=rf"^theirs\.json: .*{said}"):
        from_neuronpedia(file)
    with pytest.raises(FeatureError):
        list(read_neuronpedia(file))


def test_a_missing_file_and_an_empty_folder_are_said(tmp_path: Path) -> None:
    with pytest.raises(FeatureError, match=r"nowhere\.json.*cannot be read"):
        from_neuronpedia(tmp_path / "nowhere.json")
    with pytest.raises(FeatureError, match=r"holds no \.json"):
        list(read_neuronpedia(tmp_path))


def test_a_small_file_that_unpacks_to_a_large_one_is_refused(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.json.gz"
    bomb.write_bytes(gzip.compress(b" " * (fields.LARGEST_FILE + 2), compresslevel=1))
    assert bomb.stat().st_size < 1 << 20
    tracemalloc.start()
    with pytest.raises(FeatureError, match="larger than 16 MB"):
        from_neuronpedia(bomb)
    # What is unpacked is given up at the limit.
    assert tracemalloc.get_traced_memory()[1] < 3 * fields.LARGEST_DOCUMENT
    tracemalloc.stop()
    with pytest.raises(FeatureError, match="larger than 64 MB"):
        list(read_neuronpedia(bomb))
    lines = bomb.rename(tmp_path / "bomb.jsonl.gz")
    with pytest.raises(FeatureError, match=r"line 1.*larger than 16 MB"):
        list(read_neuronpedia(lines))


def test_a_file_that_is_mostly_brackets_is_refused_before_it_fills_memory(tmp_path: Path) -> None:
    file = tmp_path / "brackets.json"
    file.write_text("[" + "{}," * fields.MOST_PARTS + "{}]")
    with pytest.raises(FeatureError, match="more than 1,048,576 lists and objects"):
        list(read_neuronpedia(file))


def test_optional_numbers_that_are_none_are_absent() -> None:
    odd = {"frac_nonzero": math.nan, "maxActApprox": "9", "pos_values": [math.inf, "1"]}
    odd |= {"freq_hist_data_bar_heights": [1, None, 2], "n_prompts_total": math.nan}
    feature = from_neuronpedia(NATIVE | odd)
    card = feature.card()
    assert card["density"]["value"] is None
    assert card["activations"]["max"] == 9.5  # of the examples
    assert [row["value"] for row in card["logits"]["positive"]] == [None, None]
    assert card["activations"]["edges"] == []
    json.dumps(card, allow_nan=False)


def test_halves_of_characters_become_signs_that_can_be_written() -> None:
    document = changed(NATIVE, "activations.0.tokens.1", "\ud800 New")
    document["explanations"][0]["description"] = "a\udc00b"
    card = from_neuronpedia(document).card()
    assert card["examples"][0]["tokens"][1] == "\ufffd New"
    json.dumps(card, ensure_ascii=False).encode()


def test_hostile_text_comes_through_as_it_is() -> None:
    document = changed(NATIVE, "activations.0.tokens.1", HOSTILE)
    assert from_neuronpedia(document).card()["examples"][0]["tokens"][1] == HOSTILE


def places(value: Any) -> list[tuple[Any, ...]]:
    """Every place of a document."""
    rows: list[tuple[Any, ...]] = []
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in pairs:
        rows.append((key,))
        if isinstance(inner, dict | list):
            rows += [(key, *rest) for rest in places(inner)]
    return rows


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.data(), st.sampled_from([NATIVE, CIRCUIT_TRACER, UPLOAD["features"][0]]), ANYTHING)
def test_anything_anywhere_is_read_or_refused(
    data: st.DataObject, document: dict[str, Any], value: Any
) -> None:
    document = copy.deepcopy(document)
    *outer, last = data.draw(st.sampled_from(places(document)))
    inner: Any = document
    for key in outer:
        inner = inner[key]
    inner[last] = value
    try:
        feature = from_neuronpedia(document)
    except FeatureError:
        return
    json.dumps(feature.card(), allow_nan=False, ensure_ascii=False).encode()


@pytest.mark.parametrize("value", [True, False])
def test_true_and_false_are_no_place_of_a_trigger(value: bool) -> None:
    document = copy.deepcopy(CIRCUIT_TRACER)
    document["examples_quantiles"][0]["examples"][0]["train_token_ind"] = value
    assert from_neuronpedia(document).examples[-1].trigger == 2  # the strongest token


# --- writing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["native", "circuit-tracer"])
def test_what_is_written_is_read_again(found: Index, tmp_path: Path, form: Any) -> None:
    stored, layer, number = found.stored, 1, 5
    path = tmp_path / "feature.json"
    path.write_text(json.dumps(to_neuronpedia(found, layer, number, form), allow_nan=False))
    read = from_neuronpedia(path)
    assert (read.name, read.scan, read.model) == ("L1/5", "tests/tiny", "tiny llama grouped")
    assert list(read.examples) == stored.examples(layer, number)
    assert list(read.groups) == stored.groups(layer, number)
    histogram = stored.histogram(layer, number)
    assert read.histogram is not None
    np.testing.assert_allclose(read.histogram.edges, histogram.edges, atol=1e-9)
    assert read.histogram.counts.tolist() == histogram.counts.tolist()
    assert read.density == stored.density(layer)[number]
    assert read.strongest == pytest.approx(stored.strongest(layer)[number], rel=1e-9)
    assert read.tokens == stored.n_tokens
    logits = found.weights.logits(layer, number, 10)
    assert logits is not None
    assert [(w.token, w.value) for w in read.positive] == [
        (w.token, w.value) for w in logits.positive
    ]
    assert [(w.token, w.value) for w in read.negative_logits] == [
        (w.token, w.value) for w in logits.negative
    ]
    assert read.control == logits.control
    label = found.book.get(layer, number)
    assert label is not None
    assert read.labels == (read.label,)
    assert read.label is not None
    assert (read.label.text, read.label.score) == (label.text, 0.91)
    assert (read.label.low, read.label.high, read.label.control) == (0.8, 1, 0.5)
    assert (read.label.samples, read.label.date) == (240, label.date)
    assert (read.label.by, read.label.active) == ("examples", 40)
    assert read.label.tested_on == "other text"
    assert read.label.kind == "imported"
    assert read.label.source == "feature.json: proposed w. rules"


@pytest.mark.parametrize("form", ["native", "circuit-tracer"])
def test_units_with_two_sides_keep_both(neurons: Index, form: Any) -> None:
    stored = neurons.stored
    layer, number = next(
        (layer, i)
        for layer in stored.layers
        for i in range(stored.n_features(layer))
        if {-1, 1} <= set(np.sign(stored.entries(layer, i).value).tolist())
    )
    read = from_neuronpedia(to_neuronpedia(neurons, layer, number, form))
    assert read.unit == "neuron"
    assert list(read.examples) == stored.examples(layer, number)
    assert list(read.negative) == stored.examples(layer, number, sign=-1)
    assert read.negative


def test_neuronpedias_fields_say_what_they_mean_there(found: Index) -> None:
    layer, number = 2, 3
    document = to_neuronpedia(found, layer, number)
    values = found.stored.entries(layer, number).value
    tokens = found.stored.n_tokens
    assert (document["modelId"], document["layer"]) == ("tiny llama grouped", "2-tests-tiny")
    assert (document["index"], document["sourceSetName"]) == ("3", "tests-tiny")
    assert document["maxActApprox"] == values.max()
    assert document["frac_nonzero"] == len(values) / tokens
    assert sum(document["freq_hist_data_bar_heights"]) == len(values)
    logits = found.weights.logits(layer, number, found.model.hf.config.vocab_size)
    assert logits is not None
    every = [each.value for each in logits.positive]
    low, width = min(every), (max(every) - min(every)) / 50
    bins = [min(49, int((value - low) / width)) for value in every]
    assert document["logits_hist_data_bar_heights"] == [bins.count(i) for i in range(50)]
    assert document["logits_hist_data_bar_values"] == pytest.approx(
        [low + (i + 0.5) * width for i in range(50)]
    )
    centres = document["freq_hist_data_bar_values"]
    assert len(centres) == 40
    assert 0 < centres[0] < centres[-1] < values.max()
    grouped = 0
    for row in document["activations"]:
        assert len(row["tokens"]) == len(row["values"])
        assert row["maxValue"] == max(row["values"]) == row["values"][row["maxValueTokenIndex"]]
        assert row["minValue"] == min(row["values"])
        if row["binMin"] == -1:  # how Neuronpedia tells the strongest ones
            assert (row["binMax"], row["binContains"]) == (values.max(), -1)
            assert row["qualifyingTokenIndex"] == row["maxValueTokenIndex"]
            continue
        grouped += 1
        inside = [v for v in values.tolist() if row["binMin"] <= v <= row["binMax"]]
        assert row["binContains"] == pytest.approx(len(inside) / tokens)
        assert row["values"][row["qualifyingTokenIndex"]] in inside
    assert grouped == sum(len(g.examples) for g in found.stored.groups(layer, number)) > 0
    assert document["explanations"] == []


def test_circuit_tracers_fields_are_all_there_and_of_their_types(found: Index) -> None:
    document = to_neuronpedia(found, 1, 5, "circuit-tracer")
    # The fields of its class, none of which may be missing or null.
    kinds = {"transcoder_id": str, "index": int, "act_min": float, "act_max": float}
    kinds["activation_frequency"] = float
    for name, kind in kinds.items():
        assert type(document[name]) is kind, name
    for quantile in document["examples_quantiles"]:
        assert isinstance(quantile["quantile_name"], str)
        for example in quantile["examples"]:
            assert {type(a) for a in example["tokens_acts_list"]} == {float}
            assert {type(t) for t in example["tokens"]} == {str}
            assert type(example["train_token_ind"]) is int
            assert example["is_repeated_datapoint"] is False
    for name in ("top_logits", "bottom_logits"):
        assert len(document[name]) == 10
        assert {type(t) for t in document[name]} == {str}
    # Its viewer says p where the activation is at most the p-th value.
    values = sorted(found.stored.entries(1, 5).value.tolist())
    assert len(document["quantile_values"]) == 100
    assert document["quantile_values"][-1] == values[-1]
    middle = document["quantile_values"][49]
    below = sum(v <= middle for v in values) / len(values)
    assert 0.5 <= below <= 0.5 + 1 / len(values) + 1e-9


def test_a_folder_of_files_is_written_and_read_again(found: Index, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    folder = write_neuronpedia(
        found, tmp_path / "new" / "all", progress=lambda *at: seen.append(at)
    )
    stored = found.stored
    active = {
        (layer, i)
        for layer in stored.layers
        for i in range(tiny_models.FEATURES)
        if len(stored.entries(layer, i))
    }
    assert {(f.layer, f.feature) for f in read_neuronpedia(folder)} == active
    assert {p.name for p in folder.iterdir()} == {
        "about.json",
        *(f"{layer}-{number}.json" for layer, number in active),
    }
    total = len(active)
    assert seen == [(done, total) for done in range(total + 1)]


@pytest.mark.parametrize("form", ["native", "circuit-tracer"])
def test_hostile_tokens_and_labels_are_written_as_they_are(tmp_path: Path, form: Any) -> None:
    plain = tiny_models.model("llama grouped")
    words = ["</script><img/src=x/onerror=alert(1)>", "\u202eevil\x00", '"},{"index":7', "\\u0041"]
    tokenizer = tiny_models.tokenizer()
    inner = json.loads(tokenizer.backend_tokenizer.to_str())
    kept = {name: i for name, i in inner["model"]["vocab"].items() if not 5 <= i < 9}
    inner["model"]["vocab"] = kept | {word: 5 + i for i, word in enumerate(words)}
    tokenizer._tokenizer = Tokenizer.from_str(json.dumps(inner))
    model = Model(plain.hf, tokenizer, name="hostile")
    text = " ".join([*words, "w9", "w12"] * 8)
    made = index(model, tiny_models.dictionary(), text, folder=tmp_path / "i", context=9).wait()
    made.__dict__["book"] = LabelBook("hostile", path=tmp_path / "labels.json")
    made.book.put(1, 5, "</script><img src=x>")
    folder = write_neuronpedia(made, tmp_path / "files", [(1, 5)], form)
    (read,) = read_neuronpedia(folder)
    assert list(read.examples) == made.stored.examples(1, 5)
    seen = {token.strip() for example in read.examples for token in example.tokens}
    assert set(words) <= seen
    assert read.label is not None
    assert read.label.text == "</script><img src=x>"


def test_files_for_circuit_tracer_are_named_as_its_graphs_ask_for_them(
    found: Index, tmp_path: Path
) -> None:
    wanted = [(0, 3), (2, 17), (1, 0)]
    folder = write_neuronpedia(found, tmp_path, wanted, "circuit-tracer")
    names = [p.stem for p in folder.iterdir() if p.name != "about.json"]
    assert sorted(uncantor(int(name)) for name in names) == sorted(wanted)


def test_writing_that_was_cancelled_goes_on(found: Index, tmp_path: Path) -> None:
    wanted = [(0, i) for i in range(6)]
    asked: list[None] = []

    def stop() -> bool:
        asked.append(None)
        return len(asked) > 3

    with pytest.raises(Cancelled, match="3 of 6 features"):
        write_neuronpedia(found, tmp_path, wanted, cancelled=stop)
    before = {p.name: p.stat().st_ino for p in tmp_path.iterdir()}
    assert len(before) == 4
    write_neuronpedia(found, tmp_path, wanted)
    after = {p.name: p.stat().st_ino for p in tmp_path.iterdir()}
    assert len(after) == 7
    assert {name: after[name] for name in before} == before


def test_files_with_old_labels_are_written_anew(found: Index, tmp_path: Path) -> None:
    write_neuronpedia(found, tmp_path, [(2, 1), (2, 2)])
    found.book.put(2, 1, "new")
    try:
        write_neuronpedia(found, tmp_path, [(2, 1), (2, 2)])
        label = from_neuronpedia(tmp_path / "2-1.json").label
        assert label is not None
        assert label.text == "new"
    finally:
        found.book.remove(2, 1)


def test_a_folder_of_something_else_is_left_alone(
    found: Index, neurons: Index, tmp_path: Path
) -> None:
    (tmp_path / "0-1.json").write_text("mine")
    with pytest.raises(FeatureError, match=r"0-1\.json is there already"):
        write_neuronpedia(found, tmp_path, [(0, 1)])
    assert (tmp_path / "0-1.json").read_text() == "mine"
    other = write_neuronpedia(found, tmp_path / "other", [(0, 1)])
    for again in (
        lambda: write_neuronpedia(neurons, other, [(0, 1)]),
        lambda: write_neuronpedia(found, other, [(0, 2)], "circuit-tracer"),
    ):
        with pytest.raises(FeatureError, match="another index, form or version"):
            again()
    (other / "about.json").write_text("{")
    with pytest.raises(FeatureError, match="another index, form or version"):
        write_neuronpedia(found, other, [(0, 1)])


def test_a_full_disk_leaves_whole_files_only(
    found: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_neuronpedia(found, tmp_path, [(0, 1)])

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            write_neuronpedia(found, tmp_path, [(0, 2)])
    assert {p.name for p in tmp_path.iterdir()} == {"about.json", "0-1.json"}


def test_units_and_forms_that_there_are_not_are_refused(found: Index, tmp_path: Path) -> None:
    with pytest.raises(FeatureError, match="there is no 99"):
        to_neuronpedia(found, 1, 99)
    with pytest.raises(FeatureError, match="there is no 99"):
        write_neuronpedia(found, tmp_path / "none", [(1, 1), (1, 99)])
    with pytest.raises(FeatureError, match="no form of a feature file"):
        to_neuronpedia(found, 1, 5, "html")  # type: ignore[arg-type]
    assert not (tmp_path / "none").exists()


# --- explanations ----------------------------------------------------------------------------------


def row(layer: int, number: Any, text: Any, **more: Any) -> dict[str, Any]:
    """As Neuronpedia exports them (exportExplanations in lib/db/explanation.ts)."""
    named = {"typeName": "oai_token-act-pair", "explanationModelName": "gpt-4o-mini"}
    place = {"id": "c1", "modelId": "tiny", "layer": f"{layer}-tiny", "index": str(number)}
    return place | {"description": text} | named | more


@pytest.fixture
def empty_book(found: Index, tmp_path: Path) -> Any:
    before = found.book
    found.__dict__["book"] = LabelBook("tests/tiny", path=tmp_path / "mine" / "labels.json")
    yield found.book
    found.__dict__["book"] = before


@pytest.mark.parametrize("name", ["batch-0.jsonl.gz", "export.json", "export.jsonl"])
def test_an_export_of_explanations_labels_the_features(
    found: Index, empty_book: LabelBook, tmp_path: Path, name: str
) -> None:
    empty_book.put(0, 2, "my own name")
    rows = [
        row(0, 1, "months"),
        row(0, 1, "times of the year"),
        row(0, 2, "weekdays"),
        row(2, 23, "  "),
        row(2, 22, "numbers\nin words"),
        row(2, 24, "a feature too many"),
        row(9, 1, "a layer too many"),
    ]
    content = json.dumps(rows) if name.endswith(".json") else "\n".join(map(json.dumps, rows))
    data = content.encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    done = import_labels(found, tmp_path / name)
    assert done.features == {(0, 1), (2, 22)}
    assert (done.kept, done.others, done.empty, done.absent) == (1, 1, 1, 2)
    assert "2 features were labelled" in str(done)
    months = empty_book.get(0, 1)
    assert months is not None
    assert (months.text, months.kind) == ("months", "imported")
    assert months.source == "Neuronpedia, oai_token-act-pair, gpt-4o-mini"
    words, own = empty_book.get(2, 22), empty_book.get(0, 2)
    assert words is not None
    assert own is not None
    assert (words.text, own.text) == ("numbers in words", "my own name")
    assert import_labels(found, tmp_path / name, over=True).kept == 0
    taken = empty_book.get(0, 2)
    assert taken is not None
    assert taken.text == "weekdays"
    # One step back undoes a whole import.
    empty_book.undo()
    own = empty_book.get(0, 2)
    assert own is not None
    assert own.text == "my own name"


def test_feature_files_bring_their_labels(
    found: Index, empty_book: LabelBook, tmp_path: Path
) -> None:
    empty_book.put(1, 7, Label("said by rules", 0.9, 0.5, 100, "rules", "proposed"))
    write_neuronpedia(found, tmp_path / "files", [(1, 7), (1, 8)])
    empty_book.remove(1, 7)
    done = import_labels(found, tmp_path / "files")
    assert (done.features, done.empty) == ({(1, 7)}, 1)
    label = empty_book.get(1, 7)
    assert label is not None
    assert (label.text, label.kind, label.score) == ("said by rules", "imported", 0.9)
    assert label.source == "1-7.json: proposed rules"


def test_rows_are_taken_from_memory_with_a_layer_from_outside(
    found: Index, empty_book: LabelBook
) -> None:
    rows = [{"index": 4, "description": "four"}]
    with pytest.raises(FeatureError, match=r"the explanations: \[0\]\.layer is missing"):
        import_labels(found, rows)
    assert import_labels(found, rows, layer=2).features == {(2, 4)}


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (row(0, "x", "text"), r"line 2: index is the text 'x'"),
        ({"index": 1, "layer": "0-a"}, r'line 2: .*neither a "description"'),
        (row(0, 1, "x") | {"index": None}, r"line 2: index is missing"),
    ],
)
def test_one_bad_row_labels_nothing(
    found: Index, empty_book: LabelBook, tmp_path: Path, bad: dict[str, Any], said: str
) -> None:
    path = tmp_path / "export.jsonl"
    path.write_text(f"{json.dumps(row(0, 3, 'fine'))}\n{json.dumps(bad)}\n")
    with pytest.raises(FeatureError, match=said):
        import_labels(found, path)
    assert empty_book.get(0, 3) is None


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([row(0, 1, " "), row(0, 2, None)], "The rows have 2 explanations, and none .* a text"),
        ([row(0, 1, "x") | {"layer": "blocks.2"}], "layer is the text 'blocks.2': give layer=..."),
        (row(0, 1, "x"), "a file, a folder or a list of rows, not dict"),
        (5, "a file, a folder or a list of rows, not int"),
        ([], "The rows have no explanation of a feature of tests/tiny .their layers: none"),
    ],
)
def test_rows_that_label_nothing_are_sentences(
    found: Index, empty_book: LabelBook, rows: Any, said: str
) -> None:
    with pytest.raises(FeatureError, match=said):
        import_labels(found, rows)
    assert list(empty_book.items()) == []


@pytest.mark.parametrize("source", [None, 5, [{"index": 1}]])
def test_what_is_no_file_and_no_document_is_a_sentence(source: Any) -> None:
    with pytest.raises(
        FeatureError, match="read from a file, or is a parsed document .a dict., not"
    ):
        from_neuronpedia(source)
    with pytest.raises(
        FeatureError, match="read from a file, or is a parsed document .a dict., not"
    ):
        list(read_neuronpedia(source))


def test_an_export_of_another_dictionary_is_refused(
    found: Index, empty_book: LabelBook, tmp_path: Path
) -> None:
    path = tmp_path / "export.jsonl"
    path.write_text(json.dumps(row(30, 3, "far away")))
    with pytest.raises(
        FeatureError, match=r"no explanation of a feature of tests/tiny .*30.*0, 1, 2"
    ):
        import_labels(found, path)


def test_a_foreign_feature_says_what_it_is() -> None:
    feature = from_neuronpedia(NATIVE)
    assert isinstance(feature, ForeignFeature)
    assert repr(feature) == (
        "ForeignFeature(L7/14057, 'names of American cities', 1 example, the document, in "
        "Neuronpedia's form)"
    )
    card = feature.card()
    assert card["logits"]["control"] is None
    assert card["notes"][1] == "The file says nothing of what chance alone would give."
