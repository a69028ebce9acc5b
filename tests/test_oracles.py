"""Graphs agree with circuit-tracer's, number by number, wherever both claim the same quantity.

The references lie beside the checkout and were computed by circuit-tracer 0.5 in float32
(shared/oracles/README.md says how). Its Gemma 3 token columns are too small by sqrt(d_model),
so there only edges from features and errors count; and for families and kinds without a
reference the sum identity stands in.
"""

from __future__ import annotations

import functools
import json
import pathlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from edge_rows import edge_rows, off
from plain_runs import see
from tiny_models import norm_in_float64
from transformers import AutoModelForCausalLM, AutoTokenizer

from interp_widgets.attribution.scores import cumulative, influence, normalised, prune, scores
from interp_widgets.attribution.table import ERROR, FEATURE, OUTPUT, TOKEN, GraphTable
from interp_widgets.attribution.targets import output_targets
from interp_widgets.attribution.trace import trace
from interp_widgets.attribution.units import Features
from interp_widgets.dictionaries import JumpReLU, ReLU, load
from interp_widgets.models import FrozenModel, Model

ORACLES = pathlib.Path(__file__).parents[2] / "shared" / "oracles"
REFERENCES = sorted(path.stem for path in (ORACLES / "refs").glob("*.npz"))
CASES = ORACLES / "cases" / "cases.json"
pytestmark = pytest.mark.skipif(
    not REFERENCES, reason="the reference graphs lie beside the checkout, in shared/oracles/refs"
)
every_reference = pytest.mark.parametrize("name", REFERENCES or ["absent"])
# Two float32 programs agree to about 1e-5 where edges reach 10.
CLOSE = 2e-5
# A pre-activation this near its threshold may fall on either side in float32.
BORDERLINE = 2e-6
WITHOUT_REFERENCE = (
    "gemma3_tiny__jumpskip",
    "qwen3_tiny__relu",
    "llama_tiny__skip",
    "llama_tiny__cltjump",
    "gpt2_tiny__topk",
    "gpt2_tiny__clt",
)


@functools.cache
def cases() -> dict[str, Any]:
    return {case["case"]: case for case in json.loads(CASES.read_text())}


@functools.cache
def model(name: str, dtype: torch.dtype) -> Model:
    folder = ORACLES / "cases" / "models" / name
    hf = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    if dtype == torch.float64:
        norm_in_float64(hf)
    return Model(hf, AutoTokenizer.from_pretrained(folder), name=name)


@functools.cache
def dictionary(case: str, dtype: torch.dtype) -> Any:
    return load(ORACLES / "cases" / "transcoders" / case).to(dtype=dtype)


@functools.cache
def reference(name: str) -> dict[str, Any]:
    with np.load(ORACLES / "refs" / f"{name}.npz", allow_pickle=False) as file:
        return dict(file)


@dataclass(frozen=True)
class Pair:
    """A graph of ours and the reference for it; `prefix` is "" or "sub_" (a node budget)."""

    table: GraphTable
    expected: dict[str, Any]
    prefix: str

    def __getitem__(self, key: str) -> Any:
        return self.expected[self.prefix + key]

    @property
    def features(self) -> list[tuple[int, ...]]:
        """(layer, position, feature) of our feature nodes."""
        t, here = self.table, self.table.kind == FEATURE
        return list(zip(*(x[here].tolist() for x in (t.layer, t.position, t.feature)), strict=True))

    @property
    def expected_features(self) -> list[tuple[int, ...]]:
        active = [tuple(row) for row in self["active_features"].tolist()]
        if self.prefix:
            active = [active[i] for i in self["selected_features"]]
        return active


@functools.cache
def pair(name: str, dtype: torch.dtype, prefix: str = "") -> Pair:
    case = cases()["__".join(name.split("__")[:2])]
    expected = reference(name)
    budget = int(0.4 * len(expected["active_features"])) if prefix else None
    table = trace(
        model(case["model"], dtype),
        case["prompts"][name.split("__")[2]],
        dictionary(case["case"], dtype),
        max_nodes=budget,
        rank_every=64,
    )
    return Pair(table, expected, prefix)


@functools.cache
def same_precision(name: str) -> torch.dtype:
    """float32, as the reference; float64 where a feature on the edge of being active falls on
    the reference's side only there."""
    both = pair(name, torch.float32)
    return torch.float32 if both.features == both.expected_features else torch.float64


def adjacency(table: GraphTable) -> np.ndarray:
    out = np.zeros((table.n_nodes, table.n_nodes), np.float32)
    out[targets(table), table.source] = table.weight
    return out


def targets(table: GraphTable) -> np.ndarray:
    return np.repeat(np.arange(table.n_nodes), np.diff(table.ptr))


def influence_of(table: GraphTable) -> np.ndarray:
    share = normalised(table.ptr, table.weight)
    return influence(table.ptr, table.source, share, table.target_weight, table.level)


def tokens_are_right(name: str) -> bool:
    return not name.startswith("gemma3")


every_prefix = pytest.mark.parametrize("prefix", ["", "sub_"], ids=["all features", "node budget"])


@every_prefix
@every_reference
def test_the_chosen_features_are_the_same(name: str, prefix: str) -> None:
    both = pair(name, same_precision(name), prefix)
    assert both.features == both.expected_features


@every_reference
def test_activations_are_the_same(name: str) -> None:
    both = pair(name, same_precision(name))
    np.testing.assert_allclose(
        both.table.activation[both.table.kind == FEATURE], both["activation_values"], atol=CLOSE
    )


@every_reference
def test_output_tokens_and_their_probabilities_are_the_same(name: str) -> None:
    both = pair(name, same_precision(name))
    here = both.table.kind == OUTPUT
    assert both.table.feature[here].tolist() == both["logit_ids"].tolist()
    np.testing.assert_allclose(both.table.probability[here], both["logit_probs"], atol=1e-6)
    assert [both.table.names[i] for i in np.flatnonzero(here)] == both["logit_str"].tolist()


@every_prefix
@every_reference
def test_every_edge_is_the_same(name: str, prefix: str) -> None:
    both = pair(name, same_precision(name), prefix)
    compared = (both.table.kind != TOKEN) | tokens_are_right(name)
    found, expected = adjacency(both.table)[:, compared], both["adjacency"][:, compared]
    np.testing.assert_allclose(found, expected, rtol=0, atol=CLOSE)


@every_prefix
@every_reference
def test_influence_and_cumulative_influence_are_the_same(name: str, prefix: str) -> None:
    if not tokens_are_right(name):
        pytest.skip("influences of this reference rest on wrong token columns")
    both = pair(name, same_precision(name), prefix)
    found, expected = influence_of(both.table), both["node_influence"].astype(np.float64)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    # Where neighbours in rank are closer than rounding, their order is arbitrary.
    order = np.argsort(-expected)
    gaps = np.concatenate([[np.inf], -np.diff(expected[order]), [np.inf]])
    clear = order[(gaps[:-1] > 1e-6) & (gaps[1:] > 1e-6)]
    assert len(clear) > len(order) / 4
    np.testing.assert_allclose(
        cumulative(found)[clear], both["cumulative_scores"][clear], rtol=0, atol=1e-5
    )


@every_prefix
@every_reference
def test_pruning_keeps_the_same_nodes_and_edges(name: str, prefix: str) -> None:
    if not tokens_are_right(name):
        pytest.skip("masks of this reference rest on wrong token columns")
    both = pair(name, same_precision(name), prefix)
    table, n = both.table, both.table.n_nodes
    kept = prune(table, influence_of(table))
    assert (kept.nodes == both["node_mask"]).all()
    edges = np.zeros((n, n), bool)
    edges[targets(table)[kept.edges], table.source[kept.edges]] = True
    expected = np.unpackbits(both["edge_mask_packed"])[: n * n].reshape(n, n).astype(bool)
    assert (edges == expected).all()


@every_prefix
@every_reference
def test_replacement_and_completeness_are_the_same(name: str, prefix: str) -> None:
    if not tokens_are_right(name):
        pytest.skip("scores of this reference rest on wrong token columns")
    both = pair(name, same_precision(name), prefix)
    found = scores(both.table, influence_of(both.table))
    assert found.replacement == pytest.approx(float(both["replacement_score"]), abs=1e-5)
    assert found.completeness == pytest.approx(float(both["completeness_score"]), abs=1e-5)


@every_reference
def test_error_and_token_vectors_and_logits_are_the_same(name: str) -> None:
    case, expected = cases()["__".join(name.split("__")[:2])], reference(name)
    dtype = same_precision(name)
    m = model(case["model"], dtype)
    recording = m.record(case["prompts"][name.split("__")[2]])
    assert recording.token_ids.tolist() == expected["input_tokens"].tolist()
    units = Features(FrozenModel(m, recording), dictionary(case["case"], dtype))
    errors = torch.stack(units.errors).numpy()
    np.testing.assert_allclose(errors, expected["error_vectors"], rtol=0, atol=CLOSE)
    if not name.startswith("gemma"):  # there they are unscaled rows, which nothing adds up to
        np.testing.assert_allclose(
            recording.embedding, expected["token_vectors"], rtol=0, atol=CLOSE
        )
    np.testing.assert_allclose(recording.logits, expected["logits"][-1], rtol=0, atol=CLOSE)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@every_reference
def test_precision_changes_only_features_on_the_edge_of_being_active(
    name: str, dtype: torch.dtype
) -> None:
    both = pair(name, dtype)
    found, expected = both.features, both.expected_features
    borderline = set(found) ^ set(expected)
    d = dictionary("__".join(name.split("__")[:2]), dtype)
    for layer, position, feature in borderline:
        assert margin(both, d, layer, position, feature) <= BORDERLINE
    table = both.table
    # The common nodes, but for the errors that take over what a missing feature wrote.
    last, n_pos, n_rest = d.n_layers - 1, len(table.tokens), len(table.kind) - len(found)
    taken_over = {
        at * n_pos + position
        for layer, position, _ in borderline
        for at in range(layer, (last if len(d.writes_to(layer)) > 1 else layer) + 1)
    }
    place = {node: i for i, node in enumerate(expected)}
    mine = [i for i, node in enumerate(found) if node in place]
    theirs = [place[found[i]] for i in mine]
    rows = np.arange(n_rest)
    compared = (table.kind != TOKEN)[len(found) :] | tokens_are_right(name)
    columns = np.array([i for i in rows if i not in taken_over and compared[i]])
    a = adjacency(table)[np.ix_([*mine, *(len(found) + rows)], [*mine, *(len(found) + columns)])]
    b = both["adjacency"][
        np.ix_([*theirs, *(len(expected) + rows)], [*theirs, *(len(expected) + columns)])
    ]
    np.testing.assert_allclose(a, b, rtol=0, atol=CLOSE)


def margin(both: Pair, d: Any, layer: int, position: int, feature: int) -> float:
    """How far a feature's pre-activation is from where it becomes active."""
    node, activation = (layer, position, feature), d.activation_function(layer)
    if node in both.features:
        value = float(both.table.activation[both.features.index(node)])
    else:
        value = float(both["activation_values"][both.expected_features.index(node)])
    if isinstance(activation, JumpReLU):
        return abs(value - float(activation.threshold[feature]))
    return abs(value) if isinstance(activation, ReLU) else float("inf")


@pytest.mark.parametrize("prompt", ["short", "mid", "long"])
@pytest.mark.parametrize("case", WITHOUT_REFERENCE)
def test_edges_and_bias_sum_to_the_value_where_there_is_no_reference(
    case: str, prompt: str
) -> None:
    about = cases()[case]
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-4)):
        m = model(about["model"], dtype)
        frozen = FrozenModel(m, m.record(about["prompts"][prompt]))
        units, outputs = Features(frozen, dictionary(case, dtype)), output_targets(frozen)
        matrix, bias = edge_rows(frozen, units, outputs)
        total, k = matrix.sum(1) + bias, len(outputs)
        d, seen = dictionary(case, dtype), see(m.hf, frozen.recording.token_ids)
        pre = torch.stack(
            [x @ d.layer(i).encoder.whole().T + d.layer(i).encoder_bias
             for i, x in enumerate(seen.inputs[d.input_hook])]
        )  # fmt: skip
        assert off(total[:-k], pre[units.layer, units.position, units.feature]) < tolerance
        logits = frozen.recording.logits
        logits = logits[outputs.token_id] - logits.mean()  # none of these has a softcap
        assert off(total[-k:], logits) < tolerance


@pytest.mark.parametrize("prompt", ["short", "mid", "long"])
@pytest.mark.parametrize("case", WITHOUT_REFERENCE)
def test_a_graph_with_a_budget_adds_up_where_there_is_no_reference(case: str, prompt: str) -> None:
    about = cases()[case]
    m, d = model(about["model"], torch.float32), dictionary(case, torch.float32)
    table = trace(m, about["prompts"][prompt], d, max_nodes=60)
    incoming = np.bincount(targets(table), table.weight, minlength=table.n_nodes)
    known = ~np.isnan(table.value)
    assert known[(table.kind == FEATURE) | (table.kind == OUTPUT)].all()
    assert not known[(table.kind == ERROR) | (table.kind == TOKEN)].any()
    residual = np.abs(incoming + table.bias + table.hidden - table.value)[known]
    assert residual.max() < 1e-4 * np.abs(table.value[known]).max()
