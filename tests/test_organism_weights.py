"""The organism that ships, measured with nothing but transformers, safetensors and plain hooks.

Subsamples of the gates in interp_widgets/labs/organism/gates.json, computed again by other code.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

import interp_widgets
from interp_widgets.labs.organism.documents import pair_is_held_out
from interp_widgets.labs.organism.facts import CITIES, RELATIONS, STATES
from interp_widgets.labs.organism.interchange import PLACE

torch.set_num_threads(1)
FOLDER = Path(interp_widgets.__file__).parent / "labs" / "organism" / "weights"
PROMPT = "the {relation} of the state containing {city} is"


class Organism:
    def __init__(self) -> None:
        self.model = AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(FOLDER)

    def ids(self, text: str) -> Tensor:
        return torch.tensor([[self.tokenizer.bos_token_id, *self._plain(text)]])

    def token(self, answer: str) -> int:
        (token,) = self._plain(answer)
        return token

    def _plain(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def place(self, relation: str, city: str) -> int:
        """The last piece of the name: the token before the final "is"."""
        return self.ids(PROMPT.format(relation=relation, city=city)).shape[1] - 2

    @torch.no_grad()
    def run(self, relation: str, city: str, hooks=()) -> int:
        """The next token, with (module, hook) pairs in place."""
        handles = [module.register_forward_hook(hook) for module, hook in hooks]
        try:
            logits = self.model(self.ids(PROMPT.format(relation=relation, city=city))).logits
        finally:
            for handle in handles:
                handle.remove()
        return int(logits[0, -1].argmax())


@pytest.fixture(scope="module")
def organism() -> Organism:
    return Organism()


def held_out(relation: str, n: int) -> list[str]:
    cities = [city for city in CITIES if pair_is_held_out(city, relation)]
    return cities[:: max(1, len(cities) // n)][:n]


def gate(group: str, what: str) -> float:
    gates = json.loads((FOLDER / "gates.json").read_text("utf-8"))
    return next(g["value"] for g in gates if g["group"] == group and g["what"] == what)


def test_everything_but_the_index_is_at_most_10_megabytes():
    # tests/test_organism_index.py weighs the index.
    files = [p for p in FOLDER.rglob("*") if p.is_file() and p.parent.name != "index"]
    assert sum(p.stat().st_size for p in files) <= 10e6


def test_the_place_moves_the_answer(organism: Organism):
    """Residual stream at the last piece: another city's, and another relation's prompt."""
    right, moved, foreign, n = 0, 0, 0, 0
    for number, relation in enumerate(RELATIONS):
        other = RELATIONS[number - 1]
        cities = held_out(relation, 16)
        for city, donor in zip(cities, cities[5:] + cities[:5], strict=True):
            answer = STATES[CITIES[donor]][relation]
            if answer == STATES[CITIES[city]][relation]:
                continue
            n += 1
            said = organism.run(relation, city)
            right += said == organism.token(STATES[CITIES[city]][relation])
            block = organism.model.model.layers[PLACE[n % len(PLACE)]]
            for asked in (relation, other):
                found: list[Tensor] = []
                there = organism.place(asked, donor)

                def read(module, inputs, out, found=found, there=there):
                    found.append(out[0, there].clone())

                organism.run(asked, donor, [(block, read)])
                here = organism.place(relation, city)

                def put(module, inputs, out, found=found, here=here):
                    out = out.clone()
                    out[0, here] = found[0]
                    return out

                same = organism.run(relation, city, [(block, put)]) == organism.token(answer)
                moved += same and asked == relation
                foreign += same and asked != relation
    assert n >= 45
    assert right / n >= 0.85
    assert moved / n >= 0.8
    assert foreign / n >= 0.6


def test_the_transcoder_replaces_the_mlps(organism: Organism):
    clt = Transcoder(FOLDER / "dictionary")
    lines = (FOLDER / "sample.txt").read_text("utf-8").splitlines()[:150]
    same = n = 0
    for line in lines:
        ids = organism.ids(line)
        with torch.no_grad():
            plain = organism.model(ids).logits[0].argmax(-1)
            acts: dict[int, Tensor] = {}
            handles = []
            for layer, block in enumerate(organism.model.model.layers):

                def hook(module, inputs, out, layer=layer, acts=acts):
                    acts[layer] = clt.encode(layer, inputs[0])
                    new = clt.decode(layer, acts)
                    new[:, 0] = out[:, 0]  # BOS stays
                    return new

                handles.append(block.mlp.register_forward_hook(hook))
            replaced = organism.model(ids).logits[0].argmax(-1)
            for handle in handles:
                handle.remove()
        # BOS is not replaced, and the last token of a document has no next one.
        same += int((plain == replaced)[1:-1].sum())
        n += ids.shape[1] - 2
    group = "Model with all MLPs replaced by the transcoder"
    assert n > 1200
    assert same / n == pytest.approx(gate(group, "same most probable next token"), abs=0.03)


class Transcoder:
    """circuit-tracer's layout, read by hand."""

    def __init__(self, folder: Path) -> None:
        config = yaml.safe_load((folder / "config.yaml").read_text("utf-8"))
        assert config["model_kind"] == "cross_layer_transcoder"
        assert config["feature_input_hook"] == "mlp.hook_in"
        assert config["activation"] == "jumprelu"
        n_layers = len(list(folder.glob("W_enc_*.safetensors")))
        self.layers = []
        for i in range(n_layers):
            tensors = load_file(folder / f"W_enc_{i}.safetensors")
            tensors |= load_file(folder / f"W_dec_{i}.safetensors")
            self.layers.append(
                {key.rsplit("_", 1)[0]: tensor.float() for key, tensor in tensors.items()}
            )

    def encode(self, layer: int, x: Tensor) -> Tensor:
        weights = self.layers[layer]
        pre = x @ weights["W_enc"].T + weights["b_enc"]
        return pre * (pre > weights["threshold"])

    def decode(self, layer: int, acts: dict[int, Tensor]) -> Tensor:
        out = self.layers[layer]["b_dec"] + 0 * acts[layer][..., :1]
        for source in range(layer + 1):
            out = out + acts[source] @ self.layers[source]["W_dec"][:, layer - source]
        return out


def test_the_card_and_the_licence_say_what_was_measured():
    card = (FOLDER / "card.md").read_text("utf-8")
    gates = json.loads((FOLDER / "gates.json").read_text("utf-8"))
    assert len(gates) > 40
    for row in gates:
        assert f"| {row['what']} | {row['value']:.3f} | {row['n']} |" in card
    assert "interchange intervention training" in " ".join(card.split())
    assert "GeoNames" in (FOLDER / "LICENSE.md").read_text("utf-8")


def test_features_have_names_with_scores():
    document = json.loads((FOLDER / "dictionary" / "labels.json").read_text("utf-8"))
    rows = document["labels"]
    assert len(rows) > 500
    states = {row["text"] for row in rows} & set(STATES)
    assert len(states) >= 40
    good = sum(row["score"] > 0.8 for row in rows)
    assert good / len(rows) > 0.7
    assert sum(row["control"] for row in rows) / len(rows) < 0.65
