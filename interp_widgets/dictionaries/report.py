"""The load report: does what was loaded do, in this model, what its files say?

Files of dictionaries name hooks in many dialects, leave out how inputs were scaled, and are
easily read as the wrong architecture (a TopK SAE as a ReLU one still runs). None of this shows
in shapes, but all of it shows in L0, FVU and the loss of the replaced model. So these are
measured on load, on text the user gives or a bundled sample, and put beside what is declared.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from interp_widgets.dictionaries import load
from interp_widgets.dictionaries.activations import TopK
from interp_widgets.dictionaries.coder import SparseCoder
from interp_widgets.dictionaries.errors import DictionaryError
from interp_widgets.dictionaries.layers import Layer
from interp_widgets.dictionaries.metrics import Metrics, Text, judge
from interp_widgets.dictionaries.metrics.judge import CONTEXT, kind_of
from interp_widgets.dictionaries.metrics.text import windows
from interp_widgets.dictionaries.replaced import AnyDictionary, check_model
from interp_widgets.dictionaries.sample import sample_text
from interp_widgets.jobs import Job
from interp_widgets.models import Model

# Text differs, and so do L0 and FVU by some tens of percent; beyond these something is wrong.
L0_FACTOR = 2.0
FVU_MARGIN = 0.1
RECOVERED_MARGIN = 0.1


@dataclass(frozen=True)
class LoadReport:
    """What was loaded, what its files declare, and what was measured.

    Attributes:
        name, architecture: "my-saes", "skip transcoder, TopK(k=32)".
        size: layers, features, width, dtype.
        reads, writes: the places.
        made_for: the model that the files name, or None.
        declared: numbers and words from the files.
        metrics: None without a model.
        text: what was measured on, in words.
        verdict: one or more sentences.
    """

    name: str
    architecture: str
    size: str
    reads: str
    writes: str
    made_for: str | None
    declared: Mapping[str, float | str] = field(default_factory=dict)
    metrics: Metrics | None = None
    text: str = ""
    verdict: str = ""

    def __repr__(self) -> str:
        rows = [("reads", self.reads), ("writes", self.writes)]
        if self.made_for:
            rows.append(("made for", self.made_for))
        shown = set()
        if self.metrics is not None:
            m = self.metrics
            measured = {
                "l0": ("L0", f"{m.l0:.1f} active features per token and layer"),
                "fvu": ("FVU", f"{m.fvu:.3f}"),
                "explained_variance": ("explained", f"{m.explained_variance:.3f} of the variance"),
                "ce_recovered": (
                    "CE recovered",
                    f"{m.ce_recovered:.3f} of what zero ablation costs",
                ),
                "dead_share": ("never active", f"{m.dead_share:.1%} of features on this text"),
            }
            for key, (label, value) in measured.items():
                if key == "explained_variance" and key not in self.declared:
                    continue
                shown.add(key)
                says = (
                    f"   (declared: {_short(self.declared[key])})" if key in self.declared else ""
                )
                rows.append((label, value + says))
            rows.append(("measured on", f"{m.n_tokens} tokens of {self.text}"))
        rest = {k: v for k, v in self.declared.items() if k not in shown}
        if rest:
            rows.append(("declared", ", ".join(f"{k} {_short(v)}" for k, v in rest.items())))
        rows.append(("verdict", self.verdict))
        lines = [f"{self.name}: {self.architecture}, {self.size}"]
        return "\n".join(lines + [f"  {label:<13} {value}" for label, value in rows])


def load_dictionary(
    path: str | Path,
    *,
    model: Model | None = None,
    text: Text | None = None,
    lazy: bool | None = None,
) -> AnyDictionary:
    """A dictionary from a folder or the Hugging Face hub; prints its load report.

    Args:
        path, lazy: as `dictionaries.load` describes them.
        model: the model to measure it in, five runs over the text. None measures nothing.
        text: one document, several, or a file; None takes a bundled sample of 800 tokens.

    Raises DictionaryError, in one sentence, for what cannot be read or does not fit the model.
    """
    dictionary = load(path, lazy=lazy)
    print(report(dictionary, model, text))
    return dictionary


def report(
    dictionary: AnyDictionary,
    model: Model | None = None,
    text: Text | None = None,
    *,
    job: Job[Any] | None = None,
) -> LoadReport:
    """The load report of a dictionary.

    Args:
        model: None measures nothing.
        text: None takes the bundled sample.

    Raises DictionaryError if layer count, width or places are not the model's.
    """
    metrics, said = None, "Not measured: give model= to see whether it does what its files say."
    if model is not None:
        check_model(dictionary, model)
        if text is None and not _readable(model):
            said = f"Not measured: {model.name} knows no word of the bundled sample; give text=."
        else:
            metrics = judge(model, dictionary, sample_text() if text is None else text, job=job)
            said = verdict(metrics, dictionary, model)
    one = isinstance(dictionary, SparseCoder)
    layers = (dictionary.weights,) if isinstance(dictionary, SparseCoder) else dictionary.layers
    return LoadReport(
        name=dictionary.scan,
        architecture=f"{kind_of(dictionary)}, {_activations(layers)}",
        size=_size(layers, dictionary, one),
        reads=_places(dictionary, "reads"),
        writes=_places(dictionary, "writes"),
        made_for=dictionary.model_name,
        declared=dict(dictionary.declared) | _numbers(dictionary.declared),
        metrics=metrics,
        text="the bundled sample" if text is None else "your text",
        verdict=said,
    )


def verdict(metrics: Metrics, dictionary: AnyDictionary, model: Model) -> str:
    """What measured and declared numbers say together."""
    declared = _numbers(dictionary.declared)
    against = []
    made_for = dictionary.model_name
    where = metrics.layers[0].reads if len(metrics.layers) == 1 else "these places"
    if metrics.fvu.value >= 1:
        against.append(
            f"It does not fit: its predictions are worse than the mean vector (FVU "
            f"{metrics.fvu.value:.2g}). Either it was made for another model, or not for "
            f"{where}, or for inputs on another scale."
        )
    elif metrics.ce_recovered.high < 0:
        against.append(
            f"With it in place the model predicts worse than with zeros there (CE recovered "
            f"{metrics.ce_recovered.value:.2g}), although FVU is {metrics.fvu.value:.2f}."
        )
    if "l0" in declared and metrics.l0 is not None:
        said, found = declared["l0"], float(metrics.l0)
        ratio = found / said if said > 0 else float("inf")
        if not 1 / L0_FACTOR <= ratio <= L0_FACTOR:
            against.append(
                f"L0 is {ratio:.2g}x of what the file declares: {found:.4g} instead of {said:.4g} "
                f"active features per token. Look at the activation function and the input scale."
            )
    for key, sign, margin, name in (
        ("fvu", 1, FVU_MARGIN, "FVU"),
        ("explained_variance", -1, FVU_MARGIN, "The explained variance"),
        ("ce_recovered", -1, RECOVERED_MARGIN, "CE recovered"),
    ):
        if key in declared:
            said, found = declared[key], float(getattr(metrics, key))
            if sign * (found - said) > margin:
                against.append(f"{name} is {found:.3f}, but the file declares {said:.3f}.")
    if against:
        sentences = against
    elif {"l0", "fvu", "explained_variance", "ce_recovered"} & set(declared):
        sentences = ["Fits: what was measured agrees with what the file declares."]
    else:
        sentences = [
            f"Nothing speaks against it: it explains {metrics.explained_variance.value:.0%} of the "
            f"variance and recovers {metrics.ce_recovered.value:.0%} of the loss. The file "
            f"declares nothing to compare this with."
        ]
    if made_for and not _same_name(made_for, model.name):
        sentences.append(f"It was made for {made_for}; this model is called {model.name}.")
    return " ".join(sentences)


def _numbers(declared: Mapping[str, float | str]) -> dict[str, float]:
    """The numbers among what is declared; the k of a TopK or BatchTopK dictionary is its L0."""
    numbers = {name: float(v) for name, v in declared.items() if isinstance(v, (int, float))}
    return {"l0": numbers["k"], **numbers} if "k" in numbers else numbers


def _readable(model: Model) -> bool:
    """Whether the bundled sample is more than unknown words to this model's tokenizer."""
    try:
        windows(model, sample_text(), CONTEXT)
    except DictionaryError:
        return False
    return True


def _same_name(a: str, b: str) -> bool:
    """Whether two names may mean one model: "gpt2" and "openai-community/gpt2"."""
    x, y = (re.sub(r"[^a-z0-9]", "", name.rsplit("/", 1)[-1].lower()) for name in (a, b))
    return x in y or y in x


def _activations(layers: tuple[Layer, ...]) -> str:
    names = {
        f"TopK(k={layer.activation.k})"
        if isinstance(layer.activation, TopK)
        else type(layer.activation).__name__
        for layer in layers
    }
    return " or ".join(sorted(names))


def _size(layers: tuple[Layer, ...], dictionary: AnyDictionary, one: bool) -> str:
    counts = sorted({layer.n_features for layer in layers})
    features = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    dtype = str(dictionary.dtype).removeprefix("torch.")
    number = "" if one else f"{len(layers)} layers of "
    return f"{number}{features} features, width {dictionary.d_model}, {dtype}"


def _places(dictionary: AnyDictionary, verb: str) -> str:
    if isinstance(dictionary, SparseCoder):
        return str(getattr(dictionary, verb))
    first = getattr(dictionary, verb)(0)
    return f"L0-{dictionary.n_layers - 1} {first.site}"


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
