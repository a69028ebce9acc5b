"""A detection score is the share of pairs told apart, and is near one half where there is nothing."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_index import NOUNS, PLACES, VERBS, planted, sentences

from interp_widgets.dictionaries.labels import Label
from interp_widgets.features import FeatureError, StoredIndex
from interp_widgets.features.labelling.activity import activity
from interp_widgets.features.labelling.book import LabelBook
from interp_widgets.features.labelling.detection import detect
from interp_widgets.features.labelling.hook import ask, judge
from interp_widgets.features.labelling.proposing import propose
from interp_widgets.features.labelling.separating import Trial, auroc, interval

WINDOWS = sentences()
CAT, TEXAS, CHANCE, RARE, NEVER = range(5)
OTHERS = range(5, 30)


def cat(window: Sequence[str], i: int) -> float:
    return 1.0 + i / 10 if window[i] == " cat" else 0.0


def by_chance(window: Sequence[str], i: int) -> float:
    return float(Random(f"{window}{i}").random() < 0.1)


def other(number: int) -> Callable[[Sequence[str], int], float]:
    """Some word stands so many tokens further on or before."""
    random = Random(number)
    word, by = random.choice([*NOUNS, *PLACES, *VERBS, ".", "?", "and"]), random.randint(-3, 2)
    return lambda w, i: float(0 <= i + by < len(w) and w[i + by] == f" {word}")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> StoredIndex:
    units = {
        (0, CAT): cat,
        (0, TEXAS): lambda w, i: float(w[i] in (" .", " ?") and w[1] == " texas"),
        (0, CHANCE): by_chance,
        (0, RARE): lambda w, i: float(w in WINDOWS[:1] and i == 2),
    } | {(0, number): other(number) for number in OTHERS}
    return planted(tmp_path_factory.mktemp("planted") / "index", WINDOWS, units)


class Labelled:
    """An index with a book, as the public one is."""

    def __init__(self, stored: StoredIndex, path: Path, labels: dict[int, str]) -> None:
        self.stored = stored
        self.book = LabelBook("planted", {(0, k): Label(v) for k, v in labels.items()}, path)


def pairs(scores: Sequence[float], active: Sequence[bool], times: Sequence[int]) -> float:
    """The share of (active, other) pairs in which the active one is higher, ties half."""
    inside = [(s, n) for s, a, n in zip(scores, active, times, strict=True) if a]
    outside = [(s, n) for s, a, n in zip(scores, active, times, strict=True) if not a]
    won = sum(((s > t) + (s == t) / 2) * n * m for (s, n), (t, m) in product(inside, outside))
    return won / (sum(n for _, n in inside) * sum(m for _, m in outside))


# --- the area under the curve ------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=40))
def test_the_area_is_the_share_of_pairs(rows: list[tuple[int, bool]]) -> None:
    scores, active = [s for s, _ in rows], [a for _, a in rows]
    found = auroc(np.array(scores), np.array(active))
    if all(active) or not any(active):
        assert math.isnan(found)
    else:
        assert found == pytest.approx(pairs(scores, active, [1] * len(rows)))


@pytest.mark.parametrize("levels", [2, 5])
def test_the_interval_is_that_of_draws_of_whole_windows(index: StoredIndex, levels: int) -> None:
    random = np.random.default_rng(1)
    sheet = activity(index, 0, CAT).sheet
    places = np.sort(random.choice(len(sheet), 60, replace=False))
    active = random.random(60) < 0.4
    scores = random.integers(levels, size=60) + active
    window = sheet.window[places].tolist()
    low, high = interval(
        scores > levels // 2 if levels == 2 else scores, Trial(sheet, places, active)
    )

    names = sorted(set(window))
    drawn = []
    for _ in range(400):
        count = dict(zip(names, random.poisson(1, len(names)).tolist(), strict=True))
        times = [count[w] for w in window]
        if any(n and a for n, a in zip(times, active, strict=True)):
            values = (scores > levels // 2 if levels == 2 else scores).tolist()
            drawn.append(pairs(values, active.tolist(), times))
    assert (low, high) == pytest.approx(np.percentile(drawn, (2.5, 97.5)), abs=0.04)


def test_one_text_has_no_interval(index: StoredIndex) -> None:
    sheet = activity(index, 0, CAT).sheet
    places = np.arange(30)
    one = interval(np.arange(30), Trial(sheet, places, places < 2))
    assert all(math.isnan(end) for end in one)


# --- rules -------------------------------------------------------------------------------------


def test_the_score_of_a_rule_is_that_of_a_plain_loop_over_the_held_out_tokens(
    index: StoredIndex,
) -> None:
    found = activity(index, 0, TEXAS)
    trial = found.held_out()
    guesses = []
    for place in trial.places.tolist():
        position = int(found.sheet.position[place])
        guesses.append(index.tokens(position, position + 1)[0] in (" .", " met"))
    score = detect(index, 0, TEXAS, "“.” or “met”")
    ones = [1] * len(guesses)
    assert score.auroc == pytest.approx(pairs(guesses, trial.active.tolist(), ones))
    assert (score.n_active, score.n_other) == (trial.n_active, trial.n_other)
    assert 0 < score.low < score.auroc < score.high < 1


def test_a_proposed_label_has_the_same_score_whoever_asks(index: StoredIndex) -> None:
    for proposal in propose(index, 0, TEXAS):
        assert detect(index, 0, TEXAS, proposal.text) == proposal.score
        assert detect(index, 0, TEXAS, Label(proposal.text, kind="by hand")) == proposal.score


def test_the_control_is_near_one_half_and_apart_from_a_label_that_holds(index: StoredIndex) -> None:
    for by, label in (("rule", "“cat”"), ("examples", "pets")):
        score = detect(index, 0, CAT, label, by=by)  # type: ignore[arg-type]
        assert score.auroc > 0.99
        assert score.n_control == 20
        assert 0.35 < score.control < 0.65
        assert score.control_low <= score.control <= score.control_high
        assert 0 <= score.low <= score.auroc <= score.high <= 1


def test_a_wrong_rule_separates_nothing(index: StoredIndex) -> None:
    assert detect(index, 0, CAT, "“texas”").auroc == pytest.approx(0.5, abs=0.1)
    assert detect(index, 0, CAT, "“no such word”").auroc == 0.5


# --- examples ----------------------------------------------------------------------------------


def test_a_label_in_free_text_is_judged_by_its_examples(index: StoredIndex) -> None:
    for label in ("pets", "a word that is wrong", None):
        score = detect(index, 0, CAT, label)
        assert "examples, not from the label's words" in score.how
        assert score.auroc > 0.99
    assert detect(index, 0, TEXAS, "ends of sentences about texas").auroc > 0.9


def test_examples_of_a_unit_that_fires_by_chance_have_nothing_in_common(index: StoredIndex) -> None:
    score = detect(index, 0, CHANCE)
    assert 0.35 < score.auroc < 0.65
    assert score.low < 0.55


def test_what_was_learned_from_is_not_judged_on(index: StoredIndex) -> None:
    found = activity(index, 0, CAT)
    used = found.places[:10]
    trial = found.beside(used)

    def texts(places: Any) -> set[tuple[str, ...]]:
        positions = found.sheet.position[places].tolist()
        return {tuple(index.tokens(*index.window_of(p))) for p in positions}

    assert not texts(used) & texts(trial.places)
    assert trial.n_active == sum(
        tuple(index.tokens(*index.window_of(p))) not in texts(used)
        for p in found.sheet.position[found.places].tolist()
    )


# --- words -------------------------------------------------------------------------------------


def test_a_label_can_be_read_as_words_to_look_for(index: StoredIndex, tmp_path: Path) -> None:
    named = Labelled(index, tmp_path / "b.json", {n: NOUNS[n % 10] for n in range(5, 15)})
    score = detect(named, 0, TEXAS, "the sentence says: Texas!", by="words")
    assert score.how == "the text has sentence or texas"
    assert score.auroc > 0.85
    assert score.n_control == 10
    assert 0.4 < score.control < 0.6
    assert detect(index, 0, TEXAS, "plural verbs", by="words").auroc == 0.5
    assert math.isnan(detect(index, 0, TEXAS, "texas", by="words").control)


@pytest.mark.parametrize(
    ("unit", "label", "by", "said"),
    [
        (CAT, "pets", "rule", "'pets' is not a rule"),
        (CAT, "of the", "words", "has no word to look for"),
        (CAT, "…!", "words", "has no word to look for"),
        (CAT, "pets", "guess", "'guess' is no detector"),
        (NEVER, "pets", None, "not active anywhere"),
        (RARE, "“the”", None, "too few texts"),
        (RARE, "pets", None, "too few texts"),
    ],
)
def test_what_cannot_be_judged_is_a_sentence(
    index: StoredIndex, unit: int, label: str, by: Any, said: str
) -> None:
    with pytest.raises(FeatureError, match=said):
        detect(index, 0, unit, label, by=by)


@pytest.mark.parametrize("label", ["", "  ", 5, ["cat"]])
def test_what_is_no_label_is_not_judged(index: StoredIndex, label: Any) -> None:
    with pytest.raises(FeatureError, match="A label is a text such as “las”, not"):
        detect(index, 0, CAT, label)
    with pytest.raises(FeatureError, match="A label is a text such as “las”, not"):
        judge(index, 0, CAT, label, reader("cat"))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (lambda i: ask(i, 0, CAT, reader("cat"), examples=0), "examples .* at least 1, not 0"),
        (lambda i: judge(i, 0, CAT, "cat", reader("cat"), texts=1), "texts .* at least 2, not 1"),
        (lambda i: judge(i, 0, CAT, "cat", reader("cat"), controls=-1), "controls .* not -1"),
        (lambda i: propose(i, 0, CAT, n=-1), "n is a whole number of at least 0, not -1"),
    ],
)
def test_numbers_that_make_no_sense_are_sentences(
    index: StoredIndex, asked: Callable[[StoredIndex], object], said: str
) -> None:
    with pytest.raises(FeatureError, match=said):
        asked(index)


def test_texts_that_are_all_alike_are_said_to_be(tmp_path: Path) -> None:
    """The unit is active on half of the tokens, so that is not what is wrong."""
    alike = planted(tmp_path / "it", [[" a", " b"]] * 9, {(0, 0): lambda window, i: float(i == 0)})
    for wanted in ("“a”", "the letter"):
        with pytest.raises(
            FeatureError, match="too few, or too much alike, to check a label of L0"
        ):
            detect(alike, 0, 0, wanted)
    with pytest.raises(FeatureError, match="too few, or too much alike"):
        propose(alike, 0, 0)


# --- a user's language model -------------------------------------------------------------------


def reader(word: str) -> Callable[[str], str]:
    """Says 1 for texts that have the label's word."""

    def answer(prompt: str) -> str:
        wanted = re.search(r"stand for this: (.*)", prompt)
        assert wanted is not None
        texts = re.findall(r"^\d+\. (.*)$", prompt, re.MULTILINE)
        right = wanted[1] == word
        return f"Sure: [{', '.join(str(int(right and word in text.split())) for text in texts)}]."

    return answer


def test_a_language_model_names_a_unit_from_its_examples(index: StoredIndex) -> None:
    asked: list[str] = []

    def model(prompt: str) -> str:
        asked.append(prompt)
        return 'Let me see.\nLABEL: "the word cat"\n'

    label = ask(index, 0, CAT, model, examples=7)
    assert (label.text, label.kind, label.score) == ("the word cat", "proposed", None)
    assert "7 examples" in label.source
    (prompt,) = asked
    assert prompt.count("<<cat>>") >= 7
    assert len(re.findall(r"^\d+\. ", prompt, re.MULTILINE)) == 7


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("cats", "cats"),
        ("**Label:** “cats”", "cats"),
        ("\n\n  cats and dogs \nbecause", "cats and dogs"),
        ("LABEL: first\nno, LABEL\nLABEL: second", "second"),
        ("LABEL: " + "long " * 100, "long " * 39 + "long…"),
        ("LABEL: a\x07b\u202e", "ab"),
        # What a label begins or ends with belongs to it, unless it is quotes around all of it.
        ("LABEL: “and” or “when”", "“and” or “when”"),
        ('LABEL: "yes" and "no"', '"yes" and "no"'),
        ("LABEL: <b>bold</b> tags", "<b>bold</b> tags"),
        ("- **LABEL**: $ amounts", "$ amounts"),
        ("## LABEL: the language C#", "the language C#"),
        ("LABEL: (in brackets)", "(in brackets)"),
    ],
)
def test_whatever_a_language_model_answers_becomes_one_line(
    index: StoredIndex, answer: str, label: str
) -> None:
    assert ask(index, 0, CAT, lambda prompt: answer).text == label


@pytest.mark.parametrize("answer", ["", " \n ", "LABEL:", "***", None, 7, ["a"]])
def test_an_answer_without_a_label_is_a_sentence(index: StoredIndex, answer: Any) -> None:
    with pytest.raises(FeatureError, match="language model"):
        ask(index, 0, CAT, lambda prompt: answer)


def test_a_language_model_that_fails_is_a_sentence(index: StoredIndex) -> None:
    def model(prompt: str) -> str:
        raise TimeoutError("no answer\nafter 30 s")

    with pytest.raises(FeatureError, match=r"TimeoutError: “no answer after 30 s”"):
        ask(index, 0, CAT, model)
    with pytest.raises(FeatureError, match="failed"):
        judge(index, 0, CAT, "cat", model)


def test_a_language_model_judges_a_label_on_held_out_texts(
    index: StoredIndex, tmp_path: Path
) -> None:
    named = Labelled(index, tmp_path / "b.json", {5: "cow", 6: "fox"})
    score = judge(named, 0, CAT, "cat", reader("cat"), texts=10, controls=2)
    assert (score.auroc, score.control, score.n_control) == (1, 0.5, 2)
    assert (score.n_active, score.n_other) == (10, 10)
    assert judge(index, 0, CAT, "cat", lambda prompt: "[1, 1, 1, 1, 1]", texts=10).auroc == 0.5


def test_answers_that_are_no_lists_are_left_out_and_counted(index: StoredIndex) -> None:
    right, calls = reader("cat"), [0]

    def sometimes(prompt: str) -> str:
        calls[0] += 1
        return "[1, 0]" if calls[0] == 2 else right(prompt)

    score = judge(index, 0, CAT, "cat", sometimes, texts=10)
    assert score.n_active + score.n_other == 15
    assert "5 texts without an answer left out" in score.how
    assert score.auroc == 1


@pytest.mark.parametrize("answer", ["yes", "[]", "[1, 2, 0, 1, 0]", "[[1, 0]]", "1, 0, 1, 0, 1"])
def test_a_language_model_that_never_judges_is_a_sentence(index: StoredIndex, answer: str) -> None:
    with pytest.raises(FeatureError, match="more than half"):
        judge(index, 0, CAT, "cat", lambda prompt: answer)


def test_too_few_texts_to_judge_on_are_a_sentence(index: StoredIndex) -> None:
    with pytest.raises(FeatureError, match="too few to judge"):
        judge(index, 0, RARE, "cat", reader("cat"))


@settings(max_examples=30)
@given(st.text(max_size=60))
def test_no_answer_breaks_the_reading_of_it(answer: str) -> None:
    from interp_widgets.features.labelling.hook import _label_in, _numbers_in

    assert "\n" not in _label_in(answer)
    assert len(_numbers_in(answer, 3)) == 3
