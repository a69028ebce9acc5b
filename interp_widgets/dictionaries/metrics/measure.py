"""One pass over text: everything that is a mean over tokens, for several replacements at once.

All replacements see the same tokens. Reconstruction is measured where the model runs unchanged;
cross entropy, KL and agreement where the replacement is in force at all its places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from interp_widgets.dictionaries.metrics.controls import Moments
from interp_widgets.dictionaries.metrics.sums import Sums
from interp_widgets.dictionaries.metrics.text import Batch
from interp_widgets.dictionaries.replaced import Replacement, predictions, replaced_logits
from interp_widgets.jobs import Job
from interp_widgets.models import Model, Place

# Rows of logits that are turned into probabilities at once.
ROWS = 256


def like(model: Model) -> Tensor:
    """What carries the device and the dtype that is measured in."""
    return torch.empty(0, device=model.device, dtype=model.dtype)


class Watch:
    """Progress over passes of many batches, told to a job if there is one."""

    def __init__(self, job: Job[Any] | None, n_tokens: int) -> None:
        self.job, self.n_tokens, self.done = job, n_tokens, 0

    def over(self, found: Iterable[Batch], what: str) -> Iterable[Batch]:
        for batch in found:
            if self.job is not None:
                self.job.check()
                self.job.report(self.done / max(self.n_tokens, 1), what)
            yield batch
            self.done += int(batch.mask.sum())


def moments(
    model: Model,
    found: Iterable[Batch],
    places: Iterable[Place],
    *,
    covariance: bool,
    also: Callable[[dict[Place, Tensor], Tensor], None] | None = None,
    reads: Iterable[Place] = (),
) -> Moments:
    """Means (and covariances) of what stands at `places`, over the tokens that count.

    also: called with what was seen at `places` and `reads`, and with `keep`, batch by batch.
    """
    out = Moments(places, covariance=covariance)
    wanted = {*out.places, *reads}
    for batch in found:
        seen = model.run(batch.ids, mask=batch.mask, read=wanted, logits=False).seen
        for place in out.places:
            out.add(place, seen[place][batch.keep].to(model.dtype))
        if also is not None:
            also(seen, batch.keep)
    return out


def measure(
    model: Model,
    found: Iterable[Batch],
    n_windows: int,
    replacements: Mapping[str, Replacement],
    means: Mapping[Place, Tensor],
) -> tuple[Sums, dict[str, list[Tensor]]]:
    """Sums per window, and per replacement how often each feature was active.

    Args:
        means: per place written, the mean over the same tokens, [d].

    Returns sums named
        tokens, next                   tokens that count; those with a token after them
        variance PLACE                 squared distance to the mean
        KEY error J, KEY active I      squared error at writes[J]; active features at reads[I]
        nll, KEY nll                   -log p(next token) of the model, of the replacement model
        KEY kl, KEY agree              KL(model || replaced); 1 where both have one favourite
    and per key, for each place read, counts [feature].
    """
    sums = Sums(n_windows)
    fired: dict[str, list[Tensor]] = {key: [] for key in replacements}
    places = {p for r in replacements.values() for p in (*r.reads, *r.writes)}
    for batch in found:
        run = model.run(batch.ids, mask=batch.mask, read=places)
        one = torch.ones(len(batch.window))
        sums.add("tokens", batch.window, one)
        for place, mean in means.items():
            value = run.seen[place][batch.keep].to(model.dtype)
            sums.add(f"variance {place}", batch.window, (value - mean).square().sum(-1))
        for key, replacement in replacements.items():
            _reconstruction(model, batch, key, replacement, run.seen, sums, fired[key])
        assert run.logits is not None
        logits = run.logits
        run.seen.clear()
        _next_token(model, batch, logits, replacements, sums)
    return sums, fired


def _reconstruction(
    model: Model,
    batch: Batch,
    key: str,
    replacement: Replacement,
    seen: dict[Place, Tensor],
    sums: Sums,
    fired: list[Tensor],
) -> None:
    active, predicted = predictions(replacement, seen, batch.keep, model.dtype)
    for index, y in enumerate(predicted):
        value = seen[replacement.writes[index]][batch.keep].to(y)
        sums.add(f"{key} error {index}", batch.window, (value - y).square().sum(-1))
    for index, features in enumerate(active):
        per_token = torch.bincount(features.position, minlength=len(batch.window))
        sums.add(f"{key} active {index}", batch.window, per_token)
        n = replacement.n_features(index)
        counts = torch.bincount(features.feature, minlength=n)
        if index == len(fired):
            fired.append(counts)
        else:
            fired[index] += counts


def _next_token(
    model: Model,
    batch: Batch,
    logits: Tensor,
    replacements: Mapping[str, Replacement],
    sums: Sums,
) -> None:
    followed = batch.target >= 0
    target, window = batch.target[followed], batch.window[followed.cpu()]
    own = logits[batch.keep][followed]
    sums.add("next", window, torch.ones(len(window)))
    sums.add("nll", window, _in_rows(lambda i: -_chosen(_log(own[i]), target[i]), len(window)))
    for key, replacement in replacements.items():
        other = replaced_logits(model, replacement, batch.ids, batch.mask, batch.keep)
        other = other[batch.keep][followed]

        def compared(i: slice, other: Tensor = other) -> Tensor:
            p, q = _log(own[i]), _log(other[i])
            agree = own[i].argmax(-1) == other[i].argmax(-1)
            kl = (p.exp() * (p - q)).sum(-1)
            return torch.stack([-_chosen(q, target[i]), kl, agree.to(kl)], -1)

        values = _in_rows(compared, len(window))
        for column, name in enumerate(("nll", "kl", "agree")):
            sums.add(f"{key} {name}", window, values[:, column])


def _log(logits: Tensor) -> Tensor:
    wide = torch.promote_types(logits.dtype, torch.float32)
    return logits.to(wide).log_softmax(-1)


def _chosen(log_p: Tensor, target: Tensor) -> Tensor:
    return log_p.gather(-1, target[:, None])[:, 0]


def _in_rows(fn: Callable[[slice], Tensor], n: int) -> Tensor:
    return torch.cat([fn(slice(start, start + ROWS)) for start in range(0, n, ROWS)])
