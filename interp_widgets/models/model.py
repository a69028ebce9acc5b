"""Model: a Hugging Face causal language model, run under nnsight, behind one lock.

Traces are opened in running.py. Two traces at once on one model break both (measured: 180 of
180 runs failed with three threads), and JupyterLab runs widget callbacks in another thread
while a cell executes, so every run takes `model.lock`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import nnsight
import torch
from torch import Tensor, nn

from .anatomy import Anatomy, anatomy_of, dtype_for_analysis, part
from .cache import Progress, without_bars
from .errors import ModelError, PromptError
from .generation import generate
from .intervening import Attention, Layers, Outcome, run_each
from .places import Place, Site
from .recording import Neurons, Recording
from .running import (
    Edit,
    Run,
    check_ids,
    check_places,
    read_for_gradient,
    read_one_prompt,
    visit,
)
from .sampling import Sampling, Step
from .targets import What, interventions_of

Prompt = str | Sequence[int] | Tensor


class Model:
    """A language model to look inside.

    Use `interp_widgets.load` for names, folders and files; this constructor takes a model
    that is already in memory.

    Args:
        hf: a Hugging Face causal language model of a known family (`models.anatomy`).
        tokenizer: its tokenizer.
        name: how results name it.
        origin: where the weights came from, written into results.
        dictionary: the folder of the dictionary that comes with the model, if one does.

    Raises ModelError for an unknown family.
    """

    def __init__(
        self,
        hf: nn.Module,
        tokenizer: Any,
        *,
        name: str = "",
        origin: str = "",
        dictionary: Path | None = None,
    ) -> None:
        self.hf = hf
        self.tokenizer = tokenizer
        self.anatomy: Anatomy = anatomy_of(hf)
        self.config: Any = hf.config
        self.name = name or getattr(hf.config, "_name_or_path", "") or type(hf).__name__
        self.origin = origin
        self.dictionary = dictionary
        self.lock = threading.RLock()
        hf.eval().requires_grad_(False)
        # Patterns are only visible under eager attention; sdpa returns None for them.
        hf.set_attn_implementation("eager")  # type: ignore[operator]
        # Without `device` the wrapper would move a CPU model to the first GPU.
        self._traced = nnsight.TransformersModel(
            hf, tokenizer=tokenizer, task="text-generation", device=hf.device
        )

    @property
    def n_layers(self) -> int:
        return len(part(self.hf, self.anatomy.layers))

    @property
    def d_model(self) -> int:
        return int(self.config.hidden_size)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype analysis is computed in (float32, or float64 for a float64 model)."""
        return dtype_for_analysis(next(self.hf.parameters()).dtype)

    @property
    def device(self) -> torch.device:
        """Where analysis is computed: the embedding's device, also for a spread-out model."""
        device: torch.device = part(self.hf, self.anatomy.embed).weight.device
        return device

    def __repr__(self) -> str:
        count = sum(p.numel() for p in self.hf.parameters())
        return (
            f"Model({self.name!r}, {self.config.model_type}, {self.n_layers} layers x "
            f"{self.d_model}, {count / 1e6:.0f}M parameters, {self.hf.device})"
        )

    def tokenize(self, prompt: Prompt) -> Tensor:
        """Token ids [position] of a prompt, with a special token in front.

        Position 0 is an attention sink with outsize values, so, as circuit-tracer does, a
        special token (BOS, else padding or end of text) is put there if the prompt has none.

        Raises PromptError for an empty prompt, one longer than the model's context, or
        token ids outside the vocabulary.
        """
        if isinstance(prompt, str):
            ids = self.tokenizer(prompt, add_special_tokens=False)["input_ids"] if prompt else []
            if not prompt.strip() or not ids:
                raise PromptError("The prompt is empty: give at least one word.")
        else:
            ids = _token_ids(prompt)
        tok = self.tokenizer
        names = (tok.bos_token_id, tok.pad_token_id, tok.eos_token_id, *tok.all_special_ids)
        special = [i for i in names if i is not None]
        front = special[:1]
        # A word that is unknown is a word, though its token counts as a special one.
        if ids[0] not in special or ids[0] == tok.unk_token_id not in front:
            ids = front + list(ids)
        vocab = int(self.config.vocab_size)
        wrong = [i for i in ids if not 0 <= i < vocab]
        if wrong:
            raise PromptError(f"Token id {wrong[0]} is outside the vocabulary (0 to {vocab - 1}).")
        limit = getattr(self.config, "max_position_embeddings", None)
        if limit is not None and len(ids) > limit:
            raise PromptError(
                f"The prompt has {len(ids)} tokens and {self.name} reads at most {limit}: "
                f"shorten it by {len(ids) - limit} tokens."
            )
        return torch.tensor(ids, dtype=torch.int64)

    def token_text(self, token_id: int) -> str:
        """A token as a reader sees it: its text, or its name where the text is empty."""
        text = self.tokenizer.decode([token_id])
        return text or str(self.tokenizer.convert_ids_to_tokens(int(token_id)))

    def texts(self, ids: Sequence[int]) -> list[str]:
        """What each token adds to the text of all of them; joined, `tokenizer.decode(ids)`.

        A word has its blank, and a piece of a word joins the piece before it. A character spread
        over several tokens stands at the last of them, "" at the others. For passages: the time
        grows with the square of their length, 25 ms for 500 tokens.
        """
        ids = [int(i) for i in ids]
        whole = str(self.tokenizer.decode(ids))
        ends = [0]
        for count in range(1, len(ids) + 1):
            # Half a character at the end of a prefix differs from what becomes of it.
            prefix = self.tokenizer.decode(ids[:count])
            same = os.path.commonprefix([prefix, whole])  # noqa: RUF071 (characters)
            ends.append(max(ends[-1], len(same)))
        return [whole[a:b] for a, b in pairwise(ends)]

    def token_id(self, text: str) -> int:
        """The id of a one-token string, as it would follow the prompt.

        Raises PromptError if the string is not one token, naming the pieces.
        """
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        if len(ids) == 1 and ids[0] != self.tokenizer.unk_token_id:
            return int(ids[0])
        if not ids or self.tokenizer.unk_token_id in ids:
            raise PromptError(f"{text!r} is not in this tokenizer's vocabulary.")
        pieces = [self.token_text(i) for i in ids]
        hint = (
            ""
            if text.startswith(" ")
            else f" Words inside a sentence often start with a space: try {' ' + text!r}."
        )
        raise PromptError(
            f"{text!r} is {len(ids)} tokens in this tokenizer ({pieces}), and a target is one "
            f"token: use one of the pieces.{hint}"
        )

    def record(self, prompt: Prompt, *, neurons: bool = False) -> Recording:
        """Run the model on one prompt and keep what attribution needs.

        Args:
            prompt: text, or token ids [position].
            neurons: also keep the MLPs' inner values.

        Raises PromptError (see `tokenize`), and ModelError if a value is not finite, naming
        the first block where that happens.
        """
        ids = self.tokenize(prompt)
        with self.lock, torch.no_grad():
            seen = read_one_prompt(
                self._traced, self.anatomy, ids[None].to(self.device), self.n_layers, neurons
            )
        recording = self._recording(prompt, ids, seen)
        _check_finite(recording, self.name)
        return recording

    def run(
        self,
        ids: Tensor,
        *,
        mask: Tensor | None = None,
        read: Iterable[Place] = (),
        write: Mapping[Place, Edit] | None = None,
        logits: bool | Sequence[int] = True,
    ) -> Run:
        """Run a batch of prompts; read and replace vectors on the way.

        Args:
            ids: [batch, position] int64, right-padded.
            mask: bool [batch, position], False on padding; checked to be on the right, where
                it changes nothing in front of it. What is seen at padding means nothing.
            read: the places to keep.
            write: per place, a function of the value there [batch, position, d] and of what was
                read so far (earlier places, and this one); what it returns takes the value's
                place. It must not change its arguments.
            logits: False stops behind the last place and gives no logits; a list of positions
                computes only those, in that order.

        Returns: logits and what was read, in the model's dtype on the model's device.

        Raises PromptError for ids or a mask that do not fit, ModelError for a place that the
        model does not have or a replacement of another shape.
        """
        read, write = frozenset(read), dict(write or {})
        check_ids(ids, mask, self.config, self.name)
        check_places(read, write, self.n_layers, self.name)
        with self.lock, torch.no_grad():
            ids = ids.to(self.device)
            keep = logits if isinstance(logits, bool) else torch.tensor(logits, device=ids.device)
            return visit(self._traced, self.hf, self.anatomy, ids, read, write, keep)

    def generate(
        self,
        prompt: Prompt,
        rows: Sequence[What] = ((),),
        *,
        max_new_tokens: int = 40,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
        stop: str | Sequence[str] = (),
        top: int = 5,
        read_across: bool = False,
        cancelled: Callable[[], object] | None = None,
    ) -> Iterator[Step]:
        """Write on, token by token, in one or several variants at once.

        Args:
            prompt: text, or token ids [position] (`chat_prompt` makes them from a conversation).
            rows: per variant its interventions; an empty list is the model as it is.
            max_new_tokens: at most this many; fewer if the model's context is full.
            temperature: 0 takes the favourite, 1 draws from the model's own distribution.
            top_p: draw from the most likely tokens that together have this probability.
            seed: of the draws; all variants share their noise.
            stop: a variant stops when one of these strings is in what it wrote.
            top: how many next tokens to list.
            read_across: also tell what the model without interventions says to each variant's
                tokens (one more row of the batch for each variant with interventions).
            cancelled: asked before every token; if it answers yes, Cancelled is raised.

        Returns: an iterator of steps, each computed when it is asked for. The lock is held within
            a step only.

        Raises PromptError for settings that make no sense and InterventionError for interventions
        that cannot be made, at once; InterventionError behind the last step where a text ended
        before a position that an intervention names.
        """
        stops = (stop,) if isinstance(stop, str) else tuple(stop)
        sampling = Sampling(max_new_tokens, temperature, top_p, seed, stops, top)
        return generate(self, prompt, rows, sampling, read_across=read_across, cancelled=cancelled)

    def intervene(
        self,
        prompt: Prompt,
        what: What,
        *,
        attention: Attention = "free",
        norms: Attention = "free",
        constrained: Layers = (),
        read: Iterable[Place] = (),
        logits_at: Sequence[int] | None = None,
    ) -> Outcome:
        """Run one prompt with something inside the model changed.

        Args:
            prompt: text, or token ids [position].
            what: an intervention, a target (which is ablated), or a list of both; several act
                in forward order and, at one place, in the order given.
            attention: "frozen" keeps the attention patterns of the unchanged run.
            norms: "frozen" keeps the norms' scales as well as the patterns: what a graph's linear
                model holds.
            constrained: layers whose MLPs give what they give in the unchanged run, plus what
                the interventions themselves write there; "all" keeps norm scales, too, which
                leaves the direct effect. Constrained layers freeze attention, too, and features'
                current activations are those of the unchanged run (as in circuit-tracer).
            read: places whose values the outcome keeps.
            logits_at: positions whose logits are computed; None: all.

        Raises InterventionError for an intervention that this model does not have or that
        would touch nothing, and PromptError (see `tokenize`).
        """
        return self.intervene_each(
            prompt,
            [interventions_of(what)],
            attention=attention,
            norms=norms,
            constrained=constrained,
            read=read,
            logits_at=logits_at,
        )[0]

    def intervene_each(
        self,
        prompt: Prompt,
        what: Sequence[What],
        *,
        attention: Attention = "free",
        norms: Attention = "free",
        constrained: Layers = (),
        read: Iterable[Place] = (),
        logits_at: Sequence[int] | None = None,
        progress: Callable[[float, str], object] | None = None,
        cancelled: Callable[[], object] | None = None,
    ) -> list[Outcome]:
        """`intervene` for each entry of a list, many to a pass; the model is free in between.

        Args:
            progress: called after every pass with the share that is done and a sentence.
            cancelled: asked before every pass.

        Raises also Cancelled (interp_widgets.jobs), once `cancelled` says so.
        """
        return run_each(
            self,
            prompt,
            what,
            attention=attention,
            norms=norms,
            constrained=constrained,
            read=read,
            logits_at=logits_at,
            progress=progress,
            cancelled=cancelled,
        )

    def gradients(self, ids: Tensor, vectors: Tensor, at: Site = "neurons") -> list[list[Tensor]]:
        """Live gradients of targets with respect to every block's values, nothing frozen.

        Target k is vectors[k] . final_norm(residual) at the last position.

        Args:
            ids: [position] token ids.
            vectors: [target, d_model], in the space of the final norm's output.
            at: a site whose value the rest of the pass goes on with: "neurons", "mlp_raw",
                "mlp_out", "attn_out", "resid_post".

        Returns: per target, per block, a tensor [position, d], d_mlp for neurons.
        """
        with self.lock, torch.enable_grad():
            values, final = read_for_gradient(
                self._traced, self.hf, self.anatomy, ids[None].to(self.device), self.n_layers, at
            )
            out = []
            for k, vector in enumerate(vectors):
                metric = final[0, -1] @ vector.to(final)
                grads = torch.autograd.grad(metric, values, retain_graph=k + 1 < len(vectors))
                out.append([self._cast(g[0]) for g in grads])
        return out

    def _recording(self, prompt: Prompt, ids: Tensor, seen: dict[str, Any]) -> Recording:
        row, cast = self.anatomy, self._cast
        blocks: list[dict[str, Tensor]] = seen["blocks"]
        embedding = cast(seen["embedding"])
        if row.position_embed is not None:
            # The token node is the token's own embedding; positions are part of the bias.
            table = part(self.hf, row.position_embed).weight
            embedding = embedding - table[: len(ids)].to(embedding)

        def column(key: str) -> tuple[Tensor, ...]:
            return tuple(cast(b[key]) for b in blocks)

        neurons = None
        if "value" in blocks[0]:
            neurons = tuple(
                Neurons(cast(b["up"]), cast(b["gate"]) if "gate" in b else None, cast(b["value"]))
                for b in blocks
            )
        text = prompt if isinstance(prompt, str) else self.tokenizer.decode(ids.tolist())
        return Recording(
            prompt=text,
            tokens=tuple(self.token_text(i) for i in ids.tolist()),
            token_ids=ids,
            embedding=embedding,
            resid_pre=column("resid_pre"),
            resid_mid=column("resid_mid"),
            attn_out=column("attn_out"),
            attn_raw=column("attn_raw"),
            mlp_out=column("mlp_out"),
            mlp_raw=column("mlp_raw"),
            patterns=tuple(cast(b["pattern"]) for b in blocks),
            resid_final=cast(seen["resid_final"]),
            logits=cast(seen["logits"]),
            neurons=neurons,
        )

    def _cast(self, x: Tensor) -> Tensor:
        return x.detach().to(device=self.device, dtype=self.dtype)


def _token_ids(prompt: Sequence[int] | Tensor) -> list[int]:
    try:
        ids = torch.as_tensor(prompt)
    except (TypeError, ValueError, RuntimeError):
        raise PromptError(
            f"A prompt is text or a sequence of token ids, not {type(prompt).__name__} "
            f"{str(prompt)[:60]!r}."
        ) from None
    if ids.numel() == 0:
        raise PromptError("The prompt has no tokens: give at least one token id.")
    if ids.ndim > 1 and ids.numel() != ids.shape[-1]:
        raise PromptError(f"Token ids have shape {list(ids.shape)}: give one prompt at a time.")
    if ids.is_floating_point():
        raise PromptError("Token ids are whole numbers; these are not.")
    return ids.reshape(-1).tolist()


def _check_finite(recording: Recording, name: str) -> None:
    def fail(where: str) -> None:
        raise ModelError(
            f"{name} gives values that are not finite (NaN or infinity), first in {where}: "
            f"its weights are damaged, or its dtype overflows (try dtype=torch.float32)."
        )

    if not torch.isfinite(recording.embedding).all():
        fail("the token embedding")
    for layer in range(recording.n_layers):
        for what in ("attn_out", "mlp_out"):
            if not torch.isfinite(getattr(recording, what)[layer]).all():
                fail(f"block {layer} ({'attention' if what == 'attn_out' else 'MLP'})")
    if not torch.isfinite(recording.logits).all():
        fail("the logits")


def load(
    name: str | Path = "organism",
    *,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device | None = None,
    device_map: Any = None,
    trust_remote_code: bool = False,
    progress: Progress | None = None,
) -> Model:
    """A model by catalogue name, Hugging Face id, folder or GGUF file.

    Args:
        name: "organism" (in this package, no download), "smollm2", an id such as "openai-community/gpt2", a folder, or a .gguf file.
        dtype: of the weights; analysis itself runs in float32 (float64 for float64).
        device: "cpu", "cuda", ...; default: CUDA if there is one.
        device_map: handed to transformers, to spread a model over several devices.
        trust_remote_code: run code that comes with the model. Off unless asked for by name.
        progress: called with a sentence and a fraction while weights are fetched or
            converted; without it a progress bar appears.

    Raises ModelError with one sentence: unknown family, missing file, no network, damage.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from . import catalog

    weights = catalog.resolve(name, progress=progress)
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    options: dict[str, Any] = dict(revision=weights.revision, trust_remote_code=trust_remote_code)
    placement = {} if device_map is None else {"device_map": device_map}
    try:
        with without_bars():
            hf: Any = AutoModelForCausalLM.from_pretrained(
                weights.path,
                use_safetensors=True,
                dtype=dtype,
                attn_implementation="eager",
                **options,
                **placement,
            )
            tokenizer = AutoTokenizer.from_pretrained(weights.path, **options)
    except Exception as error:
        raise ModelError(catalog.explain(error, str(name))) from error
    if device_map is None:
        hf = hf.to(device)
    return Model(
        hf,
        tokenizer,
        name=weights.name,
        origin=str(weights.origin),
        dictionary=weights.dictionary,
    )
