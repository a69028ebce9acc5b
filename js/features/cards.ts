/**
 * The cards that are open, one or two beside each other, on one test text; and the way back and
 * forward through what was opened. What is asked of the kernel is numbered: an answer to an earlier
 * question is not shown.
 */
import { h } from "../shared/dom";
import { History } from "../shared/history";
import { Column } from "./column";
import { KeptCards } from "./kept";
import { type Ask, type Firings, nameOf, type Opened, type Proposals, type Spot } from "./state";
import { relationText } from "./words";

const NO_KERNEL = "There is no kernel to run a text.";
const NOT_KNOWN = "There is no kernel to ask about this one.";

export interface CardsPort {
  /** The number of the question. */
  ask(what: Ask): number;
  /** A second feature is looked for: the list is needed. */
  look(): void;
  /** So are those that raise a token. */
  find(token: string): void;
  /** Two cards stand beside each other from now on, or one again. */
  arranged(two: boolean): void;
  /** Something was opened by hand, and what was said of the one before no longer holds. */
  opening(): void;
  /** What is shown has changed. */
  changed(): void;
}

export class Cards {
  readonly el: HTMLElement;
  /** A second card is open, or looked for. */
  comparing = false;
  private readonly invitation = h("p", { class: "iw-f-invitation" });
  /** How close the two that stand beside each other are. */
  readonly relation = h("div", {
    class: "iw-f-relation",
    attrs: { hidden: true, role: "status", "aria-live": "polite" },
  });
  private readonly first: Column;
  private readonly second: Column;
  private readonly trail = new History<Spot>((a, b) => nameOf(a) === nameOf(b));
  private readonly known = new KeptCards();
  private readonly asked = { open: 0, compare: 0, test: 0 };
  private firings: Firings | null = null;
  private offline = false;

  constructor(
    private readonly port: CardsPort,
    signal: AbortSignal,
  ) {
    const shared = {
      ask: (what: Ask) => void port.ask(what),
      open: (spot: Spot) => this.open(spot),
      test: (text: string) => this.test(text),
      find: (token: string) => port.find(token),
    };
    this.first = new Column("Feature", { ...shared, compare: () => this.compare() }, signal);
    this.second = new Column("Feature beside it", { ...shared, close: () => this.close() }, signal);
    this.second.el.hidden = true;
    this.el = h("div", { class: "iw-f-columns" }, this.invitation, this.first.el, this.second.el);
  }

  /** Names of the open feature and of the one beside it; "" where there is none. */
  get opened(): string {
    return this.first.at ? nameOf(this.first.at) : "";
  }

  get beside(): string {
    return this.comparing && this.second.at ? nameOf(this.second.at) : "";
  }

  get back(): boolean {
    return this.trail.canUndo && !this.comparing;
  }

  get forward(): boolean {
    return this.trail.canRedo && !this.comparing;
  }

  // --- what Python sends ---------------------------------------------------------------------

  setCard(opened: Opened): void {
    if (opened.seq < this.asked.open) return;
    const card = opened.card && this.known.keep(opened.card);
    // Python opened another one than was asked for here.
    if (card && nameOf(card) !== this.opened) {
      if (this.first.at) this.trail.record(this.first.at);
      this.first.want({ layer: card.layer, feature: card.feature }, card, "");
    }
    this.first.show({ ...opened, card });
    this.port.changed();
  }

  setOther(opened: Opened): void {
    if (opened.seq < this.asked.compare) return;
    if (opened.name === "") {
      if (this.beside) this.one();
      return;
    }
    const card = opened.card && this.known.keep(opened.card);
    if (!this.comparing) {
      this.two();
      this.port.arranged(true);
    }
    if (card) this.second.want({ layer: card.layer, feature: card.feature }, card, "");
    this.second.show({ ...opened, card });
    this.port.changed();
  }

  setFirings(firings: Firings): void {
    if (firings.seq < this.asked.test) return;
    this.firings = firings;
    const { activeElement } = this.el.getRootNode() as Document | ShadowRoot;
    for (const { card } of this.columns) {
      if (!card.test.el.contains(activeElement)) card.test.keep(firings.text);
    }
    this.port.changed();
  }

  setProposals(proposals: Proposals | null): void {
    for (const column of this.columns) column.showProposals(proposals);
  }

  setUndoable(undoable: boolean): void {
    for (const { card } of this.columns) card.setUndoable(undoable);
  }

  setOffline(offline: boolean): void {
    this.offline = offline;
  }

  // --- what a user does ----------------------------------------------------------------------

  open(spot: Spot): void {
    if (this.comparing) {
      if (!this.second.at) this.port.arranged(true);
      this.want(this.second, spot);
      this.asked.compare = this.port.ask({ type: "compare", ...spot });
      this.wantInVain(this.second, spot);
    } else {
      const now = this.first.at;
      if (now && nameOf(now) !== nameOf(spot)) this.trail.record(now);
      this.openFirst(spot);
    }
    this.port.changed();
  }

  step(by: -1 | 1): void {
    const now = this.first.at;
    const next = now && (by < 0 ? this.trail.undo(now) : this.trail.redo(now));
    if (next) this.openFirst(next);
    this.port.changed();
  }

  private openFirst(spot: Spot): void {
    this.port.opening();
    this.want(this.first, spot);
    this.asked.open = this.port.ask({ type: "open", ...spot });
    this.wantInVain(this.first, spot);
  }

  private want(column: Column, spot: Spot): void {
    column.want(spot, this.known.get(nameOf(spot)), `Opening ${nameOf(spot)} …`);
    column.showFiring(this.firings);
  }

  /** Nobody heard it: what is not known here cannot be shown. */
  private wantInVain(column: Column, spot: Spot): void {
    if (this.offline && !this.known.get(nameOf(spot)))
      column.show({ seq: 0, name: nameOf(spot), card: null, message: NOT_KNOWN });
  }

  private test(text: string): void {
    for (const { card } of this.columns) {
      if (card.test.text !== text) card.test.keep(text);
    }
    this.asked.test = this.port.ask({ type: "test", text });
    this.firings = { seq: 0, text, state: "computing", message: "", tokens: [], of: {} };
    this.port.changed();
  }

  private compare(): void {
    this.two();
    const name = this.opened || "this one";
    this.second.want(null, null, `Open another feature to see it beside ${name}.`);
    this.port.look();
  }

  private close(): void {
    this.one();
    this.asked.compare = this.port.ask({ type: "compare", layer: null, feature: null });
    this.first.el.focus({ preventScroll: true });
  }

  private two(): void {
    this.comparing = true;
    this.second.el.hidden = false;
  }

  private one(): void {
    this.comparing = false;
    this.second.want(null, null, "");
    this.second.el.hidden = true;
    this.port.arranged(false);
    this.port.changed();
  }

  // --- what is on screen ---------------------------------------------------------------------

  private get columns(): readonly Column[] {
    return [this.first, this.second];
  }

  /** invitation: what to do where no card is open. */
  show(invitation: string): void {
    const none = this.first.at === null;
    this.first.el.hidden = none;
    this.invitation.hidden = !none;
    this.invitation.textContent = invitation;
    for (const column of this.columns) {
      column.card.setUnable(this.offline ? NO_KERNEL : "");
      column.showFiring(this.firings);
    }
    const [a, b] = [this.first.known, this.comparing ? this.second.known : null];
    const text = a && b ? relationText(a, b) : "";
    this.relation.hidden = text === "";
    if (this.relation.textContent !== text) this.relation.textContent = text;
  }
}
