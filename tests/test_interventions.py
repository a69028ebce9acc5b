"""Interventions are values: compared, hashed, printed, written to JSON, and refused where they make
no sense."""

from __future__ import annotations

import copy
import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import PROMPT, dictionary, model

from interp_widgets.models import Intervention, InterventionError, Place
from interp_widgets.models.interventions import (
    Ablate,
    Add,
    At,
    Clamp,
    Everywhere,
    Features,
    From,
    Generated,
    Heads,
    Neurons,
    Patch,
    Patterns,
    ProjectOut,
    Scale,
    Target,
    Vector,
    attention,
    feature,
    head,
    interventions_of,
    mlp,
    neuron,
    pattern,
    residual,
)

V = Vector.of([3.0, 4.0], "love")
D = dictionary()

# One of everything, and how it is printed.
PRINTED: list[tuple[Intervention, str]] = [
    (residual(3).add(2, V), "L3 resid_post + 2 × love"),
    (residual(3).add(-2.5, [3.0, 4.0]), "L3 resid_post − 2.5 × a vector of norm 5"),
    (attention(0).ablate().at(-1), "L0 attn_out ablated at position −1"),
    (mlp(1).ablate(mean=V).at(1, 2), "L1 mlp_out ablated to the mean love at positions 1, 2"),
    (Place(2, "resid_mid").clamp(V).from_(-3), "L2 resid_mid = love from position −3 on"),
    (residual(1).project_out(V).generated(), "L1 resid_post without the direction love on generated tokens"),
    (head(5, 2).patch("a b c"), "L5 head 2 as in “a b c”"),
    (head(5, [2, 0]).scale(-1), "L5 heads 2, 0 × −1"),
    (pattern(1, 3).patch((1, 2, 3), positions=(0,)), "L1 pattern 3 as in “3 token ids” (at position 0)"),
    (pattern(1, 3).ablate(), "L1 pattern 3 ablated"),
    (neuron(0, 7).clamp(1.5), "L0 neuron 7 = 1.5"),
    (neuron(0, [7, 9]).add((1, -1)), "L0 neurons 7, 9 + 1, −1"),
    (neuron(0, [7, 9]).ablate(mean=[0.5, 1]), "L0 neurons 7, 9 ablated to the mean 0.5, 1"),
    (feature(D, 1, 3).clamp(2).from_(1), "L1 feature 3 = 2 from position 1 on"),
    (feature(D, 1, range(8)).ablate(), "L1 features 0, 1, 2, 3, 4, 5, … ablated"),
]  # fmt: skip
ALL = [what for what, _ in PRINTED]
every_one = pytest.mark.parametrize("what", ALL, ids=str)


@pytest.mark.parametrize(("what", "text"), PRINTED)
def test_an_intervention_is_printed_as_a_reader_says_it(what: Intervention, text: str) -> None:
    assert str(what) == text
    assert len(repr(what)) < 300


@every_one
def test_json_brings_back_the_same_intervention(what: Intervention) -> None:
    text = json.dumps(what.to_json(), allow_nan=False)
    back = Intervention.from_json(json.loads(text), {D.scan: D})
    assert back == what
    assert hash(back) == hash(what)
    assert str(back) == str(what)


def test_all_differ_and_serve_as_keys() -> None:
    assert len(dict.fromkeys(ALL)) == len(ALL)
    assert residual(3).add(2, V) in set(ALL)
    assert residual(3).add(2.0, Vector.of([3, 4])) == residual(3).add(2, V)  # a name is no content
    assert residual(3).add(2, V).at(1) != residual(3).add(2, V)


finite = st.floats(-1e6, 1e6, width=32)


@given(st.lists(finite, min_size=1, max_size=5), st.text(max_size=5))
def test_a_vector_holds_its_numbers(values: list[float], name: str) -> None:
    vector = Vector.of(values, name)
    assert vector.tensor().tolist() == [np.float32(v) for v in values]
    assert vector == Vector.of(torch.tensor(values, dtype=torch.float64))
    assert vector.norm == pytest.approx(math.sqrt(sum(v * v for v in values)))
    add = residual(0).add(1, vector)
    assert Intervention.from_json(add.to_json(), {}).operation.vector.name == name  # type: ignore[union-attr]


def test_a_vector_s_numbers_cannot_be_changed_from_outside() -> None:
    held = torch.ones(4)
    vector = Vector.of(held)
    held[0] = 5
    vector.tensor()[1] = 7
    assert vector.tensor().tolist() == [1.0] * 4
    assert len(repr(Vector.of(torch.randn(10_000), "long"))) < 60


def test_short_forms_name_their_targets() -> None:
    assert residual(2) == Place(2, "resid_post")
    assert attention(2) == Place(2, "attn_out")
    assert mlp(2) == Place(2, "mlp_out")
    assert head(1, 3) == Heads(1, (3,))
    assert pattern(1, [3, 4]) == Patterns(1, (3, 4))
    assert neuron(0, torch.tensor([5, 6])) == Neurons(0, (5, 6))
    assert feature(D, 1, np.int64(4)) == Features(D, 1, (4,))
    assert head(1, 3).clamp([1.0, 2.0]).operation == Clamp(Vector.of([1, 2]))
    assert neuron(1, [3, 4]).clamp(torch.tensor([1.0, 2.0])).operation == Clamp((1.0, 2.0))


def test_a_bare_target_is_ablated_and_a_list_keeps_its_order() -> None:
    add = residual(0).add(1, V)
    assert interventions_of(head(1, 2)) == (head(1, 2).ablate(),)
    assert interventions_of([add, mlp(3)]) == (add, mlp(3).ablate())
    assert interventions_of(add) == (add,)


def test_where_it_acts_can_be_said_again() -> None:
    what = residual(0).scale(2)
    assert what.positions == Everywhere()
    assert what.at(3, -1).positions == At((3, -1))
    assert what.at(1).from_(4).positions == From(4)
    assert what.generated().positions == Generated()
    assert what.generated().everywhere() == what


@pytest.mark.parametrize(
    ("positions", "found"),
    [
        (Everywhere(), [0, 1, 2, 3, 4, 5, 6]),
        (At((5, -1, 3, 3)), [3, 5]),  # a position named twice is one position
        (At((9,)), []),
        (From(-2), [2, 3, 4, 5, 6]),
        (From(5), [5, 6]),
        (Generated(), [4, 5, 6]),
    ],
)
def test_positions_count_from_the_prompt(positions: Any, found: list[int]) -> None:
    assert list(positions.below(7, 4)) == found


# What makes no sense


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: head(1, 2).clamp(3), "Clamp on L1 head 2: there stands a vector, so give a vec"),
        (lambda: residual(1).ablate(mean=0.5), "Ablate on L1 resid_post: there stands a vector"),
        (lambda: residual(1).add(2), "say which vector to add that much of"),
        (lambda: neuron(1, 2).add(1, V), "each holds one number, so give an amount and no vec"),
        (lambda: neuron(1, 2).project_out(V), "only vectors have directions"),
        (lambda: neuron(1, [2, 3]).clamp([1, 2, 3]), "Clamp on L1 neurons 2, 3: 3 values for 2"),
        (lambda: neuron(1, [2, 3]).add([1.0]), "1 values for 2"),
        (lambda: pattern(1, 2).clamp(1), "patterns can be scaled, ablated to 0 or patched"),
        (lambda: pattern(1, 2).ablate(mean=0.1), "patterns can be scaled, ablated to 0 or patch"),
        (lambda: residual(1).project_out([0.0, 0.0]), "A vector of zeros has no direction"),
        (lambda: residual(1).add([1, 2], V), "one amount of a vector, not several"),
        (lambda: Add(V), "an amount first, and the vector behind it"),
        (lambda: residual(1).scale(math.nan), "Scale takes finite numbers, and nan is none"),
        (lambda: residual(1).scale("a"), "Scale takes finite numbers, and 'a' is none"),
        (lambda: neuron(1, 2).clamp([]), "Clamp was given no numbers"),
        (lambda: neuron(1, [2, 2]), r"One of the neurons \(2, 2\) is named twice"),
        (lambda: neuron(1, []), "There are no neurons: give at least one"),
        (lambda: neuron(1, 2.5), "Neurons are whole numbers, and 2.5 is not"),
        (lambda: head(-1, 2), r"counted from 0: no -1, \(2,\)"),
        (lambda: residual(1).scale(2).at(), "There are no positions: give at least one"),
        (lambda: residual(1).scale(2).at(True), "Positions are whole numbers, and True is not"),
        (lambda: residual(1).patch([]), "There are no token ids"),
        (lambda: Vector.of(torch.ones(2, 2)), r"one axis, but these numbers have shape \[2, 2\]"),
        (lambda: Vector.of([math.inf]), "holds NaN or infinity"),
        (lambda: Vector(b""), "holds float32 numbers, at least one"),
        (lambda: Intervention("L3", Scale(2)), "'L3' is nothing to intervene on"),  # type: ignore[arg-type]
        (lambda: Intervention(head(1, 2), "off"), "'off' is no operation, such as"),  # type: ignore[arg-type]
        (lambda: Intervention(head(1, 2), Scale(2), 3), "3 says no positions, such as"),  # type: ignore[arg-type]
        (lambda: interventions_of([]), "There is nothing to intervene on: the list is empty"),
        (lambda: interventions_of("head"), "'head' is no intervention: give one, a target"),  # type: ignore[arg-type]
        (lambda: interventions_of([3]), "3 is neither an intervention nor a target"),  # type: ignore[list-item]
        (lambda: At((-9,)).below(7, 4), "There is no position -9 in a prompt of 4 tokens"),
    ],
)
def test_what_makes_no_sense_is_refused_when_it_is_said(make: Any, sentence: str) -> None:
    with pytest.raises(InterventionError, match=sentence):
        make()


def damaged(**changes: Any) -> dict[str, Any]:
    return residual(1).add(2, V).at(1).to_json() | changes


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ([], "has a target, an operation and positions, and nothing else"),
        (damaged(more=1), "has a target, an operation and positions, and nothing else"),
        (damaged(target={"kind": "stream"}), "The target is none of place, heads, "),
        (
            damaged(target={"kind": "place", "layer": 1}),
            "The target 'place' has the fields layer, ",
        ),
        (damaged(target={"kind": "place", "layer": 1, "site": "x"}), "There is no site 'x'"),
        (damaged(target={"kind": "place", "layer": "1", "site": "mlp_out"}), "cannot be read"),
        (damaged(target={"kind": "place", "layer": 1.5, "site": "mlp_out"}), "1.5 is not"),
        (damaged(operation={"kind": "scale"}), "The operation 'scale' has the fields factor"),
        (damaged(operation={"kind": "scale", "factor": None}), "takes finite numbers, and None"),
        (damaged(positions={"kind": "at", "positions": []}), "There are no positions"),
        (
            damaged(operation={"kind": "project_out", "vector": {"float32": "!"}}),
            "vector cannot be",
        ),
        (
            damaged(operation={"kind": "project_out", "vector": {"float32": "AAA="}}),
            "A vector holds",
        ),
        (
            feature(D, 1, 3).ablate().to_json(),
            "names features of 'tests/tiny': give that dictionary, as dictionaries={'tests/tiny'",
        ),
    ],
)
def test_json_that_is_no_intervention_is_refused(data: Any, sentence: str) -> None:
    with pytest.raises(InterventionError, match=sentence):
        Intervention.from_json(data, {})


# What a model does not have, or what would touch nothing


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        (residual(3).scale(2), r"has 3 layers \(0 to 2\): no L3 resid_post"),
        (head(1, 4), r"has 4 heads \(0 to 3\): no L1 head 4"),
        (pattern(1, [0, 4]), r"has 4 heads \(0 to 3\): no L1 patterns 0, 4"),
        (neuron(1, 48), r"have 48 neurons \(0 to 47\): no L1 neuron 48"),
        (residual(1).add(1, V), "takes a vector of 2 numbers, but L1 resid_post has 32"),
        (residual(1).clamp(V), "takes a vector of 2 numbers, but L1 resid_post has 32"),
        (residual(1).ablate(mean=V), "takes a vector of 2 numbers, but L1 resid_post has 32"),
        (head(1, [2, 3]).project_out(V), "of 2 numbers, but L1 heads 2, 3 has 8 or 16"),
        (Place(1, "pattern").scale(2), r"changed head by head: use `pattern\(layer, head\)`"),
        (Place(1, "final_normalized").scale(2), "The last norm stands behind block 2 only"),
        (residual(1).scale(2).at(7), "touches nothing at position 7: the run has positions 0 to 6"),
        (residual(1).scale(2).at(1, 9), "touches nothing at position 9"),
        (residual(1).scale(2).from_(7), "touches nothing: the run has positions 0 to 6"),
        (residual(1).scale(2).generated(), "on generated tokens” touches nothing"),
        (residual(1).scale(1).at(9), "touches nothing at position 9"),  # of strength 0, too
        (residual(1).scale(2).at(-8), "There is no position -8 in a prompt of 7 tokens"),
        (residual(1).patch("w3 w4"), "takes from position 3, but that prompt has 3 tokens"),
        (residual(1).patch("w3", positions=[-4]), "takes from position -4, but that prompt has 2"),
        (residual(1).patch(PROMPT, positions=[1, 2]), "names 2 positions of the other run for 7"),
        (pattern(1, 2).patch("w3 w4").at(1), r"a prompt of the same length \(7\)"),
    ],
    ids=str,
)
def test_what_the_model_does_not_have_is_refused_before_it_runs(what: Any, sentence: str) -> None:
    m = model("llama grouped")
    passes: list[int] = []
    m.hf.register_forward_hook(lambda *_: passes.append(1))
    fine = residual(0).scale(2)
    with pytest.raises(InterventionError, match=sentence):
        m.intervene_each(PROMPT, [fine, [fine, *interventions_of(what)]])
    # To be patched from, the other prompt has to be read; nothing else has.
    patched = "patch" in sentence or "takes from" in sentence or "of the other run" in sentence
    assert len(passes) <= (1 if patched else 0)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (dict(attention="linear"), "Attention is 'free' or 'frozen', not 'linear'"),
        (dict(norms="linear"), "Norms are 'free' or 'frozen', not 'linear'"),
        (dict(constrained=[0, 3]), "has layers 0 to 2, and constrained are 0, 3"),
        (dict(constrained=[-1]), "has layers 0 to 2, and constrained are -1"),
        (dict(constrained="every"), "Layers are whole numbers, and 'e' is not"),
        (dict(logits_at=[7]), "Logits at position 7 were asked for, but the prompt has 7 tokens"),
        (dict(logits_at=[]), "There are no positions"),
        (dict(read=[Place(5, "mlp_out")]), "no L5 mlp_out"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        model("llama grouped").intervene(PROMPT, residual(0).scale(2), **options)


@pytest.mark.parametrize("site", ["mlp_normalized", "mlp_in"])
def test_what_a_constrained_mlp_reads_cannot_matter(site: Any) -> None:
    m = model("llama grouped")
    what = Place(1, site).scale(2)
    with pytest.raises(InterventionError, match=r"touches nothing: the MLP of layer 1 is constr"):
        m.intervene(PROMPT, what, constrained=[1])
    m.intervene(PROMPT, what, constrained=[0])


def test_a_copy_is_the_same_value() -> None:
    for what in ALL:
        if not isinstance(what.target, Features):  # a dictionary is compared as the object it is
            assert copy.deepcopy(what) == what
    assert {type(what.operation) for what in ALL} == {Ablate, Add, Clamp, Patch, ProjectOut, Scale}
    assert issubclass(Place, Target)
