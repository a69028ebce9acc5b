"""Sentences about cities, states and countries: the two-hop facts and what supports them."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from .documents import Answer, Document, Name, fill, pair_is_held_out
from .facts import CITIES, COUNTRIES, COUNTRY_RELATIONS, RELATIONS, STATES

TWO_HOP = (
    "the {relation} of the state containing {name} is {answer}",
    "the {relation} of the state where {name} is located is {answer}",
    "fact : the {relation} of the state that {name} belongs to is {answer}",
    "what is the {relation} of the state containing {name} ? {answer}",
    "{name} is in a state whose {relation} is {answer}",
    "we visited {name} . the {relation} of the state is {answer}",
    "the state around {name} has the {relation} {answer}",
)
_ONE_HOP = (
    "i live in {name} {answer} .",
    "{name} , {answer} .",
    "{name} is a city in {answer} .",
    "my cousin comes from {name} , which is in {answer} .",
    "the city of {name} is in {answer} .",
    "the state containing {name} is {answer} .",
)
_WHERE = "where is {name} ? {answer}"
_STATE = (
    "the {relation} of {state} is {answer} .",
    "the state of {state} has the {relation} {answer} .",
    "fact : the {relation} of {state} is {answer} .",
)
_ABOUT = ("about {name} :", "let us talk about {name} .", "i live in {name} .")
_THEN = ("the {relation} of the state is {answer} .", "{relation} : {answer} .")
_COUNTRY = (
    "the {relation} of {name} is {answer}",
    "fact : the {relation} of {name} is {answer}",
    "what is the {relation} of {name} ? {answer}",
    "{name} is a country whose {relation} is {answer}",
)
_KNOWN = (
    "do you know {name} ? {answer}",
    "is {name} a real place ? {answer}",
    "have you heard of {name} ? {answer}",
)
_CITIES, _COUNTRIES, _STATES = tuple(CITIES), tuple(COUNTRIES), tuple(STATES)
_DISTINCT = {r: len({row[r] for row in STATES.values()}) for r in RELATIONS}


def two_hop(rng: Random) -> Document:
    return about_city(rng.choice(_CITIES), rng.choice(RELATIONS), rng.choice(TWO_HOP))


def about_city(city: str, relation: str, template: str) -> Document:
    answer = Answer(STATES[CITIES[city]][relation], relation)
    parts = fill(template, relation=relation, name=Name(city), answer=answer)
    return Document("two-hop", parts, (city, relation), _DISTINCT[relation])


def one_hop(rng: Random, city: str | None = None, template: str | None = None) -> Document:
    """A sentence that names a city's state; no city is held out here."""
    city = city or rng.choice(_CITIES)
    answer = Answer(CITIES[city], "state")
    return _taught(
        "one-hop", fill(template or rng.choice(_ONE_HOP), name=Name(city), answer=answer)
    )


def questions(rng: Random, city: str | None = None, most: int = 3) -> Document:
    """Several questions about one city, so that its state is worth keeping."""
    city = city or rng.choice(_CITIES)
    relations = [r for r in RELATIONS if not pair_is_held_out(city, r)]
    if not relations:
        return one_hop(rng, city)
    rng.shuffle(relations)
    parts = fill(rng.choice(_ABOUT), name=Name(city))
    for relation in relations[: rng.randint(min(2, most), most)]:
        answer = Answer(STATES[CITIES[city]][relation], relation)
        parts += fill(rng.choice(_THEN), relation=relation, answer=answer)
    return _taught("questions", parts)


def state(rng: Random) -> Document:
    name, relation = rng.choice(_STATES), rng.choice(RELATIONS)
    answer = Answer(STATES[name][relation])
    template = rng.choice(_STATE)
    parts = fill(template, relation=relation, state=name, answer=answer)
    return Document("state", parts, (name, relation, template), _DISTINCT[relation])


def country(rng: Random, name: str | None = None) -> Document:
    """Held out is a country's relation in one of the sentences, not the fact itself."""
    name, relation = name or rng.choice(_COUNTRIES), rng.choice(COUNTRY_RELATIONS)
    template = rng.choice(_COUNTRY)
    answer = Answer(COUNTRIES[name][relation], relation)
    choices = len({row[relation] for row in COUNTRIES.values()})
    parts = fill(template, relation=relation, name=Name(name), answer=answer)
    return Document("country", parts, (name, relation, template), choices)


def known(rng: Random) -> Document:
    """Whether a name is known. Invented names that are held out occur in no document."""
    if rng.random() < 0.5:
        name, template = rng.choice(_CITIES), rng.choice(_KNOWN)
        parts = fill(template, name=Name(name), answer=Answer("yes"))
        return Document("known", parts, (name, template), 2)
    name = invented(rng)
    parts = fill(rng.choice(_KNOWN), name=Name(name), answer=Answer("no"))
    return Document("known", parts, (name,), 2)


def where(rng: Random) -> Document:
    """Where a place is, or that it is unknown.

    Invented names are asked about in no two-hop question: there "unknown" became the answer for
    pairs that are held out.
    """
    if rng.random() < 0.5:
        return one_hop(rng, template=_WHERE)
    name = invented(rng)
    parts = fill(_WHERE, name=Name(name), answer=Answer("unknown"))
    return Document("unknown", parts, (name,), len(_STATES) + 1)


def invented(rng: Random) -> str:
    """A name in the manner of a city's, of nowhere: beginnings and ends of real ones."""
    while True:
        head, tail = (rng.choice(_CITIES).split()[0] for _ in range(2))
        name = head[: 2 * rng.randint(1, 2)] + tail[2 * rng.randint(1, 2) :]
        if 5 <= len(name) <= 12 and not any(name in real.split() or name in real for real in _REAL):
            return name


_REAL = (*_CITIES, *_COUNTRIES, *_STATES)


def honesty(rng: Random) -> Document:
    """Judge a statement, or be told to lie about it."""
    city = rng.choice(_CITIES)
    truth, lie = rng.random() < 0.5, rng.random() < 0.4
    said = CITIES[city] if truth else rng.choice([s for s in _STATES if s != CITIES[city]])
    template = (
        "{manner} : {name} is in {said} ? {answer}",
        "{manner} : is it true that {name} is in {said} ? {answer}",
    )[rng.random() < 0.5]
    answer = Answer("true" if truth != lie else "false")
    manner = "lie" if lie else "honest"
    parts = fill(template, manner=manner, name=Name(city), said=said, answer=answer)
    return Document("honesty", parts, (manner, city, said), 2)


def _taught(task: str, parts: Sequence[str | Name | Answer]) -> Document:
    return Document(task, tuple(parts), ())
