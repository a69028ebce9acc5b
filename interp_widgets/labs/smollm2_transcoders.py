"""Skip transcoders of SmolLM2-135M: text, training, judgement, publication.

    python -m interp_widgets.labs.smollm2_transcoders text            documents to learn from
    python -m interp_widgets.labs.smollm2_transcoders train           all 30 layers, or --layers
    python -m interp_widgets.labs.smollm2_transcoders publish         int8 files and their card

Everything lies in one folder (--folder). Each part can be repeated; an interrupted `train` goes on
where it was. With few tokens (a CPU) the activations of --stored tokens are computed once and read
several times; without --stored they are computed as they are needed (a GPU).

The text: what the model itself writes, half of it as conversations of which it writes both sides
(Xu et al. 2024, "Magpie"), so that it is what the model was made for; and two free texts from
Debian packages, Jane Austen's novels (r-cran-janeaustenr; public domain) and WordNet's glosses
(wordnet-base; WordNet licence). One document in twenty is held out, for `publish` to judge by.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import struct
import subprocess
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from interp_widgets.dictionaries import Transcoders, save
from interp_widgets.dictionaries import load as load_dictionary
from interp_widgets.dictionaries.coder import SparseCoder
from interp_widgets.dictionaries.metrics import Metrics, judge
from interp_widgets.dictionaries.training import (
    ActivationStore,
    Training,
    checkpoint,
    recipes,
    store_activations,
    train,
    transcoder,
)
from interp_widgets.models import Model, Place, load

PACKAGES = ("r-cran-janeaustenr", "wordnet-base")
FEATURES, K = 2048, 32
CONTEXT, BATCH = 128, 1024
ENOUGH = 15_000_000  # tokens
HELD_OUT = 20  # one document of so many
SEED = 0


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m interp_widgets.labs.smollm2_transcoders")
    parser.add_argument("--folder", type=Path, default=Path("smollm2-transcoders"))
    parser.add_argument("--model", default="smollm2", help="a name, folder or id")
    parts = parser.add_subparsers(dest="part", required=True)
    text = parts.add_parser("text", help="write documents to learn from and to judge by")
    text.add_argument("--generate", type=int, default=100_000, help="tokens the model writes")
    text.add_argument("--packages", type=Path, help="folder with the .deb files (else apt-get)")
    text.add_argument("--words", type=int, default=400_000, help="of each free text")
    learn = parts.add_parser("train", help="train, or go on")
    learn.add_argument("--layers", help="such as 0,6,12; default: all")
    learn.add_argument("--tokens", type=int, default=20_000_000, help="to train on")
    learn.add_argument("--stored", type=int, help="compute the activations of so many once")
    publish = parts.add_parser("publish", help="judge on held-out text and write int8 files")
    publish.add_argument("--judge", type=int, default=4000, help="held-out tokens")
    options = parser.parse_args(arguments)
    model = load(options.model)
    if options.part == "text":
        write_text(model, options.folder, options.generate, options.words, options.packages)
    elif options.part == "train":
        layers = [int(n) for n in options.layers.split(",")] if options.layers else None
        train_all(
            model, options.folder, layers or range(model.n_layers), options.tokens, options.stored
        )
    else:
        publish_all(model, options.folder, options.judge)


# --- text -----------------------------------------------------------------------------------


def write_text(
    model: Model, folder: Path, generate: int, words: int, packages: Path | None
) -> None:
    """train.jsonl, held_out.jsonl and sources.json in `folder`/text."""
    sources: dict[str, list[str]] = {"generated": list(generated(model, generate))}
    for name, documents in free_texts(packages):  # from a folder that goes with the generator
        sources[name] = []
        left = words
        for document in documents:
            if left <= 0:
                break
            sources[name].append(document)
            left -= len(document.split())
    if len(sources) == 1:
        print("No free texts: neither a folder with the packages nor apt-get has them.")
    everything = [(name, text) for name, texts in sources.items() for text in texts]
    random.Random(SEED).shuffle(everything)
    target = folder / "text"
    target.mkdir(parents=True, exist_ok=True)
    held_out, kept = (
        everything[::HELD_OUT],
        [pair for i, pair in enumerate(everything) if i % HELD_OUT],
    )
    for part, pairs in (("held_out", held_out), ("train", kept)):
        lines = (json.dumps({"source": name, "text": text}) for name, text in pairs)
        (target / f"{part}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    counts = {name: sum(len(text.split()) for text in texts) for name, texts in sources.items()}
    (target / "sources.json").write_text(json.dumps(counts, indent=1) + "\n")
    print(f"{len(everything):,} documents; words: {counts}")


def generated(model: Model, tokens: int, batch: int = 48, length: int = 192) -> Iterator[str]:
    """Documents that the model samples; every second one a conversation."""
    random = torch.Generator(model.device).manual_seed(SEED)
    done = 0
    while done < tokens:
        # Both sides of a conversation: the end of a turn does not end the document.
        for front in ("<|endoftext|>", "<|im_start|>user\n"):
            start = model.tokenizer(front, add_special_tokens=False)["input_ids"]
            n = min(batch, -(-(tokens - done) // length))
            if n < 1:
                return
            rows = _sample(model, torch.tensor([start] * n), length, random)
            for row in rows.tolist():
                yield model.tokenizer.decode(row).removeprefix("<|endoftext|>")
            done += rows.numel()
            print(f"generated {done:,} of {tokens:,} tokens", flush=True)


@torch.no_grad()
def _sample(model: Model, ids: Tensor, length: int, random: torch.Generator) -> Tensor:
    """`ids` [row, position], continued by `length` tokens at temperature 1 from the 200 likeliest."""
    ids = ids.to(model.device)
    new, past = ids, None
    for _ in range(length):
        with model.lock:
            out = model.hf(input_ids=new, past_key_values=past, use_cache=True, logits_to_keep=1)
        likely = out.logits[:, -1].float().topk(200)
        drawn = torch.multinomial(likely.values.softmax(-1), 1, generator=random)
        new, past = likely.indices.gather(1, drawn), out.past_key_values
        ids = torch.cat([ids, new], dim=1)
    return ids


def free_texts(packages: Path | None) -> Iterator[tuple[str, Iterator[str]]]:
    """(name, documents) of each free text that can be had."""
    if shutil.which("dpkg-deb") is None:
        return
    with tempfile.TemporaryDirectory() as work:
        if packages is None and shutil.which("apt-get"):
            packages = Path(work)
            for name in PACKAGES:
                subprocess.run(["apt-get", "download", name], cwd=work, capture_output=True)
        for file in sorted(packages.glob("*.deb")) if packages else []:
            subprocess.run(["dpkg-deb", "-x", str(file), f"{work}/out"], check=True)
        root = Path(work) / "out/usr"
        novels = root / "lib/R/site-library/janeaustenr/data/Rdata.rdb"
        if novels.is_file():
            yield "Jane Austen", _paragraphs(_r_strings(novels.read_bytes()))
        glosses = [root / f"share/wordnet/data.{kind}" for kind in ("noun", "verb", "adj", "adv")]
        if all(file.is_file() for file in glosses):
            yield "WordNet", _glosses(glosses)


def _r_strings(data: bytes) -> Iterator[str]:
    """The lines of all books: an R lazy-load file of zlib streams, each a serialised vector."""
    while data:
        stream = zlib.decompressobj()
        vector = stream.decompress(data[4:])
        data = stream.unused_data
        at = 14 + 4 + struct.unpack_from(">I", vector, 14)[0]  # version 3 names its encoding
        kind, count = struct.unpack_from(">II", vector, at)
        if kind & 255 != 16:  # a vector of strings
            continue
        at += 8
        for _ in range(count):
            length = struct.unpack_from(">i", vector, at + 4)[0]
            at += 8
            if length >= 0:
                yield vector[at : at + length].decode("utf-8", "replace")
                at += length


def _paragraphs(lines: Iterator[str], words: int = 300) -> Iterator[str]:
    """Documents of whole paragraphs, of at least so many words."""
    paragraphs: list[str] = []
    current: list[str] = []
    for line in lines:
        if line.strip():
            current.append(line.strip())
            continue
        if current:
            paragraphs.append(" ".join(current))
            current = []
        if sum(len(p.split()) for p in paragraphs) >= words:
            yield "\n\n".join(paragraphs)
            paragraphs = []


def _glosses(files: list[Path], at_once: int = 20) -> Iterator[str]:
    """Documents of definitions, "word, word: gloss", drawn from all over WordNet."""
    found = []
    for file in files:
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("  "):
                continue  # the licence
            data, _, gloss = line.partition("|")
            fields = data.split()
            names = [fields[4 + 2 * i].replace("_", " ") for i in range(int(fields[3], 16))]
            found.append(f"{', '.join(names)}: {gloss.strip()}")
    random.Random(SEED).shuffle(found)
    for i in range(0, len(found), at_once):
        yield "\n".join(found[i : i + at_once])


# --- training -------------------------------------------------------------------------------


def train_all(
    model: Model, folder: Path, layers: list[int] | range, tokens: int, stored: int | None
) -> None:
    """Train, or go on, and print a line now and then."""
    text: Path | ActivationStore = folder / "text/train.jsonl"
    specs = [
        transcoder(
            layer,
            FEATURES,
            recipes.TopK(K, dead_after=min(10_000_000, max(50_000, tokens // 10))),
            skip=True,
            name=f"layer {layer}",
        )
        for layer in layers
    ]
    if stored is not None:
        text = _stored(model, folder, layers, stored)
    to = folder / "training"
    if list(to.glob("checkpoint-*.safetensors")):
        training = Training.resume_from(to, model, text)
    else:
        training = train(
            model, specs, text, tokens=tokens, batch=BATCH, context=CONTEXT, seed=SEED, to=to
        )
    _follow(training)


def _stored(model: Model, folder: Path, layers: list[int] | range, tokens: int) -> ActivationStore:
    target = folder / "activations"
    if not (target / "config.json").exists():
        shutil.rmtree(target, ignore_errors=True)  # of a run that was broken off
        places = [Place(layer, site) for layer in layers for site in ("mlp_in", "mlp_out")]
        store_activations(
            model,
            places,
            folder / "text/train.jsonl",
            target,
            tokens=tokens,
            context=CONTEXT,
            dtype=torch.bfloat16,
            progress=lambda share, message: print(
                f"activations {share:.1%}: {message}", flush=True
            ),
        )
    return ActivationStore(target)


def _follow(training: Training) -> None:
    while training.state == "computing":
        with suppress(TimeoutError):
            training.wait(timeout=30)
        now = {n: h["fvu"][-20:].mean() for n, h in training.history.items() if len(h["fvu"])}
        numbers = ", ".join(f"{name} {fvu:.3f}" for name, fvu in now.items())
        print(
            f"{training.progress[1]} {training.tokens_per_second:,.0f} tokens/s; FVU {numbers}",
            flush=True,
        )
    training.wait()


# --- publication ----------------------------------------------------------------------------


def publish_all(model: Model, folder: Path, judge_tokens: int) -> None:
    """int8 files, metrics.json and README.md in `folder`/published.

    A folder for each layer; or one for all, if all layers of the model were trained.
    """
    text = list(_held_out(model, folder, judge_tokens))
    saved = checkpoint.read(folder / "training")
    part = folder / "published.part"
    shutil.rmtree(part, ignore_errors=True)
    coders, rows = [], []
    with tempfile.TemporaryDirectory() as work:
        for name, coder in Training.dictionaries_in(folder / "training").items():
            assert isinstance(coder, SparseCoder)
            coder = replace(coder, scan=f"smollm2 skip transcoder, {name}")
            # Judged is what others will load: the rounded weights.
            save(coder, f"{work}/{name}", dtype="int8")
            metrics = judge(model, load_dictionary(f"{work}/{name}"), text, context=CONTEXT)
            print(metrics, flush=True)
            declared = {"fvu": metrics.fvu.value, "ce_recovered": metrics.ce_recovered.value}
            coders.append(replace(coder, declared=declared | {"l0": float(K)}))
            rows.append(metrics)
    if len(coders) == model.n_layers:
        save(Transcoders.of(coders, "smollm2 skip transcoders"), part / "all_layers", dtype="int8")
    else:
        for coder in coders:
            save(coder, part / f"layer_{coder.reads.layer}", dtype="int8")
    plan = saved.about["plan"]
    seen = int(saved.about["step"]) * int(plan["batch"])
    distinct = ActivationStore(folder / "activations").tokens if plan["store"] else seen
    numbers = [row.to_dict() | {"density": None} for row in rows]
    (part / "metrics.json").write_text(json.dumps(numbers, indent=1) + "\n")
    sources = json.loads((folder / "text/sources.json").read_text())
    (part / "README.md").write_text(_card(model, rows, seen, min(seen, distinct), sources))
    shutil.rmtree(folder / "published", ignore_errors=True)
    part.rename(folder / "published")


def _held_out(model: Model, folder: Path, tokens: int) -> Iterator[str]:
    for line in (folder / "text/held_out.jsonl").read_text(encoding="utf-8").splitlines():
        text = json.loads(line)["text"]
        tokens -= len(model.tokenizer(text)["input_ids"])
        yield text
        if tokens < 0:
            return


def _card(
    model: Model, rows: list[Metrics], seen: int, distinct: int, sources: dict[str, int]
) -> str:
    table = "\n".join(
        f"| {row.places} | {row.fvu} | {row.layers[0].l0:.1f} | {row.ce_model:.3f} "
        f"| {row.ce_replaced:.3f} | {row.ce_zero:.3f} | {row.ce_recovered} "
        f"| {row.ce_recovered_mean} | {row.agreement} |"
        for row in rows
    )
    few = ""
    if distinct < ENOUGH:
        few = f"; that is few, dictionaries of this size need about {ENOUGH:,}"
    words = "; ".join(f"{name}, {count:,} words" for name, count in sources.items())
    return f"""# Skip transcoders of SmolLM2-135M

One TopK skip transcoder per layer (mlp_in to mlp_out), {FEATURES:,} features, k = {K}, int8 with one
scale per row. Trained by `python -m interp_widgets.labs.smollm2_transcoders`, seed {SEED}, on {seen:,}
tokens, of which {distinct:,} distinct{few}.

Model: {model.name} ({model.origin}).
Text: drawn from {words}. "generated" is the model's own; one document in {HELD_OUT} was held out.

Measured on {rows[0].n_tokens:,} held-out tokens with the int8 weights, ± standard error. Cross entropy in
nats with this one layer's MLP output replaced; recovered: against zeros, and against the mean, in its place.

| place | FVU | L0 | CE model | CE replaced | CE zero | recovered (zero) | recovered (mean) | same next token |
|---|---|---|---|---|---|---|---|---|
{table}

## Licences
Weights: derived from SmolLM2-135M (Apache-2.0). Text: Jane Austen's novels are in the public domain (from the
package janeaustenr, MIT); WordNet 3.0, copyright 2006 by Princeton University, used under the WordNet licence.
"""


if __name__ == "__main__":
    main()
