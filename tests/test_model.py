"""The model: prompts, sentences for what is wrong, and runs that do not disturb one another."""

from __future__ import annotations

import inspect
import json
import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hub
from plain_runs import parts, see
from tiny_models import (
    CONTEXT,
    LAYERS,
    MODELS,
    PROMPT,
    VOCAB,
    dictionary,
    hugging_face,
    model,
    tokenizer,
)

from interp_widgets.attribution import OutOfMemory, memory
from interp_widgets.attribution.rows import EdgeRows
from interp_widgets.attribution.trace import trace
from interp_widgets.models import Model, ModelError, PromptError, Recording, load
from interp_widgets.models.anatomy import FAMILIES

BOS = 1


@pytest.fixture(scope="module")
def llama() -> Model:
    return model("llama grouped")


def same(a: Recording, b: Recording) -> bool:
    return all(
        torch.equal(x, y)
        for name in ("resid_pre", "resid_mid", "attn_out", "mlp_out", "patterns")
        for x, y in zip(getattr(a, name), getattr(b, name), strict=True)
    ) and torch.equal(a.logits, b.logits)


# Prompts


@pytest.mark.parametrize("prompt", ["w3 w9", [3, 9], torch.tensor([3, 9]), torch.tensor([[3, 9]]), np.array([3, 9])], ids=repr)  # fmt: skip
def test_a_prompt_is_text_or_token_ids_and_gets_a_special_token_in_front(
    llama: Model, prompt: Any
) -> None:
    assert llama.tokenize(prompt).tolist() == [BOS, 3, 9]


@pytest.mark.parametrize("prompt", ["<bos> w3", "<eos> w3", [BOS, 3], [2, 3]], ids=repr)
def test_a_prompt_that_begins_with_a_special_token_gets_no_second_one(
    llama: Model, prompt: Any
) -> None:
    assert llama.tokenize(prompt).tolist()[1:] == [3]


def test_a_word_that_is_unknown_is_no_special_token(llama: Model) -> None:
    assert llama.tokenizer.unk_token_id == 4
    assert llama.tokenize("nowhere w3").tolist() == [BOS, 4, 3]


@pytest.mark.parametrize(
    ("names", "first"),
    [
        (dict(bos_token="<pad>", pad_token="<bos>"), [0]),  # id 0 is an id, not "none"
        (dict(bos_token=None), [0]),  # padding
        (dict(bos_token=None, pad_token=None), [2]),  # end of text
        (dict(bos_token=None, pad_token=None, eos_token=None), [4]),  # whatever is special
        (dict(bos_token=None, pad_token=None, eos_token=None, unk_token=None), []),
    ],
    ids=["BOS has id 0", "no BOS", "no BOS, no padding", "only unknown", "nothing special"],
)
def test_the_token_in_front_is_bos_or_else_another_special_one(
    names: dict[str, Any], first: list[int]
) -> None:
    m = Model(hugging_face("llama grouped"), tokenizer(**names))
    assert m.tokenize("w5 w6").tolist() == [*first, 5, 6]
    assert m.record("w5 w6").n_positions == len(first) + 2


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        ("", "The prompt is empty"),
        (" \n\t", "The prompt is empty"),
        ([], "The prompt has no tokens"),
        (torch.empty(0, dtype=torch.int64), "The prompt has no tokens"),
        ([3, VOCAB], f"Token id {VOCAB} is outside the vocabulary (0 to {VOCAB - 1})"),
        ([-1], "Token id -1 is outside the vocabulary"),
        ([3.0, 4.5], "Token ids are whole numbers"),
        (["w3", "w9"], "A prompt is text or a sequence of token ids, not list"),
        (None, "A prompt is text or a sequence of token ids, not NoneType"),
        ([[3, 4], [5, 6]], "one prompt at a time"),
        (
            " ".join(["w3"] * (CONTEXT + 2)),
            f"The prompt has {CONTEXT + 3} tokens and tiny llama grouped reads at most {CONTEXT}: "
            f"shorten it by 3 tokens.",
        ),
    ],
    ids=lambda x: str(x)[:30],
)
def test_what_is_not_a_prompt_is_refused_in_a_sentence(
    llama: Model, prompt: Any, says: str
) -> None:
    for run in (llama.tokenize, llama.record, lambda p: trace(llama, p)):
        with pytest.raises(PromptError) as refused:
            run(prompt)
        assert says in str(refused.value)


def test_text_that_a_tokenizer_swallows_whole_is_an_empty_prompt(llama: Model) -> None:
    class Swallowing:
        def __call__(self, text: str, **options: Any) -> dict[str, list[int]]:
            return {"input_ids": []}

    m = model("llama grouped")
    m.tokenizer = Swallowing()
    with pytest.raises(PromptError, match="The prompt is empty"):
        m.tokenize("\u200b")


@pytest.mark.parametrize("name", MODELS)
def test_a_prompt_as_long_as_the_context_runs_and_one_more_token_does_not(name: str) -> None:
    m = model(name)
    assert m.record(" ".join(["w3"] * (CONTEXT - 1))).n_positions == CONTEXT
    with pytest.raises(PromptError, match="shorten it by 1 token"):
        m.record(" ".join(["w3"] * CONTEXT))


@pytest.mark.parametrize("units", ["features", "neurons"])
def test_a_prompt_of_one_special_token_has_a_graph_without_features(units: str) -> None:
    m = model("llama grouped")
    table = trace(m, [BOS], dictionary() if units == "features" else None)
    assert (table.kind == 0).sum() == 0
    outputs = table.kind == 3
    targets = np.repeat(np.arange(table.n_nodes), np.diff(table.ptr))
    total = np.bincount(targets, table.weight, minlength=table.n_nodes) + table.bias
    np.testing.assert_allclose(total[outputs], table.value[outputs], rtol=1e-4, atol=1e-5)


def test_a_recording_names_its_tokens_as_a_reader_sees_them(llama: Model) -> None:
    recording = llama.record("w3 w9")
    assert recording.prompt == "w3 w9"
    assert recording.tokens == ("<bos>", "w3", "w9")
    assert "w9" in llama.record([3, 9]).prompt


# What a run sees


@pytest.mark.parametrize("name", MODELS)
def test_a_recording_holds_what_plain_hooks_see(name: str) -> None:
    m = model(name)
    recording = m.record(PROMPT, neurons=True)
    seen = see(m.hf, recording.token_ids)
    close = dict(rtol=1e-5, atol=1e-5)
    assert recording.neurons is not None
    for layer in range(LAYERS):
        for found, expected in (
            (recording.resid_pre, seen.resid_pre),
            (recording.resid_mid, seen.inputs["hook_resid_mid"]),
            (recording.attn_out, seen.attn_out),
            (recording.mlp_out, seen.outputs["hook_mlp_out"]),
            (recording.mlp_raw, seen.outputs["mlp.hook_out"]),
            ([n.value for n in recording.neurons], seen.neurons),
            ([n.up for n in recording.neurons], seen.up),
        ):
            torch.testing.assert_close(found[layer], expected[layer], **close)
        rows = recording.patterns[layer].sum(-1)
        torch.testing.assert_close(rows, torch.ones_like(rows))
    torch.testing.assert_close(recording.embedding, seen.embedding, **close)
    torch.testing.assert_close(recording.logits, seen.logits[-1], **close)


def test_a_model_loaded_with_fast_attention_still_shows_its_patterns() -> None:
    hf = hugging_face("llama grouped")
    hf.set_attn_implementation("sdpa")
    plain = see(hf, torch.tensor([1, 3, 9])).logits[-1]
    recording = Model(hf, tokenizer()).record("w3 w9")
    assert all(p.shape == (4, 3, 3) for p in recording.patterns)
    torch.testing.assert_close(recording.logits, plain, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_a_half_precision_model_is_analysed_in_float32(dtype: torch.dtype) -> None:
    m = model("llama biased", dtype)
    recording = m.record(PROMPT)
    assert m.dtype == torch.float32
    assert recording.resid_mid[0].dtype == torch.float32
    table = trace(m, PROMPT, dictionary())
    targets = np.repeat(np.arange(table.n_nodes), np.diff(table.ptr))
    total = np.bincount(targets, table.weight, minlength=table.n_nodes) + table.bias
    known = ~np.isnan(table.value)
    largest = np.abs(table.value[known]).max()
    # The model's own rounding to 8 or 11 bits is all that may be missing.
    assert np.abs(total - table.value)[known].max() < 10 * torch.finfo(dtype).eps * largest


# What is wrong with a model


def test_an_unknown_family_is_named_with_those_that_are_known() -> None:
    config = hub.OPTConfig(
        vocab_size=VOCAB, hidden_size=16, ffn_dim=16, num_hidden_layers=1, num_attention_heads=2,
        word_embed_proj_dim=16, max_position_embeddings=16,
    )  # fmt: skip
    with pytest.raises(ModelError) as refused:
        Model(hub.OPTForCausalLM(config), tokenizer())
    sentence = str(refused.value)
    assert "'opt'" in sentence
    assert all(family in sentence for family in FAMILIES)
    assert "models/anatomy.py" in sentence


def test_a_known_family_without_an_unembedding_says_what_is_missing() -> None:
    hf = hub.LlamaForSequenceClassification(MODELS["llama grouped"]())
    with pytest.raises(ModelError, match="Looked for 'lm_head' in LlamaForSequenceClassification"):
        Model(hf, tokenizer())


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize(
    ("place", "says"),
    [
        (lambda p: p.blocks[0].attn.v_proj, r"first in block 0 \(attention\)"),
        (lambda p: p.blocks[1].down, r"first in block 1 \(MLP\)"),
        (lambda p: p.blocks[2].attn.o_proj, r"first in block 2 \(attention\)"),
        (lambda p: p.unembed, "first in the logits"),
    ],
    ids=["attention", "MLP", "last block", "unembedding"],
)
def test_weights_that_are_not_finite_are_placed(place: Any, says: str, bad: float) -> None:
    m = model("llama grouped")
    place(parts(m.hf)).weight[3, 3] = bad
    with pytest.raises(ModelError, match=f"tiny llama grouped gives values .* not finite.*{says}"):
        m.record(PROMPT)


def test_an_embedding_that_is_not_finite_matters_where_it_is_used() -> None:
    m = model("llama grouped")
    m.hf.get_input_embeddings().weight[9, 0] = float("nan")
    with pytest.raises(ModelError, match="first in the token embedding"):
        m.record("w3 w9")
    m.record("w3 w10")


# Code that comes with a model


def evil_folder(folder: Path, model_type: str) -> Path:
    """A model folder whose config asks for its own code; the code leaves a mark when it runs."""
    hugging_face("llama grouped").save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    mark = folder / "ran"
    code = f"from pathlib import Path\nPath({str(mark)!r}).touch()\n"
    code += "from transformers import LlamaConfig as Config, LlamaForCausalLM as Evil\n"
    (folder / "evil.py").write_text(code)
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": model_type,
        "auto_map": {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Evil"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    return mark


def test_code_that_comes_with_a_model_is_not_run_unless_asked_for(tmp_path: Path) -> None:
    assert inspect.signature(load).parameters["trust_remote_code"].default is False
    mark = evil_folder(tmp_path, "evil")
    with pytest.raises(ModelError) as refused:
        load(str(tmp_path))
    assert not mark.exists()
    assert len(str(refused.value)) < 600


def test_a_known_family_loads_without_the_code_beside_it(tmp_path: Path) -> None:
    mark = evil_folder(tmp_path, "llama")
    m = load(str(tmp_path), device="cpu")
    assert not mark.exists()
    assert same(m.record(PROMPT), model("llama grouped").record(PROMPT))


# Runs beside and after one another


def test_two_threads_recording_at_once_get_what_they_get_alone() -> None:
    m = model("qwen3")
    prompts = [["w3 w9 w11", "w5 w6"], ["w7 w8 w9 w10", "w12 w3 w4"]]
    alone = [[m.record(p) for p in mine] for mine in prompts]
    wrong: list[Any] = []
    together = threading.Barrier(2)

    def run(which: int) -> None:
        together.wait()
        for turn in range(20):
            try:
                if not same(m.record(prompts[which][turn % 2]), alone[which][turn % 2]):
                    wrong.append((which, turn))
            except Exception as error:
                wrong.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_two_graphs_of_neurons_at_once_are_the_graphs_made_alone() -> None:
    m = model("gemma2")
    prompts = ["w3 w9 w11", "w7 w8 w9 w10"]
    alone = [trace(m, p, max_nodes=30) for p in prompts]
    found: dict[int, Any] = {}
    threads = [
        threading.Thread(target=lambda i=i: found.update({i: trace(m, prompts[i], max_nodes=30)}))
        for i in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(2):
        assert found[i].ids == alone[i].ids
        np.testing.assert_array_equal(found[i].weight, alone[i].weight)


@pytest.mark.parametrize("name", MODELS)
def test_recording_leaves_no_trace_on_the_model(name: str) -> None:
    hf = hugging_face(name)
    ids = torch.tensor([1, 3, 9, 11])
    before = see(hf, ids).logits
    m = Model(hf, tokenizer())
    first = m.record(ids.tolist(), neurons=True)
    m.gradients(ids, torch.ones(1, m.d_model))
    assert same(first, m.record(ids.tolist(), neurons=True))
    assert torch.equal(see(hf, ids).logits, before)
    assert not any(x.requires_grad for x in hf.parameters())
    assert not any(x.requires_grad for x in first.resid_pre)


def test_a_model_works_on_after_an_error_inside_a_run() -> None:
    m = model("llama grouped")
    before = m.record(PROMPT)

    class Broken(Exception):
        pass

    def fail(*_: Any) -> None:
        raise Broken

    for layer in range(LAYERS):
        handle = parts(m.hf).blocks[layer].mlp.register_forward_hook(fail)
        with pytest.raises(Broken):
            m.record(PROMPT)
        handle.remove()
        assert same(m.record(PROMPT), before)


def test_a_model_works_on_after_a_trace_is_cancelled_wherever_that_happens() -> None:
    m = model("llama grouped")
    whole = trace(m, PROMPT, dictionary())

    class Cancelled(Exception):
        pass

    asked = 0
    for last in range(1, 40):
        asked = 0

        def cancelled(last: int = last) -> None:
            nonlocal asked
            asked += 1
            if asked == last:
                raise Cancelled

        try:
            table = trace(m, PROMPT, dictionary(), cancelled=cancelled)
        except Cancelled:
            continue
        break
    assert last > LAYERS  # it is asked at least once per block
    np.testing.assert_array_equal(table.weight, whole.weight)


def test_every_run_holds_the_lock_that_others_can_hold() -> None:
    m = model("llama grouped")
    inner, held, runs = m.lock, 0, []

    class Counted:
        def __enter__(self) -> None:
            nonlocal held
            inner.acquire()
            held += 1

        def __exit__(self, *_: Any) -> None:
            nonlocal held
            held -= 1
            inner.release()

    m.lock = Counted()
    handle = parts(m.hf).blocks[1].mlp.register_forward_hook(lambda *_: runs.append(held))
    with m.lock:  # the holder itself may run
        trace(m, PROMPT, max_nodes=5)
    trace(m, PROMPT, max_nodes=5)
    handle.remove()
    assert runs == [2, 2, 1, 1]  # a recording and the live gradients, twice
    assert held == 0


# Memory


@pytest.mark.parametrize("units", ["features", "neurons"])
def test_a_graph_that_would_not_fit_is_refused_with_a_size_that_fits(
    monkeypatch: pytest.MonkeyPatch, units: str
) -> None:
    m, d = model("llama grouped"), dictionary() if units == "features" else None
    whole = trace(m, PROMPT, d)
    n_units = int((whole.kind == 0).sum())
    n_sources = n_units + (LAYERS + 1) * len(whole.tokens)
    sweep = 4 * m.d_model * memory.SWEEP_ROWS * 4
    free = int((sweep + 0.5 * n_units * n_sources * 12) / 0.9)
    monkeypatch.setattr(memory, "free_memory", lambda device: free)

    def computed(*args: Any, **options: Any) -> None:
        raise AssertionError("the graph was begun")

    with monkeypatch.context() as before_anything:
        before_anything.setattr(EdgeRows, "compute", computed)
        with pytest.raises(OutOfMemory) as refused:
            trace(m, PROMPT, d)
    advice = re.search(r"try max_nodes=(\d+)", str(refused.value))
    assert advice is not None, refused.value
    fits = int(advice[1])
    assert n_units / 4 < fits < n_units
    table = trace(m, PROMPT, d, max_nodes=fits)
    assert (table.kind == 0).sum() == fits


def test_where_no_graph_would_fit_a_shorter_prompt_is_advised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda device: 1000)
    with pytest.raises(OutOfMemory, match="use a shorter prompt"):
        trace(model("llama grouped"), PROMPT, dictionary())


@pytest.mark.parametrize("count", [0, -3])
def test_a_graph_of_no_nodes_is_refused(llama: Model, count: int) -> None:
    with pytest.raises(PromptError, match=f"max_nodes is {count}"):
        trace(llama, PROMPT, max_nodes=count)
