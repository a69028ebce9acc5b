/** The legend, always there, and help: one sentence per control, and the words that are ours. */
import { button, h } from "../shared/dom";

const CONTROLS: readonly (readonly [string, string])[] = [
  ["Pause, Resume", "holds the training between two steps; nothing is lost."],
  ["Stop and keep", "ends it now; training.dictionary() is what it has become."],
  ["Cancel", "ends it, too, and says so; it asks once more."],
  [
    "Settings",
    "the field takes a number and Enter; the slider applies when you let it go. Undo goes back to the value before.",
  ],
  ["Charts", "drag to zoom into all four curves, double-click to see all again."],
  ["Features", "click one for more examples; Escape or “back” returns to the list."],
  ["Number", "type a feature's number and Enter to open it."],
];

const WORDS: readonly (readonly [string, string])[] = [
  ["Loss", "what the training makes smaller: reconstruction and whatever the recipe adds."],
  [
    "FVU",
    "fraction of variance unexplained: squared error divided by that of always predicting the mean. 0 is perfect, 1 is the mean.",
  ],
  ["L0", "how many features are active on a token, on average."],
  ["Dead", "a feature that has not fired for a long while."],
  ["How often", "the share of recent tokens on which a feature fired."],
  ["Trigger", "the token of an example on which the feature fired most strongly; underlined."],
  ["Applied from", "the first step that used a new setting; the charts mark it."],
];

export class Help {
  readonly el: HTMLElement;
  private readonly close: HTMLButtonElement;

  constructor(private readonly onClose: () => void) {
    this.close = button("close", () => this.toggle(), { class: "iw-strong" });
    this.el = h(
      "section",
      { class: "iw-help", attrs: { hidden: true, role: "dialog", "aria-label": "Help" } },
      h(
        "div",
        { class: "iw-helphead" },
        h("h3", {}, "How to read and steer this training"),
        this.close,
      ),
      h(
        "p",
        {},
        "A dictionary learns to rebuild the model's activations from few features at a time. The curves say how well it does; the list says what its features respond to, while they form. The figure is training.figure: restyle it as any plotly figure.",
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

export function legend(): HTMLElement {
  const item = (mark: string, text: string, title: string) =>
    h(
      "span",
      { class: "iw-legenditem", title },
      h("i", { class: `iw-t-m-${mark}`, attrs: { "aria-hidden": "true" } }),
      text,
    );
  return h(
    "footer",
    { class: "iw-foot", attrs: { "aria-label": "Legend" } },
    item("line", "mean of neighbouring steps", "At most 240 points a curve"),
    item("control", "control", "What a simple method reaches: PCA of the same rank"),
    item("changed", "you changed a setting", "The first step that used it"),
    item("bar", "features", "How many features fire how often"),
    item("act", "activation", "The darker, the stronger the feature fired on that token"),
    item("trigger", "strongest token", "Where the feature fired most strongly in this example"),
  );
}
