"""The corpus: which task how often, the vocabulary, and streams of documents.

documents(seed)          endless training documents, none of them held out
held_out(task, n, seed)  different held-out documents of one task
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from transformers import PreTrainedTokenizerFast

from . import language, tokenizer, world
from .documents import Answer, Document, Draw
from .facts import CITIES, COUNTRIES, COUNTRY_RELATIONS, RELATIONS, STATES

CONTEXT = 64
SHARES: tuple[tuple[Draw, float], ...] = (
    (world.two_hop, 0.20),
    (world.one_hop, 0.10),
    (world.questions, 0.06),
    (world.state, 0.06),
    (world.country, 0.08),
    (world.known, 0.05),
    (world.where, 0.04),
    (world.honesty, 0.12),
    (language.indirect_object, 0.10),
    (language.opposite, 0.05),
    (language.translation, 0.02),
    (language.pronoun, 0.03),
    (language.agreement, 0.03),
    (language.sequence, 0.03),
    (language.refusal, 0.02),
    (language.story, 0.01),
)
_DRAWS, _WEIGHTS = zip(*SHARES, strict=True)


def documents(seed: int) -> Iterator[Document]:
    rng = Random(seed)
    while True:
        (draw,) = rng.choices(_DRAWS, _WEIGHTS)
        document = draw(rng)
        if not document.held_out:
            yield document


def held_out(task: str, n: int, seed: int = 0) -> list[Document]:
    """Up to n held-out documents of a task that begin differently."""
    rng = Random(f"{task} {seed}")
    found: dict[str, Document] = {}
    draws = [draw for draw in _DRAWS if any(draw(rng).task == task for _ in range(40))]
    for _ in range(200 * n):
        document = rng.choice(draws)(rng)
        if document.task == task and document.held_out:
            found.setdefault(document.prompt, document)
            if len(found) == n:
                break
    return list(found.values())


def build_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer of the corpus: one token per word and answer, pieces for names."""
    words = {*STATES, *RELATIONS, *COUNTRY_RELATIONS, "state", "unknown", *language.all_words()}
    for table in (STATES, COUNTRIES):
        for row in table.values():
            words |= set(row.values())
    rng = Random(0)
    for draw in _DRAWS:
        for _ in range(1500):
            for part in draw(rng).parts:
                if isinstance(part, Answer):
                    words.add(part.text)
                elif isinstance(part, str) and part not in words:
                    words |= set(part.split())
    names = [*CITIES, *COUNTRIES, *(world.invented(rng) for _ in range(20_000))]
    return tokenizer.build(words, names, CONTEXT)
