"""What can be selected in the ablation view: parts of the heatmaps, and what the caller gave.

An item has an id to write down and a name to read. Parts have the ids of `circuits.parts`
(`mlp.L3.p9`); what the caller gave has its name, or the intervention in words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..attribution.group import Interventions, Nodes
from ..attribution.node import Node
from ..circuits import CircuitError, Part
from ..circuits.effects import Item
from ..circuits.parts import Shape, part
from ..models import Model
from ..models.interventions import Intervention, Target, interventions_of

DALLAS = "the capital of the state containing dallas is"
# Cities of other states, one for each way in which the tokenizer may split dallas.
INSTEAD = ("miami", "chicago", "seattle", "oakland", "detroit", "tampa", "tucson", "boulder")


@dataclass(frozen=True)
class Given:
    """Interventions that the caller named, measured together as one thing."""

    id: str
    what: tuple[Intervention, ...]

    @property
    def title(self) -> str:
        """All of them in words."""
        return "; ".join(str(change) for change in self.what)


def given(what: Any) -> tuple[Given, ...]:
    """What a caller passed, one thing for each entry of a list or dictionary.

    Args:
        what: an intervention or target (ablated); a list of these, or of lists (groups); nodes of a
            graph, one thing each; or a dictionary from names to any of these, nodes as a group.

    Raises InterventionError for anything else.
    """
    if what is None:
        return ()
    named: Iterable[tuple[str, Any]]
    if isinstance(what, Mapping):
        named = what.items()
    elif isinstance(what, Nodes) and what:
        labels = [node.label for node in what]
        named = [(_node_name(n, labels), Nodes([n], what.graph)) for n in what]
    elif isinstance(what, Interventions):  # they belong together
        named = [("", what)]
    else:
        one = isinstance(what, Intervention | Target | str) or not isinstance(what, Sequence)
        # What is no list, or an empty one, is refused below or here.
        named = [("", each) for each in ([what] if one or not what else what)]
    found: list[Given] = []
    for name, each in named:
        changes = interventions_of(each.ablate() if isinstance(each, Nodes) else each)
        text = str(name) or str(changes[0]) + (
            f" and {len(changes) - 1} more" if changes[1:] else ""
        )
        found.append(Given(_unused(text, [item.id for item in found]), changes))
    return tuple(found)


def _node_name(node: Node, labels: Sequence[str]) -> str:
    """Its label, with the unit where several have the same."""
    unit = node.place.split(" ")[0]
    if labels.count(node.label) > 1:
        return f"{node.label} {unit}".strip()
    return node.label or unit


def _unused(text: str, taken: Sequence[str]) -> str:
    if text not in taken:
        return text
    number = 2
    while f"{text} ({number})" in taken:
        number += 1
    return f"{text} ({number})"


@dataclass(frozen=True)
class Items:
    """Everything that can be selected."""

    shape: Shape
    tokens: tuple[str, ...]
    given: tuple[Given, ...]

    def check(self, ids: Iterable[str]) -> list[str]:
        """Known ids, each once, in order. Raises CircuitError for one that names nothing."""
        unique = list(dict.fromkeys(ids))
        for each in unique:
            self.item(each)
        return unique

    def item(self, text: str) -> Item:
        """What an id names."""
        for each in self.given:
            if each.id == text:
                return each.what
        return part(text, self.shape)

    def name(self, text: str) -> str:
        """An id in words: "L3 MLP at “las”"."""
        item = self.item(text)
        return part_name(item, self.tokens) if isinstance(item, Part) else text


def part_name(item: Part, tokens: Sequence[str]) -> str:
    """A part in words, with the token of the run that is edited."""
    if item.panel == "heads":
        heads = "all heads" if item.index is None else f"head {item.index}"
        return f"L{item.layer} {heads}"
    what = {"residual": "stream", "attention": "attention", "mlp": "MLP"}[item.panel]
    where = "all positions" if item.index is None else f"at “{shown(tokens[item.index])}”"
    if item.layer is None:
        return f"{what} {where}, all layers"
    return (
        f"L{item.layer} {what} {where}"
        if item.index is not None
        else f"L{item.layer} {what}, {where}"
    )


def shown(token: str) -> str:
    """A token as one readable word: blanks and line ends get a visible sign."""
    return token.replace("\n", "⏎").replace("\t", "⇥").strip() or "␣"


def example(model: Model) -> tuple[str, str]:
    """The prompt and counterfactual to begin with, for the bundled model.

    Raises CircuitError for any other model: which prompt makes sense is its user's to say.
    """
    if model.name != "organism":
        raise CircuitError(
            f"Say which prompt: iw.ablate(model, prompt, counterfactual=...). Only the bundled "
            f"model has one of its own, and this is {model.name}."
        )
    length = len(model.tokenize(DALLAS))
    for city in INSTEAD:
        other = DALLAS.replace("dallas", city)
        if len(model.tokenize(other)) == length:
            return DALLAS, other
    raise CircuitError("No city of the list is split into as many tokens as dallas.")
