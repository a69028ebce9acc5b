"""Neutral text: what natural scales and damage are measured on when nobody gives a text.

A model that brings a sample of its own language (sample.txt beside its weights, as the organism
does) is measured on that; one that can read English on the passages of `dictionaries.sample`; any
other on text that it writes itself, at temperature 1. On its own writing the change in cross entropy
is an estimate of KL(model || steered model).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..dictionaries.metrics import Text
from ..dictionaries.metrics.text import windows
from ..dictionaries.sample import sample_text
from ..dictionaries.windows import counted
from ..models import Model
from .errors import SteeringError
from .watch import Watch

CONTEXT = 128
LINES = 200
UNKNOWN = 0.2
OWN_TEXTS, OWN_TOKENS = 16, 48


@dataclass(frozen=True, eq=False)
class Neutral:
    """Windows of text, each [position] token ids with a special token in front, and whose it is."""

    windows: tuple[Tensor, ...]
    source: str

    @property
    def n_tokens(self) -> int:
        return sum(len(window) - 1 for window in self.windows)


def neutral(model: Model, text: Text | None = None, watch: Watch | None = None) -> Neutral:
    """The text given, or one that suits the model.

    text: one document, several, or a file with an empty line between documents.

    Raises SteeringError for a text of which the tokenizer does not know a fifth of the tokens, and
    DictionaryError for one without tokens.
    """
    if text is not None:
        found = windows(model, text, CONTEXT)
        share = _unknown(model, found)
        if share > UNKNOWN:
            raise SteeringError(
                f"{model.name} does not know {share:.0%} of the tokens in this text, so nothing "
                f"measured on it would mean much: give text in the model's language."
            )
        return Neutral(tuple(found), "the text given")
    own = None if model.dictionary is None else model.dictionary.parent / "sample.txt"
    if own is not None and own.is_file():
        lines = own.read_text(encoding="utf-8").splitlines()[:LINES]
        return Neutral(tuple(windows(model, lines, CONTEXT)), "the model's own sample.txt")
    pieces = [piece for piece in sample_text() if _readable(model, piece)]
    found = windows(model, pieces, CONTEXT) if pieces else []
    if found and _unknown(model, found) <= UNKNOWN:
        return Neutral(tuple(found), "sample passages")
    return Neutral(tuple(_own_writing(model, watch or Watch())), "text written by the model")


def _readable(model: Model, piece: str) -> bool:
    ids = model.tokenizer(piece, add_special_tokens=False)["input_ids"]
    return len(ids) > 1 and bool(counted(model, torch.tensor([[0, *ids]]))[:, :-1].any())


def _unknown(model: Model, found: list[Tensor]) -> float:
    unknown = model.tokenizer.unk_token_id
    if unknown is None or unknown == model.tokenizer.eos_token_id:
        return (
            0.0  # byte-level tokenizers know everything; GPT-2's names its end-of-text token here
        )
    ids = torch.cat([window[1:] for window in found])
    return float((ids == unknown).double().mean())


def _own_writing(model: Model, watch: Watch) -> list[Tensor]:
    special = model.tokenizer.all_special_ids
    if not special:
        raise SteeringError(
            f"{model.name} has no special token that a text could start from: give text=."
        )
    first = model.tokenizer.bos_token_id
    first = special[0] if first is None else first
    found = []
    for seed in range(OWN_TEXTS):
        watch.step(seed / OWN_TEXTS, "letting the model write neutral text")
        steps = model.generate(
            [first], [[]], max_new_tokens=OWN_TOKENS, temperature=1.0, seed=seed, top=0
        )
        ids = [first, *(int(token) for step in steps for token in step.tokens if token is not None)]
        window = torch.tensor(ids)
        if bool(counted(model, window[None])[:, :-1].any()):
            found.append(window)
    if not found:
        raise SteeringError(f"{model.name} ends every text at once: give text= to measure on.")
    return found
