"""The one trainee: weights, a rule for sparsity, Adam, and counters of what fires.

One step: scale the inputs, encode, let the rule choose and weigh, go back, average the gradient over
the group, clip it to length 1, Adam.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..coder import SparseCoder
from ..cross_layer import CrossLayerTranscoder
from ..dictionary import ActiveFeatures
from ..errors import DictionaryError
from . import export, initialise, recipes
from .adam import Adam
from .batch_topk import BatchTopK
from .gated import Gated
from .group import Group
from .jumprelu import JumpReLU
from .matryoshka import Matryoshka
from .relu import ReLU
from .rules import Batch, Loss, Rule
from .specs import Spec
from .topk import TopK
from .trainee import Moment, StepReport
from .weights import Code, Weights

CLIP = 1.0
DENSITY_MEMORY = 0.99  # of the running mean of how often features fire, per step


class Learner:
    def __init__(
        self,
        spec: Spec,
        d_in: int,
        d_out: int,
        device: torch.device,
        dtype: torch.dtype,
        seed: int,
    ) -> None:
        self.spec = spec
        self.weights = Weights(spec, d_in, d_out, device, dtype)
        self.rule: Rule = _rule(spec.recipe, self.weights)
        self.adam = Adam(self.weights.parameters, (0.9, 0.999))
        shape = (len(spec.reads), spec.n_features)
        # since_fired: tokens since each feature fired; fires: the running mean of how often.
        self.counters = {
            "since_fired": torch.zeros(shape, dtype=torch.int64, device=device),
            "fires": torch.zeros(shape, device=device),
            "steps": torch.zeros((), dtype=torch.int64),
        }
        generator = torch.Generator().manual_seed(seed)
        initialise.directions(self.weights, generator)

    def initialise(
        self, x: Sequence[Tensor], y: Sequence[Tensor], generator: torch.Generator
    ) -> None:
        self._check(x, y)
        initialise.scales(self.weights, x, "in")
        initialise.scales(self.weights, y, "out")
        initialise.directions(self.weights, generator)
        scaled_x, scaled_y = self._scaled(x, y)
        with torch.no_grad():
            self.rule.initialise(self.weights, scaled_x)
            batch = self._batch(scaled_x, scaled_y, Moment(lr=0.0))
            codes = self.rule.codes(batch)
            if self.spec.reads != self.spec.writes:
                initialise.regress(batch, codes)
            initialise.lengths(batch, codes)

    def step(self, x: Sequence[Tensor], y: Sequence[Tensor], at: Moment) -> StepReport:
        batch, codes, loss = self.backward(x, y, at)
        norm = self.adam.step(at.lr, CLIP, at.group)
        return self._report(batch, codes, loss, norm, at.group)

    def backward(
        self, x: Sequence[Tensor], y: Sequence[Tensor], at: Moment
    ) -> tuple[Batch, list[Code], Loss]:
        """The first half of a step: leaves the gradient of this share in the parameters."""
        batch = self._batch(*self._scaled(x, y), at)
        codes = self.rule.codes(batch)
        loss = self.rule.loss(batch, codes)
        loss.total.backward()
        return batch, codes, loss

    def encode(self, x: Sequence[Tensor]) -> list[ActiveFeatures]:
        active = []
        with torch.no_grad():
            for source, scaled in enumerate(self.weights.scaled(x, "in")):
                pre = self.weights.pre(source, scaled)
                values = self.rule.activation(self.weights, source)(pre)
                position, feature = values.nonzero(as_tuple=True)
                found = position, feature, values[position, feature], pre[position, feature]
                active.append(ActiveFeatures(*found))
        return active

    def density(self) -> Tensor:
        remembered = 1 - DENSITY_MEMORY ** max(int(self.counters["steps"]), 1)
        return (self.counters["fires"] / remembered).cpu()

    def state(self) -> dict[str, Tensor]:
        return {
            name: tensor.detach().to("cpu", copy=True) for name, tensor in self._tensors().items()
        } | {f"adam.{name}": tensor.cpu().clone() for name, tensor in self.adam.state().items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        moments = {
            name.removeprefix("adam."): tensor
            for name, tensor in state.items()
            if name.startswith("adam.")
        }
        mine = self._tensors()
        given = {name: tensor for name, tensor in state.items() if not name.startswith("adam.")}
        expected = self.adam.names() if moments else set()
        if given.keys() != mine.keys() or moments.keys() != expected:
            odd = sorted((given.keys() ^ mine.keys()) | (moments.keys() ^ expected))
            raise DictionaryError(
                f"This state is of another kind of dictionary than {self.spec.title}: they differ "
                f"in {odd[0]} ({len(odd)} differences in all)."
            )
        for name, tensor in mine.items():
            if tensor.shape != given[name].shape:
                raise DictionaryError(
                    f"{name} has shape {list(given[name].shape)} in this state, but "
                    f"{self.spec.title} expects {list(tensor.shape)}."
                )
        with torch.no_grad():
            for name, tensor in mine.items():
                tensor.copy_(given[name])
        self.adam.restore(moments)

    def dictionary(
        self, scan: str, model_name: str | None = None
    ) -> SparseCoder | CrossLayerTranscoder:
        return export.dictionary(self.weights, self.rule, scan, model_name)

    def _tensors(self) -> dict[str, Tensor]:
        """All but the optimiser's, by name; copying into them changes the trainee."""
        parts = {
            "weights": self.weights.parameters,
            "constants": self.weights.constants,
            "rule": self.rule.state,
            "counters": self.counters,
        }
        return {f"{part}.{name}": t for part, held in parts.items() for name, t in held.items()}

    def _batch(self, x: list[Tensor], y: list[Tensor], at: Moment) -> Batch:
        dead = self.counters["since_fired"] >= self.rule.dead_after
        return Batch(
            self.weights,
            x,
            y,
            [self.weights.pre(source, part) for source, part in enumerate(x)],
            list(dead),
            at.sparsity,
            at.k,
            at.group,
        )

    def _scaled(
        self, x: Sequence[Tensor], y: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        self._check(x, y)
        scaled = self.weights.scaled(x, "in")
        same = self.spec.reads == self.spec.writes
        return scaled, scaled if same else self.weights.scaled(y, "out")

    def _check(self, x: Sequence[Tensor], y: Sequence[Tensor]) -> None:
        for side, places, tensors, width in (
            ("reads", self.spec.reads, x, self.weights.d_in),
            ("writes", self.spec.writes, y, self.weights.d_out),
        ):
            shapes = [list(tensor.shape) for tensor in tensors]
            if shapes != [[len(x[0]), width]] * len(places):
                raise DictionaryError(
                    f"{self.spec.title} {side} {len(places)} x [tokens, {width}], but was given "
                    f"{shapes}."
                )

    @torch.no_grad()
    def _report(
        self, batch: Batch, codes: list[Code], loss: Loss, norm: float, group: Group
    ) -> StepReport:
        fired = torch.stack([code.entries.fired(code.values) for code in codes])
        n_tokens = len(batch.x[0])
        fires = fired / n_tokens
        error = torch.stack([error.square().sum(1).mean() for error in loss.errors])
        squares = torch.stack([y.square().sum(1).mean() for y in batch.y])
        centre = torch.stack([y.mean(0) for y in batch.y])
        terms = torch.stack([loss.total, *loss.parts.values()])
        group.mean_([fires, error, squares, centre, terms])
        self._count(fires, n_tokens * group.size)
        variance = squares - centre.square().sum(1)
        total, *parts = terms.tolist()
        dead = self.counters["since_fired"] >= self.rule.dead_after
        return StepReport(
            loss=total,
            mse=float(error.mean()) / self.weights.d_out,
            fvu=float((error / variance.clamp(min=1e-12)).mean()),
            l0=float(fires.sum(1).mean()),
            dead_share=float(dead.float().mean()),
            extras=dict(zip(loss.parts, parts, strict=True)) | {"gradient_norm": norm},
        )

    def _count(self, fires: Tensor, n_tokens: int) -> None:
        since = self.counters["since_fired"]
        since.add_(n_tokens).masked_fill_(fires > 0, 0)
        self.counters["fires"].lerp_(fires.to(self.counters["fires"]), 1 - DENSITY_MEMORY)
        self.counters["steps"].add_(1)


def _rule(recipe: recipes.Recipe, weights: Weights) -> Rule:
    match recipe:
        case recipes.Matryoshka():
            return Matryoshka(recipe, _top(recipe.base, weights))
        case recipes.TopK() | recipes.BatchTopK():
            return _top(recipe, weights)
        case recipes.ReLU():
            return ReLU(recipe)
        case recipes.JumpReLU():
            return JumpReLU(recipe, weights)
        case recipes.Gated():
            return Gated(recipe, weights)


def _top(recipe: recipes.TopK | recipes.BatchTopK, weights: Weights) -> TopK:
    return TopK(recipe) if isinstance(recipe, recipes.TopK) else BatchTopK(recipe, weights)
