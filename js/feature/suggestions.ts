/**
 * Labels that suggest themselves, one below the other, each with the area that it separates and what
 * random labels reach. One click takes one over; Escape, or “close”, puts the list away.
 */
import { button, h } from "../shared/dom";
import type { CardPort, Proposal, ProposalsShown } from "./state";
import { SCORE_HELP, samplesText, scoreParts, scoreText } from "./words";

const ORDER =
  "In the order of what each is worth there: half how well it separates, half how often it is right where it holds, and holds where the feature is active";

export class Suggestions {
  readonly el = h("div", {
    class: "iw-c-suggestions",
    attrs: { hidden: true, role: "group", "aria-label": "Suggested labels", tabindex: -1 },
  });
  private readonly said = h("span", { attrs: { role: "status" } });
  /** What somebody has put away stays away when news of it come again. */
  private away: readonly Proposal[] | null = null;
  private shown: ProposalsShown | null = null;

  /** left: the list is put away by its user, who was in it. */
  constructor(
    private readonly port: CardPort,
    private readonly left: () => void,
  ) {
    this.el.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      this.close();
    });
  }

  show(shown: ProposalsShown | null): void {
    if (shown?.state === "computing") this.away = null;
    if (shown && shown.proposals === this.away) return;
    this.shown = shown;
    this.el.hidden = shown === null;
    this.el.setAttribute("aria-busy", String(shown?.state === "computing"));
    if (!shown) {
      this.el.replaceChildren();
      return;
    }
    const { proposals } = shown;
    const waiting = shown.state === "computing" ? "looking for labels and testing them …" : "";
    const none = proposals.length === 0 ? "No label suggests itself for this feature." : "";
    const sentence = waiting || shown.message || none;
    this.said.textContent = sentence || "Counted on one half of the texts, tested on the other:";
    this.said.title = sentence ? "" : ORDER;
    this.el.replaceChildren(
      h(
        "div",
        { class: "iw-c-suggesthead iw-c-soft" },
        this.said,
        !waiting && button("close", () => this.close(), { title: "Without a label (Escape)" }),
      ),
      ...(proposals.length > 0 ? [head(), ...proposals.map((each, at) => this.row(each, at))] : []),
      ...(proposals.length > 0 && samplesText(proposals[0])
        ? [h("p", { class: "iw-c-soft" }, samplesText(proposals[0]))]
        : []),
    );
  }

  private row(proposal: Proposal, at: number): HTMLElement {
    const [separates, chance] = scoreParts(proposal);
    const el = button("", () => this.port.accept?.(at), {
      class: "iw-c-suggestion",
      title: `${scoreText(proposal)}; ${proposal.rule}. Click to take it as the label.`,
      attrs: { "aria-label": `${proposal.text}: ${scoreText(proposal)}. Take it as the label` },
    });
    el.replaceChildren(
      h("span", { class: "iw-c-name" }, proposal.text),
      h("span", { class: "iw-c-figure" }, separates),
      h("span", { class: "iw-c-figure iw-c-soft" }, chance),
    );
    return el;
  }

  private close(): void {
    this.away = this.shown?.proposals ?? null;
    this.el.hidden = true;
    this.left();
  }
}

/** Above the columns. */
function head(): HTMLElement {
  return h(
    "div",
    { class: "iw-c-suggestcolumns iw-c-soft", title: SCORE_HELP, attrs: { "aria-hidden": "true" } },
    h("span", {}),
    h("span", { class: "iw-c-figure" }, "separates"),
    h("span", { class: "iw-c-figure" }, "random"),
  );
}
