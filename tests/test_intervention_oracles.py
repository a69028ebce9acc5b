"""Interventions on features give circuit-tracer's logits and activations.

The references lie beside the checkout (shared/oracles/README.md): eight sets of interventions on
transcoders and cross-layer transcoders, with attention frozen and free, and with layers constrained.
circuit-tracer counts activations at position 0 as 0.
"""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from test_oracles import (
    BORDERLINE,
    CLOSE,
    REFERENCES,
    cases,
    dictionary,
    every_reference,
    model,
    reference,
)

from interp_widgets.dictionaries import JumpReLU
from interp_widgets.models import Intervention, InterventionError, Outcome, Place
from interp_widgets.models.interventions import feature

pytestmark = pytest.mark.skipif(
    not REFERENCES, reason="the references lie beside the checkout, in shared/oracles/refs"
)
NAMES = (
    "ablate_frozen",
    "ablate_free",
    "multi_frozen",
    "multi_free",
    "multi_direct",
    "multi_direct_preact",
    "multi_constr01",
    "steer_free",
)


def clamped(d: Any, layer: int, position: int | list[int | None], index: int, value: float) -> Any:
    what = feature(d, layer, index).clamp(value)
    if isinstance(position, int):
        return what.at(position)
    start, stop = position
    assert start is not None
    return what.from_(start) if stop is None else what.at(*range(start, stop))


def outcome(name: str, intervention: str) -> tuple[Any, Outcome, dict[str, Any]]:
    case = name.split("__short__")[0]
    expected = reference(name)
    wanted = json.loads(str(expected["interventions_json"]))[intervention]
    keywords = wanted["kwargs"]
    d, m = dictionary(case, torch.float32), model(cases()[case]["model"], torch.float32)
    what: list[Intervention] = [clamped(d, *row) for row in wanted["interventions"]]
    with warnings.catch_warnings():
        # Three layers are not constrained in multi_constr01, and what writes there is lost.
        warnings.filterwarnings("ignore", ".*writes only where the layers are not held")
        out = m.intervene(
            expected["input_tokens"].tolist(),
            what,
            attention="frozen" if keywords.get("freeze_attention", True) else "free",
            constrained=keywords.get("constrained_layers", ()),
            read=[d.reads(layer) for layer in range(d.n_layers)],
        )
    return d, out, expected


@every_reference
@pytest.mark.parametrize("intervention", NAMES)
def test_logits_and_activations_are_circuit_tracer_s(name: str, intervention: str) -> None:
    d, out, expected = outcome(name, intervention)
    logits = expected[f"iv_{intervention}_logits"].reshape(out.logits.shape)
    np.testing.assert_allclose(out.logits, logits, rtol=0, atol=CLOSE)
    found = torch.stack(
        [activations(d, i, out.activations[d.reads(i)], intervention) for i in range(d.n_layers)]
    )
    off = (found - torch.from_numpy(expected[f"iv_{intervention}_acts"])).abs()
    apart = (off > CLOSE).nonzero().tolist()
    assert len(apart) <= 1
    for layer, position, index in apart:
        assert margin(d, layer, out.activations[d.reads(layer)][position], index) < BORDERLINE
    if out.base is not None:
        plain = expected["logits"].reshape(out.base.shape)
        np.testing.assert_allclose(out.base, plain, rtol=0, atol=CLOSE)
        assert np.abs(plain - logits).max() > 10 * CLOSE  # the reference is no plain run


def activations(d: Any, layer: int, x: torch.Tensor, intervention: str) -> torch.Tensor:
    """[position, feature] from the encoder itself, position 0 set to 0."""
    weights = d.layer(layer)
    pre = x @ weights.encoder.whole().T + weights.encoder_bias
    out: torch.Tensor = pre if intervention.endswith("preact") else weights.activation(pre)
    out[0] = 0
    return out


def margin(d: Any, layer: int, x: torch.Tensor, index: int) -> float:
    """How far a feature is from where it jumps; in float32 it may fall on either side of that."""
    weights = d.layer(layer)
    assert isinstance(weights.activation, JumpReLU)
    pre = weights.encoder.whole()[index].double() @ x.double() + weights.encoder_bias[index]
    return abs(float(pre - weights.activation.threshold[index]))


def test_every_reference_holds_every_set() -> None:
    for name in REFERENCES:
        assert set(json.loads(str(reference(name)["interventions_json"]))) == set(NAMES)


def test_a_feature_that_writes_only_to_free_layers_is_pointed_out() -> None:
    name = next(n for n in REFERENCES if n.startswith("llama_tiny__relu"))
    case = name.split("__short__")[0]
    d, m = dictionary(case, torch.float32), model("llama_tiny", torch.float32)
    ids = reference(name)["input_tokens"].tolist()
    lost, kept = feature(d, 3, 5).clamp(1), feature(d, 1, 5).clamp(1)
    with pytest.raises(InterventionError, match="writes only where the layers are not held"):
        m.intervene(ids, lost, constrained=[0, 1])
    with pytest.warns(UserWarning, match=r"L3 feature 5 = 1. writes only where .* touches nothing"):
        both = m.intervene(ids, [lost, kept], constrained=[0, 1], read=[Place(3, "mlp_out")])
    alone = m.intervene(ids, kept, constrained=[0, 1])
    assert torch.equal(both.logits, alone.logits)
