"""How vectors at places of a forward pass stand to the residual stream: linear maps, both ways.

    what a vector at a place adds to the stream     W_O or W_down, then a post-norm's weight
    what a place reads from the stream              centring (LayerNorm), then the norm's weight
    from the stream to what the unembedding reads   the same for the final norm

Norm scales (1 / rms or 1 / std) depend on the prompt and are left out, as if they were 1; biases
add the same whatever a unit does. Only the path straight through the stream is here: not what
attention carries from one position to another, nor what passes through an MLP or a skip connection
(Ameisen et al. 2025, "virtual weights").
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...models import Model, Place, Site
from ...models.anatomy import mlp_weights, norm_parameters, part
from ..errors import FeatureError

_STREAM: frozenset[Site] = frozenset({"resid_pre", "resid_mid", "resid_post"})
_ADDED: frozenset[Site] = _STREAM | {
    "attn_z",
    "attn_raw",
    "attn_out",
    "neurons",
    "mlp_raw",
    "mlp_out",
}
_READ: frozenset[Site] = _STREAM | {
    "attn_normalized",
    "mlp_normalized",
    "mlp_in",
    "final_normalized",
}
_ATTENTION: frozenset[Site] = frozenset({"attn_z", "attn_raw", "attn_out"})
_BEFORE_MLP: frozenset[Site] = frozenset({"resid_mid", "mlp_normalized", "mlp_in"})

DRAWS = 20


@dataclass(frozen=True, eq=False)
class Linear:
    """Steps applied in order: None centres, [d] multiplies entry by entry, [out, in] is a matrix."""

    steps: tuple[Tensor | None, ...] = ()

    def forward(self, x: Tensor) -> Tensor:
        """x: [.., in] -> [.., out]."""
        for step in self.steps:
            if step is None:
                x = x - x.mean(-1, keepdim=True)
            else:
                x = x * step.to(x) if step.ndim == 1 else x @ step.to(x).T
        return x

    def back(self, y: Tensor) -> Tensor:
        """y: [.., out] -> [.., in], with forward(x) . y = x . back(y)."""
        for step in reversed(self.steps):
            if step is None:
                y = y - y.mean(-1, keepdim=True)
            else:
                y = y * step.to(y) if step.ndim == 1 else y @ step.to(y)
        return y

    @property
    def transposed(self) -> Linear:
        """Its forward is this one's back."""
        steps = reversed(self.steps)
        return Linear(tuple(s if s is None or s.ndim == 1 else s.T for s in steps))


def added(model: Model, place: Place) -> Linear | None:
    """From vectors that stand at a place to what they add to the stream; None where they add
    nothing by a straight path."""
    if place.site not in _ADDED:
        return None
    row, block = model.anatomy, part(model.hf, model.anatomy.layers)[place.layer]
    steps: list[Tensor | None] = []
    if place.site == "attn_z":
        steps.append(floating(row.attention_weights(part(block, row.attn), model.config).w_o))
    elif place.site == "neurons":
        steps.append(floating(mlp_weights(block, row).down))
    post = None
    if place.site in ("attn_z", "attn_raw"):
        post = row.attn_post_norm
    elif place.site in ("neurons", "mlp_raw"):
        post = row.mlp_post_norm
    if post is not None:
        steps += _norm(model, part(block, post))
    return Linear(tuple(steps))


def read(model: Model, place: Place) -> Linear | None:
    """From the stream to what stands at a place; None where it is no linear reading of it."""
    if place.site not in _READ:
        return None
    if place.site in _STREAM:
        return Linear()
    row = model.anatomy
    if place.site == "final_normalized":
        return Linear(final_norm(model)[:-1])
    block = part(model.hf, row.layers)[place.layer]
    norm = part(block, row.attn_norm if place.site == "attn_normalized" else row.mlp_norm)
    steps = _norm(model, norm)
    return Linear(steps if place.site == "mlp_in" else steps[:-1])


def unembedded(model: Model, place: Place) -> Linear | None:
    """From what a place adds to the stream to what the unembedding multiplies; behind the final
    norm from what stands there. None where no straight path leads to the output."""
    steps = final_norm(model)
    if place.site == "final_normalized":
        return Linear(steps[-1:])
    return Linear(steps) if place.site in _ADDED else None


def meets(model: Model, written: Place, reading: Place) -> bool:
    """Whether what is added to the stream at one place is in what another place reads.

    The write has to be earlier in the forward pass; in a parallel block the MLP does not read what
    the block's attention gives.
    """
    if written.site not in _ADDED or reading.site not in _READ or not written < reading:
        return False
    beside = written.layer == reading.layer and written.site in _ATTENTION
    parallel = model.anatomy.parallel(model.config)
    return not (parallel and beside and reading.site in _BEFORE_MLP)


def final_norm(model: Model) -> tuple[Tensor | None, ...]:
    """The final norm's steps, its weight last."""
    return _norm(model, part(model.hf, model.anatomy.final_norm))


def _norm(model: Model, module: object) -> tuple[Tensor | None, ...]:
    """A norm's steps, its weight last."""
    weight, _, _, centred = norm_parameters(module, model.anatomy)
    held = weight.detach().to(model.device, model.dtype)
    return (None, held) if centred else (held,)


def floating(weight: Tensor) -> Tensor:
    if not weight.is_floating_point():
        raise FeatureError(
            f"The model holds quantised weights ({weight.dtype}), and what units write needs the "
            "matrices themselves: load it without quantisation, such as with dtype=torch.bfloat16."
        )
    return weight.detach()


def random_directions(
    parts: int, width: int, like: Tensor, draws: int = DRAWS, seed: int = 0
) -> Tensor:
    """[part, draw, width] of length 1, always the same ones."""
    random = torch.Generator().manual_seed(seed)
    drawn = torch.randn(parts, draws, width, generator=random, dtype=torch.float64)
    return torch.nn.functional.normalize(drawn, dim=-1).to(like)
