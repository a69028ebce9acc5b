"""The organism's folder: what `iw.load("organism")` loads, in Hugging Face's format.

    config.json, model.safetensors   LlamaForCausalLM, stored in float16
    tokenizer.json, ...              AutoTokenizer
    dictionary/                      the cross-layer transcoder, circuit-tracer's layout, float16,
                                     and labels.json, the names of its features
    index/                           where its features are active (indexing.py)
    gates.json, card.md              what was measured, and the data card made from it
    sample.txt                       documents that no training run sees, one per line
    LICENSE.md                       whose data is in it

Analysis runs in float32, and config.json says so: halves are for storage only.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from ...dictionaries import CrossLayerTranscoder, DictionaryError, load, save
from ...dictionaries.labels import Labels
from ...dictionaries.labels import write as write_labels
from ...files import write_whole
from .corpus import documents
from .documents import Document
from .gates import Gate
from .naming import SOURCE
from .network import Llama, Shape

WEIGHTS = Path(__file__).parent / "weights"
"""The organism that ships."""

_SAMPLE, _SAMPLE_SEED = 500, 77_777


def config(shape: Shape, tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=shape.vocab,
        hidden_size=shape.d_model,
        intermediate_size=shape.d_mlp,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=shape.context,
        rms_norm_eps=shape.norm_eps,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=None,
        pad_token_id=tokenizer.pad_token_id,
    )


def as_transformers(network: Llama, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """The same model in transformers: the same logits (tests/test_organism.py)."""
    model = LlamaForCausalLM(config(network.shape, tokenizer))
    model.model.load_state_dict(network.state_dict())
    model.tie_weights()
    return model.eval()


def write_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    def write(partial: Path) -> None:
        tokenizer.save_pretrained(partial)
        lines = (str(document) for document in sample())
        (partial / "sample.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")

    _into(folder, write)


def write_model(network: Llama, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    def write(partial: Path) -> None:
        as_transformers(network, tokenizer).half().save_pretrained(partial)
        path = partial / "config.json"
        stored = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(
            json.dumps(stored | {"dtype": "float32"}, indent=2) + "\n", encoding="utf-8"
        )
        (partial / "generation_config.json").unlink(missing_ok=True)

    _into(folder, write)


def read_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    return tokenizer


def read_model(folder: Path) -> Llama:
    """The network as it is stored, in float32."""
    stored = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    network = Llama(
        Shape(
            vocab=stored["vocab_size"],
            layers=stored["num_hidden_layers"],
            d_model=stored["hidden_size"],
            heads=stored["num_attention_heads"],
            d_mlp=stored["intermediate_size"],
            context=stored["max_position_embeddings"],
            rope_theta=stored["rope_parameters"]["rope_theta"],
            norm_eps=stored["rms_norm_eps"],
        )
    )
    tensors = load_file(folder / "model.safetensors")
    network.load_state_dict(
        {
            name.removeprefix("model."): tensor.float()
            for name, tensor in tensors.items()
            if name != "lm_head.weight"
        }
    )
    return network.eval()


def write_dictionary(dictionary: CrossLayerTranscoder, folder: Path) -> None:
    target = folder / "dictionary"
    if target.exists():
        shutil.rmtree(target)
    save(dictionary.to(dtype=torch.float16), target, "circuit-tracer")


def write_names(labels: Labels, folder: Path) -> None:
    write_labels(labels, folder / "dictionary", SOURCE)


def read_dictionary(folder: Path) -> CrossLayerTranscoder:
    found = load(folder / "dictionary")
    if not isinstance(found, CrossLayerTranscoder):
        raise DictionaryError(f"{folder / 'dictionary'} holds no cross-layer transcoder.")
    return found


def write_gates(gates: Iterable[Gate], folder: Path) -> None:
    """Adds to gates.json; gates of the same groups are measured anew."""
    new = [gate.as_json() for gate in gates]
    groups = {gate["group"] for gate in new}
    old = [gate for gate in read_gates(folder) if gate["group"] not in groups]
    lines = ",\n".join(json.dumps(gate) for gate in old + new)
    write_whole(folder / "gates.json", f"[\n{lines}\n]\n")


def read_gates(folder: Path) -> list[dict[str, object]]:
    path = folder / "gates.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []


def sample() -> list[Document]:
    """Training documents of a seed of their own: new sentences, and nothing held out."""
    return list(islice(documents(_SAMPLE_SEED), _SAMPLE))


def _into(folder: Path, write: Callable[[Path], None]) -> None:
    """What `write` puts into an empty folder is moved into `folder`, once all of it is there."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        write(Path(name))
        for path in Path(name).iterdir():
            # safetensors makes files that only their owner can read; follow the folder instead.
            path.chmod(folder.stat().st_mode & 0o666)
            os.replace(path, folder / path.name)
