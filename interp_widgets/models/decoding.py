"""Tokens to text, as they come, and conversations to tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from .errors import PromptError

if TYPE_CHECKING:
    from .model import Model


class Text:
    """Text that grows token by token; characters may be spread over several tokens.

    New text is what decoding some earlier tokens with the new ones gives beyond the earlier ones
    alone: many tokenizers write a word's space only behind another word.
    """

    BEFORE = 4

    def __init__(self, tokenizer: Any, prompt: list[int]) -> None:
        self.tokenizer, self.ids = tokenizer, list(prompt)
        self.text = ""
        self._shown = len(prompt)

    def add(self, token: int) -> str:
        """What this token adds; "" while it holds only part of a character."""
        self.ids.append(token)
        piece = self._piece()
        if piece.endswith("\ufffd"):
            return ""
        return self._show(piece)

    def end(self, token: int) -> str:
        """The token that ends the text, of which nothing is shown; returns what was held back."""
        piece = self.rest()
        self.ids.append(token)
        return piece

    def rest(self) -> str:
        """What was held back, as it is."""
        return self._show(self._piece())

    def last(self, n: int) -> str:
        """The last n characters."""
        return self.text[max(0, len(self.text) - n) :]

    def _piece(self) -> str:
        if self._shown == len(self.ids):
            return ""
        first = max(0, self._shown - self.BEFORE)
        return self._decode(first, len(self.ids))[len(self._decode(first, self._shown)) :]

    def _show(self, piece: str) -> str:
        self._shown = len(self.ids)
        self.text += piece
        return piece

    def _decode(self, first: int, stop: int) -> str:
        ids = self.ids[first:stop]
        return str(self.tokenizer.decode(ids, clean_up_tokenization_spaces=False))


def chat_prompt(model: Model, messages: str | Sequence[Mapping[str, str]]) -> Tensor:
    """Token ids [position] of a conversation in the model's own chat format, up to the point
    where its answer begins; to be used wherever a prompt is.

    Args:
        messages: what the user says, or a list of {"role": "system", "content": "..."} and so on.

    Raises PromptError if the tokenizer has no chat template, or its template refuses the messages.
    """
    tokenizer = model.tokenizer
    if not getattr(tokenizer, "chat_template", None):
        raise PromptError(
            f"The tokenizer of {model.name} has no chat template: it is not a chat model. Give the "
            f"prompt as plain text."
        )
    said = [{"role": "user", "content": messages}] if isinstance(messages, str) else list(messages)
    try:
        text = tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=True)
    except Exception as error:  # a template is a program of the model's makers
        raise PromptError(
            f"The chat template of {model.name} does not take these messages: {error}"
        ) from error
    return model.tokenize(tokenizer(text, add_special_tokens=False)["input_ids"])
