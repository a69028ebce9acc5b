"""A small text to measure on when nobody gives one: 13 short passages written for this package.

Stories, facts, a letter, lists, code and a few words of other languages: about 800 tokens.
Enough to see whether a dictionary fits a model, too little to rank two good ones.
"""

from __future__ import annotations

from importlib.resources import files


def sample_text() -> list[str]:
    """The passages."""
    text = files(__package__).joinpath("sample_text.txt").read_text(encoding="utf-8")
    return text.strip().split("\n\n")
