"""From logits to the next token of every row, and the reasons to stop.

Tokens are drawn by the Gumbel-max rule: argmax of (logits / temperature + noise), the noise drawn
once per token from the seed and the same for every row. Rows with the same logits therefore take
the same token, so a variant of strength 0 repeats the base text, and variants with similar logits
mostly agree: what differs is due to the intervention and not to chance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from .decoding import Text
from .errors import PromptError

if TYPE_CHECKING:
    from .model import Model

Done = Literal["end", "stop", "length", "context"]


@dataclass(frozen=True)
class Candidate:
    """A token that could come next, and its log-probability (temperature 1, nats)."""

    token: int
    text: str
    logprob: float


@dataclass(frozen=True)
class Step:
    """One more token of every row that is not finished. All tuples are [row].

    Attributes:
        index: which new token this is, from 0.
        position: where it stands, counted from the prompt's first token.
        tokens: ids; None in a row that had finished before.
        texts: what it adds to the text. Empty for the token that ends a text, for a finished row,
            and while a character is spread over tokens: the last of these brings all of it.
        logprob: of the token under the row's own model, at temperature 1, in nats; None in a
            finished row.
        top: the most likely next tokens under the row's own model, best first.
        base_logprob, base_top: the same without interventions, on the same prefix; with
            `read_across` only, else None.
        kl: KL(row's own model || without interventions) of the next token, in nats; likewise.
        done: why a row has finished: "end" (the model ended the text), "stop" (a stop string is
            in it), "length" (as many tokens as asked for), "context" (no room in the model); None
            while it goes on.
    """

    index: int
    position: int
    tokens: tuple[int | None, ...]
    texts: tuple[str, ...]
    logprob: tuple[float | None, ...]
    top: tuple[tuple[Candidate, ...], ...]
    done: tuple[Done | None, ...]
    base_logprob: tuple[float | None, ...] | None = None
    base_top: tuple[tuple[Candidate, ...], ...] | None = None
    kl: tuple[float | None, ...] | None = None


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen and when to stop; `Model.generate` describes them.

    Raises PromptError for values that make no sense.
    """

    max_new_tokens: int = 40
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    top: int = 5

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise PromptError(f"max_new_tokens is {self.max_new_tokens}: ask for at least 1 token.")
        if not 0 <= self.temperature < float("inf"):
            raise PromptError(
                f"The temperature is {self.temperature}: give 0 (always the favourite) or more."
            )
        if not 0 < self.top_p <= 1:
            raise PromptError(f"top_p is {self.top_p}: give a share above 0, at most 1.")
        if "" in self.stop:
            raise PromptError("A stop string is empty, and would stop every text at once.")
        if self.top < 0:
            raise PromptError(f"top is {self.top}: give how many next tokens to list, 0 for none.")


class Chooser:
    """From logits to tokens, texts and the reasons to stop, for all rows of one generation."""

    def __init__(self, model: Model, prompt: Tensor, n_rows: int, sampling: Sampling) -> None:
        self.model, self.sampling = model, sampling
        self.n_prompt = len(prompt)
        self.texts = [Text(model.tokenizer, prompt.tolist()) for _ in range(n_rows)]
        self.done: list[Done | None] = [None] * n_rows
        self.ends = end_tokens(model)
        self.limit = getattr(model.config, "max_position_embeddings", None)
        self.random = torch.Generator().manual_seed(sampling.seed)
        self.index = 0

    def next(self, logits: Tensor, twins: Mapping[int, int]) -> Step:
        """The next step, from logits [batch, vocab] of the rows and their twins."""
        going = [row for row, reason in enumerate(self.done) if reason is None]
        log_p = logits.log_softmax(-1)
        chosen = draw(logits[: len(self.done)], self.sampling, self.random).tolist()
        texts = [""] * len(self.done)
        for row in going:
            texts[row] = self._add(row, chosen[row])
        step = Step(
            index=self.index,
            position=self.n_prompt + self.index,
            tokens=tuple(t if row in going else None for row, t in enumerate(chosen)),
            texts=tuple(texts),
            logprob=self._at(chosen, going, lambda row: log_p[row]),
            top=self._top(going, lambda row: log_p[row]),
            done=tuple(self.done),
            **self._before(log_p, chosen, going, twins),
        )
        self.index += 1
        return step

    def following(self, batch: int, twins: Mapping[int, int]) -> Tensor:
        """What every row of the batch reads next, [batch, 1]; a finished row repeats its last."""
        ids = torch.zeros(batch, 1, dtype=torch.int64)
        for row, text in enumerate(self.texts):
            ids[row] = ids[twins.get(row, row)] = text.ids[-1]
        return ids

    def _add(self, row: int, token: int) -> str:
        text, sampling = self.texts[row], self.sampling
        if token in self.ends:
            self.done[row] = "end"
            return text.end(token)
        piece = text.add(token)
        if any(s in text.last(len(s) - 1 + len(piece)) for s in sampling.stop):
            self.done[row] = "stop"
        elif self.index + 1 == sampling.max_new_tokens:
            self.done[row] = "length"
        elif self.limit is not None and self.n_prompt + self.index + 1 >= self.limit:
            self.done[row] = "context"
        return piece + text.rest() if self.done[row] else piece

    def _before(
        self, log_p: Tensor, chosen: list[int], going: list[int], twins: Mapping[int, int]
    ) -> dict[str, Any]:
        if not twins:
            return {}

        def before(row: int) -> Tensor:
            return log_p[twins[row]]

        kl: list[float | None] = [None] * len(self.done)
        for row in going:
            p, q = log_p[row], before(row)
            # A token that both rule out (probability 0) differs by nothing.
            kl[row] = float((p.exp() * (p - q)).nan_to_num(0.0).sum())
        return {
            "base_logprob": self._at(chosen, going, before),
            "base_top": self._top(going, before),
            "kl": tuple(kl),
        }

    def _at(
        self, chosen: list[int], going: list[int], log_p: Callable[[int], Tensor]
    ) -> tuple[float | None, ...]:
        return tuple(
            float(log_p(row)[token]) if row in going else None for row, token in enumerate(chosen)
        )

    def _top(
        self, going: list[int], log_p: Callable[[int], Tensor]
    ) -> tuple[tuple[Candidate, ...], ...]:
        found: list[tuple[Candidate, ...]] = [()] * len(self.done)
        for row in going if self.sampling.top else ():
            best = log_p(row).topk(min(self.sampling.top, log_p(row).shape[-1]))
            found[row] = tuple(
                Candidate(token, self.model.token_text(token), value)
                for token, value in zip(best.indices.tolist(), best.values.tolist(), strict=True)
            )
        return tuple(found)


def draw(logits: Tensor, sampling: Sampling, random: torch.Generator) -> Tensor:
    """The next token of every row, [row] from logits [row, vocab]; one noise for all rows."""
    if sampling.temperature == 0:
        return logits.argmax(-1)
    scores = logits / sampling.temperature
    if sampling.top_p < 1:
        p, order = scores.softmax(-1).sort(-1, descending=True)
        # A token stays if those before it do not fill the share yet.
        beyond = p.cumsum(-1) - p >= sampling.top_p
        scores = scores.scatter(-1, order, scores.gather(-1, order).masked_fill(beyond, -torch.inf))
    noise = torch.empty(logits.shape[-1], dtype=logits.dtype).exponential_(generator=random)
    return (scores - noise.log()).argmax(-1)


def end_tokens(model: Model) -> set[int]:
    """The tokens that end a text: the model's own list, else the tokenizer's."""
    settings = getattr(model.hf, "generation_config", None)
    ends = getattr(settings, "eos_token_id", None)
    if ends is None:
        ends = model.tokenizer.eos_token_id
    return set() if ends is None else {int(i) for i in torch.as_tensor(ends).reshape(-1)}
