/** The whole features view. It knows no notebook: the widget gives it state and a host. */
import type { Card } from "../feature/state";
import { h } from "../shared/dom";
import { Help } from "../shared/help";
import { History } from "../shared/history";
import { followTheme } from "../shared/theme";
import { Column } from "./column";
import { Header } from "./header";
import { HELP, marks } from "./help";
import { List } from "./list";
import { PAGE, Search } from "./search";
import {
  type Ask,
  EMPTY,
  type Firings,
  type Host,
  type Live,
  nameOf,
  type Opened,
  type Page,
  type Proposals,
  type Query,
  type Spot,
  type Told,
} from "./state";
import { ToldLine } from "./told";
import { stateSentence } from "./words";

const NO_KERNEL = "There is no kernel to run a text.";
const NOT_KNOWN = "There is no kernel to ask about this one.";
const KEPT_CARDS = 60;
/** So wide that a list and two cards fit beside each other. */
const ROOMY = 1120;

export class View {
  readonly root = h("div", {
    class: "iw-root iw-features",
    attrs: {
      "data-iw-state": "pending",
      "data-jp-suppress-context-menu": true,
      role: "region",
      "aria-label": "Features",
    },
  });
  private readonly abort = new AbortController();
  private readonly header: Header;
  private readonly search: Search;
  private readonly list: List;
  private readonly side: HTMLElement;
  private readonly invitation = h("p", { class: "iw-f-invitation" });
  private readonly told = new ToldLine();
  private readonly spoken = h("div", {
    class: "iw-hidden",
    attrs: { role: "status", "aria-live": "polite" },
  });
  private readonly first: Column;
  private readonly second: Column;
  private readonly trail = new History<Spot>((a, b) => nameOf(a) === nameOf(b));
  /** Cards seen before, so that going back shows at once what is known. */
  private readonly cards = new Map<string, Card>();
  /** Numbers asks so that answers to earlier ones are known; later displays go on above. */
  private seq = Date.now();
  private readonly asked = { search: 0, open: 0, compare: 0, test: 0 };
  private live: Live = EMPTY;
  private page: Page | null = null;
  private query: Query | null = null;
  private firings: Firings | null = null;
  private comparing = false;
  private listShown = true;
  private offline = false;

  constructor(
    parent: HTMLElement,
    private readonly host: Host,
  ) {
    const { root } = this;
    const { signal } = this.abort;
    const help = new Help(HELP, () =>
      root.querySelector<HTMLElement>("[aria-label=Help]")?.focus(),
    );
    this.header = new Header({
      cancel: () => this.ask({ type: "cancel" }),
      back: () => this.step(-1),
      forward: () => this.step(1),
      list: () => this.showList(!this.listShown),
      help: () => help.toggle(),
    });
    this.list = new List(
      (spot) => this.open(spot),
      () => this.find({ ...(this.query ?? this.search.query), rows: this.rows + PAGE }),
    );
    this.search = new Search(
      (query) => {
        this.list.toTop();
        this.find(query);
      },
      (spot) => this.open(spot),
      () => this.list.focus(),
      signal,
    );
    this.side = h("aside", { class: "iw-f-side", attrs: { "aria-label": "Find features" } });
    this.side.append(this.search.el, this.list.el);
    const shared = {
      ask: (what: Ask) => this.ask(what),
      open: (spot: Spot) => this.open(spot),
      test: (text: string) => this.test(text),
    };
    this.first = new Column("Feature", { ...shared, compare: () => this.compare() }, signal);
    this.second = new Column(
      "Feature beside it",
      { ...shared, close: () => this.endComparing() },
      signal,
    );
    this.second.el.hidden = true;
    root.append(
      this.header.el,
      this.header.bar,
      this.header.notice,
      h(
        "div",
        { class: "iw-f-body" },
        this.side,
        h(
          "div",
          { class: "iw-f-main" },
          h("div", { class: "iw-f-columns" }, this.invitation, this.first.el, this.second.el),
          this.told.el,
        ),
      ),
      marks(),
      help.el,
      this.spoken,
    );
    parent.append(root);
    followTheme(root, () => {}, signal);
    // JupyterLab has commands on bare keys; keys with Ctrl or Cmd stay its own.
    root.addEventListener(
      "keydown",
      (event) => {
        if (event.altKey && (event.key === "ArrowLeft" || event.key === "ArrowRight")) {
          event.preventDefault();
          this.step(event.key === "ArrowLeft" ? -1 : 1);
        }
        if (!event.ctrlKey && !event.metaKey) event.stopPropagation();
      },
      { signal },
    );
    this.show();
  }

  // --- what Python sends ---------------------------------------------------------------------

  setLive(live: Partial<Live>): void {
    const before = this.live;
    this.live = { ...EMPTY, ...live };
    this.search.setLive(this.live);
    if (before.state !== this.live.state) this.spoken.textContent = stateSentence(this.live);
    this.show();
  }

  setPage(page: Page | null): void {
    if (!page || page.seq < this.asked.search) return;
    this.page = page;
    this.show();
  }

  setCard(opened: Opened | null): void {
    if (!opened || opened.seq < this.asked.open) return;
    const card = this.kept(opened.card);
    const spot = card ? { layer: card.layer, feature: card.feature } : this.first.at;
    // Python opened another one than was asked for here.
    if (card && spot && (!this.first.at || nameOf(this.first.at) !== nameOf(spot))) {
      if (this.first.at) this.trail.record(this.first.at);
      this.first.want(spot, card, "");
    }
    this.first.show({ ...opened, card });
    if (card && !card.pending) this.spoken.textContent = this.nameAloud(card);
    this.show();
  }

  setOther(opened: Opened | null): void {
    if (!opened || opened.seq < this.asked.compare) return;
    if (opened.name === "") {
      if (this.comparing && this.second.at) this.closeSecond();
      return;
    }
    const card = this.kept(opened.card);
    if (!this.comparing) {
      this.beginComparing();
      this.makeRoom();
    }
    if (card) this.second.want({ layer: card.layer, feature: card.feature }, card, "");
    this.second.show({ ...opened, card });
    this.show();
  }

  setFirings(firings: Firings | null): void {
    if (!firings || firings.seq < this.asked.test) return;
    this.firings = firings;
    for (const column of [this.first, this.second]) {
      const field = column.card.test;
      if (!field.el.contains(this.focused)) field.keep(firings.text);
    }
    this.show();
  }

  setProposals(proposals: Proposals | null): void {
    for (const column of [this.first, this.second]) column.showProposals(proposals);
  }

  setTold(told: Told | null): void {
    this.told.show(told);
  }

  setHeight(height: number): void {
    this.root.style.height = `${height}px`;
  }

  setOffline(offline: boolean): void {
    if (this.offline === offline) return;
    this.offline = offline;
    this.show();
  }

  /** The list as it is before anybody searches. */
  begin(): void {
    if (this.live.mode === "browse" && !this.page && !this.query) this.find(this.search.query);
  }

  // --- what a user does ----------------------------------------------------------------------

  private get focused(): Element | null {
    return (this.root.getRootNode() as Document | ShadowRoot).activeElement;
  }

  private get rows(): number {
    return this.page?.found.length ?? 0;
  }

  private ask(what: Ask): number {
    this.seq += 1;
    this.host.ask({ ...what, seq: this.seq });
    return this.seq;
  }

  private find(query: Query): void {
    this.query = query;
    this.asked.search = this.ask({ type: "search", ...query });
    this.show();
  }

  private open(spot: Spot): void {
    if (this.comparing) {
      if (!this.second.at) this.makeRoom();
      this.want(this.second, spot);
      this.asked.compare = this.ask({ type: "compare", ...spot });
      this.wantInVain(this.second, spot);
    } else {
      const now = this.first.at;
      if (now && nameOf(now) !== nameOf(spot)) this.trail.record(now);
      this.openFirst(spot);
    }
    this.show();
  }

  private openFirst(spot: Spot): void {
    this.told.show(null);
    this.want(this.first, spot);
    this.asked.open = this.ask({ type: "open", ...spot });
    this.wantInVain(this.first, spot);
  }

  /** Two cards want the room of the list; “list” brings it back. */
  private makeRoom(): void {
    if (this.root.clientWidth < ROOMY) this.listShown = false;
  }

  private want(column: Column, spot: Spot): void {
    column.want(spot, this.cards.get(nameOf(spot)) ?? null, `Opening ${nameOf(spot)} …`);
    column.showFiring(this.firings);
  }

  /** Nobody heard it: what is not known here cannot be shown. */
  private wantInVain(column: Column, spot: Spot): void {
    if (this.offline && !this.cards.has(nameOf(spot)))
      column.show({ seq: 0, name: nameOf(spot), card: null, message: NOT_KNOWN });
  }

  private step(by: -1 | 1): void {
    const now = this.first.at;
    const next = now && (by < 0 ? this.trail.undo(now) : this.trail.redo(now));
    if (next) this.openFirst(next);
    this.show();
  }

  private test(text: string): void {
    for (const column of [this.first, this.second]) {
      if (column.card.test.text !== text) column.card.test.keep(text);
    }
    this.asked.test = this.ask({ type: "test", text });
    this.firings = { seq: 0, text, state: "computing", message: "", tokens: [], of: {} };
    this.show();
  }

  private compare(): void {
    this.beginComparing();
    this.second.want(null, null, `Open another feature to see it beside ${this.firstName}.`);
    this.listShown = true;
    if (!this.query && !this.page) this.find(this.search.query);
    this.show();
    this.search.field.focus();
  }

  private get firstName(): string {
    return this.first.at ? nameOf(this.first.at) : "this one";
  }

  private beginComparing(): void {
    this.comparing = true;
    this.second.el.hidden = false;
  }

  private endComparing(): void {
    this.closeSecond();
    this.asked.compare = this.ask({ type: "compare", layer: null, feature: null });
    this.first.el.focus({ preventScroll: true });
  }

  private closeSecond(): void {
    this.comparing = false;
    this.second.want(null, null, "");
    this.second.el.hidden = true;
    this.listShown = true;
    this.show();
  }

  private showList(shown: boolean): void {
    this.listShown = shown;
    this.show();
  }

  // --- what is on screen ---------------------------------------------------------------------

  /** What was known of a card stays while the rest of it is computed again. */
  private kept(card: Card | null): Card | null {
    if (!card) return null;
    const before = this.cards.get(card.name);
    let full = card;
    if (before && card.pending && !before.pending) {
      const known = Object.entries(before).filter(
        ([key, value]) => value !== null && card[key as keyof Card] === null && key !== "label",
      );
      full = { ...card, ...Object.fromEntries(known) };
    }
    this.cards.delete(card.name);
    this.cards.set(card.name, full);
    for (const oldest of this.cards.keys()) {
      if (this.cards.size <= KEPT_CARDS) break;
      this.cards.delete(oldest);
    }
    return full;
  }

  private nameAloud(card: Card): string {
    return card.label ? `${card.label.text}, ${card.name}` : card.name;
  }

  private show(): void {
    const { live, root } = this;
    root.dataset.iwState = live.state;
    root.dataset.iwMode = live.mode;
    root.dataset.iwOpened = this.first.at ? nameOf(this.first.at) : "";
    root.dataset.iwBeside = this.comparing && this.second.at ? nameOf(this.second.at) : "";
    const searching = this.page === null || this.page.seq < this.asked.search;
    root.dataset.iwList = searching ? "asked" : this.page?.state;
    this.header.show(live, this.offline, "");
    this.list.show(this.page, live, this.query !== null && searching && !this.offline);
    this.list.setOpened(root.dataset.iwBeside || root.dataset.iwOpened);
    const both = this.comparing && this.second.at !== null;
    root.classList.toggle("iw-f-comparing", both);
    // A card of its own has no list, until another feature is looked for to stand beside it.
    const alone = live.mode === "one" && !this.comparing;
    this.side.hidden = alone || !this.listShown;
    this.header.setWays(
      this.trail.canUndo && !this.comparing,
      this.trail.canRedo && !this.comparing,
      alone ? null : this.listShown,
    );
    const none = this.first.at === null;
    this.first.el.hidden = none;
    this.invitation.hidden = !none;
    this.invitation.textContent = this.invite();
    for (const column of [this.first, this.second]) {
      column.card.setUndoable(live.undoable);
      column.card.setUnable(this.offline ? NO_KERNEL : "");
      column.showFiring(this.firings);
    }
  }

  private invite(): string {
    const { live } = this;
    if (live.state === "empty") return "";
    if (live.state === "computing" && !live.indexed)
      return "The texts are being read; what each feature fires on appears here.";
    return `Open a ${live.unit} from the list to see what it means.`;
  }

  destroy(): void {
    this.abort.abort();
    this.root.remove();
  }
}
