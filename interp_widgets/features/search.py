"""Finding units: by what they are called, by a word they fire on, by a text, by a token they promote.

    search(index, "texas")                      labels, and L2/117 or 2/117 as a number
    search(index, "texas", by="token")          what fires on the word in the indexed text
    search(index, "in dallas", by="prompt")     what fires on this text; runs the model once
    search(index, "austin", by="promotes")      whose decoder raises the token most

Every result says why it was found.
"""

from __future__ import annotations

import re
import threading
import weakref
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ..dictionaries.labels import Label
from .errors import FeatureError, count
from .labelling.contexts import AnyIndex, stored_of
from .labelling.occurrences import occurrences
from .stored import StoredIndex

if TYPE_CHECKING:
    from .index import Index

By = Literal["label", "token", "prompt", "promotes"]
_NUMBER = re.compile(r"\s*[lL]?(\d+)\s*[/.,]\s*[fF]?(\d+)\s*")
#: Of a word that stands more often, so many of its places are looked at.
_MOST_PLACES = 2000
_MOST_LABELS = 20_000


@dataclass(frozen=True)
class Found:
    """A unit that was looked for.

    label: "" where it has none; why: a few words. value: of a label its score, of a word how well it
    and the unit go together (F1, 0 to 1), of a text the largest activation, of a promoted token how
    many standard deviations its logit stands out; None where there is none.
    """

    layer: int
    feature: int
    label: str
    why: str
    value: float | None = None


def search(
    index: Index, query: str, *, by: By = "label", n: int = 50, layer: int | None = None
) -> list[Found]:
    """Units that fit a query, the best first; an empty list where none does.

    layer: only of this layer.

    Raises FeatureError for an empty query, for an unknown `by` or layer, and for a token that the
    model does not know; PromptError for a text that the model cannot be run on.
    """
    if not isinstance(query, str) or not query.strip():
        raise FeatureError("There is nothing to look for: give a word, or a number such as L2/117.")
    n = count("n", n, 0)
    if layer is not None:
        index.n_features(layer)  # says which layers there are
    if by == "label":
        return named(index, query, n, layer)
    if by == "token":
        return firing_on_word(index, query, n, layer)
    if by == "prompt":
        return firing_on(index, query, n, layer)
    if by == "promotes":
        return promoting(index, query, n, layer)
    raise FeatureError(f'{by!r} is no way to search: "label", "token", "prompt" or "promotes".')


def named(index: Index, query: str, n: int = 50, layer: int | None = None) -> list[Found]:
    """By number, or by the words of the label, whatever their case and order."""
    if number := _NUMBER.fullmatch(query):
        key = int(number[1]), int(number[2])
        there = key[0] in index.layers and key[1] < index.n_features(key[0])
        if not there or layer not in (None, key[0]):
            return []
        return [Found(*key, index.label(*key), "its number", _score(index, key))]
    lines = _lines(index)
    words = query.casefold().split()
    phrase = " ".join(words)
    begins = re.compile(rf"(?<!\w){re.escape(phrase)}")
    ranked = []
    for key, line in lines.having(max(words, key=len)):
        if layer not in (None, key[0]) or not all(word in line for word in words):
            continue
        rank = (
            0 if line == phrase
            else 1 if line.startswith(phrase)
            else 2 if begins.search(line)
            else 3 if phrase in line
            else 4
        )  # fmt: skip
        score = _score(index, key)
        ranked.append((rank, -1.0 if score is None else -score, key))
    why = (
        "its label", "its label begins so", "in its label", "inside a word of its label",
        "words of its label",
    )  # fmt: skip
    return [
        Found(*key, index.label(*key), why[rank], _score(index, key))
        for rank, _, key in sorted(ranked)[:n]
    ]


def firing_on_word(
    index: AnyIndex, query: str, n: int = 50, layer: int | None = None
) -> list[Found]:
    """By a word (or some in a row) in the indexed text on whose tokens a unit is active; without
    labels where there is the stored part alone.

    Ranked by F1: of the share of the word's places where the unit is active on at least one token,
    and the share of the unit's tokens that are the word's.
    """
    stored = stored_of(index)
    first, last = occurrences(stored, query)
    total = len(first)
    if total > _MOST_PLACES:
        some = np.linspace(0, total - 1, _MOST_PLACES).round().astype(np.int64)
        first, last = first[some], last[some]
    if not total:
        return []
    place = np.repeat(np.arange(len(first)), last - first)
    starts = np.cumsum(last - first) - (last - first)
    token = np.arange(len(place)) + np.repeat(first - starts, last - first)
    shown = stored.text(int(first[0]), int(last[0])).strip() or query
    ranked = []
    for each in stored.layers if layer is None else (layer,):
        row, unit = stored.active_on(each, token)
        size = stored.n_features(each)
        tokens = np.bincount(unit, minlength=size) * (total / len(first))
        places = np.bincount(np.unique(place[row] * size + unit) % size, minlength=size)
        recall = places / len(first)
        precision = np.minimum(tokens / np.maximum(stored.counts(each), 1), 1)
        f1 = 2 * recall * precision / np.maximum(recall + precision, 1e-12)
        for i in np.argsort(-f1, kind="stable")[:n].tolist():
            if f1[i] > 0:
                ranked.append((-float(f1[i]), each, i, float(recall[i]), float(precision[i])))
    return [
        Found(
            each,
            i,
            "" if isinstance(index, StoredIndex) else index.label(each, i),
            f"fires on {recall:.0%} of {total:,} × “{shown}”, which is {precision:.0%} of what it "
            "fires on",
            -value,
        )
        for value, each, i, recall, precision in sorted(ranked)[:n]
    ]


def firing_on(index: Index, text: str, n: int = 50, layer: int | None = None) -> list[Found]:
    """By a text on which a unit is active: those first that come nearest to their own strongest
    activation in the indexed text (without an index, by activation)."""
    firing = index.fire(text)
    peaks: dict[tuple[int, int], tuple[float, int]] = {}
    order = np.argsort(np.abs(firing.value), kind="stable")
    for i in order.tolist():  # the largest of each stays
        key = int(firing.layer[i]), int(firing.feature[i])
        if layer in (None, key[0]):
            peaks[key] = float(firing.value[i]), int(firing.position[i])
    stored = index.so_far
    strongest = {} if stored is None else {at: stored.strongest(at) for at in stored.layers}

    def share(key: tuple[int, int]) -> float:
        most = float(strongest[key[0]][key[1]]) if strongest else 0.0
        return abs(peaks[key][0]) / most if most else 0.0

    found = []
    for key in sorted(peaks, key=lambda k: (-share(k), -abs(peaks[k][0]), k))[:n]:
        value, position = peaks[key]
        why = f"fires on “{firing.tokens[position].strip() or firing.tokens[position]}”"
        if share(key):
            why += f", {share(key):.0%} of its strongest"
        found.append(Found(*key, index.label(*key), why, value))
    return found


def promoting(index: Index, token: str, n: int = 50, layer: int | None = None) -> list[Found]:
    """By the token whose logit a unit raises most, in standard deviations over its vocabulary."""
    tokenizer = index.model.tokenizer
    ways = [
        tokenizer(text, add_special_tokens=False)["input_ids"]
        for text in (f" {token.strip()}", token.strip(), token)
    ]
    ids = min((way for way in ways if way), key=len, default=None)
    if ids is None:
        raise FeatureError(f"{token!r} is no token: give a word.")
    if ids[0] == tokenizer.unk_token_id:
        raise FeatureError(
            f"“{token.strip()}” is not in the vocabulary of {index.model.name}: give another word."
        )
    shown = index.model.token_text(ids[0]).strip() or repr(index.model.token_text(ids[0]))
    part = f", the first token of “{token.strip()}”" if len(ids) > 1 else ""
    layers = None if layer is None else (layer,)
    found = index.weights.promotes(int(ids[0]), n, layers) if n else []
    return [
        Found(
            each.layer,
            each.feature,
            index.label(each.layer, each.feature),
            f"adds {each.value:.2g}".replace("-", "−") + f" to “{shown}”{part}",
            float(each.z),
        )
        for each in found
        if each.z > 0
    ]


# --- labels ------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Lines:
    """All labels, folded, as lines of one text: so a word is found in all of them at once."""

    of: Mapping[tuple[int, int], Label]
    keys: list[tuple[int, int]]
    starts: list[int]
    text: str

    def having(self, word: str) -> Iterator[tuple[tuple[int, int], str]]:
        return islice(self._having(word), _MOST_LABELS)

    def _having(self, word: str) -> Iterator[tuple[tuple[int, int], str]]:
        at = self.text.find(word)
        while at >= 0:
            row = bisect_right(self.starts, at) - 1
            end = self.text.index("\n", at)
            yield self.keys[row], self.text[self.starts[row] : end]
            at = self.text.find(word, end)


def _lines(index: Index) -> _Lines:
    shown = index.book.shown()
    with _LOCK:
        kept = _LINES.get(index)
        if kept is None or kept.of is not shown:
            names = dict(index.units.names)
            texts = {key: label.text for key, label in shown.items()} | names
            lines = [" ".join(text.casefold().split()) + "\n" for text in texts.values()]
            ends: NDArray[np.int64] = np.cumsum([0, *map(len, lines)])
            kept = _LINES[index] = _Lines(shown, list(texts), ends[:-1].tolist(), "".join(lines))
        return kept


def _score(index: Index, key: tuple[int, int]) -> float | None:
    label = index.book.get(*key)
    return None if label is None else label.score


_LOCK = threading.Lock()
_LINES: weakref.WeakKeyDictionary[Index, _Lines] = weakref.WeakKeyDictionary()
