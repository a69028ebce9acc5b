"""Names for the features, found by counting.

Every token of a sample of the corpus has a few properties: the state of the city whose name ends
there, the city, the token, the one before, the answer that comes next, the task. A feature is named
after the property that covers its activation best (F1 of: how much of its activation lies on
tokens with the property, and on how many of those tokens it is active), if at least half of its
activation lies there. On a second sample the name is scored by the area under the ROC curve, beside that of random features of the same layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...dictionaries import CrossLayerTranscoder
from ...dictionaries.labels import Label
from .corpus import documents
from .documents import Answer, Document, Encoder, owner_of
from .network import Llama
from .replacement import CrossLayer, mlp_activations
from .training import padded

SOURCE = "counted over the organism's corpus (labs/organism/naming.py)"
_DOCUMENTS = 5000
_LEAST_F1 = 0.4
_LEAST_PRECISION = 0.5
_CONTROLS = 8


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
    has_second = _indicator(second.properties, known).coalesce()
    rng = Random(0)
    found: dict[tuple[int, int], Label] = {}
    for layer, acts in enumerate(first.active):
        mass = torch.sparse.mm(acts.t(), has).to_dense()  # [F, property]
        hits = torch.sparse.mm(_ones(acts).t(), has).to_dense()
        precision = mass / torch.sparse.sum(acts, 0).to_dense().clamp(min=1e-9)[:, None]
        recall = hits / count.clamp(min=1)
        f1 = 2 * precision * recall / (precision + recall).clamp(min=1e-9)
        best, which = f1.masked_fill(precision < _LEAST_PRECISION, 0).max(1)
        values = second.active[layer].to_dense().numpy()
        for feature in torch.nonzero(best >= _LEAST_F1).flatten().tolist():
            index = int(which[feature])
            where = has_second.indices()[0, has_second.indices()[1] == index].numpy()
            if not len(where):
                continue
            mask = np.zeros(len(values), dtype=bool)
            mask[where] = True
            others = [rng.randrange(values.shape[1]) for _ in range(_CONTROLS)]
            control = sum(area(values[:, other], mask) for other in others) / _CONTROLS
            score = area(values[:, feature], mask)
            found[layer, feature] = Label(
                texts[index], round(score, 3), round(control, 3), len(values)
            )
    return found


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
    tokens = encoder.tokenizer.convert_ids_to_tokens(row.ids)
    answers: dict[int, Answer] = {}
    position = 1
    for part in document.parts:
        if isinstance(part, Answer):
            answers[position] = part
        position += len(encoder.ids(part if isinstance(part, str) else part.text))
    for at in range(1, len(tokens)):
        held = [f"“{tokens[at]}”", f"task: {document.task}"]
        if at > 1:
            held.append(f"“{tokens[at - 1]} {tokens[at]}”")
        if document.name and at == row.last:
            held += [owner_of(document.name), document.name, "end of a name"]
        elif document.name and row.first <= at < row.last:
            held.append("inside a name")
        if answer := answers.get(at + 1):
            held += [f"says {answer.text}", "before an answer"]
            if answer.relation and document.name:
                held.append(f"asks for the {answer.relation}")
                held.append(f"asks about {owner_of(document.name)}")
        elif at + 1 < len(tokens):
            held.append(f"says {tokens[at + 1]}")
        yield held


def area(values: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    """Area under the ROC curve of values as a test for the mask; ties count half."""
    _distinct, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    rank = np.cumsum(counts) - (counts - 1) / 2  # mean rank of each distinct value, from 1
    inside = int(mask.sum())
    total = rank[inverse[mask]].sum()
    return float((total - inside * (inside + 1) / 2) / (inside * (len(mask) - inside)))


def _indicator(rows: list[list[str]], known: dict[str, int]) -> Tensor:
    """[token, property], 1 where a token has a property."""
    pairs = [(i, known[text]) for i, row in enumerate(rows) for text in row if text in known]
    index = torch.tensor(sorted(set(pairs))).T
    return torch.sparse_coo_tensor(index, torch.ones(index.shape[1]), (len(rows), len(known)))


def _ones(acts: Tensor) -> Tensor:
    return torch.sparse_coo_tensor(acts.indices(), torch.ones_like(acts.values()), acts.shape)
