"""Index: what every unit of a model means, as far as a corpus, the weights and labels tell.

    index = iw.index(model, dictionary, text)      # fills in the background
    index[2, 117]                                  # one feature, shows itself
    index.search("texas"); index.fire("in dallas")

It knows the model and the dictionary, so what is on disk (stored.py), what the weights say
(weights/), what somebody called a feature (labelling/book.py) and what fires on a new text come
together.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..dictionaries.labels import Label
from ..dictionaries.replaced import AnyDictionary
from ..jobs import Cancelled, Filling, Job
from ..models import Model
from ..models.model import Prompt
from .building import floors_in
from .errors import FeatureError
from .feature import Feature
from .firing import Firing, fire
from .stored import StoredIndex
from .units import DenseUnits, Units

if TYPE_CHECKING:
    from ..views.text_live import Text as TextOfFeatures
    from .labelling.book import LabelBook
    from .neuronpedia import Imported
    from .search import Found
    from .weights import Weights

_BY_HAND = "the name it was given when it was indexed"


class Index(Filling[StoredIndex]):
    """Everything that is known of some units of a model.

    Made by `interp_widgets.index`, `open_index`, or `known.index_for`. As the last line of a cell
    it shows itself: a list to search, and what each unit means.

    Attributes:
        model, dictionary: dictionary is None for neurons and directions.
        units: what is indexed.
        fingerprint: tells other units.
    """

    def __init__(
        self,
        model: Model,
        dictionary: AnyDictionary | Any | None,
        units: Units,
        stored: StoredIndex | None = None,
    ) -> None:
        super().__init__()
        self.model, self.dictionary = model, dictionary
        self.fingerprint = units.fingerprint
        self._units, self._stored = units, stored

    def fill(self, work: Callable[[Job[StoredIndex]], StoredIndex]) -> Index:
        """Make the stored part in the background; called once, by whoever makes an index."""

        def noted(job: Job[StoredIndex]) -> StoredIndex:
            self._stored = work(job)
            return self._stored

        self._job = Job(noted, self._changed)
        self._job.start()
        return self

    # --- while it is made --------------------------------------------------------------------

    def cancel(self) -> None:
        """Stop reading. What was read is put together and stays; the same call goes on later."""
        if self._job:
            self._job.cancel()

    # --- what there is -----------------------------------------------------------------------

    @property
    def so_far(self) -> StoredIndex | None:
        """The stored part if it is there; None before, and where nothing was indexed."""
        return self._stored

    @property
    def stored(self) -> StoredIndex:
        """The stored part; waits for it.

        Raises FeatureError where nothing was indexed, and what went wrong where a pass failed.
        """
        if self._stored is None and self._job is not None:
            try:
                self._job.wait()
            except Cancelled:
                if self._stored is None:
                    raise FeatureError(
                        f"The pass over the text was cancelled before anything of {self.units.scan} "
                        "was put together: call iw.index again, which goes on."
                    ) from None
        if self._stored is None:
            raise FeatureError(
                f"There are no examples of {self.units.scan} yet: index a text, "
                "iw.index(model, dictionary, text)."
            )
        return self._stored

    @property
    def units(self) -> Units:
        """What is indexed; neurons and directions with the floors of the index."""
        units = self._units
        if isinstance(units, DenseUnits) and units.floors is None and self._stored is not None:
            self._units = units = units.above(floors_in(self._stored.folder, units.layers))
        return units

    @property
    def layers(self) -> tuple[int, ...]:
        """Numbers of the layers that have units, ascending."""
        return self._units.layers

    def n_features(self, layer: int) -> int:
        """How many units a layer has."""
        return self._units.n_features(layer)

    @cached_property
    def book(self) -> LabelBook:
        """The labels: those that came with the dictionary, and the user's own over them."""
        from .labelling.book import LabelBook

        shipped = getattr(self.dictionary, "labels", {})
        sizes = {layer: self.n_features(layer) for layer in self.layers}
        return LabelBook(self._units.scan, shipped, fingerprint=self.fingerprint, sizes=sizes)

    @cached_property
    def weights(self) -> Weights:
        """What the weights say of the units."""
        from .weights import Weights

        return Weights(self.model, self._units)

    def __getitem__(self, key: tuple[int, int]) -> Feature:
        """index[layer, number]. Raises FeatureError where there is no such unit."""
        try:
            layer, number = map(operator.index, key)
        except (TypeError, ValueError):  # no pair, or not of whole numbers
            raise FeatureError(
                f"A {self._units.kind} is named by its layer and number, index[2, 117], "
                f"not {key!r}."
            ) from None
        return Feature(self, layer, number)

    def features(self, layer: int | None = None) -> Iterator[Feature]:
        """All units, or those of one layer, in order."""
        for each in self.layers if layer is None else (layer,):
            for number in range(self.n_features(each)):
                yield Feature(self, each, number)

    def fire(self, text: Prompt) -> Firing:
        """What fires on a text, all units; one run of the model."""
        return fire(self.model, self.units, text)

    def text(self, prompt: str) -> TextOfFeatures:
        """A prompt's tokens and what fires on them, as a view."""
        from ..views.text_live import Text

        return Text(self, prompt)

    def import_labels(self, source: str | Path, **how: Any) -> Imported:
        """Label features from an export of explanations; see `neuronpedia.import_labels`."""
        from .neuronpedia import import_labels

        return import_labels(self, source, **how)

    def write_neuronpedia(self, folder: str | Path, **how: Any) -> Path:
        """Feature files for Neuronpedia or circuit-tracer; see `neuronpedia.write_neuronpedia`."""
        from .neuronpedia import write_neuronpedia

        return write_neuronpedia(self, folder, **how)

    def search(self, query: str = "", **how: Any) -> list[Found]:
        """Units by label, number or text; see `features.search.search`."""
        from .search import search

        return search(self, query, **how)

    def label(self, layer: int, feature: int) -> str:
        """What a unit is called; "" where it has no name."""
        label = self.label_of(layer, feature)
        return label.text if label else ""

    def label_of(self, layer: int, feature: int) -> Label | None:
        """The label of a unit; a direction that has none goes by its name."""
        name = self._units.names.get((layer, feature))
        found = self.book.get(layer, feature)
        return found or (Label(name, kind="by hand", source=_BY_HAND) if name else None)

    # --- how it shows itself -----------------------------------------------------------------

    def __repr__(self) -> str:
        count = sum(self.n_features(layer) for layer in self.layers)
        what = f"{count:,} {self._units.kind}s of {len(self.layers)} layers"
        stored = self._stored
        if self.state in ("computing", "failed"):
            share, message = self.progress
            message = message.rstrip(".")
            return f"Index({self._units.scan!r}, {what}, {self.state}, {share:.0%}, {message})"
        if stored is None:
            why = (
                "no text indexed" if self.state == "done" else "cancelled before any text was read"
            )
            return f"Index({self._units.scan!r}, {what}, {why})"
        part = "" if stored.about.complete else ", the corpus not read to its end"
        return (
            f"Index({self._units.scan!r}, {what}, {stored.n_tokens:,} tokens, "
            f"{stored.n_bytes / 1e6:.1f} MB{part})"
        )

    @cached_property
    def view(self) -> Any:
        """The widget that shows it."""
        from ..views.features_live import show

        return show(self)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.view._repr_mimebundle_(**options)

    def _ipython_display_(self) -> None:
        self.view._ipython_display_()
