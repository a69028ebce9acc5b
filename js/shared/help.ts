/** What everything means: help over the view, one sentence per control and word, and the legend. */
import { button, type Child, h } from "./dom";

export type Terms = readonly (readonly [string, string])[];

export interface HelpText {
  readonly title: string;
  readonly intro: string;
  readonly controls: Terms;
  readonly words: Terms;
}

/** Takes the focus when it opens; Escape and “close” end it. */
export class Help {
  readonly el: HTMLElement;
  private readonly close = button("close", () => this.toggle(), { class: "iw-strong" });

  /** `onClose` gives the focus back. */
  constructor(
    text: HelpText,
    private readonly onClose: () => void,
  ) {
    this.el = dialog(text, h("dl", {}, ...rows(text.words)), this.close);
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

/** The page itself; `words` is a list that may change. */
export function dialog(
  { title, intro, controls }: Omit<HelpText, "words">,
  words: HTMLElement,
  close: HTMLElement,
): HTMLElement {
  return h(
    "section",
    { class: "iw-help", attrs: { hidden: true, role: "dialog", "aria-label": "Help" } },
    h("div", { class: "iw-helphead" }, h("h3", {}, title), close),
    h("p", {}, intro),
    h(
      "div",
      { class: "iw-helpcolumns" },
      h("div", {}, h("h4", {}, "Controls"), h("dl", {}, ...rows(controls))),
      h("div", {}, h("h4", {}, "Words"), words),
    ),
  );
}

export function rows(terms: Terms): HTMLElement[] {
  return terms.flatMap(([term, text]) => [h("dt", {}, term), h("dd", {}, text)]);
}

/** A sign with a look of its own, for the legend. */
export function mark(name: string, text = ""): HTMLElement {
  return h("i", { class: name, attrs: { "aria-hidden": "true" } }, text);
}

/** The legend: a mark, what it says in a word or two, and in a sentence. */
export function legend(
  ...items: readonly (readonly [mark: HTMLElement, text: Child, title: string])[]
): HTMLElement {
  return h(
    "footer",
    { class: "iw-foot", attrs: { "aria-label": "Legend" } },
    ...items.map(([sign, text, title]) => h("span", { class: "iw-legenditem", title }, sign, text)),
  );
}
