"""A label's score is kept with it, for the text that it was measured on."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from interp_widgets import load
from interp_widgets.dictionaries import load as load_dictionary
from interp_widgets.dictionaries.labels import Label
from interp_widgets.features import FeatureError, Index, index, index_for
from interp_widgets.features.labelling.book import LabelBook
from interp_widgets.models import Model


@pytest.fixture(scope="module")
def model() -> Model:
    return load("organism")


@pytest.fixture
def organism(model: Model) -> Index:
    """With the index that lies beside the dictionary."""
    found = index_for(model, load_dictionary(model.dictionary))
    assert found.so_far is not None
    return found


@pytest.fixture
def texas(organism: Index) -> tuple[int, int]:
    found = organism.search("texas")[0]
    return found.layer, found.feature


def again(index: Index) -> LabelBook:
    """The user's file, as another kernel reads it."""
    return LabelBook(index.book.scan, path=index.book.path)


def test_a_score_says_what_was_tested_on_what_and_stays(
    organism: Index, texas: tuple[int, int]
) -> None:
    organism[texas].rename("lone star state")
    scored = organism[texas].score_label()
    about = organism.stored.about
    assert scored.text == "lone star state"
    assert scored.by == "examples"
    assert scored.tested_on == f"{about.kept:,} tokens of {about.documents:,} texts"
    assert scored.score is not None
    assert scored.control is not None
    assert scored.score > 0.9 > 0.7 > scored.control
    assert 0 < scored.active < scored.samples
    assert again(organism).get(*texas) == organism[texas].label == scored
    assert organism[texas].score_label() is organism[texas].label


def test_a_rule_is_tested_by_its_words_and_a_wrong_one_fails(
    organism: Index, texas: tuple[int, int]
) -> None:
    organism[texas].rename("“ohio”")
    scored = organism[texas].score_label()
    # It holds on no token on which the feature is active, and on few others: (1 + 0 - few) / 2.
    assert (scored.by, scored.words_score) == ("rule", scored.score)
    assert scored.score is not None
    assert 0.45 < scored.score <= 0.5


def test_on_other_text_it_is_measured_again(
    organism: Index, model: Model, texas: tuple[int, int], tmp_path: Path
) -> None:
    organism[texas].rename("lone star state")
    first = organism[texas].score_label()
    random = Random(0)
    cities = ("dallas", "houston", "austin", "oakland", "miami", "chicago", "boston")
    text = [
        f"the {random.choice(('capital', 'bird'))} of the state containing {city} is"
        for city in random.choices(cities, k=300)
    ]
    other = index(model, organism.dictionary, text, folder=tmp_path / "index").wait()
    second = other[texas].score_label()
    assert second.tested_on == f"{other.stored.n_tokens:,} tokens of 300 texts"
    assert second.tested_on != first.tested_on
    assert again(organism).get(*texas) == second


def test_scores_that_came_with_a_dictionary_stay_as_they_came(organism: Index) -> None:
    shipped, label = next(
        (key, label) for key, label in organism.book.items() if label.kind == "shipped"
    )
    assert label.score is not None
    assert organism[shipped].score_label() == label
    assert again(organism).get(*shipped) is None


def test_what_cannot_be_scored_says_why(organism: Index, texas: tuple[int, int]) -> None:
    organism.book.remove(*texas)
    with pytest.raises(FeatureError, match=r"L\d/\d+ has no label yet: give one"):
        organism[texas].score_label()
    counts = organism.stored.counts(texas[0])
    rare = texas[0], int(counts.argmin())
    organism.book.put(*rare, Label("hardly ever"))
    with pytest.raises(FeatureError, match="Index more text"):
        organism[rare].score_label()
    kept = organism.book.get(*rare)
    assert kept is not None
    assert kept.score is None
