"""Where one unit is active on a sheet, in two halves that share no text.

A label is found on the first half and scored on the second. Windows go to a half whole, and windows
with equal tokens to the same one; those in which the unit is active are dealt out in turn, so that a
unit with few of them has as many in either.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import FeatureError
from .contexts import AnyIndex, Sheet, sheet_with, stored_of
from .rules import Bools
from .separating import Trial, trial
from .vocabulary import Ints

#: A unit's tokens are taken from at most so many places, evenly spaced in strength.
_MOST_TOKENS = 4000


@dataclass(frozen=True, eq=False)
class Activity:
    """places: on the sheet, ascending int64 [n]; strength: float32 [n], above 0.

    silent: common places where the unit is not active at all. second: bool [window]. density: the
    share of all tokens on which the unit is active.
    """

    name: str
    sheet: Sheet
    places: Ints
    strength: NDArray[np.float32]
    silent: Ints
    second: Bools
    density: float

    def precision(self, hits: float, alarms: float) -> float:
        """Of the tokens on which something holds, the share on which the unit is active, where it
        holds on a share `hits` of active tokens and on a share `alarms` of the others."""
        right, wrong = hits * self.density, alarms * (1 - self.density)
        return right / (right + wrong) if right else 0.0

    def first_half(self) -> tuple[Ints, Ints]:
        """Active and silent places that labels are found on."""
        return self._in(self.places, False), self._in(self.silent, False)

    def held_out(self) -> Trial:
        """The second half, to be told apart."""
        inside = self.second[self.sheet.window[self.places]]
        others = self._in(self.silent, True)
        return trial(self.sheet, self.places[inside], self.strength[inside], others)

    def beside(self, used: Ints) -> Trial:
        """All that is in no text of the used places, to be told apart."""
        texts = self.sheet.text[self.sheet.window[used]]
        new = ~np.isin(self.sheet.text, texts)
        inside = new[self.sheet.window[self.places]]
        others = self.silent[new[self.sheet.window[self.silent]]]
        return trial(self.sheet, self.places[inside], self.strength[inside], others)

    def checked(self, trial: Trial) -> Trial:
        """Raises FeatureError for a trial with nothing to tell apart."""
        if not trial.n_other and len(self.silent):
            raise FeatureError(
                "The texts of the index are too few, or too much alike, to check a label of "
                f"{self.name} on other text than it was found on: index more text, or name it by hand."
            )
        if not trial.n_other:
            raise FeatureError(
                f"{self.name} is active on nearly every token of the index: there is nothing to "
                "tell its tokens from."
            )
        if not trial.n_active:
            raise FeatureError(
                f"{self.name} is active in too few texts of the index: none is left to check a "
                "label on. Index more text, or name it by hand."
            )
        return trial

    def _in(self, places: Ints, second: bool) -> Ints:
        return places[self.second[self.sheet.window[places]] == second]


def activity(index: AnyIndex, layer: int, feature: int, sign: int = 1) -> Activity:
    """Where a unit is active on the index's text.

    Args:
        sign: 1 where its values are above 0, −1 where they are below.

    Raises FeatureError for a unit that is never active.
    """
    stored = stored_of(index)
    entries = stored.entries(layer, feature)
    strength = entries.value * sign
    position, strength = entries.position[strength > 0], strength[strength > 0]
    name = f"L{layer}/{feature}"
    if not len(position):
        which = " with this sign" if len(entries) else ""
        raise FeatureError(
            f"{name} is not active{which} anywhere in the {stored.n_positions:,} tokens of the "
            "index: there is nothing to name it by. Index more text."
        )
    density = len(position) / stored.n_positions
    if len(position) > _MOST_TOKENS:
        order = np.argsort(-strength, kind="stable")
        order = order[np.linspace(0, len(order) - 1, _MOST_TOKENS).round().astype(np.int64)]
        order.sort()
        position, strength = position[order], strength[order]
    sheet = sheet_with(stored, position)
    places = np.searchsorted(sheet.position, position)
    awake = np.zeros(len(sheet), dtype=bool)
    awake[sheet.places(entries.position)] = True
    silent = sheet.all_common[~awake[sheet.all_common]]
    return Activity(name, sheet, places, strength, silent, _second(sheet, places), density)


def _second(sheet: Sheet, places: Ints) -> Bools:
    """Which windows are of the second half."""
    second = sheet.text % np.uint64(2) == 1
    texts = np.unique(sheet.text[np.unique(sheet.window[places])])
    at = np.searchsorted(texts, sheet.text)
    active = texts[np.minimum(at, len(texts) - 1)] == sheet.text
    second[active] = at[active] % 2 == 1
    return np.asarray(second)
