"""Places: the vectors of a forward pass that can be read and written, by layer and site.

One block, top to bottom, is

    resid_pre -> norm (attn_normalized -> its weight) -> attn_q, attn_k, attn_v -> pattern
        -> attn_z -> output projection (attn_raw) -> post-norm -> attn_out
    resid_mid = resid_pre + attn_out
    resid_mid -> norm (mlp_normalized -> its weight -> mlp_in) -> MLP (neurons -> down projection
        -> mlp_raw) -> post-norm -> mlp_out
    resid_post = resid_mid + mlp_out

and behind the last block a norm (final_normalized -> its weight) and the unembedding.

Only Gemma 2 and 3 have post-norms; elsewhere attn_raw is attn_out and mlp_raw is mlp_out. In a parallel block (GPT-NeoX)
the MLP reads resid_pre, so there resid_mid is resid_pre, read a second time by the MLP's norm.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import total_ordering
from numbers import Integral
from typing import Literal, get_args

from .errors import ModelError
from .targets import Target

Site = Literal[
    "resid_pre",
    "attn_normalized",
    "attn_q",
    "attn_k",
    "attn_v",
    "attn_z",
    "pattern",
    "attn_raw",
    "attn_out",
    "resid_mid",
    "mlp_normalized",
    "mlp_in",
    "neurons",
    "mlp_raw",
    "mlp_out",
    "resid_post",
    "final_normalized",
]
SITES: tuple[Site, ...] = get_args(Site)  # in the order in which a forward pass reaches them


@total_ordering
@dataclass(frozen=True)
class Place(Target):
    """A vector of the forward pass, one per position. Sorted places are in forward order.

    Sites, [.., d_model] where nothing else is said:
        resid_pre: the stream in front of the block.
        attn_normalized: after attention's norm, before the norm's weight and bias.
        attn_q: queries as projected, [.., heads * d_head].
        attn_k, attn_v: keys and values as projected, [.., key-value heads * d_head].
        attn_z: what the heads found, concatenated [.., heads * d_head], before the output
            projection.
        pattern: attention weights, [batch, head, query, key]; only to be read.
        attn_raw: what attention gives, before a post-norm.
        attn_out: what attention adds to the stream (after a post-norm).
        resid_mid: the stream that the MLP's norm reads.
        mlp_normalized: after that norm, before the norm's weight and bias.
        mlp_in: what the MLP itself reads.
        neurons: the MLP's inner values, [.., d_mlp].
        mlp_raw: what the MLP gives, before a post-norm.
        mlp_out: what is added to the stream (after a post-norm).
        resid_post: the stream behind the block.
        final_normalized: after the model's last norm, before its weight; in the last layer only.

    Raises ModelError for an unknown site, and for a layer that is no whole number or below 0.
    """

    layer: int
    site: Site

    def __post_init__(self) -> None:
        if self.site not in SITES:
            raise ModelError(f"There is no site {self.site!r}; the sites are {', '.join(SITES)}.")
        if not isinstance(self.layer, Integral):
            raise ModelError(f"Layers are whole numbers, and {self.layer!r} is not.")
        if self.layer < 0:
            raise ModelError(f"Layers are counted from 0; there is no layer {self.layer}.")

    def __lt__(self, other: Place) -> bool:
        return (self.layer, SITES.index(self.site)) < (other.layer, SITES.index(other.site))

    def __str__(self) -> str:
        return f"L{self.layer} {self.site}"
