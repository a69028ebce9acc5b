"""Tokens as running text: joined, they are the text, whatever the tokenizer does with blanks, pieces
of words and characters spread over several tokens."""

from __future__ import annotations

import random
from typing import Any

import pytest
import transformers as hub
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import hugging_face, tokenizer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from interp_widgets.models import Model, load, smollm2


def of_bytes() -> Any:
    """GPT-2's kind: a token is a byte or two of UTF-8, so most characters need several."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merged = [("Ġ", "a"), ("a", "b"), ("Ã", "¯")]  # " a", "ab" and the two bytes of "ï"
    words = [*letters, *("".join(pair) for pair in merged), "<end>"]
    inner = Tokenizer(models.BPE({word: i for i, word in enumerate(words)}, merged))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return hub.PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<end>")


GPT2 = Model(hugging_face("gpt2"), of_bytes(), name="tiny gpt2")


def texts_of(model: Model, text: str) -> list[str]:
    return model.texts(model.tokenizer(text, add_special_tokens=False)["input_ids"])


def test_words_keep_their_blanks_and_pieces_join_their_word() -> None:
    organism = load("organism")
    ids = organism.tokenize("the capital of dallas is").tolist()
    assert organism.texts(ids) == ["<bos>", " the", " capital", " of", " da", "ll", "as", " is"]
    assert [organism.token_text(i) for i in ids[2:6]] == ["capital", "of", "da", "##ll"]
    assert organism.texts([]) == []


def test_a_character_of_several_tokens_stands_at_its_last() -> None:
    assert texts_of(GPT2, "naïve") == ["n", "a", "ï", "v", "e"]
    assert texts_of(GPT2, " aé🙂b") == [" a", "", "é", "", "", "", "🙂", "b"]
    cut = GPT2.tokenizer("b🙂")["input_ids"][:3]  # two of the four bytes of a character
    assert "".join(GPT2.texts(cut)) == GPT2.tokenizer.decode(cut) == "b\ufffd"


@given(st.text())
def test_text_comes_back_whole_from_tokens_that_are_bytes(text: str) -> None:
    assert "".join(texts_of(GPT2, text)) == text


@given(st.lists(st.integers(0, len(GPT2.tokenizer) - 1)))
def test_tokens_that_are_no_text_at_all_read_as_their_tokenizer_reads_them(ids: list[int]) -> None:
    texts = GPT2.texts(ids)
    assert len(texts) == len(ids)
    assert "".join(texts) == GPT2.tokenizer.decode(ids)


def test_a_tokenizer_that_tidies_up_blanks_is_followed() -> None:
    tidy = tokenizer(clean_up_tokenization_spaces=True)
    tidy.add_tokens([".", "n't"])
    model = Model(hugging_face("llama grouped"), tidy)
    ids = [3, *tidy.convert_tokens_to_ids(["n't", "."]), 9]
    assert "".join(model.texts(ids)) == tidy.decode(ids) == "w3n't. w9"


@pytest.mark.parametrize("name", ["organism", "smollm2"])
def test_joined_texts_are_what_the_tokenizer_reads(name: str) -> None:
    if name == "organism":
        model = load(name)
    elif found := smollm2.converted():
        folder, _ = found
        model = Model(hugging_face("llama grouped"), hub.AutoTokenizer.from_pretrained(folder))
    else:
        pytest.skip("SmolLM2 is not in the cache of models")
    draw = random.Random(0)
    for length in [1, 2, 30] * 20:
        ids = [draw.randrange(len(model.tokenizer)) for _ in range(length)]
        texts = model.texts(ids)
        assert len(texts) == length
        assert "".join(texts) == model.tokenizer.decode(ids)
