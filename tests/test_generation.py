"""Model.generate: the text that Hugging Face writes, and with interventions the one that plain hooks
write; one noise for all variants; what is pinned stays pinned."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from functools import cache
from typing import Any

import pytest
import torch
from plain_places import hooks
from tiny_models import CONTEXT, VOCAB, WIDTH, model, tokenizer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from transformers import PreTrainedTokenizerFast

import interp_widgets as iw
from interp_widgets.dictionaries import CrossLayerTranscoder, load
from interp_widgets.jobs import Cancelled
from interp_widgets.models import Edit, Model, Place, PromptError
from interp_widgets.models.decoding import Text, chat_prompt
from interp_widgets.models.errors import InterventionError
from interp_widgets.models.generation import stream
from interp_widgets.models.interventions import feature, head, residual
from interp_widgets.models.plan import Plan, compile
from interp_widgets.models.sampling import Sampling, Step, draw

IDS = [1, 3, 14, 15, 9, 26]
QUESTION = "the capital of the state containing dallas is"
FAMILIES = ["gpt2", "gemma2", "gpt_neox parallel", "llama grouped"]
four_families = pytest.mark.parametrize("family", FAMILIES)


@cache
def tiny(family: str = "llama biased") -> Model:
    return model(family)


@cache
def organism() -> Model:
    return iw.load("organism")


@cache
def organism_dictionary() -> CrossLayerTranscoder:
    folder = organism().dictionary
    assert folder is not None
    found = load(folder)
    assert isinstance(found, CrossLayerTranscoder)
    return found


def vector(scale: float = 3.0, seed: int = 0, width: int = WIDTH) -> Tensor:
    return scale * torch.randn(width, generator=torch.Generator().manual_seed(seed))


def column(steps: list[Step], row: int = 0) -> list[int]:
    """The tokens of one row."""
    return [t for t in (step.tokens[row] for step in steps) if t is not None]


def written(steps: list[Step], row: int = 0) -> str:
    return "".join(step.texts[row] for step in steps)


def hugging_face(m: Model, ids: list[int], n: int) -> list[int]:
    given = torch.tensor([ids])
    out = m.hf.generate(  # type: ignore[operator]
        given, attention_mask=torch.ones_like(given), max_new_tokens=n, do_sample=False
    )
    found: list[int] = out[0, len(ids) :].tolist()
    return found


# The same text as elsewhere


@pytest.mark.parametrize("family", [*FAMILIES, "mistral", "qwen2"])
def test_without_interventions_the_text_is_the_one_that_hugging_face_writes(family: str) -> None:
    m = tiny(family)
    for seed in range(3):
        ids = [1, *torch.randint(3, VOCAB, (5,), generator=torch.manual_seed(seed)).tolist()]
        steps = list(m.generate(ids, max_new_tokens=9))
        assert column(steps) == hugging_face(m, ids, 9)


def test_the_organism_writes_what_hugging_face_writes() -> None:
    m = organism()
    steps = list(m.generate(QUESTION, max_new_tokens=30))
    ids = m.tokenize(QUESTION).tolist()
    assert column(steps) == hugging_face(m, ids, 30)
    assert QUESTION + written(steps) == m.tokenizer.decode((ids + column(steps))[1:])


@torch.no_grad()
def plainly_steered(m: Model, place: Place, v: Tensor, first: int, n: int) -> Iterator[Tensor]:
    """Log-probabilities [vocab] of each next token: whole passes without a cache, with hooks."""
    ids = list(IDS)

    def add(x: Tensor) -> Tensor:
        x = x.clone()
        x[:, first:] += v
        return x

    for _ in range(n):
        with ExitStack() as stack:
            stack.enter_context(hooks(m.hf, place.layer, place.site, add))
            logits = m.hf(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1]
        log_p = logits.log_softmax(-1)
        yield log_p
        ids.append(int(log_p.argmax()))


@four_families
@pytest.mark.parametrize("first", [0, 4, len(IDS)])
def test_steered_text_is_the_one_that_plain_hooks_write_without_a_cache(
    family: str, first: int
) -> None:
    m, v = tiny(family), vector()
    rows = [[residual(1).add(1.0, v).from_(first)], [], [residual(0).add(1.0, v).from_(first)]]
    steps = list(m.generate(IDS, rows, max_new_tokens=8))
    for row, layer in ((0, 1), (2, 0)):
        expected = list(plainly_steered(m, Place(layer, "resid_post"), v, first, 8))
        mine = column(steps, row)
        assert mine == [int(log_p.argmax()) for log_p in expected][: len(mine)]
        for step, log_p in zip(steps, expected, strict=False):
            if step.tokens[row] is None:
                break
            assert step.logprob[row] == pytest.approx(float(log_p.max()), abs=2e-5)
            best = log_p.topk(5)
            assert [c.token for c in step.top[row]] == best.indices.tolist()
            assert [c.logprob for c in step.top[row]] == pytest.approx(
                best.values.tolist(), abs=2e-5
            )
    assert column(steps, 1)[:8] == hugging_face(m, IDS, 8)


@four_families
def test_each_variant_in_a_batch_is_what_it_is_alone(family: str) -> None:
    m = tiny(family)
    rows = [[], [head(1, 2).ablate()], [residual(1).add(1, vector(seed=1)).generated()]]
    together = list(m.generate(IDS, rows, max_new_tokens=8, temperature=1.0, seed=5))
    for row, what in enumerate(rows):
        alone = list(m.generate(IDS, [what], max_new_tokens=8, temperature=1.0, seed=5))
        assert column(together, row) == column(alone)
    assert len({together[-1].logprob[row] for row in range(3)}) == 3


# Strength 0 and the pin


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_strength_0_writes_the_base_text_exactly(temperature: float) -> None:
    m, d = organism(), organism_dictionary()
    v = vector(width=m.d_model)
    rows: list[Any] = [
        [],
        [residual(2).add(0, v)],
        [feature(d, 1, 5).add(0), head(1, 0).scale(1)],
        [residual(2).add(0.0, v).generated()],
        [feature(d, 3, 7).scale(1)],
    ]
    steps = list(m.generate(QUESTION, rows, max_new_tokens=25, temperature=temperature, seed=11))
    base = list(m.generate(QUESTION, max_new_tokens=25, temperature=temperature, seed=11))
    for row in range(len(rows)):
        assert column(steps, row) == column(base)
        assert [step.logprob[row] for step in steps] == [step.logprob[0] for step in steps]


class Watched:
    """A plan that keeps what was there and what was written, pass by pass."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.passes: list[tuple[int, dict[Place, tuple[Tensor, Tensor]], dict[Place, Tensor]]] = []

    def edits(self, start: int, length: int) -> tuple[Collection[Place], Mapping[Place, Edit]]:
        reads, writes = self.plan.edits(start, length)
        wrote: dict[Place, tuple[Tensor, Tensor]] = {}
        read: dict[Place, Tensor] = {}
        self.passes.append((start, wrote, read))

        def watched(place: Place, edit: Edit) -> Edit:
            def write(value: Tensor, seen: Mapping[Place, Tensor]) -> Tensor:
                before = value.clone()
                new = edit(value, seen)
                wrote[place] = before, new.clone()
                read.update({p: x.clone() for p, x in seen.items()})
                return new

            return write

        return reads, {place: watched(place, edit) for place, edit in writes.items()}


@pytest.mark.parametrize(("layer", "index", "pinned"), [(1, 5, 6.0), (3, 40, -2.5), (0, 9, 0.0)])
def test_a_pinned_feature_has_its_value_on_every_generated_token(
    layer: int, index: int, pinned: float
) -> None:
    m, d = organism(), organism_dictionary()
    prompt = m.tokenize(QUESTION)
    rows = [(feature(d, layer, index).clamp(pinned).from_(1),), ()]
    plan = Watched(compile(m, rows, len(prompt)))
    sampling = Sampling(max_new_tokens=20, temperature=1.0, seed=2)
    steps = list(stream(m, prompt, plan, 2, {}, sampling))
    assert len(steps) == len(plan.passes) == 20
    weights, feature_id = d.layer(layer), torch.tensor([index])
    checked = []
    for start, wrote, read in plan.passes:
        assert sorted(wrote) == [d.writes(to) for to in d.writes_to(layer)]
        x = read[d.reads(layer)][0].double()
        # The encoder by hand: what is active now, before anything is changed.
        pre = x @ weights.encoder.whole().double().T + weights.encoder_bias.double()
        now = weights.activation(pre)[:, index]
        for place, (before, after) in wrote.items():
            decoder = d.decoder(layer, feature_id, place.layer)[0].double()
            change = (after - before)[0].double() @ decoder / decoder.square().sum()
            rest = (after - before)[0].double() - change[:, None] * decoder
            assert rest.abs().max() < 1e-4
            first = 1 if start == 0 else 0  # the special token in front is left alone
            torch.testing.assert_close(
                (now + change)[first:], torch.full_like(now[first:], pinned), rtol=0, atol=1e-4
            )
            assert torch.equal(after[1], before[1])
        checked += list(range(start, start + len(x)))
    assert checked == list(range(len(prompt) + 19))


# Chance


def test_all_variants_share_one_noise_and_the_seed_decides_it() -> None:
    m = tiny("gpt2")
    rows: list[Any] = [[], []]

    def texts(seed: int) -> tuple[list[int], list[int]]:
        steps = list(m.generate(IDS, rows, max_new_tokens=9, temperature=1.5, seed=seed))
        return column(steps, 0), column(steps, 1)

    found = {seed: texts(seed) for seed in range(4)}
    assert all(first == second for first, second in found.values())
    assert found[2] == texts(2)
    assert len({tuple(first) for first, _ in found.values()}) == 4


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    logits = torch.tensor([[1.0, -0.5, 2.0, 0.3, -3.0]], dtype=torch.float64)
    random, n = torch.Generator().manual_seed(0), 20_000
    sampling = Sampling(temperature=0.7)
    drawn = torch.stack([draw(logits, sampling, random)[0] for _ in range(n)])
    p = (logits[0] / 0.7).softmax(-1)
    found = torch.bincount(drawn, minlength=5) / n
    assert bool(((found - p).abs() < 4 * (p * (1 - p) / n).sqrt()).all())


def test_top_p_keeps_the_likeliest_tokens_that_fill_the_share() -> None:
    p = torch.tensor([0.05, 0.4, 0.15, 0.3, 0.1])
    random = torch.Generator().manual_seed(1)

    def drawn(share: float) -> set[int]:
        sampling = Sampling(temperature=1.0, top_p=share)
        return {int(draw(p.log()[None], sampling, random)[0]) for _ in range(400)}

    assert drawn(0.39) == {1}
    assert drawn(0.65) == {1, 3}
    assert drawn(0.72) == {1, 3, 2}
    assert drawn(1.0) == {0, 1, 2, 3, 4}


# What the model says without interventions to the same tokens


@four_families
def test_reading_across_is_a_plain_run_on_the_steered_tokens(family: str) -> None:
    m = tiny(family)
    rows = [[residual(1).add(1.0, vector())], [], [head(0, 1).ablate()]]
    steps = list(m.generate(IDS, rows, max_new_tokens=7, temperature=1.0, read_across=True))
    alone = list(m.generate(IDS, rows, max_new_tokens=7, temperature=1.0))
    for row in range(3):
        tokens = column(steps, row)
        assert tokens == column(alone, row)
        with torch.no_grad():
            logits = m.hf(input_ids=torch.tensor([IDS + tokens])).logits[0]
        for i, token in enumerate(tokens):
            before = logits[len(IDS) - 1 + i].log_softmax(-1)
            step = steps[i]
            assert step.base_logprob is not None
            assert step.base_top is not None
            assert step.kl is not None
            assert step.base_logprob[row] == pytest.approx(float(before[token]), abs=2e-5)
            assert [c.token for c in step.base_top[row]] == before.topk(5).indices.tolist()
            if not rows[row]:
                assert step.base_logprob[row] == step.logprob[row]
                assert step.kl[row] == 0
            else:
                assert step.kl[row] is not None
                assert step.kl[row] != 0
    assert alone[0].base_logprob is alone[0].kl is alone[0].base_top is None


def test_kl_is_the_sum_over_the_vocabulary() -> None:
    m, v = tiny("gpt2"), vector()
    (step,) = m.generate(IDS, [[residual(1).add(1, v)]], max_new_tokens=1, read_across=True)
    (after,) = plainly_steered(m, Place(1, "resid_post"), v, 0, 1)
    with torch.no_grad():
        before = m.hf(input_ids=torch.tensor([IDS])).logits[0, -1].log_softmax(-1)
    expected = sum(float(p.exp() * (p - q)) for p, q in zip(after, before, strict=True))
    assert step.kl is not None
    assert step.kl[0] == pytest.approx(expected, abs=1e-5)


# Where a text ends


def test_a_text_ends_where_the_model_ends_it_and_the_others_go_on() -> None:
    m = model("llama biased")
    free = column(list(m.generate(IDS, max_new_tokens=9)))
    end = free[3]
    assert end not in free[:3]
    m.hf.generation_config.eos_token_id = [end]
    rows = [[], [residual(1).add(4.0, vector(seed=3))]]
    steps = list(m.generate(IDS, rows, max_new_tokens=9))
    assert column(steps) == free[:4] == hugging_face(m, IDS, 9)
    assert steps[3].done[0] == "end"
    assert steps[3].texts[0] == ""
    assert len(column(steps, 1)) > 4
    behind = steps[4]
    assert (behind.tokens[0], behind.texts[0], behind.logprob[0], behind.top[0]) == (
        None,
        "",
        None,
        (),
    )
    assert behind.done[0] == "end"


def test_a_text_stops_behind_a_stop_string_also_one_spread_over_tokens() -> None:
    m = organism()
    whole = written(list(m.generate(QUESTION, max_new_tokens=20)))
    for stop in ("texas .", "xas"):
        steps = list(m.generate(QUESTION, max_new_tokens=20, stop=stop))
        text = written(steps)
        assert whole.startswith(text)
        assert text.endswith(stop)
        assert text.count(stop) == 1
        assert steps[-1].done == ("stop",)


def test_a_text_stops_at_the_length_asked_for_and_where_the_context_is_full() -> None:
    m = tiny("gpt2")
    steps = list(m.generate(IDS, max_new_tokens=4))
    assert [step.done[0] for step in steps] == [None, None, None, "length"]
    assert [step.position for step in steps] == [6, 7, 8, 9]
    steps = list(m.generate(IDS, max_new_tokens=100))
    assert len(IDS) + len(steps) == CONTEXT
    assert steps[-1].done == ("context",)


# Characters


def byte_tokenizer() -> Any:
    """One token per byte."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE({letter: i for i, letter in enumerate(letters)}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=inner)


def test_a_character_that_is_spread_over_tokens_comes_whole() -> None:
    tok = byte_tokenizer()
    prompt, said = tok("naïve ").input_ids, tok("é 日本!").input_ids
    text = Text(tok, prompt)
    pieces = [text.add(token) for token in said]
    assert pieces == ["", "é", " ", "", "", "日", "", "", "本", "!"]
    assert text.text == "é 日本!"


def test_a_character_that_is_never_finished_comes_with_the_end() -> None:
    tok = byte_tokenizer()
    text = Text(tok, tok("a").input_ids)
    assert text.add(tok("日").input_ids[0]) == ""
    assert text.rest() == "\ufffd"


# Conversations


def test_a_conversation_is_written_in_the_models_own_format() -> None:
    template = (
        "{% for m in messages %}{{ m['role'] == 'user' and 'w3 ' or 'w5 ' }}{{ m['content'] }} "
        "{% endfor %}{% if add_generation_prompt %}w7{% endif %}"
    )
    m = Model(tiny().hf, tokenizer(chat_template=template))
    assert chat_prompt(m, "w14 w15").tolist() == [1, 3, 14, 15, 7]
    said = [{"role": "system", "content": "w9"}, {"role": "user", "content": "w14"}]
    assert chat_prompt(m, said).tolist() == [1, 5, 9, 3, 14, 7]
    assert len(list(m.generate(chat_prompt(m, "w14"), max_new_tokens=2))) == 2


def test_a_tokenizer_without_a_chat_template_says_so() -> None:
    with pytest.raises(PromptError, match="no chat template"):
        chat_prompt(organism(), "hello")


def test_a_template_that_refuses_is_quoted() -> None:
    m = Model(tiny().hf, tokenizer(chat_template="{{ raise_exception('only users speak') }}"))
    with pytest.raises(PromptError, match="only users speak"):
        chat_prompt(m, "w14")


# Cancelling, and other runs in between


def test_cancelling_takes_effect_before_the_next_token() -> None:
    m, stop = tiny(), threading.Event()
    seen: list[Step] = []
    passes: list[int] = []
    handle = m.hf.register_forward_pre_hook(lambda *_: passes.append(1))
    try:
        steps = m.generate(IDS, max_new_tokens=9, cancelled=stop.is_set)
        seen += [next(steps), next(steps), next(steps)]
        stop.set()
        with pytest.raises(Cancelled):
            next(steps)
    finally:
        handle.remove()
    assert len(seen) == len(passes) == 3
    assert column(list(m.generate(IDS, max_new_tokens=9)))[:3] == column(seen)


def test_between_tokens_the_lock_is_free_and_other_runs_change_nothing() -> None:
    m = tiny("gemma2")
    rows = [[residual(1).add(1.0, vector()).generated()], []]
    expected = list(m.generate(IDS, rows, max_new_tokens=9))
    found, free = [], []

    def other() -> None:
        free.append(m.lock.acquire(timeout=20))
        m.lock.release()
        m.run(torch.tensor([[1, 7, 8]]), write={Place(0, "mlp_out"): lambda x, seen: 0 * x})

    for step in m.generate(IDS, rows, max_new_tokens=9):
        found.append(step)
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert found == expected
    assert free == [True] * len(found)


def test_texts_written_in_several_threads_at_once_are_all_right() -> None:
    m = tiny("llama grouped")
    rows = [[[]], [[residual(1).add(1.0, vector())]], [[head(1, 0).ablate()]]]
    expected = [column(list(m.generate(IDS, row, max_new_tokens=9))) for row in rows]
    found: dict[tuple[int, int], list[int]] = {}

    def work(i: int) -> None:
        for n in range(8):
            found[i, n] = column(list(m.generate(IDS, rows[i], max_new_tokens=9)))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 24
    assert all(tokens == expected[i] for (i, _), tokens in found.items())


def test_a_text_that_is_given_up_leaves_the_model_as_it_was() -> None:
    m = tiny("gpt2")
    before = m.run(torch.tensor([IDS])).logits
    steps = m.generate(IDS, [[residual(1).add(5, vector())]], max_new_tokens=9)
    next(steps)
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    after = m.run(torch.tensor([IDS])).logits
    assert before is not None
    assert after is not None
    assert torch.equal(before, after)


# What cannot be


def test_an_intervention_on_positions_that_cannot_come_is_refused_at_once() -> None:
    m, x = tiny(), residual(1).scale(2)
    with pytest.raises(InterventionError, match="generated"):
        m.generate(IDS, [[x.generated()]], max_new_tokens=1)
    with pytest.raises(InterventionError, match="Variant 1"):
        m.generate(IDS, [[], [x.at(2, 9)]], max_new_tokens=4)
    with pytest.raises(InterventionError):
        m.generate(IDS, [[x.from_(CONTEXT)]], max_new_tokens=100)
    assert len(list(m.generate(IDS, [[x.at(2, 8)]], max_new_tokens=4))) == 4


def test_an_intervention_whose_position_never_came_raises_behind_the_last_token() -> None:
    m = organism()
    plain = list(m.generate(QUESTION, max_new_tokens=20, stop="texas"))
    last = plain[-1].position  # of a token that is never read
    rows = [[residual(0).add(0, vector(width=m.d_model)).at(last)]]
    steps = m.generate(QUESTION, rows, max_new_tokens=20, stop="texas")
    seen = [next(steps) for _ in plain]
    assert column(seen) == column(plain)
    with pytest.raises(InterventionError, match="nothing to act on"):
        next(steps)
    rows = [[residual(0).add(0, vector(width=m.d_model)).at(last - 1)]]
    assert len(list(m.generate(QUESTION, rows, max_new_tokens=20, stop="texas"))) == len(seen)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (dict(max_new_tokens=0), "at least 1 token"),
        (dict(temperature=-1.0), "temperature"),
        (dict(temperature=float("nan")), "temperature"),
        (dict(top_p=0.0), "top_p"),
        (dict(stop=[""]), "stop string is empty"),
        (dict(top=-1), "top"),
        (dict(rows=[]), "one entry per variant"),
    ],
)
def test_settings_that_make_no_sense_are_refused_at_once(
    settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(PromptError, match=said):
        tiny().generate(IDS, **settings)
