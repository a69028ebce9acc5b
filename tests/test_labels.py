"""Names of features: written, read, refused, and seen in a graph."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny_models

from interp_widgets.attribution import attribute
from interp_widgets.attribution.table import FEATURE
from interp_widgets.dictionaries import DictionaryError, SparseCoder, load, save
from interp_widgets.dictionaries.labels import Label, read, write

TEXAS = Label("texas", score=0.97, control=0.52, samples=240, source="by hand")


def document(**changes: Any) -> str:
    label = {"layer": 1, "feature": 2, "text": "texas"}
    whole = {"format": "interp_widgets.labels", "version": 1, "labels": [label | changes]}
    return json.dumps(whole)


def test_labels_come_back_as_they_were_written(tmp_path: Path) -> None:
    said = {(1, 2): TEXAS, (0, 7): Label("<b>día</b> “quoted”", source="by hand")}
    write(said, tmp_path, source="by hand")
    assert read(tmp_path) == said


def test_a_label_found_in_another_way_keeps_its_source(tmp_path: Path) -> None:
    said = {(0, 1): Label("a", source="by hand"), (0, 2): Label("b", source="by a model")}
    write(said, tmp_path, source="by hand")
    assert read(tmp_path) == said


def test_all_that_is_known_of_a_label_comes_back_and_what_is_not_is_left_out(
    tmp_path: Path,
) -> None:
    full = Label("a", 0.9, 0.5, 7, "by a model", "proposed", 0.8, 0.95, "2026-03-01")
    said = {(0, 1): full, (0, 2): Label("b", source="by a model")}
    path = write(said, tmp_path, source="by a model")
    assert read(tmp_path) == said
    assert json.loads(path.read_text("utf-8"))["labels"][1] == {
        "layer": 0, "feature": 2, "text": "b",
    }  # fmt: skip


def test_labels_written_before_there_were_kinds_are_read(tmp_path: Path) -> None:
    old = {"score": None, "control": 0.5, "samples": 7}
    (tmp_path / "labels.json").write_text(document(**old), "utf-8")
    assert read(tmp_path) == {(1, 2): Label("texas", control=0.5, samples=7)}


@pytest.mark.parametrize(
    ("text", "read_as"),
    [
        (" two\n lines ", "two lines"),
        ("a" * 500, "a" * 199 + "…"),
        ("bell\x07 \u202eturned\u202c", "bell turned"),
        ("\ud800x", "x"),
        ("👩‍🚀 <b>", "👩‍🚀 <b>"),
    ],
)
def test_what_others_wrote_is_read_as_one_line(tmp_path: Path, text: str, read_as: str) -> None:
    (tmp_path / "labels.json").write_text(document(text=text), "utf-8")
    assert read(tmp_path)[1, 2].text == read_as


def test_labels_that_cannot_be_written_leave_the_old_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write({(1, 2): TEXAS}, tmp_path, source="by hand")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write({}, tmp_path, source="by hand")
    assert read(tmp_path) == {(1, 2): TEXAS}
    assert [path.name for path in tmp_path.iterdir()] == ["labels.json"]


@pytest.mark.parametrize(
    ("kind", "layout"),
    [
        ("transcoder", "interp_widgets"),
        ("cross-layer transcoder", "interp_widgets"),
        ("transcoder", "circuit-tracer"),
        ("cross-layer transcoder", "circuit-tracer"),
        ("transcoder", "saelens"),
    ],
)
def test_a_saved_dictionary_takes_its_labels_along(tmp_path: Path, kind: Any, layout: Any) -> None:
    names = {(0, 1): TEXAS, (1, 2): Label("idaho", source="by a model")}
    named = replace(tiny_models.dictionary(kind), labels=names)
    save(named, tmp_path / "set", layout)
    found = load(tmp_path / "set")
    assert not isinstance(found, SparseCoder)
    assert found.labels == names


def test_a_folder_without_labels_has_none(tmp_path: Path) -> None:
    assert read(tmp_path) == {}


def test_a_graph_shows_the_names_that_lie_beside_the_weights(tmp_path: Path) -> None:
    model = tiny_models.model("llama grouped")
    bare = tiny_models.dictionary("transcoder")
    save(bare, tmp_path)
    names = {(layer, 3): Label(f"third of {layer}") for layer in range(tiny_models.LAYERS)}
    write(names, tmp_path, source="test")

    table = attribute(model, tiny_models.PROMPT, tmp_path).wait(60).table
    features = [i for i in range(table.n_nodes) if table.kind[i] == FEATURE]
    third = [i for i in features if table.feature[i] == 3]
    assert third
    for i in features:
        wanted = f"third of {table.layer[i]}" if i in third else ""
        assert table.names[i] == wanted


def test_a_model_that_brings_a_dictionary_is_drawn_with_it(tmp_path: Path) -> None:
    plain = tiny_models.model("llama grouped")
    save(replace(tiny_models.dictionary("transcoder"), scan="its own"), tmp_path)
    model = type(plain)(plain.hf, plain.tokenizer, name="brings", dictionary=tmp_path)
    own = attribute(model, tiny_models.PROMPT).wait(60).table
    named = attribute(model, tiny_models.PROMPT, tmp_path).wait(60).table
    neurons = attribute(model, tiny_models.PROMPT, "neurons").wait(60).table
    assert own.unit == named.unit == "feature"
    assert own.ids == named.ids
    assert neurons.unit == "neuron"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not readable JSON"),
        ("[]", 'no "format"'),
        (json.dumps({"format": "something else"}), 'no "format"'),
        (document().replace('"version": 1', '"version": 2'), "newer interp_widgets"),
        (document(layer=-1), "entry 0 is not a label.*-1 is not a whole number"),
        (document(layer=True), "entry 0 is not a label"),
        (document(feature="2"), "entry 0 is not a label"),
        (document(text=" "), "entry 0 is not a label.*is not a text"),
        (document(score=1.5), "entry 0 is not a label.*not between 0 and 1"),
        (document(score=float("nan")), "entry 0 is not a label"),
        (document(text="\x00"), "entry 0 is not a label.*is not a text"),
        (document(kind="rumour"), "entry 0 is not a label.*'rumour' is no kind of label"),
        (document(kind=["by hand"]), "entry 0 is not a label"),
        (document(date="yesterday"), "entry 0 is not a label"),
        (document(by="hearsay"), "entry 0 is not a label.*'hearsay' is no detector of labels"),
        (document(active=-1), "entry 0 is not a label.*-1 is not a whole number"),
        (document(low=2), "entry 0 is not a label.*not between 0 and 1"),
        ("[" * 100_000, "not readable JSON"),
    ],
)
def test_a_file_that_is_no_labels_file_is_refused(tmp_path: Path, text: str, said: str) -> None:
    save(tiny_models.dictionary("transcoder"), tmp_path)
    (tmp_path / "labels.json").write_text(text, "utf-8")
    with pytest.raises(DictionaryError, match=f"(?s)labels.json.*{said}"):
        load(tmp_path)
