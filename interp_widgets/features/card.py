"""Everything that is known of one unit, as one JSON value: what views, pages and files show.

    from the corpus   density, activations, examples, groups        (stored.py)
    from its book     label                                         (labelling/book.py)
    from the weights  logits, similar, upstream, downstream, effect (weights/); weights=False
                      leaves them null, for a first look

Every number is finite or null, and what is compared has its control beside it. The control of
co-activation is made by moving the unit along the corpus by a random distance, 20 times: it is active
as often as before but elsewhere, and the best Jaccard that any unit of the layer then gets is chance.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..json_numbers import finite
from .card_rows import (
    Row,
    control_row,
    example_row,
    group_row,
    histogram_row,
    label_row,
    token_rows,
)
from .stored import StoredIndex
from .values import Control, Neighbour, Together
from .weights import LEFT_OUT

if TYPE_CHECKING:
    from .index import Index

EXAMPLES, NEIGHBOURS, DRAWS = 20, 10, 20
#: Bins of the layer's densities: four to a factor of ten.
_DECADE = 4
_FROM_WEIGHTS = ("logits", "similar", "upstream", "downstream", "virtual_control", "effect")


def card(
    index: Index,
    layer: int,
    feature: int,
    *,
    here: float | None = None,
    weights: bool = True,
) -> dict[str, Any]:
    """What there is to say of a unit, as plain JSON (docs/how-it-works/feature-files.md).

    Args:
        here: its activation at a token that somebody looks at; its percentile among the active
            tokens of the same sign is said.
        weights: also what the weights say, which takes longer.

    Works with no corpus indexed ("indexed": false) and with no model (logits etc. are null); "notes"
    says so. Raises FeatureError where there is no such unit.
    """
    found = index[layer, feature]
    layer, feature = found.layer, found.feature  # as plain int
    stored, units = index.so_far, index.units
    model = index.model.name if index.model is not None else ""
    first: Row = {
        "unit": units.kind,
        "name": found.name,
        "layer": layer,
        "feature": feature,
        "scan": units.scan,
        "model": model or (stored.about.model if stored else ""),
        "tokens": stored.n_tokens if stored else 0,
        "documents": stored.about.documents if stored else 0,
        "complete": stored.about.complete if stored else False,
        "indexed": stored is not None,
        "label": label_row(index.label_of(layer, feature)),
        **_corpus(stored, layer, feature, here),
        **dict.fromkeys(_FROM_WEIGHTS),
        "notes": _notes(index, stored, layer, feature),
    }
    return weighed(index, first) if weights else first


def weighed(index: Index, first: Row) -> Row:
    """A card that was made with weights=False, with what the weights say."""
    layer, feature, notes = first["layer"], first["feature"], list(first["notes"])
    found = _weights(index, index.so_far, layer, feature, notes)
    return {**first, **found, "notes": notes}


def _notes(index: Index, stored: StoredIndex | None, layer: int, feature: int) -> list[str]:
    kind, said = index.units.kind, []
    if stored is None:
        if index.state == "computing":
            return ["The corpus is being read: examples come when that is done."]
        return [
            f"There are no examples of {index.units.scan} yet: index a text, "
            "iw.index(model, dictionary, text)."
        ]
    if not stored.about.complete:
        said.append(f"The corpus was not read to its end: {stored.n_tokens:,} tokens of it were.")
    if not stored.counts(layer)[feature]:
        said.append(f"It was active on none of the {stored.n_tokens:,} tokens.")
    if kind != "feature":
        said.append(
            f"A {kind} has a value on every token; it counts as active where the absolute value is "
            "among the largest 1% of the first tokens that were read."
        )
    if stored.about.clipped:
        said.append(
            f"{stored.about.clipped:,} values of this index were too large for float16 and stand "
            "at its limit, 65,504."
        )
    return said


# --- from the corpus -----------------------------------------------------------------------------


def _corpus(stored: StoredIndex | None, layer: int, feature: int, here: float | None) -> Row:
    here = finite(here)
    if stored is None:
        return {
            "density": None,
            "activations": {
                **histogram_row(None),
                "max": None,
                "here": here,
                "percentile": None,
            },
            "examples": [],
            "negative": [],
            "groups": [],
        }
    values = stored.entries(layer, feature).value
    two_sided = bool((values < 0).any())
    negative = stored.examples(layer, feature, EXAMPLES, sign=-1) if two_sided else []
    return {
        "density": _density(stored, layer, feature),
        "activations": {
            **histogram_row(stored.histogram(layer, feature)),
            "max": finite(stored.strongest(layer)[feature]),
            "here": here,
            "percentile": None if here is None else _percentile(values, here),
        },
        "examples": [example_row(e) for e in stored.examples(layer, feature, EXAMPLES)],
        "negative": [example_row(e) for e in negative],
        "groups": [group_row(g) for g in stored.groups(layer, feature)],
    }


def _density(stored: StoredIndex, layer: int, feature: int) -> Row:
    """The unit's density, and how many units of its layer have which; "silent": never active."""
    counts, tokens = stored.counts(layer), max(1, stored.n_tokens)
    lowest = math.floor(-math.log10(tokens) * _DECADE) / _DECADE
    edges = np.linspace(lowest, 0, max(1, round(-lowest * _DECADE)) + 1)
    seen = np.log10(counts[counts > 0] / tokens).clip(lowest, 0)
    bars, _ = np.histogram(seen, edges)
    return {
        "value": float(counts[feature] / tokens),
        "count": int(counts[feature]),
        "edges": edges.tolist(),
        "counts": bars.tolist(),
        "silent": int((counts == 0).sum()),
    }


def _percentile(values: NDArray[np.float32], here: float) -> float | None:
    """The share of active tokens of the same sign on which it is no stronger than here, in %."""
    # Values are stored as float16: the strongest token itself has to come out as 100.
    with np.errstate(over="ignore"):
        rounded = float(np.float16(here))
    same = np.abs(values[values < 0] if here < 0 else values[values > 0])
    return float((same <= abs(rounded)).mean() * 100) if len(same) else None


# --- from the weights ----------------------------------------------------------------------------


def _weights(
    index: Index, stored: StoredIndex | None, layer: int, feature: int, notes: list[str]
) -> Row:
    """logits to effect; adds to `notes` why something is not there."""
    if index.model is None:
        notes.append("There is no model behind this index, so nothing is said of the weights.")
        return {}
    held = index.weights
    for part in ("logits", "upstream", "downstream"):
        if (why := held.why_none(part, layer)) and why not in notes:
            notes.append(why)
    logits = held.logits(layer, feature, NEIGHBOURS)
    decoder, chance = held.similar(layer, feature, NEIGHBOURS)
    upstream, up_chance = held.upstream(layer, feature, NEIGHBOURS)
    downstream, down_chance = held.downstream(layer, feature, NEIGHBOURS)
    effect = held.effect(layer, feature)
    together = stored.together(layer, feature, NEIGHBOURS) if stored else []
    # One number for both lists errs on the side of chance; each has its own beside it.
    both = [control for control in (up_chance, down_chance) if control is not None]
    if both:
        notes.append(LEFT_OUT)
    if not effect and held.why_none("effect", layer) is None:
        notes.append("Nowhere does what it writes stand out from chance: its effect has no shares.")
    return {
        "logits": None
        if logits is None
        else {
            "positive": token_rows(logits.positive),
            "negative": token_rows(logits.negative),
            "control": control_row(logits.control),
        },
        "similar": {
            "decoder": _named(index, decoder),
            "control": control_row(chance),
            "together": _named(index, together),
            "together_control": control_row(chance_together(stored, layer, feature))
            if stored and together
            else None,
        },
        "upstream": _named(index, upstream) if up_chance else None,
        "downstream": _named(index, downstream) if down_chance else None,
        "virtual_control": control_row(max(both, key=lambda c: c.value, default=None)),
        "upstream_control": control_row(up_chance),
        "downstream_control": control_row(down_chance),
        "effect": [
            {
                "to": e.to,
                "share": finite(e.share),
                "strength": finite(e.strength),
                "control": finite(e.control),
            }
            for e in effect
        ]
        or None,
    }


def _named(index: Index, neighbours: list[Neighbour] | list[Together]) -> list[Row]:
    rows = []
    for each in neighbours:
        row: Row = {
            "layer": each.layer,
            "feature": each.feature,
            "label": index.label(each.layer, each.feature) or None,
        }
        if isinstance(each, Together):
            row |= {"value": finite(each.jaccard), "count": each.count}
        else:
            row["value"] = finite(each.value)
        rows.append(row)
    return rows


def chance_together(stored: StoredIndex, layer: int, feature: int) -> Control:
    """The best Jaccard of any unit of the layer with this one, moved along the corpus at random:
    mean, and the range of 95% of the draws. The same draws for the same unit."""
    rng = np.random.default_rng((layer, feature))
    drawn = []
    for _ in range(DRAWS):
        # Far enough that no window meets itself.
        shift = int(rng.uniform(0.1, 0.9) * stored.n_positions)
        best = stored.together(layer, feature, 1, shift=shift)
        drawn.append(best[0].jaccard if best else 0.0)
    low, high = np.percentile(drawn, (2.5, 97.5))
    return Control(float(np.mean(drawn)), float(low), float(high), DRAWS)
