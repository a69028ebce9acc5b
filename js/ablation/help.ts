/** The words of help, one sentence per control, and the marks of the legend. */
import { h } from "../shared/dom";
import { type HelpText, legend, mark } from "../shared/help";

export const HELP: HelpText = {
  title: "How to read these heatmaps",
  intro:
    "The model runs once for every mark, with that part's vectors replaced, and the mark shows how the metric changes. So a strong mark is a part that carries what differs between the prompts.",
  controls: [
    ["Marks", "click one to see what it does; Shift-click adds one or takes it away."],
    ["Labels", "a click on L3 takes the whole layer, one on a token that position in all layers."],
    [
      "Keys",
      "arrows move, Enter selects, Shift with Enter adds, l takes the layer, p the position, Escape clears.",
    ],
    [
      "Tabs",
      "what is exchanged: the stream in front of a block, what attention or the MLP adds, or one head's output at all positions.",
    ],
    ["Noising, denoising", "which of the two prompts runs, and which gives its values."],
    [
      "Cancel, Resume",
      "stops filling the heatmaps, and goes on; clicks are answered all the same.",
    ],
  ],
  words: [
    ["Effect", "the metric with the part changed, minus the metric with nothing changed."],
    ["Logit difference", "logit of the clean run's answer minus logit of the other answer."],
    ["Way to the other run", "the effect as a share of the metric's difference between the runs."],
    [
      "Random changes",
      "the control: the same vectors moved as far, each time in a random direction; their mean, and where 95% of them lie.",
    ],
    [
      "One by one, together",
      "if parts worked independently, the joint effect would be the sum of the single ones.",
    ],
    [
      "Text",
      "what the model writes when it always takes the likeliest token; underlined is what changed.",
    ],
  ],
};

export class Legend {
  readonly el: HTMLElement;
  private readonly full = h("span", {}, "full effect");

  constructor() {
    const sign = (name: string) => mark(`iw-a-m-${name}`);
    this.el = legend(
      [sign("pos"), "raises", "Raises the metric: the darker, the more"],
      [sign("neg"), "lowers", "Lowers the metric: the darker, the more; striped, too"],
      [sign("full"), this.full, "Colour goes no further than this"],
      [sign("blank"), "not computed", "Blank until it is computed; click it to have it now"],
      [sign("sel"), "selected", "What you have selected"],
      [sign("differs"), "token differs", "Where the two prompts have different tokens"],
      [sign("band"), "random changes", "Where 95% of random changes of the same size lie"],
    );
  }

  setFull(text: string): void {
    if (this.full.textContent !== text) this.full.textContent = text;
  }
}
