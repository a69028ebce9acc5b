"""What a graph explains: tokens, logit differences and directions become vectors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from plain_runs import parts, see
from tiny_models import PROMPT, VOCAB, WIDTH, model
from torch import Tensor

from interp_widgets.attribution.targets import OutputTargets, output_targets
from interp_widgets.attribution.trace import trace
from interp_widgets.models import FrozenModel, Model, PromptError


@pytest.fixture(scope="module")
def llama() -> Model:
    return model("llama grouped", torch.float64)


@pytest.fixture(scope="module")
def frozen(llama: Model) -> FrozenModel:
    return FrozenModel(llama, llama.record(PROMPT))


def with_logits(frozen: FrozenModel, logits: Tensor) -> FrozenModel:
    other = FrozenModel(frozen.model, replace(frozen.recording, logits=logits))
    return other


def value(frozen: FrozenModel, targets: OutputTargets) -> Tensor:
    """The targets' values from the final norm's output, as a plain hook sees it."""
    final = see(frozen.model.hf, frozen.recording.token_ids).final[-1]
    return targets.vectors @ final + targets.constant


@pytest.mark.parametrize("seed", range(8))
def test_automatic_targets_are_the_fewest_tokens_that_reach_the_probability(
    frozen: FrozenModel, seed: int
) -> None:
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(VOCAB, generator=random, dtype=torch.float64) * (seed + 1)
    probability = torch.softmax(logits, -1).tolist()
    by_size = sorted(range(VOCAB), key=lambda i: -probability[i])
    for share in (0.1, 0.5, 0.95, 0.999):
        found = output_targets(
            with_logits(frozen, logits), min_probability=share, max_targets=VOCAB
        )
        ids = found.token_id.tolist()
        assert ids == by_size[: len(ids)]
        assert sum(probability[i] for i in ids) >= share
        assert sum(probability[i] for i in ids[:-1]) < share
        assert found.probability.tolist() == pytest.approx([probability[i] for i in ids])
        assert found.weight.tolist() == found.probability.tolist()


def test_automatic_targets_are_at_most_ten(frozen: FrozenModel) -> None:
    flat = torch.linspace(0.01, 0, VOCAB, dtype=torch.float64)
    found = output_targets(with_logits(frozen, flat))
    assert found.token_id.tolist() == list(range(10))
    assert len(output_targets(with_logits(frozen, flat), max_targets=3)) == 3


def test_one_certain_token_is_a_target_alone(frozen: FrozenModel) -> None:
    certain = torch.zeros(VOCAB, dtype=torch.float64)
    certain[17] = 50
    found = output_targets(with_logits(frozen, certain))
    assert found.names == ("w17",)
    assert found.weight.item() == pytest.approx(1)


@pytest.mark.parametrize(
    "wanted",
    ["w9", 9, ["w9"], [9], [np.int64(9)], np.array([9]), torch.tensor(9), torch.tensor([9])],
    ids=repr,
)
def test_a_token_is_named_by_text_or_id_alone_or_in_a_list(
    frozen: FrozenModel, wanted: Any
) -> None:
    found = output_targets(frozen, wanted)
    assert found.names == ("w9",)
    assert found.token_id.tolist() == [9]
    logits = frozen.recording.logits
    assert value(frozen, found).item() == pytest.approx((logits[9] - logits.mean()).item())
    assert found.weight.item() == pytest.approx(torch.softmax(logits, -1)[9].item())


@pytest.mark.parametrize("wanted", [("w9", "w11"), (9, 11), [("w9", 11)]], ids=str)
def test_a_pair_is_the_difference_of_two_logits(frozen: FrozenModel, wanted: Any) -> None:
    found = output_targets(frozen, wanted)
    logits = frozen.recording.logits
    assert value(frozen, found).item() == pytest.approx((logits[9] - logits[11]).item())
    assert "w9" in found.names[0]
    assert "w11" in found.names[0]
    assert found.token_id.tolist() == [-1]
    assert found.probability.isnan().all()
    assert found.weight.tolist() == [1.0]


def test_a_direction_is_read_off_the_final_norms_output(frozen: FrozenModel) -> None:
    random = torch.Generator().manual_seed(0)
    directions = torch.randn(2, WIDTH, generator=random)
    final = see(frozen.model.hf, frozen.recording.token_ids).final[-1]
    for wanted in (list(directions), directions):
        found = output_targets(frozen, wanted)
        torch.testing.assert_close(value(frozen, found), directions.double() @ final)
        assert found.weight.tolist() == [0.5, 0.5]
        assert len(set(found.names)) == 2
    assert len(output_targets(frozen, directions[0])) == 1


def test_targets_of_all_kinds_mix_in_one_list(frozen: FrozenModel) -> None:
    found = output_targets(frozen, ["w9", ("w9", "w11"), torch.ones(WIDTH)])
    logits = frozen.recording.logits
    final = see(frozen.model.hf, frozen.recording.token_ids).final[-1]
    expected = torch.stack([logits[9] - logits.mean(), logits[9] - logits[11], final.sum()])
    torch.testing.assert_close(value(frozen, found), expected)
    assert found.weight.sum() <= 1


def test_an_unembedding_with_a_bias_counts_it() -> None:
    m = model("gpt2", torch.float64)
    unembed = parts(m.hf).unembed
    unembed.bias = torch.nn.Parameter(torch.linspace(-1, 1, VOCAB).double())
    frozen = FrozenModel(m, m.record(PROMPT))
    logits = frozen.recording.logits
    found = output_targets(frozen, ["w9", ("w9", "w11")])
    expected = torch.stack([logits[9] - logits.mean(), logits[9] - logits[11]])
    torch.testing.assert_close(value(frozen, found), expected)


def test_a_softcapped_model_is_explained_before_its_softcap() -> None:
    m = model("gemma2", torch.float64)
    frozen = FrozenModel(m, m.record(PROMPT))
    final = see(m.hf, frozen.recording.token_ids).final[-1]
    weight = parts(m.hf).unembed.weight
    found = output_targets(frozen)
    expected = (weight @ final)[found.token_id] - (weight @ final).mean()
    torch.testing.assert_close(value(frozen, found), expected)
    # but its probability is the one the model gives
    torch.testing.assert_close(
        found.probability, torch.softmax(frozen.recording.logits, -1)[found.token_id]
    )


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ("nonsense", "'nonsense' is not in this tokenizer's vocabulary"),
        ("", "'' is not in this tokenizer's vocabulary"),
        ("w9 w11", "'w9 w11' is 2 tokens in this tokenizer (['w9', 'w11'])"),
        (VOCAB, f"Target token id {VOCAB} is outside the vocabulary (0 to {VOCAB - 1})"),
        (-1, "Target token id -1 is outside the vocabulary"),
        (("w9", "nonsense"), "'nonsense' is not in"),
        (("w9", 99), "Target token id 99 is outside"),
        ([], "No targets were given"),
        (torch.ones(WIDTH + 1), f"d_model = {WIDTH}"),
        ([torch.ones(2, WIDTH)], f"d_model = {WIDTH}"),
        (("w9", "w10", "w11"), "A logit difference is a pair"),
        ([("w9",)], "A logit difference is a pair"),
        (3.5, "A target is a token"),
        ([0.25] * WIDTH, "A target is a token"),
        (np.ones(WIDTH), "A target is a token"),
        ([None], "A target is a token"),
        (torch.full((WIDTH,), float("nan")), "not finite"),
    ],
    ids=lambda x: str(x)[:40],
)
def test_what_is_not_a_target_is_refused_in_a_sentence(
    frozen: FrozenModel, wanted: Any, says: str
) -> None:
    with pytest.raises(PromptError) as refused:
        output_targets(frozen, wanted)
    assert says in str(refused.value)
    assert str(refused.value).endswith((".", "]", ")"))


def test_output_nodes_of_a_graph_are_the_targets(llama: Model) -> None:
    table = trace(llama, PROMPT, None, ["w9", ("w9", "w11")], max_nodes=5)
    outputs = np.flatnonzero(table.kind == 3)
    assert [table.names[i] for i in outputs] == ["w9", "w9 − w11"]
    assert len(set(table.ids)) == table.n_nodes
    assert table.feature[outputs].tolist() == [9, VOCAB + 1]
    logits = llama.record(PROMPT).logits
    expected = [float(logits[9] - logits.mean()), float(logits[9] - logits[11])]
    assert table.value[outputs].tolist() == pytest.approx(expected, rel=1e-6)
