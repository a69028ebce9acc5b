"""The sample of free text: what it is, and that nothing in it is unaccounted for."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from pathlib import Path

import interp_widgets
from interp_widgets.features.free_text import free_text

FOLDER = Path(interp_widgets.__file__).parent / "features" / "free_text"


def lines() -> list[dict[str, str]]:
    raw = (FOLDER / "documents.jsonl").read_bytes()
    return [json.loads(line) for line in raw.decode("utf-8", errors="strict").splitlines()]


def test_there_is_about_a_megabyte_in_documents_of_a_page():
    documents = free_text()
    assert documents == [line["text"] for line in lines()]
    assert 600_000 <= sum(len(text.encode()) for text in documents) <= 1_000_000
    assert all(300 <= len(text) <= 2700 for text in documents)


def test_no_document_comes_twice():
    assert max(Counter(free_text()).values()) == 1
    # Nor does a long stretch of one stand in another.
    stretches = Counter(text[at : at + 120] for text in free_text() for at in range(0, 300, 120))
    assert max(stretches.values()) == 1


def test_they_are_clean_text():
    for text in free_text():
        strange = {
            character
            for character in text
            if unicodedata.category(character) in ("Cc", "Cf", "Co", "Cs", "Cn")
        }
        assert strange <= {"\n"}, text
        assert "\ufffd" not in text
        assert text == text.strip()
        assert "\n\n\n" not in text
        assert not re.search(r"[ ]\n", text), text


def test_no_mark_of_who_published_them_is_left():
    everything = "\n".join(free_text())
    for mark in ("Gutenberg", "http", "www.", "All rights reserved", "*** ", "FINIS"):
        assert mark not in everything, mark


def test_every_source_is_in_the_licence_and_is_free():
    table = {
        cells[1].strip(): cells[5].strip()
        for line in (FOLDER / "LICENSE.md").read_text("utf-8").splitlines()
        if line.startswith("| ") and (cells := line.split("|")) and cells[1].strip() != "key"
    }
    assert set(table) == {line["source"] for line in lines()}
    for key, reason in table.items():
        assert re.match(r"public domain|CC0|this project's own, MIT", reason), key


def test_the_first_hundred_are_of_many_kinds():
    sources = Counter(line["source"] for line in lines()[:100])
    assert len(sources) >= 10
    assert max(sources.values()) <= 30
    everything = "\n".join(free_text())
    for kind in (
        "def ",
        "SELECT ",
        "CREATE TABLE",
        "theorem",
        " | ",
        "thou ",
        "Jehová",
        "Mr. Darcy",
    ):
        assert everything.count(kind) >= 3, kind
