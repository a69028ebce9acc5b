"""What `iw.index` takes, what it makes of it, and what it says to what it cannot take."""

from __future__ import annotations

import errno
import json
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models

from interp_widgets.dictionaries import Rows, Transcoders
from interp_widgets.features import (
    FeatureError,
    Index,
    StoredIndex,
    index,
    index_for,
    open_index,
)
from interp_widgets.features.building import Encoder, local
from interp_widgets.features.known import index_of
from interp_widgets.features.units import Units
from interp_widgets.jobs import Cancelled
from interp_widgets.models import Model, load
from interp_widgets.models.interventions import residual

CONTEXT = 9
TEXTS = ["w5 w6 w7", "w8 w9", "w10 w11 w12 w13"]


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_models.model("gpt2")


@pytest.fixture(scope="module")
def dictionary() -> Transcoders:
    found = tiny_models.dictionary()
    assert isinstance(found, Transcoders)
    return found


def made(model: Model, dictionary: Any, text: Any, folder: Path, **how: Any) -> StoredIndex:
    found = index(model, dictionary, text, folder=folder, **{"context": CONTEXT} | how)
    assert isinstance(found, Index)
    return found.wait().stored


def texts_of(stored: StoredIndex) -> list[str]:
    """The texts of the windows, in order."""
    return [stored.text(*stored.window(i)).strip() for i in range(stored.n_windows)]


# --- the text ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["corpus.jsonl", "corpus.txt", "folder"])
def test_a_file_may_be_named_by_a_str(
    model: Model, dictionary: Transcoders, tmp_path: Path, name: str
) -> None:
    """The documents of the file are read, and not the name of the file."""
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
    inside = path / "a.jsonl" if name == "folder" else path
    if inside.suffix == ".jsonl":
        inside.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    else:
        inside.write_text("\n".join(TEXTS))
    expected = [" ".join(TEXTS)] if inside.suffix == ".txt" else TEXTS
    found = texts_of(made(model, dictionary, str(path), tmp_path / "it"))
    assert " ".join(found).split() == " ".join(expected).split()


def test_a_file_that_is_not_there_is_named(
    model: Model, dictionary: Transcoders, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"none\.jsonl is neither a \.txt or \.jsonl file"):
        made(model, dictionary, str(tmp_path / "none.jsonl"), tmp_path / "it")


@pytest.mark.parametrize("text", ["w5 w6 w7.txt", "w5 w6", "w5\nw6.txt"])
def test_a_text_stays_a_text(
    model: Model,
    dictionary: Transcoders,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
) -> None:
    """Also where a sentence ends as a file's name does."""
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "a.txt").write_text("w9 w9 w9 w9 w9")
    monkeypatch.chdir(tmp_path / "here")
    stored = made(model, dictionary, text, tmp_path / "it")
    assert stored.n_positions == len(text.split())


@pytest.mark.parametrize("text", ["", "."])
def test_a_text_of_nothing_is_not_the_folder_that_one_is_in(
    model: Model,
    dictionary: Transcoders,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
) -> None:
    """Both have no token that is indexed: "." is unknown to this tokenizer."""
    (tmp_path / "a.txt").write_text("w9 w9 w9")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FeatureError, match="The text holds no tokens"):
        made(model, dictionary, text, tmp_path / "it")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ({"text": TEXTS}, "The text is a dict .'text'.: give a list of texts"),
        ([{"text": "w5 w6"}], r"document 0 is dict: give the texts alone, such as \[row"),
        ([b"w5 w6"], "document 0 is bytes"),
        (["w5 w6", None], "document 1 is NoneType"),
        (5, "not int"),
    ],
)
def test_what_is_no_text_is_refused(
    model: Model, dictionary: Transcoders, tmp_path: Path, text: Any, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        made(model, dictionary, text, tmp_path / "it")


def test_half_a_character_is_read_as_the_sign_for_what_cannot_be_read(
    model: Model, dictionary: Transcoders, tmp_path: Path
) -> None:
    """A file read with errors="surrogateescape" has such; the words around it are read."""
    stored = made(model, dictionary, ["w5 \ud83d w6", "w7 caf\udce9 w8"], tmp_path / "it")
    assert stored.n_windows == 2
    assert [text.split()[0] for text in texts_of(stored)] == ["w5", "w7"]
    assert [text.split()[-1] for text in texts_of(stored)] == ["w6", "w8"]


# --- what is indexed -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ((residual(1), [1.0, "x"]), "at L1 resid_post needs a vector of finite numbers: "),
        ((residual(1), None), "at L1 resid_post needs a vector of finite numbers: "),
        ((residual(1), np.full(32, np.nan)), "of finite numbers: .*(nan|NaN|infinite|finite)"),
        ((residual(1), np.ones(5)), "has 5 numbers, which do not fit L1 resid_post"),
        ((residual(99), np.ones(32)), "is at L99 resid_post, which tiny gpt2 lacks"),
        ((residual(1),), "needs a place and a vector, such as"),
        (5, "needs a place and a vector, such as"),
        ((1, np.ones(32)), "needs a place and a vector, such as"),
    ],
)
def test_a_direction_that_is_none_says_why(model: Model, entry: Any, said: str) -> None:
    with pytest.raises(FeatureError, match="The direction 'odd' .*" + said):
        index(model, {"odd": entry}, TEXTS)


def test_a_word_for_neurons_is_not_taken_for_a_folder(model: Model) -> None:
    with pytest.raises(FeatureError, match="'neuron' is no dictionary: say \"neurons\""):
        index(model, "neuron", TEXTS)


def test_half_a_character_in_a_text_that_is_typed_is_no_error(
    model: Model, dictionary: Transcoders
) -> None:
    """Such comes from a field in which somebody deletes half of an emoji."""
    firing = index_for(model, dictionary).fire("w5 \ud83d w7")
    assert firing.tokens[1].strip() == "w5"
    assert firing.tokens[-1].strip() == "w7"


def test_what_fires_is_said_in_a_line(model: Model, dictionary: Transcoders) -> None:
    firing = index_for(model, dictionary).fire("w5 w6 w7")
    units = {*zip(firing.layer.tolist(), firing.feature.tolist(), strict=True)}
    assert repr(firing) == f"Firing('w5 w6 w7', 4 tokens, {len(units)} units active)"
    assert len(firing.strongest(1)) == 1
    with pytest.raises(FeatureError, match="n is a whole number of at least 1, not 0"):
        firing.strongest(0)


# --- numbers and folders -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"context": 2}, "context is a whole number of at least 3, not 2"),
        ({"context": 12.5}, "context is a whole number of at least 3, not 12.5"),
        ({"context": True}, "not True"),
        ({"tokens": 0}, "tokens is a whole number of at least 1, not 0"),
        ({"tokens": -5}, "not -5"),
        ({"shard_tokens": 0}, "shard_tokens is a whole number of at least 1, not 0"),
    ],
)
def test_numbers_that_make_no_sense_are_refused_at_once(
    model: Model, dictionary: Transcoders, tmp_path: Path, how: dict[str, Any], said: str
) -> None:
    with pytest.raises(FeatureError, match=said):
        index(model, dictionary, TEXTS, folder=tmp_path / "it", **how)
    assert not (tmp_path / "it").exists()


def test_numpy_s_numbers_are_numbers(model: Model, dictionary: Transcoders, tmp_path: Path) -> None:
    stored = made(model, dictionary, TEXTS, tmp_path / "it", context=np.int64(9))
    assert stored.n_positions == 9


@pytest.mark.parametrize("below", ["", "further/down"])
def test_a_folder_that_cannot_be_made_is_named(
    model: Model, dictionary: Transcoders, tmp_path: Path, below: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FeatureError, match=r"cannot be written \(.*\)\..*or give another folder"):
        made(model, dictionary, TEXTS, tmp_path / "file" / below)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="not on this system")
def test_a_disk_that_fills_up_on_the_way_is_a_sentence_and_costs_nothing(
    model: Model, dictionary: Transcoders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room is taken before a file is mapped: writing a map without room would kill the kernel."""
    texts = [f"w{i} w{i + 1} w{i + 2}" for i in range(5, 20)]
    reserve, calls = os.posix_fallocate, 0

    def nearly_full(file: int, start: int, size: int) -> None:
        nonlocal calls
        calls += 1
        if calls > 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        reserve(file, start, size)

    monkeypatch.setattr(os, "posix_fallocate", nearly_full)
    with pytest.raises(FeatureError, match=r"it cannot be written \(No space left on device\)"):
        made(model, dictionary, texts, tmp_path / "it", shard_tokens=6)
    assert len(list((tmp_path / "it" / "shards").iterdir())) == 4
    monkeypatch.undo()
    whole = made(model, dictionary, texts, tmp_path / "again", shard_tokens=6)
    after = made(model, dictionary, texts, tmp_path / "it", shard_tokens=6)
    for layer in after.layers:
        assert after.counts(layer).tolist() == whole.counts(layer).tolist()
    assert after.ids.tolist() == whole.ids.tolist()


# --- what comes with the package -----------------------------------------------------------------


def test_without_a_text_it_is_what_came_with_the_model(tmp_path: Path) -> None:
    """Also where somebody has indexed a text of their own, finished or not."""
    model = load("organism")
    own = index(model, text=["i live in dallas"], folder=tmp_path / "it").wait()
    assert own.stored.n_tokens == 6
    assert index_for(model, own.dictionary) is own
    found = index(model)
    assert found.stored.folder.parent.name == "weights"
    assert index(model) is found


# --- twice at once -------------------------------------------------------------------------------


def slowly(begun: threading.Event, until: threading.Event) -> Encoder:
    """An encoder that waits in front of every shard, and says when it begins to."""

    def encode(model: Model, units: Units, shards: Any, check: Any) -> Any:
        for shard in shards:
            begun.set()
            while not until.wait(0.01):
                check()
            yield from local(model, units, iter([shard]), check)

    return encode


def test_a_cell_that_is_run_again_waits_for_the_pass_of_the_first(
    model: Model, dictionary: Transcoders, tmp_path: Path
) -> None:
    begun, go = threading.Event(), threading.Event()
    how: dict[str, Any] = dict(folder=tmp_path / "it", context=CONTEXT, encoder=slowly(begun, go))
    first = index(model, dictionary, TEXTS, **how)
    assert begun.wait(20)
    second = index(model, dictionary, [*TEXTS, "w14 w15"], **how)
    heard = threading.Event()
    second.on_change(lambda: heard.set() if "waiting" in second.progress[1] else None)
    assert heard.wait(20)
    go.set()
    assert first.wait().stored.n_positions == 9
    assert second.wait().stored.n_positions == 11


def test_a_pass_that_is_cancelled_makes_room_for_the_next(
    model: Model, dictionary: Transcoders, tmp_path: Path
) -> None:
    begun, never = threading.Event(), threading.Event()
    slow = slowly(begun, never)
    first = index(model, dictionary, TEXTS, folder=tmp_path / "it", encoder=slow)
    assert begun.wait(20)
    waiting = index(model, dictionary, TEXTS, folder=tmp_path / "it")
    waiting.cancel()
    with pytest.raises(Cancelled):
        waiting.wait(20)
    assert first.state == "computing"
    first.cancel()
    with pytest.raises(FeatureError, match="cancelled before anything of tests/tiny was put"):
        first[1, 5].examples()
    assert repr(first) == (
        "Index('tests/tiny', 72 features of 3 layers, cancelled before any text was read)"
    )
    assert index(model, dictionary, TEXTS, folder=tmp_path / "it").wait(20).stored.n_positions == 9


# --- whose it is ---------------------------------------------------------------------------------


def written_otherwise(dictionary: Transcoders, by: float) -> Transcoders:
    """The same encoders, and of one feature another decoder."""
    layer = dictionary.layer(1)
    table = layer.decoder.whole().clone()
    table[17] *= by
    changed = replace(layer, decoder=Rows.hold(table, "changed"))
    return replace(dictionary, layers=(dictionary.layer(0), changed, dictionary.layer(2)))


def test_a_dictionary_that_writes_otherwise_has_an_index_of_its_own(
    model: Model, dictionary: Transcoders
) -> None:
    """It is active on the same tokens, but a card of it says what *it* writes."""
    own = index_for(model, dictionary)
    edited = written_otherwise(dictionary, -3.0)
    other = index_for(model, edited)
    assert other.dictionary is edited
    assert other[1, 17].target == edited[1, 17]
    before, after = (each.weights.logits(1, 17, 1) for each in (own, other))
    assert before is not None
    assert after is not None
    assert after.negative[0].id == before.positive[0].id
    assert after.negative[0].value == pytest.approx(-3 * before.positive[0].value, rel=1e-4)
    assert index_for(model, dictionary) is own
    assert index_of(edited) is other


def test_a_copy_of_a_dictionary_has_the_same_index(model: Model, dictionary: Transcoders) -> None:
    """It may have been loaded twice."""
    assert index_for(model, written_otherwise(dictionary, 1.0)) is index_for(model, dictionary)


def test_an_index_of_another_model_is_not_opened(
    model: Model, dictionary: Transcoders, tmp_path: Path
) -> None:
    made(model, dictionary, TEXTS, tmp_path / "it")
    with pytest.raises(FeatureError, match="in tiny gpt2, which is not tiny llama grouped"):
        open_index(tmp_path / "it", tiny_models.model("llama grouped"), dictionary)
    renamed = Model(tiny_models.hugging_face("gpt2"), tiny_models.tokenizer(), name="moved")
    assert open_index(tmp_path / "it", renamed, dictionary).stored.n_positions == 9


def test_a_pass_does_not_go_on_with_other_weights_of_the_same_name(
    model: Model, dictionary: Transcoders, tmp_path: Path
) -> None:
    """A model that was trained on: one half of the index would be of another model."""
    made(model, dictionary, TEXTS[:1], tmp_path / "it")
    later = tiny_models.model("gpt2", seed=5)
    assert later.name == model.name
    with pytest.raises(FeatureError, match="with other weights, or in another precision"):
        made(later, dictionary, TEXTS, tmp_path / "it")
    assert made(model, dictionary, TEXTS, tmp_path / "it").n_positions == 9
