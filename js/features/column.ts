/** One card of the browser, with its place in it: what it shows, asks, and says in between. */
import { FeatureCard } from "../feature/card";
import type { Card, CardPort } from "../feature/state";
import { button, h } from "../shared/dom";
import { type Ask, type Firings, nameOf, type Opened, type Proposals, type Spot } from "./state";

/** A kernel that has not answered by then is busy with a cell. */
const PATIENCE_MS = 2500;
const BUSY = "The kernel is busy; the card comes when it is free.";

export interface ColumnActions {
  ask(what: Ask): void;
  open(spot: Spot): void;
  test(text: string): void;
  /** Lists the features that raise a token. */
  find(token: string): void;
  /** The second card, from the first one; nothing from the second. */
  compare?(): void;
  close?(): void;
}

export class Column {
  readonly el: HTMLElement;
  readonly card: FeatureCard;
  private readonly invitation = h("span", {});
  private readonly empty: HTMLElement;
  private spot: Spot | null = null;
  private shown: Card | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(name: string, actions: ColumnActions, signal: AbortSignal) {
    const here = (type: "propose" | "steer") => {
      if (this.spot) actions.ask({ type, ...this.spot });
    };
    const port: CardPort = {
      test: (text) => actions.test(text),
      label: (text) => this.spot && actions.ask({ type: "label", ...this.spot, text }),
      undo: () => actions.ask({ type: "undo" }),
      propose: () => {
        this.card.setProposals({ state: "computing", message: "", proposals: [] });
        here("propose");
      },
      accept: (at) => this.spot && actions.ask({ type: "accept", ...this.spot, at }),
      open: (layer, feature) => actions.open({ layer, feature }),
      find: (token) => actions.find(token),
      steer: () => here("steer"),
      ...(actions.compare && { compare: () => actions.compare?.() }),
      ...(actions.close && { close: () => actions.close?.() }),
    };
    this.card = new FeatureCard(port, signal);
    signal.addEventListener("abort", () => clearTimeout(this.timer));
    // Before a second feature is open there is no card to close.
    this.empty = h(
      "p",
      { class: "iw-f-invitation", attrs: { hidden: true } },
      this.invitation,
      actions.close && button("close", () => actions.close?.(), { class: "iw-strong" }),
    );
    this.el = h(
      "div",
      { class: "iw-f-column", attrs: { role: "region", "aria-label": name, tabindex: -1 } },
      this.empty,
      this.card.el,
    );
  }

  get at(): Spot | null {
    return this.spot;
  }

  /** What is on screen, once it is. */
  get known(): Card | null {
    return this.shown;
  }

  /** What is wanted: its card if it is known, a sentence until it comes. */
  want(spot: Spot | null, known: Card | null, sentence: string): void {
    const other = spot === null || this.spot === null || nameOf(spot) !== nameOf(this.spot);
    // First: a label that is being typed is the one of the feature that goes.
    if (other) this.turn();
    this.spot = spot;
    clearTimeout(this.timer);
    this.shown = known;
    if (spot && !known)
      this.timer = setTimeout(() => this.card.set(null, `${sentence} ${BUSY}`), PATIENCE_MS);
    this.empty.hidden = spot !== null;
    this.invitation.textContent = spot ? "" : `${sentence} `;
    if (spot && !known) this.card.leave(sentence);
    else this.card.set(known);
    this.card.el.hidden = spot === null;
  }

  /** To the top of another card; keys go on from there if what had the focus will be gone. */
  private turn(): void {
    const { activeElement } = this.el.getRootNode() as Document | ShadowRoot;
    const { el, test } = this.card;
    if (el.contains(activeElement) && !test.el.contains(activeElement))
      this.el.focus({ preventScroll: true });
    this.el.scrollTop = 0;
  }

  show({ card, message }: Opened): void {
    clearTimeout(this.timer);
    this.shown = card;
    this.card.set(card, message);
  }

  showFiring(firings: Firings | null): void {
    const { spot } = this;
    if (!spot || !this.shown) return;
    if (!firings || firings.text.trim() === "") {
      this.card.setFiring(null);
      return;
    }
    const activations = firings.of[nameOf(spot)];
    const { tokens, message } = firings;
    const state = firings.state === "done" && !activations ? "computing" : firings.state;
    this.card.setFiring({ tokens, activations: activations ?? [], message, state });
  }

  showProposals(proposals: Proposals | null): void {
    const mine = proposals && this.spot && proposals.name === nameOf(this.spot);
    this.card.setProposals(mine ? proposals : null);
  }
}
