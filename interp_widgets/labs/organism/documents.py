"""One document of the corpus: its parts, what it is about, and whether it is held out.

A document is made from a template such as "the {relation} of the state containing {name} is
{answer}". Names and answers stay marked, so that interchange training knows where a name ends and
can write the same sentence with another entity's answers (interchange.py), and a test can cut the
document before its answer.

What is held out is decided by a hash of the document's key (for a fact: city and relation), never
by chance, so every run and every machine holds out the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from random import Random

from transformers import PreTrainedTokenizerFast

from .facts import CITIES, COUNTRIES, STATES

HELD_OUT = 0.12
HARD = 0.08


@dataclass(frozen=True)
class Name:
    """A city or country, which the tokenizer splits."""

    text: str


@dataclass(frozen=True)
class Answer:
    """What a question asks for; `relation` where it follows from the entity of the document."""

    text: str
    relation: str | None = None


@dataclass(frozen=True)
class Document:
    """
    Attributes:
        task: the task it belongs to.
        key: what decides whether it is held out, beside the task; () never is.
        choices: how many answers a guesser who knows the task would choose from.
        share: how many of the keys are held out.
        against: where many answers would do, the one that must be less probable; None: all.
    """

    task: str
    parts: tuple[str | Name | Answer, ...]
    key: tuple[str, ...]
    choices: int = 1
    share: float = HELD_OUT
    against: str | None = None

    @property
    def held_out(self) -> bool:
        if self.task == "two-hop" and is_hard(self.key[0]):
            return True
        return bool(self.key) and fraction(self.task, *self.key) < self.share

    @property
    def name(self) -> str | None:
        """The city or country that it is about, which may be an invented one."""
        return next((part.text for part in self.parts if isinstance(part, Name)), None)

    @property
    def relations(self) -> tuple[str, ...]:
        return tuple(p.relation for p in self.parts if isinstance(p, Answer) and p.relation)

    @property
    def answer(self) -> str:
        return next(part.text for part in self.parts if isinstance(part, Answer))

    @property
    def prompt(self) -> str:
        """The text before the first answer."""
        first = next(i for i, part in enumerate(self.parts) if isinstance(part, Answer))
        return str(replace(self, parts=self.parts[:first]))

    def __str__(self) -> str:
        return " ".join(part if isinstance(part, str) else part.text for part in self.parts)


Draw = Callable[[Random], Document]


def fraction(*key: str) -> float:
    """A number in [0, 1) that depends on the key alone."""
    digest = hashlib.sha256("|".join(key).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


@cache
def is_hard(city: str) -> bool:
    """Whether a city never occurs in a two-hop question, only in sentences that name its state."""
    return fraction("hard", city) < HARD


@cache
def pair_is_held_out(city: str, relation: str) -> bool:
    return is_hard(city) or fraction("two-hop", city, relation) < HELD_OUT


def owner_of(name: str) -> str:
    """The state of a city; a country is its own."""
    return CITIES.get(name, name)


def answer_of(owner: str, relation: str) -> str:
    """What a relation gives for a state or country."""
    if relation == "state":
        return owner
    return (STATES.get(owner) or COUNTRIES[owner])[relation]


def fill(template: str, **fields: str | Name | Answer) -> tuple[str | Name | Answer, ...]:
    """ "the {relation} of {name}" -> parts, one per word or field."""
    return tuple(fields[word[1:-1]] if word.startswith("{") else word for word in template.split())


@dataclass(frozen=True)
class Row:
    """Token ids with BOS in front.

    The name, if any, is ids[first : last + 1]; `answers` are the positions of the answers.
    """

    ids: list[int]
    first: int = 0
    last: int = 0
    answers: tuple[int, ...] = ()


class Encoder:
    """Documents to rows; every part is tokenized once and remembered."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self.tokenizer = tokenizer
        self.bos: int = tokenizer.bos_token_id
        self._known: dict[str, list[int]] = {}

    def ids(self, text: str) -> list[int]:
        if text not in self._known:
            encoded: Mapping[str, list[int]] = self.tokenizer(text, add_special_tokens=False)
            self._known[text] = encoded["input_ids"]
        return self._known[text]

    def token(self, text: str) -> int:
        """The id of an answer; raises ValueError unless it is one token."""
        (token,) = self.ids(text)
        return token

    def row(self, document: Document, owner: str | None = None) -> Row:
        """The row of a document, or of the same with the answers of another state or country."""
        ids, first, last = [self.bos], 0, 0
        answers: list[int] = []
        for part in document.parts:
            if isinstance(part, Name):
                first, last = len(ids), len(ids) + len(self.ids(part.text)) - 1
            text = part if isinstance(part, str) else part.text
            if isinstance(part, Answer):
                if owner is not None and part.relation:
                    text = answer_of(owner, part.relation)
                answers.append(len(ids))
                ids.append(self.token(text))
            else:
                ids += self.ids(text)
        return Row(ids, first, last, tuple(answers))

    def prompt(self, document: Document) -> Row:
        """The row of what stands before the first answer."""
        row = self.row(document)
        return Row([self.bos, *self.ids(document.prompt)], row.first, row.last)
