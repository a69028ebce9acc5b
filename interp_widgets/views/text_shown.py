"""What a text view shows: a prompt's tokens, and the rows of what fires on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..models import Model
from .text_wire import Rows, pack

_NONE = np.zeros(0, dtype=np.int64)
NO_ROWS = Rows(_NONE, _NONE, np.zeros(1, np.int64), _NONE, np.zeros(0, np.float32), {}, 0)


@dataclass(frozen=True, eq=False)
class Shown:
    """A prompt as it is shown.

    texts: what each token adds to the text; the first `special` ones stand in front of it.
    run: the number of the run that found the rows; 0: nothing has run yet.
    """

    prompt: str
    ids: tuple[int, ...]
    texts: tuple[str, ...]
    special: int
    rows: Rows = NO_ROWS
    run: int = 0


def read(model: Model, prompt: str) -> Shown:
    """The tokens, without any rows yet. Raises PromptError for a prompt that cannot be read."""
    ids = tuple(model.tokenize(prompt).tolist())
    special = set(model.tokenizer.all_special_ids)
    front = next((at for at, each in enumerate(ids) if each not in special), len(ids))
    texts = [model.token_text(i) for i in ids[:front]] + model.texts(ids[front:])
    return Shown(prompt, ids, tuple(texts), front)


def packed(shown: Shown, unit: str, names: list[str]) -> bytes:
    """The buffer for the page; names: of the rows, "" where there is none."""
    return pack(
        shown.rows,
        run=shown.run,
        prompt=shown.prompt,
        tokens=list(shown.texts),
        special=shown.special,
        unit=unit,
        names=names,
    )
