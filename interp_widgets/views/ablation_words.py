"""What the view says around its heatmaps: both prompts, the metric, how far it is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ..circuits import Comparison, KLDivergence
from ..circuits.parts import PANELS
from ..json_numbers import finite

if TYPE_CHECKING:
    from .ablation_live import Ablation

TITLES = {"residual": "residual stream", "attention": "attention", "mlp": "MLP", "heads": "heads"}


def live_message(ablation: Ablation) -> dict[str, Any]:
    """What the browser gets a few times a second; js/ablation/state.ts describes it."""
    progress, message = ablation.progress
    comparison = ablation.known
    shape = ablation.shape
    patched = ablation.corrupted_tokens is not None
    method = ablation.direction if patched else "mean" if ablation.reference else "zero"
    return {
        "state": ablation.state,
        "progress": progress,
        "message": message,
        "model": ablation.model.name,
        "method": method,
        "warning": "" if comparison is None else comparison.warning,
        "clean": list(ablation.clean_tokens),
        "corrupted": None if not patched else list(ablation.corrupted_tokens or ()),
        "answers": None if comparison is None else _answers(comparison, ablation),
        "layers": shape.layers,
        "panels": [
            {"id": panel, "title": TITLES[panel], "columns": shape.columns(panel)}
            for panel in PANELS
        ],
        "metric": None if comparison is None else _metric(comparison, ablation),
        "given": [{"id": each.id, "title": each.title} for each in ablation.items.given],
        # Makes every message a new one: silence means that there is no kernel to hear.
        "beat": time.monotonic(),
    }


def _answers(comparison: Comparison, ablation: Ablation) -> dict[str, Any]:
    """The favourite of each run and its probability."""

    def favourite(logits: Any) -> list[Any]:
        p = logits.double().softmax(-1)
        best = int(p.argmax())
        return [ablation.model.token_text(best), float(p[best])]

    other = comparison.source_logits
    if comparison.method == "denoising":
        other = comparison.logits
    return {
        "clean": favourite(comparison.clean),
        "corrupted": None if other is None else favourite(other),
    }


def _metric(comparison: Comparison, ablation: Ablation) -> dict[str, Any]:
    metric = comparison.metric
    tokens = [ablation.model.token_text(i) for i in metric.tokens]
    full = comparison.full
    return {
        "name": metric.name,
        "unit": metric.unit,
        "tokens": tokens,
        "base": comparison.base,
        "full": finite(full),
        "scale": comparison.scale,
        "kl": isinstance(metric, KLDivergence),
    }
