"""Rules are what they say, and the rule that a unit was made from is found again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from planted_index import Plant, planted, sentences

from interp_widgets.dictionaries.labels import checked, one_line
from interp_widgets.features import FeatureError, StoredIndex
from interp_widgets.features.labelling.activity import activity
from interp_widgets.features.labelling.contexts import SAMPLE, sheet_of
from interp_widgets.features.labelling.proposing import propose, rules
from interp_widgets.features.labelling.rules import Clause, Rule, parse, quoted

WINDOWS = sentences()


def near(word: str, by: int) -> Plant:
    """1 on the tokens beside which (so many further on) a word stands."""
    return lambda w, i: float(0 <= i + by < len(w) and w[i + by].strip() == word)


def earlier(word: str, here: Callable[[str], bool]) -> Plant:
    return lambda w, i: float(here(w[i].strip()) and any(t.strip() == word for t in w[:i]))


#: Units and the rule that each was made from.
PLANTS: list[tuple[Plant, str]] = [
    (near("cat", 0), "“cat”"),
    (near("saw", -1), "after “saw”"),
    (near("?", 1), "says “?”"),
    (near("utah", -2), "two after “utah”"),
    (near("sed", 0), "“…sed”"),
    (lambda w, i: float(w[i].strip() in ("cat", "dog", "owl")), "“cat” or “dog” or “owl”"),
    (
        lambda w, i: float(w[i] == " the" and w[max(0, i - 1)] == " and"),
        "“and” “the”",
    ),
    (earlier("texas", lambda t: t in ".?"), "punctuation, somewhere after “texas”"),
    (earlier("maine", lambda t: True), "somewhere after “maine”"),
    (lambda w, i: 0.0, ""),
    (lambda w, i: 1.0, ""),
    (lambda w, i: float(w == WINDOWS[0] and i == 1), ""),
    (lambda w, i: -near("cow", 0)(w, i) + near("bee", 0)(w, i), "“bee”"),
]
NEVER, ALWAYS, ONCE, SIGNED = range(9, 13)


def by_chance(window: Sequence[str], i: int) -> float:
    return float(Random(f"{window}{i}").random() < 0.05)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> StoredIndex:
    units = {(0, number): plant for number, (plant, _) in enumerate(PLANTS)}
    folder = tmp_path_factory.mktemp("planted") / "index"
    return planted(folder, WINDOWS, units | {(1, 0): by_chance, (1, 1): PLANTS[0][0]})


# --- finding -----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(9))
def test_the_rule_that_a_unit_was_made_from_is_found(index: StoredIndex, number: int) -> None:
    best = propose(index, 0, number)[0]
    wanted = parse(PLANTS[number][1])
    found = parse(best.text)
    assert wanted is not None
    assert found is not None
    # Words of a list may come in any order, and rules that hold on the same tokens are as good.
    sheet = sheet_of(index)
    assert (found.holds(sheet, sheet.all_common) == wanted.holds(sheet, sheet.all_common)).all()
    assert (best.score.auroc, best.precision, best.recall) == (1, 1, 1)
    assert (best.score.low, best.score.high) == (1, 1)
    assert 0.35 < best.score.control < 0.65
    assert best.score.n_active > 20
    assert best.score.n_other > 1000


def test_a_found_rule_makes_a_label_with_its_score(index: StoredIndex) -> None:
    best = propose(index, 0, 0)[0]
    assert best.text == "“cat”"
    label = best.label
    assert (label.text, label.kind, label.score, label.low) == ("“cat”", "proposed", 1.0, 1.0)
    assert label.control == round(best.score.control, 3)
    assert label.samples == best.score.n_active + best.score.n_other


def test_where_there_is_nothing_to_find_the_score_says_so(index: StoredIndex) -> None:
    for proposal in propose(index, 1, 0):
        assert 0.4 < proposal.score.auroc < 0.6
        assert proposal.score.low < 0.55
        assert proposal.precision < 0.3


def test_values_below_zero_have_rules_of_their_own(index: StoredIndex) -> None:
    assert propose(index, 0, SIGNED)[0].text == "“bee”"
    assert propose(index, 0, SIGNED, sign=-1)[0].text == "“cow”"


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (NEVER, "L0/9 is not active anywhere"),
        (ALWAYS, "L0/10 is active on nearly every token"),
        (ONCE, "L0/11 is active in too few texts"),
        (99, "has no feature 99"),
    ],
)
def test_what_cannot_be_named_is_a_sentence(index: StoredIndex, number: int, said: str) -> None:
    with pytest.raises(FeatureError, match=said):
        propose(index, 0, number)


def test_the_same_question_has_the_same_answer(index: StoredIndex, tmp_path: Path) -> None:
    again = planted(tmp_path / "again", WINDOWS, {(0, 5): PLANTS[5][0], (0, 0): PLANTS[0][0]})
    assert propose(index, 0, 5) == propose(index, 0, 5)
    assert [str(r) for r in rules(activity(again, 0, 5))] == [
        str(r) for r in rules(activity(index, 0, 5))
    ]


# --- halves ------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, 3, 8])
def test_rules_are_found_and_scored_on_texts_that_have_nothing_in_common(
    index: StoredIndex, number: int
) -> None:
    found = activity(index, 0, number)
    trial = found.held_out()

    def texts(places: Any) -> set[tuple[str, ...]]:
        windows = {index.window_of(int(found.sheet.position[place])) for place in places}
        return {tuple(index.tokens(*window)) for window in windows}

    active, silent = found.first_half()
    assert not texts(np.concatenate([active, silent])) & texts(trial.places)
    fires = PLANTS[number][0]
    for place, is_active in zip(trial.places.tolist(), trial.active.tolist(), strict=True):
        start, end = index.window_of(int(found.sheet.position[place]))
        assert bool(fires(index.tokens(start, end), place - start)) == is_active


def test_equal_texts_are_of_one_half(tmp_path: Path) -> None:
    doubled = planted(
        tmp_path / "x", [w for w in WINDOWS[:40] for _ in range(3)], {(0, 0): near("cat", 0)}
    )
    found = activity(doubled, 0, 0)
    second = found.second.reshape(40, 3)
    assert (second == second[:, :1]).all()
    assert second.any()
    assert not second.all()


def test_a_large_index_is_judged_on_a_sample_and_the_units_own_texts(tmp_path: Path) -> None:
    many = sentences(SAMPLE // 7, seed=3)
    rare = ["in", " texas", " the"]
    windows = [*many, *([*rare, " yak", f" {w}"] for w in ("a", "b", "c", "d"))]
    index = planted(tmp_path / "x", windows, {(0, 0): near("yak", 0), (0, 1): near("cat", 0)})
    assert index.n_positions > SAMPLE
    assert len(sheet_of(index)) < index.n_positions
    best = propose(index, 0, 0)[0]
    assert best.text == "“yak”"
    assert (best.score.auroc, best.score.n_active) == (1, 2)
    assert propose(index, 0, 1)[0].text == "“cat”"


# --- what rules say ----------------------------------------------------------------------------

WORDS = st.text(" abor\n\t\r”“\\unx0,é日\u2028\x00\u202e\u00a0", min_size=1, max_size=8)


@given(st.lists(WORDS, min_size=1, max_size=3), st.sampled_from(["", "after ", "says "]))
@example(["a” or “b", "” “", "\\", "\\” or “x"], "says ")
def test_any_word_can_stand_in_a_rule_and_a_rule_is_a_label(words: list[str], place: Any) -> None:
    rule = Rule((Clause(place.strip(), tuple((word,) for word in words)),))
    text = str(rule)
    assert parse(text) == rule
    assert parse(text + ", a number") == Rule((*rule.clauses, Clause("kind", (("a number",),))))
    if len(text) <= 200:
        assert checked(text) == one_line(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "texas", "“", "“”", "“a", "“a” and “b”", "“a” or", "“a”,", "“a” ", " “a”", "near “a”",
        "says “a” “b”", "somewhere after “a” “b”", "“a” “b” “c”", "a number or “a”", "“a”\n",
    ],
)  # fmt: skip
def test_other_text_is_no_rule(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("“cat”", lambda w, i: w[i] == "cat"),
        ("“the” “cat” or “dog”", lambda w, i: w[i] == "dog" or w[i - 1 : i + 1] == ["the", "cat"]),
        ("after “in”", lambda w, i: i > 0 and w[i - 1] == "in"),
        ("after “saw” “the”", lambda w, i: i > 1 and w[i - 2 : i] == ["saw", "the"]),
        ("two after “saw”", lambda w, i: i > 1 and w[i - 2] == "saw"),
        ("says “.” or “?”", lambda w, i: i + 1 < len(w) and w[i + 1] in ".?"),
        ("somewhere after “the”", lambda w, i: "the" in w[:i]),
        ("“the”, somewhere after “the”", lambda w, i: w[i] == "the" and "the" in w[:i]),
        ("punctuation", lambda w, i: w[i] in ".?"),
        ("part of a word", lambda w, i: w[i] in ("sed", "aho")),
        ("“…aho”", lambda w, i: w[i] == "aho"),
        ("“aho”", lambda w, i: False),
        ("at the beginning", lambda w, i: i == 0),
        ("a number or at the beginning", lambda w, i: i == 0),
        ("“unheard of”", lambda w, i: False),
    ],
)
def test_a_rule_holds_where_it_says(
    index: StoredIndex, text: str, plain: Callable[[list[str], int], bool]
) -> None:
    rule = parse(text)
    assert rule is not None
    sheet = sheet_of(index)
    words = [[token.strip() for token in window] for window in WINDOWS]
    expected = [plain(window, i) for window in words for i in range(len(window))]
    assert rule.holds(sheet, sheet.all_common).tolist() == expected
    some = np.array([3, 77, 1200, 78])
    assert rule.holds(sheet, some).tolist() == [expected[i] for i in some]


def test_words_are_read_without_case_and_space(tmp_path: Path) -> None:
    windows = [
        ["The", " cat", " sat"],
        ["see", " the", " Cat"],
        ["THE", "ory", "\n", "\n\n", "12", ""],
    ]
    index = planted(tmp_path / "x", windows, {(0, 0): near("cat", 0)})
    sheet = sheet_of(index)

    def holds(text: str) -> list[int]:
        rule = parse(text)
        assert rule is not None
        return np.flatnonzero(rule.holds(sheet, sheet.all_common)).tolist()

    assert holds("“the”") == [0, 4, 6]
    assert holds("“cat”") == [1, 5]
    assert holds("“…ory”") == [7]
    assert holds(quoted("\n")) == [8]
    assert holds("a line break") == [8, 9]
    assert holds("a number") == [10]
    assert holds("“�”") == [11]  # part of a letter


def test_a_quote_and_other_marks_stand_in_rules(tmp_path: Path) -> None:
    marks = ["”", "\\", "\n", "“", ", “", " or ", "” or “", "�"]
    windows = [
        [mark, " x", *random_tail] for mark in marks for random_tail in (["a"], ["b"], ["c"])
    ]
    units = {(0, n): near(mark.strip(), 0) for n, mark in enumerate(marks)}
    index = planted(tmp_path / "x", windows, units)
    for number, mark in enumerate(marks):
        best = propose(index, 0, number)[0]
        assert best.score.auroc == 1
        assert best.text == quoted(mark.strip() or mark)
