"""What unchanged runs on other prompts have at the places that are patched from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from torch import Tensor

from .feature_access import access
from .interventions import Features, Heads, Neurons, Patterns
from .operations import Patch
from .places import Place
from .targets import Intervention

if TYPE_CHECKING:
    from .model import Model


class Sources:
    """Runs each prompt once for all places that are asked for together, and keeps what it read."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._ids: dict[str | tuple[int, ...], Tensor] = {}
        self._seen: dict[str | tuple[int, ...], dict[Place, Tensor]] = defaultdict(dict)

    def read(self, interventions: Iterable[Intervention]) -> None:
        """Read what these patch from other runs, if it is not there yet.

        Raises PromptError for a prompt that the model cannot run on.
        """
        wanted: dict[str | tuple[int, ...], set[Place]] = defaultdict(set)
        for what in interventions:
            if isinstance(what.operation, Patch):
                wanted[what.operation.prompt].add(self._place(what))
        model = self._model
        for prompt, places in wanted.items():
            missing = places - self._seen[prompt].keys()
            if missing:
                ids = self._ids[prompt] = model.tokenize(prompt)
                seen = model.run(ids[None], read=missing, logits=False).seen
                # A copy: a view would keep the whole pass alive.
                self._seen[prompt] |= {p: v[0].to(model.dtype, copy=True) for p, v in seen.items()}

    def length(self, patch: Patch) -> int:
        """How many tokens the other prompt has."""
        return len(self._ids[patch.prompt])

    def values(self, patch: Patch, place: Place) -> Tensor:
        """[position, d] of the other run; a pattern [head, query, key]."""
        return self._seen[patch.prompt][place]

    def _place(self, what: Intervention) -> Place:
        match what.target:
            case Heads(layer=layer):
                return Place(layer, "attn_z")
            case Patterns(layer=layer):
                return Place(layer, "pattern")
            case Neurons(layer=layer):
                return Place(layer, "neurons")
            case Features(dictionary=dictionary, layer=layer, features=features):
                return access(dictionary, layer, features, self._model).reads
            case place:
                assert isinstance(place, Place)
                return place
