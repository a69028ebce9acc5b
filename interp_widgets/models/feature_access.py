"""What an intervention on features needs of a dictionary, whatever its kind.

Dictionaries are above this room, so they say it themselves: `interp_widgets.dictionaries`
registers one answer per kind with `access`; what shows a feature registers with `show_with`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor

from .errors import InterventionError
from .places import Place

if TYPE_CHECKING:
    from .model import Model


class FeatureAccess(Protocol):
    """Some features of one layer, on the model's device in its analysis dtype."""

    @property
    def reads(self) -> Place:
        """Where the features read."""

    @property
    def writes(self) -> tuple[Place, ...]:
        """Where they write, in forward order."""

    def activations(self, x: Tensor) -> Tensor:
        """Their activations [position, k] for what stands at `reads`, [position, d]."""

    def written(self, index: int, columns: Tensor, change: Tensor, x: Tensor) -> Tensor:
        """What a change of activations [position, n] adds at writes[index], [position, d].

        columns: which n of the features change.
        x: what stands at `reads`, at the same positions.
        """


@singledispatch
def access(dictionary: Any, layer: int, features: tuple[int, ...], model: Model) -> FeatureAccess:
    """Raises InterventionError for a layer or feature that the dictionary does not have."""
    raise InterventionError(
        f"{type(dictionary).__name__} is no dictionary of features: give transcoders, a "
        f"cross-layer transcoder or a sparse coder."
    )


@singledispatch
def skip_path(dictionary: Any, layer: int) -> tuple[Place, Place, Tensor] | None:
    """Where a dictionary's linear path beside the features reads and writes in a layer, and its
    matrix [d_out, d_in]; None without such a path."""
    return None


def show(features: Any, options: dict[str, Any]) -> Any:
    """How a notebook shows a feature; None: as its text. Set by whoever knows more of features."""
    return None if _show is None else _show(features, options)


def show_with(how: Callable[[Any, dict[str, Any]], Any]) -> None:
    """From now on `show` answers this."""
    global _show
    _show = how


_show: Callable[[Any, dict[str, Any]], Any] | None = None
