"""Which score of a neuron is true? Predictions against zero ablation, on SmolLM2-135M.

    python benchmarks/neurons.py

For a neuron at one position, three predictions of how much it adds to the logit difference
answer - foil: its value times the gradient

    live          of the model as it is
    half rule     of the frozen model (patterns and norm scales constant) over paths of any
                  length, gated neurons linearised half through the gate, half through `up`
    gate frozen   the same, all of it through `up`

Measured: that value is set to zero in the plain PyTorch model, and the logit difference falls
by so much. Per prompt the 25 strongest by `live`, the 25 strongest by `half rule`, and 40 random
ones among the 3,000 strongest by `live`, so that the choice does not favour one score alone.

Spearman's and Pearson's correlation over the neurons with 95% bootstrap intervals; over the
random ones alone; and with the predictions shuffled, as the control.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from cases import correlation, meter, smollm2
from torch import Tensor

from interp_widgets import models
from interp_widgets.attribution.neurons import live_effects
from interp_widgets.attribution.targets import output_targets
from interp_widgets.models import FrozenAttention, FrozenModel, Model

GOAL = 0.85
TOP, RANDOM, AMONG, SEED = 25, 40, 3000, 0

#   prompt, answer, foil: two of indirect objects, then facts, agreement, sequence, translation
CASES = [
    ("When Mary and John went to the store, John gave a drink to", " Mary", " John"),
    ("When Tom and Sarah went to the park, Tom gave a ball to", " Sarah", " Tom"),
    ("The Eiffel Tower is located in the city of", " Paris", " London"),
    ("The keys that the man lost near the old house", " were", " was"),
    ("Monday, Tuesday, Wednesday, Thursday,", " Friday", " Monday"),
    ("The opposite of hot is cold. The opposite of big is", " small", " large"),
]


@dataclass(frozen=True)
class Scores:
    """Effects on the logit difference, [layer, position, neuron] each."""

    live: Tensor
    half: Tensor
    gate: Tensor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=len(CASES), help="only the first ones")
    cases = CASES[: parser.parse_args().prompts]
    meter.one_thread()
    model = models.load(smollm2.NAME, device="cpu")
    print(meter.machine(), "", _HEAD, sep="\n")
    found = []
    for prompt, answer, foil in cases:
        scores = predictions(model, prompt, answer, foil)
        chosen, random = choose(scores)
        measured, difference = ablate(model, prompt, (answer, foil), chosen)
        predicted = {
            name: getattr(scores, name).reshape(-1)[chosen].numpy()
            for name in ("live", "half", "gate")
        }
        print(_line(prompt, answer, foil, difference, predicted, measured, random), flush=True)
        found.append((predicted, measured))
    print("", *_summary(found), sep="\n")


def predictions(model: Model, prompt: str, answer: str, foil: str) -> Scores:
    recording = model.record(prompt, neurons=True)
    frozen = FrozenModel(model, recording)
    outputs = output_targets(frozen, [(answer, foil)])
    signed, _ = live_effects(frozen, outputs)
    assert len(outputs) == 1
    weight = outputs.weight.item()
    vector, _ = frozen.read_final(outputs.vectors)
    live = torch.stack(signed) / weight
    return Scores(live, *(frozen_effects(frozen, vector, s) for s in (0.5, 0.0)))


def frozen_effects(frozen: FrozenModel, vector: Tensor, through_gate: float) -> Tensor:
    """Value times the frozen model's gradient, every MLP replaced by its linearised neurons.

    Args:
        vector: [1, d_model], the reader of the final stream at the last position.
        through_gate: the share of a neuron's value that is credited to its gate.
    """
    recording = frozen.recording
    neurons = recording.neurons
    assert neurons is not None
    everywhere = torch.arange(frozen.n_positions)
    effects = []
    gradient = vector.new_zeros(frozen.n_positions, frozen.d_model)
    gradient[-1] = vector[0]
    for layer in range(frozen.n_layers - 1, -1, -1):
        weights, act = frozen.mlp(layer)
        seen = neurons[layer]
        assert seen.gate is not None
        reaching = gradient @ weights.down
        effects.append(reaching * seen.value)
        to_up = (1 - through_gate) * act(seen.gate)
        to_gate = through_gate * seen.up * act(seen.gate) / seen.gate
        pulled = (reaching * to_up) @ weights.up + (reaching * to_gate) @ weights.gate
        gradient = gradient + frozen.read(layer, everywhere, pulled, "mlp.hook_in")[0]
        gradient = gradient + attention_transposed(frozen.attention(layer), gradient)
    return torch.stack(effects[::-1])


def attention_transposed(a: FrozenAttention, gradient: Tensor) -> Tensor:
    heads, group, n, _ = a.mix.shape
    at_heads = (gradient @ a.w_o).view(n, heads, group, -1)
    at_values = torch.einsum("hgqk,qhgd->khd", a.mix, at_heads)
    return at_values.reshape(n, -1) @ a.w_v


def choose(scores: Scores) -> tuple[Tensor, np.ndarray]:
    """Flat indices of the neurons to ablate, and which of them were drawn at random."""
    live, half = scores.live.clone(), scores.half.clone()
    # Position 0 is an attention sink: the same for every prompt, and no node of any graph.
    live[:, 0], half[:, 0] = 0, 0
    live, half = live.reshape(-1).abs(), half.reshape(-1).abs()
    top = torch.cat([live.topk(TOP).indices, half.topk(TOP).indices]).unique()
    among = live.topk(AMONG).indices
    among = among[~torch.isin(among, top)]
    drawn = torch.randperm(len(among), generator=torch.Generator().manual_seed(SEED))[:RANDOM]
    chosen = torch.cat([top, among[drawn]])
    return chosen, np.arange(len(chosen)) >= len(top)


def ablate(
    model: Model, prompt: str, targets: tuple[str, str], chosen: Tensor, batch: int = 32
) -> tuple[np.ndarray, float]:
    """By how much the logit difference falls when each neuron alone is zero; and itself.

    Plain PyTorch: independent of everything that made the predictions.
    """
    ids = model.tokenize(prompt)
    answer, foil = (model.token_id(t) for t in targets)
    d_mlp = model.config.intermediate_size
    layer, position, neuron = (
        chosen // (len(ids) * d_mlp),
        chosen // d_mlp % len(ids),
        chosen % d_mlp,
    )
    falls, whole = [], 0.0
    for part in torch.arange(len(chosen)).split(batch):
        # Row 0 of each batch stays whole, so that both sides are computed alike.
        rows = ids.repeat(len(part) + 1, 1)
        with model.lock, torch.no_grad(), _zeroed(model, layer[part], position[part], neuron[part]):
            logits = model.hf(input_ids=rows).logits[:, -1]
        difference = (logits[:, answer] - logits[:, foil]).double()
        whole = float(difference[0])
        falls.append(difference[0] - difference[1:])
    return torch.cat(falls).numpy(), whole


@contextmanager
def _zeroed(model: Model, layer: Tensor, position: Tensor, neuron: Tensor) -> Iterator[None]:
    """Row i + 1 of a batch runs without neuron i."""

    def without(here: Tensor):
        def hook(module: torch.nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
            x = args[0].clone()
            x[here + 1, position[here], neuron[here]] = 0
            return (x,)

        return hook

    blocks = model.hf.model.layers
    hooks = [
        blocks[i].mlp.down_proj.register_forward_pre_hook(without((layer == i).nonzero()[:, 0]))
        for i in layer.unique().tolist()
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


_HEAD = f"""\
Spearman [95%] / Pearson [95%]; then Spearman over the random neurons alone; then the 95% range of
shuffled predictions. Goal: live at least {GOAL}.

| prompt (answer, foil) | logit difference | n | live | half rule | gate frozen | random alone: live, half, gate | shuffled |
|---|---|---|---|---|---|---|---|"""


def _line(
    prompt: str,
    answer: str,
    foil: str,
    difference: float,
    predicted: dict[str, np.ndarray],
    measured: np.ndarray,
    random: np.ndarray,
) -> str:
    cells = []
    for values in predicted.values():
        s, p = (correlation.with_interval(f, values, measured) for f in correlation.BOTH)
        cells.append(f"{s} / {p}")
    alone = [correlation.spearman(v[random], measured[random]) for v in predicted.values()]
    low, high = correlation.shuffled(predicted["live"], measured)
    return (
        f"| {prompt} ({answer.strip()}, {foil.strip()}) | {difference:+.2f} | {len(measured)} | "
        f"{' | '.join(cells)} | {', '.join(f'{a:.2f}' for a in alone)} (n = {random.sum()}) | "
        f"{low:+.2f} to {high:+.2f} |"
    )


def _summary(found: list[tuple[dict[str, np.ndarray], np.ndarray]]) -> list[str]:
    lines = ["| mean over prompts | Spearman | Pearson | sign right |", "|---|---|---|---|"]
    for name in found[0][0]:
        each = [
            (
                correlation.spearman(p[name], m),
                correlation.pearson(p[name], m),
                float((np.sign(p[name]) == np.sign(m)).mean()),
            )
            for p, m in found
        ]
        s, p, sign = np.mean(each, axis=0)
        lines.append(f"| {name} | {s:.3f} | {p:.3f} | {sign:.0%} |")
    pairs = [(predicted["half"], predicted["gate"], m) for predicted, m in found]
    mean, low, high = correlation.mean_difference(pairs)
    better = sum(correlation.spearman(a, m) > correlation.spearman(b, m) for a, b, m in pairs)
    return [
        *lines,
        "",
        f"Half rule minus gate frozen, mean Spearman: {mean:+.3f} [{low:+.3f}, {high:+.3f}] over "
        f"the same neurons; the half rule is ahead on {better} of {len(pairs)} prompts.",
    ]


if __name__ == "__main__":
    main()
