"""A tokenizer that splits names into pieces and keeps everything else whole.

WordPiece (greedy, longest match first) over lower-case words. Words of the corpus are one token
each, and so are answers of several words ("new mexico", "salt lake city"). A word that is not in
the vocabulary, and no name of a city or country asked about is, falls into pieces of two letters:
dallas -> da ##ll ##as. So a fact about it cannot be looked up in an embedding, and any word that
a user types can be read.
"""

from __future__ import annotations

import string
from collections.abc import Iterable

from tokenizers import AddedToken, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import WordPiece
from transformers import PreTrainedTokenizerFast

PAD, UNKNOWN, BOS = "<pad>", "<unk>", "<bos>"


def pieces(word: str) -> list[str]:
    """dallas -> da ##ll ##as."""
    cut = [word[i : i + 2] for i in range(0, len(word), 2)]
    return cut[:1] + ["##" + piece for piece in cut[1:]]


def build(words: Iterable[str], names: Iterable[str], context: int) -> PreTrainedTokenizerFast:
    """A tokenizer with one token for each of `words` and pieces for the words of `names`."""
    whole = sorted(set(words))
    parts = {piece for name in names for word in name.split() for piece in pieces(word)}
    letters = string.ascii_lowercase + string.digits
    parts |= set(letters) | {"##" + letter for letter in letters}
    order = [PAD, UNKNOWN, BOS, *(w for w in whole if " " not in w)]
    order += sorted(parts - set(order))
    core = Tokenizer(WordPiece({token: i for i, token in enumerate(order)}, unk_token=UNKNOWN))
    core.normalizer = normalizers.Lowercase()
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.decoder = decoders.WordPiece(cleanup=False)
    core.add_tokens([AddedToken(w, single_word=True) for w in whole if " " in w])
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        unk_token=UNKNOWN,
        bos_token=BOS,
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    )
