/**
 * What the feature is called, by whom, and how well that holds. A click (or Enter, or F2) makes the
 * name a field: Enter keeps, Escape forgets; leaving the field keeps, too.
 */
import { button, h } from "../shared/dom";
import { triggerName } from "../shared/example";
import { count } from "../shared/format";
import type { Card, CardPort, ProposalsShown } from "./state";
import { Suggestions } from "./suggestions";
import { factsText, origin, SCORE_HELP, scoreHelp, scoreText } from "./words";

const LONGEST = 200;
/** From so many letters on, a name is a sentence, and looks like one. */
const LONG = 50;

const focusedIn = (el: HTMLElement): Element | null =>
  (el.getRootNode() as Document | ShadowRoot).activeElement;

export class LabelLine {
  readonly el = h("header", { class: "iw-c-head" });
  private readonly titleBox = h("div", { class: "iw-c-titlebox" });
  private readonly title: HTMLButtonElement;
  private readonly fixed = h("b", { class: "iw-c-title", attrs: { hidden: true } });
  private readonly input: HTMLInputElement;
  private readonly code = h("span", { class: "iw-c-code" });
  private readonly chip = h("span", { class: "iw-c-chip" });
  private readonly score = h("span", { class: "iw-c-soft", title: SCORE_HELP });
  private readonly provenance: HTMLElement;
  private readonly facts = h("div", { class: "iw-c-soft" });
  private readonly propose: HTMLButtonElement;
  private readonly undo: HTMLButtonElement;
  private readonly steer: HTMLButtonElement;
  private readonly compare: HTMLButtonElement;
  private readonly close: HTMLButtonElement;
  private readonly suggestions: Suggestions;
  private card: Card | null = null;
  private unable = false;
  private changed = false;
  private undoable = true;
  private editing = false;
  private proposing = false;

  constructor(private readonly port: CardPort) {
    this.title = button("", () => this.edit(), { class: "iw-c-title" });
    this.title.addEventListener("keydown", (event) => {
      if (event.key === "F2") this.edit();
    });
    this.input = h("input", {
      class: "iw-input iw-c-titleinput",
      attrs: { type: "text", maxlength: LONGEST, hidden: true, "aria-label": "Label" },
      on: {
        blur: () => this.leave(true),
        keydown: (event) => {
          if (event.isComposing) return;
          if (event.key === "Enter") this.leave(true, true);
          else if (event.key === "Escape") this.leave(false, true);
          else return;
          event.preventDefault();
          event.stopPropagation();
        },
      },
    });
    this.propose = button("suggest", () => port.propose?.());
    this.undo = button("undo", () => port.undo?.(), { title: "Take back the last label" });
    this.undo.hidden = true;
    this.steer = button("steer", () => port.steer?.(), {
      title: "Steer with this feature: add it to what the model writes",
    });
    this.compare = button("compare", () => port.compare?.(), {
      title: "Open another feature beside this one",
    });
    this.close = button("close", () => port.close?.(), { title: "Back to one feature" });
    this.suggestions = new Suggestions(port, () => this.propose.focus({ preventScroll: true }));
    this.provenance = h("div", { class: "iw-c-provenance" }, this.chip, " ", this.score);
    this.titleBox.append(this.title, this.fixed, this.input, this.code);
    this.el.append(
      h(
        "div",
        { class: "iw-c-topline" },
        this.titleBox,
        h(
          "span",
          { class: "iw-c-actions" },
          this.undo,
          this.propose,
          this.compare,
          this.steer,
          this.close,
        ),
      ),
      this.provenance,
      this.facts,
      this.suggestions.el,
    );
  }

  show(card: Card, unable: boolean): void {
    const other = this.card?.name !== card.name;
    if (other) {
      this.changed = false;
      if (this.editing) this.leave(false);
    } else if (this.card && this.card.label?.text !== card.label?.text) this.changed = true;
    this.card = card;
    this.unable = unable;
    const text = card.label?.text ?? "";
    const name = text || triggerName(card.examples[0]) || card.name;
    this.title.textContent = name;
    this.fixed.textContent = name;
    for (const el of [this.title, this.fixed]) {
      el.classList.toggle("iw-c-unnamed", text === "");
      el.classList.toggle("iw-c-long", name.length > LONG);
      el.title = text ? `${text}: click to change it` : "No label yet: click to give one";
    }
    this.title.setAttribute(
      "aria-label",
      text ? `${text}: change this label` : `${name}, no label yet: give one`,
    );
    this.title.hidden = unable || this.editing;
    this.fixed.hidden = !unable;
    if (unable) this.fixed.title = name;
    this.code.textContent = name === card.name ? "" : card.name;
    this.code.title = `${card.unit} ${count(card.feature)} of layer ${card.layer}, ${card.scan}`;
    this.showProvenance(card);
    this.facts.textContent = factsText(card);
    this.propose.hidden = unable || !this.port.propose || !card.indexed;
    this.showPropose();
    this.compare.hidden = unable || !this.port.compare;
    this.close.hidden = !this.port.close;
    this.steer.hidden = unable || !this.port.steer;
    this.showUndo();
  }

  /** Whether the last change of a label, of any feature, can be taken back. */
  setUndoable(undoable: boolean): void {
    this.undoable = undoable;
    this.showUndo();
  }

  private showUndo(): void {
    this.undo.hidden = this.unable || !this.port.undo || !this.changed || !this.undoable;
  }

  private showProvenance({ label }: Card): void {
    this.chip.textContent = label ? label.kind || "shipped" : "no label yet";
    this.chip.title = label
      ? origin(label)
      : "Shown instead: the token of its strongest example. Click it to give a label.";
    this.chip.classList.toggle("iw-c-none", !label);
    this.score.textContent = label ? scoreText(label) : "";
    this.score.title = scoreHelp(label ?? null);
  }

  showProposals(shown: ProposalsShown | null): void {
    // What was chosen from is gone; the name that it became is what one goes on with.
    const focused = focusedIn(this.el);
    const inside = this.suggestions.el.contains(focused);
    this.proposing = shown?.state === "computing";
    this.suggestions.show(shown);
    if (this.proposing && focused === this.propose)
      this.suggestions.el.focus({ preventScroll: true });
    if (inside && this.suggestions.el.hidden) this.title.focus({ preventScroll: true });
    this.showPropose();
  }

  private showPropose(): void {
    const silent = this.card?.density?.count === 0;
    this.propose.disabled = this.proposing || silent;
    this.propose.title = silent
      ? "There is nothing to count: it is active nowhere in the indexed texts"
      : "Suggest labels from the examples and logits; each is tested on held-out text";
  }

  edit(): void {
    if (this.editing || this.unable || !this.card) return;
    this.editing = true;
    this.input.value = this.card.label?.text ?? "";
    this.input.placeholder = `what ${this.card.name} means`;
    this.title.hidden = true;
    this.input.hidden = false;
    this.input.focus({ preventScroll: true });
    this.input.select();
  }

  private leave(keep: boolean, back = false): void {
    if (!this.editing) return;
    this.editing = false;
    const text = this.input.value.trim();
    const before = this.card?.label?.text ?? "";
    this.input.hidden = true;
    this.title.hidden = this.unable;
    if (keep && text !== before) {
      // At once, as it will be; the kernel answers with what it has kept.
      if (text) this.title.textContent = text;
      this.port.label(text);
    }
    if (back) this.title.focus({ preventScroll: true });
  }
}
