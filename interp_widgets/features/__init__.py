"""What a feature means: where it fires, what its weights say, what it is called.

values.py, errors.py              what an index speaks in
units.py, shards.py, building.py, merging.py, arrays.py     one pass over a corpus
stored.py                         reading what the pass left
weights.py                        what the weights say
book.py, proposing.py, detection.py, search.py              labels
card.py, neuronpedia.py           everything of one feature, as JSON
firing.py, index.py, feature.py, known.py                   all of it together
"""

from .errors import FeatureError
from .feature import Feature
from .firing import Firing
from .index import Index, index, open_index
from .known import index_for
from .stored import StoredIndex
from .units import units_of
from .values import Entries, Example, Group, Histogram

__all__ = [
    "Entries",
    "Example",
    "Feature",
    "FeatureError",
    "Firing",
    "Group",
    "Histogram",
    "Index",
    "StoredIndex",
    "index",
    "index_for",
    "open_index",
    "units_of",
]
