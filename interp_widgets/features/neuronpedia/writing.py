"""One unit of an index as a document: Neuronpedia's own form, or circuit-tracer's.

    native           a feature with its activations and explanations
    circuit-tracer   what circuit-tracer's viewer, and Neuronpedia under a graph's
                     feature_json_base_url, fetch

What the forms lack stands in a field of our own, `interp_widgets`, at the feature and at its
examples, so what is written and read again is the same; other readers skip it.
neuronpedia/forms.py has the other way, docs/how-it-works/feature-files.md the fields.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from ...json_numbers import finite
from ..card_rows import Row, control_row, example_row, histogram_row, label_row
from ..errors import FeatureError
from ..stored import StoredIndex
from ..values import Example, Histogram
from .explanations import OUR_SCORE
from .fields import OURS
from .forms import MOST_NEGATIVE

if TYPE_CHECKING:
    from ..index import Index

Form = Literal["native", "circuit-tracer"]
EXAMPLES, LOGITS = 20, 10
VERSION = 1


def to_neuronpedia(index: Index, layer: int, feature: int, form: Form = "native") -> dict[str, Any]:
    """One unit of an index as a document.

    Raises FeatureError where there is no such unit or form, or nothing was indexed.
    """
    check_form(form)
    unit = index[layer, feature]
    parts = _Parts(index, index.stored, unit.layer, unit.feature)
    return _native(parts) if form == "native" else _circuit_tracer(parts)


def check_form(form: str) -> None:
    if form not in get_args(Form):
        raise FeatureError(
            f'{form!r} is no form of a feature file: give "native" or "circuit-tracer".'
        )


class _Parts:
    """What both forms say of one unit."""

    def __init__(self, index: Index, stored: StoredIndex, layer: int, feature: int) -> None:
        self.layer, self.feature = layer, feature
        self.scan, self.model = index.units.scan, stored.about.model
        self.values = stored.entries(layer, feature).value
        two_sided = bool((self.values < 0).any())
        self.examples = stored.examples(layer, feature, EXAMPLES)
        self.negative = stored.examples(layer, feature, EXAMPLES, sign=-1) if two_sided else []
        self.groups = stored.groups(layer, feature)
        self.histogram = stored.histogram(layer, feature)
        self.strongest = float(stored.strongest(layer)[feature])
        self.tokens = stored.n_tokens
        self.density = len(self.values) / max(1, self.tokens)
        found = None if index.model is None else index.weights.logits(layer, feature, LOGITS)
        self.positive = found.positive if found else ()
        self.suppressed = found.negative if found else ()
        self.logits = found.histogram if found else None
        self.label = index.label_of(layer, feature)
        self.ours = {
            "version": VERSION,
            "unit": index.units.kind,
            "scan": self.scan,
            "model": self.model,
            "tokens": self.tokens,
            "control": control_row(found.control if found else None),
            "label": label_row(self.label),
        }

    def share(self, low: float, high: float) -> float:
        """Of all tokens, those with an activation in a range."""
        size = np.abs(self.values)
        return float(((size >= low) & (size <= high)).sum() / max(1, self.tokens))


def _native(parts: _Parts) -> dict[str, Any]:
    source_set = _address(parts.scan)
    layer = f"{parts.layer}-{source_set}"
    activations = [
        # Neuronpedia heads the strongest ones by -1 and the largest value.
        *(_activation(e, -1.0, parts.strongest, -1.0) for e in parts.examples),
        *(
            {**_activation(e, -1.0, parts.strongest, -1.0), "dataSource": "bottom"}
            for e in parts.negative
        ),
    ]
    for group in parts.groups:
        share = parts.share(group.low, group.high)
        for example in group.examples:
            row = _activation(example, group.low, group.high, share)
            row[OURS]["group"] = group.name
            activations.append(row)
    return {
        "modelId": parts.model,
        "layer": layer,
        "index": str(parts.feature),
        "feature_index": parts.feature,
        "sourceSetName": source_set,
        "maxActApprox": finite(parts.strongest),
        "frac_nonzero": parts.density,
        "pos_str": [each.token for each in parts.positive],
        "pos_values": [each.value for each in parts.positive],
        "neg_str": [each.token for each in parts.suppressed],
        "neg_values": [each.value for each in parts.suppressed],
        **_bars("freq_hist", parts.histogram),
        **_bars("logits_hist", parts.logits),
        # Their page reads these lists without asking whether they are there.
        **{name: [] for name in _EMPTY},
        "activations": activations,
        "explanations": _explanations(parts),
        OURS: parts.ours,
    }


_EMPTY = (
    "neuron_alignment_indices",
    "neuron_alignment_values",
    "neuron_alignment_l1",
    "correlated_neurons_indices",
    "correlated_neurons_pearson",
    "correlated_neurons_l1",
    "correlated_features_indices",
    "correlated_features_pearson",
    "correlated_features_l1",
    "decoder_weights_dist",
)


def _bars(name: str, found: Histogram | None) -> Row:
    """The middles of a histogram's bins, and how many are in each."""
    edges = np.zeros(0) if found is None else found.edges
    return {
        f"{name}_data_bar_values": ((edges[:-1] + edges[1:]) / 2).tolist(),
        f"{name}_data_bar_heights": [] if found is None else found.counts.tolist(),
    }


def _activation(example: Example, low: float, high: float, share: float) -> Row:
    values = list(example.activations)
    strongest = max(range(len(values)), key=lambda i: values[i])
    return {
        "tokens": list(example.tokens),
        "values": values,
        "maxValue": values[strongest],
        "maxValueTokenIndex": strongest,
        "minValue": min(values),
        "qualifyingTokenIndex": example.trigger,
        "binMin": low,
        "binMax": high,
        "binContains": share,
        OURS: {"position": example.position, "document": example.document},
    }


def _explanations(parts: _Parts) -> list[Row]:
    label = parts.label
    if label is None:
        return []
    scores = []
    if label.score is not None:
        scores.append({"value": label.score, "explanationScoreTypeName": OUR_SCORE})
    return [
        {
            "description": label.text,
            "typeName": label.kind,
            "explanationModelName": None,
            "notes": label.source,
            "scores": scores,
        }
    ]


def _circuit_tracer(parts: _Parts) -> dict[str, Any]:
    edges, counts = histogram_row(parts.histogram).values()
    quantiles: list[tuple[str, list[Example], Row]] = [
        ("Top", parts.examples, {}),
        (MOST_NEGATIVE, parts.negative, {}),
    ]
    quantiles += [(g.name, list(g.examples), {"low": g.low, "high": g.high}) for g in parts.groups]
    percents = np.percentile(parts.values, range(1, 101)).tolist() if len(parts.values) else []
    return {
        "transcoder_id": f"{_address(parts.scan)}-{parts.layer}",
        "layer": parts.layer,
        "index": parts.feature,
        "examples_quantiles": [
            {
                "quantile_name": name,
                "examples": [_quantile_example(example) for example in examples],
                **({OURS: ours} if ours else {}),
            }
            for name, examples, ours in quantiles
            if examples
        ],
        "top_logits": [each.token for each in parts.positive],
        "bottom_logits": [each.token for each in parts.suppressed],
        "act_min": edges[0],
        "act_max": edges[-1],
        "quantile_values": percents,
        "histogram": counts,
        "activation_frequency": parts.density,
        OURS: {
            **parts.ours,
            "top_logits": [each.value for each in parts.positive],
            "bottom_logits": [each.value for each in parts.suppressed],
        },
    }


def _quantile_example(example: Example) -> Row:
    row = example_row(example)
    return {
        "tokens": row["tokens"],
        "tokens_acts_list": row["activations"],
        "train_token_ind": example.trigger,
        "is_repeated_datapoint": False,
        OURS: {"position": example.position, "document": example.document},
    }


def _address(scan: str) -> str:
    """A name as Neuronpedia allows it in addresses: letters, digits, `_`, `.` and `-`."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", scan).strip("-.") or "unnamed"
