"""Dose-response, damage and the choice of a strength: against hand-written hooks, plain loops and
closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from statistics import NormalDist
from typing import Any

import pytest
import torch
from plain_places import hooks
from tiny_models import VOCAB, WIDTH, model
from torch import Tensor

import interp_widgets as iw
from interp_widgets.dictionaries.metrics import Estimate
from interp_widgets.jobs import Cancelled
from interp_widgets.models import Model, Place
from interp_widgets.steering import (
    Band,
    Direction,
    Dose,
    DoseResponse,
    NaturalScale,
    Neutral,
    SteeringError,
    choose,
    difference_in_means,
    dose_response,
    from_vector,
    log_probability,
    logit_difference,
    losses,
    mean_probability,
    random_like,
    repetition,
    texts,
)
from interp_widgets.steering.intervals import mean

PLACE = Place(1, "resid_post")
TEXT = ["w5 w6 w7 w9 w5 w30 w12 w5", "w21 w22 w23 w14 w3 w7", "w9 w9 w10 w31 w32"]


@cache
def tiny() -> Model:
    return model("llama grouped")


def prompts(n: int, seed: int = 0) -> list[list[int]]:
    random = torch.Generator().manual_seed(seed)
    return [
        [1, *torch.randint(5, VOCAB, (3 + i % 3,), generator=random).tolist()] for i in range(n)
    ]


def direction(seed: int = 0, scale: float = 1.0) -> Direction:
    draw = torch.randn(WIDTH, generator=torch.Generator().manual_seed(seed))
    return from_vector(scale * draw, PLACE, "drawn")


@torch.no_grad()
def plain(m: Model, ids: list[int], push: Tensor, start: int) -> Tensor:
    """Logits [position, vocab] with `push` added from position `start` on, by a PyTorch hook."""

    def add(x: Tensor) -> Tensor:
        x = x.clone()
        x[:, start:] += push
        return x

    with hooks(m.hf, PLACE.layer, PLACE.site, add):
        logits: Tensor = m.hf(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
    return logits


@cache
def measured() -> DoseResponse:
    return dose_response(
        tiny(),
        prompts(6),
        direction(),
        [2, -1, 0, 0.5],
        logit_difference(tiny(), "w9", "w30"),
        contrast=(prompts(4, 1), prompts(5, 2)),
        text=TEXT,
        n_new_tokens=5,
        seed=3,
    )


def change(ids: list[int], push: Tensor, start: int = 1) -> float:
    """Of the logit difference w9 - w30 behind a prompt."""
    steered, base = plain(tiny(), ids, push, start)[-1], plain(tiny(), ids, 0 * push, start)[-1]
    return float((steered[9] - steered[30]) - (base[9] - base[30]))


# Dose-response


def test_each_change_is_the_one_that_plain_hooks_make() -> None:
    found = measured()
    assert found.strengths == (-1, 0, 0.5, 2)
    assert found.n_prompts == 6
    v = direction().vector
    for i, s in enumerate(found.strengths):
        expected = [change(ids, s * v) for ids in prompts(6)]
        assert found.changes[i].tolist() == pytest.approx(expected, abs=1e-5)
        dose = found.doses[i]
        assert dose.effect.value == pytest.approx(sum(expected) / 6, abs=1e-5)
        assert dose.effect.n == dose.wrong_way.n == 6
        wrong = sum(c * s < 0 for c in expected) / 6
        assert dose.wrong_way.value == pytest.approx(wrong)
        if s:
            assert dose.effect.low < dose.effect.value < dose.effect.high


def test_strength_0_changes_nothing_at_all() -> None:
    dose = measured().doses[1]
    assert (dose.strength, dose.effect.value, dose.damage.value) == (0, 0, 0)
    assert (dose.random.low, dose.random.high) == (0, 0)
    assert dose.wrong_way.value == 0
    assert dose.repetition == measured().base_repetition


def test_the_band_is_that_of_random_directions_of_equal_norm() -> None:
    found, listed = measured(), prompts(6)
    randoms = [random_like(direction(), 3 + i) for i in range(20)]
    norms = [float(r.vector.norm()) for r in randoms]
    assert norms == pytest.approx([float(direction().vector.norm())] * 20, rel=1e-5)
    means = sorted(sum(change(ids, 2 * r.vector) for ids in listed) / 6 for r in randoms)
    band = found.doses[-1].random
    assert band.n == 20
    # Linear between order statistics: 0.025 * 19 = 0.475 of the way from the first to the second.
    assert band.low == pytest.approx(means[0] + 0.475 * (means[1] - means[0]), abs=1e-5)
    assert band.high == pytest.approx(means[-1] - 0.475 * (means[-1] - means[-2]), abs=1e-5)
    assert band.median == pytest.approx((means[9] + means[10]) / 2, abs=1e-5)


def test_the_contrast_is_the_difference_in_means_at_equal_norm() -> None:
    m, seen = tiny(), []

    def last(ids: list[int]) -> Tensor:
        with hooks(m.hf, PLACE.layer, PLACE.site, lambda x: seen.append(x[0, -1].clone())):
            plain_run(m, ids)
        return seen.pop()

    up = torch.stack([last(ids) for ids in prompts(4, 1)]).mean(0)
    down = torch.stack([last(ids) for ids in prompts(5, 2)]).mean(0)
    push = (up - down) / (up - down).norm() * direction().vector.norm()
    expected = sum(change(ids, 2 * push) for ids in prompts(6)) / 6
    contrast = measured().doses[-1].contrast
    assert contrast is not None
    assert contrast.value == pytest.approx(expected, abs=1e-5)
    assert contrast.n == 6


@torch.no_grad()
def plain_run(m: Model, ids: list[int]) -> None:
    m.hf(input_ids=torch.tensor([ids]), use_cache=False)


def test_damage_is_the_change_in_loss_per_token_of_the_neutral_text() -> None:
    m, found = tiny(), measured()
    v = direction().vector

    def loss(push: Tensor) -> tuple[float, int]:
        total, count = 0.0, 0
        for text in TEXT:
            ids = m.tokenize(text).tolist()
            log_p = plain(m, ids, push, 1).log_softmax(-1)
            total -= sum(float(log_p[i, ids[i + 1]]) for i in range(len(ids) - 1))
            count += len(ids) - 1
        return total, count

    base, n = loss(0 * v)
    assert found.base_loss.value == pytest.approx(base / n, abs=1e-5)
    assert found.base_loss.n == n == 19
    for dose in found.doses:
        expected = (loss(dose.strength * v)[0] - base) / n
        assert dose.damage.value == pytest.approx(expected, abs=1e-5)
        assert dose.damage.n == 19


def test_repetition_is_that_of_the_texts_the_steered_model_writes() -> None:
    found, m = measured(), tiny()
    for dose in found.doses:
        rows = [direction().steer(dose.strength)]
        shares = []
        for index, ids in enumerate(prompts(6)):
            steps = m.generate(ids, rows, max_new_tokens=5, temperature=1.0, seed=3 + index)
            shares.append(repetition([t for step in steps if (t := step.tokens[0]) is not None]))
        assert dose.repetition.value == pytest.approx(sum(shares) / 6)
        assert dose.repetition.n == 6


def test_the_first_steered_position_can_be_chosen() -> None:
    found = dose_response(
        tiny(), prompts(2), direction(), [1.0], logit_difference(tiny(), 9, 30),
        start=2, text=TEXT, n_new_tokens=1,
    )  # fmt: skip
    expected = [change(ids, direction().vector, start=2) for ids in prompts(2)]
    assert found.changes[0].tolist() == pytest.approx(expected, abs=1e-5)
    assert (found.doses[0].contrast, found.instruction) == (None, None)


def test_the_prompt_baseline_is_the_effect_of_asking_first() -> None:
    m, said = tiny(), ["w5 w6 w7", "w8 w9", "w20 w21 w22"]
    effect = log_probability(m, ["w3", "w5"])
    found = dose_response(
        m, said, direction(), [1.0], effect, instruction="w30 w31", text=TEXT, n_new_tokens=1
    )

    def plainly(text: str) -> float:
        ids = m.tokenize(text).tolist()
        p = plain(m, ids, torch.zeros(WIDTH), 0)[-1].softmax(-1)
        return math.log(float(p[3] + p[5]))

    assert found.instruction is not None
    expected = sum(plainly("w30 w31 " + text) - plainly(text) for text in said) / 3
    assert found.instruction.value == pytest.approx(expected, abs=1e-5)
    base = sum(plainly(text) for text in said) / 3
    assert found.base_effect.value == pytest.approx(base, abs=1e-5)


def test_each_prompt_may_have_an_effect_of_its_own() -> None:
    m, listed = tiny(), prompts(3)
    effects = [logit_difference(m, 9 + i, 30) for i in range(3)]
    found = dose_response(
        m, listed, direction(), [1.0], effects, text=TEXT, n_new_tokens=1
    ).changes[0]
    for i, ids in enumerate(listed):
        (one,) = dose_response(
            m, [ids, ids], direction(), [1.0], effects[i], text=TEXT, n_new_tokens=1
        ).changes[:, 0]
        assert float(found[i]) == pytest.approx(float(one), abs=1e-5)


def test_effects_are_what_they_say() -> None:
    m, logits = tiny(), torch.randn(4, VOCAB, generator=torch.Generator().manual_seed(0))
    p = logits.softmax(-1)
    assert logit_difference(m, "w7", "w8")(logits) == pytest.approx(
        float(logits[3, 7]) - float(logits[3, 8]), abs=1e-6
    )
    assert log_probability(m, "w7")(logits) == pytest.approx(math.log(float(p[3, 7])), abs=1e-5)
    average = sum(float(p[i, t]) for i in (1, 2, 3) for t in (7, 8)) / 3
    assert mean_probability(m, ["w7", "w8"])(logits) == pytest.approx(average, abs=1e-6)


def test_progress_grows_to_the_end_and_cancelling_stops_it() -> None:
    told: list[float] = []

    def run(cancelled: Callable[[], bool]) -> Any:
        return dose_response(
            tiny(), prompts(2), direction(), [1.0], log_probability(tiny(), 9), text=TEXT,
            n_new_tokens=2, progress=lambda share, said: told.append(share), cancelled=cancelled,
        )  # fmt: skip

    run(lambda: False)
    assert told == sorted(told)
    assert 0 <= told[0] < 0.2
    assert 0.9 < told[-1] <= 1
    told.clear()
    with pytest.raises(Cancelled):
        run(lambda: len(told) >= 5)
    assert len(told) == 5


def test_what_cannot_be_measured_is_refused_in_a_sentence() -> None:
    m, effect = tiny(), log_probability(tiny(), 9)
    cases: list[tuple[dict[str, Any], str]] = [
        (dict(prompts=prompts(1)), "at least 2 prompts"),
        (dict(prompts="w5 w6"), "list"),
        (dict(strengths=[]), "at least one finite strength"),
        (dict(strengths=[math.inf]), "finite strength"),
        (dict(n_random=5), "at least 20"),
        (dict(n_new_tokens=0), "at least 1 token"),
        (dict(start=-1), "start"),
        (dict(effect=[effect]), "one for each"),
        (dict(instruction="w5"), "prompts that are text"),
        (dict(effect=lambda logits: math.nan), "not finite"),
    ]
    for settings, said in cases:
        given = dict(
            prompts=prompts(2), direction=direction(), strengths=[1.0], effect=effect, text=TEXT
        )
        with pytest.raises(SteeringError, match=said):
            dose_response(m, **(given | settings))


def test_steering_towards_a_state_raises_its_capital_on_the_organism() -> None:
    """A positive control: a direction between two kinds of prompts moves what they differ in."""
    m = iw.load("organism")
    texas = [
        f"the capital of the state containing {c} is" for c in ("dallas", "houston", "el paso")
    ]
    other = [f"the capital of the state containing {c} is" for c in ("oakland", "fresno", "miami")]
    d = difference_in_means(m, texas, other, Place(3, "resid_post"))
    found = dose_response(
        m, other, d, [0.5, 1.0, 2.0], log_probability(m, "austin"), n_new_tokens=4,
        text=["the capital of the state containing tulsa is", "alice went to the library ."],
    )  # fmt: skip
    strongest = found.doses[-1]
    assert strongest.effect.low > strongest.random.high > 0
    assert strongest.wrong_way.value == 0


# Damage by itself


def test_losses_of_windows_are_summed_over_all_their_next_tokens() -> None:
    m, windows = tiny(), [[1, 5, 9, 7], [1, 30, 31]]
    text = Neutral(tuple(torch.tensor(ids) for ids in windows), "numbers")
    found = losses(m, text, [[], direction().steer(2.0)])
    for column, ids in enumerate(windows):
        for row, s in enumerate((0.0, 2.0)):
            log_p = plain(m, ids, s * direction().vector, 1).log_softmax(-1)
            expected = -sum(float(log_p[i, ids[i + 1]]) for i in range(len(ids) - 1))
            assert float(found[row, column]) == pytest.approx(expected, abs=1e-4)


def test_repetition_counts_n_grams_that_were_there_before() -> None:
    assert repetition([1, 2, 3, 4, 5]) == 0
    assert repetition([7] * 10) == pytest.approx(7 / 8)
    assert repetition([1, 2, 3, 1, 2, 3, 1, 2, 3]) == pytest.approx(4 / 7)
    assert repetition([1, 2, 3, 1, 2, 3], n=2) == pytest.approx(2 / 5)
    assert repetition([1, 2]) == repetition([]) == 0


def test_variants_of_a_text_share_one_noise_and_prompts_do_not() -> None:
    same = prompts(1) * 2
    found = texts(tiny(), same, [[], direction().steer(0.0)], 6, seed=1)
    assert [variants[0] == variants[1] for variants in found] == [True, True]
    assert found[0][0] != found[1][0]


# Intervals


def test_a_mean_has_the_interval_that_its_standard_error_gives() -> None:
    values = torch.randn(400, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 3
    found = mean(values)
    error = float(values.std()) / 20
    z = NormalDist().inv_cdf(0.975)
    assert found.value == pytest.approx(float(values.mean()))
    assert found.n == 400
    assert found.error == pytest.approx(error, rel=0.15)
    assert found.low == pytest.approx(found.value - z * error, abs=0.3 * error)
    assert found.high == pytest.approx(found.value + z * error, abs=0.3 * error)


def test_a_weighted_mean_is_the_ratio_of_sums() -> None:
    found = mean(torch.tensor([1.0, 4.0]), torch.tensor([3.0, 1.0]), n=12)
    assert found.value == pytest.approx(7 / 4)
    # Two units drawn twice: each pair alone, or both.
    assert (found.low, found.high, found.n) == (1.0, 4.0, 12)
    assert math.isnan(mean(torch.tensor([2.0])).low)


# Choosing


def response(changes: Tensor, damage: Tensor) -> DoseResponse:
    """Made by hand: changes [strength, prompt], damage [strength, window] in nats per token."""
    n, blank = len(changes), Estimate(0, 0, 0, 0, 1)
    tokens = torch.full((damage.shape[1],), 10.0, dtype=torch.float64)
    lost = torch.cat([torch.zeros(1, damage.shape[1]), damage]).double() * tokens + 30
    doses = tuple(
        Dose(float(i + 1), blank, blank, Band(0, 0, 0, 20), None, blank, blank) for i in range(n)
    )
    scale = NaturalScale("projection", 0, 1, 1, 1, 1, 1, 1, 0, "")
    return DoseResponse(
        direction(), scale, doses, blank, blank, blank, None, 1, "", changes.double(),
        torch.zeros(20, *changes.shape, dtype=torch.float64), None, lost, tokens,
    )  # fmt: skip


def test_a_strength_is_chosen_on_one_half_and_reported_on_the_other() -> None:
    # Ten prompts, three strengths of pure noise: the best of the first half promises more than it
    # keeps, on average over many draws.
    random = torch.Generator().manual_seed(0)
    promised, kept = [], []
    for seed in range(60):
        noise = torch.randn(8, 10, generator=random)
        found = choose(response(noise, torch.zeros(8, 6)), seed=seed)
        row = noise[int(found.strength) - 1].double()
        total = found.chosen_on.value * 5 + found.effect.value * 5
        assert total == pytest.approx(float(row.sum()), abs=1e-6)
        assert (found.chosen_on.n, found.effect.n, found.random.n) == (5, 5, 20)
        promised.append(found.chosen_on.value)
        kept.append(found.effect.value)
    error = 1 / math.sqrt(5 * 60)
    assert abs(sum(kept) / 60) < 4 * error
    # The largest of 8 means of 5 standard normal numbers is 1.42 / sqrt(5) on average.
    assert sum(promised) / 60 == pytest.approx(1.42 / math.sqrt(5), abs=0.15)


def test_a_strength_that_breaks_the_budget_is_not_chosen() -> None:
    changes = torch.tensor([[1.0] * 6, [5.0] * 6, [9.0] * 6])
    damage = torch.tensor([[0.1] * 4, [0.4] * 4, [2.0] * 4])
    found = choose(response(changes, damage), budget=0.5)
    assert found.strength == 2
    assert found.effect.value == pytest.approx(5)
    assert found.damage.value == pytest.approx(0.4)
    assert found.damage.n == 20
    assert choose(response(changes, damage), budget=3).strength == 3
    with pytest.raises(SteeringError, match="costs more than 0.05"):
        choose(response(changes, damage), budget=0.05)


def test_too_few_prompts_for_two_halves_are_refused() -> None:
    with pytest.raises(SteeringError, match="4 prompts"):
        choose(response(torch.zeros(2, 3), torch.zeros(2, 6)))
    with pytest.raises(SteeringError, match="4 windows"):
        choose(response(torch.zeros(2, 6), torch.zeros(2, 3)))
