"""Dictionaries side by side on the same tokens, with what they have to beat in the table.

Controls (metrics/controls.py) are fitted on text of their own: either given, or the first third of
the windows, which then do not count for anybody.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from interp_widgets.dictionaries.errors import DictionaryError
from interp_widgets.dictionaries.metrics.controls import random_decoder
from interp_widgets.dictionaries.metrics.judge import (
    CONTEXT,
    Metrics,
    ablations,
    kind_of,
    summary,
)
from interp_widgets.dictionaries.metrics.linear import (
    LeastSquares,
    Pair,
    enough,
    linear_map,
)
from interp_widgets.dictionaries.metrics.measure import Watch, like, measure, moments
from interp_widgets.dictionaries.metrics.text import Batch, Text, batches, windows
from interp_widgets.dictionaries.replaced import AnyDictionary, Replacement, replacement_of
from interp_widgets.jobs import Job
from interp_widgets.models import Model, Place

# Head, attribute, digits, and what the column means.
COLUMNS: tuple[tuple[str, str, str, str], ...] = (
    ("L0", "l0", ".1f", "active features per token and layer; for PCA its rank"),
    ("FVU", "fvu", ".3f", "squared error over variance around the mean"),
    ("CE recovered", "ce_recovered", ".3f", "of the loss that zero ablation costs"),
    ("against mean", "ce_recovered_mean", ".3f", "of the loss that mean ablation costs"),
    ("KL", "kl", ".3f", "KL(model || replaced), nats per token"),
    ("agreement", "agreement", ".3f", "share of tokens with the same favourite next token"),
    ("dead", "dead_share", ".1%", "features that were active on none of the tokens"),
)


@dataclass(frozen=True)
class Comparison:
    """What was measured of several dictionaries and their controls, on the same tokens.

    Attributes:
        model_name: the model.
        rows: the dictionaries in the order given, each followed by its random decoder; then PCA of
            the ranks that they have, linear maps between their places, and the ablations.
        n_fitted: on how many other tokens the controls were fitted.
        linear: how many numbers linear maps have for these tokens, or why there is none; empty
            where no dictionary reads one place and writes another.
    """

    model_name: str
    rows: tuple[Metrics, ...]
    n_fitted: int
    linear: str = ""

    def __getitem__(self, name: str) -> Metrics:
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"{name!r} is not among {', '.join(row.name for row in self.rows)}.")

    @property
    def caption(self) -> str:
        row = self.rows[0]
        return (
            f"{self.model_name}, {row.n_tokens} tokens in {row.n_windows} windows; ± is one "
            f"standard error over windows; controls fitted on {self.n_fitted} other tokens"
            + (f"; {self.linear}" if self.linear else "")
        )

    def __repr__(self) -> str:
        head = ["", "kind", "writes", *(name for name, *_ in COLUMNS)]
        table = [head, *([row.name, row.kind, row.places, *_cells(row)] for row in self.rows)]
        widths = [max(len(line[i]) for line in table) for i in range(len(head))]
        lines = []
        for line in table:
            left = [cell.ljust(width) for cell, width in zip(line[:3], widths, strict=False)]
            right = [cell.rjust(w) for cell, w in zip(line[3:], widths[3:], strict=True)]
            lines.append("  ".join([*left, *right]))
        return "\n".join([*lines, self.caption])

    def _repr_html_(self) -> str:
        rule = "border-bottom:1px solid var(--jp-border-color2, #ddd)"
        titles = [("", ""), ("kind", ""), ("writes", "where its predictions stand")]
        titles += [(name, about) for name, _, _, about in COLUMNS]
        heads = "".join(
            f'<th style="{_cell_style(i)};{rule}" title="{html.escape(about)}">'
            f"{html.escape(name)}</th>"
            for i, (name, about) in enumerate(titles)
        )
        body = "".join(_html_row(row) for row in self.rows)
        return (
            '<table style="border-collapse:collapse;background:none;font-size:12px;'
            "font-family:var(--jp-ui-font-family, system-ui, sans-serif);"
            'font-variant-numeric:tabular-nums;color:var(--jp-ui-font-color1, currentColor)">'
            '<caption style="caption-side:bottom;text-align:left;padding-top:4px;font-size:11px;'
            f'color:var(--jp-ui-font-color2, #777)">{html.escape(self.caption)}</caption>'
            f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, lists and text."""
        return {
            "model_name": self.model_name,
            "n_fitted": self.n_fitted,
            "linear": self.linear,
            "rows": [row.to_dict() for row in self.rows],
        }


def compare(
    model: Model,
    dictionaries: Mapping[str, AnyDictionary],
    text: Text,
    *,
    fitting: Text | None = None,
    context: int = CONTEXT,
    job: Job[Any] | None = None,
) -> Comparison:
    """Measure dictionaries and their controls on the same tokens.

    Args:
        dictionaries: by the name the table gives them.
        text: one document, several, or a file with an empty line between documents.
        fitting: the text that controls are fitted on; None takes the first third of `text`.
        context: tokens per window.
        job: told about progress, and asked whether to go on.

    Raises DictionaryError if a dictionary does not fit the model or there is too little text.
    """
    if not dictionaries:
        raise DictionaryError("There are no dictionaries to compare: give at least one.")
    ours = {name: replacement_of(d, model) for name, d in dictionaries.items()}
    judged = windows(model, text, context)
    if fitting is not None:
        fitted = windows(model, fitting, context)
    else:
        if len(judged) < 3:
            raise DictionaryError(
                f"The text makes {len(judged)} windows of {context} tokens, too few to keep a "
                f"third apart for the controls: give more text, or fitting=."
            )
        fitted, judged = judged[: len(judged) // 3], judged[len(judged) // 3 :]
    n_features = max(r.n_features(i) for r in ours.values() for i in range(len(r.reads)))
    n_tokens = [sum(len(ids) for ids in found) for found in (fitted, judged)]
    watch = Watch(job, n_tokens[0] + 2 * n_tokens[1])

    run = watch.over(batches(model, fitted, n_features), "Controls")
    entries, n_fitted, linear = _with_controls(model, dictionaries, ours, run)
    places = {place for replacement in ours.values() for place in replacement.writes}
    run = watch.over(batches(model, judged, n_features), "Means")
    means = moments(model, run, places, covariance=False).means(like(model))
    against: dict[tuple[Place, ...], tuple[str, str]] = {}
    for replacement in ours.values():
        writes = replacement.writes
        if writes not in against:
            against[writes] = str(len(entries)), str(len(entries) + 1)
            for name, ablation in zip(("zero", "mean"), ablations(writes, means), strict=True):
                entries.append(_Entry(name, "control", ablation))
    run = watch.over(batches(model, judged, n_features), "Model and replacements")
    measured = {str(i): entry.replacement for i, entry in enumerate(entries)}
    sums, fired = measure(model, run, len(judged), measured, means)
    rows = tuple(
        summary(
            str(i),
            entry.replacement,
            sums,
            fired[str(i)],
            against[entry.replacement.writes],
            name=entry.name,
            kind=entry.kind,
            dictionary=entry.dictionary,
        )
        for i, entry in enumerate(entries)
    )
    return Comparison(model.name, rows, n_fitted, linear)


@dataclass(frozen=True)
class _Entry:
    name: str
    kind: str
    replacement: Replacement
    dictionary: AnyDictionary | None = None


def _with_controls(
    model: Model,
    dictionaries: Mapping[str, AnyDictionary],
    ours: Mapping[str, Replacement],
    run: Iterable[Batch],
) -> tuple[list[_Entry], int, str]:
    """Dictionaries and controls, on how many tokens those were fitted, and what that means."""
    active = {name: torch.zeros(len(r.reads), dtype=torch.int64) for name, r in ours.items()}
    # From a place to itself the best linear map is the identity.
    moving = [r for r in ours.values() if r.reads != r.writes]
    fits = {pair: LeastSquares() for r in moving for pair in zip(r.reads, r.writes, strict=True)}
    n_fitted = 0

    def also(seen: dict[Place, Tensor], keep: Tensor) -> None:
        nonlocal n_fitted
        n_fitted += int(keep.sum())

        def at(place: Place) -> Tensor:
            return seen[place][keep].to(model.dtype)

        for name, replacement in ours.items():
            for i, place in enumerate(replacement.reads):
                active[name][i] += len(replacement.encode(i, at(place)).feature)
        for (read, written), squares in fits.items():
            squares.add(at(read), at(written))

    reads = {place for replacement in ours.values() for place in replacement.reads}
    writes = {place for replacement in ours.values() for place in replacement.writes}
    fit = moments(model, run, writes, covariance=True, also=also, reads=reads)
    entries = []
    projections: dict[tuple[tuple[Place, ...], tuple[int, ...]], _Entry] = {}
    for name, replacement in ours.items():
        dictionary = dictionaries[name]
        random = replacement_of(random_decoder(dictionary), model)
        ranks = (active[name] / n_fitted).round().int().clamp(min=1).tolist()
        entries += [
            _Entry(name, kind_of(dictionary), replacement, dictionary),
            _Entry(f"{name}: random decoder", "control", random),
        ]
        wanted = replacement.writes, tuple(ranks)
        if wanted not in projections:  # dictionaries of one place and k share theirs
            label = _ranks(ranks)
            if label in [entry.name for entry in projections.values()]:
                label += f", for {name}"
            pca = fit.pca(*wanted, like(model))
            projections[wanted] = _Entry(label, "control", pca)
    entries += projections.values()
    if not moving:
        return entries, n_fitted, ""
    fitted, said = enough(max(squares.width for squares in fits.values()), n_fitted)
    if fitted:
        entries += _linear_maps(ours, fits, like(model))
    return entries, n_fitted, said


def _linear_maps(
    ours: Mapping[str, Replacement], fits: Mapping[Pair, LeastSquares], like: Tensor
) -> Iterable[_Entry]:
    """One between any places that some dictionary reads and writes."""
    maps: dict[tuple[tuple[Place, ...], tuple[Place, ...]], _Entry] = {}
    for name, replacement in ours.items():
        places = replacement.reads, replacement.writes
        if replacement.reads != replacement.writes and places not in maps:
            label = f"linear map, for {name}" if maps else "linear map"
            maps[places] = _Entry(label, "control", linear_map(*places, fits, like))
    return maps.values()


def _ranks(ranks: list[int]) -> str:
    low, high = min(ranks), max(ranks)
    return f"PCA of rank {low}" if low == high else f"PCA of ranks {low}-{high}"


def _cells(row: Metrics) -> list[str]:
    cells = []
    for _, attribute, digits, _ in COLUMNS:
        value = getattr(row, attribute)
        cells.append("-" if value is None else format(value, digits))
    return cells


def _html_row(row: Metrics) -> str:
    colour = ";color:var(--jp-ui-font-color2, #777)" if row.kind == "control" else ""
    # A real minus sign, and a dash where there is no number.
    numbers = ["–" if cell == "-" else cell.replace("-", "−") for cell in _cells(row)]
    cells = "".join(
        f'<td style="{_cell_style(i)}">{html.escape(text)}</td>'
        for i, text in enumerate([row.name, row.kind, row.places, *numbers])
    )
    return f'<tr style="background:none{colour}">{cells}</tr>'


def _cell_style(column: int) -> str:
    side = "left" if column < 3 else "right"
    return f"text-align:{side};padding:2px 14px 2px 0;white-space:nowrap"
