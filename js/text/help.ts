/** The words of help, one sentence per control, and the marks of the legend. */
import { h } from "../shared/dom";
import { type HelpText, legend, mark } from "../shared/help";

export const HELP: HelpText = {
  title: "How to read this",
  intro:
    "The prompt stands on top, token by token; below it every row is a feature, and a cell says how strongly it fires on a token. Brush tokens to see which features fire there; click features to see where they fire.",
  controls: [
    [
      "Tokens",
      "drag over them, in the text or above the matrix; Shift-click extends, Ctrl-click adds one, a second click clears.",
    ],
    ["Features", "click a row, Ctrl-click adds one or takes it away; the text is shaded by them."],
    [
      "Keys",
      "arrows move, Shift with left and right brushes, Enter selects, Ctrl+Enter adds, Escape clears both, Ctrl+Z undoes.",
    ],
    ["edit", "writes another prompt in place; Enter runs it, and what is selected stays."],
    ["find", "words of a label, a name such as L2/117, or a layer such as L2."],
    ["by strength", "strongest first: by peak, or by the brushed tokens if there are any."],
    ["by layer", "the last layer on top, as in a graph."],
    ["by position", "by the token where a feature peaks: what fires early stands on top."],
    ["30 more", "at the end of the list, adds the next strongest rows."],
    ["steer these", "sends the selected features to a linked view: iw.link(text, steering)."],
    [
      "what it means",
      "iw.link(text, index) opens, in the view of all features, the card of the one that is selected.",
    ],
  ],
  words: [
    [
      "Strength",
      "the activation, without its sign, as a share of what is strong in its layer on this prompt (the 99th percentile of the layer's peaks).",
    ],
    ["Peak", "a feature's largest strength on the prompt."],
    [
      "More here",
      "mean strength on the brushed tokens minus mean strength on the others: this ranks the rows while tokens are brushed.",
    ],
    [
      "Chance",
      "the control: a random choice of as many tokens gives 0 plus or minus this (one standard deviation).",
    ],
    [
      "Usual",
      "where the features are indexed: on how many tokens of the index it fires, or its mean strength over all of them.",
    ],
    ["L2/117", "feature 117 of layer 2."],
  ],
};

export class Legend {
  readonly el: HTMLElement;
  private readonly below: HTMLElement;

  constructor() {
    const sign = (name: string) => mark(`iw-x-m-${name}`);
    this.below = h(
      "span",
      { class: "iw-legenditem", title: "Striped: neurons have two sides" },
      sign("neg"),
      "below 0",
    );
    this.el = legend(
      [sign("act"), "fires, fuller where stronger", "Activation, as a share of what is strong"],
      [sign("full"), "strong for its layer", "Full colour: strength 1 and more, on this prompt"],
      [sign("sel"), "selected feature, brushed token", "What you have selected"],
    );
    this.el.firstElementChild?.after(this.below);
    this.setTwoSided(false);
  }

  setTwoSided(twoSided: boolean): void {
    this.below.hidden = !twoSided;
  }
}
