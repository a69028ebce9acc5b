"""The text view's Python half: what fires goes to the page, what is brushed comes back."""

from __future__ import annotations

import base64
import itertools
import json
import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import held_models
import numpy as np
import pytest
import tiny_models
import torch
from traitlets import TraitError

from interp_widgets.attribution import Graph, attribute
from interp_widgets.features import FeatureError, Index, StoredIndex, index_for
from interp_widgets.features.building import build
from interp_widgets.features.units import units_of
from interp_widgets.jobs import Cancelled
from interp_widgets.models import Model, Place, PromptError
from interp_widgets.models.interventions import head, residual
from interp_widgets.steering.directions import Direction
from interp_widgets.views import text_picture
from interp_widgets.views.ablation_live import ablate
from interp_widgets.views.linked import link
from interp_widgets.views.steering_live import steer
from interp_widgets.views.text_live import Text, text
from interp_widgets.views.text_ranking import ranked
from interp_widgets.views.text_rows import rows_of, usual_of
from interp_widgets.views.text_view import TextView
from interp_widgets.views.text_wire import pack, pack_usual, unpack, unpack_usual

PROMPT = tiny_models.PROMPT
OTHER = "w14 w3 w9 w26 w5 w7"
HOSTILE = "</script><img src=x onerror=alert(1)><!--"
Cells = dict[tuple[int, int], dict[int, float]]


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_models.model("llama grouped")


@pytest.fixture(scope="module")
def dictionary() -> Any:
    return tiny_models.dictionary()


@pytest.fixture
def done(model: Model, dictionary: Any) -> Text:
    return text(model, PROMPT, dictionary).wait(60)


@pytest.fixture(scope="module")
def stored(model: Model, dictionary: Any, tmp_path_factory: pytest.TempPathFactory) -> StoredIndex:
    random = np.random.default_rng(3)
    texts = [" ".join(f"w{i}" for i in random.integers(5, 40, size=n)) for n in (9, 14, 12, 5)]
    folder = tmp_path_factory.mktemp("index") / "it"
    return build(model, units_of(model, dictionary), texts, folder, context=12, shard_tokens=30)


def send(view: TextView, **content: Any) -> None:
    """As a page does."""
    view._handle_custom_msg(content, [])


def cells_of(view: TextView) -> Cells:
    """What a page reads in the buffer: activations by position, by unit."""
    header, arrays = unpack(view.data)
    found: Cells = {}
    for row in range(header["rows"]):
        cells = slice(int(arrays["ptr"][row]), int(arrays["ptr"][row + 1]))
        unit = int(arrays["layer"][row]), int(arrays["feature"][row])
        pairs = zip(arrays["position"][cells], arrays["value"][cells], strict=True)
        found[unit] = {int(p): float(v) for p, v in pairs}
    return found


@torch.no_grad()
def plain_activations(model: Model, dictionary: Any, prompt: str) -> Cells:
    """relu(x W + b) of what the MLPs read, position by position, by hooks of our own."""
    inputs: list[torch.Tensor] = []
    layers = model.hf.model.layers
    hooks = [
        layer.mlp.register_forward_pre_hook(lambda _, args: inputs.append(args[0][0]))
        for layer in layers
    ]
    try:
        model.hf(input_ids=model.tokenize(prompt)[None])
    finally:
        for hook in hooks:
            hook.remove()
    found: Cells = {}
    for number, x in enumerate(inputs):
        weights = dictionary.layers[number]
        encoder = weights.encoder.take(torch.arange(weights.n_features))
        active = torch.relu(x @ encoder.T + weights.encoder_bias)
        for p, i in itertools.product(range(1, len(x)), range(weights.n_features)):
            if active[p, i] > 0:
                found.setdefault((number, i), {})[p] = float(active[p, i])
    return found


class TestWhatFires:
    def test_all_activations_reach_the_page(
        self, model: Model, dictionary: Any, done: Text
    ) -> None:
        expected = plain_activations(model, dictionary, PROMPT)
        found = cells_of(done.view)
        assert found.keys() == expected.keys()
        for unit, cells in expected.items():
            assert found[unit] == pytest.approx(cells, rel=1e-4, abs=1e-5)
        header, _ = unpack(done.view.data)
        assert header["special"] == 1
        assert "".join(header["tokens"][1:]).split() == PROMPT.split()
        assert header["rows"] == header["rows_total"] == len(expected)
        json.dumps(done.view.live, allow_nan=False)  # a page cannot read NaN

    def test_neurons_have_two_signs_and_no_special_token(self, model: Model) -> None:
        neurons = text(model, PROMPT, "neurons").wait(60)
        header, arrays = unpack(neurons.view.data)
        assert header["unit"] == "neuron"
        assert arrays["value"].min() < 0 < arrays["value"].max()
        assert arrays["position"].min() == 1
        assert header["rows"] == 3 * tiny_models.MLP
        (target,) = neurons.targets([(1, 4), (1, 9)])
        assert (target.layer, target.neurons) == (1, (4, 9))

    def test_directions_are_called_by_their_names(self, model: Model) -> None:
        place: Place = residual(1)
        vectors = {name: torch.randn(tiny_models.WIDTH) for name in ("up", "down")}
        seen = text(model, PROMPT, {n: (place, v) for n, v in vectors.items()}).wait(60)
        x = model.run(model.tokenize(PROMPT)[None], read=[place]).seen[place][0].double()
        found = cells_of(seen.view)
        header, _ = unpack(seen.view.data)
        assert header["names"] == ["up", "down"]
        for number, vector in enumerate(vectors.values()):
            expected = {p: float(x[p] @ vector.double()) for p in range(1, len(x))}
            assert found[1, number] == pytest.approx(expected, rel=1e-4)
        seen.selected = [(1, 1)]
        (direction,) = seen.features
        assert isinstance(direction, Direction)
        assert direction.name == "down"
        torch.testing.assert_close(direction.parts[0][1].float(), vectors["down"])

    def test_without_a_dictionary_it_takes_the_models_own_or_neurons(self, model: Model) -> None:
        assert text(model, PROMPT).wait(60).units.kind == "neuron"

    def test_what_cannot_be_shown_is_refused_at_once(self, model: Model, dictionary: Any) -> None:
        with pytest.raises(PromptError, match="empty"):
            text(model, "  ", dictionary)
        with pytest.raises(FeatureError, match="no units"):
            text(model, PROMPT, 3)  # type: ignore[arg-type]

    def test_labels_are_the_names_of_rows_and_new_ones_arrive(
        self, model: Model, dictionary: Any, done: Text
    ) -> None:
        layer, number = next(iter(cells_of(done.view)))
        done.index.book.put(layer, number, "a name by hand")
        header, _ = unpack(done.view.data)
        assert header["names"][0] == "a name by hand"
        assert header["run"] == 1  # the same rows: what is brushed stays
        done.index.book.remove(layer, number)
        assert unpack(done.view.data)[0]["names"][0] == ""


class TestRows:
    def test_beyond_a_number_the_strongest_for_their_layer_stay(self) -> None:
        random = np.random.default_rng(0)
        layer = np.repeat([0, 1], 400)
        feature = np.tile(np.repeat(np.arange(100), 4), 2)
        position = np.tile(np.arange(1, 5), 200)
        value = random.normal(size=800) * np.where(layer == 0, 1, 50)
        order = random.permutation(800)
        rows = rows_of(layer[order], feature[order], position[order], value[order], 1, most=40)
        assert rows.total == 200
        assert len(rows) == 40
        peaks = np.abs(value.reshape(200, 4)).max(1)
        strong = [np.percentile(peaks[:100], 99), np.percentile(peaks[100:], 99)]
        assert [rows.strong[0], rows.strong[1]] == pytest.approx(strong)
        strength = peaks / np.repeat(strong, 100)
        best = set(np.argsort(-strength)[:40].tolist())
        assert {100 * layer + feature for layer, feature in rows.units} == best
        for row, (of, number) in enumerate(rows.units):
            cells = slice(rows.ptr[row], rows.ptr[row + 1])
            assert rows.position[cells].tolist() == [1, 2, 3, 4]
            np.testing.assert_allclose(
                rows.value[cells], value.reshape(2, 100, 4)[of, number], rtol=1e-6
            )

    def test_a_special_token_sets_no_scale(self) -> None:
        one = np.ones(1, dtype=np.int64)
        rows = rows_of(
            np.zeros(2, np.int64), np.zeros(2, np.int64), np.arange(2), np.array([900.0, 2.0]), 1
        )
        assert rows.strong[0] == 2
        assert rows_of(one[:0], one[:0], one[:0], np.zeros(0), 1).total == 0

    def test_the_buffer_is_read_back_as_it_was(self) -> None:
        position = np.array([3, 1, 2])
        rows = rows_of(
            np.array([2, 0, 2]), np.array([70_000, 5, 70_000]), position, np.array([1.5, -2.0, 0.5])
        )
        tokens, names = ["<bos>", "a", " b", HOSTILE], ["", HOSTILE]
        buffer = pack(
            rows, run=4, prompt="a b", tokens=tokens, special=1, unit="neuron", names=names
        )
        header, arrays = unpack(buffer)
        assert (header["tokens"], header["names"]) == (tokens, names)
        assert arrays["feature"].tolist() == [5, 70_000]
        assert arrays["position"].tolist() == [1, 2, 3]
        assert arrays["value"].tolist() == [-2.0, 0.5, 1.5]
        with pytest.raises(ValueError, match="cut short"):
            unpack(buffer[:40])
        with pytest.raises(ValueError, match="index of a text"):
            unpack_usual(buffer)


class TestRanking:
    def test_more_is_a_difference_of_means_and_chance_its_spread_over_all_choices(self) -> None:
        random = np.random.default_rng(1)
        values = np.where(random.random((3, 7)) < 0.6, random.random((3, 7)) + 0.1, 0)
        row, at = values.nonzero()
        rows = rows_of(np.zeros(len(row), np.int64), row, at + 1, values[row, at], 1)
        strength = values / rows.strong[0]

        def difference(of: int, chosen: tuple[int, ...]) -> float:
            inside = sum(strength[of, p - 1] for p in chosen) / len(chosen)
            others = [p for p in range(1, 8) if p not in chosen]
            return float(inside - sum(strength[of, p - 1] for p in others) / len(others))

        found = ranked(rows, 8, 1, [2, 5], 10)
        assert [each.value for each in found] == sorted((e.value for e in found), reverse=True)
        for each in found:
            assert each.value == pytest.approx(difference(each.feature, (2, 5)), abs=1e-6)
            every = [difference(each.feature, c) for c in itertools.combinations(range(1, 8), 2)]
            assert each.chance == pytest.approx(
                math.sqrt(sum(d * d for d in every) / len(every)), abs=1e-6
            )
            assert each.peak == pytest.approx(values[each.feature].max(), abs=1e-6)

    def test_without_tokens_it_is_by_peaks_and_what_is_not_there_is_refused(
        self, done: Text
    ) -> None:
        peaks = {unit: max(cells.values()) for unit, cells in cells_of(done.view).items()}
        header, _ = unpack(done.view.data)
        found = done.ranked(n=5)
        expected = sorted(peaks, key=lambda unit: -peaks[unit] / header["strong"][str(unit[0])])
        assert [(each.layer, each.feature) for each in found] == expected[:5]
        assert found[0].chance is None
        with pytest.raises(FeatureError, match="no token 12"):
            done.ranked([12])

    def test_the_brushed_tokens_are_those_of_the_view(self, done: Text) -> None:
        send(done.view, type="set", values={"tokens": [3, 4]})
        assert done.ranked(n=3) == done.ranked([3, 4], n=3)


class TestTheIndex:
    def test_says_what_is_usual_of_rows_and_cells(
        self, model: Model, dictionary: Any, stored: StoredIndex
    ) -> None:
        seen = Text(Index(model, dictionary, units_of(model, dictionary), stored), PROMPT).wait(60)
        header, arrays = unpack(seen.view.data)
        usual_header, usual = unpack_usual(seen.view.usual)
        assert usual_header["run"] == header["run"]
        assert usual_header["n_tokens"] == stored.n_tokens
        assert seen.view.live["indexed"]
        some = False
        for row in range(0, header["rows"], 5):
            layer, number = int(arrays["layer"][row]), int(arrays["feature"][row])
            known = stored.entries(layer, number).value
            assert usual["count"][row] == len(known)
            assert usual["mean"][row] == pytest.approx(known.sum() / stored.n_tokens, rel=1e-5)
            for cell in range(arrays["ptr"][row], arrays["ptr"][row + 1]):
                here = np.float16(arrays["value"][cell])
                weaker = sum(1 for value in known if value < here)
                if len(known):
                    some = True
                    assert usual["percentile"][cell] == pytest.approx(100 * weaker / len(known))
        assert some

    def test_counts_weaker_activations_the_same_way_for_few_and_many_tokens(
        self, stored: StoredIndex
    ) -> None:
        layer = next(layer for layer in stored.layers if stored.counts(layer).max() > 5)
        number = int(stored.counts(layer).argmax())
        known = stored.entries(layer, number).value
        for n in (3, 40):  # counted one by one, and sorted
            value = np.linspace(0.01, float(known.max()) * 1.1, n, dtype=np.float32)
            rows = rows_of(np.full(n, layer), np.full(n, number), np.arange(n), value)
            expected = [100 * sum(k < np.float16(v) for k in known) / len(known) for v in value]
            np.testing.assert_allclose(usual_of(rows, stored).percentile, expected, rtol=1e-6)

    def test_that_is_made_later_is_read_when_it_is_there(
        self, model: Model, dictionary: Any, stored: StoredIndex
    ) -> None:
        index = Index(model, dictionary, units_of(model, dictionary))
        seen = Text(index, PROMPT).wait(60)
        assert seen.view.usual == b""
        index.fill(lambda job: stored).wait(60)
        seen.wait(60)
        assert unpack_usual(seen.view.usual)[0]["n_tokens"] == stored.n_tokens

    def test_can_be_stopped_while_it_is_read(self, stored: StoredIndex) -> None:
        rows = rows_of(np.zeros(3, np.int64), np.arange(3), np.ones(3, np.int64), np.ones(3))

        def stop(done: int, total: int) -> None:
            if done == 1:
                raise Cancelled("stop")

        with pytest.raises(Cancelled):
            usual_of(rows, stored, stop)
        assert len(unpack_usual(pack_usual(usual_of(rows, stored), run=1))[1]["count"]) == 3


class TestWhatAPageMayAsk:
    def test_brushing_is_readable_and_settable_from_python(
        self, dictionary: Any, done: Text
    ) -> None:
        send(done.view, type="set", values={"tokens": [2, 3], "selected": [[1, 5], [0, 2], [1, 7]]})
        assert done.tokens == [2, 3]
        assert done.selected == [(1, 5), (0, 2), (1, 7)]
        first, second = done.features
        assert (first.dictionary, first.layer, first.features) == (dictionary, 1, (5, 7))
        assert (second.layer, second.features) == (0, (2,))
        done.tokens = [4, 1, 4]
        done.selected = [(2, 3)]
        assert (done.view.tokens, done.view.selected) == ([1, 4], [[2, 3]])

    def test_what_is_not_there_is_refused_from_python(self, done: Text) -> None:
        with pytest.raises(FeatureError, match="no features of layer 9"):
            done.selected = [(9, 1)]
        with pytest.raises(FeatureError, match="Layer 1 has no feature 24"):
            done.selected = [(1, 24)]
        with pytest.raises(FeatureError, match="no token 7: the prompt has 7"):
            done.tokens = [3, 7]
        with pytest.raises(FeatureError, match="layer 3"):
            done.view.layers = [3]
        with pytest.raises(TraitError):
            done.view.arrange = "colour"
        assert done.selected == done.tokens == []

    @pytest.mark.parametrize(
        "content",
        [
            None,
            "x",
            {},
            {"type": "do", "what": "__init__"},
            {"type": "run", "prompt": 3},
            {"type": "send", "to": 0},
            {"type": "send", "to": True},
            {"type": "set", "values": "x"},
            {"type": "set", "values": {"selected": [[9, 1]], "tokens": [99], "rows": 0}},
            {"type": "set", "values": {"selected": [[1]], "tokens": ["1"], "layers": [9]}},
            {"type": "set", "values": {"selected": [[1, True]], "tokens": 3, "layers": [None]}},
            {"type": "set", "values": {"selected": {}, "arrange": [], "live": {}, "data": ""}},
            {"type": "set", "values": {"layers": [[0]], "arrange": HOSTILE, "rows": 1e9}},
        ],
    )
    def test_malformed_messages_change_nothing(self, done: Text, content: object) -> None:
        view = done.view
        names = ("selected", "tokens", "layers", "arrange", "rows", "live", "data")
        before = {name: getattr(view, name) for name in names}
        view._handle_custom_msg(content, [])
        assert {name: getattr(view, name) for name in names} == before

    def test_another_prompt_is_run_and_its_tokens_are_unbrushed(self, done: Text) -> None:
        done.tokens, done.selected = [2], [(1, 5)]
        send(done.view, type="run", prompt=OTHER)
        done.wait(60)
        assert done.prompt == done.view.live["prompt"] == OTHER
        header, _ = unpack(done.view.data)
        assert "".join(header["tokens"][1:]).split() == OTHER.split()
        assert done.tokens == []
        assert done.selected == [(1, 5)]  # the features are the same

    def test_a_prompt_that_cannot_be_read_changes_nothing_and_is_said(self, done: Text) -> None:
        before = done.view.data
        send(done.view, type="run", prompt=" ")
        assert "empty" in done.view.live["problem"]
        assert (done.prompt, done.state, done.view.data) == (PROMPT, "done", before)
        with pytest.raises(PromptError, match="at most 16"):
            done.prompt = "w5 " * 30
        done.prompt = OTHER
        assert done.wait(60).view.live["problem"] == ""


class TestStopping:
    @pytest.fixture
    def held(self, model: Model, dictionary: Any) -> Iterator[tuple[Text, threading.Event]]:
        """A text that cannot run before an event: somebody has the model."""
        with held_models.held(model) as release:
            yield text(model, PROMPT, dictionary), release

    def test_the_text_stands_there_before_anything_is_known(
        self, held: tuple[Text, threading.Event]
    ) -> None:
        seen, _ = held
        header, _ = unpack(seen.view.data)
        assert "".join(header["tokens"][1:]).split() == PROMPT.split()
        assert (header["rows"], seen.view.live["state"], seen.firing) == (0, "computing", None)
        with pytest.raises(TimeoutError, match="Still computing"):
            seen.wait(0.01)

    def test_the_latest_prompt_wins(self, held: tuple[Text, threading.Event]) -> None:
        seen, release = held
        shown: list[str] = []
        seen.view.observe(lambda change: shown.append(unpack(change["new"])[0]["prompt"]), "data")
        for number in (5, 6, 7):
            seen.prompt = f"w{number} w9"
        release.set()
        seen.wait(60)
        rows = [p for p in shown if p == "w7 w9"]
        assert rows
        assert unpack(seen.view.data)[0]["prompt"] == "w7 w9"
        assert unpack(seen.view.data)[0]["rows"] > 0

    def test_cancel_and_run_again(self, held: tuple[Text, threading.Event]) -> None:
        seen, release = held
        send(seen.view, type="do", what="cancel")
        release.set()
        with pytest.raises(Cancelled):
            seen.wait(60)
        assert seen.view.live["state"] == "cancelled"
        assert unpack(seen.view.data)[0]["rows"] == 0
        send(seen.view, type="do", what="resume")
        assert seen.wait(60).state == "done"
        assert unpack(seen.view.data)[0]["rows"] > 0

    def test_what_goes_wrong_is_a_sentence(self, model: Model, dictionary: Any) -> None:
        broken = Index(model, dictionary, units_of(model, dictionary))

        def refuse(_text: object) -> Any:
            raise FeatureError("The features ran away.")

        broken.fire = refuse  # type: ignore[method-assign]
        seen = Text(broken, PROMPT)
        with pytest.raises(FeatureError, match="ran away"):
            seen.wait(60)
        assert seen.view.live["state"] == "failed"
        assert seen.view.live["message"] == "The features ran away."


class TestLinks:
    @pytest.fixture
    def graph(self, model: Model, dictionary: Any) -> Graph:
        return attribute(model, PROMPT, dictionary, ["w9", "w20"]).wait()

    def test_a_node_selects_its_feature_and_token(self, graph: Graph, done: Text) -> None:
        link(graph, done)
        node = graph.features()[3]
        graph.view._handle_custom_msg({"type": "set", "values": {"selected": [node.id]}}, [])
        assert done.selected == [(node.layer, node.feature)]
        assert done.tokens == [node.position]

    def test_a_feature_selects_its_nodes_where_it_fires_or_is_brushed(
        self, graph: Graph, done: Text
    ) -> None:
        link(graph, done)
        node = graph.features()[3]
        unit = node.layer, node.feature
        send(done.view, type="set", values={"selected": [list(unit)], "tokens": []})
        chosen = {(n.layer, n.feature, n.position) for n in graph.selected}
        everywhere = {(*unit, p) for p in cells_of(done.view)[unit]}
        assert (*unit, node.position) in chosen
        assert chosen <= everywhere
        send(done.view, type="set", values={"tokens": [node.position]})
        assert [n.id for n in graph.selected] == [node.id]
        send(done.view, type="set", values={"tokens": [], "selected": []})
        assert graph.notes.selected == []

    def test_tokens_alone_select_all_nodes_there(self, graph: Graph, done: Text) -> None:
        link(graph, done)
        graph.view.threshold = 1.0
        send(done.view, type="set", values={"tokens": [4]})
        assert {n.id for n in graph.selected} == {n.id for n in graph.features() if n.position == 4}

    def test_a_graph_of_another_prompt_shares_the_features_only(
        self, model: Model, dictionary: Any, graph: Graph
    ) -> None:
        other = text(model, OTHER, dictionary).wait(60)
        link(graph, other)
        node = graph.features()[0]
        graph.view.selected = [node.id]
        assert (other.selected, other.tokens) == ([(node.layer, node.feature)], [])

    def test_a_feature_opens_its_card_and_a_card_selects_its_feature(self, done: Text) -> None:
        link(done, done.index)
        done.tokens = [2]
        done.selected = [(1, 5)]
        cards = done.index.view.source
        assert cards.opened == (1, 5)
        cards.open(0, 2)
        assert (done.selected, done.tokens) == ([(0, 2)], [2])

    def test_features_sent_to_a_steering_become_a_slider_at_rest(
        self, model: Model, dictionary: Any, done: Text
    ) -> None:
        steering = steer(model, PROMPT, head(1, 2), length=2)
        link(done, steering)
        assert done.view.live["neighbours"] == [{"name": "steering", "verb": "steer these"}]
        done.selected = [(1, 5), (0, 2)]
        send(done.view, type="send", to=0)
        assert done.view.live["told"] == "The steering has a slider L1/5 and 1 more."
        knob = steering.wait(60).knobs[-1]
        named = [(p.layer, p.features) for p in knob.parts]  # type: ignore[union-attr]
        assert named == [(1, (5,)), (0, (2,))]
        assert all(p.dictionary is dictionary for p in knob.parts)  # type: ignore[union-attr]
        assert steering.interventions() == []
        steering.cancel()

    def test_features_sent_to_an_ablation_are_measured_everywhere(
        self, model: Model, done: Text
    ) -> None:
        ablation = ablate(model, PROMPT).wait(60)
        link(done, ablation)
        done.selected = [(1, 5)]
        send(done.view, type="send", to=0)
        assert "measures L1/5" in done.view.live["told"]
        changes = [target.ablate() for target in done.features]
        logits = model.intervene(PROMPT, changes).logits[-1]
        torch.testing.assert_close(ablation.measure("L1/5").after, logits)
        ablation.cancel()

    def test_a_link_ends(self, graph: Graph, done: Text) -> None:
        linked = link(graph, done.view)
        linked.unlink()
        graph.view.selected = [graph.features()[0].id]
        assert done.selected == []


class TestWithoutAKernel:
    def test_a_page_holds_all_data_and_no_markup_from_it(
        self, done: Text, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        done.index.book.put(*next(iter(cells_of(done.view))), HOSTILE)
        try:
            done.selected, done.tokens = [(1, 5)], [2]
            page = done.save_html(tmp_path / "page.html", title=HOSTILE).read_text("utf-8")
        finally:
            done.index.book.remove(*next(iter(cells_of(done.view))))
        assert HOSTILE not in page
        data = page.split('class="iw-data">')[1].split("</script>")[0]
        held = json.loads(data)
        assert held["choice"]["selected"] == [[1, 5]]
        assert held["choice"]["tokens"] == [2]
        assert held["live"]["state"] == "done"

    def test_it_shows_itself_and_says_what_it_is(self, done: Text) -> None:
        bundle = done._repr_mimebundle_()
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        assert "application/vnd.jupyter.widget-view+json" in data
        assert "features fire" in repr(done)
        assert PROMPT in repr(done.view)
        assert repr(TextView()) == "TextView(empty)"

    def test_an_index_of_the_same_units_is_found_again(
        self, model: Model, dictionary: Any, done: Text
    ) -> None:
        assert index_for(model, dictionary) is done.index

    def test_the_picture_shows_the_strongest_rows_and_no_markup_from_data(self, done: Text) -> None:
        layer, number = next((r.layer, r.feature) for r in done.ranked([3], n=1))
        done.index.book.put(layer, number, HOSTILE)
        try:
            done.selected, done.tokens = [(layer, number)], [3]
            html = text_picture.picture(done)
        finally:
            done.index.book.remove(layer, number)
        assert "<script" not in html
        drawn = ElementTree.fromstring(_svg_of(html))
        texts = [each.text or "" for each in drawn.iter("{http://www.w3.org/2000/svg}text")]
        first = texts[len(done.token_texts)]  # behind the tokens' names
        assert first == f"{HOSTILE[:23]}…, L{layer}/{number}"
        cells = sum(len(c) for u, c in cells_of(done.view).items() if _among(done, u))
        boxes = drawn.findall("{http://www.w3.org/2000/svg}rect")
        assert 0 < len(boxes) <= cells

    def test_a_picture_before_anything_is_known_says_so(
        self, model: Model, dictionary: Any
    ) -> None:
        with model.lock:
            waiting = text(model, PROMPT, dictionary)
            assert "Still computing" in text_picture.picture(waiting)
        assert "Still computing" not in text_picture.picture(waiting.wait(60))


def _svg_of(html: str) -> bytes:
    return base64.b64decode(html.split("base64,")[1].split('"')[0])


def _among(seen: Text, unit: tuple[int, int]) -> bool:
    return unit in {(r.layer, r.feature) for r in seen.ranked(n=text_picture.ROWS)}
