"""The script that trains SmolLM2's transcoders, on a model of three small layers."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import pytest
import tiny_models
from small_training import TEXT

from interp_widgets.dictionaries import Transcoders, load
from interp_widgets.labs import smollm2_transcoders as script
from interp_widgets.models import Model


def serialised(lines: list[str]) -> bytes:
    """A character vector as R writes it (version 3, big-endian), in a lazy-load file."""
    vector = b"X\n" + struct.pack(">III", 3, 0x040201, 0x030500) + struct.pack(">I", 5) + b"UTF-8"
    vector += struct.pack(">II", 16, len(lines))
    for line in lines:
        data = line.encode()
        vector += struct.pack(">II", 0x00040009, len(data)) + data
    return struct.pack(">I", len(vector)) + zlib.compress(vector)


def test_the_lines_of_r_vectors_are_read() -> None:
    books = [["EMMA", "", "By Jane Austen"], ["PERSUASION", "Sir Walter Elliot, é"]]
    data = b"".join(serialised(lines) for lines in books)
    assert list(script._r_strings(data)) == [line for lines in books for line in lines]


def test_lines_become_documents_of_whole_paragraphs() -> None:
    lines = ["one two", "three", "", "four five", "", "", "six", ""]
    assert list(script._paragraphs(iter(lines), words=4)) == ["one two three\n\nfour five"]


def test_glosses_are_words_and_what_they_mean(tmp_path: Path) -> None:
    file = tmp_path / "data.noun"
    file.write_text(
        "  1 This software and database is being provided to you\n"
        "02084071 05 n 02 dog 0 domestic_dog 0 001 @ 02083346 n 0000 | a member of the genus Canis\n"
    )
    assert list(script._glosses([file])) == ["dog, domestic dog: a member of the genus Canis"]


@pytest.mark.parametrize("stored", [None, 3000])
def test_from_text_to_a_published_set(
    stored: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Model = tiny_models.model("llama grouped")
    (tmp_path / "text").mkdir()
    for part in ("train", "held_out"):
        lines = (json.dumps({"source": "words", "text": text}) for text in TEXT)
        (tmp_path / f"text/{part}.jsonl").write_text("\n".join(lines))
    (tmp_path / "text/sources.json").write_text('{"words": 2250}')
    monkeypatch.setattr(script, "FEATURES", 96)
    script.train_all(model, tmp_path, range(3), 8192, stored)
    script.train_all(model, tmp_path, range(3), 8192, stored)  # nothing is left to do
    script.publish_all(model, tmp_path, 100)
    found = load(tmp_path / "published/all_layers")
    assert isinstance(found, Transcoders)
    assert (found.n_layers, found.n_features(0)) == (3, 96)
    assert found.skip(1) is not None
    card = (tmp_path / "published/README.md").read_text()
    assert "| L2 mlp_out |" in card
    assert "on 8,192" in card
