"""What a search finds is what a look at every unit finds, and it says why."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from planted_index import planted, sentences

import interp_widgets as iw
from interp_widgets.dictionaries.labels import Label
from interp_widgets.features import FeatureError, Index, StoredIndex, open_index
from interp_widgets.features.labelling.contexts import sheet_of
from interp_widgets.features.labelling.occurrences import occurrences
from interp_widgets.features.labelling.rules import parse
from interp_widgets.features.search import Found, firing_on_word, search
from interp_widgets.labs import organism
from interp_widgets.models import PromptError

DALLAS = "the capital of the state containing dallas is"


@pytest.fixture(scope="module")
def found() -> Index:
    """The index that ships with the organism."""
    model = iw.load("organism")
    assert model.dictionary is not None
    return open_index(Path(organism.__file__).parent / "weights" / "index", model)


@pytest.fixture
def labelled(found: Index) -> Iterator[Index]:
    """The same with some labels of a user's."""
    book = found.book
    book.merge(
        {
            (0, 0): Label("Names of Texas", score=0.7),
            (0, 1): Label("texas", score=0.8),
            (0, 2): Label("texas", score=0.9),
            (0, 3): Label("says texas", score=0.9),
            (0, 4): Label("pretexasque"),
            (0, 5): Label("tex (as in mex)"),
            (1, 0): Label("texas rangers"),
            (1, 1): Label("<script>alert(1)</script> İstanbul"),
        },
        over=True,
    )
    yield found
    while book.can_undo:
        book.undo()


def where(rows: list[Found]) -> list[tuple[int, int]]:
    return [(row.layer, row.feature) for row in rows]


# --- labels ------------------------------------------------------------------------------------


def test_labels_come_exact_ones_first_and_better_scores_before_worse(labelled: Index) -> None:
    rows = search(labelled, "Texas", n=500)
    own = [row for row in rows if row.layer == 0 and row.feature < 6]
    assert where(own) == [(0, 2), (0, 1), (0, 3), (0, 0), (0, 4)]
    texts = {key: label.text for key, label in labelled.book.items()}
    assert set(where(rows)) == {key for key, text in texts.items() if "texas" in text.casefold()}
    assert own[0] == Found(0, 2, "texas", "its label", 0.9)
    assert own[-1].why == "inside a word of its label"
    assert where(search(labelled, "texas", n=3)) == where(rows)[:3]
    assert all(row.layer == 1 for row in search(labelled, "texas", layer=1))


def test_all_words_must_be_there_in_any_order(labelled: Index) -> None:
    assert where(search(labelled, "texas of NAMES")) == [(0, 0)]
    assert search(labelled, "texas names nowhere") == []


def test_a_label_is_found_as_soon_as_it_is_given_and_not_when_it_is_gone(labelled: Index) -> None:
    assert search(labelled, "quokka") == []
    labelled.book.put(2, 5, "quokka")
    assert where(search(labelled, "quokka")) == [(2, 5)]
    labelled.book.put(2, 5, "wombat")
    assert search(labelled, "quokka") == []


@pytest.mark.parametrize("query", ["<script>", "alert(1)", "(as in", "istanbul", "İSTANBUL"])
def test_any_letters_are_looked_for_as_they_are(labelled: Index, query: str) -> None:
    wanted = (1, 1) if "(as" not in query else (0, 5)
    # İ is an i and a dot above where case does not count.
    expected = [] if query == "istanbul" else [wanted]
    assert where(search(labelled, query)) == expected


@pytest.mark.parametrize("query", ["L2/117", "2/117", " l2/f117 ", "2.117", "2,117"])
def test_a_unit_is_found_by_its_number(found: Index, query: str) -> None:
    (row,) = search(found, query)
    assert (row.layer, row.feature, row.why) == (2, 117, "its number")
    assert row.label == found.label(2, 117)


@pytest.mark.parametrize("query", ["L9/0", "2/99999", "2/99999999999999999999"])
def test_a_number_that_there_is_not_finds_nothing(found: Index, query: str) -> None:
    assert search(found, query) == []
    assert search(found, "2/117", layer=1) == []


@pytest.mark.parametrize("query", ["", "  \n"])
def test_an_empty_query_is_a_sentence(found: Index, query: str) -> None:
    for by in ("label", "token", "prompt", "promotes"):
        with pytest.raises(FeatureError, match="nothing to look for"):
            search(found, query, by=by)
    with pytest.raises(FeatureError, match="'colour' is no way to search"):
        search(found, "blue", by="colour")  # type: ignore[arg-type]


# --- words in the text -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    ["texas", "DALLAS", "state containing", "the", "is in", "?", "san", "alice went", "tex"],
)
def test_a_word_is_found_wherever_it_stands_whole(found: Index, query: str) -> None:
    stored = found.stored
    pattern = re.compile(rf"(?<!\w){re.escape(query.casefold())}(?!\w)")
    expected = []
    for number in range(stored.n_windows):
        start, end = stored.window(number)
        tokens = stored.tokens(start, end)
        edges = np.cumsum([0, *map(len, tokens)]).tolist()
        for match in pattern.finditer("".join(tokens)):
            begin = next(i for i, edge in enumerate(edges) if edge > match.start()) - 1
            behind = next(i for i, edge in enumerate(edges) if edge >= match.end())
            expected.append((start + begin, start + behind))
    first, last = occurrences(stored, query)
    assert list(zip(first.tolist(), last.tolist(), strict=True)) == expected
    assert expected or query in ("tex", "DALLAS", "san")


def test_words_do_not_reach_over_the_end_of_a_text(tmp_path: Path) -> None:
    windows = [["a", " dal"], ["las", " is"], [" da", "ll", "as"], [" dallas", "ite"], [" Dallas"]]
    stored = planted(tmp_path / "x", windows, {(0, 0): lambda w, i: 1.0})
    first, last = occurrences(stored, "dallas")
    assert list(zip(first.tolist(), last.tolist(), strict=True)) == [(4, 7), (9, 10)]
    assert len(occurrences(stored, "las is")[0]) == 1
    assert len(occurrences(stored, "dal las")[0]) == 0


@pytest.mark.parametrize("query", ["state containing", "texas", "?"])
def test_units_that_fire_on_a_word_are_those_of_a_loop_over_all(found: Index, query: str) -> None:
    stored = found.stored
    first, last = occurrences(stored, query)
    places, tokens = Counter[tuple[int, int]](), Counter[tuple[int, int]]()
    for start, end in zip(first.tolist(), last.tolist(), strict=True):
        on = [unit for position in range(start, end) for unit in stored.active_at(position)]
        tokens.update(on)
        places.update(set(on))

    def f1(unit: tuple[int, int]) -> float:
        recall = places[unit] / len(first)
        precision = tokens[unit] / int(stored.counts(unit[0])[unit[1]])
        return 2 * recall * precision / (recall + precision)

    ranked = sorted(places, key=lambda unit: (-f1(unit), unit))
    rows = search(found, query, by="token", n=30)
    assert [row.value for row in rows] == pytest.approx([f1(unit) for unit in ranked[:30]])
    assert set(where(rows[:10])) <= {u for u in ranked if f1(u) >= f1(ranked[9]) - 1e-9}
    best = rows[0]
    share = places[best.layer, best.feature] / len(first)
    assert best.why.startswith(f"fires on {share:.0%} of {len(first):,} × “{query}”")
    assert best.label == found.label(best.layer, best.feature)
    only = search(found, query, by="token", n=5, layer=3)
    assert where(only) == [unit for unit in ranked if unit[0] == 3][:5]


def test_a_planted_unit_is_found_by_its_word(tmp_path: Path) -> None:
    stored = planted(
        tmp_path / "x",
        sentences(),
        {(0, 3): lambda w, i: float(w[i] == "sed"), (4, 1): lambda w, i: float(w[i] == " cow")},
    )
    assert where(firing_on_word(stored, "cow")) == [(4, 1)]
    (row,) = firing_on_word(stored, "chased")
    # It fires on every "chased", on the second of its two tokens.
    assert (row.layer, row.feature, row.value) == (0, 3, 1.0)
    assert firing_on_word(stored, "zebra") == []


# --- texts and tokens --------------------------------------------------------------------------


def test_units_that_fire_on_a_text_are_those_of_a_run(found: Index) -> None:
    firing = found.fire(DALLAS)
    rows = search(found, DALLAS, by="prompt", n=10_000)
    assert set(where(rows)) == set(zip(firing.layer.tolist(), firing.feature.tolist(), strict=True))
    shares = []
    for row in rows:
        values = firing.of(row.layer, row.feature)
        assert row.value == pytest.approx(values[np.abs(values).argmax()])
        most = found.stored.strongest(row.layer)[row.feature]
        shares.append(abs(row.value or 0.0) / float(most) if most else 0.0)
        token = firing.tokens[int(np.abs(values).argmax())].strip()
        assert row.why.startswith(f"fires on “{token}”")
    assert shares == sorted(shares, reverse=True)
    assert {row.layer for row in search(found, DALLAS, by="prompt", layer=2)} == {2}


def bytewise(text: str) -> list[str]:
    """What each token adds, where every byte is a token: a letter stands at the last of its bytes."""
    return [part for letter in text for part in [""] * (len(letter.encode()) - 1) + [letter]]


SPREAD = [
    "I love 😀 and 😎, 😎😎 and 🎉.",
    "日本語の文章。本日は😀です",
    "привет, Привет приветы мир при",
    "caf\u00e9 CAF\u00c9 caf cafe\u0301 naïve",
    "а😀б 😀а",
    "日",
]


@pytest.fixture(scope="module")
def spread(tmp_path_factory: pytest.TempPathFactory) -> StoredIndex:
    tokens = [bytewise(text) for text in SPREAD]
    units = {(0, 0): lambda window, i: float(window is tokens[0] and window[i] == "😎")}
    return planted(
        tmp_path_factory.mktemp("spread") / "it", tokens, units, list("".join(SPREAD).encode())
    )


def joined(a: str, b: str) -> bool:
    """Whether two letters beside each other are of one word."""
    return all(c.isdigit() or c.lower() != c.upper() for c in (a, b))


@pytest.mark.parametrize(
    "query",
    [
        *(
            "😀",
            "😎",
            "😎😎",
            "🎉",
            "日",
            "日本語",
            "本",
            "章",
            "です",
            "привет",
            "Привет",
            "приветы",
            "при",
        ),
        *(
            "café",
            "CAFÉ",
            "caf",
            "naïve",
            "а",
            "б",
            "а😀б",
            "love 😀 and",
            "мир при",
            "語",
            "🙃",
            "p",
        ),
    ],
)
def test_letters_of_several_tokens_are_found_as_letters(spread: StoredIndex, query: str) -> None:
    """The last byte of 😎 ends other letters, too. Expected is what a look at the text finds."""
    expected, start = [], 0
    for text in SPREAD:
        for match in re.finditer(f"(?={re.escape(query.casefold())})", text.casefold()):
            first, last = match.start(), match.start() + len(query)
            before = first > 0 and joined(text[first - 1], text[first])
            behind = last < len(text) and joined(text[last - 1], text[last])
            if not before and not behind:
                ends = (len(text[:at].encode()) for at in (first, last))
                expected.append(tuple(start + end for end in ends))
        start += len(text.encode())
    first_tokens, behind_last = occurrences(spread, query)
    assert list(zip(first_tokens.tolist(), behind_last.tolist(), strict=True)) == expected


def test_a_rule_about_a_letter_of_several_tokens_is_about_that_letter(spread: StoredIndex) -> None:
    rule = parse("“😎”")
    assert rule is not None
    sheet = sheet_of(spread)
    held = sheet.position[rule.holds(sheet, np.arange(len(sheet)))]
    whole = "".join(SPREAD)
    expected = [len(whole[: at + 1].encode()) - 1 for at, c in enumerate(whole) if c == "😎"]
    assert held.tolist() == expected
    (found,) = firing_on_word(spread, "😎")
    assert (found.layer, found.feature, found.value) == (0, 0, pytest.approx(1.0))


def test_a_letter_whose_first_token_has_the_blank_is_that_letter(tmp_path: Path) -> None:
    """GPT-2's table has one token for a blank and the first bytes of many emoji. The id of the last
    byte ends others, too, which is seen only by what it adds."""
    windows = [
        ["I", " ", "😎", " x"],
        ["a", " ", "😀"],
        [" ", "😎"],
        ["b", "", "😎"],
        [" 日", "😎"],
    ]
    ids = [1, 2, 3, 4, 5, 2, 3, 2, 3, 6, 7, 3, 8, 3]
    stored = planted(tmp_path / "it", windows, {(0, 0): lambda window, i: 1.0}, ids)
    first, behind = occurrences(stored, "😎")
    assert (first.tolist(), behind.tolist()) == ([2, 8, 10, 13], [3, 9, 12, 14])
    assert occurrences(stored, "😀")[0].tolist() == [6]
    sheet = sheet_of(stored)
    rule = parse("“😎”")
    assert rule is not None
    assert sheet.position[rule.holds(sheet, np.arange(len(sheet)))].tolist() == [2, 8, 11, 13]


def test_a_blank_that_adds_nothing_is_no_part_of_a_letter(tmp_path: Path) -> None:
    """As SentencePiece spells the beginning of a text. The words behind it begin there."""
    windows = [["", "hello", " world"], [" say", "", "hello"], ["", "été", " x"], ["un", " été"]]
    ids = [9, 1, 2, 3, 9, 1, 9, 4, 5, 6, 4]
    stored = planted(tmp_path / "it", windows, {(0, 0): lambda window, i: 1.0}, ids)
    for word, first in (("hello", [1, 5]), ("été", [6, 10]), ("say hello", [3])):
        assert occurrences(stored, word)[0].tolist() == first
    sheet = sheet_of(stored)
    shown = [sheet.vocabulary.shown(word) for word in sheet.word.tolist()]
    assert (shown[1], shown[2], shown[5]) == ("hello", "world", "hello")


def test_a_text_that_is_too_long_is_a_sentence(found: Index) -> None:
    with pytest.raises(PromptError):
        search(found, "dallas " * 500, by="prompt")


def test_units_that_promote_a_token_are_those_of_the_weights(found: Index) -> None:
    (token,) = found.model.tokenizer("austin", add_special_tokens=False)["input_ids"]
    expected = found.weights.promotes(token, 8)
    rows = search(found, "austin", by="promotes", n=8)
    assert where(rows) == [(each.layer, each.feature) for each in expected]
    assert [row.value for row in rows] == pytest.approx([each.z for each in expected])
    assert all("to “austin”" in row.why for row in rows)
    first = search(found, "dallas", by="promotes", n=1)[0]
    assert "to “da”, the first token of “dallas”" in first.why


@pytest.mark.parametrize("layer", [0, 1, 3])
def test_of_one_layer_all_are_found_that_promote_a_token(found: Index, layer: int) -> None:
    """As many as are asked for, also where the units of other layers promote it more."""
    (token,) = found.model.tokenizer("austin", add_special_tokens=False)["input_ids"]
    everything = found.weights.promotes(token, 5 * 1152)
    expected = [(each.layer, each.feature) for each in everything if each.layer == layer]
    assert where(search(found, "austin", by="promotes", layer=layer)) == expected[:50]


def test_a_token_that_the_model_does_not_know_is_a_sentence(found: Index) -> None:
    """And not what promotes the sign for unknown ones."""
    with pytest.raises(FeatureError, match="“\U0001f600” is not in the vocabulary of organism"):
        search(found, "\U0001f600", by="promotes")


def test_a_dash_is_shown_as_what_it_is(found: Index) -> None:
    assert search(found, "austin-born", by="promotes", n=1)[0].why.endswith("of “austin-born”")


def test_a_layer_that_there_is_not_is_a_sentence(found: Index) -> None:
    for by in ("label", "token", "prompt", "promotes"):
        with pytest.raises(FeatureError, match="no features of layer 99; layers: 0, 1, 2, 3, 4"):
            search(found, "texas", by=by, layer=99)  # type: ignore[arg-type]
        with pytest.raises(FeatureError, match="n is a whole number of at least 0, not -1"):
            search(found, "texas", by=by, n=-1)  # type: ignore[arg-type]
        assert search(found, "texas", by=by, n=0) == []  # type: ignore[arg-type]


def test_the_index_itself_searches(found: Index) -> None:
    assert found.search("texas") == search(found, "texas")
    assert found.search("texas", by="token", n=3) == search(found, "texas", by="token", n=3)


def test_a_feature_asks_and_judges_with_the_users_language_model(found: Index) -> None:
    feature = found[0, 31]
    asked: list[str] = []

    def model(prompt: str) -> str:
        asked.append(prompt)
        return "LABEL: containing" if "LABEL" in prompt else "[1, 0, 1, 0, 1]"

    label = feature.ask(model, examples=3)
    assert (label.text, len(asked)) == ("containing", 1)
    score = feature.judge(label, model, texts=5, controls=1)
    assert len(asked) == 1 + 2 * 2
    assert score.n_active + score.n_other == 10
    assert score.auroc == score.control
