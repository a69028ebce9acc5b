"""A trainee: exported as it is, resumed bit by bit, the same in one process and in two."""

import math
import threading
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from interp_widgets.dictionaries import (
    CrossLayerTranscoder,
    DictionaryError,
    JumpReLU,
    SparseCoder,
    TopK,
    reconstruct,
)
from interp_widgets.dictionaries.training import Spec, cross_layer, recipes, sae, transcoder
from interp_widgets.dictionaries.training.learner import Learner
from interp_widgets.dictionaries.training.trainee import Moment, StepReport, make
from interp_widgets.models.places import Place

D, F, N = 12, 64, 64
DEAD_AFTER = 5 * N

RECIPES = [
    recipes.TopK(4, dead_after=DEAD_AFTER),
    recipes.BatchTopK(4, dead_after=DEAD_AFTER),
    recipes.Matryoshka(recipes.BatchTopK(4, dead_after=DEAD_AFTER), (16,)),
    recipes.ReLU(0.5),
    recipes.JumpReLU(0.5, target_l0=6.0, dead_after=DEAD_AFTER),
    recipes.JumpReLU(0.5, "quadratic", target_l0=6.0, bandwidth=0.2),
    recipes.Gated(0.5),
]
names = [f"{type(recipe).__name__} {i}" for i, recipe in enumerate(RECIPES)]


def data(places: int, seed: int = 0, n: int = N) -> list[Tensor]:
    """Vectors with different means and sizes at each place."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(places, D, D, generator=torch.Generator().manual_seed(99))
    x = torch.randn(places, n, D, generator=generator) @ mixing
    return [(place + 1.0) * part + 3 * place + 1 for place, part in enumerate(x)]


def initialised(spec: Spec, dtype: torch.dtype = torch.float32) -> Learner:
    trainee = make(spec, D, D, dtype=dtype)
    assert isinstance(trainee, Learner)
    trainee.initialise(*pair(spec, 0, 256), torch.Generator().manual_seed(3))
    return trainee


def pair(spec: Spec, seed: int, n: int = N) -> tuple[list[Tensor], list[Tensor]]:
    x = data(len(spec.reads), seed, n)
    return x, x if spec.reads == spec.writes else [part.roll(1, 1) + 2 for part in x]


@pytest.mark.parametrize("recipe", RECIPES, ids=names)
def test_a_restored_trainee_goes_on_bit_for_bit(recipe: recipes.Recipe) -> None:
    spec = cross_layer(2, F, recipe, skip=True)
    trainee = initialised(spec)
    for at in range(8):
        trainee.step(*pair(spec, at), Moment(lr=1e-2))
    state = trainee.state()
    again = make(spec, D, D, seed=7)
    again.restore(state)
    for at in range(8, 12):
        batch = pair(spec, at)
        assert trainee.step(*batch, Moment(lr=1e-2, k=3)) == again.step(*batch, Moment(1e-2, k=3))
    end, same = trainee.state(), again.state()
    assert end.keys() == same.keys()
    assert all(torch.equal(tensor, same[name]) for name, tensor in end.items())
    assert not torch.equal(end["weights.encoder.0"], state["weights.encoder.0"])


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (sae(Place(0, "mlp_out"), F, recipes.ReLU()), "another kind of dictionary"),
        (sae(Place(0, "mlp_out"), 2 * F, recipes.TopK(4)), "has shape"),
        (cross_layer(2, F, recipes.TopK(4)), "another kind of dictionary"),
    ],
)
def test_the_state_of_another_dictionary_is_refused(other: Spec, message: str) -> None:
    state = initialised(sae(Place(0, "mlp_out"), F, recipes.TopK(4))).state()
    trainee = make(other, D, D)
    before = trainee.state()
    with pytest.raises(DictionaryError, match=message):
        trainee.restore(state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in trainee.state().items())


@pytest.mark.parametrize("shape", ["SAE", "skip transcoder", "cross-layer", "tied", "windowed"])
@pytest.mark.parametrize("recipe", RECIPES, ids=names)
def test_the_exported_dictionary_predicts_raw_vectors_as_the_trainee_does(
    recipe: recipes.Recipe, shape: str
) -> None:
    spec = {
        "SAE": sae(Place(1, "resid_post"), F, recipe),
        "skip transcoder": transcoder(1, F, recipe, skip=True),
        "cross-layer": cross_layer(3, F, recipe),
        "tied": cross_layer(3, F, recipe, tied=True),
        "windowed": cross_layer(3, F, recipe, window=2, skip=True),
    }[shape]
    trainee = initialised(spec, torch.float64)
    for at in range(10):
        trainee.step(*pair(spec, at), Moment(lr=1e-3))
    x = [part.double() for part in pair(spec, 20)[0]]

    exported = trainee.dictionary("a set", "a model")

    if isinstance(exported, SparseCoder):
        active = [exported.encode(x[0])]
        found = [exported.decode(active[0], x[0])]
        assert (exported.reads, exported.writes) == (spec.reads[0], spec.writes[0])
    else:
        assert isinstance(exported, CrossLayerTranscoder)
        active = [exported.encode(layer, part) for layer, part in enumerate(x)]
        found = reconstruct(exported, x, active)
        assert list(exported.writes_to(0)) == list(spec.targets(0))
    for mine, theirs in zip(trainee.encode(x), active, strict=True):
        assert len(mine.position)
        assert torch.equal(mine.position, theirs.position)
        assert torch.equal(mine.feature, theirs.feature)
        assert torch.allclose(mine.activation, theirs.activation, atol=1e-9)
    for place, expected in enumerate(predicted(trainee, x, active)):
        assert torch.allclose(found[place], expected, atol=1e-8)


def predicted(trainee: Learner, x: list[Tensor], active: Sequence[object]) -> list[Tensor]:
    """From the trainee's weights, one feature of one token at a time."""
    constants, p = trainee.weights.constants, trainee.weights.parameters
    outputs = []
    for m in range(len(x)):
        scaled = (x[m] - constants[f"mean_in.{m}"]) * constants[f"scale_in.{m}"]
        y = p[f"decoder_bias.{m}"].detach().expand(len(scaled), D).clone()
        if trainee.spec.skip:
            y += scaled @ p[f"skip.{m}"].detach().T
        for source, code in enumerate(active):
            if m not in trainee.spec.targets(source):
                continue
            tied = trainee.spec.decoder == "tied"
            at = 0 if tied else (m - source) * D
            table = p[f"decoder.{m if tied else source}"].detach()[:, at : at + D]
            for token, feature, value in zip(
                code.position, code.feature, code.activation, strict=True
            ):
                y[token] += value * table[feature]
        outputs.append(y / constants[f"scale_out.{m}"] + constants[f"mean_out.{m}"])
    return outputs


def test_what_is_exported_selects_as_it_was_trained_to() -> None:
    for recipe, kind in (
        (recipes.TopK(4), TopK),
        (recipes.BatchTopK(4), JumpReLU),
        (recipes.Matryoshka(recipes.TopK(4), (8,)), TopK),
        (recipes.JumpReLU(), JumpReLU),
    ):
        trainee = initialised(sae(Place(0, "mlp_out"), F, recipe))
        trainee.step(*pair(trainee.spec, 0), Moment(lr=1e-3, k=7))
        exported = trainee.dictionary("a set")
        assert isinstance(exported, SparseCoder)
        activation = exported.weights.activation
        assert isinstance(activation, kind)
        if isinstance(activation, TopK):
            assert activation == TopK(7, relu=True)


def test_batch_top_k_exports_a_threshold_with_the_l0_it_was_trained_for() -> None:
    trainee = initialised(sae(Place(0, "mlp_out"), F, recipes.BatchTopK(4)))
    for at in range(80):
        trainee.step(*pair(trainee.spec, at), Moment(lr=1e-4))
    active = trainee.encode(data(1, 500, 4 * N))
    assert len(active[0].position) / (4 * N) == pytest.approx(4, rel=0.1)


def test_a_step_reports_what_a_plain_computation_finds() -> None:
    spec = sae(Place(0, "mlp_out"), F, recipes.TopK(4, dead_after=DEAD_AFTER))
    trainee = initialised(spec, torch.float64)
    x, _ = pair(spec, 1)
    exported = trainee.dictionary("before the step")
    assert isinstance(exported, SparseCoder)
    raw = x[0].double()
    active = exported.encode(raw)
    report = trainee.step(x, x, Moment(lr=1e-3))
    variance = ((raw - raw.mean(0)) ** 2).sum()
    fvu = ((raw - exported.decode(active, raw)) ** 2).sum() / variance
    assert report.fvu == pytest.approx(float(fvu))
    assert report.l0 == pytest.approx(len(active.feature) / N)
    counts = torch.bincount(active.feature, minlength=F) / N
    assert torch.allclose(trainee.density()[0], counts.float())
    assert report.dead_share == 0.0
    fired = set(active.feature.tolist())
    for _ in range(4):
        report = trainee.step(x, x, Moment(lr=0.0))
    # The same batch with the same weights but for one step: who was silent still is.
    assert report.dead_share == pytest.approx(1 - len(fired) / F, abs=0.1)
    assert report.dead_share > 0


def test_inputs_of_the_wrong_shape_are_refused() -> None:
    trainee = initialised(transcoder(0, F, recipes.TopK(4)))
    with pytest.raises(DictionaryError, match=r"reads 1 x \[tokens, 12\], but was given"):
        trainee.step([torch.zeros(4, D + 1)], [torch.zeros(4, D)], Moment(lr=1e-3))
    with pytest.raises(DictionaryError, match=r"writes 1 x \[tokens, 12\]"):
        trainee.step([torch.zeros(4, D)], [torch.zeros(5, D)], Moment(lr=1e-3))


class OneOfTwo:
    """A process of a group of two; here a thread."""

    size = 2

    def __init__(
        self, rank: int, meeting: threading.Barrier, desk: dict[int, list[Tensor]]
    ) -> None:
        self.rank, self.meeting, self.desk = rank, meeting, desk

    def exchange(self, tensors: Sequence[Tensor]) -> list[list[Tensor]]:
        self.desk[self.rank] = [tensor.clone() for tensor in tensors]
        self.meeting.wait(60)
        both = [self.desk[0], self.desk[1]]
        self.meeting.wait(60)
        return both

    def mean_(self, tensors: Sequence[Tensor]) -> None:
        mine, other = self.exchange(tensors)
        for tensor, a, b in zip(tensors, mine, other, strict=True):
            tensor.copy_((a + b) / 2)

    def gather(self, tensor: Tensor) -> Tensor:
        (mine,), (other,) = self.exchange([tensor])
        return torch.cat([mine, other])


@pytest.mark.parametrize("recipe", RECIPES, ids=names)
def test_two_processes_with_half_of_each_batch_do_what_one_does(recipe: recipes.Recipe) -> None:
    spec = cross_layer(2, F, recipe)
    alone = initialised(spec, torch.float64)
    expected = [alone.step(*pair(spec, at), Moment(lr=1e-3)) for at in range(12)]

    meeting, desk = threading.Barrier(2), {}
    trainees = [initialised(spec, torch.float64) for _ in range(2)]
    reports: list[list[StepReport]] = [[], []]

    def work(rank: int) -> None:
        group = OneOfTwo(rank, meeting, desk)
        for at in range(12):
            share = [[part[rank::2] for part in side] for side in pair(spec, at)]
            reports[rank].append(trainees[rank].step(*share, Moment(lr=1e-3, group=group)))

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    assert reports[0] == reports[1]
    for found, wanted in zip(reports[0], expected, strict=True):
        assert found.loss == pytest.approx(wanted.loss, rel=1e-8)
        assert found.fvu == pytest.approx(wanted.fvu, rel=1e-8)
        assert (found.l0, found.dead_share) == pytest.approx((wanted.l0, wanted.dead_share))
    ends = [trainee.state() for trainee in trainees]
    for name, tensor in alone.state().items():
        assert torch.equal(ends[0][name], ends[1][name]), name
        assert torch.allclose(ends[0][name], tensor, rtol=1e-6, atol=1e-9), name


# Known features: can they be found again?


def superposition(n: int, directions: Tensor, active: float, seed: int) -> Tensor:
    """Sparse positive sums of directions [G, d], `active` of them per vector, and a little noise."""
    generator = torch.Generator().manual_seed(seed)
    shape = n, len(directions)
    on = torch.rand(shape, generator=generator) < active / len(directions)
    strength = 0.5 + torch.rand(shape, generator=generator)
    noise = torch.randn(n, directions.shape[1], generator=generator)
    return (on * strength) @ directions + 0.02 * noise


def found_again(trainee: Learner, directions: Tensor) -> float:
    """For each true direction the cosine with the decoder vector nearest to it; the mean."""
    exported = trainee.dictionary("found")
    assert isinstance(exported, SparseCoder)
    return float((directions @ normalize(exported.weights.decoder.whole(), dim=1).T).amax(1).mean())


@pytest.mark.parametrize("recipe", [recipes.TopK(3), recipes.JumpReLU(2.0)], ids=["TopK", "Jump"])
def test_known_features_are_found_again_and_not_by_a_random_decoder(recipe: recipes.Recipe) -> None:
    directions = normalize(torch.randn(64, 32, generator=torch.Generator().manual_seed(0)), dim=1)
    first = superposition(2048, directions, 3, seed=1)
    trainee = make(sae(Place(0, "resid_post"), 128, recipe), 32, 32)
    assert isinstance(trainee, Learner)
    trainee.initialise([first], [first], torch.Generator().manual_seed(2))
    # A frozen decoder stays what it is here, whatever its encoder learns.
    frozen = found_again(trainee, directions)
    for at in range(600):
        x = superposition(256, directions, 3, seed=10 + at)
        lr = 3e-3 * min(1.0, (600 - at) / 300)
        trainee.step([x], [x], Moment(lr, sparsity=min(1.0, at / 300)))
    assert found_again(trainee, directions) >= 0.9
    assert frozen < 0.6


def test_the_weight_of_the_tanh_loss_follows_the_l0() -> None:
    directions = normalize(torch.randn(32, 16, generator=torch.Generator().manual_seed(0)), dim=1)

    def last_l0(target: float | None, sparsity: float, steps: int) -> tuple[float, float, float]:
        recipe = recipes.JumpReLU(sparsity, target_l0=target)
        trainee = make(sae(Place(0, "resid_post"), 32, recipe), 16, 16)
        assert isinstance(trainee, Learner)
        first = superposition(1024, directions, 4, seed=1)
        trainee.initialise([first], [first], torch.Generator().manual_seed(2))
        seen, weight = [], 1.0
        for at in range(steps):
            x = superposition(128, directions, 4, seed=10 + at)
            seen.append(trainee.step([x], [x], Moment(3e-3)).l0)
            if target is not None:
                weight *= math.exp(0.005 * max(-1.0, min(1.0, math.log(seen[-1] / target))))
                weight = max(0.01, min(100.0, weight))
        return sum(seen[-50:]) / 50, weight, float(trainee.rule.state["weight"])

    free, _, _ = last_l0(None, 1.0, 400)
    for target in (free / 2, free * 2):
        l0, weight, theirs = last_l0(target, 1.0, 400)
        assert theirs == pytest.approx(weight, rel=1e-4)
        assert (l0 < free) == (target < free)
        assert abs(l0 - target) < abs(free - target)


def test_a_spec_that_makes_no_sense_is_refused() -> None:
    place = Place(0, "mlp_out")
    good = sae(place, F, recipes.TopK(4))
    for change, message in (
        (dict(reads=()), "as many places"),
        (dict(n_features=0), "needs features"),
        (dict(window=0), "window"),
        (dict(recipe=recipes.Matryoshka(recipes.TopK(4), (F + 1,))), "beyond"),
        (dict(recipe=recipes.TopK(F + 1)), f"k is {F + 1}, but the dictionary has only {F}"),
        (dict(recipe=recipes.Matryoshka(recipes.TopK(4, k_start=F + 1), (8,))), "k_start is"),
        (dict(recipe=recipes.JumpReLU(target_l0=F + 1.0)), "target_l0 is"),
    ):
        with pytest.raises(DictionaryError, match=message):
            replace(good, **change)
    for recipe, message in (
        (lambda: recipes.TopK(0), "k must be a whole number"),
        (lambda: recipes.BatchTopK(2.5), "k must be a whole number"),
        (lambda: recipes.TopK(4, k_start=0), "k_start must be a whole number"),
        (lambda: recipes.BatchTopK(4, k_start=8, k_anneal=0), "k_anneal is a share"),
        (lambda: recipes.JumpReLU(loss="quadratic"), "give target_l0"),
        (lambda: recipes.JumpReLU(loss="Tanh"), '"tanh" or "quadratic", not \'Tanh\''),
        (lambda: recipes.JumpReLU(-1.0), "sparsity is a weight"),
        (lambda: recipes.JumpReLU(c=0), "c must be a number above 0"),
        (lambda: recipes.JumpReLU(target_l0=0), "target_l0 must be a number above 0"),
        (lambda: recipes.JumpReLU(target_l0=float("nan")), "target_l0 must be a number above 0"),
        (lambda: recipes.JumpReLU(0, target_l0=4.0), "but sparsity is 0"),
        (lambda: recipes.Matryoshka(recipes.TopK(4), (8, 4)), "must ascend"),
    ):
        with pytest.raises(DictionaryError, match=message):
            recipe()
