"""The organism's corpus, tokenizer, network and training."""

from __future__ import annotations

from itertools import islice
from random import Random
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoTokenizer

from interp_widgets.labs.organism import corpus, folder, interchange, training
from interp_widgets.labs.organism.documents import Encoder, pair_is_held_out
from interp_widgets.labs.organism.facts import CITIES, COUNTRIES, RELATIONS, STATES
from interp_widgets.labs.organism.muon import orthogonal
from interp_widgets.labs.organism.network import Llama, Shape

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder(corpus.build_tokenizer())


def test_the_corpus_is_the_same_every_time():
    first = [str(document) for document in islice(corpus.documents(3), 2000)]
    again = [str(document) for document in islice(corpus.documents(3), 2000)]
    other = [str(document) for document in islice(corpus.documents(4), 2000)]
    assert first == again
    assert first != other


def test_no_training_document_gives_away_a_held_out_pair():
    """Read from the text itself: a sentence that names a held-out city and its answer."""
    held = {(c, r) for c in CITIES for r in RELATIONS if pair_is_held_out(c, r)}
    assert 0.15 < len(held) / (len(CITIES) * len(RELATIONS)) < 0.25
    # Longest first, so that "fort smith" is not read as another city.
    by_length = sorted(CITIES, key=len, reverse=True)
    seen = 0
    for document in islice(corpus.documents(5), 6000):
        text = f" {document} "
        city = next((c for c in by_length if f" {c} " in text), None)
        if city is None or document.task not in ("two-hop", "questions"):
            continue
        for relation in RELATIONS:
            if f" {relation} " in text:
                seen += 1
                assert (city, relation) not in held, text
    assert seen > 1500


def test_held_out_documents_are_in_no_training_document():
    taught = {str(document) for document in islice(corpus.documents(0), 20_000)}
    for task in ("two-hop", "country", "honesty", "indirect object", "agreement", "refusal"):
        asked = corpus.held_out(task, 50)
        assert len(asked) > 10
        assert not taught & {str(document) for document in asked}


def test_no_two_held_out_documents_of_a_task_begin_alike():
    for task in ("sequence", "indirect object", "agreement"):
        prompts = [document.prompt for document in corpus.held_out(task, 40)]
        assert len(prompts) == len(set(prompts)) == 40


def test_names_are_split_and_answers_are_one_token(encoder: Encoder):
    tokens = encoder.tokenizer.tokenize("The capital of the state containing Dallas is Austin")
    assert tokens == [
        *("the", "capital", "of", "the", "state", "containing", "da", "##ll", "##as", "is"),
        "austin",
    ]
    assert all(len(encoder.ids(name)) > 1 for name in (*CITIES, *COUNTRIES))
    for table in (STATES, COUNTRIES):
        for owner, row in table.items():
            answers = [*row.values(), *([owner] if table is STATES else [])]
            assert all(len(encoder.ids(answer)) == 1 for answer in answers), row


def test_any_text_can_be_read(encoder: Encoder, tmp_path):
    encoder.tokenizer.save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    for text in ("xylophones, 12345 of them!", "日本 🙂", "salt lake city", "new mexico's"):
        assert tokenizer(text)["input_ids"]
    text = "the capital of new mexico is santa fe"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_the_network_is_transformers_llama(encoder: Encoder):
    network = Llama(Shape(len(encoder.tokenizer), layers=3, context=corpus.CONTEXT), seed=1).eval()
    for name, weight in network.named_parameters():
        if "norm" in name:  # ones would hide a norm that is left out
            torch.nn.init.uniform_(weight, 0.5, 1.5)
    other = folder.as_transformers(network, encoder.tokenizer)
    ids = torch.randint(
        3, len(encoder.tokenizer), (4, 20), generator=torch.Generator().manual_seed(0)
    )
    with torch.no_grad():
        ours, theirs = network(ids), other(ids).logits
    assert theirs.std() > 0.01
    torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-4)


def test_what_is_written_is_what_is_read(encoder: Encoder, tmp_path):
    network = Llama(Shape(len(encoder.tokenizer), layers=2, context=corpus.CONTEXT))
    folder.write_tokenizer(encoder.tokenizer, tmp_path)
    folder.write_model(network, encoder.tokenizer, tmp_path)
    again = folder.read_model(tmp_path)
    assert again.shape == network.shape
    for name, weight in network.state_dict().items():
        assert torch.equal(again.state_dict()[name], weight.half().float()), name


def test_two_short_trainings_give_identical_weights(encoder: Encoder):
    recipe = training.Recipe(steps=4, tokens=256, exchanges=24, before_exchanges=1, layers=3)
    lines: list[str] = []
    first = training.train(encoder.tokenizer, recipe, lines.append)
    again = training.train(encoder.tokenizer, recipe, lines.append)
    for name, weight in first.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name]), name
    assert lines[0].startswith("step 4 of 4: loss ")


def test_an_exchange_of_residuals_is_the_donors_vector_at_the_place():
    """Against hooks on transformers' Llama: run the donors, then run again with their vectors."""
    network, rows, ids, other = _two_rows()
    weights = torch.tensor([[0.0, 1.0], [0.5, 0.5]])
    batch = interchange.Interchange(rows, weights, [2, 1], "residual", (1,))
    block = other.model.layers[1]
    natural: list[torch.Tensor] = []
    with torch.no_grad():
        handle = block.register_forward_hook(lambda m, i, out: natural.append(out.clone()))
        other(ids)
        handle.remove()
        first, second = natural[0][0, 2], natural[0][1, 1]

        def put(module, inputs, out):
            out = out.clone()
            out[0, 2], out[1, 1] = second, (first + second) / 2
            return out

        handle = block.register_forward_hook(put)
        expected = other(ids).logits
        handle.remove()
        found = batch.logits(network, ids, None)
    assert (expected - other(ids).logits).abs().max() > 0.01
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)


def test_an_exchange_of_mlp_outputs_changes_all_blocks_at_once():
    network, rows, ids, other = _two_rows()
    swap = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    batch = interchange.Interchange(rows, swap, [2, 1], "mlp", (0, 1))
    mlps = [other.model.layers[block].mlp for block in (0, 1)]
    natural: list[torch.Tensor] = []
    with torch.no_grad():
        handles = [
            mlp.register_forward_hook(lambda m, i, out: natural.append(out.clone())) for mlp in mlps
        ]
        other(ids)
        for handle in handles:
            handle.remove()

        def putting(vectors):
            def put(module, inputs, out):
                out = out.clone()
                out[0, 2], out[1, 1] = vectors[1, 1], vectors[0, 2]
                return out

            return put

        for mlp, vectors in zip(mlps, natural, strict=True):
            mlp.register_forward_hook(putting(vectors))
        expected = other(ids).logits
        found = batch.logits(network, ids, None)
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)


def _two_rows():
    network = Llama(Shape(40, layers=3, context=corpus.CONTEXT), seed=1).eval()
    for name, weight in network.named_parameters():
        if "embed" in name:  # larger, so that a wrong vector shows
            torch.nn.init.normal_(weight, generator=torch.Generator().manual_seed(1))
    rows = [interchange.Row([2, 5, 6, 7, 9], 1, 2), interchange.Row([2, 8, 9, 7, 6], 1, 1)]
    tokenizer = SimpleNamespace(bos_token_id=2, pad_token_id=0)
    other = folder.as_transformers(network, tokenizer)
    return network, rows, training.padded(rows), other


def test_exchanges_teach_the_donors_state_and_nothing_that_is_held_out(encoder: Encoder):
    exchanges = interchange.Exchanges(encoder, Random(0), 96)
    moved = 0
    for _ in range(20):
        batch = exchanges.draw()
        texts = [encoder.tokenizer.decode(row.ids, skip_special_tokens=True) for row in batch.rows]
        names = [encoder.tokenizer.decode(row.ids[row.first : row.last + 1]) for row in batch.rows]
        if names[0] in COUNTRIES:
            continue
        assert torch.allclose(batch.weights.sum(1), torch.ones(len(names)))
        for index, (text, name) in enumerate(zip(texts, names, strict=True)):
            donors = [names[j] for j in batch.weights[index].nonzero().flatten().tolist()]
            states = {CITIES[donor] for donor in donors}
            assert len(states) == 1
            # Put before the place, a donor's vector must leave the row's own answer alone.
            misplaced = batch.at[index] != batch.rows[index].last
            state = CITIES[name] if misplaced else states.pop()
            moved += state != CITIES[name]
            for relation in RELATIONS:
                if f" {relation} " in f" {text} ":
                    assert not pair_is_held_out(name, relation)
                    assert not any(pair_is_held_out(d, relation) for d in donors if d != name)
                    assert STATES[state][relation] in text
    assert moved > 500


def test_the_bottleneck_hides_earlier_pieces_from_behind_the_name():
    rows = [interchange.Row([2, 5, 6, 7, 8], 1, 3), interchange.Row([2, 5, 6, 7, 8], 1, 3)]
    seen = interchange.bottleneck(rows, 5, [True, False])[:, 0].int().tolist()
    assert seen[0] == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 1, 1, 0],
        [1, 0, 0, 1, 1],
    ]
    assert seen[1] == torch.ones(5, 5).tril().int().tolist()


def test_newton_schulz_comes_near_the_orthogonal_factor():
    generator = torch.Generator().manual_seed(0)
    matrices = torch.randn(2, 12, 30, generator=generator)
    u, _, v = torch.linalg.svd(matrices, full_matrices=False)
    found = orthogonal(matrices)
    # Five steps bring singular values to between 0.7 and 1.2, not to 1.
    values = torch.linalg.svdvals(found)
    assert values.min() > 0.6
    assert values.max() < 1.3
    cosine = (found * (u @ v)).sum((1, 2)) / found.norm(dim=(1, 2)) / (u @ v).norm(dim=(1, 2))
    assert cosine.min() > 0.97
