"""From text to a dictionary: rows, batches, schedules, examples, and what a user may do."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models
import torch
from small_training import until
from torch import Tensor

from interp_widgets.dictionaries import DictionaryError, load
from interp_widgets.dictionaries.activations import TopK
from interp_widgets.dictionaries.coder import SparseCoder
from interp_widgets.dictionaries.dictionary import ActiveFeatures
from interp_widgets.dictionaries.training import (
    Training,
    cross_layer,
    recipes,
    sae,
    train,
    transcoder,
)
from interp_widgets.dictionaries.training.buffer import LANES, Cursor, MixingBuffer
from interp_widgets.dictionaries.training.controls import pca_control
from interp_widgets.dictionaries.training.corpus import Corpus, Position
from interp_widgets.dictionaries.training.examples import TopExamples
from interp_widgets.dictionaries.training.schedule import Schedule
from interp_widgets.dictionaries.training.stream import Group, TextStream
from interp_widgets.jobs import Cancelled
from interp_widgets.models import ModelError, Place

BOS, EOS = 1, 2
TEXT = [" ".join(f"w{(5 * i + i * j + j * j) % 35 + 5}" for j in range(20)) for i in range(60)]


def words(document: str) -> list[int]:
    return [int(word[1:]) for word in document.split()]


def rows(corpus: Corpus, count: int, start: Position = Position()) -> list[list[int]]:  # noqa: B008
    found = corpus.rows(start)
    return [next(found)[0].tolist() for _ in range(count)]


# --- rows of text ---------------------------------------------------------------------------


def test_rows_are_the_documents_end_to_end_with_a_special_token_in_front() -> None:
    corpus = Corpus(TEXT, tiny_models.tokenizer(), 8)
    tape = [token for document in TEXT for token in [*words(document), EOS]]
    expected = [[BOS, *tape[i : i + 7]] for i in range(0, 7 * 50, 7)]
    assert rows(corpus, 50) == expected


def test_reading_goes_on_from_any_position_and_from_the_beginning_behind_the_end() -> None:
    corpus = Corpus(TEXT[:3], tiny_models.tokenizer(), 8)
    once = corpus.rows(Position())
    seen = [next(once) for _ in range(40)]  # more than four readings of 63 tokens
    for index, (_, behind) in enumerate(seen[:-1]):
        row, _ = next(corpus.rows(behind))
        assert row.tolist() == seen[index + 1][0].tolist()
    assert seen[-1][1].epoch == 40 * 7 // 63


def test_a_text_is_measured_in_bytes_wherever_it_is(tmp_path: Path) -> None:
    texts = ["naïve", "日本"]  # one letter of two bytes, two of three
    assert Corpus(texts, tiny_models.tokenizer(), 8).size() == 6 + 6
    (tmp_path / "text.txt").write_text("".join(texts), "utf-8")
    assert Corpus(tmp_path, tiny_models.tokenizer(), 8).size() == 6 + 6


def test_a_file_may_be_named_by_a_str_and_begin_with_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("\ufeffw5 w6 w7 w8 w9 w10 w11", "utf-8")
    corpus = Corpus(str(path), tiny_models.tokenizer(), 8)
    assert rows(corpus, 1) == [[BOS, 5, 6, 7, 8, 9, 10, 11]]
    # What no file could be called is a text.
    assert list(Corpus("w5 w6.", tiny_models.tokenizer(), 8).documents()) == ["w5 w6."]


def test_a_text_that_is_read_once_ends() -> None:
    corpus = Corpus(iter(TEXT[:2]), tiny_models.tokenizer(), 8)
    assert len(list(corpus.rows(Position()))) == 2 * 21 // 7


def test_specials_and_the_first_position_are_left_out() -> None:
    corpus = Corpus(TEXT, tiny_models.tokenizer(), 8)
    kept = corpus.trained_on(torch.tensor([[BOS, 5, EOS, 7, 0, 4], [5, 6, 7, 8, 9, 10]]))
    assert kept.tolist() == [[False, True, False, True, False, False], [False] + [True] * 5]


def test_files_and_folders_are_texts(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("w5 w6\nw7 w8\n")
    (tmp_path / "b.jsonl").write_text('"w9 w10"\n\n{"text": "w11 w12", "source": "b"}\n')
    documents = list(Corpus(tmp_path, tiny_models.tokenizer(), 8).documents())
    assert documents == ["w5 w6\nw7 w8\n", "w9 w10", "w11 w12"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ([], "holds no tokens"),
        (["", ""], "holds no tokens"),
        ([b"w5"], "Documents are texts.*bytes"),
        (7, "a list of documents or a Path, not int"),
        (Path("nowhere"), "neither a .txt or .jsonl file nor a folder"),
    ],
)
def test_what_is_no_text_is_refused(text: Any, sentence: str) -> None:
    with pytest.raises(DictionaryError, match=sentence):
        next(Corpus(text, tiny_models.tokenizer(), 8).rows(Position()))


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('"w9"\n{"words": 1}\n')
    with pytest.raises(DictionaryError, match="a.jsonl, line 2"):
        list(Corpus(tmp_path, tiny_models.tokenizer(), 8).documents())


# --- activations ----------------------------------------------------------------------------


def test_streamed_vectors_are_those_of_plain_hooks() -> None:
    model = tiny_models.model("llama grouped")
    places = [Place(0, "mlp_out"), Place(2, "resid_post")]
    stream = TextStream(model, Corpus(TEXT, model.tokenizer, 8), places, rows=3)
    group, _ = next(stream.groups(Position()))
    found: dict[str, Tensor] = {}
    layers = model.hf.model.layers
    handles = [
        layers[0].mlp.register_forward_hook(lambda m, i, o: found.update(mlp=o)),
        layers[2].register_forward_hook(
            lambda m, i, o: found.update(post=o[0] if isinstance(o, tuple) else o)
        ),
    ]
    with torch.no_grad():
        model.hf(group.rows)
    for handle in handles:
        handle.remove()
    vectors = group.read()
    assert torch.allclose(vectors[places[0]], found["mlp"][group.kept], atol=1e-6)
    assert torch.allclose(vectors[places[1]], found["post"][group.kept], atol=1e-6)


# --- the mixing buffer ----------------------------------------------------------------------

PLACE = Place(0, "mlp_out")


class Numbers:
    """A source whose vectors are their own numbers: group g has g * 10 .. g * 10 + size - 1."""

    widths: Mapping[Place, int] = {PLACE: 1}
    fingerprint = ""

    def __init__(self, end: int = 10**9) -> None:
        self.end, self.read = end, Counter[int]()

    def groups(self, start: Position) -> Iterator[tuple[Group, Position]]:
        for g in range(start.document, self.end):
            size = 7 + g * g // 5 % 4  # specials make groups unequal
            kept = torch.arange(10)[None] < size
            yield Group(kept.long(), kept, lambda g=g, n=size: self._read(g, n)), Position(0, g + 1)

    def _read(self, group: int, size: int) -> dict[Place, Tensor]:
        self.read[group] += 1
        return {PLACE: torch.arange(group * 10.0, group * 10 + size)[:, None]}


def buffer(source: Numbers, **options: Any) -> MixingBuffer:
    return MixingBuffer(source, **(dict(batch=32, groups=16, seed=3) | options))


def serve(mixing: MixingBuffer, count: int) -> list[list[float]]:
    found = []
    for _ in range(count):
        batch = mixing.next()
        assert batch is not None
        found.append(batch[PLACE].flatten().tolist())
    return found


def test_nothing_is_served_twice_and_little_is_lost() -> None:
    source = Numbers()
    batches = serve(buffer(source, groups=32), 60)
    served = [number for batch in batches for number in batch]
    assert len(set(served)) == len(served) == 60 * 32
    assert max(source.read.values()) == 1
    available = sum(7 + g * g // 5 % 4 for g in source.read)
    held_back = 32 * 8.5 / 2
    assert len(served) > 0.8 * (available - held_back)


def test_a_batch_mixes_two_blocks() -> None:
    batches = serve(buffer(Numbers()), 30)
    for batch in batches[10:]:
        blocks = Counter(int(number) // 160 for number in batch)
        assert len(blocks) == 2
        assert min(blocks.values()) >= 5
        assert len({int(number) // 10 for number in batch}) > 12  # of 32 groups


def test_another_seed_is_another_order_and_the_same_seed_the_same() -> None:
    assert serve(buffer(Numbers()), 20) == serve(buffer(Numbers()), 20)
    assert serve(buffer(Numbers()), 20) != serve(buffer(Numbers(), seed=4), 20)


def test_from_any_cursor_it_goes_on_with_the_same_batches() -> None:
    mixing = buffer(Numbers())
    batches, cursors = [], []
    for _ in range(25):
        cursors.append(mixing.cursor)
        batches += serve(mixing, 1)
    for index in range(0, 25, 3):
        source = Numbers()
        again = buffer(source, cursor=cursors[index])
        assert serve(again, 25 - index) == batches[index:]


def test_to_go_on_no_more_than_two_blocks_are_read() -> None:
    mixing = buffer(Numbers())
    serve(mixing, 25)
    source = Numbers()
    again = buffer(source, cursor=mixing.cursor)
    again.fill()
    assert len(source.read) <= 2 * 16 + 16


@pytest.mark.parametrize("world", [2, 4, 8])
def test_several_processes_see_the_batches_of_one(world: int) -> None:
    alone = serve(buffer(Numbers()), 12)
    sources = [Numbers() for _ in range(world)]
    shares = [serve(buffer(s, rank=r, world=world), 12) for r, s in enumerate(sources)]
    together = [[n for part in parts for n in part] for parts in zip(*shares, strict=True)]
    assert together == alone
    assert max(sum((s.read for s in sources), Counter()).values()) == 1


def test_a_reading_that_was_broken_off_is_done_again() -> None:
    expected = serve(buffer(Numbers()), 25)
    stops = iter([False] * 20 + [True] + [False] * 1000)

    def reading(share: float) -> None:
        if next(stops):
            raise Cancelled

    mixing = buffer(Numbers(), reading=reading)
    found: list[list[float]] = []
    while len(found) < 25:
        try:
            found += serve(mixing, 1)
        except Cancelled:
            continue
    assert found == expected


def test_the_end_of_the_text_ends_the_batches() -> None:
    mixing = buffer(Numbers(end=40))
    count = 0
    while mixing.next() is not None:
        count += 1
    assert count > 2
    assert mixing.next() is None


def test_what_does_not_divide_is_refused() -> None:
    with pytest.raises(DictionaryError, match="a multiple of 8 tokens, not 30"):
        buffer(Numbers(), batch=30)
    with pytest.raises(DictionaryError, match="1, 2, 4 or 8 processes, not 3"):
        buffer(Numbers(), world=3)
    with pytest.raises(DictionaryError, match="ends before the buffer is filled once"):
        buffer(Numbers(end=10)).next()
    with pytest.raises(DictionaryError, match="fewer tokens than a batch of 4096"):
        buffer(Numbers(), batch=4096).next()
    assert Cursor().start == Position()
    assert LANES == 8


# --- schedules ------------------------------------------------------------------------------


def test_the_learning_rate_rises_stays_and_falls() -> None:
    schedule = Schedule(100, warmup=0.1, decay=0.2)
    rates = [schedule.lr(step) for step in range(100)]
    assert rates[:10] == pytest.approx([0.1 * (i + 1) for i in range(10)])
    assert rates[10:81] == [1.0] * 71
    assert rates[80:] == pytest.approx([(100 - i) / 20 for i in range(80, 100)])


def test_sparsity_grows_as_the_recipe_was_published() -> None:
    schedule = Schedule(100)
    jump, l1 = recipes.JumpReLU(), recipes.ReLU()
    assert [schedule.sparsity(step, jump) for step in (0, 50, 99)] == [0, 0.5, 0.99]
    assert [schedule.sparsity(step, l1) for step in (0, 1, 5, 99)] == [0, 0.2, 1, 1]
    assert Schedule(100, sparsity_warmup=0.5).sparsity(25, l1) == 0.5


def test_k_comes_down_on_a_line_and_stays() -> None:
    recipe = recipes.TopK(16, k_start=64, k_anneal=0.4)
    for whole in (recipe, recipes.Matryoshka(recipe, (8,))):
        ks = [Schedule(100).k(step, whole, 16) for step in range(100)]
        assert ks[:5] == [64, 63, 62, 60, 59]  # 1.2 less a step
        assert ks[20] == 40
        assert ks[40:] == [16] * 60
    assert Schedule(100).k(20, recipe, 8) == 36  # half way to what was set meanwhile
    assert Schedule(100).k(0, recipes.BatchTopK(16), 16) == 16
    assert Schedule(100).k(0, recipes.ReLU(), 0) is None


def test_a_training_uses_the_k_of_each_step_and_ends_with_the_recipe_s() -> None:
    recipe = recipes.TopK(4, k_start=24, k_anneal=0.5)
    training = small(sae(Place(1, "resid_post"), 64, recipe), tokens=64 * 20).wait()
    history = training.history[training.names[0]]
    assert history["k"].tolist() == [*range(24, 4, -2), *[4] * 10]
    assert (history["l0"] <= history["k"]).all()
    assert history["l0"][0] > 12  # nearly all of the first k are above 0
    learned = training.dictionary()
    assert isinstance(learned, SparseCoder)
    assert learned.weights.activation == TopK(4, relu=True)


def test_a_share_is_a_share() -> None:
    with pytest.raises(DictionaryError, match="warmup is a share of the training, 0 to 1, not 10"):
        Schedule(100, warmup=10)


# --- examples -------------------------------------------------------------------------------


def test_examples_are_the_strongest_tokens_of_rows_in_their_context() -> None:
    random = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 40, (12, 10), generator=random)
    kept = torch.ones(12, 10, dtype=torch.bool)
    kept[:, 0] = False
    values = torch.rand(12, 10, 3, generator=random) * kept[..., None]
    values[:, :, 2] = 0
    dense = values[kept]
    position, feature = dense.nonzero(as_tuple=True)
    active = ActiveFeatures(position, feature, dense[position, feature], dense[position, feature])
    examples = TopExamples(3)
    examples.observe(ids, kept, active)
    for feature_index in (0, 1):
        best = values[..., feature_index].max(1).values.argsort(descending=True)
        found = examples.of(feature_index)
        assert len(found) == 8
        for row, (tokens, activations, trigger) in zip(best[:8].tolist(), found, strict=True):
            expected = values[row, :, feature_index]
            place = int(expected.argmax())
            low, high = max(0, place - 15), min(10, place + 9)
            assert tokens == ids[row, low:high].tolist()
            assert activations == pytest.approx(expected[low:high].tolist())
            assert trigger == place - low
    assert examples.of(2) == []
    examples.observe(ids, kept, active)  # the same rows again are no new examples
    texts = [tuple(tokens) for tokens, _, _ in examples.of(0)]
    assert len(set(texts)) == len(texts) == 8


# --- training -------------------------------------------------------------------------------


def small(what: Any = None, text: Any = None, **options: Any) -> Training:
    model = tiny_models.model("llama grouped")
    spec = transcoder(1, 64, recipes.TopK(4, dead_after=1000)) if what is None else what
    options = dict(tokens=6400, batch=64, context=12, buffer=1024, lr=3e-3) | options
    return train(model, spec, TEXT if text is None else text, **options)


def test_a_transcoder_learns_what_the_mlp_does() -> None:
    training = small(tokens=64 * 200).wait()
    name = training.names[0]
    fvu = training.history[name]["fvu"]
    assert training.state == "done"
    assert len(fvu) == 200
    assert fvu[-20:].mean() < 0.7 * fvu[:20].mean()
    # What it says of itself is so: on the model's own vectors, seen with plain hooks.
    coder = training.dictionary()
    model = tiny_models.model("llama grouped")
    ids = torch.tensor([[BOS, *words(TEXT[3])[:11]], [BOS, *words(TEXT[9])[:11]]])
    with torch.no_grad():
        captured: dict[str, Tensor] = {}
        mlp = model.hf.model.layers[1].mlp
        handle = mlp.register_forward_hook(lambda m, i, o: captured.update(x=i[0], y=o))
        model.hf(ids)
        handle.remove()
    x, y = captured["x"][:, 1:].flatten(0, 1), captured["y"][:, 1:].flatten(0, 1)
    error = (coder.reconstruct(x) - y).square().sum() / (y - y.mean(0)).square().sum()
    assert error < 0.75
    assert abs(float(error) - fvu[-20:].mean()) < 0.3


def test_several_dictionaries_on_one_pass_are_each_as_if_alone() -> None:
    specs = [
        transcoder(1, 64, recipes.TopK(4), name="transcoder"),
        sae(Place(2, "resid_post"), 32, recipes.TopK(4), name="sae"),
        cross_layer(3, 32, recipes.TopK(4), name="clt"),
    ]
    together = small(specs, tokens=3200).wait()
    alone = small(specs[0], tokens=3200).wait()
    assert np.array_equal(
        together.history["transcoder"]["loss"], alone.history["transcoder"]["loss"]
    )
    assert together.names == ("transcoder", "sae", "clt")
    assert together.density("clt").shape == (96,)
    assert len({len(h["loss"]) for h in together.history.values()}) == 1


def test_everything_follows_from_the_seed() -> None:
    one, same, other = (small(seed=seed, tokens=3200).wait() for seed in (1, 1, 2))
    name = one.names[0]
    assert np.array_equal(one.history[name]["loss"], same.history[name]["loss"])
    assert not np.array_equal(one.history[name]["loss"], other.history[name]["loss"])


def test_what_is_seen_while_it_trains() -> None:
    calls = []
    training = small(tokens=64 * 400)
    training.on_change(lambda: calls.append(training.step))
    until(training, lambda: training.step >= 30)
    name = training.names[0]
    history = training.history[name]
    assert {"step", "tokens", "loss", "fvu", "l0", "dead_share", "lr", "k"} <= history.keys()
    assert len({len(column) for column in history.values()}) == 1
    assert training.dictionary().n_features == 64  # a copy, in the middle of it
    training.wait()
    assert training.progress == (1.0, "Trained on 25,600 of 25,600 tokens.")
    assert calls
    assert history["tokens"].tolist() == [64 * (i + 1) for i in range(len(history["tokens"]))]
    density = training.density()
    assert density.shape == (64,)
    assert density.sum() == pytest.approx(4, rel=0.2)  # k active features per token
    strongest = int(density.argmax())
    example = training.examples(name, strongest)[0]
    assert example.activations[example.trigger] == max(example.activations) > 0
    assert all(isinstance(token, str) for token in example.tokens)
    assert "done" in repr(training)
    assert "FVU" in repr(training)


def test_the_control_is_a_projection_of_the_rank_of_k() -> None:
    random = torch.Generator().manual_seed(0)
    scales = torch.tensor([9.0, 5.0, 3.0, 1.0, 0.5])
    y = torch.randn(20_000, 5, generator=random) * scales + 7
    control = pca_control([y], rank=2)
    left = scales[2:].square().sum() / scales.square().sum()  # what lies off the two largest axes
    assert control["fvu of PCA, rank 2"] == pytest.approx(float(left), rel=0.03)
    assert control["tokens"] == 10_000
    training = small().wait()
    assert 0 < training.controls()["fvu of PCA, rank 4"] < 1
    unsparse = small(sae(Place(1, "resid_post"), 32, recipes.ReLU()), tokens=640).wait()
    assert unsparse.controls() == {}


def test_pausing_holds_every_step_and_the_model_stays_free() -> None:
    training = small(tokens=64 * 4000)
    training.pause()
    until(training, lambda: training.state == "paused")
    step = training.step
    assert "Paused after" in training.progress[1]
    model = training._model
    assert model.lock.acquire(timeout=5)  # nobody holds it
    model.lock.release()
    assert training.step == step
    training.resume()
    until(training, lambda: training.step >= step + 5)
    training.stop()
    assert training.wait().state == "stopped"
    assert "Stopped after" in training.progress[1]
    assert "the dictionary is kept" in training.progress[1]
    assert training.dictionary().n_features == 64


def test_cancelling_says_so_and_keeps_what_was_learned() -> None:
    training = small(tokens=64 * 4000)
    until(training, lambda: training.step >= 3)
    training.cancel()
    with pytest.raises(Cancelled):
        training.wait()
    assert training.state == "cancelled"
    assert "Cancelled after" in training.progress[1]
    assert training.dictionary().n_features == 64


def test_settings_change_from_the_next_step_on() -> None:
    training = small(tokens=64 * 4000)
    training.set(k=2, lr=1e-5)
    until(training, lambda: len(training.changes) == 2)
    change = {c.what: c for c in training.changes}
    until(training, lambda: training.step >= change["k"].step + 3)
    training.stop()
    training.wait()
    history = training.history[training.names[0]]
    after = history["step"] >= change["k"].step
    assert (history["k"][after] == 2).all()
    assert (history["l0"][after] <= 2).all()
    assert training.settings() == {"k": 2, "lr": 1e-5}
    assert (change["lr"].old, change["lr"].new) == (3e-3, 1e-5)
    assert history["lr"][after].max() <= 1e-5


def test_sparsity_is_a_weight_that_can_be_changed() -> None:
    weak, changed, strong = (
        small(sae(Place(1, "resid_post"), 64, recipes.ReLU(l1=l1))) for l1 in (1.0, 1.0, 4.0)
    )
    changed.set(sparsity=4.0)  # while the first text is being read
    runs = [training.wait().history[weak.names[0]] for training in (weak, changed, strong)]
    assert [run["sparsity"][-1] for run in runs] == [1, 4, 4]
    assert changed.changes[0].step == 0
    assert np.array_equal(runs[1]["loss"], runs[2]["loss"])
    assert not np.array_equal(runs[0]["loss"], runs[1]["loss"])


def test_what_cannot_be_set_is_refused_with_a_sentence() -> None:
    training = small(tokens=64 * 500)
    with pytest.raises(DictionaryError, match="has no sparsity to change.*lr, k"):
        training.set(sparsity=1.0)
    with pytest.raises(DictionaryError, match="a whole number from 1 to 64, not 65"):
        training.set(k=65)
    with pytest.raises(DictionaryError, match="lr is a number above 0"):
        training.set(lr=-1.0)
    with pytest.raises(DictionaryError, match="No 'other' is trained here"):
        training.set(k=3, name="other")
    training.wait()
    with pytest.raises(DictionaryError, match="has ended"):
        training.set(k=3)


def test_what_cannot_be_trained_is_refused_at_once() -> None:
    with pytest.raises(DictionaryError, match="nothing to train"):
        small([])
    with pytest.raises(DictionaryError, match="less than one batch"):
        small(tokens=10)
    with pytest.raises(ModelError, match="3 layers"):
        small(transcoder(7, 64, recipes.TopK(4)))
    with pytest.raises(DictionaryError, match="a multiple of 8"):
        small(batch=30)


def test_a_text_that_ends_ends_the_training_and_says_so() -> None:
    training = small(text=iter(TEXT * 3), tokens=10**6).wait()
    assert training.state == "stopped"
    assert "The text ended after" in training.progress[1]
    assert 0 < training.tokens_done < 60 * 3 * 21


def test_what_goes_wrong_is_told_and_raised() -> None:
    training = small(lr=1e30)
    with pytest.raises(DictionaryError):
        training.wait()
    assert training.state == "failed"
    assert training.progress[1]


def test_a_folder_is_enough_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "text.jsonl").write_text("\n".join(map(json.dumps, TEXT)))
    small(text=tmp_path / "text.jsonl", to=tmp_path / "run").wait()
    model = tiny_models.model("llama grouped")
    assert Training.resume_from(tmp_path / "run", model).wait().state == "done"


def test_what_was_learned_is_saved_and_loaded(tmp_path: Path) -> None:
    specs = [transcoder(1, 64, recipes.TopK(4)), sae(Place(2, "resid_post"), 32, recipes.TopK(4))]
    one, two = small().wait(), small(specs, tokens=3200).wait()
    one.save(tmp_path / "one")
    two.save(tmp_path / "two")
    x = torch.randn(5, tiny_models.WIDTH)
    pairs = [
        (one.dictionary(), tmp_path / "one"),
        (two.dictionary(two.names[0]), tmp_path / "two" / "L1_mlp_in_-_L1_mlp_out"),
        (two.dictionary(two.names[1]), tmp_path / "two" / "L2_resid_post"),
    ]
    for mine, folder in pairs:
        loaded = load(folder)
        assert isinstance(mine, SparseCoder)
        assert isinstance(loaded, SparseCoder)
        assert (loaded.reads, loaded.writes) == (mine.reads, mine.writes)
        assert torch.equal(loaded.reconstruct(x), mine.reconstruct(x))


def test_other_threads_run_the_model_while_it_trains() -> None:
    training = small(tokens=64 * 300)
    model = training._model
    answers: list[Tensor] = []

    def ask() -> None:
        for _ in range(10):
            answers.append(model.record("w5 w6 w7").logits)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    training.wait()
    assert all(torch.equal(answer, answers[0]) for answer in answers)
