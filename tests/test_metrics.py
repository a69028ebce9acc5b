"""Metrics of a dictionary are what plain loops over tokens, with plain hooks, come to."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from plain_places import hooks
from tiny_models import CONTEXT, FEATURES, LAYERS, MODELS, WIDTH, dictionary, model
from torch import Tensor

from interp_widgets.dictionaries import (
    CrossLayerTranscoder,
    DictionaryError,
    JumpReLU,
    Layer,
    ReLU,
    Rows,
    SparseCoder,
)
from interp_widgets.dictionaries import windows as windows_module
from interp_widgets.dictionaries.metrics import Metrics, compare, decoder_cosines, judge
from interp_widgets.dictionaries.metrics.controls import Moments, random_decoder
from interp_widgets.dictionaries.metrics.sums import Estimate, Sums
from interp_widgets.dictionaries.metrics.text import windows
from interp_widgets.dictionaries.replaced import AnyDictionary, LayeredReplacement
from interp_widgets.jobs import Cancelled, Job
from interp_widgets.models import Model, Place

SPECIAL = (0, 1, 2, 4)


def documents(n: int = 12, seed: int = 0) -> list[str]:
    """Random words, with special tokens among them; some longer than a window."""
    draw = random.Random(seed)
    words = [f"w{i}" for i in range(5, 40)] + ["<unk>"]
    return [" ".join(draw.choices(words, k=draw.randint(3, 25))) for _ in range(n)]


def sae(place: Place, dtype: torch.dtype = torch.float32, seed: int = 5) -> SparseCoder:
    g = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64).to(dtype) * 0.2

    weights = Layer(
        "sae",
        Rows.hold(draw(FEATURES, WIDTH), "encoder"),
        Rows.hold(draw(FEATURES, WIDTH), "decoder"),
        draw(FEATURES),
        draw(WIDTH),
        JumpReLU(draw(FEATURES).abs()),
    )
    return SparseCoder(weights, place, place, "tests/sae")


def identity(place: Place, dtype: torch.dtype = torch.float64) -> SparseCoder:
    """x = relu(x) - relu(-x): an SAE without any error."""
    eye = torch.eye(WIDTH, dtype=dtype)
    both = torch.cat([eye, -eye])
    zeros = torch.zeros(2 * WIDTH, dtype=dtype)
    weights = Layer(
        "identity", Rows.hold(both, "e"), Rows.hold(both, "d"), zeros, zeros[:WIDTH], ReLU()
    )
    return SparseCoder(weights, place, place, "tests/identity")


DICTIONARIES: dict[str, Callable[[], AnyDictionary]] = {
    "SAE": lambda: sae(Place(1, "resid_post"), torch.float64),
    "transcoders": lambda: dictionary("transcoder", "jumprelu", dtype=torch.float64),
    "skip transcoders": lambda: dictionary("transcoder", "topk", True, dtype=torch.float64),
    "one skip transcoder": lambda: dictionary(
        "transcoder", "relu", True, dtype=torch.float64
    ).coder(1),  # type: ignore[union-attr]
    "CLT": lambda: dictionary("clt", "jumprelu", writes="hook_mlp_out", dtype=torch.float64),
    "skip CLT": lambda: dictionary("clt", "topk", True, "ln2.hook_normalized", dtype=torch.float64),
}


# The plain way


class Plain:
    """A dictionary on windows of text: dense formulas, one window at a time, no padding."""

    def __init__(self, m: Model, d: AnyDictionary, found: list[list[int]]) -> None:
        self.hf, self.found = m.hf, found
        self.layers: tuple[Layer, ...]
        if isinstance(d, SparseCoder):
            self.layers, self.reads, self.writes = (d.weights,), [d.reads], [d.writes]
        else:
            self.layers = d.layers
            self.reads = [d.reads(i) for i in range(LAYERS)]
            self.writes = [d.writes(i) for i in range(LAYERS)]
        self.crossing = isinstance(d, CrossLayerTranscoder)

    def activations(self, index: int, x: Tensor) -> Tensor:
        weights = self.layers[index]
        return weights.activation(x @ weights.encoder.tensor.T + weights.encoder_bias)

    def prediction(self, index: int, inputs: list[Tensor]) -> Tensor:
        weights = self.layers[index]
        y = weights.decoder_bias.clone().expand(len(inputs[index]), -1)
        if weights.skip is not None:
            y = y + inputs[index] @ weights.skip.T
        for low in range(index + 1) if self.crossing else [index]:
            decoder = self.layers[low].decoder.tensor
            if self.crossing:
                decoder = decoder[:, index - low]
            y = y + self.activations(low, inputs[low]) @ decoder
        return y

    def keep(self, ids: list[int]) -> list[int]:
        return [p for p, token in enumerate(ids) if p > 0 and token not in SPECIAL]

    @torch.no_grad()
    def see(self, ids: list[int]) -> tuple[dict[Place, Tensor], Tensor]:
        seen: dict[Place, Tensor] = {}
        with ExitStack() as stack:
            for place in {*self.reads, *self.writes}:
                stack.enter_context(
                    hooks(
                        self.hf,
                        place.layer,
                        place.site,
                        lambda x, place=place: seen.update({place: x[0].clone()}),
                    )
                )
            logits = self.hf(input_ids=torch.tensor([ids])).logits[0]
        return seen, logits

    @torch.no_grad()
    def replaced(self, ids: list[int], put: Callable[[int, list[Tensor]], Tensor]) -> Tensor:
        """Logits with put(index, inputs so far) at every kept token of every place written."""
        keep, inputs = self.keep(ids), []
        with ExitStack() as stack:
            for place in self.reads:
                stack.enter_context(
                    hooks(
                        self.hf,
                        place.layer,
                        place.site,
                        lambda x: inputs.append(x[0, keep].clone()),
                    )
                )
            for index, place in enumerate(self.writes):

                def write(x: Tensor, index: int = index) -> Tensor:
                    out = x.clone()
                    out[0, keep] = put(index, inputs).to(x)
                    return out

                stack.enter_context(hooks(self.hf, place.layer, place.site, write))
            logits: Tensor = self.hf(input_ids=torch.tensor([ids])).logits[0]
        return logits

    def results(self) -> dict[str, Any]:
        kept, values, errors, active = [], {}, {}, {}
        for ids in self.found:
            seen, _ = self.see(ids)
            keep = self.keep(ids)
            kept += keep
            inputs = [seen[place][keep] for place in self.reads]
            for j, place in enumerate(self.writes):
                values.setdefault(j, []).append(seen[place][keep])
                errors.setdefault(j, []).append(seen[place][keep] - self.prediction(j, inputs))
                active.setdefault(j, []).append(self.activations(j, inputs[j]) != 0)
        n = len(self.writes)
        y = [torch.cat(values[j]) for j in range(n)]
        e = [torch.cat(errors[j]) for j in range(n)]
        on = [torch.cat(active[j]).double() for j in range(n)]
        means = [v.mean(0) for v in y]
        out: dict[str, Any] = {
            "n_tokens": len(kept),
            "fvus": [
                float((a**2).sum() / ((b - b.mean(0)) ** 2).sum())
                for a, b in zip(e, y, strict=True)
            ],
            "l0s": [float(a.sum(1).mean()) for a in on],
            "density": [a.mean(0) for a in on],
        }
        puts: dict[str, Callable[[int, list[Tensor]], Tensor]] = {
            "replaced": self.prediction,
            "zero": lambda j, inputs: torch.zeros(WIDTH),
            "mean": lambda j, inputs: means[j],
        }
        nll: dict[str, list[float]] = {"model": [], **{name: [] for name in puts}}
        kl, agree = [], []
        for ids in self.found:
            logits = {"model": self.see(ids)[1]}
            logits |= {name: self.replaced(ids, put) for name, put in puts.items()}
            for p in self.keep(ids):
                if p + 1 == len(ids):
                    continue
                log_p = {name: x[p].log_softmax(-1) for name, x in logits.items()}
                for name, x in log_p.items():
                    nll[name].append(-float(x[ids[p + 1]]))
                a, b = log_p["model"], log_p["replaced"]
                kl.append(float((a.exp() * (a - b)).sum()))
                agree.append(float(a.argmax() == b.argmax()))
        ce = {name: sum(x) / len(x) for name, x in nll.items()}
        out |= {f"ce_{name}": x for name, x in ce.items()}
        for name, at in (("zero", "ce_recovered"), ("mean", "ce_recovered_mean")):
            out[at] = (ce[name] - ce["replaced"]) / (ce[name] - ce["model"])
        return out | {"kl": sum(kl) / len(kl), "agreement": sum(agree) / len(agree)}


def token_windows(m: Model, texts: list[str], context: int) -> list[list[int]]:
    found = []
    for text in texts:
        ids = m.tokenizer(text, add_special_tokens=False)["input_ids"]
        while ids:
            first, ids = ids[: context - 1], ids[context - 1 :]
            if first[0] not in (0, 1, 2):  # an unknown word stands in the text
                first = [1, *first]
            if any(token not in SPECIAL for token in first[1:-1]):
                found.append(first)
    return found


def close(measured: Any, expected: float) -> bool:
    # transformers' attention takes its softmax in float32, also in a float64 model.
    return math.isclose(float(measured), expected, rel_tol=1e-6, abs_tol=1e-9)


# Every kind in one family, and in each other family one of one place and one of all.
SOME = [("gemma2", kind) for kind in DICTIONARIES] + [
    (family, kind)
    for family in ("llama grouped", "gpt2", "gpt_neox parallel")
    for kind in ("SAE", "skip CLT")
]


@pytest.mark.parametrize(("family", "kind"), SOME)
def test_every_number_is_what_plain_loops_come_to(family: str, kind: str) -> None:
    m, d, texts = model(family, torch.float64), DICTIONARIES[kind](), documents(8)
    found = judge(m, d, texts, context=12)
    expected = Plain(m, d, token_windows(m, texts, 12)).results()
    assert found.n_tokens == expected["n_tokens"]
    assert [float(layer.fvu) for layer in found.layers] == pytest.approx(expected["fvus"], rel=1e-6)
    assert close(found.fvu, sum(expected["fvus"]) / len(expected["fvus"]))
    assert close(found.explained_variance, 1 - float(found.fvu))
    assert close(found.l0, sum(expected["l0s"]) / len(expected["l0s"]))
    for name in ("ce_model", "ce_replaced", "ce_zero", "ce_mean", "kl", "agreement"):
        assert close(getattr(found, name), expected[name]), name
    for name in ("ce_recovered", "ce_recovered_mean"):
        assert float(getattr(found, name)) == pytest.approx(expected[name], rel=1e-6), name
    for layer, density, mine in zip(found.layers, expected["density"], found.density, strict=True):
        torch.testing.assert_close(mine.double(), density, rtol=1e-6, atol=1e-7)
        assert layer.dead_share == pytest.approx(float((density == 0).double().mean()))


@pytest.mark.parametrize("family", MODELS)
def test_a_dictionary_without_error_changes_nothing(family: str) -> None:
    m = model(family, torch.float64)
    found = judge(m, identity(Place(1, "mlp_out")), documents())
    assert abs(float(found.fvu)) < 1e-20
    assert abs(float(found.kl)) < 1e-12
    assert float(found.agreement) == 1
    assert float(found.ce_recovered) == pytest.approx(1)
    assert float(found.l0) == WIDTH  # type: ignore[arg-type]


def test_a_dictionary_that_says_the_mean_has_fvu_1_and_recovers_nothing() -> None:
    m, texts, place = model("gemma2", torch.float64), documents(), Place(2, "mlp_in")
    d = sae(place, torch.float64)
    kept = []
    for ids in token_windows(m, texts, CONTEXT):
        seen, _ = Plain(m, d, []).see(ids)
        kept.append(seen[place][Plain(m, d, []).keep(ids)])
    silent = JumpReLU(torch.full((FEATURES,), 1e6, dtype=torch.float64))
    bias = torch.cat(kept).mean(0)
    d = replace(d, weights=replace(d.weights, activation=silent, decoder_bias=bias))
    found = judge(m, d, texts)
    assert float(found.fvu) == pytest.approx(1)
    assert float(found.ce_recovered_mean) == pytest.approx(0, abs=1e-9)
    assert (float(found.l0), found.dead_share) == (0, 1)  # type: ignore[arg-type]


def test_small_batches_give_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    m, d = model("qwen3", torch.float64), DICTIONARIES["CLT"]()
    at_once = judge(m, d, documents()).to_dict()
    monkeypatch.setattr(windows_module, "MAX_TOKENS", 20)
    by_few = judge(m, d, documents()).to_dict()
    assert json.dumps(by_few["kl"]["n"]) == json.dumps(at_once["kl"]["n"])
    for name in ("fvu", "l0", "kl", "ce_replaced", "ce_mean"):
        for part in ("value", "error", "low", "high"):
            assert by_few[name][part] == pytest.approx(at_once[name][part], rel=1e-6)


# Text


def test_text_becomes_windows_with_a_special_token_in_front(tmp_path: Path) -> None:
    m = model("llama grouped")
    texts = ["w5 w6 w7 w8 w9", "w10 <eos> w11 w12"]
    expected = [[1, 5, 6, 7], [1, 8, 9], [1, 10, 2, 11]]
    assert [ids.tolist() for ids in windows(m, texts, 4)] == expected
    (tmp_path / "text.txt").write_text("\n\n".join(texts), encoding="utf-8")
    assert [ids.tolist() for ids in windows(m, tmp_path / "text.txt", 4)] == expected


@pytest.mark.parametrize("text", ["", [], "w5", "<eos> <eos> <eos>"])
def test_text_without_a_token_to_measure_on_is_refused(text: Any) -> None:
    with pytest.raises(DictionaryError, match="no tokens to measure on"):
        judge(model("llama grouped"), dictionary(), text)


# Errors of estimates


def test_the_standard_error_is_that_of_a_mean_over_windows() -> None:
    n = 400
    values = torch.randn(n, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    sums = Sums(n)
    sums.add("x", torch.arange(n), values)
    sums.add("tokens", torch.arange(n), torch.ones(n))
    mean = sums.estimator()(lambda total: total["x"] / total["tokens"], "tokens")
    assert mean.value == pytest.approx(float(values.mean()))
    standard = float(values.std()) / n**0.5
    assert mean.error == pytest.approx(standard, rel=0.1)
    assert mean.high - mean.low == pytest.approx(2 * 1.96 * standard, rel=0.1)
    assert mean.n == n


def test_tokens_that_say_the_same_do_not_narrow_the_interval() -> None:
    """Ten copies of each window's value are no more evidence than one."""
    values = torch.randn(50, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    errors = []
    for copies in (1, 10):
        sums = Sums(50)
        window = torch.arange(50).repeat(copies)
        sums.add("x", window, values.repeat(copies))
        sums.add("tokens", window, torch.ones(len(window)))
        errors.append(sums.estimator()(lambda t: t["x"] / t["tokens"], "tokens").error)
    assert errors[0] == pytest.approx(errors[1])


def test_one_window_has_no_standard_error() -> None:
    found = judge(model("llama grouped"), dictionary(), "w5 w6 w7 w8")
    assert math.isnan(found.fvu.error)
    assert "±" not in str(found.fvu)
    assert found.to_dict()["fvu"]["error"] is None


def test_what_rounds_to_zero_has_no_sign() -> None:
    assert f"{Estimate(-1e-5, 1e-6, 0, 0, 3):.3f}" == "0.000 ± 0.000"
    assert f"{Estimate(-0.25, 0.004, 0, 0, 3)}" == "-0.250 ± 0.004"


# Decoders


@pytest.mark.parametrize("kind", ["transcoder", "clt"])
def test_decoder_cosines_are_those_of_a_double_loop(kind: str) -> None:
    d = dictionary(kind, dtype=torch.float64)
    for layer, found in zip(d.layers, decoder_cosines(d), strict=True):
        rows = [layer.decoder.tensor[f].flatten() for f in range(FEATURES)]
        expected = []
        for a in range(FEATURES):
            cosines = [
                float(rows[a] @ rows[b] / rows[a].norm() / rows[b].norm())
                for b in range(FEATURES)
                if b != a
            ]
            expected.append(max(cosines))
        assert sorted(found.tolist()) == pytest.approx(sorted(expected))


def test_decoder_cosines_of_a_sample_are_among_those_of_all() -> None:
    d = dictionary()
    some, every = decoder_cosines(d, sample=5)[0], decoder_cosines(d)[0]
    assert len(some) == 5
    assert all(any(abs(float(s - e)) < 1e-6 for e in every) for s in some)


# Controls


@pytest.mark.parametrize("kind", ["transcoder", "clt"])
def test_a_random_decoder_keeps_lengths_and_the_encoder_and_loses_directions(kind: str) -> None:
    d = dictionary(kind, skip=True)
    control = random_decoder(d)
    for was, now in zip(d.layers, control.layers, strict=True):  # type: ignore[union-attr]
        a, b = was.decoder.tensor, now.decoder.tensor
        torch.testing.assert_close(a.norm(dim=-1), b.norm(dim=-1))
        assert torch.nn.functional.cosine_similarity(a, b, dim=-1).abs().mean() < 0.3
        assert torch.equal(now.encoder.tensor, was.encoder.tensor)
        assert torch.equal(now.skip, was.skip)  # type: ignore[arg-type]


def test_pca_leaves_what_the_smaller_singular_values_hold() -> None:
    g = torch.Generator().manual_seed(0)
    place, k = Place(0, "mlp_out"), 3
    x = 5 + torch.randn(200, 8, generator=g, dtype=torch.float64) * torch.arange(1, 9)
    moments = Moments([place], covariance=True)
    for part in x.split(33):
        moments.add(place, part)
    torch.testing.assert_close(moments.mean(place), x.mean(0))
    pca = moments.pca((place,), [k], like=x)
    left = (x - pca.predict(0, x, [], [])).square().sum()
    singular = torch.linalg.svdvals(x - x.mean(0))
    torch.testing.assert_close(left, singular[k:].square().sum())


# Comparisons


@pytest.fixture(scope="module")
def compared() -> tuple[Model, dict[str, AnyDictionary], Any]:
    m = model("gemma2", torch.float64)
    ours: dict[str, AnyDictionary] = {name: make() for name, make in DICTIONARIES.items()}
    return m, ours, compare(m, ours, documents(12), fitting=documents(12, seed=1))


def test_a_comparison_measures_each_dictionary_as_judge_does(compared: Any) -> None:
    m, ours, table = compared
    for name, d in ours.items():
        alone, row = judge(m, d, documents(12)).to_dict(), table[name].to_dict()
        assert row["kind"] == alone["kind"]
        for key in ("fvu", "l0", "kl", "ce_recovered", "ce_recovered_mean", "agreement"):
            assert row[key]["value"] == pytest.approx(alone[key]["value"], rel=1e-6)
            assert row[key]["n"] == alone[key]["n"]


def test_a_comparison_s_controls_are_what_they_say(compared: Any) -> None:
    m, ours, table = compared
    for name, d in ours.items():
        control = table[f"{name}: random decoder"]
        assert float(control.fvu) == pytest.approx(
            float(judge(m, random_decoder(d), documents(12)).fvu)
        )
        assert 0 < float(pca_like(table, name).fvu) < 1
    means = [row for row in table.rows if row.name == "mean"]
    zeros = [row for row in table.rows if row.name == "zero"]
    # resid_post of one layer, mlp_raw of all, mlp_raw of one, mlp_out of all
    assert len(means) == len(zeros) == 4
    for row in means:
        assert float(row.fvu) == pytest.approx(1)
        assert float(row.ce_recovered_mean) == pytest.approx(0, abs=1e-9)
    for row in zeros:
        assert float(row.ce_recovered) == pytest.approx(0, abs=1e-9)
    assert {row.n_tokens for row in table.rows} == {table.rows[0].n_tokens}


def pca_like(table: Any, name: str) -> Metrics:
    """The PCA at a dictionary's places with as many directions as it has active features."""
    row = table[name]
    (found,) = [
        other
        for other in table.rows
        if other.name.startswith("PCA of rank")
        and other.places == row.places
        and abs(other.l0 - float(row.l0)) <= 1
    ]
    return found


def test_dictionaries_of_one_place_and_k_share_a_pca() -> None:
    m, d = model("llama grouped"), dictionary("transcoder", "topk")
    other = dictionary("clt", "topk", seed=2)
    names = [
        row.name for row in compare(m, {"a": d, "b": other, "c": d.coder(1)}, documents(12)).rows
    ]  # type: ignore[union-attr]
    assert names == ["a", "a: random decoder", "b", "b: random decoder", "c", "c: random decoder", "PCA of rank 6", "PCA of rank 6, for c", "zero", "mean", "zero", "mean"]  # fmt: skip


def test_pca_of_a_higher_rank_explains_more() -> None:
    m = model("llama grouped", torch.float64)
    place = Place(1, "resid_post")
    few, many = sae(place, torch.float64), identity(place)
    table = compare(m, {"few": few, "many": many}, documents(40))
    assert float(table["PCA of rank 32"].fvu) < 1e-6  # rank WIDTH: nothing is left
    assert float(pca_like(table, "few").fvu) > 0.01
    assert float(table["many"].fvu) < 1e-20


def test_without_fitting_text_controls_take_the_first_third() -> None:
    m, d = model("llama grouped"), dictionary()
    texts = [f"w{i} w{i + 1} w{i + 2} w{i + 3}" for i in range(5, 17)]
    table = compare(m, {"it": d}, texts)
    assert (table.n_fitted, table["it"].n_tokens) == (4 * 4, 8 * 4)
    assert float(table["it"].fvu) == pytest.approx(float(judge(m, d, texts[4:]).fvu))
    with pytest.raises(DictionaryError, match=r"2 windows of 128 tokens, too few .*fitting="):
        compare(m, {"it": d}, texts[:2])
    with pytest.raises(DictionaryError, match="no dictionaries"):
        compare(m, {}, texts)


def test_a_comparison_shows_itself_as_text_html_and_plain_numbers() -> None:
    m = replace_name(model("llama grouped"), "<b>m</b>")
    table = compare(m, {"<script>x</script>": dictionary()}, documents(12))
    lines = repr(table).splitlines()
    assert lines[0].split() == ["kind", "writes", "L0", "FVU", "CE", "recovered", "against", "mean", "KL", "agreement", "dead"]  # fmt: skip
    assert len(lines) == 1 + 5 + 1
    assert "<script>" in lines[1]
    assert "one standard error over windows; controls fitted on" in lines[-1]
    page = table._repr_html_()
    assert "<script>" not in page
    assert "<b>" not in page
    assert "&lt;script&gt;" in page
    assert page.count("<tr") == 6
    plain = json.loads(json.dumps(table.to_dict()))
    assert len(plain["rows"]) == 5
    assert plain["rows"][0]["fvu"]["value"] == pytest.approx(float(table.rows[0].fvu))


def replace_name(m: Model, name: str) -> Model:
    m.name = name
    return m


def test_metrics_say_what_was_measured_on_how_much() -> None:
    said = repr(judge(model("llama grouped"), dictionary(skip=True), documents()))
    assert "tests/tiny: skip transcoder, L0-2 mlp_raw, 72 features" in said
    assert "FVU" in said
    assert "tokens in" in said


# Progress, cancelling, refusing


def test_progress_rises_to_the_end_and_cancelling_stops_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows_module, "MAX_TOKENS", 20)
    m, d = model("llama grouped"), dictionary()
    seen: list[float] = []
    job: Job[Metrics] = Job(
        lambda job: judge(m, d, documents(), job=job), lambda: seen.append(job.progress)
    )
    job.start()
    assert job.wait(60).n_tokens > 0
    assert seen == sorted(seen)
    assert 0.5 < seen[-2] < 1 == seen[-1]

    stopped: Job[Metrics] = Job(
        lambda job: judge(m, d, documents(), job=job), lambda: stopped.cancel()
    )
    stopped.start()
    with pytest.raises(Cancelled):
        stopped.wait(60)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: dictionary(width=16), "has 3 layers of width 16, but tiny .* has 3 layers of width 32"),
        (lambda: replace(dictionary(), layers=dictionary().layers[:2]), "has 2 layers of width 32"),
        (lambda: sae(Place(3, "resid_post")), r"SAE tests/sae reads L3 resid_post, but tiny gemma2 has 3 layers \(0 to 2\)"),
        (lambda: sae(Place(1, "attn_z")), "has width 32, but at L1 attn_z tiny gemma2 has vectors of width 48"),
        (lambda: replace(sae(Place(2, "mlp_in")), writes=Place(1, "mlp_out")), "reads L2 mlp_in and writes L1 mlp_out, which a forward pass reaches earlier"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_model_is_refused(make: Any, sentence: str) -> None:
    with pytest.raises(DictionaryError, match=sentence):
        judge(model("gemma2"), make(), documents())


def test_a_layered_replacement_names_its_places() -> None:
    r = LayeredReplacement(dictionary("clt", reads="hook_resid_mid", writes="hook_mlp_out"))
    assert [str(p) for p in r.reads] == ["L0 resid_mid", "L1 resid_mid", "L2 resid_mid"]
    assert [str(p) for p in r.writes] == ["L0 mlp_out", "L1 mlp_out", "L2 mlp_out"]
