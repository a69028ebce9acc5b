"""What steered generation costs, against plain Hugging Face `generate`, on SmolLM2.

    python benchmarks/generation.py

One thread, greedy, one prompt, 64 new tokens; Hugging Face with its default attention (sdpa) and with
the eager one that we run, both without interventions. Ours: one row as it is; one row steered by
a direction, one by a pinned feature of a random transcoder; the same with the unsteered model reading
along; and four variants at once. All take turns, so that whatever else the machine does meets all;
CPU time, the median of seven, tokens of all variants added up. Then how long a token takes at most,
which is what cancelling waits for.

Goal: a single steered row at no less than 0.9 of Hugging Face's tokens per second.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from cases import smollm2
from transformers import AutoModelForCausalLM

from interp_widgets import dictionaries, models
from interp_widgets.models import Model
from interp_widgets.models.catalog import resolve
from interp_widgets.models.interventions import feature, residual

PROMPT = "Once upon a time, in a small village at the foot of a mountain, there lived"
NEW, TURNS, GOAL = 64, 7, 0.9
LAYER, STRENGTH = 15, 8.0


def hugging_face(hf: Any, ids: torch.Tensor) -> int:
    out = hf.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW, min_new_tokens=NEW,
        do_sample=False,
    )  # fmt: skip
    return out.shape[1] - ids.shape[1]


def ours(model: Model, ids: torch.Tensor, rows: list[Any], **settings: Any) -> tuple[int, float]:
    """How many tokens, and the longest wait for one, s."""
    count, longest, last = 0, 0.0, time.perf_counter()
    for step in model.generate(ids, rows, max_new_tokens=NEW, **settings):
        now = time.perf_counter()
        count, longest, last = (
            count + sum(t is not None for t in step.tokens),
            max(longest, now - last),
            now,
        )
    return count, longest


def main() -> None:
    torch.set_num_threads(1)
    model = models.load(smollm2.NAME)
    path = resolve(smollm2.NAME).path
    plain = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    eager = AutoModelForCausalLM.from_pretrained(
        path, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    # No text may end early: all write the same number of tokens.
    model.hf.generation_config.eos_token_id = [-1]
    ids = model.tokenize(PROMPT)
    vector = torch.randn(model.d_model, generator=torch.Generator().manual_seed(0))
    push = residual(LAYER).add(STRENGTH, vector / vector.norm()).from_(1)
    pin = feature(dictionaries.load(smollm2.transcoders(model)), LAYER, 7).clamp(3.0).from_(1)
    waits: list[float] = []

    def generate(rows: list[Any], **settings: Any) -> Callable[[], int]:
        def run() -> int:
            count, longest = ours(model, ids, rows, **settings)
            waits.append(longest)
            return count

        return run

    cases: dict[str, Callable[[], int]] = {
        "Hugging Face, sdpa": lambda: hugging_face(plain, ids[None]),
        "Hugging Face, eager": lambda: hugging_face(eager, ids[None]),
        "ours, no intervention": generate([[]]),
        "ours, a direction added": generate([[push]]),
        "ours, a feature pinned": generate([[pin]]),
        "ours, a direction, unsteered reads along": generate([[push]], read_across=True),
        "ours, four variants": generate([[], [push], [pin], [push, pin]]),
    }
    for run in cases.values():
        run()
    waits.clear()
    speed: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(TURNS):
        for name, run in cases.items():
            start = time.process_time()
            count = run()
            speed[name].append(count / (time.process_time() - start))
    report(speed, max(waits))


def report(speed: dict[str, list[float]], longest: float) -> None:
    middle = {name: statistics.median(found) for name, found in speed.items()}
    base = middle["Hugging Face, sdpa"]
    print("| | tokens per CPU second | range | of Hugging Face's |")
    print("|---|---|---|---|")
    for name, found in speed.items():
        share = middle[name] / base
        single = name in ("ours, a direction added", "ours, a feature pinned")
        met = (f" (goal {'met' if share >= GOAL else 'missed'})") if single else ""
        print(
            f"| {name} | {middle[name]:.2f} | {min(found):.2f} to {max(found):.2f} | "
            f"{share:.2f}{met} |"
        )
    print(f"\nThe longest wait for a step, prompt included: {1e3 * longest:.0f} ms (clock).")


if __name__ == "__main__":
    main()
