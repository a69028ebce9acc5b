"""Makes the organism: python -m interp_widgets.labs.organism train --to FOLDER

Parts, in order; each reads what the earlier ones left in the folder:

    corpus   the tokenizer and a sample of the corpus           seconds
    model    the network                                        25 minutes on one core
    clt      the cross-layer transcoder                         15 minutes
    finetune its last steps, and the labels                     10 minutes
    index    where every feature is active on new documents     seconds
    gates    all measurements, printed and in gates.json        8 minutes
    card     the data card and the licence notes                seconds
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

PARTS = ("corpus", "model", "clt", "finetune", "index", "gates", "card")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m interp_widgets.labs.organism",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=["train"])
    parser.add_argument("--to", type=Path, default=Path("organism"), help="the folder to write")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--steps", type=int, help="of the model; the recipe's otherwise")
    parser.add_argument("--clt-steps", type=int, help="of the transcoder; the recipe's otherwise")
    parser.add_argument("--threads", type=int, default=1, help="1 made what ships")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for part in PARTS:
        if part in options.parts:
            start = time.monotonic()
            print(f"{part} ...", flush=True)
            _run(part, options)
            print(f"{part} took {(time.monotonic() - start) / 60:.1f} minutes", flush=True)


def _run(part: str, options: argparse.Namespace) -> None:
    from dataclasses import replace

    from . import (
        card,
        corpus,
        finetuning,
        folder,
        gates,
        indexing,
        labelling,
        naming,
        replacement,
        swaps,
        training,
    )
    from .documents import Encoder

    to: Path = options.to
    if part == "corpus":
        folder.write_tokenizer(corpus.build_tokenizer(), to)
        return
    tokenizer = folder.read_tokenizer(to)
    encoder = Encoder(tokenizer)
    if part == "model":
        recipe = training.Recipe()
        if options.steps:
            recipe = replace(recipe, steps=options.steps)
        folder.write_model(training.train(tokenizer, recipe, _say), tokenizer, to)
    elif part == "clt":
        network = folder.read_model(to)
        clt = replacement.Recipe()
        if options.clt_steps:
            clt = replace(clt, steps=options.clt_steps)
        folder.write_dictionary(replacement.train(network, encoder, clt, _say), to)
    elif part == "finetune":
        network, trained = folder.read_model(to), folder.read_dictionary(to)
        tuned = finetuning.finetune(network, encoder, trained, finetuning.Recipe(), _say)
        folder.write_dictionary(tuned, to)
        folder.write_names(naming.names(network, encoder, folder.read_dictionary(to)), to)
    elif part == "index":
        print(indexing.write(to))
    elif part == "gates":
        network = folder.read_model(to)
        measured = gates.model_gates(network, encoder)
        if (to / "dictionary").is_dir():
            measured += swaps.dictionary_gates(network, encoder, folder.read_dictionary(to))
            measured += labelling.gates(to, _say)
        print(gates.table(measured))
        folder.write_gates(measured, to)
    else:
        card.write(to)


def _say(line: str) -> None:
    print(f"  {line}", flush=True)


if __name__ == "__main__":
    main()
