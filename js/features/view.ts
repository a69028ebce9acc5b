/** The whole features view. It knows no notebook: the widget gives it state and a host. */
import { cardLegend } from "../feature/legend";
import { h } from "../shared/dom";
import { Help } from "../shared/help";
import { followTheme } from "../shared/theme";
import { Cards } from "./cards";
import { Header } from "./header";
import { HELP } from "./help";
import { List } from "./list";
import { PAGE, Search } from "./search";
import {
  type Ask,
  EMPTY,
  type Firings,
  type Host,
  type Live,
  type Opened,
  type Page,
  type Proposals,
  type Query,
  type Told,
} from "./state";
import { ToldLine } from "./told";
import { inviteText, stateSentence } from "./words";

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
  private readonly cards: Cards;
  private readonly told = new ToldLine();
  private readonly spoken = h("div", {
    class: "iw-hidden",
    attrs: { role: "status", "aria-live": "polite" },
  });
  /** Numbers asks so that answers to earlier ones are known; later displays go on above. */
  private seq = Date.now();
  private searched = 0;
  private live: Live = EMPTY;
  private page: Page | null = null;
  private query: Query | null = null;
  private listShown = true;
  /** In a view of one card: something was looked for. */
  private looking = false;
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
    this.cards = new Cards(
      {
        ask: (what) => this.ask(what),
        look: () => this.look(),
        find: (token) => {
          this.looking = true;
          this.listShown = true;
          this.list.toTop();
          this.find(this.search.set(token, "promotes"));
          this.search.field.focus({ preventScroll: true });
        },
        arranged: (two) => {
          // Two cards want the room of the list; “list” brings it back.
          this.listShown = !two || root.clientWidth >= ROOMY;
        },
        opening: () => this.told.show(null),
        changed: () => this.show(),
      },
      signal,
    );
    this.header = new Header({
      cancel: () => this.ask({ type: "cancel" }),
      back: () => this.cards.step(-1),
      forward: () => this.cards.step(1),
      list: () => this.showList(!this.listShown),
      help: () => help.toggle(),
    });
    this.list = new List(
      (spot) => this.cards.open(spot),
      () => this.find({ ...(this.query ?? this.search.query), rows: this.rows + PAGE }),
    );
    this.search = new Search(
      (query) => {
        this.list.toTop();
        this.find(query);
      },
      (spot) => this.cards.open(spot),
      () => this.list.focus(),
      signal,
    );
    this.side = h(
      "aside",
      { class: "iw-f-side", attrs: { "aria-label": "Find features" } },
      this.search.el,
      this.list.el,
    );
    root.append(
      this.header.el,
      this.header.bar,
      this.header.notice,
      h(
        "div",
        { class: "iw-f-body" },
        this.side,
        h("div", { class: "iw-f-main" }, this.cards.el, this.cards.relation, this.told.el),
      ),
      cardLegend(),
      help.el,
      this.spoken,
    );
    parent.append(root);
    followTheme(root, () => {}, signal);
    // JupyterLab has commands on bare keys; keys with Ctrl or Cmd stay its own.
    root.addEventListener(
      "keydown",
      (event) => {
        // In a field these keys go from word to word, on a Mac.
        const typing = (event.target as HTMLElement).matches("input, textarea");
        const way = event.key === "ArrowLeft" || event.key === "ArrowRight";
        if (event.altKey && way && !typing) {
          event.preventDefault();
          this.cards.step(event.key === "ArrowLeft" ? -1 : 1);
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
    this.cards.setUndoable(this.live.undoable);
    if (before.state !== this.live.state) this.spoken.textContent = stateSentence(this.live);
    this.show();
  }

  setPage(page: Page | null): void {
    if (!page || page.seq < this.searched) return;
    this.page = page;
    this.show();
  }

  setCard(opened: Opened | null): void {
    if (!opened) return;
    this.cards.setCard(opened);
    const { card } = opened;
    if (card && !card.pending && card.name === this.cards.opened)
      this.spoken.textContent = card.label ? `${card.label.text}, ${card.name}` : card.name;
  }

  setOther(opened: Opened | null): void {
    if (opened) this.cards.setOther(opened);
  }

  setFirings(firings: Firings | null): void {
    if (firings) this.cards.setFirings(firings);
  }

  setProposals(proposals: Proposals | null): void {
    this.cards.setProposals(proposals);
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
    this.cards.setOffline(offline);
    this.show();
  }

  /** The list as it is before anybody searches. */
  begin(): void {
    if (this.live.mode === "browse" && !this.page && !this.query) this.find(this.search.query);
  }

  // --- what a user does ----------------------------------------------------------------------

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
    this.searched = this.ask({ type: "search", ...query });
    this.show();
  }

  /** For a feature to stand beside the one that is open. */
  private look(): void {
    this.listShown = true;
    if (!this.query && !this.page) this.find(this.search.query);
    this.show();
    this.search.field.focus();
  }

  private showList(shown: boolean): void {
    this.listShown = shown;
    this.show();
  }

  // --- what is on screen ---------------------------------------------------------------------

  private show(): void {
    const { live, root, cards } = this;
    root.dataset.iwState = live.state;
    root.dataset.iwMode = live.mode;
    root.dataset.iwOpened = cards.opened;
    root.dataset.iwBeside = cards.beside;
    const searching = this.page === null || this.page.seq < this.searched;
    root.dataset.iwList = searching ? "asked" : this.page?.state;
    this.header.show(live, this.offline, "");
    this.list.show(this.page, live, this.query !== null && searching && !this.offline);
    this.list.setOpened(cards.beside || cards.opened);
    root.classList.toggle("iw-f-comparing", cards.beside !== "");
    // A card of its own has no list, until another feature is looked for.
    const alone = live.mode === "one" && !cards.comparing && !this.looking;
    this.side.hidden = alone || !this.listShown;
    this.header.setWays(cards.back, cards.forward, alone ? null : this.listShown);
    cards.show(inviteText(live));
  }

  destroy(): void {
    this.abort.abort();
    this.root.remove();
  }
}
