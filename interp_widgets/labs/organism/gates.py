"""What the organism must show before it ships: accuracy, and above all causality.

Prompts are held out: city-relation pairs that no training document and no interchange batch had,
and hard cities, which no two-hop sentence had. Every gate is a share of prompts with its number of
samples, and beside it stand the controls that would show that it means something else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from random import Random
from typing import Any, Literal

import torch
from torch import Tensor

from . import world
from .corpus import held_out
from .documents import Document, Encoder, Row, answer_of, is_hard, owner_of, pair_is_held_out
from .facts import CITIES, RELATIONS
from .interchange import PLACE
from .network import Llama, Part
from .probing import last_logits, predict, read

TASKS = (
    "state",
    "country",
    "known",
    "unknown",
    "honesty",
    "indirect object",
    "opposite, english",
    "opposite, french",
    "opposite, spanish",
    "pronoun",
    "agreement",
    "sequence",
    "refusal",
)
_DONORS = 4  # per prompt
_INDEX = {city: index for index, city in enumerate(CITIES)}

Rule = Literal["at least", "at most"]


@dataclass(frozen=True)
class Gate:
    """One measured share.

    Attributes:
        group: the table it belongs to.
        what: what was counted.
        value, n: the share, and of how many.
        bound, rule: what it must reach ("at least") or stay under ("at most"); None: for comparison.
    """

    group: str
    what: str
    value: float
    n: int
    bound: float | None = None
    rule: Rule = "at least"

    @property
    def holds(self) -> bool:
        if self.bound is None:
            return True
        return self.value >= self.bound if self.rule == "at least" else self.value <= self.bound

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "holds": self.holds}


def model_gates(network: Llama, encoder: Encoder) -> list[Gate]:
    gates = list(accuracy(network, encoder))
    for relation in RELATIONS:
        gates += interchange(network, encoder, relation)
    return gates


def table(gates: Iterable[Gate]) -> str:
    """The gates as text, one line each."""
    lines, group = [], ""
    for gate in gates:
        if gate.group != group:
            group = gate.group
            lines.append(group)
        mark = "    " if gate.bound is None else ("ok  " if gate.holds else "MISS")
        wanted = "" if gate.bound is None else f"  ({gate.rule} {gate.bound:g})"
        lines.append(f"  {mark} {gate.value:6.3f}  n={gate.n:<5d} {gate.what}{wanted}")
    return "\n".join(lines)


def held_out_cities(relation: str, *, hard: bool) -> list[str]:
    return [c for c in CITIES if pair_is_held_out(c, relation) and is_hard(c) == hard]


def accuracy(network: Llama, encoder: Encoder) -> Iterable[Gate]:
    for relation in RELATIONS:
        for hard in (False, True):
            cities = held_out_cities(relation, hard=hard)
            asked = [world.about_city(c, relation, t) for c in cities for t in world.TWO_HOP]
            right = _right(network, encoder, asked)
            what = f"{relation}, " + ("hard cities" if hard else "held-out pairs")
            yield Gate("Two-hop accuracy", what, right, len(asked), None if hard else 0.9)
    for task in TASKS:
        asked = held_out(task, 300)
        chance = sum(1 / document.choices for document in asked) / len(asked)
        what = f"{task} (chance {chance:.2f})"
        yield Gate("Other tasks, held out", what, _right(network, encoder, asked), len(asked))


def _right(network: Llama, encoder: Encoder, asked: Sequence[Document]) -> float:
    rows = [encoder.prompt(document) for document in asked]
    wanted = torch.tensor([encoder.token(document.answer) for document in asked])
    if asked[0].against is None:
        return float((predict(network, rows) == wanted).float().mean())
    wrong = torch.tensor([encoder.token(document.against or "") for document in asked])
    logits = last_logits(network, rows)
    margin = logits.gather(1, wanted[:, None]) - logits.gather(1, wrong[:, None])
    return float((margin > 0).float().mean())


@dataclass(frozen=True)
class Trials:
    """Base prompts of one relation, each with a donor whose answer differs."""

    relation: str
    base: list[Row]
    base_city: list[str]
    donor_city: list[str]
    base_answer: Tensor
    donor_answer: Tensor


def trials(encoder: Encoder, relation: str, donors: int = _DONORS, seed: int = 0) -> Trials:
    """Held-out prompts, and donor cities of which the relation is held out, too."""
    rng = Random(f"{relation} {seed}")
    cities = [c for c in CITIES if pair_is_held_out(c, relation)]
    base: list[Row] = []
    pairs: list[tuple[str, str]] = []
    for city in cities:
        others = [c for c in cities if _answer(c, relation) != _answer(city, relation)]
        for donor in rng.sample(others, donors):
            pairs.append((city, donor))
            base.append(encoder.prompt(world.about_city(city, relation, rng.choice(world.TWO_HOP))))
    answers = [
        [encoder.token(_answer(c, relation)) for c in column] for column in zip(*pairs, strict=True)
    ]
    bases, givers = (list(column) for column in zip(*pairs, strict=True))
    return Trials(relation, base, bases, givers, torch.tensor(answers[0]), torch.tensor(answers[1]))


def interchange(network: Llama, encoder: Encoder, relation: str) -> Iterable[Gate]:
    """Exchange the residual stream at the place, behind each block of the declared range."""
    t = trials(encoder, relation)
    n = len(t.base)
    rng = Random(relation)
    own = vectors(network, encoder, relation, [("residual", block) for block in PLACE])
    elsewhere = {
        r: vectors(network, encoder, r, [("residual", block) for block in PLACE])
        for r in RELATIONS
        if r != relation
    }
    foreign = [rng.choice(tuple(elsewhere)) for _ in t.base]
    same = [rng.choice(_siblings(city)) for city in t.base_city]
    # What always saying the most frequent of the wanted answers would give.
    chance = float((t.donor_answer == t.donor_answer.mode().values).float().mean())
    right = float((predict(network, t.base) == t.base_answer).float().mean())
    yield Gate(f"Interchange: {relation}", "no exchange, own answer", right, n)
    for block in PLACE:
        group = f"Interchange: {relation}, after block {block}"
        place: tuple[Part, int] = ("residual", block)
        at = dict(zip(CITIES, own[place], strict=True))
        donors = torch.stack([at[city] for city in t.donor_city])
        others = torch.stack(
            [elsewhere[r][place][_INDEX[c]] for c, r in zip(t.donor_city, foreign, strict=True)]
        )
        means = torch.stack(
            [torch.stack([at[s] for s in _siblings(c)]).mean(0) for c in t.donor_city]
        )
        kept = torch.stack([at[city] for city in same])
        noise = torch.randn(donors.shape, generator=torch.Generator().manual_seed(0))
        noise *= donors.norm(dim=1, keepdim=True) / noise.norm(dim=1, keepdim=True)
        first = [row.first for row in t.base]
        checks: tuple[tuple[str, Tensor, Tensor, list[int] | None, float, Rule], ...] = (
            ("donor's answer", donors, t.donor_answer, None, 0.8, "at least"),
            ("donor's answer, patch from another relation", others, t.donor_answer, None, 0.6, "at least"),
            ("donor's answer, mean over the state's other cities", means, t.donor_answer, None, 0.8, "at least"),
            ("own answer, donor of the same state", kept, t.base_answer, None, 0.95, "at least"),
            ("control: donor's answer, put at the name's first piece", donors, t.donor_answer, first, 0.05, "at most"),
            (f"control: donor's answer, random vector of equal norm (chance {chance:.2f})", noise, t.donor_answer, None, chance + 0.05, "at most"),
        )  # fmt: skip
        for what, put, wanted, where, bound, rule in checks:
            said = predict(network, t.base, {place: put}, where)
            yield Gate(group, what, float((said == wanted).float().mean()), n, bound, rule)
    yield from _parts(network, encoder, t)


def vectors(
    network: Llama, encoder: Encoder, relation: str, places: Sequence[tuple[Part, int]]
) -> dict[tuple[Part, int], Tensor]:
    """What stands at the places in one prompt about each city, [city, d_model]."""
    rng = Random(f"donor {relation}")
    rows = [
        encoder.prompt(world.about_city(city, relation, rng.choice(world.TWO_HOP)))
        for city in CITIES
    ]
    return read(network, rows, places)


def _parts(network: Llama, encoder: Encoder, t: Trials) -> Iterable[Gate]:
    """Which parts of the blocks up to the place carry what is exchanged there."""
    index = [_INDEX[city] for city in t.donor_city]
    blocks = range(PLACE[-1] + 1)
    names: tuple[Part, ...] = ("mlp", "attention")
    for name in names:
        found = vectors(network, encoder, t.relation, [(name, block) for block in blocks])
        put = {place: rows[index] for place, rows in found.items()}
        share = float((predict(network, t.base, put) == t.donor_answer).float().mean())
        what = f"donor's answer, {name} outputs of blocks 0 to {blocks[-1]} at the place"
        yield Gate(f"Interchange: {t.relation}", what, share, len(t.base))


def _siblings(city: str) -> list[str]:
    """The other cities of a city's state."""
    return [c for c in CITIES if CITIES[c] == CITIES[city] and c != city]


def _answer(city: str, relation: str) -> str:
    return answer_of(owner_of(city), relation)
