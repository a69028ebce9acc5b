"""`train`: from a model, a text and what to learn to a training that runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from interp_widgets.dictionaries.errors import DictionaryError
from interp_widgets.dictionaries.training.buffer import LANES
from interp_widgets.dictionaries.training.plan import Plan
from interp_widgets.dictionaries.training.recipes import default_lr
from interp_widgets.dictionaries.training.specs import Spec
from interp_widgets.dictionaries.training.store import ActivationStore
from interp_widgets.dictionaries.training.training import Training, source_of
from interp_widgets.models import Model

# What the buffer may hold unless the user says otherwise.
_BUFFER_BYTES = 1 << 30


def train(
    model: Model,
    what: Spec | Sequence[Spec],
    text: Iterable[str] | Path | ActivationStore,
    *,
    tokens: int,
    batch: int = 4096,
    lr: float | None = None,
    warmup: float = 0.02,
    decay: float = 0.2,
    sparsity_warmup: float | None = None,
    seed: int = 0,
    to: str | Path | None = None,
    checkpoint_every: int | None = None,
    buffer: int | None = None,
    context: int = 128,
    dtype: torch.dtype | None = None,
) -> Training:
    """Train dictionaries in the background; returns at once.

    All dictionaries learn from the same forward passes of the model.

    Args:
        model: whose vectors are learned.
        what: `specs.sae(...)`, `specs.transcoder(...)`, `specs.cross_layer(...)`, or several.
        text: documents, the path of a .txt or .jsonl file or of a folder of such files, or
            activations on disk. Read again from the beginning where it is shorter than `tokens`.
        tokens: to train on.
        batch: tokens per step, a multiple of 8.
        lr: peak learning rate; None: 2e-4 sqrt(16384 / features).
        warmup, decay: shares of the training in which the learning rate rises and falls.
        sparsity_warmup: share in which the sparsity loss grows; None: the recipe's own.
        seed: of everything random.
        to: a folder for checkpoints, from which `Training.resume_from` goes on.
        checkpoint_every: steps; None: a twentieth of the training.
        buffer: tokens that are mixed; None: as many as fit into 1 GB, at most 32 batches.
        context: tokens per row of text.
        dtype: of the encoder's product; None: bfloat16 on a GPU, else float32 (bfloat16 is slower
            on the CPUs we measured).

    Raises DictionaryError or ModelError for what cannot be trained. What goes wrong later is told
    by `progress` and raised by `wait`.
    """
    specs = (what,) if isinstance(what, Spec) else tuple(what)
    if not specs:
        raise DictionaryError("There is nothing to train: give at least one spec.")
    if to is not None and any(Path(to).glob("checkpoint-*")):
        raise DictionaryError(
            f"{to} holds checkpoints of a training: go on with Training.resume_from({str(to)!r}, "
            "model), or choose another folder."
        )
    limit = getattr(model.config, "max_position_embeddings", None) or context
    context = min(context, limit)
    width = model.d_model * len({place for spec in specs for place in spec.reads + spec.writes})
    if buffer is None:
        fits = _BUFFER_BYTES // (width * next(model.hf.parameters()).element_size())
        buffer = max(4 * batch, min(32 * batch, fits, tokens))
    block = buffer // 2
    if isinstance(text, ActivationStore):
        rows, context = text.n_rows, text.context
    else:
        at_most = 16 if model.device.type == "cpu" else 128
        rows = max(1, min(at_most, block // (LANES * (context - 1))))
    if dtype is None:
        dtype = torch.bfloat16 if model.device.type == "cuda" else torch.float32
    per_lane = rows * (context - 1) * LANES
    steps = tokens // batch
    where = text.folder if isinstance(text, ActivationStore) else text
    plan = Plan(
        specs=specs,
        lr=tuple(lr or default_lr(spec.recipe, spec.n_features) for spec in specs),
        tokens=tokens,
        batch=batch,
        warmup=warmup,
        decay=decay,
        sparsity_warmup=sparsity_warmup,
        seed=seed,
        rows=rows,
        context=context,
        groups=LANES * max(1, -(-block // per_lane)),
        dtype=str(dtype).removeprefix("torch."),
        checkpoint_every=checkpoint_every or max(1, steps // 20),
        model_name=model.name,
        text=str(where.absolute()) if isinstance(where, Path) else None,
        store=isinstance(text, ActivationStore),
    )
    return Training(model, plan, source_of(model, plan, text), None if to is None else Path(to))
