"""Does a graph predict what an ablation does? Many nodes on held-out prompts, two models.

    python benchmarks/faithfulness.py                      # both models, the tables of README.md
    python benchmarks/faithfulness.py --model organism
    python benchmarks/faithfulness.py --model smollm2 --prompts 5 --nodes 16

Per prompt one graph: the organism's features on prompts that its training held out, SmolLM2's neurons on
prompts on which nothing here was chosen. Per graph half of the nodes are the strongest by influence and
half are drawn at random. Each is ablated by itself, and the change of a logit difference is measured
(the two most probable tokens; for SmolLM2 answer - foil) and predicted:

    direct          path sums of the graph; patterns and norm scales held in the model, too
    total           the live derivative; everything free
    graph, free     the graph's path sums against the free model: what a reader would like to know

The number per prompt is Spearman's rho over its nodes; the table gives the mean over prompts and a 95%
bootstrap interval that resamples prompts. *Sign right* counts nodes with at least a hundredth of the
largest effect. The control is the same for random graphs of equal size, whose nodes write as much into
random directions. Nodes whose held run overflows are left out, and counted under the table.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import numpy as np
from cases import meter, smollm2

import interp_widgets as iw
from interp_widgets.attribution import Graph
from interp_widgets.attribution.correlation import mean_over, spearman
from interp_widgets.attribution.faithfulness import Faithfulness
from interp_widgets.labs.organism import corpus
from interp_widgets.models import load

ORGANISM_TASKS = {"two-hop": 20, "country": 10, "indirect object": 10}
SMOLLM2_NODES = 300  # neurons of a graph

#   prompt, answer, foil
SMOLLM2 = [
    ("She opened the umbrella because of the", " rain", " sun"),
    ("He was so hungry that he ate the whole", " meal", " book"),
    ("At night the sky is full of", " stars", " fish"),
    ("The sun rises in the east and sets in the", " west", " east"),
    ("A person who flies an airplane is called a", " pilot", " teacher"),
    ("When Anna and Peter went to the beach, Peter handed a towel to", " Anna", " Peter"),
    ("When Lisa and Mark got to the office, Mark showed the letter to", " Lisa", " Mark"),
    ("After David and Emma left the school, Emma gave a book to", " David", " Emma"),
    ("When Paul and Kate were at the station, Paul passed the ticket to", " Kate", " Paul"),
    ("While James and Alice sat in the garden, Alice offered an apple to", " James", " Alice"),
    ("Then Robert and Laura had lunch, and Robert gave the bill to", " Laura", " Robert"),
    ("The Colosseum is located in the city of", " Rome", " Athens"),
    ("The Statue of Liberty is located in the city of New", " York", " Orleans"),
    ("The capital of Germany is", " Berlin", " Paris"),
    ("The capital of Japan is", " Tokyo", " Beijing"),
    ("The capital of Spain is", " Madrid", " Rome"),
    ("The currency of the United States is the", " dollar", " euro"),
    ("The language spoken in Brazil is", " Portuguese", " Spanish"),
    ("Water is made of hydrogen and", " oxygen", " carbon"),
    ("The largest planet in the solar system is", " Jupiter", " Mars"),
    ("Shakespeare wrote the play Romeo and", " Juliet", " Caesar"),
    ("The boys who saw the girl near the gate", " were", " was"),
    ("The picture that the children painted in the class", " was", " were"),
    ("The dogs that the farmer keeps behind the barn", " are", " is"),
    ("The book that the teachers recommended to the pupils", " is", " are"),
    ("The cars parked in front of the bakery", " were", " was"),
    ("January, February, March, April,", " May", " June"),
    ("Spring, summer, autumn,", " winter", " summer"),
    ("one, two, three, four, five,", " six", " seven"),
    ("The opposite of black is white. The opposite of up is", " down", " up"),
    ("The opposite of fast is slow. The opposite of rich is", " poor", " rich"),
    ("The opposite of old is young. The opposite of full is", " empty", " full"),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=["organism", "smollm2"], help="only this one")
    parser.add_argument("--prompts", type=int, default=1000, help="at most so many")
    parser.add_argument("--nodes", type=int, default=0, help="default: organism 60, SmolLM2 24")
    parser.add_argument("--draws", type=int, default=8, help="random graphs per prompt")
    given = parser.parse_args()
    meter.one_thread()
    print(meter.machine())
    for name, graphs, nodes in (("organism", organism, 60), ("smollm2", smollm2_neurons, 24)):
        if given.model in (None, name):
            report(name, graphs(given.prompts), given.nodes or nodes, given.draws)


def organism(prompts: int) -> Iterator[Graph]:
    model = iw.load("organism", device="cpu")
    documents = [d for task, n in ORGANISM_TASKS.items() for d in corpus.held_out(task, n)]
    for document in documents[:prompts]:
        yield iw.attribute(model, document.prompt, max_targets=2, min_probability=1.0)


def smollm2_neurons(prompts: int) -> Iterator[Graph]:
    model = load(smollm2.NAME, device="cpu")
    for prompt, answer, foil in SMOLLM2[:prompts]:
        yield iw.attribute(
            model, prompt, "neurons", targets=(answer, foil), max_nodes=SMOLLM2_NODES
        )


def report(name: str, graphs: Iterator[Graph], nodes: int, draws: int) -> None:
    started, found = time.process_time(), []
    print(f"\n{name}, {nodes} nodes per prompt\n")
    print("| prompt | change of | direct | total | graph, free | random: direct, total |")
    print("|---|---|---|---|---|---|")
    for graph in graphs:
        graph.wait()
        graph.cancel()  # the scores of a control graph, which nobody reads here
        one = graph.faithfulness(n=nodes, draws=draws, seed=len(found))
        found.append(one)
        print(_line(graph, one), flush=True)
    print("", *_summary(found), sep="\n")
    lost = sum(int((~np.isfinite(one.measured["direct"])).sum()) for one in found)
    print(f"\n{lost} of {sum(one.n for one in found)} held runs overflowed")
    each = (time.process_time() - started) / len(found)
    print(f"\n{each:.1f} s of CPU time per prompt")


def _line(graph: Graph, one: Faithfulness) -> str:
    rho = {how: c.rho for how, c in one.correlations.items()}
    control = {how: c.rho for how, c in one.controls.items()}
    assert one.across is not None
    return (
        f"| {graph.table.prompt} | {one.metric} | {rho['direct']:.2f} | {rho['total']:.2f} | "
        f"{one.across.rho:.2f} | {control['direct']:+.2f}, {control['total']:+.2f} |"
    )


def _summary(found: list[Faithfulness]) -> list[str]:
    rows = [("direct", "direct", "direct"), ("total", "total", "total")]
    rows += [("graph, free", "direct", "total")]
    lines = [
        f"| mean over {len(found)} prompts | all nodes | strongest half | random half | sign right | random graphs |",
        "|---|---|---|---|---|---|",
    ]
    for name, predicted, measured in rows:
        cells = []
        for part in ("all", "strongest", "random"):
            each = []
            for one in found:
                assert one.strongest is not None
                which = {"all": np.ones(one.n, bool), "strongest": one.strongest}
                kept = which.get(part, ~one.strongest)
                each.append(spearman(one.predicted[predicted][kept], one.measured[measured][kept]))
            cells.append(str(mean_over(each)))
        sign = np.mean([_signs_right(f.predicted[predicted], f.measured[measured]) for f in found])
        draws = [
            float(np.nanmean([spearman(d, one.measured[measured]) for d in one.control[predicted]]))
            for one in found
        ]
        lines.append(f"| {name} | {' | '.join(cells)} | {sign:.0%} | {mean_over(draws)} |")
    return lines


def _signs_right(predicted: np.ndarray, measured: np.ndarray) -> float:
    """Among the nodes whose effect is at least a hundredth of the largest one."""
    finite = np.isfinite(measured)
    predicted, measured = predicted[finite], measured[finite]
    seen = np.abs(measured) >= 0.01 * np.abs(measured).max()
    return float((np.sign(predicted[seen]) == np.sign(measured[seen])).mean())


if __name__ == "__main__":
    main()
