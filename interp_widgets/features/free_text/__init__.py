"""A sample of free English text: what an index of a real language model is made over by default.

842 documents, 970 kB, of many kinds, because a feature shows only in text that has what it is for:
novels, tales, plays, poems, letters, speeches, an encyclopaedia, facts and tables about countries,
technical prose, SQL, program code, mathematics, slang, and some Spanish. All of it is in the public
domain, CC0, or this project's own; LICENSE.md beside this file names every source.

It is small and most of it is old: text of a user's own says more about what a model meets today.
"""

from __future__ import annotations

import json
from importlib.resources import files


def free_text() -> list[str]:
    """The documents, 350 to 2,700 characters each, in mixed order.

    They are whole paragraphs and without headings of chapters or marks of their publishers. The
    sources are shuffled, so that the first hundred are a sample of all of them.
    """
    return [document["text"] for document in _documents()]


def _documents() -> list[dict[str, str]]:
    """One a line in documents.jsonl: "source", a key of the table in LICENSE.md, and "text"."""
    lines = files(__name__).joinpath("documents.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in lines.splitlines()]
