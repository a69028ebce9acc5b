"""How good a dictionary is on a text.

With y the model's vector at a place the dictionary writes to and y' the prediction, summed over
tokens and dimensions,

    FVU = sum |y - y'|^2 / sum |y - mean(y)|^2,       explained variance = 1 - FVU,

the mean being that of the same tokens; over several layers, the average of the layers' FVUs. With
all of the dictionary's places replaced at once and the cross entropy CE of the next token,

    CE recovered = (CE(ablated) - CE(replaced)) / (CE(ablated) - CE(model))

with zero or the mean vector as ablation at the same places (Bricken et al. 2023), KL is
KL(model || replaced) in nats, and agreement the share of tokens with the same favourite next
token. Tokens that do not count (dictionaries/windows.py) keep the model's own vectors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from interp_widgets.dictionaries.coder import SparseCoder
from interp_widgets.dictionaries.metrics.controls import Projection, constant
from interp_widgets.dictionaries.metrics.cosines import Spread, decoder_cosines
from interp_widgets.dictionaries.metrics.measure import Watch, like, measure, moments
from interp_widgets.dictionaries.metrics.sums import Estimate, Sums
from interp_widgets.dictionaries.metrics.text import Text, batches, windows
from interp_widgets.dictionaries.replaced import AnyDictionary, Replacement, replacement_of
from interp_widgets.jobs import Job
from interp_widgets.models import Model, Place

CONTEXT = 128


@dataclass(frozen=True)
class LayerMetrics:
    """One place written, and the features that read in the same row of the dictionary.

    reads and features' numbers are None for a control, which has no features.
    """

    writes: str
    fvu: Estimate
    reads: str | None = None
    n_features: int = 0
    l0: Estimate | None = None
    dead_share: float | None = None
    decoder_cosine: Spread | None = None


@dataclass(frozen=True)
class Metrics:
    """What was measured of a dictionary (or a control) on a text.

    Attributes:
        name, kind: what was measured.
        n_tokens, n_windows: tokens that count, and windows of text they come from.
        n_features: over all layers.
        l0: active features per token and layer; for a PCA control, its rank (no estimate).
        fvu, explained_variance: averages over the places written.
        ce_model, ce_replaced, ce_zero, ce_mean: cross entropy per token, nats.
        ce_recovered, ce_recovered_mean: against zero and against mean ablation; 1 is the model.
        kl: nats per token; agreement: share of tokens.
        dead_share: of features that were active on none of the tokens. With few tokens it says
            more about the text than about the dictionary.
        density: per layer, the share of tokens on which each feature is active, [feature].
        layers: place by place.
    """

    name: str
    kind: str
    n_tokens: int
    n_windows: int
    n_features: int
    l0: Estimate | float | None
    fvu: Estimate
    explained_variance: Estimate
    ce_model: Estimate
    ce_replaced: Estimate
    ce_zero: Estimate
    ce_mean: Estimate
    ce_recovered: Estimate
    ce_recovered_mean: Estimate
    kl: Estimate
    agreement: Estimate
    dead_share: float | None
    density: tuple[Tensor, ...]
    layers: tuple[LayerMetrics, ...]

    @property
    def places(self) -> str:
        """Where it writes, "L3 mlp_out" or "L0-29 mlp_out"."""
        first, last = self.layers[0].writes, self.layers[-1].writes
        if first == last:
            return first
        return f"{first.split()[0]}-{last.split()[0][1:]} {last.split()[1]}"

    def __repr__(self) -> str:
        lines = [f"{self.name}: {self.kind}, {self.places}, {self.n_features} features"]
        rows: list[tuple[str, Any]] = [
            (
                "L0",
                "-" if self.l0 is None else f"{self.l0:.1f} active features per token and layer",
            ),
            ("FVU", f"{self.fvu} (explained variance {self.explained_variance:.3f})"),
            ("CE", f"{self.ce_model:.3f} model, {self.ce_replaced:.3f} replaced"),
            (
                "CE recovered",
                f"{self.ce_recovered} (against zero), {self.ce_recovered_mean} (mean)",
            ),
            ("KL", f"{self.kl} nats"),
            ("agreement", f"{self.agreement} of next tokens"),
        ]
        if self.dead_share is not None:
            rows.append(("dead", f"{self.dead_share:.1%} active on none of these tokens"))
        rows.append(("measured on", f"{self.n_tokens} tokens in {self.n_windows} windows of text"))
        return "\n".join(lines + [f"  {name:<13} {value}" for name, value in rows])

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, lists and text."""
        plain = {f.name: _plain(getattr(self, f.name)) for f in fields(self)}
        return plain | {"places": self.places}


def judge(
    model: Model,
    dictionary: AnyDictionary,
    text: Text,
    *,
    context: int = CONTEXT,
    job: Job[Any] | None = None,
) -> Metrics:
    """Measure a dictionary on a text.

    Args:
        text: one document, several, or a file with an empty line between documents. Five runs
            of the model over it: the means, the model, and three replacements.
        context: tokens per window.
        job: told about progress, and asked whether to go on.

    Raises DictionaryError if the dictionary does not fit the model, or the text is empty.
    """
    replacement = replacement_of(dictionary, model)
    found = windows(model, text, context)
    n_features = max(replacement.n_features(i) for i in range(len(replacement.reads)))
    watch = Watch(job, 2 * sum(len(ids) for ids in found))
    run = watch.over(batches(model, found, n_features), "Means")
    means = moments(model, run, replacement.writes, covariance=False).means(like(model))
    zeros, mean = ablations(replacement.writes, means)
    measured = {"it": replacement, "zero": zeros, "mean": mean}
    run = watch.over(batches(model, found, n_features), "Model and replacements")
    sums, fired = measure(model, run, len(found), measured, means)
    return summary(
        "it",
        replacement,
        sums,
        fired["it"],
        ("zero", "mean"),
        name=dictionary.scan,
        kind=kind_of(dictionary),
        dictionary=dictionary,
    )


def ablations(
    writes: tuple[Place, ...], means: Mapping[Place, Tensor]
) -> tuple[Replacement, Replacement]:
    """Zero and the mean at all of these places."""
    zeros = {place: torch.zeros_like(means[place]) for place in writes}
    return constant(zeros, writes), constant(means, writes)


def summary(
    key: str,
    replacement: Replacement,
    sums: Sums,
    fired: list[Tensor],
    against: tuple[str, str],
    *,
    name: str,
    kind: str,
    dictionary: AnyDictionary | None = None,
) -> Metrics:
    """The metrics of one of the replacements that were measured together.

    Args:
        key: what `measure` calls it; against: the same for zero and mean ablation.
        fired: per place read, on how many tokens each feature was active.
        name, kind: what the result says.
        dictionary: None for a control.
    """
    estimate = sums.estimator()
    n_writes = len(replacement.writes)
    if not any(len(counts) for counts in fired):
        fired = []  # a linear map reads, but has no features
    zeros, mean = (f"{k} nll" for k in against)

    def fvu_at(total: Mapping[str, Tensor], j: int) -> Tensor:
        return total[f"{key} error {j}"] / total[f"variance {replacement.writes[j]}"]

    def fvu(total: Mapping[str, Tensor]) -> Tensor:
        return torch.stack([fvu_at(total, j) for j in range(n_writes)]).mean(0)

    def l0_at(total: Mapping[str, Tensor], i: int) -> Tensor:
        return total[f"{key} active {i}"] / total["tokens"]

    def per_next(column: str) -> Estimate:
        return estimate(lambda total: total[column] / total["next"], "next")

    def recovered(ablated: str) -> Estimate:
        def share(total: Mapping[str, Tensor]) -> Tensor:
            gained = total[ablated] - total[f"{key} nll"]
            return gained / (total[ablated] - total["nll"])

        return estimate(share, "next")

    n_tokens = round(sums.total("tokens"))
    cosines = decoder_cosines(dictionary) if dictionary is not None else ()
    layers = []
    for j, place in enumerate(replacement.writes):
        of_place = estimate(lambda total, j=j: fvu_at(total, j), "tokens")  # type: ignore[misc]
        if dictionary is None:
            layers.append(LayerMetrics(str(place), of_place))
            continue
        layers.append(
            LayerMetrics(
                str(place),
                of_place,
                str(replacement.reads[j]),
                len(fired[j]),
                estimate(lambda total, j=j: l0_at(total, j), "tokens"),  # type: ignore[misc]
                float((fired[j] == 0).double().mean()),
                Spread.of(cosines[j]),
            )
        )
    l0: Estimate | float | None = None
    if fired:
        l0 = estimate(
            lambda total: torch.stack([l0_at(total, i) for i in range(len(fired))]).mean(0),
            "tokens",
        )
    elif isinstance(replacement, Projection) and any(replacement.ranks):
        l0 = sum(replacement.ranks) / n_writes
    return Metrics(
        name=name,
        kind=kind,
        n_tokens=n_tokens,
        n_windows=sums.n_windows,
        n_features=sum(len(counts) for counts in fired),
        l0=l0,
        fvu=estimate(fvu, "tokens"),
        explained_variance=estimate(lambda total: 1 - fvu(total), "tokens"),
        ce_model=per_next("nll"),
        ce_replaced=per_next(f"{key} nll"),
        ce_zero=per_next(zeros),
        ce_mean=per_next(mean),
        ce_recovered=recovered(zeros),
        ce_recovered_mean=recovered(mean),
        kl=per_next(f"{key} kl"),
        agreement=per_next(f"{key} agree"),
        dead_share=float((torch.cat(fired) == 0).double().mean()) if fired else None,
        density=tuple((counts.double() / n_tokens).float().cpu() for counts in fired),
        layers=tuple(layers),
    )


def kind_of(dictionary: AnyDictionary) -> str:
    """ "SAE", "transcoder", "skip transcoder", "cross-layer transcoder", ..."""
    if isinstance(dictionary, SparseCoder):
        return dictionary.kind
    skips = any(layer.skip is not None for layer in dictionary.layers)
    return f"skip {dictionary.kind}" if skips else dictionary.kind


def _plain(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.tolist()
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    if isinstance(value, (Estimate, LayerMetrics, Spread)):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has no word for it
    return value
