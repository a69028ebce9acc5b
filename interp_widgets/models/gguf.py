"""A GGUF file -> a folder of safetensors, a config and a tokenizer that transformers loads.

transformers does the reading: it knows each family's tensor names and undoes llama.cpp's
permutation of the query and key rows. This file adds what it leaves to chance: the file is
checked first (a damaged one gives a sentence, not an IndexError), weights stay dense and exact,
a model of which the file holds only a part is refused, and text is split into words as the
vocabulary was trained on.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch

from .cache import Origin, Progress, build_once, check_room, without_bars
from .errors import ModelError

DIGIT_BY_DIGIT = {
    "smollm",
    "starcoder",
    "refact",
    "command-r",
    "codeshell",
    "exaone",
    "minerva-7b",
}
"""`tokenizer.ggml.pre` of vocabularies that see every digit apart, as llama.cpp lists them.

transformers 5.23 does not know these and splits them like GPT-2, which differs wherever blanks
come before a digit: "\\n\\n1" would be three tokens instead of two.
"""

LIKE_GPT2 = {"gpt-2", "gpt2", "default", "mpt", "olmo", "jais", "trillion", "granite-docling"}


@dataclass(frozen=True)
class Header:
    """What a GGUF file says about itself, before its weights are read."""

    fields: dict[str, Any]
    n_values: int
    types: tuple[str, ...]
    has_rope_factors: bool


def from_gguf(file: Path, report: Progress) -> tuple[Path, Origin]:
    """The folder of converted weights for a GGUF file, from the cache or made now.

    Raises ModelError for a damaged file, an architecture that transformers cannot read from
    GGUF, a short disk or an unwritable cache. The file itself is never touched.
    """
    sha256 = sha256_of(file, report)

    def build(work: Path, weights: Path) -> Origin:
        encoding, notes = convert(file, weights, report)
        return Origin(f"GGUF file {file.name}", encoding, sha256, notes)

    return build_once(sha256, build, report)


def convert(file: Path, folder: Path, report: Progress) -> tuple[str, tuple[str, ...]]:
    """Write `file` as safetensors into `folder`; returns the encoding in words, and notes.

    Values are kept exactly: in float32, or in float16 or bfloat16 where every one of them fits.

    Raises ModelError as `from_gguf` does.
    """
    import transformers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    report(f"Reading {file.name}", 0.0)
    header = read_header(file)
    check_room(folder, 4 * header.n_values + 64_000_000, f"Converting {file.name}")
    report(f"Converting {file.name}", 0.1)
    where: dict[str, Any] = {"gguf_file": file.name, "local_files_only": True}
    options: dict[str, Any] = dict(where)
    if hasattr(transformers, "GgufConfig"):
        # Otherwise weights may stay packed, to be multiplied by a kernel fetched from the hub.
        options["quantization_config"] = transformers.GgufConfig(dequantize=True)
    try:
        with without_bars():
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                file.parent, dtype="float32", output_loading_info=True, **options
            )
            hf, loading = loaded
            tokenizer = AutoTokenizer.from_pretrained(file.parent, **where)
    except (OSError, MemoryError):
        raise
    except Exception as error:
        raise ModelError(
            f"transformers {transformers.__version__} cannot read {file.name} "
            f"(architecture {header.fields.get('general.architecture')!r}): {_first_line(error)} "
            "Load the model's original safetensors instead."
        ) from error
    if missing := sorted(loading["missing_keys"]):
        raise ModelError(
            f"{file.name} holds no values for {len(missing)} tensors of its model, the first is "
            f"{missing[0]}. It may be one part of a split file: join the parts with "
            "`llama-gguf-split --merge`, or load the original safetensors."
        )

    notes = [*_set_digits(tokenizer, header), *_compare_tokenizer(tokenizer, header)]
    notes += _compare_weights(hf, header)
    report(f"Saving {file.name} as safetensors", 0.7)
    hf.hf_quantizer = None  # else save_pretrained refuses
    for leftover in ("quantization_config", "_model_name_or_path"):
        if hasattr(hf.config, leftover):
            delattr(hf.config, leftover)
    dtype = _smallest_exact(hf, header)
    with without_bars():
        hf.to(dtype).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    _forget_how_it_was_loaded(folder / "tokenizer_config.json")
    report(f"Saving {file.name} as safetensors", 1.0)
    encoding = f"{' + '.join(header.types)} stored as {str(dtype).removeprefix('torch.')}"
    return encoding, tuple(notes)


def read_header(file: Path) -> Header:
    """Metadata and tensor list of a GGUF file.

    Raises ModelError where the file is not GGUF, ends early or contradicts itself.
    """
    try:
        reader = _Reader(file)
    except (ValueError, IndexError, KeyError, OverflowError, TypeError) as error:
        raise ModelError(
            f"{file} is damaged or not a GGUF file ({_first_line(error)}). Download it again and "
            "compare its SHA-256 with the publisher's."
        ) from error
    names = [tensor.name for tensor in reader.tensors]
    weights = [tensor for tensor in reader.tensors if not tensor.name.startswith("rope_freqs")]
    if not weights or "general.architecture" not in reader.fields:
        raise ModelError(f"{file} is a GGUF file without weights: only a vocabulary or metadata.")
    return Header(
        fields={name: field.contents() for name, field in reader.fields.items()},
        n_values=sum(int(tensor.n_elements) for tensor in weights),
        types=tuple(sorted({tensor.tensor_type.name for tensor in weights})),
        has_rope_factors=any(name.startswith("rope_freqs") for name in names),
    )


def sha256_of(file: Path, report: Progress) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    size = max(file.stat().st_size, 1)
    done = 0
    with file.open("rb") as stream:
        while block := stream.read(1 << 24):
            digest.update(block)
            done += len(block)
            if size > 1 << 28:  # below that, shorter than a bar takes to appear
                report(f"Checking {file.name}", done / size)
    return digest.hexdigest()


class _Reader(gguf.GGUFReader):
    """A reader that stops at the end of the file.

    The original slices past the end without a word, so a damaged count loops for ages.
    """

    def _get(self, offset: int, dtype: Any, count: int = 1, override_order: Any = None) -> Any:
        end = int(offset) + np.dtype(dtype).itemsize * int(count)
        if end > len(self.data):
            raise ValueError(f"it ends at byte {len(self.data)}, {end} are announced")
        return super()._get(offset, dtype, count, override_order)


def _set_digits(tokenizer: Any, header: Header) -> list[str]:
    """Split text as the file's vocabulary expects; a note where that is not known."""
    from tokenizers import pre_tokenizers

    backend = getattr(tokenizer, "backend_tokenizer", None)
    if header.fields.get("tokenizer.ggml.model") != "gpt2" or backend is None:
        return []
    kind = header.fields.get("tokenizer.ggml.pre", "default")
    like_gpt2 = pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True)
    if kind in DIGIT_BY_DIGIT:
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), like_gpt2]
        )
    elif kind not in LIKE_GPT2 and str(backend.pre_tokenizer) == str(like_gpt2):
        return [f"text is split as for GPT-2, which may differ from this vocabulary's {kind!r}"]
    return []


def _compare_tokenizer(tokenizer: Any, header: Header) -> list[str]:
    """Notes on where the tokenizer differs from what the file says."""
    notes = []
    for name, key in (("bos", "bos"), ("eos", "eos"), ("pad", "padding"), ("unk", "unknown")):
        said = header.fields.get(f"tokenizer.ggml.{key}_token_id")
        have = getattr(tokenizer, f"{name}_token_id")
        if said is not None and said != have:
            notes.append(f"the file's {name} token is {said}, the tokenizer's is {have}")
    ids = tokenizer("a").input_ids
    begins = bool(ids) and ids[0] == tokenizer.bos_token_id
    wanted = header.fields.get("tokenizer.ggml.add_bos_token")
    if wanted is not None and bool(wanted) != begins:
        notes.append(f"the file {'wants' if wanted else 'forbids'} a bos token before a prompt")
    template = header.fields.get("tokenizer.chat_template")
    if template is not None and template != tokenizer.chat_template:
        notes.append("the chat template was not carried over")
    return notes


def _compare_weights(hf: Any, header: Header) -> list[str]:
    notes = []
    n_values = sum(parameter.numel() for parameter in hf.parameters())  # tied ones once
    if n_values != header.n_values:
        notes.append(f"the file holds {header.n_values:,} values, the model {n_values:,}")
    if header.has_rope_factors:
        notes.append("rotary frequency factors (rope_freqs) were not carried over")
    return notes


def _smallest_exact(hf: Any, header: Header) -> torch.dtype:
    """The smallest dtype that holds every value exactly."""
    # Dequantised values are scale * integer + offset: of SmolLM2's, half do not fit in float16.
    if set(header.types) <= {"F32", "F16", "BF16"}:
        for dtype in (torch.bfloat16, torch.float16):
            if all(torch.equal(p, p.to(dtype).to(p.dtype)) for p in hf.parameters()):
                return dtype
    return torch.float32


def _forget_how_it_was_loaded(config: Path) -> None:
    """transformers saves the arguments of its own call; they would bind later ones."""
    content = json.loads(config.read_text(encoding="utf-8"))
    for key in ("local_files_only", "is_local", "gguf_file"):
        content.pop(key, None)
    config.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__
