"""An index on disk, read with numpy alone: where every unit was active on a corpus.

`index.json` says what was indexed and which files hold it (merging.py has the layout). Files are
memory-mapped, so opening is quick whatever the size, and a look-up reads one unit's entries.
Positions count the indexed tokens of all windows; the special token in front of each is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .about import FILE, About, read_about
from .arrays import Arrays
from .errors import FeatureError, count
from .merged import open_layer, open_tokens
from .stored_text import StoredText
from .values import Entries, Example, Group, Histogram, Together

#: Co-activation is counted on at most so many of a unit's tokens, evenly spaced.
_MOST_TOKENS = 2000


class StoredIndex(StoredText):
    """A finished or cancelled index, open for reading; safe to use from several threads.

    Raises FeatureError for a folder that holds none, or files that do not fit.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        about = read_about(self.folder)
        if about is None and any(self.folder.glob("tokens-*")):
            raise FeatureError(
                f"{self.folder} holds a part of an index, without its {FILE}: copy it again as a "
                "whole, or remove the folder."
            )
        if about is None or about.generation < 1:
            raise FeatureError(
                f"{self.folder} holds no index that can be read: call iw.index(..., "
                "folder=...) with this folder, which begins or goes on."
            )
        while True:
            try:
                self._open(about)
                return
            except FeatureError:
                # Somebody may have put it together anew in between, and taken the old files away.
                now = read_about(self.folder)
                if now is None or now.generation == about.generation:
                    raise
                about = now

    def _open(self, about: About) -> None:
        self.about = about
        super().__init__(open_tokens(self.folder, about.generation))
        self._layers = {
            layer: open_layer(self.folder, about.generation, layer, size, self.n_positions)
            for layer, size in zip(about.layers, about.sizes, strict=True)
        }

    def __repr__(self) -> str:
        a = self.about
        units = f"{sum(a.sizes):,} {a.units}s of {len(a.layers)} layers"
        state = "" if a.complete else ", the corpus not read to its end"
        return f"StoredIndex({a.scan!r}, {units}, {self.n_tokens:,} tokens{state})"

    @property
    def layers(self) -> tuple[int, ...]:
        """Numbers of the layers that have units, ascending."""
        return self.about.layers

    @property
    def n_tokens(self) -> int:
        """Tokens on which units could be active: what densities are shares of."""
        return self.about.kept

    @property
    def n_bytes(self) -> int:
        """Size of all files."""
        total = 0
        for path in self.folder.rglob("*"):
            with suppress(FileNotFoundError):  # a pass that goes on takes files away
                total += path.stat().st_size if path.is_file() else 0
        return total

    def n_features(self, layer: int) -> int:
        """How many units a layer has."""
        return len(self._layer(layer)["ptr"]) - 1

    def counts(self, layer: int) -> NDArray[np.int64]:
        """On how many tokens each unit is active, [F]."""
        return np.diff(self._layer(layer)["ptr"])

    def density(self, layer: int) -> NDArray[np.float64]:
        """On which share of the tokens each unit is active, [F]."""
        return self.counts(layer) / max(1, self.n_tokens)

    def strongest(self, layer: int) -> NDArray[np.float32]:
        """The largest absolute activation of each unit, [F]; 0 where never active."""
        return np.asarray(self._layer(layer)["strongest"])

    def entries(self, layer: int, feature: int) -> Entries:
        """Everything one unit did."""
        found, start, end = self._span(layer, feature)
        return Entries(
            found["position"][start:end].astype(np.int64),
            found["value"][start:end].astype(np.float32),
        )

    # --- examples ----------------------------------------------------------------------------

    def examples(
        self,
        layer: int,
        feature: int,
        n: int = 20,
        *,
        sign: int = 1,
        before: int = 16,
        behind: int = 8,
    ) -> list[Example]:
        """The windows where a unit is strongest, strongest first, each around its strongest token.

        A window counts once, by its strongest token (the first of equals); of windows with the same
        tokens the first counts.

        Args:
            sign: 1 for the largest values, −1 for the most negative ones.
            before, behind: so many tokens of the window around the trigger.
        """
        n, (before, behind) = count("n", n, 0), _around(before, behind)
        if sign not in (1, -1):
            raise FeatureError(f"sign is 1 or −1, not {sign!r}.")
        entries = self.entries(layer, feature)
        strength = entries.value * sign
        windows: set[int] = set()
        texts: set[bytes] = set()
        found: list[Example] = []
        for place in _largest_first(strength, 8 * n):
            if len(found) == n:
                break
            window = self._window(int(entries.position[place]))
            if window in windows:
                continue
            windows.add(window)
            text = self.ids[slice(*self.window(window))].tobytes()
            if text in texts:
                continue
            texts.add(text)
            found.append(self._example(entries, int(entries.position[place]), before, behind))
        return found

    def groups(
        self,
        layer: int,
        feature: int,
        n: int = 5,
        each: int = 5,
        *,
        before: int = 16,
        behind: int = 8,
    ) -> list[Group]:
        """Active tokens in n groups of equal size by rank, strongest first, with examples of each.

        Examples are evenly spaced in rank, so they show what a unit does at that strength, and not
        at its best only. Strength is the absolute value.
        """
        n, each, (before, behind) = count("n", n), count("each", each, 0), _around(before, behind)
        entries = self.entries(layer, feature)
        if not len(entries):
            return []
        size = np.abs(entries.value)
        order = np.argsort(-size, kind="stable")
        found = []
        for number in range(n):
            part = order[len(order) * number // n : len(order) * (number + 1) // n]
            if not len(part):
                continue
            few = np.unique(np.linspace(0, len(part) - 1, min(each, len(part))).round().astype(int))
            found.append(
                Group(
                    f"{100 - 100 * (number + 1) // n}–{100 - 100 * number // n}%",
                    float(size[part[-1]]),
                    float(size[part[0]]),
                    tuple(
                        self._example(entries, int(entries.position[i]), before, behind)
                        for i in part[few].tolist()
                    ),
                )
            )
        return found

    def example_at(
        self, layer: int, feature: int, position: int, before: int = 16, behind: int = 8
    ) -> Example:
        """The text around one token. Raises FeatureError for a position that there is not."""
        self.check_position(position)
        before, behind = _around(before, behind)
        return self._example(self.entries(layer, feature), position, before, behind)

    def histogram(self, layer: int, feature: int, bins: int = 40) -> Histogram:
        """How often each strength occurs among the active tokens, in bins of equal width.

        From 0 to the strongest, or for values of both signs from the smallest to the largest.
        """
        bins = count("bins", bins)
        values = self.entries(layer, feature).value
        low = min(0.0, float(values.min())) if len(values) else 0.0
        high = max(0.0, float(values.max())) if len(values) else 1.0
        counts, edges = np.histogram(values, bins=bins, range=(low, high))
        return Histogram(edges, counts.astype(np.int64))

    # --- what else is active -----------------------------------------------------------------

    def together(
        self,
        layer: int,
        feature: int,
        n: int = 10,
        other_layer: int | None = None,
        *,
        shift: int = 0,
    ) -> list[Together]:
        """The units of a layer that are active on the same tokens, by Jaccard's measure.

        For a unit with more than 2,000 tokens, counted on that many and extrapolated.

        other_layer: None: the same layer.
        shift: the unit's tokens are first moved so far along the corpus, around its end. It is then
            active as often, and as densely, but not where it was: what is left is chance.
        """
        n, other = count("n", n, 0), layer if other_layer is None else other_layer
        position = (self.entries(layer, feature).position + shift) % max(1, self.n_positions)
        total = len(position)
        if total > _MOST_TOKENS:
            position = position[np.linspace(0, total - 1, _MOST_TOKENS).round().astype(np.int64)]
        counts = np.bincount(self.active_on(other, position)[1], minlength=self.n_features(other))
        others = self.counts(other)
        both = np.minimum(counts * (total / max(1, len(position))), others)
        either = total + others - both
        jaccard = both / np.maximum(either, 1)
        if other == layer:
            jaccard[feature] = 0
        best = np.argsort(-jaccard, kind="stable")[:n]
        return [
            Together(other, int(i), round(float(both[i])), float(jaccard[i]))
            for i in best
            if jaccard[i] > 0
        ]

    def active_at(self, position: int) -> list[tuple[int, int]]:
        """The units that are active on a token, as (layer, unit). Raises FeatureError for a token
        that there is not."""
        self.check_position(position)
        found = []
        for layer, arrays in self._layers.items():
            start, end = arrays["token_ptr"][position : position + 2]
            found += [(layer, int(unit)) for unit in arrays["token_unit"][start:end]]
        return found

    def active_on(
        self, layer: int, position: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The units of a layer that are active on some tokens: (place in `position`, unit), [n]."""
        found = self._layer(layer)
        pointer = found["token_ptr"]
        starts, sizes = pointer[position], pointer[position + 1] - pointer[position]
        places = np.repeat(starts - (np.cumsum(sizes) - sizes), sizes) + np.arange(sizes.sum())
        row = np.repeat(np.arange(len(position)), sizes)
        return row, found["token_unit"][places].astype(np.int64)

    def _example(self, entries: Entries, position: int, before: int, behind: int) -> Example:
        window = self._window(position)
        first, last = self.window(window)
        start, stop = max(first, position - before), min(last, position + behind + 1)
        low, high = np.searchsorted(entries.position, (start, stop))
        values = np.zeros(stop - start, dtype=np.float32)
        values[entries.position[low:high] - start] = entries.value[low:high]
        return Example(
            tuple(self.tokens(start, stop)),
            tuple(values.tolist()),
            position - start,
            position,
            int(self._tokens["document"][window]),
        )

    def _layer(self, layer: int) -> Arrays:
        try:
            return self._layers[layer]
        except KeyError:
            listed = ", ".join(map(str, self.layers))
            raise FeatureError(
                f"The index has no {self.about.units}s of layer {layer!r}; layers: {listed}."
            ) from None

    def _span(self, layer: int, feature: int) -> tuple[Arrays, int, int]:
        found = self._layer(layer)
        size = len(found["ptr"]) - 1
        if not 0 <= feature < size:
            raise FeatureError(
                f"Layer {layer} has no {self.about.units} {feature!r}: there are {size:,}, counted "
                "from 0."
            )
        start, end = found["ptr"][feature : feature + 2].tolist()
        return found, start, end


def _around(before: int, behind: int) -> tuple[int, int]:
    return count("before", before, 0), count("behind", behind, 0)


def _largest_first(values: NDArray[np.float32], few: int) -> Iterator[int]:
    """Where values above 0 are, largest first, of equals the first first; only the first few are
    sorted unless somebody asks for more."""
    if len(values) > few > 0:
        least = np.partition(values, -few)[-few]
        if least > 0:
            top = np.flatnonzero(values >= least)
            yield from top[np.argsort(-values[top], kind="stable")].tolist()
            values = np.where(values < least, values, 0)
    rest = np.flatnonzero(values > 0)
    yield from rest[np.argsort(-values[rest], kind="stable")].tolist()
