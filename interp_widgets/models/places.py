"""Places: the vectors of a forward pass that can be read and written, by layer and site.

One block, top to bottom, is

    resid_pre -> norm -> attention (attn_z -> output projection) -> post-norm -> attn_out
    resid_mid = resid_pre + attn_out
    resid_mid -> norm (mlp_normalized -> its weight -> mlp_in) -> MLP (mlp_raw) -> post-norm -> mlp_out
    resid_post = resid_mid + mlp_out

Only Gemma 2 and 3 have post-norms; elsewhere mlp_raw is mlp_out. In a parallel block (GPT-NeoX)
the MLP reads resid_pre, so there resid_mid is resid_pre, read a second time by the MLP's norm.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import total_ordering
from typing import Literal, get_args

from .errors import ModelError

Site = Literal[
    "resid_pre",
    "attn_z",
    "attn_out",
    "resid_mid",
    "mlp_normalized",
    "mlp_in",
    "mlp_raw",
    "mlp_out",
    "resid_post",
]
SITES: tuple[Site, ...] = get_args(Site)  # in the order in which a forward pass reaches them


@total_ordering
@dataclass(frozen=True)
class Place:
    """A vector of the forward pass, one per position. Sorted places are in forward order.

    Sites, all [.., d_model] but attn_z:
        resid_pre: the stream in front of the block.
        attn_z: what the heads found, concatenated [.., heads * d_head], before the output
            projection.
        attn_out: what attention adds to the stream (after a post-norm).
        resid_mid: the stream that the MLP's norm reads.
        mlp_normalized: after that norm, before the norm's weight and bias.
        mlp_in: what the MLP itself reads.
        mlp_raw: what the MLP gives, before a post-norm.
        mlp_out: what is added to the stream (after a post-norm).
        resid_post: the stream behind the block.

    Raises ModelError for an unknown site or a layer below 0.
    """

    layer: int
    site: Site

    def __post_init__(self) -> None:
        if self.site not in SITES:
            raise ModelError(f"There is no site {self.site!r}; the sites are {', '.join(SITES)}.")
        if self.layer < 0:
            raise ModelError(f"Layers are counted from 0; there is no layer {self.layer}.")

    def __lt__(self, other: Place) -> bool:
        return (self.layer, SITES.index(self.site)) < (other.layer, SITES.index(other.site))

    def __str__(self) -> str:
        return f"L{self.layer} {self.site}"
