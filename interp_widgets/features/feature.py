"""One feature (or neuron, or direction), as a value to read, show and act with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..models.interventions import Intervention, Target, feature, neuron
from .errors import FeatureError
from .units import DenseUnits
from .values import Example, Group, Histogram

if TYPE_CHECKING:
    from torch import Tensor

    from ..dictionaries.labels import Label
    from ..models import Place
    from .index import Index
    from .labelling.detection import Detection
    from .labelling.proposing import Proposal


@dataclass(frozen=True)
class Feature:
    """A unit of an index; `index[layer, feature]` makes one, and it shows itself.

    Raises FeatureError where there is no such unit.
    """

    index: Index
    layer: int
    feature: int

    def __post_init__(self) -> None:
        size = self.index.n_features(self.layer)
        if not 0 <= self.feature < size:
            raise FeatureError(
                f"Layer {self.layer} of {self.index.units.scan} has {size:,} "
                f"{self.index.units.kind}s, counted from 0: there is no {self.feature}."
            )

    @property
    def name(self) -> str:
        """L2/117."""
        return f"L{self.layer}/{self.feature}"

    # --- what it means -----------------------------------------------------------------------

    @property
    def label(self) -> Label | None:
        """What it is called, by whom, and how well that holds."""
        return self.index.label_of(self.layer, self.feature)

    def examples(self, n: int = 20, **how: Any) -> list[Example]:
        """Where it is strongest; see `StoredIndex.examples`."""
        return self.index.stored.examples(self.layer, self.feature, n, **how)

    def groups(self, n: int = 5, each: int = 5) -> list[Group]:
        """Examples at all strengths; see `StoredIndex.groups`."""
        return self.index.stored.groups(self.layer, self.feature, n, each)

    def histogram(self, bins: int = 40) -> Histogram:
        """How often it is how strong; see `StoredIndex.histogram`."""
        return self.index.stored.histogram(self.layer, self.feature, bins)

    @property
    def density(self) -> float:
        """The share of the indexed tokens on which it is active."""
        return float(self.index.stored.density(self.layer)[self.feature])

    def rename(self, text: str) -> Label:
        """Give it a label by hand, kept in the book; returns the label.

        Raises FeatureError for a text that cannot be a label.
        """
        if not isinstance(text, str):
            raise FeatureError(f"A label is a text, not {type(text).__name__}.")
        return self.index.book.put(self.layer, self.feature, text)

    def score_label(self) -> Label:
        """Its label with how well that holds on held-out text of the index, kept in the book.

        Raises FeatureError where there is no label, and where it is active in too few texts.
        """
        from .labelling.scoring import score_label

        return score_label(self.index, self.layer, self.feature)

    def propose(self, n: int = 5) -> list[Proposal]:
        """Labels that its examples suggest, each with how well it holds on other text."""
        from .labelling.proposing import propose

        return propose(self.index, self.layer, self.feature, n=n)

    def detect(self, label: str | Label | None = None) -> Detection:
        """How well a label (None: its own) separates text on which it fires from other text."""
        from .labelling.detection import detect

        wanted = self.label if label is None else label
        if wanted is None:
            raise FeatureError(f"{self.name} has no label yet: give one.")
        return detect(self.index, self.layer, self.feature, wanted)

    def ask(self, language_model: Callable[[str], str], *, examples: int = 20) -> Label:
        """The label that your own language model gives to the strongest examples; `judge` scores
        it, `index.book.put` keeps it. See `features.labelling.hook.ask`."""
        from .labelling.hook import ask

        return ask(self.index, self.layer, self.feature, language_model, examples=examples)

    def judge(
        self, label: str | Label, language_model: Callable[[str], str], **how: Any
    ) -> Detection:
        """How well your own language model tells with a label on which texts it fires; see
        `features.labelling.hook.judge`."""
        from .labelling.hook import judge

        return judge(self.index, self.layer, self.feature, label, language_model, **how)

    def card(self, *, here: float | None = None, weights: bool = True) -> dict[str, Any]:
        """Everything above as plain JSON; see `features.card`."""
        from .card import card

        return card(self.index, self.layer, self.feature, here=here, weights=weights)

    # --- acting with it ----------------------------------------------------------------------

    @property
    def target(self) -> Target:
        """What interventions name. Raises FeatureError for a direction, which is added instead."""
        if self.index.units.kind == "neuron":
            return neuron(self.layer, self.feature)
        if self.index.dictionary is None or self.index.units.kind != "feature":
            raise FeatureError(
                f"{self.name} is a direction: add it where it lies, "
                "iw.residual(layer).add(2, vector)."
            )
        return feature(self.index.dictionary, self.layer, self.feature)

    @property
    def direction(self) -> tuple[Place, Tensor] | None:
        """Of a direction, where it lies and its vector [d]; None for features and neurons."""
        units = self.index.units
        return units.direction(self.layer, self.feature) if isinstance(units, DenseUnits) else None

    def scale(self, factor: float) -> Intervention:
        """Multiply its activation."""
        return self.target.scale(factor)

    def clamp(self, value: float) -> Intervention:
        """Pin its activation."""
        return self.target.clamp(value)

    def add(self, amount: float) -> Intervention:
        """Add to its activation."""
        return self.target.add(amount)

    def ablate(self) -> Intervention:
        """Put 0 there."""
        return self.target.ablate()

    # --- files, and how it shows itself ------------------------------------------------------

    def to_neuronpedia(self, form: Any = "native") -> dict[str, Any]:
        """As Neuronpedia (or circuit-tracer) reads features; see `features.neuronpedia`."""
        from .neuronpedia import to_neuronpedia

        return to_neuronpedia(self.index, self.layer, self.feature, form)

    def save_html(self, path: str | Path) -> Path:
        """One page that shows it, with no kernel and no network."""
        from ..views.feature_page import save_page

        return save_page([self.card()], path, title=self.name)

    def __repr__(self) -> str:
        label = self.label
        named = f", {label.text!r}" if label else ""
        stored = self.index.so_far
        on = f", active on {self.density:.2%} of {stored.n_tokens:,} tokens" if stored else ""
        return f"Feature({self.name}{named}{on})"

    @property
    def view(self) -> Any:
        """A widget that shows it."""
        from ..views.features_live import show

        return show(self.index, (self.layer, self.feature))

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.view._repr_mimebundle_(**options)

    def _ipython_display_(self) -> None:
        self.view._ipython_display_()
