"""Which index belongs to a dictionary: so that a click on a node finds its examples.

An index that was made or opened is remembered by what its units read and write with, for as long as
somebody holds it. Where nobody has made one, there may be one in the folder "index" beside the
dictionary's own, as the organism has; and else there is one without examples, which still knows
names, weights, and what fires on a text.
"""

from __future__ import annotations

import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..dictionaries.replaced import AnyDictionary
from ..models import feature_access
from ..models.interventions import Features
from .about import FILE, read_about
from .marks import contents_of
from .stored import StoredIndex
from .units import Units, What, fingerprint_of, units_of

if TYPE_CHECKING:
    from ..models import Model
    from .index import Index
    from .labelling.book import LabelBook

_LOCK = threading.RLock()
_HELD: weakref.WeakValueDictionary[tuple[int, str, str], Index] = weakref.WeakValueDictionary()
_CONTENTS: weakref.WeakKeyDictionary[object, str] = weakref.WeakKeyDictionary()


def remember(index: Index) -> None:
    """From now on this is the index of its units in its model."""
    key = id(index.model), index.fingerprint, _contents(index.dictionary)
    with _LOCK:
        _HELD.pop(key, None)  # the last one stands last
        _HELD[key] = index


def index_for(model: Model, what: What | None) -> Index:
    """The index of a dictionary (or of neurons, or directions) in a model; see above.

    Raises as `units_of` does.
    """
    from .index import Index

    with _LOCK:
        found = _held(model, what) if isinstance(what, AnyDictionary) else None
        if found is None:
            units = units_of(model, what)
            found = _of(model, units.fingerprint, _contents(what))
        if found is None:
            dictionary = None if isinstance(what, str) or what is None else what
            found = Index(model, dictionary, units, beside(model, units))
            remember(found)
        return found


def book_for(model: Model, what: What | None) -> LabelBook:
    """The labels of an index, without making one: that may copy a large dictionary.

    Raises as `units_of` does.
    """
    from .labelling.book import LabelBook

    if not isinstance(what, AnyDictionary):
        return index_for(model, what).book
    found = _held(model, what)
    if found is not None:
        return found.book
    shipped = getattr(what, "labels", {})
    return LabelBook(what.scan, shipped, fingerprint=fingerprint_of(what))


def _held(model: Model, dictionary: AnyDictionary) -> Index | None:
    return _of(model, fingerprint_of(dictionary), _contents(dictionary))


def _of(model: Model, fingerprint: str, contents: str) -> Index | None:
    found = _HELD.get((id(model), fingerprint, contents))
    # The number of a dead model may be used again.
    return found if found is not None and found.model is model else None


def _contents(what: object) -> str:
    """`contents_of` a dictionary, found once for each; "" for neurons and directions, whose
    fingerprints say it all."""
    if not isinstance(what, AnyDictionary):
        return ""
    with _LOCK:
        found = _CONTENTS.get(what)
        if found is None:
            found = _CONTENTS[what] = contents_of(what)
        return found


def index_of(dictionary: AnyDictionary) -> Index | None:
    """The last index that was made or opened for a dictionary, in whatever model."""
    wanted = fingerprint_of(dictionary), _contents(dictionary)
    with _LOCK:
        held = [index for (_, *units), index in _HELD.items() if tuple(units) == wanted]
    return held[-1] if held else None


def beside(model: Model, units: Units) -> StoredIndex | None:
    """The index that came with the model's dictionary, if it is of these units."""
    if model.dictionary is None:
        return None
    folder = Path(model.dictionary).parent / "index"
    if not (folder / FILE).is_file():
        return None
    about = read_about(folder)
    return StoredIndex(folder) if about and about.fingerprint == units.fingerprint else None


def _shown(features: Features, options: dict[str, Any]) -> Any:
    """A single feature of a dictionary that has an index shows its card."""
    index = index_of(features.dictionary)
    if index is None:
        return None
    return index[features.layer, features.features[0]]._repr_mimebundle_(**options)


feature_access.show_with(_shown)
