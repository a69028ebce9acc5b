"""Tokens that a file spells as the vocabulary does, as the text that they stand for.

    ▁capital  <0x0A>      SentencePiece: ▁ is a blank, <0x0A> a byte
    Ġcapital  Ċ  ÃŃ       byte-level BPE: every byte is one printable character (GPT-2's table)

Files do not say how they spell. A spelling is taken for one of these if its blank occurs among the
tokens of the examples and no token holds a real one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace

from ..foreign import ForeignFeature
from ..values import Example, TokenWeight

_NOTE = "The file spells tokens as a vocabulary does ({}); they are shown as text."
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")


def _byte_of() -> dict[str, int]:
    """The byte of each character of byte-level BPE: its own number where that can be printed;
    characters from 256 on stand for the others."""
    own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in own]
    return {chr(b): b for b in own} | {chr(256 + i): b for i, b in enumerate(others)}


_BYTE_OF = _byte_of()


def as_text(feature: ForeignFeature) -> ForeignFeature:
    """The same feature with its tokens as text, and a note if that took a change."""
    groups = [example for group in feature.groups for example in group.examples]
    examples = [*feature.examples, *feature.negative, *groups]
    tokens = {token for example in examples for token in example.tokens}
    if any(" " in token for token in tokens):
        return feature
    for sign, name, spell in (
        ("▁", "▁ for a blank", _sentencepiece),
        ("Ġ", "Ġ for a blank", _byte_level),
    ):
        if any(sign in token for token in tokens):
            return replace(
                feature,
                examples=_examples(feature.examples, spell),
                negative=_examples(feature.negative, spell),
                groups=tuple(
                    replace(group, examples=_examples(group.examples, spell))
                    for group in feature.groups
                ),
                positive=_weights(feature.positive, spell),
                negative_logits=_weights(feature.negative_logits, spell),
                notes=(*feature.notes, _NOTE.format(name)),
            )
    return feature


def _sentencepiece(token: str) -> str:
    if byte := _BYTE.fullmatch(token):
        return bytes([int(byte[1], 16)]).decode("utf-8", "replace")
    return token.replace("▁", " ")


def _byte_level(token: str) -> str:
    if all(character in _BYTE_OF for character in token):
        return bytes(_BYTE_OF[character] for character in token).decode("utf-8", "replace")
    return token  # a special one


def _examples(examples: Iterable[Example], spell: Callable[[str], str]) -> tuple[Example, ...]:
    return tuple(replace(each, tokens=tuple(map(spell, each.tokens))) for each in examples)


def _weights(
    weights: Iterable[TokenWeight], spell: Callable[[str], str]
) -> tuple[TokenWeight, ...]:
    return tuple(replace(each, token=spell(each.token)) for each in weights)
