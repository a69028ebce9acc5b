"""What steering breaks: loss on neutral text, and repetition.

    change in cross entropy   -log p(next token), steered minus not, in nats per token
    repetition                share of a text's n-grams that it had before:
                              1 - (distinct n-grams) / (n-grams)   (Welleck et al. 2020)

Small models repeat themselves without being steered, so repetition only means something beside
that of the unsteered texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ..models import Model
from ..models.interventions import Intervention
from ..models.model import Prompt
from ..models.plan import compile as compile_plan
from .neutral import Neutral
from .watch import Watch

Rows = Sequence[Sequence[Intervention]]
"""Interventions per variant; an empty list is the model as it is."""

# Numbers in the logits [row, position, vocab] of one batch: 128 MB in float32.
MAX_NUMBERS = 1 << 25
NGRAM = 3


def steered_logits(model: Model, ids: Tensor, rows: Rows) -> Iterator[Tensor]:
    """Logits [position, vocab] of one prompt under each variant, float32 on the CPU."""
    each = max(1, MAX_NUMBERS // (len(ids) * int(model.config.vocab_size)))
    for first in range(0, len(rows), each):
        chunk = rows[first : first + each]
        plan = compile_plan(model, chunk, len(ids))
        read, write = plan.edits(0, len(ids))
        logits = model.run(ids.expand(len(chunk), -1), read=read, write=write).logits
        assert logits is not None
        yield from logits.float().cpu()


def losses(model: Model, text: Neutral, rows: Rows, watch: Watch | None = None) -> Tensor:
    """Summed -log p(next token) of each window under each variant, [variant, window], in nats.

    The token behind the special token in front counts, too: windows have len(window) - 1 losses.
    """
    watch = watch or Watch()
    out = torch.zeros(len(rows), len(text.windows), dtype=torch.float64)
    for column, window in enumerate(text.windows):
        watch.step(column / len(text.windows), "measuring loss on neutral text")
        for row, logits in enumerate(steered_logits(model, window, rows)):
            log_p = logits[:-1].log_softmax(-1)
            out[row, column] = -log_p.gather(-1, window[1:, None]).double().sum()
    return out


def texts(
    model: Model,
    prompts: Sequence[Prompt],
    rows: Rows,
    n_tokens: int,
    *,
    temperature: float = 1.0,
    seed: int = 0,
    watch: Watch | None = None,
) -> list[list[list[int]]]:
    """What each variant writes behind each prompt: token ids, [prompt][variant].

    All variants of a prompt share one noise; the prompt's index is added to the seed.
    """
    watch = watch or Watch()
    out = []
    for index, prompt in enumerate(prompts):
        written: list[list[int]] = [[] for _ in rows]
        steps = model.generate(
            prompt,
            rows,
            max_new_tokens=n_tokens,
            temperature=temperature,
            seed=seed + index,
            top=0,
        )
        for step in steps:
            share = (index + step.index / n_tokens) / len(prompts)
            watch.step(share, "letting the steered model write")
            for row, token in enumerate(step.tokens):
                if token is not None:
                    written[row].append(token)
        out.append(written)
    return out


def repetition(ids: Sequence[int], n: int = NGRAM) -> float:
    """The share of n-grams in a text that occurred earlier in it; 0 for fewer than n tokens."""
    grams = [tuple(ids[i : i + n]) for i in range(len(ids) - n + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0
