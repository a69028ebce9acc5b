"""SAE, transcoder, skip transcoder and cross-layer transcoder on the same tokens, with controls.

    python benchmarks/dictionaries.py                      # one layer of SmolLM2
    python benchmarks/dictionaries.py --model organism     # all layers of the small model

All are TopK with the same k, trained here on the same vectors in the same order for the same number
of tokens, and measured on text that none of them has seen. For a model of at most 8 layers all
layers are replaced at once, by transcoders, skip transcoders and a cross-layer transcoder; for
others one layer, by an SAE of the MLP's output, a transcoder and a skip transcoder.

The text is the reference manual that comes with every Python (`pydoc_data.topics`), about 110,000
tokens, the organism's own corpus, or a file that you name.
"""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path
from pydoc_data.topics import topics

from cases import meter

import interp_widgets as iw
from interp_widgets.dictionaries import CrossLayerTranscoder, SparseCoder, Transcoders
from interp_widgets.dictionaries.metrics import Comparison, compare
from interp_widgets.dictionaries.training import cross_layer, recipes, sae, transcoder
from interp_widgets.models import Model, Place

# Models up to this depth are compared with all layers replaced.
SHALLOW = 8
HELD_OUT, FITTED = 2_000, 20_000  # tokens measured on, and tokens that controls are fitted on


def main() -> None:
    options = _options()
    meter.one_thread()
    model = iw.load(options.model)
    learned, held_out = _text(model, options.text)
    shallow = model.n_layers <= SHALLOW
    layers = range(model.n_layers) if shallow else [options.layer]
    k = recipes.TopK(options.k, dead_after=options.tokens // 4)
    specs = [
        make
        for layer in layers
        for make in (
            transcoder(layer, options.features, k, name=f"transcoder {layer}"),
            transcoder(layer, options.features, k, skip=True, name=f"skip {layer}"),
        )
    ]
    if shallow:
        specs.append(cross_layer(model.n_layers, options.features, k, reads="mlp_in", name="CLT"))
    else:
        specs.append(sae(Place(options.layer, "mlp_out"), options.features, k, name="SAE"))
    print(f"{meter.machine()}\n{model}")
    print(f"{options.tokens} tokens, {options.features} features per layer, k = {options.k}")
    with meter.measured() as cost:
        training = iw.train(
            model, specs, learned, tokens=options.tokens, batch=options.batch, lr=options.lr
        ).wait()
    print(f"trained {len(specs)} dictionaries in {cost.cpu:.0f} s of CPU time")

    found: dict[str, SparseCoder | Transcoders | CrossLayerTranscoder]
    found = {name: training.dictionary(name) for name in training.names}
    if shallow:
        both = {"transcoders": "transcoder", "skip transcoders": "skip"}
        sets = {
            name: Transcoders.of([found.pop(f"{kind} {layer}") for layer in layers], name)  # type: ignore[misc]
            for name, kind in both.items()
        }
        found = {**sets, **found}
    fitting = _first(model, learned, FITTED)
    with meter.measured() as cost:
        table = compare(model, found, _first(model, held_out, HELD_OUT), fitting=fitting)
    print(table)
    print(f"measured in {cost.cpu:.0f} s of CPU time")
    if shallow:
        _by_layer(table, list(found))


def _by_layer(table: Comparison, names: list[str]) -> None:
    print("\nFVU layer by layer")
    for row in table.rows:
        if row.name in names or row.name.startswith(("PCA", "linear map")):
            numbers = "  ".join(f"{layer.fvu.value:.3f}" for layer in row.layers)
            print(f"  {row.name:<20} {numbers}")


def _text(model: Model, path: Path | None) -> tuple[list[str], list[str]]:
    """Documents to learn from, and others to measure on."""
    if path is not None:
        documents = path.read_text(encoding="utf-8").split("\n\n")
    elif model.name == "organism":
        from interp_widgets.labs.organism import corpus

        documents = [str(document) for document in islice(corpus.documents(seed=1), 40_000)]
    else:
        documents = [topic for _, topic in sorted(topics.items())]
    fifth = slice(0, None, 5)
    held_out = documents[fifth]
    return [d for i, d in enumerate(documents) if i % 5], held_out


def _first(model: Model, documents: list[str], tokens: int) -> list[str]:
    """The first documents that make so many tokens."""
    chosen, n = [], 0
    for document in documents:
        if n >= tokens:
            break
        ids = model.tokenizer(document, add_special_tokens=False)["input_ids"][: tokens - n]
        chosen.append(model.tokenizer.decode(ids))
        n += len(ids)
    return chosen


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2-q4")
    parser.add_argument("--layer", type=int, default=3, help="of a model with many layers")
    parser.add_argument("--features", type=int, default=2048, help="per layer")
    parser.add_argument("--k", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=200_000, help="to train on")
    parser.add_argument("--batch", type=int, default=512, help="tokens per step")
    parser.add_argument("--lr", type=float, default=1e-3, help="for a short training")
    parser.add_argument("--text", type=Path, help="a file with an empty line between documents")
    return parser.parse_args()


if __name__ == "__main__":
    main()
