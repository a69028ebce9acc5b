"""What a feature means: where it fires, what its weights say, what it is called.

values.py, errors.py                                  what an index speaks in
units.py, marks.py                                    what is indexed
shards.py, building.py, distributed.py                a pass over a corpus
folder.py, merging.py, arrays.py, sizes.py            the files it puts down
about.py, merged.py, stored.py, stored_text.py        reading what the pass left
weights/                                              what the weights say
labelling/, search.py                                 labels: kept, proposed, tested, found
card.py, card_rows.py, neuronpedia/, foreign.py       everything of one feature, as JSON
firing.py, index.py, feature.py                       all of it together
opening.py, known.py                                  making an index, and finding one
free_text/                                            a sample of text to index
"""

from .errors import FeatureError
from .feature import Feature
from .firing import Firing
from .index import Index
from .known import index_for
from .opening import index, open_index
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
