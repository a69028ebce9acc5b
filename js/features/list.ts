/** What was found: one row per feature, a page at a time. Arrows walk, Enter opens. */
import { button, h } from "../shared/dom";
import { kwicLine, strongest, triggerName } from "../shared/example";
import { count } from "../shared/format";
import { type Live, nameOf, type Page, type Row, type Spot } from "./state";
import { figureName, foundText, rowAloud, rowFigure } from "./words";

/** So many on each side of the trigger fit into the widest list. */
const LETTERS = 34;

export class List {
  readonly el: HTMLElement;
  private readonly facts = h("span", { attrs: { "aria-live": "polite" } });
  /** What the figure at the right of each row is. */
  private readonly figure = h("span", {
    class: "iw-f-figurename",
    attrs: { "aria-hidden": "true" },
  });
  private readonly list = h("ul", {
    class: "iw-rows iw-f-list",
    attrs: { "aria-label": "Features" },
  });
  private readonly items = new Map<string, HTMLLIElement>();
  private drawn: Page | null = null;
  private opened = "";

  constructor(
    private readonly open: (spot: Spot) => void,
    private readonly more: () => void,
  ) {
    this.el = h(
      "div",
      { class: "iw-f-listbox" },
      h("div", { class: "iw-f-facts" }, this.facts, this.figure),
      this.list,
    );
    this.list.addEventListener("keydown", (event) => this.walk(event));
  }

  show(page: Page | null, live: Live, waiting: boolean): void {
    const facts =
      waiting || !page ? (live.indexed || page ? "looking …" : "") : foundText(page, live);
    if (this.facts.textContent !== facts) this.facts.textContent = facts; // it is read aloud
    this.list.classList.toggle("iw-f-waiting", waiting);
    if (page === this.drawn || !page || page.state === "computing") return;
    this.drawn = page;
    const [figure, title] = page.found.length > 0 ? figureName(page) : ["", ""];
    this.figure.textContent = figure;
    this.figure.title = title;
    const held = (this.list.getRootNode() as Document | ShadowRoot).activeElement as HTMLElement;
    const focused = this.list.contains(held) ? held.dataset.row : undefined;
    const asked = this.list.contains(held) && held.classList.contains("iw-f-more");
    const rowsBefore = this.items.size;
    // Rows that stay keep their elements: “more” draws only what is new.
    const before = new Map(this.items);
    this.items.clear();
    const items = page.found.map((row) => {
      const key = JSON.stringify([row, page.mode, page.sort]);
      const item = before.get(key) ?? h("li", {}, this.row(row, page));
      this.items.set(key, item);
      return item;
    });
    const rest = page.total - page.found.length;
    if (rest > 0 && page.found.length > 0) {
      const more = button(`+${count(rest)} more`, () => this.more(), { class: "iw-f-more" });
      items.push(h("li", {}, more));
    }
    this.put(items);
    this.setOpened(this.opened);
    // After “more”, keys go on from the first of the new rows.
    if (asked) this.rows[rowsBefore]?.focus({ preventScroll: true });
    if (focused && !this.list.contains(held)) this.at(focused)?.focus({ preventScroll: true });
  }

  /** What stands in its place already is not touched. */
  private put(items: readonly HTMLLIElement[]): void {
    const { list } = this;
    let same = 0;
    while (same < items.length && list.children[same] === items[same]) same++;
    while (list.children.length > same) list.lastElementChild?.remove();
    list.append(...items.slice(same));
  }

  setOpened(name: string): void {
    this.opened = name;
    let taking: HTMLElement | null = null;
    for (const row of this.rows) {
      const mine = row.dataset.row === name;
      if (mine) taking = row;
      // Elements are slow to touch, and there may be hundreds.
      if (row.classList.contains("iw-f-current") !== mine) {
        row.classList.toggle("iw-f-current", mine);
        if (mine) row.setAttribute("aria-current", "true");
        else row.removeAttribute("aria-current");
      }
    }
    this.take(taking ?? this.taking ?? this.rows[0]);
  }

  /** The one row that takes part in tabbing. */
  private take(row: HTMLElement | undefined): void {
    const before = this.taking;
    if (before && before !== row) before.tabIndex = -1;
    if (row) row.tabIndex = 0;
  }

  private get taking(): HTMLElement | undefined {
    return this.list.querySelector<HTMLElement>(".iw-f-row[tabindex='0']") ?? undefined;
  }

  focus(): void {
    this.rows[0]?.focus();
  }

  toTop(): void {
    this.list.scrollTop = 0;
  }

  private get rows(): HTMLElement[] {
    return [...this.list.querySelectorAll<HTMLElement>(".iw-f-row")];
  }

  private at(name: string | undefined): HTMLElement | undefined {
    return this.rows.find((row) => row.dataset.row === name);
  }

  private row(row: Row, page: Page): HTMLElement {
    const name = nameOf(row);
    const [figure, title] = rowFigure(row, page);
    const { example } = row;
    const el = button("", () => this.open(row), {
      class: `iw-rowbutton iw-f-row${row.label === null ? " iw-f-unnamed" : ""}`,
      title: row.why ? `${name}: ${row.why}` : name,
      attrs: { "data-row": name, tabindex: -1, "aria-label": rowAloud(row, title) },
    });
    el.append(
      h(
        "span",
        { class: "iw-f-rowhead" },
        h("span", { class: "iw-f-name" }, row.label ?? (triggerName(example) || name)),
        h("span", { class: "iw-f-code" }, name),
        h("span", { class: "iw-f-figure", title }, figure),
      ),
      example ? kwicLine(example, strongest([example]), LETTERS) : "",
    );
    return el;
  }

  private walk(event: KeyboardEvent): void {
    const rows = this.rows;
    const now = rows.indexOf(event.target as HTMLElement);
    const to = { ArrowDown: now + 1, ArrowUp: now - 1, Home: 0, End: rows.length - 1 }[event.key];
    if (to === undefined || now < 0) return;
    event.preventDefault();
    const next = rows[Math.min(rows.length - 1, Math.max(0, to))];
    this.take(next);
    next.focus();
  }
}
