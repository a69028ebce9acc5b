"""Feature files of Neuronpedia and circuit-tracer: the public names, and a folder full of them.

    one feature      to_neuronpedia (neuronpedia/writing.py), from_neuronpedia (neuronpedia/reading.py)
    many             write_neuronpedia (here), read_neuronpedia (neuronpedia/reading.py)
    explanations     import_labels (neuronpedia/labels.py)

circuit-tracer's viewer, and Neuronpedia under a graph's feature_json_base_url, fetch a feature as
<number>.json, where number is the graph node's: the Cantor number of layer and index.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...files import write_whole
from ...jobs import Cancelled
from ..card_rows import label_row
from ..errors import FeatureError
from ..foreign import ForeignFeature
from ..stored import StoredIndex
from .labels import Imported, import_labels
from .reading import MANIFEST, from_neuronpedia, read_neuronpedia
from .writing import VERSION, Form, check_form, to_neuronpedia

if TYPE_CHECKING:
    from ..index import Index

__all__ = [
    "ForeignFeature",
    "Imported",
    "from_neuronpedia",
    "import_labels",
    "read_neuronpedia",
    "to_neuronpedia",
    "write_neuronpedia",
]

_FORMAT = "interp_widgets.neuronpedia"


def write_neuronpedia(
    index: Index,
    folder: str | Path,
    features: Iterable[tuple[int, int]] | None = None,
    form: Form = "native",
    *,
    progress: Callable[[int, int], object] = lambda done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Path:
    """Many features, one whole file each: <layer>-<feature>.json, or <Cantor number>.json.

    What is in the folder already is not written again, so the same call goes on where it was
    cancelled or killed; where labels have changed since, it begins anew.

    Args:
        features: (layer, feature); None: all that were active at least once.
        progress: called with how many files there are and will be.
        cancelled: asked before every file.

    Returns the folder. Raises FeatureError for a folder that holds files of another index or form,
    Cancelled, OSError.
    """
    check_form(form)
    stored = index.stored
    units = [index[key] for key in (_all_active(stored) if features is None else features)]
    wanted = sorted({(unit.layer, unit.feature) for unit in units})
    target = Path(folder).expanduser()
    target.mkdir(parents=True, exist_ok=True)
    names = {key: _file_name(*key, form) for key in wanted}
    _begin(target, _manifest(index, stored, wanted, form), names.values())
    for done, (key, name) in enumerate(names.items()):
        progress(done, len(names))
        if cancelled():
            raise Cancelled(
                f"Cancelled: {done:,} of {len(names):,} features are in {target}; the same call "
                "goes on."
            )
        if not (target / name).exists():
            document = to_neuronpedia(index, *key, form)
            write_whole(target / name, json.dumps(document, ensure_ascii=False, allow_nan=False))
    progress(len(names), len(names))
    return target


def _all_active(stored: StoredIndex) -> list[tuple[int, int]]:
    return [
        (layer, int(feature))
        for layer in stored.layers
        for feature in np.flatnonzero(stored.counts(layer))
    ]


def _file_name(layer: int, feature: int, form: Form) -> str:
    total = layer + feature
    cantor = total * (total + 1) // 2 + feature
    return f"{layer}-{feature}.json" if form == "native" else f"{cantor}.json"


def _manifest(
    index: Index, stored: StoredIndex, wanted: list[tuple[int, int]], form: Form
) -> dict[str, Any]:
    """What the files of a folder have in common. labels: tells whether one has changed."""
    labels = [label_row(index.label_of(*key)) for key in wanted]
    return {
        "format": _FORMAT,
        "version": VERSION,
        "form": form,
        "scan": index.units.scan,
        "model": stored.about.model,
        "fingerprint": f"{stored.about.fingerprint}-{stored.about.generation}-{stored.n_tokens}",
        "labels": hashlib.sha256(json.dumps(labels).encode()).hexdigest()[:16],
    }


def _begin(target: Path, manifest: dict[str, Any], names: Iterable[str]) -> None:
    """See that a folder is ours to go on with, and take away files whose labels are old."""
    path = target / MANIFEST
    found = None
    if path.exists():
        try:
            found = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError, RecursionError):
            found = {}
        same = isinstance(found, dict) and all(
            found.get(key) == value for key, value in manifest.items() if key != "labels"
        )
        if not same:
            raise FeatureError(
                f"{target} holds feature files of another index, form or version: give another "
                "folder."
            )
    for name in names:
        if found is None and (target / name).exists():
            raise FeatureError(
                f"{target / name} is there already and was not written here: give another folder."
            )
        if found is not None and found.get("labels") != manifest["labels"]:
            (target / name).unlink(missing_ok=True)
    if found != manifest:
        write_whole(path, json.dumps(manifest, indent=1) + "\n")
