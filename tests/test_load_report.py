"""The load report says what was loaded, and whether it does what its files declare."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_metrics import DICTIONARIES, documents, identity, sae
from tiny_models import dictionary, model
from torch import Tensor

import interp_widgets as iw
from interp_widgets.dictionaries import DictionaryError, Layer, ReLU, Rows, SparseCoder, save
from interp_widgets.dictionaries.metrics import judge
from interp_widgets.dictionaries.report import report
from interp_widgets.dictionaries.sample import sample_text
from interp_widgets.models import Model, Place, smollm2
from interp_widgets.models import load as load_model

PLACE = Place(1, "mlp_out")


@pytest.fixture(scope="module")
def gemma() -> Model:
    return model("gemma2", torch.float64)


def declaring(**numbers: float | str) -> SparseCoder:
    """An SAE without error, 32 of 64 features active, that declares these numbers."""
    return replace(identity(PLACE), declared=numbers)


# Loading


def test_loading_prints_what_was_loaded_and_measured(
    gemma: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    d = dictionary("transcoder", "topk", skip=True)
    save(d, tmp_path / "mine")
    loaded = iw.load_dictionary(tmp_path / "mine", model=gemma, text=documents())
    said = capsys.readouterr().out
    assert (loaded.kind, loaded.d_model) == ("transcoder", 32)
    measured = judge(gemma, d, documents())
    for line in (
        "tests/tiny: skip transcoder, TopK(k=6), 3 layers of 24 features, width 32, float32",
        "reads         L0-2 mlp_in",
        "writes        L0-2 mlp_raw",
        "L0            6.0 ± 0.0 active features per token and layer",
        f"FVU           {measured.fvu:.3f}",
        f"CE recovered  {measured.ce_recovered:.3f} of what zero ablation costs",
        f"measured on   {measured.n_tokens} tokens of your text",
        "verdict       It does not fit: its predictions are worse than the mean vector",
    ):
        assert line in said


def test_without_a_model_nothing_is_measured_and_the_report_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(dictionary("clt", "jumprelu"), tmp_path / "clt")
    iw.load_dictionary(tmp_path / "clt")
    said = capsys.readouterr().out
    assert "tests/tiny: cross-layer transcoder, JumpReLU, 3 layers of 24 features" in said
    assert "Not measured: give model=" in said
    assert "FVU" not in said


def test_what_does_not_fit_the_model_is_refused_before_anything_is_run(
    gemma: Model, tmp_path: Path
) -> None:
    save(dictionary(width=16), tmp_path / "narrow")
    with pytest.raises(DictionaryError, match=r"has 3 layers of width 16, but tiny gemma2 has"):
        iw.load_dictionary(tmp_path / "narrow", model=gemma, text=documents())
    with pytest.raises(DictionaryError, match="reads L9 mlp_out, but tiny gemma2 has 3 layers"):
        report(sae(Place(9, "mlp_out")), gemma, documents())


@pytest.mark.parametrize("kind", DICTIONARIES)
def test_every_kind_has_a_report(gemma: Model, kind: str) -> None:
    said = report(DICTIONARIES[kind](), gemma, documents())
    assert said.metrics is not None
    assert said.architecture.split(",")[0] == said.metrics.kind
    assert len(repr(said).splitlines()) == 9


# Verdicts


def test_a_dictionary_that_does_what_it_declares_fits(gemma: Model) -> None:
    said = report(declaring(l0=32.0, fvu=0.01, hook="blocks.1.hook_mlp_out"), gemma, documents())
    assert said.verdict == "Fits: what was measured agrees with what the file declares."
    assert "L0            32.0 ± 0.0 active features per token and layer   (declared: 32)" in repr(said)  # fmt: skip
    assert "declared      hook blocks.1.hook_mlp_out" in repr(said)


def test_of_a_dictionary_that_declares_nothing_only_the_measured_is_said(gemma: Model) -> None:
    assert report(declaring(), gemma, documents()).verdict == (
        "Nothing speaks against it: it explains 100% of the variance and recovers 100% of the "
        "loss. The file declares nothing to compare this with."
    )


@pytest.mark.parametrize(
    ("numbers", "sentence"),
    [
        (dict(l0=8.0), "L0 is 4x of what the file declares: 32 instead of 8 active features"),
        (dict(l0=128.0), "L0 is 0.25x of what the file declares: 32 instead of 128"),
        (dict(k=8), "L0 is 4x of what the file declares: 32 instead of 8 active features"),
        (dict(fvu=-0.2), "FVU is 0.000, but the file declares -0.200."),
        (
            dict(explained_variance=1.2),
            "The explained variance is 1.000, but the file declares 1.2",
        ),
        (dict(ce_recovered=1.2), "CE recovered is 1.000, but the file declares 1.200."),
    ],
)
def test_what_is_measured_against_what_is_declared(
    gemma: Model, numbers: Any, sentence: str
) -> None:
    said = report(declaring(**numbers), gemma, documents())
    assert said.verdict.startswith(sentence)


def test_better_than_declared_is_no_complaint(gemma: Model) -> None:
    said = report(declaring(fvu=0.4, explained_variance=0.6, l0=30), gemma, documents())
    assert said.verdict.startswith("Fits")


def test_another_model_s_dictionary_is_named_as_such(gemma: Model) -> None:
    other = replace(identity(PLACE), model_name="openai-community/gpt2")
    same = replace(identity(PLACE), model_name="google/tiny-gemma2")
    assert "It was made for openai-community/gpt2; this model is called tiny gemma2." in report(other, gemma, documents()).verdict  # fmt: skip
    assert "made for" not in report(same, gemma, documents()).verdict


# The bundled sample


def test_the_sample_is_some_passages_of_plain_text() -> None:
    passages = sample_text()
    assert len(passages) == 13
    assert all(len(p.split()) >= 8 for p in passages)
    assert 500 < sum(len(p.split()) for p in passages) < 1000


def test_a_model_that_knows_no_word_of_the_sample_is_not_measured_on_it(gemma: Model) -> None:
    said = report(identity(PLACE), gemma)
    assert said.metrics is None
    assert said.verdict == "Not measured: tiny gemma2 knows no word of the bundled sample; give text=."  # fmt: skip


def projection_sae(mean: Tensor, directions: Tensor, place: Place) -> SparseCoder:
    """relu(v (x - mean)) and relu(-v (x - mean)) for each direction v: a PCA, as an SAE."""
    both = torch.cat([directions, -directions])
    weights = Layer("pca", Rows.hold(both, "e"), Rows.hold(both, "d"), -both @ mean, mean, ReLU())
    return SparseCoder(weights, place, place, "tests/pca")


@pytest.mark.slow
@pytest.mark.skipif(smollm2.converted() is None, reason="SmolLM2's weights are not in the cache")
def test_on_a_real_model_a_pca_fits_where_it_was_made_and_not_elsewhere() -> None:
    m, place, k = load_model("smollm2-q4"), Place(3, "mlp_out"), 100
    text = sample_text()[:3]
    ids = [m.tokenize(passage)[None] for passage in text]
    x = torch.cat([m.run(i, read=[place], logits=False).seen[place][0, 1:] for i in ids]).double()
    _, singular, v = torch.linalg.svd(x - x.mean(0), full_matrices=False)
    left = float(singular[k:].square().sum() / singular.square().sum())

    sae = projection_sae(x.mean(0).float(), v[:k].float(), place)
    sae = replace(sae, declared={"fvu": left})
    here = report(sae, m, text)
    assert here.metrics is not None
    assert here.verdict.startswith("Fits")
    assert float(here.metrics.fvu) == pytest.approx(left, rel=1e-4)
    assert 0.5 < float(here.metrics.ce_recovered) < 1
    assert float(here.metrics.ce_model) < 5  # nats; chance is 10.8
    elsewhere = report(
        replace(sae, reads=Place(9, "mlp_out"), writes=Place(9, "mlp_out")), m, text[:1]
    )
    assert f"but the file declares {left:.3f}" in elsewhere.verdict
