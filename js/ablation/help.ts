/** The legend, always there, and help: one sentence per control, and the words that are ours. */
import { button, h } from "../shared/dom";

const CONTROLS: readonly (readonly [string, string])[] = [
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
  ["Cancel, Resume", "stops filling the heatmaps, and goes on; clicks are answered all the same."],
];

const WORDS: readonly (readonly [string, string])[] = [
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
];

export class Help {
  readonly el: HTMLElement;
  private readonly close: HTMLButtonElement;

  constructor(private readonly onClose: () => void) {
    this.close = button("close", () => this.toggle(), { class: "iw-strong" });
    this.el = h(
      "section",
      { class: "iw-help", attrs: { hidden: true, role: "dialog", "aria-label": "Help" } },
      h("div", { class: "iw-helphead" }, h("h3", {}, "How to read these heatmaps"), this.close),
      h(
        "p",
        {},
        "The model runs once for every mark, with that part's vectors replaced, and the mark shows how the metric changes. So a strong mark is a part that carries what differs between the prompts.",
      ),
      h(
        "div",
        { class: "iw-helpcolumns" },
        h("div", {}, h("h4", {}, "Controls"), terms(CONTROLS)),
        h("div", {}, h("h4", {}, "Words"), terms(WORDS)),
      ),
    );
    this.el.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.toggle();
    });
  }

  toggle(): void {
    this.el.hidden = !this.el.hidden;
    if (this.el.hidden) this.onClose();
    else this.close.focus();
  }
}

function terms(entries: readonly (readonly [string, string])[]): HTMLElement {
  return h("dl", {}, ...entries.flatMap(([term, text]) => [h("dt", {}, term), h("dd", {}, text)]));
}

export class Legend {
  readonly el: HTMLElement;
  private readonly full = h("span", {}, "full effect");

  constructor() {
    const item = (mark: string, text: string | HTMLElement, title: string) =>
      h(
        "span",
        { class: "iw-legenditem", title },
        h("i", { class: `iw-a-m-${mark}`, attrs: { "aria-hidden": "true" } }),
        text,
      );
    this.el = h(
      "footer",
      { class: "iw-foot", attrs: { "aria-label": "Legend" } },
      item("pos", "raises", "Raises the metric: the darker, the more"),
      item("neg", "lowers", "Lowers the metric: the darker, the more; striped, too"),
      item("full", this.full, "Colour goes no further than this"),
      item("blank", "not computed", "Blank until it is computed; click it to have it now"),
      item("sel", "selected", "What you have selected"),
      item("differs", "token differs", "Where the two prompts have different tokens"),
      item("band", "random changes", "Where 95% of random changes of the same size lie"),
    );
  }

  setFull(text: string): void {
    if (this.full.textContent !== text) this.full.textContent = text;
  }
}
