"""Gradients of every recipe against dense autograd, and of JumpReLU against finite differences."""

import math

import pytest
import torch
from torch import Tensor

from interp_widgets.dictionaries.training import Spec, cross_layer, recipes, sae, transcoder
from interp_widgets.dictionaries.training.jumprelu import jump, step
from interp_widgets.dictionaries.training.learner import Learner
from interp_widgets.dictionaries.training.trainee import Moment
from interp_widgets.models.places import Place

N, D, F, K = 24, 10, 96, 3
DEAD = torch.arange(0, F, 5)
AUX_K = 4

TOPK = recipes.TopK(K, aux_k=AUX_K)
BATCH_TOPK = recipes.BatchTopK(K, aux_k=AUX_K)
RECIPES = {
    "TopK": TOPK,
    "BatchTopK": BATCH_TOPK,
    "Matryoshka of TopK": recipes.Matryoshka(TOPK, (20, 50)),
    "Matryoshka of BatchTopK": recipes.Matryoshka(BATCH_TOPK, (20, 50)),
    "ReLU": recipes.ReLU(l1=0.7),
    "JumpReLU, tanh": recipes.JumpReLU(0.7, bandwidth=0.4, revive=0.3),
    "JumpReLU, quadratic": recipes.JumpReLU(
        0.7, "quadratic", bandwidth=0.4, target_l0=4.0, revive=0.3
    ),
    "Gated": recipes.Gated(l1=0.7),
}


def specs(recipe: recipes.Recipe) -> dict[str, Spec]:
    return {
        "SAE": sae(Place(1, "resid_post"), F, recipe),
        "skip transcoder": transcoder(1, F, recipe, skip=True),
        "cross-layer": cross_layer(3, F, recipe),
        "tied": cross_layer(3, F, recipe, tied=True),
        "windowed": cross_layer(3, F, recipe, window=2, skip=True),
    }


def trained_a_little(spec: Spec, bias: float) -> tuple[Learner, list[Tensor], list[Tensor]]:
    """A learner in float64 with random weights everywhere, some features dead, and data."""
    learner = Learner(spec, D, D, torch.device("cpu"), torch.float64, seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in learner.weights.parameters.items():
            if not name.startswith(("encoder.", "decoder.")):
                value += 0.1 * torch.randn(value.shape, generator=generator, dtype=value.dtype)
            if name.startswith("encoder_bias."):
                value += bias
    learner.counters["since_fired"][:, DEAD] = recipes.DEAD_AFTER
    places = len(spec.reads)
    x = [torch.randn(N, D, generator=generator, dtype=torch.float64) for _ in range(places)]
    if spec.reads == spec.writes:
        return learner, x, x
    y = [torch.randn(N, D, generator=generator, dtype=torch.float64) for _ in range(places)]
    return learner, x, y


# The same objectives written densely, with autograd alone.


def dense_decode(learner: Learner, codes: list[Tensor], tables: dict[str, Tensor]) -> list[Tensor]:
    spec = learner.spec
    predicted = [torch.zeros(N, D, dtype=torch.float64) for _ in spec.writes]
    for source, code in enumerate(codes):
        for target in spec.targets(source):
            if spec.decoder == "tied":
                vectors = tables[f"decoder.{target}"]
            else:
                at = (target - source) * D
                vectors = tables[f"decoder.{source}"][:, at : at + D]
            predicted[target] = predicted[target] + code @ vectors[: code.shape[1]]
    return predicted


def dense_base(learner: Learner, x: list[Tensor], p: dict[str, Tensor]) -> list[Tensor]:
    base = []
    for index, inputs in enumerate(x):
        base.append(p[f"decoder_bias.{index}"].expand(N, D))
        if learner.spec.skip:
            base[-1] = base[-1] + inputs @ p[f"skip.{index}"].T
    return base


def lengths(learner: Learner, p: dict[str, Tensor], source: int) -> Tensor:
    if learner.spec.decoder == "tied":
        joined = torch.cat([p[f"decoder.{m}"] for m in learner.spec.targets(source)], dim=1)
    else:
        joined = p[f"decoder.{source}"]
    return joined.norm(dim=1)


def mean_square(errors: list[Tensor]) -> Tensor:
    return sum((error**2).sum() / N for error in errors)


def through(value: Tensor, slope: Tensor, towards: Tensor) -> Tensor:
    """`value`, with the gradient of slope * towards."""
    linear = slope.detach() * towards
    return value.detach() + linear - linear.detach()


def dense_loss(learner: Learner, x: list[Tensor], y: list[Tensor]) -> Tensor:
    p, recipe = learner.weights.parameters, learner.spec.recipe
    sources = range(len(x))
    pre = [x[s] @ p[f"encoder.{s}"].T + p[f"encoder_bias.{s}"] for s in sources]
    base = dense_base(learner, x, p)
    long = [lengths(learner, p, s) for s in sources]

    def errors(codes: list[Tensor], tables: dict[str, Tensor] = p) -> list[Tensor]:
        decoded = dense_decode(learner, codes, tables)
        return [t - b - part for t, b, part in zip(y, base, decoded, strict=True)]

    if isinstance(recipe, recipes.Matryoshka):
        codes, top = top_codes(recipe.base, pre), recipe.base
        ends = [*recipe.prefixes, F]
        terms = [mean_square(errors([code[:, :end] for code in codes])) for end in ends]
        return (sum(terms) / len(ends) + aux(learner, top, pre, errors(codes))) / (D * len(y))
    if isinstance(recipe, recipes.TopK | recipes.BatchTopK):
        left = errors(top_codes(recipe, pre))
        return (mean_square(left) + aux(learner, recipe, pre, left)) / (D * len(y))
    if isinstance(recipe, recipes.ReLU):
        codes = [part.relu() for part in pre]
        l1 = sum((code * length).sum() / N for code, length in zip(codes, long, strict=True))
        return mean_square(errors(codes)) + recipe.l1 * l1
    if isinstance(recipe, recipes.Gated):
        codes, gates = [], []
        for s in sources:
            linear = pre[s] - p[f"encoder_bias.{s}"]
            magnitude = (p[f"r_mag.{s}"].exp() * linear + p[f"b_mag.{s}"]).relu()
            codes.append(magnitude * (pre[s] > 0))
            gates.append(pre[s].relu())
        l1 = sum((gate * length).sum() / N for gate, length in zip(gates, long, strict=True))
        frozen = {name: value.detach() for name, value in p.items()}
        from_gates = dense_decode(learner, gates, frozen)
        again = [
            t - b - part
            for t, b, part in zip(y, dense_base(learner, x, frozen), from_gates, strict=True)
        ]
        return mean_square(errors(codes)) + recipe.l1 * l1 + mean_square(again)
    assert isinstance(recipe, recipes.JumpReLU)
    codes, steps, revival = [], [], []
    for s in sources:
        threshold = p[f"log_threshold.{s}"].exp()
        above = (pre[s] > threshold).double()
        kernel = ((pre[s] - threshold).abs() < recipe.bandwidth / 2) / recipe.bandwidth
        distance = pre[s] - threshold
        jumped = through(pre[s] * above, above, pre[s])
        codes.append(jumped + through(torch.zeros_like(above), threshold * kernel, distance))
        steps.append(through(above, kernel, distance))
        revival.append(((threshold - pre[s]).relu() * long[s])[:, DEAD].sum() / N)
    if recipe.loss == "tanh":
        sparsity = sum(
            torch.tanh(recipe.c * code * length).sum() / N
            for code, length in zip(codes, long, strict=True)
        )
    else:
        assert recipe.target_l0 is not None
        sparsity = sum((s.sum() / N / recipe.target_l0 - 1) ** 2 for s in steps)
    return mean_square(errors(codes)) + recipe.sparsity * sparsity + recipe.revive * sum(revival)


def top_codes(recipe: recipes.TopK | recipes.BatchTopK, pre: list[Tensor]) -> list[Tensor]:
    if isinstance(recipe, recipes.TopK):
        least = [part.sort(dim=1).values[:, -recipe.k, None] for part in pre]
    else:
        flat = torch.cat([part.flatten() for part in pre])
        least = [flat.sort().values[-recipe.k * N * len(pre)]] * len(pre)
    return [part.relu() * (part >= low) for part, low in zip(pre, least, strict=True)]


def aux(
    learner: Learner,
    recipe: recipes.TopK | recipes.BatchTopK,
    pre: list[Tensor],
    left: list[Tensor],
) -> Tensor:
    """AuxK times d and targets, as dense as the rest."""
    is_dead = torch.zeros(F, dtype=torch.bool)
    is_dead[DEAD] = True
    codes = []
    for part in pre:
        only_dead = part.masked_fill(~is_dead, -math.inf)
        low = only_dead.sort(dim=1).values[:, -AUX_K, None]
        codes.append(part.relu() * (only_dead >= low))
    explained = dense_decode(learner, codes, learner.weights.parameters)
    again = [e.detach() - part for e, part in zip(left, explained, strict=True)]
    return recipe.aux * min(1.0, len(DEAD) / AUX_K) * mean_square(again)


@pytest.mark.parametrize("bias", [0.0, -1.5], ids=["many active", "few active"])
@pytest.mark.parametrize("shape", ["SAE", "skip transcoder", "cross-layer", "tied", "windowed"])
@pytest.mark.parametrize("name", RECIPES)
def test_the_gradient_is_that_of_dense_autograd(name: str, shape: str, bias: float) -> None:
    learner, x, y = trained_a_little(specs(RECIPES[name])[shape], bias)
    parameters = learner.weights.parameters
    expected_loss = dense_loss(learner, x, y)
    expected = torch.autograd.grad(expected_loss, list(parameters.values()), allow_unused=True)

    _, _, loss = learner.backward(x, y, Moment(lr=0.0))

    assert torch.allclose(loss.total, expected_loss, rtol=1e-9)
    for (key, parameter), gradient in zip(parameters.items(), expected, strict=True):
        wanted = torch.zeros_like(parameter) if gradient is None else gradient
        found = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        assert torch.allclose(found, wanted, rtol=1e-6, atol=1e-9), key


def test_aux_k_reaches_the_encoders_of_dead_features_and_nothing_else_does() -> None:
    for weight, reached in ((0.0, False), (1 / 32, True)):
        learner, x, y = trained_a_little(
            sae(Place(0, "resid_post"), F, recipes.TopK(K, aux=weight, aux_k=AUX_K)), 0.0
        )
        with torch.no_grad():
            # So low that none is among the k largest, so high that some pass the ReLU.
            learner.weights.parameters["encoder.0"][DEAD] *= 0.1
        learner.backward(x, y, Moment(lr=0.0))
        gradient = learner.weights.parameters["encoder.0"].grad
        assert gradient is not None
        assert bool(gradient[DEAD].any()) is reached


# JumpReLU: the jump smoothed by a pre-activation that is uniform in +- bandwidth / 2.


def smooth_jump(pre: Tensor, threshold: Tensor, bandwidth: float) -> Tensor:
    """E of jump(pre + u, threshold), by its integral."""
    low, high = pre - bandwidth / 2, pre + bandwidth / 2
    inside = (high**2 - threshold**2) / (2 * bandwidth)
    return torch.where(low > threshold, pre, torch.where(high > threshold, inside, 0.0))


def smooth_step(pre: Tensor, threshold: Tensor, bandwidth: float) -> Tensor:
    """E of step(pre + u, threshold)."""
    return ((pre - threshold) / bandwidth + 0.5).clamp(0, 1)


def difference(function, at: Tensor, h: float = 1e-6) -> Tensor:  # type: ignore[no-untyped-def]
    """Central finite differences of a scalar function, entry by entry."""
    found = torch.zeros_like(at)
    for index in range(at.numel()):
        to = torch.zeros_like(at)
        to.view(-1)[index] = h
        found.view(-1)[index] = (function(at + to) - function(at - to)) / (2 * h)
    return found


@pytest.mark.parametrize("bandwidth", [0.01, 0.3, 2.0])
def test_the_jump_has_the_gradient_of_the_smoothed_jump(bandwidth: float) -> None:
    generator = torch.Generator().manual_seed(0)
    pre = (0.5 + torch.randn(40, 6, generator=generator, dtype=torch.float64)).requires_grad_()
    threshold = 0.1 + torch.rand(6, generator=generator, dtype=torch.float64)
    threshold.requires_grad_()
    outer = torch.randn(40, 6, generator=generator, dtype=torch.float64)
    with torch.no_grad():  # some that are surely within the bandwidth
        pre[:5] = threshold + 0.4 * bandwidth * torch.linspace(-1, 1, 5).double()[:, None]

    def objective(smooth, pre: Tensor, threshold: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        return (outer * smooth(pre, threshold, bandwidth)).sum().detach()

    (outer * step(pre, threshold, bandwidth)).sum().backward()
    for tensor, moved in (
        (threshold, lambda t: objective(smooth_step, pre, t)),
        (pre, lambda z: objective(smooth_step, z, threshold)),
    ):
        assert torch.allclose(tensor.grad, difference(moved, tensor.detach()), atol=1e-6)
        tensor.grad = None

    (outer * jump(pre, threshold, bandwidth)).sum().backward()
    expected = difference(lambda t: objective(smooth_jump, pre, t), threshold.detach())
    assert torch.allclose(threshold.grad, expected, atol=1e-6)
    # To the pre-activation: the smoothed jump's, but whether it is above is not smoothed.
    smoothed = difference(lambda z: objective(smooth_jump, z, threshold), pre.detach())
    above = outer * ((pre > threshold).double() - smooth_step(pre, threshold, bandwidth))
    assert torch.allclose(pre.grad, smoothed + above, atol=1e-6)


@pytest.mark.parametrize("kind", ["tanh", "quadratic"])
def test_thresholds_move_as_finite_differences_of_the_smoothed_objective_say(kind: str) -> None:
    """The objective around the present activations, linear in them, with every jump smoothed."""
    target = 4.0 if kind == "quadratic" else None
    recipe = recipes.JumpReLU(0.7, kind, bandwidth=0.4, target_l0=target, revive=0.0)
    learner, x, y = trained_a_little(sae(Place(0, "resid_post"), F, recipe), -0.5)
    p = {name: value.detach() for name, value in learner.weights.parameters.items()}
    pre = x[0] @ p["encoder.0"].T + p["encoder_bias.0"]
    above = (pre > p["log_threshold.0"].exp()).double()
    a = (pre * above).requires_grad_()
    loss = mean_square([y[0] - a @ p["decoder.0"] - p["decoder_bias.0"]])
    l0 = above.sum() / N
    if kind == "tanh":
        loss = loss + 0.7 * torch.tanh(4 * a * p["decoder.0"].norm(dim=1)).sum() / N
    (by_activation,) = torch.autograd.grad(loss, a)
    by_l0 = 0.7 * 2 * (l0 / 4 - 1) / 4 if kind == "quadratic" else 0.0

    def smoothed(log_threshold: Tensor) -> Tensor:
        threshold = log_threshold.exp()
        part = (by_activation * smooth_jump(pre, threshold, 0.4)).sum()
        return part + by_l0 * smooth_step(pre, threshold, 0.4).sum() / N

    learner.backward(x, y, Moment(lr=0.0))

    found = learner.weights.parameters["log_threshold.0"].grad
    assert found is not None
    assert found.abs().max() > 1e-3
    assert torch.allclose(found, difference(smoothed, p["log_threshold.0"]), atol=1e-6)
