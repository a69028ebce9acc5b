"""Names for the features, found by counting.

Every token of a sample of the corpus has a few properties: the state of the city whose name ends
there, the city, the token, the one before, the answer that comes next, the task. A feature is named
after the property that covers its activation best (F1 of: how much of its activation lies on
tokens with the property, and on how many of those tokens it is active), if at least half of its
activation lies there. A feature that stands for several things says so: where no single property
holds half of it, up to three of one kind may ("texas or ohio"). On a second sample, where half of
the activation must lie there again, the name is scored by the area under the ROC curve, beside
that of random features of the layer. Names of tokens are rules (features/labelling/rules.py), so how well their
words say where a feature is active can be checked on any text: “…as” goes on a word.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from random import Random

import torch
from torch import Tensor

from ...dictionaries import CrossLayerTranscoder
from ...dictionaries.labels import Label
from ...features.labelling.rules import quoted
from ...features.labelling.separating import auroc
from ...features.labelling.vocabulary import GOES_ON
from .corpus import documents
from .documents import Answer, Document, Encoder, owner_of
from .facts import CITIES, STATES
from .network import Llama
from .replacement import CrossLayer, mlp_activations
from .training import padded

SOURCE = "counted over the organism's corpus (labs/organism/naming.py)"
_DOCUMENTS = 5000
_LEAST_F1 = 0.5
_LEAST_PRECISION = 0.5
_MOST_TOGETHER = 3
_CONTROLS = 8
_STARTS = ("says ", "asks about ", "asks for the ")


@dataclass(frozen=True)
class Sample:
    """Tokens in a row: their properties, and the features active on each of them.

    properties: one list per token. For layer l, active[l] is a sparse [token, F] of activations.
    """

    properties: list[list[str]]
    active: list[Tensor]


def names(
    network: Llama, encoder: Encoder, dictionary: CrossLayerTranscoder
) -> dict[tuple[int, int], Label]:
    layers = CrossLayer(dictionary)
    first = sample(network, encoder, layers, seed=101)
    second = sample(network, encoder, layers, seed=202)
    known = {text: i for i, text in enumerate(sorted({t for p in first.properties for t in p}))}
    texts = list(known)
    has = _indicator(first.properties, known)
    count = torch.sparse.sum(has, 0).to_dense()
    has_second = _indicator(second.properties, known).to_dense().bool()
    kinds, rng = _kinds(texts), Random(0)
    found: dict[tuple[int, int], Label] = {}
    for layer, acts in enumerate(first.active):
        mass = torch.sparse.mm(acts.t(), has).to_dense()  # [F, property]
        mass /= torch.sparse.sum(acts, 0).to_dense().clamp(min=1e-9)[:, None]
        hits = torch.sparse.mm(_ones(acts).t(), has).to_dense()
        values = second.active[layer].to_dense().numpy()
        for feature, chosen in _chosen(mass, hits, count, kinds).items():
            mask = has_second[:, chosen].any(1).numpy()
            fired = values[:, feature]
            # A name must hold on new text, too.
            if not mask.any() or fired[mask].sum() < _LEAST_PRECISION * fired.sum():
                continue
            others = [rng.randrange(values.shape[1]) for _ in range(_CONTROLS)]
            control = sum(auroc(values[:, other], mask) for other in others) / _CONTROLS
            score = auroc(fired, mask)
            found[layer, feature] = Label(
                _together([texts[i] for i in chosen]),
                round(score, 3),
                round(control, 3),
                len(values),
            )
    return found


def _chosen(
    mass: Tensor, hits: Tensor, count: Tensor, kinds: list[list[int]]
) -> dict[int, list[int]]:
    """Per feature that can be named, the properties that it is named after: the fewest that do.

    Args:
        mass: [F, property], the share of a feature's activation on tokens with a property.
        hits: [F, property], on how many of these tokens it is active; count: [property], of how
            many.
        kinds: properties of which a token has one at most.
    """
    found: dict[int, list[int]] = {}
    for size in range(1, _MOST_TOGETHER + 1):
        best = torch.zeros(len(mass))
        which = torch.zeros(len(mass), size, dtype=torch.int64)
        for kind in kinds if size > 1 else [list(range(len(count)))]:
            columns = torch.tensor(kind)
            if len(columns) < size:
                continue
            if size == 1:
                f1 = _f1(mass, hits / count.clamp(min=1))
                value, top = f1.max(1)
                top = top[:, None]
            else:
                top = columns[mass[:, columns].topk(size).indices]
                precision = mass.gather(1, top).sum(1)
                recall = hits.gather(1, top).sum(1) / count[top].sum(1).clamp(min=1)
                value = _f1(precision, recall)
            better = value > best
            best[better], which[better] = value[better], top[better]
        for feature in torch.nonzero(best >= _LEAST_F1).flatten().tolist():
            found.setdefault(feature, which[feature].tolist())
    return found


def _f1(precision: Tensor, recall: Tensor) -> Tensor:
    """0 where less than half of a feature's activation is covered."""
    f1 = 2 * precision * recall / (precision + recall).clamp(min=1e-9)
    return f1.masked_fill(precision < _LEAST_PRECISION, 0)


def _kinds(texts: list[str]) -> list[list[int]]:
    """Properties that exclude each other, by their place in `texts`."""
    kinds: dict[str, list[int]] = defaultdict(list)
    for index, text in enumerate(texts):
        if text.startswith("“"):
            kinds["two tokens" if "” “" in text else "token"].append(index)
        elif text in STATES or text in CITIES:
            kinds["state" if text in STATES else "city"].append(index)
        else:
            start = next((start for start in _STARTS if text.startswith(start)), None)
            if start is not None:
                kinds[start].append(index)
    return list(kinds.values())


def _together(texts: list[str]) -> str:
    """ "asks about texas", "asks about ohio" -> "asks about texas or ohio"."""
    for start in _STARTS:
        if all(text.startswith(start) for text in texts):
            return start + " or ".join(text.removeprefix(start) for text in texts)
    return " or ".join(texts)


def sample(network: Llama, encoder: Encoder, layers: CrossLayer, seed: int) -> Sample:
    """Tokens of training documents (BOS left out)."""
    chosen = sorted(islice(documents(seed), _DOCUMENTS), key=lambda d: len(encoder.row(d).ids))
    found: list[list[str]] = []
    parts: list[list[Tensor]] = [[] for _ in layers.layers]
    for start in range(0, len(chosen), 250):
        some = chosen[start : start + 250]
        ids = padded([encoder.row(document) for document in some])
        real = ids != 0
        real[:, 0] = False
        x, _ = mlp_activations(network, ids)
        for layer, inputs in enumerate(x):
            parts[layer].append(layers.encode(layer, inputs[real]).to_sparse())
        for document in some:
            found += properties(document, encoder)
    return Sample(found, [torch.cat(rows).coalesce() for rows in parts])


def properties(document: Document, encoder: Encoder) -> Iterator[list[str]]:
    """What is true of each token of a document, BOS left out."""
    row = encoder.row(document)
    tokens = [_word(token) for token in encoder.tokenizer.convert_ids_to_tokens(row.ids)]
    answers: dict[int, Answer] = {}
    position = 1
    for part in document.parts:
        if isinstance(part, Answer):
            answers[position] = part
        position += len(encoder.ids(part if isinstance(part, str) else part.text))
    for at in range(1, len(tokens)):
        held = [tokens[at], f"task: {document.task}"]
        if at > 1:
            held.append(f"{tokens[at - 1]} {tokens[at]}")
        if document.name and at == row.last:
            held += [owner_of(document.name), document.name, "end of a name"]
        elif document.name and row.first <= at < row.last:
            held.append("inside a name")
        if answer := answers.get(at + 1):
            held += [f"says {tokens[at + 1]}", "before an answer"]
            if answer.relation and document.name:
                held.append(f"asks for the {answer.relation}")
                held.append(f"asks about {owner_of(document.name)}")
        elif at + 1 < len(tokens):
            held.append(f"says {tokens[at + 1]}")
        yield held


def _word(token: str) -> str:
    """As rules write it."""
    return quoted(f"{GOES_ON}{token.removeprefix('##')}" if token.startswith("##") else token)


def _indicator(rows: list[list[str]], known: dict[str, int]) -> Tensor:
    """[token, property], 1 where a token has a property."""
    pairs = [(i, known[text]) for i, row in enumerate(rows) for text in row if text in known]
    index = torch.tensor(sorted(set(pairs))).T
    return torch.sparse_coo_tensor(index, torch.ones(index.shape[1]), (len(rows), len(known)))


def _ones(acts: Tensor) -> Tensor:
    return torch.sparse_coo_tensor(acts.indices(), torch.ones_like(acts.values()), acts.shape)
