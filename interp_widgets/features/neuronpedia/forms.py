"""The two forms of a feature file, as what they say: circuit-tracer's and Neuronpedia's own.

What must be there and is not, or a number that is none among the activations, is refused; anything
else that cannot be read is absent. What we add when writing stands in `interp_widgets`
(neuronpedia/writing.py) and is read as warily as the rest.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, TypeGuard

import numpy as np

from ..foreign import ForeignFeature
from ..values import Control, Example, Group, Histogram, TokenWeight
from . import fields
from .explanations import labels_of, our_label
from .fields import At, first, number, ours_of, share, text, whole

MOST_NEGATIVE = "Most negative"
_STRONGEST = 20
_CONTROL = ("value", "low", "high", "draws")
_UNITS = ("feature", "neuron", "direction")


def layer_of(found: Mapping[str, Any], header: Mapping[str, Any]) -> int | None:
    """The layer that a document or its batch names: 2, "2" or "2-name"."""
    for value in (found.get("layer"), header.get("layer"), header.get("source")):
        if _counts(value, 10**6):
            return value
        if isinstance(value, str) and (begins := re.match(r"(\d{1,6})(?:-|$)", value, re.ASCII)):
            return int(begins[1])
    return None


# --- Neuronpedia's own form ----------------------------------------------------------------------


def native(
    found: dict[str, Any], at: At, header: dict[str, Any], layer: int | None
) -> ForeignFeature:
    top: list[Example] = []
    bottom: list[Example] = []
    groups: dict[tuple[str, float, float], list[Example]] = {}
    rows = found.get("activations")
    there = at["activations"]
    for i, row in enumerate([] if rows is None else fields.objects(rows, there)):
        wanted = [row.get(name) for name in ("qualifyingTokenIndex", "qualifying_token_index")]
        wanted.append(row.get("maxValueTokenIndex"))
        low = number(first(row, "binMin", "bin_min", "quantileMin")[1])
        high = number(first(row, "binMax", "bin_max", "quantileMax")[1])
        negative = row.get("dataSource") == "bottom"
        example = _example(row, there[i], "values", wanted, -1 if negative else 1)
        if example is None:
            continue
        if negative:
            bottom.append(example)
        # SAEDashboard marks the strongest ones by -1, and 0, 0 is a title it could not read.
        elif low >= 0 and high > 0:
            name = text(ours_of(row).get("group")) or f"{low:.3g}–{high:.3g}"
            groups.setdefault((name, low, high), []).append(example)
        else:
            top.append(example)
    ranked = sorted(groups.items(), key=lambda item: -item[0][2])
    ours, (_, index) = ours_of(found), first(found, "index", "feature_index")
    bars = [_finite(found.get(f"freq_hist_data_bar_{name}")) for name in ("values", "heights")]
    return ForeignFeature(
        feature=whole(index, at["index"]),
        layer=layer_of(found, header) if layer is None else layer,
        scan=text(ours.get("scan")) or _scan(found, header),
        model=text(first(found, "modelId", "model_id")[1])
        or text(first(header, "modelId", "model_id")[1]),
        origin=f"{at.file}, in Neuronpedia's form",
        examples=_strongest_first(top, groups.values()),
        negative=tuple(sorted(bottom, key=lambda e: e.activations[e.trigger])),
        groups=tuple(Group(*key, tuple(examples)) for key, examples in ranked),
        density=share(first(found, "frac_nonzero", "density")[1]),
        strongest=_strongest(found.get("maxActApprox"), top, bottom, *groups.values()),
        histogram=_around(*bars),
        positive=_weighted(found, "pos", "topLogits"),
        negative_logits=_weighted(found, "neg", "bottomLogits"),
        control=_control(ours),
        labels=labels_of(found.get("explanations"), at["explanations"], our_label(ours, at)),
        notes=_notes(found, top),
        unit=_unit(ours),
        tokens=_tokens(found, ours),
    )


def _scan(found: dict[str, Any], header: dict[str, Any]) -> str:
    named = text(found.get("sourceSetName")) or text(header.get("sae_set"))
    layered = text(found.get("layer")) or text(header.get("source"))
    return named or (layered.split("-", 1)[1] if "-" in layered else layered)


def _weighted(found: dict[str, Any], short: str, long: str) -> tuple[TokenWeight, ...]:
    rows, names = found.get(long), found.get(f"{short}_str")
    if isinstance(rows, list):
        pairs = [(row.get("token"), row.get("value")) for row in rows if isinstance(row, dict)]
    elif isinstance(names, list):
        values = found.get(f"{short}_values")
        given = values if isinstance(values, list) and len(values) == len(names) else []
        pairs = list(zip(names, given or [None] * len(names), strict=True))
    else:
        return ()
    return tuple(TokenWeight(text(n), -1, number(v)) for n, v in pairs if isinstance(n, str))


def _around(centres: list[float], heights: list[float]) -> Histogram | None:
    """Bars by their centres and heights as a histogram; None where they are none."""
    if not heights or len(centres) != len(heights):
        return None
    step = (centres[-1] - centres[0]) / (len(centres) - 1) if len(centres) > 1 else 2 * centres[0]
    if not step > 0:
        return None
    ends = centres[0] - step / 2, centres[-1] + step / 2
    return _histogram(*ends, heights)


def _notes(found: dict[str, Any], top: list[Example]) -> tuple[str, ...]:
    said = []
    if dataset := text(found.get("dataset")) or text(_source(found).get("dataset")):
        said.append(f"Its examples come from {dataset[:200]}.")
    if not top and found.get("activations"):
        said.append("The file marks no examples as the strongest; shown are the strongest it has.")
    return tuple(said)


def _tokens(found: dict[str, Any], ours: dict[str, Any]) -> int | None:
    prompts = found.get("n_prompts_total", _source(found).get("num_prompts"))
    each = found.get("n_tokens_in_prompt", _source(found).get("num_tokens_in_prompt"))
    for count in (number(ours.get("tokens")), number(prompts) * number(each)):
        if 0 < count < 2**53:
            return int(count)
    return None


def _source(found: dict[str, Any]) -> dict[str, Any]:
    """What Neuronpedia's interface says of the dictionary; an upload has its name here."""
    value = found.get("source")
    return value if isinstance(value, dict) else {}


# --- circuit-tracer's form -----------------------------------------------------------------------


def circuit_tracer(
    found: dict[str, Any], at: At, header: dict[str, Any], layer: int | None
) -> ForeignFeature:
    top: list[Example] = []
    bottom: list[Example] = []
    groups: list[Group] = []
    there = at["examples_quantiles"]
    for i, quantile in enumerate(fields.objects(found["examples_quantiles"], there)):
        name, inside = text(quantile.get("quantile_name")), there[i]["examples"]
        negative = name == MOST_NEGATIVE
        examples = []
        for j, row in enumerate(fields.objects(quantile.get("examples"), inside)):
            wanted = [row.get("train_token_ind")]
            sign = -1 if negative else 1
            example = _example(row, inside[j], "tokens_acts_list", wanted, sign)
            if example is not None:
                examples.append(example)
        if negative:
            bottom += examples
        elif re.match("top|max", name, re.IGNORECASE):
            top += examples
        elif examples:
            ours = ours_of(quantile)
            ends = number(ours.get("low")), number(ours.get("high"))
            groups.append(Group(name or f"group {i + 1}", *ends, tuple(examples)))
    ours = ours_of(found)
    low, high = number(found.get("act_min")), number(found.get("act_max"))
    listed = [list(group.examples) for group in groups]
    own = our_label(ours, at)
    return ForeignFeature(
        feature=whole(found.get("index"), at["index"]),
        layer=layer_of(found, header) if layer is None else layer,
        scan=text(ours.get("scan")) or text(found.get("transcoder_id")),
        model=text(ours.get("model")),
        origin=f"{at.file}, in circuit-tracer's form",
        examples=_strongest_first(top, listed),
        negative=tuple(sorted(bottom, key=lambda e: e.activations[e.trigger])),
        groups=tuple(groups),
        density=share(found.get("activation_frequency")),
        strongest=_strongest(found.get("act_max"), top, bottom, *listed),
        histogram=_histogram(low, high, _finite(found.get("histogram"))),
        positive=_listed(found.get("top_logits"), ours.get("top_logits")),
        negative_logits=_listed(found.get("bottom_logits"), ours.get("bottom_logits")),
        control=_control(ours),
        labels=() if own is None else (own,),
        unit=_unit(ours),
        tokens=_tokens(found, ours),
    )


def _listed(names: Any, values: Any) -> tuple[TokenWeight, ...]:
    return _weighted({"pos_str": names, "pos_values": values}, "pos", "")


# --- both ----------------------------------------------------------------------------------------


def _example(row: dict[str, Any], at: At, values: str, wanted: list[Any], sign: int) -> Any:
    """An example; None for one without tokens.

    wanted: what the file says of the trigger, first in order; a place that is not active, or on the
        other side of 0 than sign, is none.
    """
    tokens = fields.texts(row.get("tokens"), at["tokens"])
    activations = fields.numbers(row.get(values), at[values])
    if len(tokens) != len(activations):
        raise at[values].error(
            f"has {len(activations)} numbers for {len(tokens)} tokens: give one for each"
        )
    if not tokens:
        return None
    strength = np.asarray(activations) * sign
    places = [p for p in wanted if _counts(p, len(tokens)) and strength[p] > 0]
    ours = ours_of(row)
    known = [ours.get(name) for name in ("position", "document")]
    position, document = (k if _counts(k, 2**53) else -1 for k in known)
    trigger = places[0] if places else int(strength.argmax())
    return Example(tokens, activations, trigger, position, document)


def _counts(value: Any, end: int) -> TypeGuard[int]:
    """Whether it is a whole number from 0 to below `end`; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < end


def _unit(ours: dict[str, Any]) -> str:
    unit = ours.get("unit")
    return unit if isinstance(unit, str) and unit in _UNITS else "feature"


def _control(ours: dict[str, Any]) -> Control | None:
    row = ours.get("control")
    if not isinstance(row, dict):
        return None
    value, low, high, draws = (number(row.get(name)) for name in _CONTROL)
    if math.isnan(value + low + high) or not draws >= 1:
        return None
    return Control(value, low, high, int(draws))


def _strongest_first(top: list[Example], others: Any) -> tuple[Example, ...]:
    """The strongest examples; where a file marks none as such, the strongest of all."""
    found = top or [example for examples in others for example in examples]
    ranked = sorted(found, key=lambda e: -abs(e.activations[e.trigger]))
    return tuple(ranked if top else ranked[:_STRONGEST])


def _strongest(said: Any, *lists: list[Example]) -> float | None:
    if number(said) > 0:
        return number(said)
    sizes = [abs(a) for examples in lists for example in examples for a in example.activations]
    return max(sizes, default=None)


def _finite(value: Any) -> list[float]:
    """The numbers of a list; none at all where one of them is none."""
    found = [number(item) for item in value] if isinstance(value, list) else []
    return [] if any(map(math.isnan, found)) else found


def _histogram(low: float, high: float, counts: list[float]) -> Histogram | None:
    if not counts or not high > low or min(counts) < 0 or max(counts) > 2**53:
        return None
    edges = np.linspace(low, high, len(counts) + 1)
    return Histogram(edges, np.rint(counts).astype(np.int64))
