"""Making an index, or going on with one; and opening what lies in a folder."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..dictionaries.errors import DictionaryError
from ..dictionaries.training.corpus import located
from ..jobs import Cancelled, Job
from ..models import Model
from ..models.cache import cache_folder
from .about import read_about
from .building import CONTEXT, SHARD_TOKENS, Encoder, Text, build, local
from .errors import FeatureError, count
from .index import Index
from .known import beside, index_for, remember
from .marks import weights_of
from .shards import LEAST_CONTEXT
from .stored import StoredIndex
from .units import Units, What, units_of


def index(
    model: Model,
    what: What | str | Path | None = None,
    text: Text | None = None,
    *,
    folder: str | Path | None = None,
    context: int = CONTEXT,
    tokens: int | None = None,
    shard_tokens: int = SHARD_TOKENS,
    encoder: Encoder = local,
) -> Index:
    """One pass over a text for all units of all layers, in the background.

    The same call again opens what is there, goes on where it was cancelled or killed, and reads
    what a longer text has more.

    Args:
        what: a dictionary, or where to load one from; "neurons" for all MLP neurons;
            {name: (place, vector)} for directions. None: the dictionary that comes with the
            model, else its neurons.
        text: one text, several, or the path of a .txt or .jsonl file or of a folder of such files
            (a str of one line that ends in .txt or .jsonl, or names a folder, is a path). None:
            what comes with the package, for the organism its own index and for any other model,
            or another `context`, a sample of free text.
        folder: where the index lies. None: in the cache, by model, units and text.
        context: tokens per window, the special one in front included; at most the model's.
        tokens: stop when so many are read; None: the whole text.
        shard_tokens: at least so many tokens are read between two chances to cancel.
        encoder: who runs the model; `distributed.RayWorkers` for many processes or machines.

    Raises FeatureError or DictionaryError for units that do not fit the model, a text that is none
    and numbers that make no sense, and FeatureError for a folder that holds another index (other
    problems are raised by `wait`).
    """
    context = count("context", context, LEAST_CONTEXT)
    shard_tokens = count("shard_tokens", shard_tokens)
    tokens = None if tokens is None else count("tokens", tokens)
    what = loaded(model, what)
    there: Index | None = None
    if text is None and folder is None and tokens is None and context == CONTEXT:
        there = index_for(model, what)
        came = beside(model, there.units)
        if came is not None:
            return _of_stored(there, came)
    if text is None:
        from .free_text import free_text

        text = free_text()
    try:
        text = located(text)
    except DictionaryError as error:
        raise FeatureError(str(error)) from None
    if isinstance(text, Iterator):
        text = list(text)
    units = units_of(model, what) if there is None else there.units
    where = Path(folder) if folder is not None else _in_cache(model, units, text, context)
    about = read_about(where) if where.is_dir() else None
    if about is not None and about.fingerprint != units.fingerprint:
        raise FeatureError(f"{where} holds an index of {about.scan}: give another folder.")
    dictionary = None if what is None or isinstance(what, str) else what
    found = Index(model, dictionary, units)

    def work(job: Job[StoredIndex]) -> StoredIndex:
        try:
            return build(
                model,
                units,
                text,
                where,
                context=context,
                tokens=tokens,
                shard_tokens=shard_tokens,
                encoder=encoder,
                progress=job.report,
                check=job.check,
            )
        except Cancelled:
            about = read_about(where)
            if about is not None and about.generation:
                found._stored = StoredIndex(where)
            raise

    remember(found)
    return found.fill(work)


def _of_stored(there: Index, stored: StoredIndex) -> Index:
    """The index `there`, or else another one of the same units, over what is stored."""
    if there.so_far is not None and there.so_far.folder == stored.folder:
        return there
    found = Index(there.model, there.dictionary, there.units, stored)
    remember(found)
    return found


def open_index(folder: str | Path, model: Model, what: What | str | Path | None = None) -> Index:
    """An index that lies in a folder.

    Args:
        what: as `index` takes it; for an index of neurons it need not be given.

    Raises FeatureError for a folder without an index, one of other units, or one of another model
    (neither its name nor its weights are the same).
    """
    stored = StoredIndex(folder)
    if what is None and stored.about.units == "neuron":
        what = "neurons"
    what = loaded(model, what)
    units = units_of(model, what)
    if units.fingerprint != stored.about.fingerprint:
        raise FeatureError(
            f"{stored.folder} is an index of {stored.about.scan} ({stored.about.units}s of "
            f"{stored.about.model}), which is not {units.scan}: give what it was made of."
        )
    about = stored.about
    if about.model != model.name and about.weights != weights_of(model):
        raise FeatureError(
            f"{stored.folder} says what {about.scan} does in {about.model}, which is not "
            f"{model.name}: open it with the model it was made with."
        )
    found = Index(model, None if what is None or isinstance(what, str) else what, units, stored)
    remember(found)
    return found


def loaded(model: Model, what: What | str | Path | None) -> What | None:
    """What somebody named, with a dictionary in place of its folder; None for neurons."""
    if what is None:
        what = model.dictionary
    if isinstance(what, str) and what.casefold() in ("neuron", "mlp", "mlps"):
        raise FeatureError(f'{what!r} is no dictionary: say "neurons" for all MLP neurons.')
    if isinstance(what, str | Path) and what != "neurons":
        from ..dictionaries import load

        return load(what)
    return what  # type: ignore[return-value]


def _in_cache(model: Model, units: Units, text: Text, context: int) -> Path:
    """A folder of its own for this model, these units and this text."""
    if isinstance(text, Path):
        first = str(text.resolve())
    else:
        documents: Iterable[str] = [text] if isinstance(text, str) else text
        first = next((d for d in documents if isinstance(d, str)), "")
    found = hashlib.sha256(f"{model.origin}\n{context}\n{first}".encode())
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", f"{model.name}-{units.scan}")[:60]
    return cache_folder() / "indexes" / f"{name}-{units.fingerprint[:8]}-{found.hexdigest()[:8]}"
