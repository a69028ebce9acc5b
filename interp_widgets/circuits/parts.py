"""The parts of a model that a heatmap has marks for, and where their vectors are.

    panel      one mark                                       its vectors
    residual   the stream in front of a block, at a position  resid_pre
    attention  what a block's attention adds there            attn_out
    mlp        what a block's MLP adds there                  mlp_out
    heads      one head's output, at every position           its slice of attn_z

A part without an index is a whole row (a layer, all positions or heads); one without a layer is a
whole column (a position, all layers). Every part has an id to write down: `mlp.L3.p9`, `heads.L2.h1`,
`attention.L4`, `mlp.p9`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ..models import Place, Site
from ..models.anatomy import heads_of
from .errors import CircuitError

Panel = Literal["residual", "attention", "mlp", "heads"]
PANELS: tuple[Panel, ...] = get_args(Panel)
SITES: dict[Panel, Site] = {
    "residual": "resid_pre",
    "attention": "attn_out",
    "mlp": "mlp_out",
    "heads": "attn_z",
}
_ID = re.compile(r"(residual|attention|mlp|heads)(?:\.L(\d+))?(?:\.([ph])(\d+))?")


@dataclass(frozen=True)
class Shape:
    """How many layers, heads, dimensions of a head, and positions there are."""

    layers: int
    heads: int
    d_head: int
    positions: int

    @staticmethod
    def of(model: Any, positions: int) -> Shape:
        heads, _, d_head = heads_of(model.hf)
        return Shape(model.n_layers, heads, d_head, positions)

    def columns(self, panel: Panel) -> int:
        """Marks in a row of a panel: heads, or positions."""
        return self.heads if panel == "heads" else self.positions


@dataclass(frozen=True)
class Spot:
    """Vectors of one place: `positions` (None: all), `columns` of each vector (None: all)."""

    place: Place
    position: int | None = None
    columns: tuple[int, int] | None = None

    @property
    def index(self) -> tuple[slice, slice]:
        """Of a tensor [position, d]."""
        at = slice(None) if self.position is None else slice(self.position, self.position + 1)
        return at, slice(None) if self.columns is None else slice(*self.columns)


@dataclass(frozen=True)
class Part:
    """A mark of a heatmap, a row or a column of marks.

    layer: None for all layers, of a position.
    index: a position (in panel "heads": a head); None for a whole layer.
    """

    panel: Panel
    layer: int | None
    index: int | None = None

    @property
    def id(self) -> str:
        layer = "" if self.layer is None else f".L{self.layer}"
        kind = "h" if self.panel == "heads" else "p"
        return f"{self.panel}{layer}" + ("" if self.index is None else f".{kind}{self.index}")

    def spots(self, shape: Shape) -> tuple[Spot, ...]:
        """Where its vectors are."""
        layers = range(shape.layers) if self.layer is None else (self.layer,)
        if self.panel == "heads" and self.index is not None:
            head = (self.index * shape.d_head, (self.index + 1) * shape.d_head)
            return tuple(Spot(Place(layer, "attn_z"), columns=head) for layer in layers)
        return tuple(Spot(Place(layer, SITES[self.panel]), self.index) for layer in layers)


def part(text: str, shape: Shape) -> Part:
    """The part with this id.

    Raises CircuitError for what is no id, or names a layer, head or position that is not there.
    """
    found = _ID.fullmatch(text)
    if found is None:
        raise CircuitError(
            f"{text!r} names no part: write residual.L2.p5, attention.L2, mlp.p5 or heads.L2.h3."
        )
    panel: Panel = found[1]  # type: ignore[assignment]
    layer = None if found[2] is None else int(found[2])
    index = None if found[4] is None else int(found[4])
    if layer is None and (index is None or panel == "heads"):
        raise CircuitError(f"{text!r} names no layer, such as {panel}.L0.")
    if index is not None and (found[3] == "h") != (panel == "heads"):
        raise CircuitError(f"{text!r}: heads have an h, as in heads.L2.h3, and positions a p.")
    if layer is not None and layer >= shape.layers:
        raise CircuitError(f"{text!r}: the model has layers 0 to {shape.layers - 1}.")
    count = shape.columns(panel)
    if index is not None and index >= count:
        what = "heads" if panel == "heads" else "positions"
        raise CircuitError(f"{text!r}: there are {what} 0 to {count - 1}.")
    return Part(panel, layer, index)


def row(panel: Panel, layer: int, shape: Shape) -> tuple[Part, ...]:
    """The marks of one row of a heatmap."""
    return tuple(Part(panel, layer, index) for index in range(shape.columns(panel)))


def places(panels: Sequence[Panel], layers: int) -> list[Place]:
    """Every place that a part of these panels is at."""
    return [Place(layer, SITES[panel]) for layer in range(layers) for panel in panels]
