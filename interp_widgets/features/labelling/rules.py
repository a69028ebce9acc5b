"""Labels that are rules: short texts that say on which tokens a unit is active, and can be checked.

    “las”                        the token is las
    “state” “containing”         it is containing, and state stands right before it
    after “the” or “a”           the token before it is one of these (or two, as above)
    two after “capital”          the token before that one is capital
    says “austin”                the token that comes next in the text is austin
    somewhere after “texas”      texas stands earlier in the window
    a number                     as are: punctuation, part of a word, a line break
    at the beginning             the first token of its window
    “?”, somewhere after “texas” both hold

Words are without case and without the space in front; “…as” goes on a word begun before. Text that
is not of this form is no rule (`parse` returns None), and says what it says to a reader only.
"""

from __future__ import annotations

import re
import unicodedata
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ...dictionaries.labels import visible
from .contexts import Sheet
from .vocabulary import Ints, Vocabulary

Place = Literal["", "after", "two after", "says", "somewhere after", "kind"]
BEGINNING = "at the beginning"
#: The word of a clause stands so many tokens further on.
STEPS: dict[Place, int] = {"": 0, "after": -1, "two after": -2, "says": 1}
#: Where two words in a row may stand.
PAIRED: tuple[Place, ...] = ("", "after")
Words = tuple[str, ...]

Bools = NDArray[np.bool_]


PART = "part of a word"
KINDS: dict[str, Callable[[str], bool]] = {
    "a number": lambda text: text.isnumeric(),
    "punctuation": lambda text: all(unicodedata.category(c)[0] in "PS" for c in text),
    "a line break": lambda text: "\n" in text,
}


@dataclass(frozen=True)
class Clause:
    """One condition: at `place` stands one of `words`, each one word or two in a row; for the
    place "kind", the token is of that kind."""

    place: Place
    words: tuple[Words, ...]

    def __str__(self) -> str:
        if self.place == "kind":
            return " or ".join(name for (name,) in self.words)
        listed = " or ".join(" ".join(map(quoted, words)) for words in self.words)
        return f"{self.place} {listed}".strip()


@dataclass(frozen=True)
class Rule:
    """All clauses hold."""

    clauses: tuple[Clause, ...]

    def __str__(self) -> str:
        return ", ".join(map(str, self.clauses))

    def holds(self, sheet: Sheet, places: Ints) -> Bools:
        """On which of these tokens of the sheet, bool [place]."""
        found = np.ones(len(places), dtype=bool)
        for clause in self.clauses:
            found &= _holds(clause, sheet, places)
        return found


def quoted(word: str) -> str:
    """A word in quotes, with characters that a label cannot hold written out: a line break, say, is
    \\n, and blanks in a row are \\u0020."""
    shown = word.replace("\\", "\\\\").replace("”", "\\”")
    shown = re.sub(r"[^\S ]|^ | $| (?= )", _escaped, shown)
    return "“" + "".join(c if visible(c) else _code(c) for c in shown) + "”"


def parse(text: str) -> Rule | None:
    """The rule that a label's text is, if it is one."""
    clauses: list[Clause] = []
    at = 0
    while True:
        found = _CLAUSE.match(text, at)
        if found is None:
            return None
        if found["kind"]:
            kinds = tuple((name,) for name in found["kind"].split(" or "))
            clauses.append(Clause("kind", kinds))
        else:
            words = _sequences(found["words"])
            place: Place = next(p for p in get_args(Place) if p == (found["place"] or "").strip())
            if any(len(w) > (2 if place in PAIRED else 1) for w in words):
                return None
            clauses.append(Clause(place, words))
        at = found.end()
        if at == len(text):
            return Rule(tuple(clauses))
        if not text.startswith(", ", at):
            return None
        at += 2


def kinds_of(vocabulary: Vocabulary) -> dict[str, Bools]:
    """Per kind of token, which words are of it; bool [word]."""
    found = _KINDS_OF.get(vocabulary)
    if found is None:
        found = {
            name: np.repeat(np.array([is_kind(t) for t in vocabulary.texts], dtype=bool), 2)
            for name, is_kind in KINDS.items()
        }
        found[PART] = np.arange(len(vocabulary)) % 2 == 1
        _KINDS_OF[vocabulary] = found
    return found


def _holds(clause: Clause, sheet: Sheet, places: Ints) -> Bools:
    vocabulary = sheet.vocabulary
    found = np.zeros(len(places), dtype=bool)
    if clause.place == "kind":
        of = kinds_of(vocabulary)
        for (name,) in clause.words:
            if name == BEGINNING:
                found |= places == sheet.start[places]
            else:
                found |= of[name][sheet.word[places]]
    elif clause.place == "somewhere after":
        for (word,) in clause.words:
            found |= sheet.had(places, vocabulary.number(word))
    else:
        step = STEPS[clause.place]
        last, before = sheet.beside(places, step), None
        for words in clause.words:
            there = last == vocabulary.number(words[-1])
            if len(words) == 2:
                before = sheet.beside(places, step - 1) if before is None else before
                there &= before == vocabulary.number(words[0])
            found |= there
    return found


def _sequences(text: str) -> tuple[Words, ...]:
    """Quoted words, in sequences between which "or" stands."""
    found: list[Words] = []
    for match in re.finditer(rf"(?P<joint> or | |)(?P<word>{_WORD.pattern})", text):
        word = _unquoted(match["word"])
        if match["joint"] == " ":
            found[-1] = (*found[-1], word)
        else:
            found.append((word,))
    return tuple(found)


def _unquoted(word: str) -> str:
    return _ESCAPE.sub(
        lambda m: _BREAKS.get(m[1]) or (chr(int(m[1][1:], 16)) if len(m[1]) > 1 else m[1]),
        word[1:-1],
    )


def _escaped(found: re.Match[str]) -> str:
    short = next((name for name, c in _BREAKS.items() if c == found[0]), None)
    return _code(found[0]) if short is None else f"\\{short}"


def _code(character: str) -> str:
    number = ord(character)
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


_BREAKS = {"n": "\n", "t": "\t", "r": "\r"}
_ESCAPE = re.compile(r"\\(u[0-9a-f]{4}|U[0-9a-f]{8}|.)")
_WORD = re.compile(r"“(?:[^”\\]|\\.)+”")
_NAMES = "|".join(map(re.escape, (*KINDS, PART, BEGINNING)))
_CLAUSE = re.compile(
    rf"(?P<kind>(?:{_NAMES})(?: or (?:{_NAMES}))*)"
    r"|(?P<place>(?:after|two after|says|somewhere after) )?"
    rf"(?P<words>{_WORD.pattern}(?: {_WORD.pattern})*"
    rf"(?: or {_WORD.pattern}(?: {_WORD.pattern})*)*)"
)
_KINDS_OF: weakref.WeakKeyDictionary[Vocabulary, dict[str, Bools]] = weakref.WeakKeyDictionary()
