"""Attribution graphs: what in a model made it say what it said, on one prompt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..dictionaries import Dictionary, DictionaryError, SparseCoder, check_fits
from ..dictionaries import load as load_dictionary
from ..models import Model
from ..models.model import Prompt
from . import trace as tracing
from .correlation import Correlation
from .effects import Effects
from .errors import GraphFileError
from .faithfulness import Faithfulness
from .graph import Graph
from .group import Interventions, Nodes
from .memory import OutOfMemory
from .node import Edge, Node
from .notes import Notes
from .replica import Origin
from .scores import Pruning, Scores
from .supernodes import Proposal
from .swap import Swap
from .table import GraphTable
from .targets import TargetLike, check_targets

__all__ = [
    "Correlation",
    "Edge",
    "Effects",
    "Faithfulness",
    "Graph",
    "GraphFileError",
    "GraphTable",
    "Interventions",
    "Node",
    "Nodes",
    "Notes",
    "OutOfMemory",
    "Proposal",
    "Pruning",
    "Scores",
    "Swap",
    "attribute",
]


def attribute(
    model: Model,
    prompt: Prompt,
    dictionary: Dictionary | str | Path | None = None,
    targets: TargetLike | Sequence[TargetLike] | None = None,
    *,
    max_nodes: int | None = None,
    rank_every: int | None = None,
    max_targets: int = 10,
    min_probability: float = 0.95,
) -> Graph:
    """Explain a model's next token by an attribution graph.

    Returns at once: the graph computes in the background, and as the last line of a cell it
    appears and fills. `graph.wait()` waits, `graph.cancel()` stops.

    Args:
        model: from `load`.
        prompt: text, or token ids.
        dictionary: transcoders or a cross-layer transcoder, or the folder they are in. None
            takes the dictionary that comes with the model (the organism has one), else its MLP
            neurons, which need no training and leave no error; "neurons" asks for those.
        targets: what to explain, at the last position. None: the most probable next tokens.
            A token (" Mary" or its id); a pair for a logit difference (" Mary", " John"); a
            direction [d_model] in the final norm's output space; or several of these.
        max_nodes: at most so many features or neurons. None: all active features, or 1000
            neurons.
        rank_every: features that join between two rankings by influence; smaller chooses
            better and is slower. Default: a sixteenth of max_nodes, at least 64.
        max_targets, min_probability: automatic targets are the fewest most probable tokens
            that reach this probability together, at most so many.

    Raises PromptError or DictionaryError at once for what can be known before running; later
    errors appear in the view and are raised by `wait`.
    """
    ids = model.tokenize(prompt)
    check_targets(model, targets)
    chosen = _dictionary(model, dictionary)

    def work(**signals: object) -> GraphTable:
        return tracing.trace(
            model,
            prompt,
            chosen,
            targets,
            max_nodes=max_nodes,
            rank_every=rank_every,
            max_targets=max_targets,
            min_probability=min_probability,
            **signals,  # type: ignore[arg-type]
        )

    text = prompt if isinstance(prompt, str) else model.tokenizer.decode(ids.tolist())
    origin = Origin(model, ids, chosen, targets, max_targets, min_probability)
    return Graph.computing(work, text, origin)


def _dictionary(model: Model, wanted: Dictionary | str | Path | None) -> Dictionary | None:
    """The features to draw; None for neurons."""
    wanted = wanted or model.dictionary
    if wanted is None or wanted == "neurons":
        return None
    found = load_dictionary(wanted) if isinstance(wanted, (str, Path)) else wanted
    if isinstance(found, SparseCoder):
        raise DictionaryError(
            f"{found.scan} is a single {found.kind}, and a graph needs one transcoder for every "
            'layer: give a set of transcoders, a cross-layer transcoder, or "neurons".'
        )
    check_fits(found, model.n_layers, model.d_model, model.name)
    return found
