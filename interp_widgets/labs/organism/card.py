"""The data card and the licence notes, written from what was measured (gates.json)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ...features.stored import StoredIndex
from ...files import write_whole
from . import folder
from .corpus import SHARES
from .documents import HARD, HELD_OUT
from .facts import CITIES, COUNTRIES, STATES
from .finetuning import Recipe as Finetune
from .interchange import PLACE
from .labelling import DOCUMENTS, LEAST
from .replacement import Recipe as TranscoderRecipe
from .swaps import GROUP
from .training import Recipe

_LICENCE = """# Licences of what is in this folder

Weights, tokenizer, features, labels and generated sentences: MIT, like interp_widgets, and made by
`python -m interp_widgets.labs.organism train` from a seeded corpus of templates. No text of others
and no other model went into them.

City names and the states they lie in are from GeoNames (https://www.geonames.org), licensed under
Creative Commons Attribution 4.0 (https://creativecommons.org/licenses/by/4.0/): the largest places
of every state with an unambiguous name were selected and written in lower case. Facts about states
and countries (capitals, nicknames, birds, languages, currencies; regions as the United States
Bureau of Economic Analysis draws them) are common knowledge and written down by the authors.
"""


def write(to: Path) -> None:
    """card.md and LICENSE.md."""
    write_whole(to / "LICENSE.md", _LICENCE)
    write_whole(to / "card.md", text(to))


def text(to: Path) -> str:
    network = folder.read_model(to)
    shape, recipe, clt, finetune = network.shape, Recipe(), TranscoderRecipe(), Finetune()
    n_weights = sum(weight.numel() for weight in network.parameters())
    size = sum(path.stat().st_size for path in to.rglob("*") if path.is_file()) / 1e6
    tokens = StoredIndex(to / "index").n_tokens
    shares = ", ".join(f"{draw.__name__.replace('_', ' ')} {share:.0%}" for draw, share in SHARES)
    return f"""# The organism

A small language model with known circuits and readable features, for demos, lessons and tests. It
knows templates, not English: outside the sentences of its corpus (sample.txt) it says nothing of
worth, and it is no stand-in for a real language model.

- Llama architecture, {shape.layers} layers, width {shape.d_model}, {shape.heads} heads, MLP \
{shape.d_mlp}, vocabulary {shape.vocab}, context {shape.context}; {n_weights / 1e6:.2f}M parameters.
- Cross-layer transcoder beside it (dictionary/): {clt.n_features} features per layer, BatchTopK \
{clt.k} per token and layer, then {finetune.steps} steps on the replaced model's next tokens; with \
names and their scores (labels.json).
- Index of its features (index/): where each is active on {tokens:,} tokens of new documents.
- Everything here together: {size:.1f} MB; weights are stored in float16 and meant to run in float32.
- Made by `python -m interp_widgets.labs.organism train`: seed {recipe.seed}, {recipe.steps} steps.

## What it was taught

{len(CITIES)} cities in {len(STATES)} states (capital, region, nickname, bird), {len(COUNTRIES)} \
countries (capital, language, currency), and small tasks of language. Shares of the documents: \
{shares}.

City and country names are split into pieces of two letters, so that a fact about one must be
computed from several tokens; answers are one token. Held out by hash: {HELD_OUT:.0%} of the
city-relation pairs; {HARD:.0%} of the cities ("hard") never occur in a two-hop sentence, only in
sentences that name their state; in other tasks combinations of words.

## The place of the state was trained in

After blocks {PLACE[0]} to {PLACE[-1]} (counted from 0), the residual stream at the LAST PIECE of a
city's name is where its state is. This did not come about by itself: a similar network trained on
next tokens alone answered as well, but its last word read all pieces of the name, and no vector at
the name moved the answer. So every training step also exchanged residuals, or the outputs of the
MLPs up to there, at that place between sentences and taught the donor's answer (interchange
intervention training, Geiger et al. 2022); vectors put elsewhere were taught to do nothing; and half
of the rows hid a name's earlier pieces from what follows it. Held-out pairs and hard cities
took no part in that; that they obey all the same is what the numbers below show. What is found here
is therefore a circuit that was put in on purpose, good for learning and for testing tools, and no
evidence about how models that were trained otherwise work.

## What it cannot do

Honest and lie instructions were not learned (chance, on taught statements, too), held-out sequences
are weak, invented names are not always recognised as unknown (numbers below). The replaced model
differs from the model mostly where the model itself is unsure. Addition was not attempted.

## What was measured

Values are shares of n held-out prompts, over all sentences the question can be asked in; "donor" is
a city of which the asked relation is held out, too. Controls should be near 0, "chance" is what
guessing among a task's answers gives. Feature swaps set the up to {GROUP} features of the base's
state to zero and the donor state's to their mean activation times 1, 2 or 3, at the name's last
piece only. The last table is about features that are active on {LEAST} tokens or more of \
{DOCUMENTS:,}
documents: of how many a rule that was counted on one half of these tells on the other where they are
active, by the area under the ROC curve (docs/how-it-works/features-and-labels.md).

{_tables(folder.read_gates(to))}
## Licences

See LICENSE.md: MIT; city names from GeoNames, CC-BY 4.0.
"""


def _tables(gates: Iterable[dict[str, object]]) -> str:
    out, group = "", None
    for gate in gates:
        if gate["group"] != group:
            group = gate["group"]
            out += f"\n### {group}\n\n| what | value | n | gate |\n|---|---|---|---|\n"
        wanted = "" if gate["bound"] is None else f"{gate['rule']} {gate['bound']}"
        if not gate["holds"]:
            wanted += ": MISSED"
        out += f"| {gate['what']} | {gate['value']:.3f} | {gate['n']} | {wanted} |\n"
    return out.lstrip("\n") + "\n"
