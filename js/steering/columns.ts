/**
 * The texts side by side: the base on the left, one column per variant. Tokens arrive at the end
 * of all columns at once; a column follows its end unless somebody reads further up.
 */
import { button, h } from "../shared/dom";
import { visible } from "../shared/format";
import type { Host, Live, Row, Steps, Texts, Token } from "./state";
import { rowFacts, shade, tokenTitle } from "./words";

const NEAR_END = 24;

interface Growing extends Row {
  readonly tokens: Token[];
}

interface Column {
  readonly el: HTMLElement;
  readonly head: HTMLElement;
  readonly text: HTMLElement;
  readonly foot: HTMLElement;
}

export class Columns {
  readonly el = h("div", { class: "iw-s-columns" });
  private columns: Column[] = [];
  private rows: Growing[] = [];
  private run = 0;
  private lead = "";
  private names: readonly string[] = [];
  private looked: readonly [row: number, at: number] = [0, 0];
  private sentence = "";

  constructor(private readonly host: Host) {}

  /** How many tokens the longest row has. */
  get length(): number {
    return Math.max(0, ...this.rows.map((row) => row.tokens.length));
  }

  /** Tokens of the shortest text that is still being written. */
  get written(): number {
    const growing = this.rows.filter((row) => row.ended === "" && !row.same);
    return Math.min(this.length, ...growing.map((row) => row.tokens.length));
  }

  /** Tokens of the steered texts. */
  get steered(): number {
    return Math.max(0, ...this.rows.slice(1).map((row) => row.tokens.length));
  }

  /** What is on screen already stays, so that nobody who reads loses the place. */
  setTexts(texts: Texts): void {
    const before = texts.run === this.run ? this.rows : [];
    this.run = texts.run;
    this.lead = texts.lead;
    this.rows = texts.rows.map((row) => ({ ...row, tokens: [...row.tokens] }));
    this.match();
    for (const [at] of this.columns.entries()) {
      const old = before[at]?.tokens ?? [];
      const now = this.rows[at]?.tokens ?? [];
      const goes = old.length > 0 && old.every(([text], i) => now[i]?.[0] === text);
      if (goes) this.grow(at);
      else this.draw(at);
    }
  }

  /** False if tokens in between were missed: the page came later than they did. */
  addSteps({ run, from, steps }: Steps): boolean {
    if (run !== this.run) return run < this.run;
    let whole = true;
    const grown = new Set<number>();
    for (const [step, tokens] of steps.entries()) {
      for (const [at, token] of tokens.entries()) {
        const row = this.rows[at];
        if (!token || !row) continue;
        if (row.tokens.length < from + step) whole = false;
        else if (row.tokens.length === from + step) {
          row.tokens.push(token);
          grown.add(at);
        }
      }
    }
    for (const at of grown) this.grow(at);
    return whole;
  }

  setLive(live: Live, sentence: string): void {
    const names = ["base", ...live.variants.map((variant) => variant.name)];
    const fresh = names.join("\n") !== this.names.join("\n");
    this.names = names;
    if (sentence !== this.sentence || fresh) {
      this.sentence = sentence;
      this.match();
      for (const [at] of this.columns.entries()) this.draw(at);
    }
    for (const [at, column] of this.columns.entries()) {
      const on = at === live.active + 1;
      column.el.classList.toggle("iw-s-active", on);
      column.head.querySelector("button")?.setAttribute("aria-pressed", String(on));
    }
  }

  /** As many columns as there are texts; a column that stays keeps its focus. */
  private match(): void {
    const wanted = Math.max(this.names.length, 2);
    while (this.columns.length > wanted) this.columns.pop()?.el.remove();
    while (this.columns.length < wanted) {
      const column = this.make(this.columns.length);
      this.columns.push(column);
      this.el.append(column.el);
    }
    for (const [at, column] of this.columns.entries()) {
      const name = this.names[at] ?? "";
      column.text.setAttribute("aria-label", at === 0 ? "Unsteered text" : `Text of ${name}`);
      if (at === 0) column.head.replaceChildren("unsteered");
      else if (this.names.length <= 2) column.head.replaceChildren("steered");
      else if (column.head.dataset.name !== name) {
        column.head.dataset.name = name;
        column.head.replaceChildren(
          button(`steered ${name}`, () => this.host.choose(at - 1), {
            title: "Its sliders are shown below",
          }),
        );
        continue;
      }
      if (at === 0 || this.names.length <= 2) delete column.head.dataset.name;
    }
  }

  private make(at: number): Column {
    const head = h("div", { class: "iw-s-head" });
    const foot = h("div", { class: "iw-s-facts" });
    const text = h("div", {
      class: "iw-s-text",
      attrs: { role: "listbox", tabindex: 0, dir: "ltr", "data-row": at },
      on: {
        click: (event) => {
          const token = (event.target as HTMLElement).closest<HTMLElement>("[data-at]");
          if (token) this.look(at, Number(token.dataset.at));
        },
        keydown: (event) => {
          const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -8, ArrowDown: 8 }[event.key];
          const last = (this.rows[at]?.tokens.length ?? 0) - 1;
          if (last < 0) return;
          const now = this.looked[0] === at ? this.looked[1] : -1;
          let next: number;
          if (event.key === "Home") next = 0;
          else if (event.key === "End") next = last;
          else if (step) next = Math.min(last, Math.max(0, now + step));
          else return;
          event.preventDefault();
          this.look(at, next);
        },
      },
    });
    const el = h("section", { class: "iw-s-column" }, head, text, foot);
    return { el, head, text, foot };
  }

  private look(row: number, at: number): void {
    this.setLooked(row, at);
    this.host.look(row, at);
  }

  setLooked(row: number, at: number): void {
    this.looked = [row, at];
    for (const [index, column] of this.columns.entries()) {
      for (const el of column.text.querySelectorAll("[aria-selected=true]"))
        el.setAttribute("aria-selected", "false");
      column.text.removeAttribute("aria-activedescendant");
      const el = index === row && column.text.querySelector<HTMLElement>(`[data-at="${at}"]`);
      if (!el) continue;
      el.setAttribute("aria-selected", "true");
      column.text.setAttribute("aria-activedescendant", el.id);
      const { text } = column;
      const top = el.offsetTop - text.offsetTop;
      if (top < text.scrollTop) text.scrollTop = top - 4;
      else if (top + el.offsetHeight > text.scrollTop + text.clientHeight)
        text.scrollTop = top + el.offsetHeight - text.clientHeight + 4;
    }
  }

  private draw(at: number): void {
    const { text } = this.columns[at];
    const row = this.rows[at];
    text.replaceChildren(h("span", { class: "iw-s-lead" }, this.lead));
    if (row && (at === 0 || !row.same || row.tokens.length > 0)) this.grow(at);
    else if (this.sentence && at > 0) text.append(h("p", { class: "iw-s-empty" }, this.sentence));
    this.facts(at);
  }

  private grow(at: number): void {
    const { text } = this.columns[at];
    const { tokens } = this.rows[at];
    const near = text.scrollHeight - text.scrollTop - text.clientHeight < NEAR_END;
    for (let next = text.querySelectorAll("[data-at]").length; next < tokens.length; next++) {
      text.append(...this.token(at, next, tokens[next]));
    }
    if (near) text.scrollTop = text.scrollHeight;
    this.facts(at);
  }

  /** The blank in front of a word belongs to the token and not to its shading. */
  private token(row: number, at: number, token: Token): Node[] {
    const [raw, , change] = token;
    const text = visible(raw);
    const blank = /^ +(?=\S)/.exec(text)?.[0] ?? "";
    const strength = shade(change);
    const sign = strength === 0 ? "" : (change ?? 0) < 0 ? "iw-s-down" : "iw-s-up";
    const el = h(
      "span",
      {
        class: `iw-s-token ${sign}`.trim(),
        title: tokenTitle(token),
        attrs: {
          role: "option",
          id: `iw-s-${this.run}-${row}-${at}`,
          "data-at": at,
          "aria-selected": String(this.looked[0] === row && this.looked[1] === at),
        },
        style: strength === 0 ? {} : { "--iw-alpha": `${Math.round(8 + 40 * strength)}%` },
      },
      text === "" ? "·" : text.slice(blank.length) || "␣",
    );
    const nodes: Node[] = blank ? [document.createTextNode(blank), el] : [el];
    if (raw.includes("\n")) nodes.push(h("br"));
    return nodes;
  }

  private facts(at: number): void {
    const row = this.rows[at];
    const last = row?.tokens.length - 1;
    // The token that ends a text has no text of its own.
    if (row?.ended === "stop" && row.tokens[last]?.[0] === "") {
      const end = this.columns[at].text.querySelector(`[data-at="${last}"]`);
      if (end) end.textContent = "∎";
    }
    this.columns[at].foot.textContent = row ? rowFacts(row, at > 0 ? this.rows[0] : undefined) : "";
  }
}
