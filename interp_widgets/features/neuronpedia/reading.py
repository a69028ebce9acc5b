"""Feature files of circuit-tracer and Neuronpedia, read.

    circuit-tracer   {index, examples_quantiles: [{quantile_name, examples: [{tokens,
                     tokens_acts_list, train_token_ind}]}], top_logits, histogram, ...}
    Neuronpedia      {index, layer: "2-name", pos_str, pos_values, frac_nonzero, freq_hist_data_bar_...,
                     activations: [{tokens, values, binMin, binMax}], explanations: [{description}]}

The second has three spellings: Neuronpedia's interface (binMin), SAEDashboard's batches (bin_min) and
Neuronpedia's upload (quantileMin). What must be there and is not, or a number that is none among the
activations, is refused; anything else that cannot be read is absent. What we add when writing stands
in `interp_widgets` (neuronpedia/writing.py) and is read as warily as the rest.
docs/how-it-works/feature-files.md has the fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import FeatureError
from ..foreign import ForeignFeature
from . import fields
from .fields import At
from .forms import circuit_tracer, native
from .tokens import as_text

MANIFEST = "about.json"
_SUFFIXES = (".json", ".jsonl", ".ndjson", ".json.gz", ".jsonl.gz", ".ndjson.gz")


def from_neuronpedia(
    source: str | Path | Mapping[str, Any], *, layer: int | None = None
) -> ForeignFeature:
    """One feature out of a file (.gz, too) or a parsed document, of either form.

    Args:
        layer: where the document does not say.

    Raises FeatureError naming the file and the field that is missing or wrong, and for a file
    larger than 16 MB.
    """
    if isinstance(source, Mapping):
        at, found = At("the document"), dict(source)
    else:
        path = _path(source)
        at, found = At(path.name), fields.document(path)
    if isinstance(found.get("features"), list):
        raise at.error("holds several features: read it with read_neuronpedia")
    return _feature(found, at, {}, layer)


def read_neuronpedia(path: str | Path, *, layer: int | None = None) -> Iterator[ForeignFeature]:
    """All features of a file or folder, one by one: SAEDashboard's and Neuronpedia's batches, lists,
    lines of JSON, and what `write_neuronpedia` wrote; each file at most 64 MB unpacked.

    Raises FeatureError as `from_neuronpedia`, when it comes to what cannot be read.
    """
    for at, found, header in all_documents(_path(path)):
        yield _feature(found, at, header, layer)


def _path(source: object) -> Path:
    """Raises FeatureError for what is no path."""
    if not isinstance(source, str | Path):
        raise FeatureError(
            f"A feature is read from a file, or is a parsed document (a dict), not "
            f"{type(source).__name__}."
        )
    return Path(source).expanduser()


def all_documents(path: Path) -> Iterator[tuple[At, dict[str, Any], dict[str, Any]]]:
    """Every object of a file or folder, with what the batch it stands in says of all of them."""
    files = [path]
    if path.is_dir():
        named = (p for p in sorted(path.iterdir()) if p.name.lower().endswith(_SUFFIXES))
        files = [p for p in named if p.name != MANIFEST]
        if not files:
            raise FeatureError(f"{path} holds no .json or .jsonl files: give another folder.")
    for file in files:
        for at, found in fields.documents(file):
            if isinstance(found.get("features"), list):
                rows = found.pop("features")
                for i, row in enumerate(fields.objects(rows, at["features"])):
                    yield at["features"][i], row, found
            else:
                yield at, found, {}


def _feature(
    found: dict[str, Any], at: At, header: dict[str, Any], layer: int | None
) -> ForeignFeature:
    known = {"activations", "pos_str", "topLogits", "frac_nonzero", "freq_hist_data_bar_heights"}
    form = circuit_tracer if "examples_quantiles" in found else native
    if form is circuit_tracer or known & found.keys():
        read = form(found, at, header, layer)
        # What we wrote is text already.
        return read if fields.ours_of(found) else as_text(read)
    raise at.error(
        "has neither examples_quantiles (circuit-tracer's form) nor activations (Neuronpedia's): "
        "give a feature file"
    )
