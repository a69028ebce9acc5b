/**
 * A heatmap as a grid of elements, layer 0 at the bottom: each mark can be clicked, reached with the
 * arrow keys and read aloud. Thousands of marks are made a few rows per frame.
 */
import { h } from "../shared/dom";
import { tokenText } from "../shared/format";
import { axis } from "./axis";
import { type Live, type Metric, type PanelId, type Part, parsePart, partId, span } from "./state";
import { effect, partName, short, withUnit } from "./words";

const AT_ONCE = 1200; // marks made in one go, a few milliseconds
const GUTTER = 66;
const WIDTH = [8, 76] as const;
const HEIGHT = [9, 56] as const;
const LABELLED = 13; // lower rows are labelled five by five
const NUMBERS = [34, 17] as const; // marks at least as large carry their number
const LINE = 18;
const LETTER = 6.2; // its width, about
const TURNED = [24, 58] as const; // height of a line of turned tokens
const LEGIBLE = 13; // columns as wide as that have a turned token each

export type Pick = (part: Part, add: boolean) => void;

export class Heatmap {
  readonly el = h("div", { class: "iw-a-scroll" });
  private grid: HTMLElement = h("div");
  private cells: HTMLElement[] = [];
  private rows: HTMLElement[] = [];
  private live: Live | null = null;
  private panel: PanelId = "residual";
  private values: Float32Array = new Float32Array();
  private painted: Float32Array = new Float32Array();
  private selected: readonly string[] = [];
  private marks = new Map<number, "own" | "in">();
  private built = "";
  private focus = 0;
  private frame = 0;
  private numbers = false;

  constructor(
    private readonly pick: Pick,
    private readonly clear: () => void,
    private readonly point: (part: Part | null) => void,
  ) {}

  /** Draws what is there; only what has changed is touched. */
  show(live: Live, panel: PanelId, values: Float32Array, selected: readonly string[]): void {
    const [start, size] = span(live, panel);
    this.live = live;
    this.panel = panel;
    this.values = values.length >= start + size ? values.subarray(start, start + size) : NONE;
    this.selected = selected;
    const key = JSON.stringify([panel, live.layers, this.columns, live.clean, live.corrupted]);
    if (key !== this.built) {
      this.built = key;
      this.build();
    }
    this.paint();
  }

  private get columns(): number {
    return this.live?.panels.find((each) => each.id === this.panel)?.columns ?? 0;
  }

  private get metric(): Metric | null {
    return this.live?.metric ?? null;
  }

  private build(): void {
    cancelAnimationFrame(this.frame);
    const { live } = this;
    this.cells = [];
    this.rows = [];
    this.painted = NONE;
    this.marks = new Map();
    this.focus = 0;
    if (!live || live.layers === 0 || this.columns === 0) {
      this.el.replaceChildren();
      return;
    }
    this.grid = h("div", {
      class: "iw-a-grid",
      attrs: {
        role: "grid",
        "aria-label": `Effects by layer and ${this.panel === "heads" ? "head" : "position"}`,
        "aria-multiselectable": "true",
        "aria-rowcount": live.layers,
        "aria-colcount": this.columns,
      },
      on: {
        click: (event) => this.clicked(event),
        keydown: (event) => this.pressed(event),
        focusin: (event) => this.pointed(event),
        pointerover: (event) => this.pointed(event),
        pointerleave: () => this.point(null),
      },
    });
    this.el.replaceChildren(this.grid);
    this.makeRows(0);
  }

  /** Rows from layer `from` on, as many as one frame takes; the rest in the next. */
  private makeRows(from: number): void {
    const { live, columns, panel } = this;
    if (!live) return;
    let layer = from;
    for (let made = 0; layer < live.layers && made < AT_ONCE; layer++, made += columns) {
      const cells = Array.from({ length: columns }, (_, index) =>
        h("div", {
          class: "iw-a-cell iw-a-blank",
          attrs: { role: "gridcell", tabindex: -1, "data-cell": layer * columns + index },
        }),
      );
      this.cells.push(...cells);
      const row = h(
        "div",
        { class: `iw-a-row${layer % 5 === 0 ? " iw-a-fifth" : ""}`, attrs: { role: "row" } },
        this.header({ panel: this.panel, layer, index: null }, `L${layer}`, "iw-a-layer"),
        ...cells,
      );
      this.rows.push(row);
      this.grid.prepend(row);
    }
    if (layer < live.layers) {
      this.frame = requestAnimationFrame(() => {
        this.makeRows(layer);
        this.paint();
      });
      return;
    }
    this.grid.append(...axis(live, panel, columns));
    this.cells[this.focus]?.setAttribute("tabindex", "0");
    this.fit();
  }

  private header(part: Part, text: string, kind: string): HTMLElement {
    const name = this.live ? partName(part, this.live) : text;
    return h(
      "div",
      { class: `iw-a-head ${kind}`, attrs: { role: "rowheader" } },
      h(
        "button",
        {
          title: name,
          attrs: { type: "button", "data-part": partId(part), "aria-label": name, tabindex: -1 },
        },
        text,
      ),
    );
  }

  /** Marks as large as fit; beyond that the grid scrolls. */
  fit(): void {
    const { live, columns } = this;
    if (!live || columns === 0) return;
    const across = (this.el.clientWidth || 560) - GUTTER - 14;
    const heads = this.panel === "heads";
    const width = clamp(Math.floor(across / columns), heads ? [WIDTH[0], 2 * WIDTH[1]] : WIDTH);
    const long = live.clean.map((token) => tokenText(token).length * LETTER);
    const turned = !heads && long.filter((size) => size > width + 4).length > 0.2 * columns;
    const line = turned ? clamp(Math.max(...long) + 6, TURNED) : LINE;
    const lines = live.corrupted ? 2 : 1;
    const axis = heads ? LINE * (1 + lines) + 6 : line * lines;
    const down = (this.el.clientHeight || 300) - axis - 8;
    const height = clamp(Math.floor(down / live.layers), HEIGHT);
    this.grid.style.setProperty("--iw-w", `${width}px`);
    this.grid.style.setProperty("--iw-h", `${height}px`);
    this.grid.style.setProperty("--iw-line", `${line}px`);
    this.grid.classList.toggle("iw-a-turned", turned);
    this.grid.classList.toggle("iw-a-low", height < LABELLED);
    for (const axis of this.grid.querySelectorAll(".iw-a-axis")) quieten(axis, width);
    const numbers = width >= NUMBERS[0] && height >= NUMBERS[1];
    if (numbers !== this.numbers) {
      this.numbers = numbers;
      this.painted = NONE;
      this.paint();
    }
  }

  private paint(): void {
    const { live, metric, values, painted, selected, columns } = this;
    if (!live) return;
    const scale = metric?.scale ?? 1;
    const fresh = painted.length !== values.length;
    const marks = this.marksOf(selected);
    this.cells.forEach((cell, at) => {
      const value = values.length > 0 ? values[at] : Number.NaN;
      const repaint = fresh || !Object.is(value, painted[at]);
      if (repaint) this.paintCell(cell, at, value, scale);
      const mark = marks.get(at);
      if (repaint || mark !== this.marks.get(at)) {
        cell.classList.toggle("iw-a-own", mark === "own");
        cell.classList.toggle("iw-a-in", mark === "in");
        cell.setAttribute("aria-selected", String(mark !== undefined));
      }
    });
    // Rows that are still to be made are painted when they are.
    const complete = this.cells.length === live.layers * columns;
    this.painted = complete && values.length > 0 ? values.slice() : NONE;
    this.marks = complete ? marks : new Map();
    const chosen = new Set(selected);
    for (const el of this.grid.querySelectorAll<HTMLElement>("[data-part]")) {
      el.classList.toggle("iw-a-on", chosen.has(el.dataset.part ?? ""));
    }
  }

  /** The marks that are selected themselves, and those in a selected row or column. */
  private marksOf(selected: readonly string[]): Map<number, "own" | "in"> {
    const marks = new Map<number, "own" | "in">();
    const layers = this.live?.layers ?? 0;
    const own: number[] = [];
    for (const id of selected) {
      const part = parsePart(id);
      if (part?.panel !== this.panel) continue;
      const { layer, index } = part;
      if (layer !== null && index !== null) own.push(layer * this.columns + index);
      else if (layer !== null) {
        for (let at = 0; at < this.columns; at++) marks.set(layer * this.columns + at, "in");
      } else if (index !== null) {
        for (let at = 0; at < layers; at++) marks.set(at * this.columns + index, "in");
      }
    }
    for (const at of own) marks.set(at, "own");
    return marks;
  }

  private paintCell(cell: HTMLElement, at: number, value: number, scale: number): void {
    const { live, metric } = this;
    if (!live) return;
    const known = Number.isFinite(value);
    const strength = known ? Math.min(1, Math.abs(value) / scale) : 0;
    const nothing = strength < 0.004;
    cell.style.setProperty("--iw-alpha", strength.toFixed(3));
    cell.className = `iw-a-cell${known ? (nothing ? "" : value < 0 ? " iw-a-neg" : " iw-a-pos") : " iw-a-blank"}${strength > 0.6 ? " iw-a-strong" : ""}`;
    cell.textContent = known && this.numbers && strength >= 0.015 ? short(value) : "";
    const text = known ? withUnit(effect(value, scale), metric?.unit ?? "") : "not computed";
    cell.setAttribute("aria-label", `${partName(this.part(at), live)}: ${text}`);
  }

  /** The mark that an element belongs to. */
  private part(at: number): Part {
    const { columns, panel } = this;
    return { panel, layer: Math.floor(at / columns), index: at % columns };
  }

  /** Scrolls a mark into sight. */
  reveal(part: Part): void {
    if (part.panel !== this.panel || part.layer === null || part.index === null) return;
    const cell = this.cells[part.layer * this.columns + part.index];
    cell?.scrollIntoView?.({ block: "nearest", inline: "nearest" });
  }

  private target(event: Event): Part | null {
    const el = (event.target as HTMLElement).closest<HTMLElement>("[data-cell], [data-part]");
    if (!el) return null;
    if (el.dataset.cell !== undefined) return this.part(Number(el.dataset.cell));
    const [, panel, layer, index] =
      /^(\w+)(?:\.L(\d+))?(?:\.p(\d+))?$/.exec(el.dataset.part ?? "") ?? [];
    return {
      panel: panel as PanelId,
      layer: layer === undefined ? null : Number(layer),
      index: index === undefined ? null : Number(index),
    };
  }

  private clicked(event: MouseEvent): void {
    const part = this.target(event);
    if (!part) return;
    if (part.layer !== null && part.index !== null) {
      this.moveTo(part.layer * this.columns + part.index, true);
    }
    this.pick(part, event.shiftKey || event.ctrlKey || event.metaKey);
  }

  private pointed(event: Event): void {
    this.point(this.target(event));
  }

  private moveTo(at: number, inSight = false): void {
    this.cells[this.focus]?.setAttribute("tabindex", "-1");
    this.focus = at;
    this.cells[at]?.setAttribute("tabindex", "0");
    this.cells[at]?.focus({ preventScroll: inSight });
  }

  private pressed(event: KeyboardEvent): void {
    const { columns, live } = this;
    const on = (event.target as HTMLElement).dataset.cell !== undefined;
    if (event.key === "Escape") {
      this.clear();
      return;
    }
    if (!live || !on) return;
    const part = this.part(this.focus);
    const add = event.shiftKey || event.ctrlKey || event.metaKey;
    switch (event.key) {
      case "Enter":
      case " ":
        this.pick(part, add);
        break;
      // Whole rows and columns by key, as their labels do by mouse.
      case "l":
        this.pick({ ...part, index: null }, add);
        break;
      case "p":
        if (this.panel !== "heads") this.pick({ ...part, layer: null }, add);
        break;
      default: {
        const to = neighbour(event.key, this.focus, live.layers, columns);
        if (to === null) return;
        this.moveTo(to);
      }
    }
    event.preventDefault();
  }

  destroy(): void {
    cancelAnimationFrame(this.frame);
  }
}

const NONE = new Float32Array();

function clamp(value: number, [low, high]: readonly [number, number]): number {
  return Math.max(low, Math.min(high, value));
}

/** In narrow columns only every second, third … token is written; those that differ always are. */
function quieten(axis: Element, width: number): void {
  const ticks = [...axis.querySelectorAll(".iw-a-tick")];
  const step = Math.ceil(LEGIBLE / width);
  const kept = ticks.map((tick) => tick.classList.contains("iw-a-differs"));
  ticks.forEach((tick, at) => {
    const near = kept.slice(Math.max(0, at - step + 1), at + step).some(Boolean);
    tick.classList.toggle("iw-a-quiet", !kept[at] && (at % step > 0 || (step > 1 && near)));
  });
}

/** Where a key leads from a mark; null where it leads nowhere. Layer 0 is at the bottom. */
function neighbour(key: string, at: number, layers: number, columns: number): number | null {
  const column = at % columns;
  switch (key) {
    case "ArrowLeft":
      return column > 0 ? at - 1 : at;
    case "ArrowRight":
      return column < columns - 1 ? at + 1 : at;
    case "ArrowUp":
      return at + columns < layers * columns ? at + columns : at;
    case "ArrowDown":
      return at >= columns ? at - columns : at;
    case "Home":
      return at - column;
    case "End":
      return at - column + columns - 1;
    default:
      return null;
  }
}
