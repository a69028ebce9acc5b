"""A book of labels: the user's over shipped ones, and nothing is ever lost."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from interp_widgets.dictionaries import labels as files
from interp_widgets.dictionaries.labels import Label
from interp_widgets.features import FeatureError
from interp_widgets.features.labelling.book import LabelBook
from interp_widgets.features.labelling.book_file import path_of

SHIPPED = {(1, 2): Label("texas", score=0.97, control=0.5, samples=240), (0, 7): Label("ohio")}
TODAY = datetime.date.today().isoformat()


@pytest.fixture
def book(tmp_path: Path) -> LabelBook:
    return LabelBook("a set", SHIPPED, tmp_path / "labels" / "a-set.json")


def again(book: LabelBook) -> LabelBook:
    """The same book, as another kernel opens it."""
    return LabelBook(book.scan, SHIPPED, book.path)


def texts(book: LabelBook) -> dict[tuple[int, int], str]:
    return {key: label.text for key, label in book.items()}


def test_a_users_label_stands_over_the_shipped_one(book: LabelBook) -> None:
    assert book.get(1, 2) == Label("texas", 0.97, 0.5, 240, kind="shipped")
    assert book.get(3, 3) is None
    book.put(1, 2, "cities of texas")
    assert book.get(1, 2) == Label("cities of texas", kind="by hand", date=TODAY)
    assert texts(book) == {(0, 7): "ohio", (1, 2): "cities of texas"}


def test_a_feature_that_there_is_not_gets_no_label(tmp_path: Path) -> None:
    book = LabelBook("a set", path=tmp_path / "labels.json", sizes={0: 8, 2: 5})
    book.put(2, 4, "the last one")
    for layer, feature, said in (
        (2, 5, "layer 2 of a set has 5 features"),
        (2, -1, "layer 2 of a set has 5 features"),
        (1, 0, "layer 1 of a set has no features"),
    ):
        with pytest.raises(FeatureError, match=f"L{layer}/{feature}: {said}"):
            book.put(layer, feature, "beyond")
    assert texts(book) == {(2, 4): "the last one"}


def test_labels_are_there_in_the_next_session(book: LabelBook) -> None:
    book.put(3, 4, Label("<b>día</b>", kind="proposed", score=0.9, low=0.8, high=1.0))
    assert again(book).get(3, 4) == Label(
        "<b>día</b>", kind="proposed", score=0.9, low=0.8, high=1.0, date=TODAY
    )
    assert files.read_file(book.path)[3, 4].text == "<b>día</b>"


def test_a_date_that_is_given_stays(book: LabelBook) -> None:
    assert book.put(3, 4, Label("a", kind="imported", date="2024-05-01")).date == "2024-05-01"


def test_taking_a_label_away_brings_the_shipped_one_to_light_and_then_hides_it(
    book: LabelBook,
) -> None:
    book.put(1, 2, "mine")
    below = book.remove(1, 2)
    assert below is not None
    assert below.text == "texas"
    assert book.remove(1, 2) is None
    assert (1, 2) not in texts(again(book))
    with pytest.raises(FeatureError, match="L1/2 has no label"):
        book.remove(1, 2)
    book.put(1, 2, "mine again")
    assert texts(again(book))[1, 2] == "mine again"


def test_a_score_is_kept_with_its_label_and_is_no_change_to_undo(book: LabelBook) -> None:
    label = book.put(3, 4, "cities")
    scored = replace(label, score=0.9, low=0.8, high=1.0, control=0.5, samples=99, active=9)
    assert book.keep_score(3, 4, scored)
    assert book.get(3, 4) == again(book).get(3, 4) == scored
    book.undo()
    assert book.get(3, 4) is None
    assert not book.can_undo


def test_a_change_is_undone_although_another_kernel_has_scored_the_label(book: LabelBook) -> None:
    book.put(3, 4, "first")
    label = book.put(3, 4, "second")
    assert again(book).keep_score(3, 4, replace(label, score=0.9, samples=99))
    assert book.undo() == {(3, 4)}
    assert texts(book)[3, 4] == "first"


def test_a_score_of_a_label_that_is_another_by_now_is_dropped(book: LabelBook) -> None:
    scored = replace(book.put(3, 4, "cities"), score=0.9)
    again(book).put(3, 4, "towns")
    assert not book.keep_score(3, 4, scored)
    now = again(book).get(3, 4)
    assert now is not None
    assert (now.text, now.score) == ("towns", None)
    # A shipped label is not the user's to change.
    assert not book.keep_score(0, 7, Label("ohio", score=0.9, kind="shipped"))
    assert SHIPPED[0, 7].score is None
    assert (0, 7) not in files.read_file(book.path)


def test_changes_are_undone_one_by_one(book: LabelBook) -> None:
    before = texts(book)
    book.put(1, 2, "first")
    book.put(1, 2, "second")
    book.remove(0, 7)
    assert book.undo() == {(0, 7)}
    assert texts(book)[0, 7] == "ohio"
    assert book.undo() == {(1, 2)}
    assert texts(again(book))[1, 2] == "first"
    book.undo()
    assert texts(again(book)) == before
    assert not book.can_undo
    assert book.undo() == frozenset()


def test_undo_leaves_what_another_kernel_has_changed_since(book: LabelBook) -> None:
    book.put(1, 2, "mine")
    again(book).put(1, 2, "theirs")
    with pytest.raises(FeatureError, match=r"L1/2 has been changed elsewhere"):
        book.undo()
    assert texts(book)[1, 2] == texts(again(book))[1, 2] == "theirs"
    assert not book.can_undo


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        (" \n\t ", "empty"),
        ("a" * 201, "at most 200 characters: this one has 201"),
        ("a" * 10_000_000, "at most 200 characters"),
        ("two\nlines", "one line of plain characters"),
        ("bell \x07", "cannot be shown"),
        ("\u202egnaw", "cannot be shown"),
        ("\ud800", "cannot be shown"),
        (None, "not NoneType"),
        (7, "not int"),
    ],
)
def test_what_is_no_label_is_refused_and_changes_nothing(
    book: LabelBook, text: object, said: str
) -> None:
    before = texts(book)
    with pytest.raises(FeatureError, match=said):
        book.put(1, 2, Label(text))  # type: ignore[arg-type]
    assert texts(book) == before
    assert not book.path.exists()


@pytest.mark.parametrize("text", ["a" * 200, "</script><img src=x onerror=alert(1)>", "“×” 日本"])
def test_any_line_of_text_is_a_label_and_comes_back_as_it_is(book: LabelBook, text: str) -> None:
    book.put(0, 0, text)
    assert texts(again(book))[0, 0] == text


# --- several writers ---------------------------------------------------------------------------


def test_two_books_on_one_file_lose_nothing(book: LabelBook) -> None:
    other = again(book)
    book.put(0, 1, "from one")
    other.put(0, 2, "from the other")
    book.put(0, 3, "from one again")
    wanted = {(0, 1): "from one", (0, 2): "from the other", (0, 3): "from one again"}
    for each in (book, other, again(book)):
        assert texts(each).items() >= wanted.items()


def test_threads_and_processes_that_label_at_once_lose_nothing(book: LabelBook) -> None:
    program = (
        "import sys; from interp_widgets.features.labelling.book import LabelBook\n"
        "book = LabelBook('a set', {}, sys.argv[1])\n"
        "for i in range(25): book.put(9, int(sys.argv[2]) + i, f'process {i}')"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", program, str(book.path), str(1000 * n)])
        for n in (1, 2)
    ]

    def label(first: int) -> None:
        for i in range(25):
            book.put(9, first + i, f"thread {i}")

    threads = [threading.Thread(target=label, args=(100 * n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [process.wait(60) for process in processes] == [0, 0]
    wanted = {(9, 100 * n + i): f"thread {i}" for n in range(3) for i in range(25)}
    wanted |= {(9, 1000 * n + i): f"process {i}" for n in (1, 2) for i in range(25)}
    assert {k: v for k, v in texts(again(book)).items() if k[0] == 9} == wanted


def test_what_another_kernel_labels_is_seen_at_the_next_look(book: LabelBook) -> None:
    heard: list[frozenset[tuple[int, int]]] = []
    book.on_change(heard.append)
    again(book).put(5, 5, "theirs")
    assert book.refresh()
    assert not book.refresh()
    assert heard == [frozenset({(5, 5)})]
    found = book.get(5, 5)
    assert found is not None
    assert found.text == "theirs"


def test_listeners_are_told_which_labels_changed_until_they_end_it(book: LabelBook) -> None:
    heard: list[frozenset[tuple[int, int]]] = []
    end = book.on_change(heard.append)
    book.put(0, 1, "a")
    book.put(0, 1, "a")  # the same once more
    book.remove(0, 1)
    book.undo()
    end()
    book.put(0, 2, "b")
    assert heard == [frozenset({(0, 1)})] * 3


def test_a_listener_may_use_the_book_from_another_thread(book: LabelBook) -> None:
    answers: list[str] = []

    def listen(_: object) -> None:
        def work() -> None:
            found = book.get(0, 1)
            answers.append(found.text if found else "")
            book.refresh()

        thread = threading.Thread(target=work)
        thread.start()
        thread.join(10)
        answers.append("stuck" if thread.is_alive() else "free")

    book.on_change(listen)
    book.put(0, 1, "a")
    assert answers == ["a", "free"]


# --- files that go wrong -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage", ["", "{", '{"format": "interp_widgets.labels"', "[]", "\x00" * 50]
)
def test_a_damaged_file_is_reported_and_kept_aside(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "book.json"
    path.write_text(damage, "utf-8")
    book = LabelBook("a set", SHIPPED, path)
    assert "book.json" in book.problem
    assert texts(book) == {(0, 7): "ohio", (1, 2): "texas"}
    assert path.read_text("utf-8") == damage

    book.put(0, 1, "new")
    (aside,) = tmp_path.glob("book.unreadable-*.json")
    assert aside.read_text("utf-8") == damage
    assert str(aside) in book.problem
    assert texts(again(book))[0, 1] == "new"
    assert again(book).problem == ""


def test_a_file_that_is_damaged_meanwhile_costs_no_label(book: LabelBook) -> None:
    book.put(0, 1, "before")
    book.path.write_text("{", "utf-8")
    book.put(0, 2, "after")
    assert texts(again(book)).items() >= {(0, 1): "before", (0, 2): "after"}.items()


def test_a_file_of_a_later_version_is_left_alone(book: LabelBook) -> None:
    book.put(0, 1, "a")
    later = book.path.read_text("utf-8").replace('"version": 1', '"version": 2')
    book.path.write_text(later, "utf-8")
    found = again(book)
    assert "newer interp_widgets" in found.problem
    with pytest.raises(FeatureError, match="Nothing was labelled: .*newer interp_widgets"):
        found.put(0, 2, "b")
    assert book.path.read_text("utf-8") == later
    assert found.get(0, 2) is None


def test_a_full_disk_is_a_sentence_and_the_old_labels_stay(
    book: LabelBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    book.put(0, 1, "a")
    before = book.path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(FeatureError, match=r"cannot be saved.*No space left.*nothing was"):
            book.put(0, 2, "b")
    assert book.path.read_bytes() == before
    assert book.get(0, 2) is None
    assert book.put(0, 2, "b").text == "b"


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    book = LabelBook("a set", {}, tmp_path / "file" / "book.json")
    with pytest.raises(FeatureError, match="INTERP_WIDGETS_DATA"):
        book.put(0, 1, "a")
    assert book.get(0, 1) is None


# --- in and out --------------------------------------------------------------------------------


def test_labels_of_others_do_not_replace_ones_own_unless_asked(
    book: LabelBook, tmp_path: Path
) -> None:
    book.put(0, 1, "mine")
    others = {(0, 1): Label("theirs"), (0, 2): Label("more " * 100), (1, 2): Label("new\nline")}
    assert book.merge(others, source="a colleague") == {(0, 2), (1, 2)}
    assert texts(book)[0, 1] == "mine"
    found = book.get(0, 2)
    assert found is not None
    assert (found.kind, found.source, len(found.text)) == ("imported", "a colleague", 200)
    assert texts(again(book))[1, 2] == "new line"
    assert book.undo() == {(0, 2), (1, 2)}
    assert texts(book) == {(0, 1): "mine", (0, 7): "ohio", (1, 2): "texas"}
    assert book.merge(others, over=True) == set(others)
    assert texts(book)[0, 1] == "theirs"


def test_an_exported_book_is_a_labels_file_that_another_book_takes_in(
    book: LabelBook, tmp_path: Path
) -> None:
    book.put(0, 1, Label("mine", kind="by hand", score=0.9))
    (tmp_path / "folder").mkdir()
    path = book.export(tmp_path / "folder")
    assert path.name == "labels.json"
    assert {k: v.text for k, v in files.read(tmp_path / "folder").items()} == texts(book)

    other = LabelBook("another", {}, tmp_path / "other.json")
    assert other.merge(path) == {(0, 1), (0, 7), (1, 2)}
    found = other.get(0, 1)
    assert found is not None
    assert (found.text, found.score, found.kind) == ("mine", 0.9, "imported")
    assert found.source == "labels.json"


def test_a_file_that_is_no_labels_file_is_not_taken_in(book: LabelBook, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(FeatureError, match=r"x\.json has no"):
        book.merge(tmp_path / "x.json")
    with pytest.raises(FeatureError, match="not readable"):
        book.merge(tmp_path / "absent.json")
    with pytest.raises(FeatureError, match="cannot be written"):
        book.export(tmp_path / "absent" / "labels.json")


def test_a_book_of_many_labels_opens_whole(tmp_path: Path) -> None:
    many = {(0, i): Label(f"label {i}") for i in range(20_000)}
    book = LabelBook("large", {}, tmp_path / "large.json")
    book.merge(many)
    book.put(1, 0, "one more")
    assert len(LabelBook("large", {}, tmp_path / "large.json")) == 20_001


@pytest.mark.parametrize("scan", ["../../etc", "a/b\\c", "", ".", "nul\x00", "x" * 500, "日本"])
def test_any_name_of_a_dictionary_gives_a_file_in_the_users_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scan: str
) -> None:
    monkeypatch.setenv("INTERP_WIDGETS_DATA", str(tmp_path))
    path = path_of(scan, "0123456789")
    assert path.parent == tmp_path / "labels"
    assert path.name.endswith("-01234567.json")
    LabelBook(scan, {}, fingerprint="0123456789").put(0, 0, "a")
    assert json.loads(path.read_text("utf-8"))["labels"][0]["text"] == "a"
    assert path_of(scan) != path
