"""Which share of the organism's features a label tells on held-out text, and what proposing one costs.

    python benchmarks/labels.py               # every tenth feature, two minutes of CPU time
    python benchmarks/labels.py --every 1     # all of them

On 5,000 documents of the organism's corpus. "First proposal" is the rule that `propose` shows first,
"examples" the classifier made from a feature's examples, which judges a label in free text
(`detect`). Beside each the mean area of the same for 20 random other features of the layer.
`labs/organism/labelling.py` has the share for the rule that is best before held-out text is seen.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from interp_widgets.features.building import build
from interp_widgets.features.errors import FeatureError
from interp_widgets.features.labelling.detection import Detection, detect
from interp_widgets.features.labelling.proposing import propose
from interp_widgets.features.stored import StoredIndex
from interp_widgets.labs import organism
from interp_widgets.labs.organism import indexing
from interp_widgets.labs.organism.corpus import CONTEXT, documents
from interp_widgets.labs.organism.labelling import _SEED, DOCUMENTS, GOOD, LEAST


def measured(stored: StoredIndex, every: int) -> tuple[dict[str, list[Detection]], list[float]]:
    """Scores by detector, and milliseconds of CPU time per feature to propose."""
    scores: dict[str, list[Detection]] = {"first proposal": [], "examples": []}
    costs: list[float] = []
    for layer in stored.layers:
        often = np.flatnonzero(stored.counts(layer) >= LEAST)[::every].tolist()
        propose(stored, layer, often[0])  # the controls of a layer are made once
        for feature in often:
            try:
                start = time.process_time()
                proposals = propose(stored, layer, feature)
                costs.append(1000 * (time.process_time() - start))
                scores["first proposal"] += [each.score for each in proposals[:1]]
                scores["examples"].append(detect(stored, layer, feature))
            except FeatureError as error:  # active in too few texts
                print(error)
    return scores, costs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=10)
    every = parser.parse_args().every
    torch.set_num_threads(1)
    model, units = indexing.units_in(Path(organism.__file__).parent / "weights")
    texts = [str(document) for document in islice(documents(_SEED), DOCUMENTS)]
    with tempfile.TemporaryDirectory() as name:
        stored = build(model, units, texts, Path(name) / "index", context=CONTEXT)
        print(stored)
        scores, costs = measured(stored, every)
    for what, found in scores.items():
        areas = np.array([each.auroc for each in found])
        control = np.array([each.control for each in found])
        print(
            f"{what}: {np.mean(areas >= GOOD):.1%} of {len(areas):,} at {GOOD} or more, mean "
            f"{areas.mean():.3f}; control {control.mean():.3f}, {np.mean(control >= GOOD):.1%}"
        )
    middle, high = np.percentile(costs, (50, 95))
    print(f"propose: median {middle:.0f} ms, 95% under {high:.0f} ms of CPU time")


if __name__ == "__main__":
    main()
