"""A supernode swap is two sets of clamps, run by hand; its control writes as much, elsewhere."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from plain_interventions import Change, plain_logits
from tiny_models import LAYERS, PROMPT, dictionary, model, tokenizer
from torch import Tensor

import interp_widgets as iw
from interp_widgets.attribution import Graph, attribute
from interp_widgets.attribution.swap import length_written, random_change
from interp_widgets.models import Model

OTHER = "w7 w14 w15 w22 w26 w8"
LLAMA = model("llama grouped")
SETS = {"transcoder": dictionary(), "clt": dictionary("clt"), "neurons": "neurons"}


@functools.cache
def graph_of(kind: str, prompt: str) -> Graph:
    return attribute(LLAMA, prompt, SETS[kind], max_nodes=30, max_targets=2).wait()


def clamped_by_hand(graph: Graph, values: dict[tuple[int, int, int], float]) -> Tensor:
    """Logits [position, vocab] with features set to values; (layer, position, feature) to value."""
    d = graph.origin.dictionary
    moved = [torch.zeros(len(graph.table.tokens), d.n_features(i)) for i in range(LAYERS)]

    def read(layer: int, x: Tensor) -> None:
        weights = d.layer(layer)
        now = torch.relu(x @ weights.encoder.whole().T + weights.encoder_bias)
        for (at, position, feature), value in values.items():
            if at == layer:
                moved[layer][position, feature] = value - now[position, feature]

    def write(layer: int, x: Tensor) -> Tensor:
        out = x.clone()
        for source in range(layer + 1):
            table = d.layer(source).decoder.whole()
            if table.ndim == 3:
                out += moved[source] @ table[:, layer - source]
            elif source == layer:
                out += moved[source] @ table
        return out

    changes: list[Change] = []
    for i in range(LAYERS):
        changes.append((i, "mlp_in", lambda x, i=i: read(i, x)))
        changes.append((i, "mlp_raw", lambda x, i=i: write(i, x)))
    return plain_logits(LLAMA.hf, graph.origin.token_ids, changes)


@pytest.mark.parametrize("kind", ["transcoder", "clt"])
def test_a_swap_by_hand_gives_the_same_probabilities(kind: str) -> None:
    here, there = graph_of(kind, PROMPT), graph_of(kind, OTHER)
    out, into = here.features()[:5], there.features()[:4]
    found = here.swap(out, into, strength=1.5, controls=0, at={p: p for p in range(7)})
    values = {(n.layer, n.position, n.feature): 0.0 for n in out}
    values |= {(n.layer, n.position, n.feature): 1.5 * n.activation for n in into}
    after = torch.softmax(clamped_by_hand(here, values)[-1].double(), -1)
    before = torch.softmax(plain_logits(LLAMA.hf, here.origin.token_ids)[-1].double(), -1)
    tokens = [LLAMA.token_id(name) for name in found.answers]
    np.testing.assert_allclose(found.after, after[tokens], atol=1e-6)
    np.testing.assert_allclose(found.before, before[tokens], atol=1e-6)
    own = [n.label for n in here.nodes(kind="output")]
    assert set(found.answers) >= {*own, *(n.label for n in there.nodes(kind="output"))}
    assert found.answers[: len(own)] == tuple(
        here.table.names[i] for i in np.flatnonzero(here.table.kind == 3)
    )
    assert found.favourite[1] == LLAMA.token_text(int(after.argmax()))
    assert len(found.random) == 0


@pytest.mark.parametrize("kind", list(SETS))
def test_the_control_writes_as_much_on_other_units(kind: str) -> None:
    graph = graph_of(kind, PROMPT)
    change = {(0, 2): {1: -0.7, 5: 0.4}, (2, 4): {3: 1.1}}
    rng = np.random.default_rng(0)
    for _ in range(5):
        drawn = random_change(graph.replica, change, rng)
        assert set(drawn) == set(change)
        for cell, values in drawn.items():
            assert len(values) == len(change[cell])
            assert not set(values) & set(change[cell])
            assert length_written(graph.replica, cell[0], values) == pytest.approx(
                length_written(graph.replica, cell[0], change[cell])
            )
    d = graph.origin.dictionary
    if kind == "clt":
        rows = d.layer(0).decoder.whole()
        written = (-0.7 * rows[1] + 0.4 * rows[5]).norm()
        assert length_written(graph.replica, 0, change[0, 2]) == pytest.approx(
            float(written), rel=1e-5
        )


def test_controls_stand_beside_the_answer() -> None:
    here, there = graph_of("neurons", PROMPT), graph_of("neurons", OTHER)
    found = here.swap(here.features()[:4], there.features()[:4], at=3, controls=6)
    assert found.random.shape == (6, len(found.answers))
    assert len(found.random_favourites) == 6
    assert "6 random swaps" in repr(found)
    again = here.swap(here.features()[:4], there.features()[:4], at=3, controls=6)
    np.testing.assert_array_equal(found.random, again.random)
    assert len({round(float(p), 9) for p in found.random[:, 0]}) == 6


def test_texas_for_california_answers_sacramento() -> None:
    """The case study, on the organism: the other capital, and not after random swaps."""
    organism = iw.load("organism")
    dallas, oakland = (
        iw.attribute(organism, f"the capital of the state containing {city} is").wait()
        for city in ("dallas", "oakland")
    )
    texas, california = dallas.features("texas"), oakland.features("california")
    if not texas or not california:
        pytest.skip("this dictionary has no features of these names")
    last = {max(n.position for n in nodes if n.position < len(g.table.tokens) - 1): g for g, nodes in ((dallas, texas), (oakland, california))}  # fmt: skip
    here, there = last
    found = dallas.swap(
        [n for n in texas if n.position == here],
        oakland.group(oakland._index(n) for n in california if n.position == there),
        strength=2,
    )
    places = {answer: k for k, answer in enumerate(found.answers)}
    austin, sacramento = places["austin"], places["sacramento"]
    assert found.before[austin] > 0.5
    assert found.after[sacramento] > 0.3
    assert found.after[sacramento] > found.random[:, sacramento].max()


@pytest.mark.parametrize(
    ("at", "sentence"),
    [
        (0, "There can be no feature at position 0"),
        (40, "There can be no feature at position 40"),
        ({1: 2}, "`at` says nothing about position"),
    ],
)
def test_a_place_that_cannot_be_is_refused(at: object, sentence: str) -> None:
    here, there = graph_of("transcoder", PROMPT), graph_of("transcoder", OTHER)
    with pytest.raises(ValueError, match=sentence):
        here.swap(here.features()[:3], there.features()[:9], at=at)  # type: ignore[arg-type]


def test_where_it_is_unclear_the_positions_are_asked_for() -> None:
    here, there = graph_of("transcoder", PROMPT), graph_of("transcoder", "w7 w14 w15")
    one = [n for n in here.features() if n.position == 2][:1]
    with pytest.raises(ValueError, match="say where they go"):
        here.swap(one, there.features())
    single = next(i for i, n in enumerate(there.features()) if n.position == 3)
    found = here.swap(one, there.features()[single : single + 1], controls=0)
    assert found.brought == (there.features()[single].id,)


def test_groups_of_two_dictionaries_are_refused() -> None:
    other = attribute(
        Model(LLAMA.hf, tokenizer(), name="another"), PROMPT, "neurons", max_nodes=9
    ).wait()
    with pytest.raises(ValueError, match="two dictionaries"):
        graph_of("transcoder", PROMPT).swap(
            graph_of("transcoder", PROMPT).features()[:1], other.features()[:1]
        )
