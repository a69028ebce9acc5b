"""Feature dashboards by SAEDashboard, timed. Runs in its environment.

    python dashboards_sae_dashboard.py '{"model": ..., "saes": [...], "tokens": ..., ...}'

For each SAE and each size of batch, one batch of dashboards. Prints a line of JSON for each: CPU
seconds, those inside the language model, and the largest activations of the features that are
compared, as its examples show them.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import product
from typing import Any

import numpy as np
import torch
from cases.meter import measured, one_thread
from sae_dashboard.sae_vis_data import SaeVisConfig
from sae_dashboard.sae_vis_runner import SaeVisRunner
from sae_dashboard.transformer_lens_wrapper import TransformerLensWrapper
from sae_lens import SAE, HookedSAETransformer
from transformer_lens.loading_from_pretrained import (
    get_pretrained_model_config,
    get_pretrained_state_dict,
)
from transformers import AutoModelForCausalLM, AutoTokenizer


def main(job: dict[str, Any]) -> None:
    one_thread()
    torch.set_grad_enabled(False)
    model = hooked(job["model"])
    tokens = torch.from_numpy(np.load(job["tokens"]))
    inside = Clock()
    for number, batch in product(range(len(job["saes"])), job["batches"]):
        sae = SAE.load_from_disk(job["saes"][number])  # a run folds decoder norms into its weights
        settings = SaeVisConfig(
            hook_point=sae.cfg.metadata.hook_name,
            features=list(range(batch)),
            minibatch_size_features=batch,
        )
        inside.seconds = 0.0
        with measured() as cost:
            data = SaeVisRunner(settings).run(encoder=sae, model=model, tokens=tokens)
        buffer = settings.feature_centric_layout.seq_cfg.buffer[0]
        answer = {"sae": number, "batch": batch, "cpu": cost.cpu, "model": inside.seconds}
        answer["strongest"] = {
            feature: strongest(data.feature_data_dict[feature], buffer)
            for feature in job["compare"]
        }
        print(json.dumps(answer), flush=True)


def hooked(folder: str) -> HookedSAETransformer:
    """A Llama from a folder. TransformerLens takes the shape of one from its config but not the
    base of its rotations, so that is put right, and nothing is folded."""
    hf = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    config = get_pretrained_model_config(folder, device="cpu", dtype=torch.float32)
    config.rotary_base = hf.config.rope_theta
    config.n_ctx = 512  # only how large its masks are
    model = HookedSAETransformer(config, tokenizer=AutoTokenizer.from_pretrained(folder))
    model.load_and_process_state_dict(
        get_pretrained_state_dict(folder, config, hf, dtype=torch.float32),
        fold_ln=False,
        center_writing_weights=False,
        center_unembed=False,
        fold_value_biases=False,
    )
    ids = torch.arange(100, 120)[None]
    apart = float((model(ids) - hf(ids).logits).abs().max())
    assert apart < 1e-3, f"TransformerLens computes other logits, by {apart}"
    return model


def strongest(found: Any, buffer: int) -> list[float]:
    """The activations on which the examples of a feature centre, `buffer` tokens from their start,
    largest first."""
    group = found.sequence_data.seq_group_data[0]
    values = [each.feat_acts[buffer] for each in group.seq_data]
    return sorted(map(float, values), reverse=True)


class Clock:
    """CPU seconds inside the language model."""

    def __init__(self) -> None:
        self.seconds = 0.0
        forward = TransformerLensWrapper.forward

        def timed(*args: Any, **kwargs: Any) -> Any:
            begun = time.process_time()
            out = forward(*args, **kwargs)
            self.seconds += time.process_time() - begun
            return out

        TransformerLensWrapper.forward = timed


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
