/** One sentence per control, and the words that are ours. */
import { button, h } from "../../shared/dom";
import { dialog, rows, type Terms } from "../../shared/help";
import type { Store } from "../store";

const CONTROLS: Terms = [
  ["Click", "selects a node: the panel lists what it reads from and writes to."],
  ["Ctrl-click", "adds a node to the selection or takes it out."],
  ["Alt-drag", "selects all nodes in a box; “box select” in the menu does the same without a key."],
  [
    "Drag, Ctrl-scroll",
    "pans and zooms; crowded cells unfold as you zoom in; double-click resets.",
  ],
  ["Shift", "holds the hover still while the pointer goes to the panel."],
  ["Keep", "drops the weakest nodes; what stays carries this share of all influence."],
  ["Pin (p)", "keeps a node and its links drawn whatever else you do."],
  ["Group (g)", "makes the selected nodes one named group, summed in the panel."],
  ["Rename (r)", "gives a node or a group your own name."],
  [
    "Find (/)",
    "takes words or layer:4 token:las kind:error weight>0.2 influence>0.01; Enter goes to the next.",
  ],
  [
    "Check",
    "runs the model with what is selected changed: what the graph predicts, what the model says, what random nodes of equal size do.",
  ],
  ["Swap", "puts another prompt's nodes in the place of what is selected."],
  [
    "Check many",
    "predicted against measured, node by node, with a random graph beside; a point is a node.",
  ],
  ["Suggest groups", "outlines nodes of like effect; accept, rename or reject each."],
  ["Arrows, Enter", "walk from node to node and select; Escape goes back."],
  ["Ctrl-Z", "takes back a pin, group, name or slider move; Ctrl-Shift-Z does it again."],
];

export class Help {
  readonly el: HTMLElement;
  private readonly close: HTMLButtonElement;
  private readonly words = h("dl");

  constructor(
    private readonly store: Store,
    toggle: () => void,
  ) {
    this.close = button("close", toggle, { class: "iw-strong" });
    const page = {
      title: "How to read and use this graph",
      intro:
        "Each mark is a part of the model that was active while it read the prompt: tokens run from left to right, layers from bottom to top, predictions stand on top. A line says how much one part directly raised or lowered another.",
      controls: CONTROLS,
    };
    this.el = dialog(page, this.words, this.close);
    store.subscribe((changed) => {
      if (changed.has("help") || changed.has("graph")) this.show();
    });
  }

  private show(): void {
    const { help, graph } = this.store.state;
    const opened = help && this.el.hidden;
    this.el.hidden = !help;
    const unit = graph?.header.unit ?? "feature";
    const error = graph?.header.error_name ?? "unexplained";
    const weight = graph?.header.weight_name ?? "direct effect";
    this.words.replaceChildren(
      ...rows([
        [unit, `one ${unit} of a layer that fired at one token; L4/117 is number 117 of layer 4.`],
        [error, `what the ${unit}s of that layer leave over; the smaller, the better the graph.`],
        [
          "Direct effect",
          `a line's weight (${weight}): what the source adds to the target's input.`,
        ],
        [
          "Direct, total",
          "an effect with attention and norms frozen, as a graph has them; and with nothing frozen, as the model is.",
        ],
        ["Share", "a weight divided by the sum of all absolute inputs of its target."],
        ["Influence", "how much of the output, through all paths, goes back to this node."],
        [
          "Keep 80%",
          "the strongest nodes that together have 80% of all influence, if they lead on to another kept node.",
        ],
        ["Completeness", `the part of the nodes' inputs that is not “${error}”.`],
        ["Replacement", `the part of the output's influence that avoids “${error}” on every path.`],
      ]),
    );
    if (opened) this.close.focus();
  }
}
