/**
 * The rows' names with what they are ranked by, at the left of the matrix: a list that can be
 * clicked, walked with the arrow keys and read aloud. Only those in sight are elements.
 */
import { button, h } from "../shared/dom";
import { percent } from "../shared/format";
import type { Firing } from "./firing";
import { ROW } from "./paint";
import type { Shown } from "./rank";
import { rowTitle, strengthText, usualText } from "./words";

export interface NamesPort {
  pick(row: number, add: boolean): void;
  hover(row: number | null): void;
  /** An arrow key to the left or right: the token under the cursor; Shift brushes. */
  walk(step: -1 | 1, brush: boolean): void;
  scrollTo(place: number): void;
  scrollBy(dx: number, dy: number): void;
  rows(count: number): void;
}

export interface NamesState {
  readonly firing: Firing;
  readonly shown: Shown;
  readonly selected: ReadonlySet<number>;
  readonly brushed: readonly number[];
  readonly hover: number | null;
  readonly limit: number;
}

export class Names {
  readonly el: HTMLElement;
  readonly list = h("div", {
    class: "iw-x-list",
    attrs: {
      role: "listbox",
      "aria-multiselectable": "true",
      "aria-label": "Features on this prompt",
    },
  });
  private readonly head = h("div", { class: "iw-x-namehead" });
  private readonly inner = h("div", { class: "iw-x-inner" });
  private readonly more: HTMLButtonElement;
  private readonly fewer: HTMLButtonElement;
  private readonly end = h("div", { class: "iw-x-end" });
  private readonly els = new Map<number, HTMLElement>();
  private state: NamesState | null = null;
  private focus = 0;
  private top = 0;
  /** While the focus goes back to an element that was drawn anew. */
  private quiet = false;

  constructor(private readonly port: NamesPort) {
    this.more = button("", () => this.port.rows((this.state?.limit ?? 0) + 30), {
      class: "iw-strong",
    });
    this.fewer = button("fewer", () => this.port.rows(30), { class: "iw-strong" });
    this.end.append(this.more, this.fewer);
    this.inner.append(this.end);
    this.list.append(this.inner);
    this.el = h("div", { class: "iw-x-names" }, this.head, this.list);
    this.list.addEventListener("click", (event) => this.clicked(event));
    this.list.addEventListener("keydown", (event) => this.typed(event));
    this.list.addEventListener("pointerover", (event) => port.hover(this.rowAt(event)));
    this.list.addEventListener("pointerleave", () => port.hover(null));
    this.list.addEventListener("focusin", (event) => {
      const row = this.rowAt(event);
      if (row !== null && !this.quiet) port.hover(row);
    });
    this.list.addEventListener("focusout", () => {
      if (!this.quiet) port.hover(null);
    });
    this.list.addEventListener(
      "wheel",
      (event) => {
        this.port.scrollBy(event.deltaX, event.deltaY);
        event.preventDefault();
      },
      { passive: false },
    );
    // Focusing an element must not scroll the list by itself: the matrix scrolls.
    this.list.addEventListener("scroll", () => {
      this.list.scrollTop = 0;
    });
  }

  private get hasFocus(): boolean {
    const { activeElement } = this.list.getRootNode() as Document | ShadowRoot;
    return this.list.contains(activeElement) && activeElement !== null;
  }

  takeFocus(): void {
    this.quiet = true;
    this.els.get(this.focus)?.focus({ preventScroll: true });
    this.quiet = false;
  }

  /** Pixels below the last row for “30 more”. */
  get endHeight(): number {
    return this.end.hidden ? 0 : 30;
  }

  show(state: NamesState, headHeight: number, follow: boolean): void {
    const before = this.state;
    this.state = state;
    const { firing, shown, brushed, limit } = state;
    const follows = before ? shown.rows.indexOf(before.shown.rows[this.focus]) : -1;
    const focused = this.hasFocus;
    this.focus = follows >= 0 ? follows : Math.max(0, Math.min(this.focus, shown.rows.length - 1));
    this.head.style.height = `${headHeight}px`;
    const indexed = firing.indexedTokens > 0;
    const [value, control] = titles(brushed.length > 0, indexed);
    this.head.replaceChildren(
      h("span", { class: "iw-x-label" }, firing.data.header.unit),
      h("span", { class: "iw-x-number", title: value[1] }, value[0]),
      ...(control ? [h("span", { class: "iw-x-number", title: control[1] }, control[0])] : []),
    );
    const left = shown.found - Math.min(shown.found, limit);
    this.more.textContent = `${Math.min(30, left)} more of ${left}`;
    this.more.hidden = left === 0;
    this.fewer.hidden = limit <= 30 || shown.rows.length <= 30;
    this.end.hidden = this.more.hidden && this.fewer.hidden;
    this.end.style.top = `${shown.rows.length * ROW + 4}px`;
    if (before?.shown !== shown || before.firing !== firing || before.brushed !== brushed) {
      this.quiet = true;
      for (const el of this.els.values()) el.remove();
      this.els.clear();
      this.place();
      if (focused) {
        if (follow) this.port.scrollTo(this.focus);
        this.els.get(this.focus)?.focus({ preventScroll: true });
      }
      this.quiet = false;
    } else this.place();
  }

  /** Rows from `top` on, as high as the list is. */
  scroll(top: number): void {
    this.top = top;
    this.inner.style.transform = `translateY(${-top}px)`;
    this.place();
  }

  private place(): void {
    const { state } = this;
    if (!state) return;
    const { rows } = state.shown;
    const height = this.list.clientHeight || 300;
    const first = Math.max(0, Math.floor(this.top / ROW) - 2);
    const last = Math.min(rows.length - 1, Math.ceil((this.top + height) / ROW) + 2);
    for (const [place, el] of this.els) {
      if ((place < first || place > last) && place !== this.focus) {
        el.remove();
        this.els.delete(place);
      }
    }
    const wanted = rows.length > 0 ? [this.focus] : [];
    for (let place = first; place <= last; place++) wanted.push(place);
    for (const place of wanted) {
      let el = this.els.get(place);
      if (!el) {
        el = this.make(place, rows[place], state);
        this.els.set(place, el);
        this.inner.append(el);
      }
      const row = rows[place];
      el.classList.toggle("iw-x-on", state.selected.has(row));
      el.classList.toggle("iw-x-pointed", state.hover === row);
      el.setAttribute("aria-selected", String(state.selected.has(row)));
      el.tabIndex = place === this.focus ? 0 : -1;
    }
  }

  private make(place: number, row: number, { firing, shown, brushed }: NamesState): HTMLElement {
    const code = firing.code(row);
    const label = firing.label(row);
    const more = shown.more(row);
    const title = rowTitle(firing, row, more);
    const density = firing.density(row);
    const control =
      density !== null
        ? brushed.length > 0
          ? usualText(density.mean)
          : percent(density.share)
        : more
          ? `±${strengthText(more.chance)}`
          : "";
    return h(
      "div",
      {
        class: "iw-x-row",
        title,
        style: { top: `${place * ROW}px` },
        attrs: {
          role: "option",
          "data-row": row,
          "data-code": code,
          "aria-label": title,
          "aria-posinset": place + 1,
          "aria-setsize": shown.rows.length,
        },
      },
      h("span", { class: `iw-x-label${label ? "" : " iw-x-soft"}` }, label || code),
      label ? h("span", { class: "iw-x-code" }, code) : null,
      h("span", { class: "iw-x-number" }, strengthText(shown.value(row), more !== null)),
      control === "" ? null : h("span", { class: "iw-x-number iw-x-soft" }, control),
    );
  }

  private rowAt(event: Event): number | null {
    const el = (event.target as HTMLElement).closest<HTMLElement>("[data-row]");
    return el ? Number(el.dataset.row) : null;
  }

  private clicked(event: MouseEvent): void {
    const row = this.rowAt(event);
    if (row === null) return;
    const place = this.state?.shown.rows.indexOf(row) ?? -1;
    if (place >= 0) this.moveTo(place);
    this.port.pick(row, event.ctrlKey || event.metaKey || event.shiftKey);
  }

  /** The next of the selected rows, from the one that has the focus. */
  nextSelected(): void {
    const { state } = this;
    if (!state) return;
    const { rows } = state.shown;
    for (let step = 1; step <= rows.length; step++) {
      const place = (this.focus + step) % rows.length;
      if (!state.selected.has(rows[place])) continue;
      this.moveTo(place);
      return;
    }
  }

  private moveTo(place: number): void {
    this.focus = place;
    this.port.scrollTo(place);
    this.place();
    this.els.get(place)?.focus({ preventScroll: true });
  }

  private typed(event: KeyboardEvent): void {
    const { state } = this;
    if (!state || this.rowAt(event) === null) return;
    const last = state.shown.rows.length - 1;
    const page = Math.max(1, Math.floor(this.list.clientHeight / ROW) - 1);
    const to = {
      ArrowUp: this.focus - 1,
      ArrowDown: this.focus + 1,
      PageUp: this.focus - page,
      PageDown: this.focus + page,
      Home: 0,
      End: last,
    }[event.key];
    if (to !== undefined) this.moveTo(Math.max(0, Math.min(last, to)));
    else if (event.key === "ArrowLeft") this.port.walk(-1, event.shiftKey);
    else if (event.key === "ArrowRight") this.port.walk(1, event.shiftKey);
    else if (event.key === "Enter" || event.key === " ") {
      const row = state.shown.rows[this.focus];
      this.port.pick(row, event.shiftKey || event.ctrlKey || event.metaKey);
    } else return;
    event.preventDefault();
  }
}

type Title = readonly [text: string, title: string];

function titles(brushed: boolean, indexed: boolean): readonly [Title, Title | null] {
  if (!brushed) {
    return [
      ["peak", "Strength where it is strongest; 1 is strong for its layer"],
      indexed ? ["usual", "On how many tokens of the index it fires"] : null,
    ];
  }
  return [
    ["more here", "Mean strength on the brushed tokens minus mean strength on the others"],
    indexed
      ? ["usual", "Its mean strength over all tokens of the index"]
      : ["chance", "What a random choice of as many tokens gives: 0 plus or minus this"],
  ];
}
