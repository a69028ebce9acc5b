"""One pass over a corpus says of every unit what a plain loop over its activations says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models
import torch
from safetensors import safe_open

from interp_widgets.dictionaries import SparseCoder, Transcoders
from interp_widgets.dictionaries.training.corpus import Corpus
from interp_widgets.features import FeatureError, StoredIndex, index, index_for, open_index
from interp_widgets.features.about import read_about
from interp_widgets.features.arrays import open_arrays
from interp_widgets.features.building import build
from interp_widgets.features.units import units_of
from interp_widgets.jobs import Cancelled
from interp_widgets.models import Model, Place, load
from interp_widgets.models.interventions import residual

CONTEXT = 9
RNG = np.random.default_rng(5)
#: Some documents are longer than a window, one is shorter than a word, one is there twice.
TEXTS = [
    " ".join(f"w{i}" for i in RNG.integers(5, 40, size=n))
    for n in (3, 20, 8, 8, 1, 31, 5, 17, 2, 12, 9, 26, 7)
]
TEXTS.append(TEXTS[1])


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_models.model("llama grouped")


@pytest.fixture(scope="module")
def dictionary() -> Transcoders:
    found = tiny_models.dictionary()
    assert isinstance(found, Transcoders)
    return found


@pytest.fixture(scope="module")
def stored(model: Model, dictionary: Transcoders, tmp_path_factory: Any) -> StoredIndex:
    return build_in(tmp_path_factory.mktemp("index") / "it", model, dictionary)


def build_in(folder: Path, model: Model, what: Any, texts: Any = TEXTS, **how: Any) -> StoredIndex:
    how = {"context": CONTEXT, "shard_tokens": 30} | how
    return build(model, units_of(model, what), texts, folder, **how)


def windows(model: Model, texts: list[str] = TEXTS) -> list[tuple[int, list[int]]]:
    """(document, ids without the special one) of each window, cut by hand."""
    found = []
    for number, text in enumerate(texts):
        ids = [int(word[1:]) for word in text.split()]
        for start in range(0, len(ids), CONTEXT - 1):
            found.append((number, ids[start : start + CONTEXT - 1]))
    return found


def activations(model: Model, dictionary: Any, layer: int, texts: list[str] = TEXTS) -> Any:
    """[token, F], window by window, from the weights; rounded to float16."""
    rows = []
    for _, ids in windows(model, texts):
        place = dictionary.reads(layer)
        x = model.run(torch.tensor([[1, *ids]]), read=[place]).seen[place][0, 1:]
        weights = dictionary.layer(layer)
        pre = x @ weights.encoder.tensor.T + weights.encoder_bias
        rows.append(pre.relu().half().float())
    return torch.cat(rows).numpy()


def close(found: Any, expected: Any) -> None:
    """Batches round otherwise than single windows, and float16 may round that up or down."""
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1e-5)


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_every_activation_is_there_and_no_other(
    model: Model, dictionary: Transcoders, stored: StoredIndex, layer: int
) -> None:
    expected = activations(model, dictionary, layer)
    assert stored.n_positions == stored.n_tokens == len(expected)
    for feature in range(tiny_models.FEATURES):
        entries = stored.entries(layer, feature)
        column = np.zeros(len(expected))
        column[entries.position] = entries.value
        close(column, expected[:, feature])
        assert (np.diff(entries.position) > 0).all()
        assert (entries.value != 0).all()
        assert stored.counts(layer)[feature] == len(entries)
        assert stored.strongest(layer)[feature] == entries.value.max(initial=0)
    np.testing.assert_allclose(stored.density(layer), stored.counts(layer) / len(expected))


def test_the_strongest_examples_are_those_of_a_loop(model: Model, stored: StoredIndex) -> None:
    cut = windows(model)
    for layer, feature in ((0, 3), (1, 0), (2, 17)):
        entries = stored.entries(layer, feature)
        value = dict(zip(entries.position.tolist(), entries.value.tolist(), strict=True))
        best: dict[tuple[int, ...], tuple[float, int, int]] = {}
        start = 0
        for document, ids in cut:
            peak = max(
                ((value.get(start + i, 0.0), -(start + i)) for i in range(len(ids))), default=None
            )
            assert peak is not None
            if peak[0] > 0:
                known = best.get(tuple(ids))
                if known is None or (peak[0], peak[1]) > (known[0], -known[1]):
                    best[tuple(ids)] = (peak[0], -peak[1], document)
            start += len(ids)
        expected = sorted(best.values(), key=lambda row: (-row[0], row[1]))
        found = stored.examples(layer, feature, n=100)
        assert [(e.position, e.document) for e in found] == [(p, d) for _, p, d in expected]
        for example in found:
            assert example.activations[example.trigger] == value[example.position]
            first = example.position - example.trigger
            assert list(example.activations) == [
                value.get(first + i, 0.0) for i in range(len(example.tokens))
            ]
        assert stored.examples(layer, feature, n=2) == found[:2]


def test_ties_are_decided_by_position(model: Model, tmp_path: Path) -> None:
    """A direction that reads the token's embedding alone is equally strong wherever the token is."""
    vector = torch.ones(tiny_models.WIDTH)
    words = ["w7 w9 w7", "w5 w7 w7 w9", "w7 w7"] * 9
    stored = build_in(tmp_path / "it", model, {"same": (Place(0, "resid_pre"), vector)}, words)
    entries = stored.entries(0, 0)
    assert len(set(entries.value.tolist())) == 1
    assert len(entries) > 1
    sign = int(np.sign(entries.value[0]))
    assert [e.position for e in stored.examples(0, 0, sign=sign)] == [
        # Of equal texts the first, of a window the first token.
        next(p for p in entries.position.tolist() if start <= p)
        for start in sorted({stored.window_of(int(p))[0] for p in entries.position[:6]})
    ]


def test_texts_are_the_words_of_the_corpus(model: Model, stored: StoredIndex) -> None:
    position = 0
    for number, (document, ids) in enumerate(windows(model)):
        start, stop = stored.window(number)
        assert (start, stop) == (position, position + len(ids))
        assert stored.ids[start:stop].tolist() == ids
        words = " ".join(f"w{i}" for i in ids)
        assert stored.text(start, stop).strip() == words
        assert stored.window_of(start) == stored.window_of(stop - 1) == (start, stop)
        assert stored.example_at(0, 0, start).document == document
        position = stop


def test_examples_are_cut_around_their_trigger(stored: StoredIndex) -> None:
    whole = stored.examples(0, 3, n=5, before=100, behind=100)
    for long, short in zip(whole, stored.examples(0, 3, n=5, before=2, behind=1), strict=True):
        start = max(0, long.trigger - 2)
        assert short.tokens == long.tokens[start : long.trigger + 2]
        assert short.trigger == long.trigger - start


def test_groups_divide_the_active_tokens_by_rank(stored: StoredIndex) -> None:
    size = np.sort(stored.entries(1, 4).value)[::-1]
    groups = stored.groups(1, 4, n=4, each=3)
    assert [g.name for g in groups] == ["75–100%", "50–75%", "25–50%", "0–25%"]
    for number, group in enumerate(groups):
        part = size[len(size) * number // 4 : len(size) * (number + 1) // 4]
        assert (group.high, group.low) == (part[0], part[-1])
        shown = [e.activations[e.trigger] for e in group.examples]
        assert shown == sorted(shown, reverse=True)
        assert len(shown) == 3
        assert shown[0] == part[0]
        assert shown[-1] == part[-1]


def test_a_histogram_counts_every_active_token(stored: StoredIndex) -> None:
    values = stored.entries(2, 6).value
    histogram = stored.histogram(2, 6, bins=7)
    width = values.max() / 7
    counts = [0] * 7
    for value in values.tolist():
        counts[min(6, int(value / width))] += 1
    assert histogram.counts.tolist() == counts
    np.testing.assert_allclose(histogram.edges, np.arange(8) * width, rtol=1e-6)


def test_what_fires_together_is_counted_token_by_token(stored: StoredIndex) -> None:
    on = {
        (layer, f): set(stored.entries(layer, f).position.tolist())
        for layer in (0, 2)
        for f in range(tiny_models.FEATURES)
    }
    for other in (0, 2):
        expected = {}
        for f in range(tiny_models.FEATURES):
            both, either = on[0, 5] & on[other, f], on[0, 5] | on[other, f]
            if both and (other, f) != (0, 5):
                expected[f] = (len(both), len(both) / len(either))
        found = stored.together(0, 5, n=100, other_layer=other)
        assert {t.feature: (t.count, pytest.approx(t.jaccard)) for t in found} == expected
        jaccards = [t.jaccard for t in found]
        assert jaccards == sorted(jaccards, reverse=True)
    for position in (0, 31, stored.n_positions - 1):
        here = {unit for unit in stored.active_at(position) if unit[0] in (0, 2)}
        assert here == {unit for unit, where in on.items() if position in where}


def test_files_are_safetensors(stored: StoredIndex) -> None:
    names = {path.name for path in stored.folder.iterdir()}
    assert names == {"index.json", "tokens-1.safetensors"} | {
        f"layer-{layer:03d}-1.safetensors" for layer in range(3)
    }
    for name in names - {"index.json"}:
        with safe_open(stored.folder / name, "numpy") as file:
            ours, _ = open_arrays(stored.folder / name)
            assert set(file.keys()) == set(ours)
            for key in file.keys():  # noqa: SIM118 (no dictionary)
                np.testing.assert_array_equal(file.get_tensor(key), ours[key])


# --- going on, growing, stopping -----------------------------------------------------------------


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def stop_after(calls: int) -> Callable[[], None]:
    left = iter(range(calls))

    def check() -> None:
        if next(left, None) is None:
            raise Cancelled("Cancelled.")

    return check


def test_a_cancelled_pass_keeps_what_is_done_and_goes_on(
    model: Model, dictionary: Transcoders, stored: StoredIndex, tmp_path: Path
) -> None:
    with pytest.raises(Cancelled):
        build_in(tmp_path / "it", model, dictionary, check=stop_after(6))
    part = StoredIndex(tmp_path / "it")
    assert not part.about.complete
    assert 0 < part.n_tokens < stored.n_tokens
    assert part.entries(1, 2).position.max() < part.n_positions
    np.testing.assert_array_equal(part.ids, stored.ids[: part.n_positions])
    whole = build_in(tmp_path / "it", model, dictionary)
    assert whole.about.complete
    for layer in range(3):
        for feature in range(tiny_models.FEATURES):
            a, b = whole.entries(layer, feature), stored.entries(layer, feature)
            np.testing.assert_array_equal(a.position, b.position)
            np.testing.assert_array_equal(a.value, b.value)
        assert whole.together(layer, 1, 50) == stored.together(layer, 1, 50)
        np.testing.assert_array_equal(whole.strongest(layer), stored.strongest(layer))


def test_the_size_is_told_before_anything_is_read(
    model: Model, dictionary: Transcoders, tmp_path: Path
) -> None:
    said: list[str] = []
    texts = [" ".join(f"w{i}" for i in RNG.integers(5, 40, size=40)) for _ in range(60)]
    stored = build_in(
        tmp_path / "it", model, dictionary, texts, progress=lambda share, text: said.append(text)
    )
    assert said[0].startswith("begun; the index will take about ")
    told = float(said[0].split()[-4]) * 1e6
    assert told == pytest.approx(stored.n_bytes, rel=0.2)


def test_a_disk_that_is_too_small_is_told_before_anything_is_read(
    model: Model, dictionary: Transcoders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 9, 1000))  # type: ignore[attr-defined]
    with pytest.raises(FeatureError, match="has 0.0 MB left: give another folder"):
        build_in(tmp_path / "it", model, dictionary)
    assert not list((tmp_path / "it" / "shards").iterdir())


def test_nothing_is_done_twice(
    model: Model, dictionary: Transcoders, stored: StoredIndex, tmp_path: Path
) -> None:
    shutil.copytree(stored.folder, tmp_path / "it")
    runs = []

    def check() -> None:
        runs.append(1)

    again = build_in(tmp_path / "it", model, dictionary, check=check)
    assert len(runs) == 1  # asked once, before the first shard; no shard was encoded
    assert content(again.folder) == content(stored.folder)


def test_an_index_grows_with_its_text(
    model: Model, dictionary: Transcoders, tmp_path: Path
) -> None:
    first = build_in(tmp_path / "it", model, dictionary, TEXTS[:6])
    n = first.n_positions
    grown = build_in(tmp_path / "it", model, dictionary)
    assert grown.about.generation == 2
    assert grown.n_positions == sum(len(ids) for _, ids in windows(model))
    expected = activations(model, dictionary, 1)
    assert len(expected) > n
    for feature in range(tiny_models.FEATURES):
        entries = grown.entries(1, feature)
        column = np.zeros(len(expected))
        column[entries.position] = entries.value
        close(column, expected[:, feature])
    assert {p.name for p in grown.folder.iterdir()} == {
        "index.json",
        "tokens-2.safetensors",
        *(f"layer-{layer:03d}-2.safetensors" for layer in range(3)),
    }


def test_an_index_that_grows_while_it_is_opened_is_opened_as_it_is_then(
    model: Model, dictionary: Transcoders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The description is read, then another kernel puts the index together anew and takes the old
    files away, then the files are looked for."""
    build_in(tmp_path / "it", model, dictionary, TEXTS[:6])
    old = read_about(tmp_path / "it")
    whole = build_in(tmp_path / "it", model, dictionary)
    looks = iter([old])
    monkeypatch.setattr(
        "interp_widgets.features.stored.read_about", lambda at: next(looks, None) or read_about(at)
    )
    found = StoredIndex(tmp_path / "it")
    assert next(looks, None) is None
    assert (found.about, found.n_bytes) == (whole.about, whole.n_bytes)
    assert found.entries(1, 4).position.tolist() == whole.entries(1, 4).position.tolist()


def test_a_number_of_tokens_is_enough(
    model: Model, dictionary: Transcoders, tmp_path: Path
) -> None:
    part = build_in(tmp_path / "it", model, dictionary, tokens=70)
    assert 70 <= part.n_tokens < 70 + 30 + CONTEXT
    assert not part.about.complete


def test_another_text_model_or_dictionary_is_refused_and_nothing_is_lost(
    model: Model, dictionary: Transcoders, stored: StoredIndex, tmp_path: Path
) -> None:
    folder = tmp_path / "it"
    shutil.copytree(stored.folder, folder)
    before = content(folder)
    with pytest.raises(FeatureError, match="index of another text: from shard 0"):
        build_in(folder, model, dictionary, TEXTS[1:])
    with pytest.raises(FeatureError, match="other units"):
        build_in(folder, model, tiny_models.dictionary(activation="topk"))
    with pytest.raises(FeatureError, match="windows of another length"):
        build_in(folder, model, dictionary, context=7)
    assert content(folder) == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    with pytest.raises(FeatureError, match="holds other files"):
        build_in(tmp_path / "mine", model, dictionary)


@pytest.mark.parametrize("text", [[], [""], ["", "  "]])
def test_a_text_without_tokens_is_refused(
    model: Model, dictionary: Transcoders, tmp_path: Path, text: list[str]
) -> None:
    for what in (dictionary, "neurons"):
        with pytest.raises(FeatureError, match="no tokens"):
            build_in(tmp_path / str(what)[:5], model, what, text)


def test_what_is_no_text_is_refused(model: Model, dictionary: Transcoders, tmp_path: Path) -> None:
    with pytest.raises(FeatureError, match="document 1 is int"):
        build_in(tmp_path / "it", model, dictionary, ["w5 w6", 3])


# --- other units ---------------------------------------------------------------------------------


def test_neurons_are_active_beyond_their_floor(model: Model, tmp_path: Path) -> None:
    stored = build_in(tmp_path / "it", model, "neurons")
    rows = []
    for _, ids in windows(model):
        place = Place(1, "neurons")
        rows.append(model.run(torch.tensor([[1, *ids]]), read=[place]).seen[place][0, 1:])
    values = torch.cat(rows).numpy()
    for neuron in range(tiny_models.MLP):
        entries = stored.entries(1, neuron)
        close(entries.value, values[entries.position, neuron])
        weakest = np.abs(entries.value).min(initial=np.inf)
        rest = np.delete(np.abs(values[:, neuron]), entries.position)
        # All tokens set the floor: 1% of 169 are two, and equal texts have equal values.
        assert 1 <= len(entries) <= 4
        assert rest.max() <= weakest * 1.002
    assert any((stored.entries(1, n).value < 0).any() for n in range(tiny_models.MLP))


def test_directions_are_what_the_vectors_read(model: Model, tmp_path: Path) -> None:
    vector = torch.randn(tiny_models.WIDTH, generator=torch.Generator().manual_seed(3))
    place = residual(1)
    stored = build_in(tmp_path / "it", model, {"a": (place, vector), "b": (place, -2 * vector)})
    a, b = stored.entries(1, 0), stored.entries(1, 1)
    np.testing.assert_array_equal(a.position, b.position)
    close(b.value, -2 * a.value)
    first = int(a.position[0])
    start, _ = stored.window_of(first)
    ids = stored.ids[slice(*stored.window_of(first))].tolist()
    seen = model.run(torch.tensor([[1, *ids]]), read=[place]).seen[place][0]
    close(a.value[0], float(seen[1 + first - start] @ vector))
    assert stored.about.names == {"1/0": "a", "1/1": "b"}


def test_an_sae_has_one_layer(model: Model, dictionary: Transcoders, tmp_path: Path) -> None:
    coder = dictionary.coder(1)
    assert isinstance(coder, SparseCoder)
    stored = build_in(tmp_path / "it", model, coder)
    assert stored.layers == (1,)
    with pytest.raises(FeatureError, match="no features of layer 0; layers: 1"):
        stored.entries(0, 0)


@pytest.mark.parametrize("key", [(0, 24), (0, -1), (7, 0)])
def test_a_unit_that_there_is_not_is_refused(stored: StoredIndex, key: tuple[int, int]) -> None:
    with pytest.raises(FeatureError, match="Layer 0 has no feature|no features of layer 7"):
        stored.entries(*key)


# --- damage --------------------------------------------------------------------------------------


def test_damaged_files_are_named(stored: StoredIndex, tmp_path: Path) -> None:
    for name, damage in (
        ("index.json", b"{"),
        ("index.json", b'{"format": "something else"}'),
        ("tokens-1.safetensors", b"short"),
        ("layer-001-1.safetensors", b"\xff" * 64),
    ):
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        shutil.copytree(stored.folder, folder)
        (folder / name).write_bytes(damage)
        with pytest.raises(FeatureError, match=name.replace(".", r"\.")):
            StoredIndex(folder)
    folder = tmp_path / "cut"
    shutil.copytree(stored.folder, folder)
    path = folder / "layer-002-1.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(FeatureError, match="does not fit into the file"):
        StoredIndex(folder)


def test_a_begun_index_says_how_to_go_on(
    model: Model, dictionary: Transcoders, tmp_path: Path
) -> None:
    with pytest.raises(Cancelled):
        build_in(tmp_path / "it", model, dictionary, check=stop_after(0))
    with pytest.raises(FeatureError, match="no index that can be read: call iw.index"):
        StoredIndex(tmp_path / "it")


# --- Index: everything together ------------------------------------------------------------------


def test_the_same_call_opens_what_is_there(
    model: Model, dictionary: Transcoders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTERP_WIDGETS_CACHE", str(tmp_path))
    made = index(model, dictionary, TEXTS, context=CONTEXT).wait()
    again = index(model, dictionary, TEXTS, context=CONTEXT).wait()
    assert again.stored.folder == made.stored.folder
    assert index_for(model, dictionary) is again
    opened = open_index(made.stored.folder, model, dictionary)
    assert index_for(model, dictionary) is opened
    assert opened[1, 4].examples(3) == made[1, 4].examples(3)
    other = index(model, "neurons", TEXTS, context=CONTEXT).wait()
    assert other.stored.folder != made.stored.folder
    with pytest.raises(FeatureError, match="give what it was made of"):
        open_index(made.stored.folder, model, "neurons")


def test_what_fires_on_a_text_is_what_the_index_has(
    model: Model, dictionary: Transcoders, stored: StoredIndex
) -> None:
    there = open_index(stored.folder, model, dictionary)
    number = 3
    start, stop = stored.window(number)
    firing = there.fire([1, *stored.ids[start:stop].tolist()])
    assert firing.ids[1:].tolist() == stored.ids[start:stop].tolist()
    for layer in range(3):
        for feature in range(tiny_models.FEATURES):
            example = stored.example_at(layer, feature, start, 100, 100)
            close(firing.of(layer, feature)[1:], example.activations)
            assert firing.of(layer, feature)[0] == 0
    layer, feature, value, position = firing.strongest(1)[0]
    assert value == firing.value.max() == firing.of(layer, feature)[position]


def test_interventions_of_a_feature_name_it(
    model: Model, dictionary: Transcoders, stored: StoredIndex
) -> None:
    feature = open_index(stored.folder, model, dictionary)[2, 5]
    (change,) = [feature.scale(-2)]
    assert (change.target.layer, change.target.features) == (2, (5,))  # type: ignore[attr-defined]
    assert feature.name == "L2/5"
    with pytest.raises(FeatureError, match="there is no 24"):
        open_index(stored.folder, model, dictionary)[0, 24]


def test_without_an_index_there_is_a_sentence(model: Model, dictionary: Transcoders) -> None:
    bare = index_for(tiny_models.model("gpt2"), dictionary)
    with pytest.raises(FeatureError, match="index a text"):
        bare[0, 1].examples()
    assert bare.fire("w5 w6 w7").tokens[0] == "<bos>"


def test_a_failing_pass_says_so(model: Model, dictionary: Transcoders, tmp_path: Path) -> None:
    failing = index(model, dictionary, tmp_path / "none.txt", folder=tmp_path / "it")
    with pytest.raises(ValueError, match="neither a .txt or .jsonl file"):
        failing.wait()
    assert failing.state == "failed"


def test_files_are_read_as_documents(
    model: Model, dictionary: Transcoders, stored: StoredIndex, tmp_path: Path
) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    assert list(Corpus(path, model.tokenizer, CONTEXT).documents()) == TEXTS
    again = build_in(tmp_path / "it", model, dictionary, path)
    assert content(again.folder) == content(stored.folder)


def test_a_dictionary_names_its_features(dictionary: Transcoders) -> None:
    target = dictionary[1, 5]
    assert (target.layer, target.features, target.dictionary) == (1, (5,), dictionary)
    assert dictionary[2, [3, 1]].features == (3, 1)
    assert dictionary.coder(1)[7].features == dictionary.coder(1)[1, 7].features == (7,)
    with pytest.raises(IndexError, match="features 0 to 23, and no 24"):
        dictionary[0, 24]
    with pytest.raises(IndexError, match="no L0/7"):
        dictionary.coder(1)[0, 7]
    with pytest.raises(TypeError):
        iter(dictionary)


def test_the_organism_has_an_index_of_its_own() -> None:
    model = load("organism")
    shipped = index(model)
    assert shipped.stored.about.complete
    assert shipped.stored.folder.parent.name == "weights"
    assert index_for(model, shipped.dictionary) is shipped
    firing = shipped.fire("i live in dallas")
    for layer, feature, value, position in firing.strongest(5):
        assert firing.of(layer, feature)[position] == pytest.approx(value)


def test_a_named_feature_shows_its_card_where_there_is_an_index(
    model: Model, stored: StoredIndex
) -> None:
    other = tiny_models.dictionary(seed=3)
    assert other[1, 5]._repr_mimebundle_() is None  # nobody has indexed it: its text is shown
    held = index_for(model, other)
    shown, _ = other[1, 5]._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in shown
    assert other[1, [5, 6]]._repr_mimebundle_() is None
    assert held[1, 5].target == other[1, 5]
