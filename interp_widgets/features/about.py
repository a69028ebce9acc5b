"""What an index's folder says of it: `index.json`, which names the files that hold (merging.py)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .errors import FeatureError

FILE = "index.json"
FORMAT, VERSION = "interp_widgets.index", 1


@dataclass(frozen=True)
class About:
    """What was indexed.

    Attributes:
        model: the model's name; units: "feature", "neuron" or "direction"; scan: their name.
        fingerprint: tells other units from these.
        layers, sizes: layer numbers, and how many units each has.
        context: tokens per window, the special one included.
        shard_tokens: at least so many tokens per shard.
        shards: (windows, tokens, hash) of each shard, in order.
        kept: tokens that could be active; documents: texts begun.
        generation: of the merged files; 0: none yet.
        complete: whether the whole corpus was read.
        clipped: values that float16 could not hold.
        names: of directions, by "layer/number".
        weights: tells a model's weights, in their precision, from others of its name; "" if not
            known.
    """

    model: str
    units: str
    scan: str
    fingerprint: str
    layers: tuple[int, ...]
    sizes: tuple[int, ...]
    context: int
    shard_tokens: int
    shards: tuple[tuple[int, int, str], ...] = ()
    kept: int = 0
    documents: int = 0
    generation: int = 0
    complete: bool = False
    clipped: int = 0
    names: Mapping[str, str] = field(default_factory=dict)
    weights: str = ""

    def as_json(self) -> str:
        """What index.json holds."""
        document = {"format": FORMAT, "version": VERSION, **asdict(self)}
        return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def read_about(folder: Path) -> About | None:
    """What a folder's index.json says; None where there is none.

    Raises FeatureError for one that cannot be read.
    """
    path = folder / FILE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise FeatureError(f"{path} is not readable JSON ({error}).") from error
    try:
        if document.pop("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        if document.pop("version") != VERSION:
            raise ValueError(
                "another version of interp_widgets wrote it: use that one, or another folder"
            )
        shards = tuple((int(n), int(t), str(hash)) for n, t, hash in document.pop("shards"))
        layers, sizes = (tuple(map(int, document.pop(name))) for name in ("layers", "sizes"))
        if len(layers) != len(sizes):
            raise ValueError("layers and sizes are not as many")
        for name in ("kept", "generation"):
            if not isinstance(document.get(name, 0), int):
                raise ValueError(f"{name} is no number")
        return About(**document, layers=layers, sizes=sizes, shards=shards)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FeatureError(f"{path} is not an index's description ({error}).") from error
