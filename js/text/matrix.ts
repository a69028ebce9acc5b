/**
 * Features by tokens: names on the left, cells on a canvas that scrolls both ways. A click takes a
 * row; a drag along the tokens, or a Shift-click, brushes columns.
 */
import { h } from "../shared/dom";
import { font } from "../shared/surface";
import type { Firing } from "./firing";
import { Names } from "./names";
import { type Colors, colorsOf, type Frame, frameOf, paint, ROW } from "./paint";
import { range } from "./prompt";
import type { Shown } from "./rank";
import type { Arrange } from "./state";

export interface MatrixPort {
  pick(row: number, add: boolean): void;
  brush(tokens: readonly number[], done: boolean): void;
  hover(row: number | null, position: number | null): void;
  rows(count: number): void;
}

export interface MatrixState {
  readonly firing: Firing;
  readonly shown: Shown;
  readonly selected: ReadonlySet<number>;
  readonly brushed: readonly number[];
  readonly hover: { readonly row: number | null; readonly position: number | null };
  readonly arrange: Arrange;
  readonly limit: number;
}

/** A press that moves less is a click. */
const STILL = 4;

export class Matrix {
  readonly el: HTMLElement;
  readonly names: Names;
  private readonly pane = h("div", {
    class: "iw-x-pane",
    attrs: { tabindex: -1, "aria-hidden": "true" },
  });
  private readonly sizer = h("div", { class: "iw-x-sizer" });
  private readonly canvas = h("canvas", { class: "iw-x-canvas" });
  private state: MatrixState | null = null;
  private frame: Frame | null = null;
  private framed: readonly [Firing | null, number] = [null, 0];
  private colors: Colors | null = null;
  private pending = 0;
  private resized = false;
  /** While a key brushes: then the row that has the focus stays in sight, wherever it goes. */
  private keyed = false;
  private anchor = 0;
  private press: { x: number; row: number | null; brushing: boolean; add: boolean } | null = null;
  /** How many cells the last drawing had. */
  drawn = 0;

  constructor(
    private readonly port: MatrixPort,
    signal: AbortSignal,
  ) {
    this.names = new Names({
      pick: (row, add) => port.pick(row, add),
      hover: (row) => port.hover(row, null),
      walk: (step, brush) => this.walk(step, brush),
      scrollTo: (place) => this.scrollTo(place),
      scrollBy: (dx, dy) => this.pane.scrollBy(dx, dy),
      rows: (count) => port.rows(count),
    });
    this.sizer.append(this.canvas);
    this.pane.append(this.sizer);
    this.el = h("div", { class: "iw-x-matrix" }, this.names.el, this.pane);
    this.pane.addEventListener("scroll", () => {
      this.names.scroll(this.pane.scrollTop);
      this.soon();
    });
    this.canvas.addEventListener("pointerdown", (event) => this.pressed(event));
    this.canvas.addEventListener("mousedown", (event) => event.preventDefault());
    this.canvas.addEventListener("pointermove", (event) => this.moved(event));
    this.canvas.addEventListener("pointerleave", () => {
      if (!this.press) port.hover(null, null);
    });
    this.canvas.addEventListener("pointerup", (event) => this.released(event));
    this.canvas.addEventListener("pointercancel", () => {
      this.press = null;
    });
    const resized = new ResizeObserver(() => {
      this.resized = true;
      this.soon();
    });
    resized.observe(this.pane);
    signal.addEventListener("abort", () => {
      resized.disconnect();
      cancelAnimationFrame(this.pending);
    });
  }

  show(state: MatrixState): void {
    this.state = state;
    this.layout();
    this.soon();
  }

  /** After the theme has changed. */
  recolor(): void {
    this.colors = null;
    this.soon();
  }

  private layout(): void {
    const { state } = this;
    if (!state) return;
    const width = this.pane.clientWidth || 560;
    if (this.framed[0] !== state.firing || this.framed[1] !== width) {
      const ctx = this.canvas.getContext("2d");
      if (ctx) ctx.font = font(11, 600);
      this.frame = frameOf(state.firing, width, (text) =>
        ctx ? ctx.measureText(text).width : 6 * text.length,
      );
      this.framed = [state.firing, width];
    }
    const frame = this.frame as Frame;
    this.names.show(
      {
        firing: state.firing,
        shown: state.shown,
        selected: state.selected,
        brushed: state.brushed,
        hover: state.hover.row,
        limit: state.limit,
      },
      frame.head,
      this.keyed,
    );
    const wide = frame.column * state.firing.tokens.length + frame.beyond;
    const high = frame.head + state.shown.rows.length * ROW + 6 + this.names.endHeight;
    this.sizer.style.width = `${wide}px`;
    this.sizer.style.height = `${high}px`;
  }

  private soon(): void {
    if (this.pending) return;
    this.pending = requestAnimationFrame(() => {
      this.pending = 0;
      // A scroll draws, and no more.
      if (this.resized) this.layout();
      this.resized = false;
      this.draw();
    });
  }

  private draw(): void {
    const { state, frame, canvas, pane } = this;
    if (!state || !frame) return;
    const [width, height] = [pane.clientWidth, pane.clientHeight];
    const ratio = globalThis.devicePixelRatio || 1;
    const [w, d] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== w || canvas.height !== d) {
      canvas.width = w;
      canvas.height = d;
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
    }
    const ctx = canvas.getContext("2d");
    if (!ctx) return;
    this.colors ??= colorsOf(this.el);
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.drawn = paint(ctx, {
      firing: state.firing,
      rows: state.shown.rows,
      frame,
      colors: this.colors,
      brushed: new Set(state.brushed),
      selected: state.selected,
      hover: state.hover,
      breaks: this.breaks(state),
      left: pane.scrollLeft,
      top: pane.scrollTop,
      width,
      height,
    });
    this.el.dataset.iwDrawn = String(this.drawn);
  }

  /** Where the layer changes, if rows stand by layers. */
  private breaks({ arrange, firing, shown }: MatrixState): Set<number> {
    const found = new Set<number>();
    if (arrange !== "layer") return found;
    for (let place = 1; place < shown.rows.length; place++) {
      const [before, now] = [shown.rows[place - 1], shown.rows[place]];
      if (firing.unit(before)[0] !== firing.unit(now)[0]) found.add(place);
    }
    return found;
  }

  private scrollTo(place: number): void {
    const { pane, frame } = this;
    if (!frame) return;
    const room = pane.clientHeight - frame.head;
    const top = place * ROW;
    if (top < pane.scrollTop) pane.scrollTop = top;
    else if (top + ROW > pane.scrollTop + room) pane.scrollTop = top + ROW - room;
  }

  /** Brings the first row in sight again, after the rows are others. */
  toTop(): void {
    if (!this.keyed) this.pane.scrollTop = 0;
  }

  revealToken(position: number): void {
    const { pane, frame } = this;
    if (!frame) return;
    const [left, right] = [position * frame.column, (position + 1) * frame.column];
    if (left < pane.scrollLeft) pane.scrollLeft = left;
    else if (right > pane.scrollLeft + pane.clientWidth) {
      pane.scrollLeft = right - pane.clientWidth;
    }
  }

  // --- pointer and keys ----------------------------------------------------------------------

  private at(event: PointerEvent): { row: number | null; position: number | null } {
    const { state, frame, pane } = this;
    if (!state || !frame) return { row: null, position: null };
    const box = this.canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    // Tilted names lean to the right: a click on a name means its column.
    const lean = frame.tilted && y < frame.head ? (frame.head - y) / Math.tan(Math.PI / 3) : 0;
    const position = Math.floor((x + pane.scrollLeft - lean) / frame.column);
    const place = y < frame.head ? -1 : Math.floor((y - frame.head + pane.scrollTop) / ROW);
    return {
      row: state.shown.rows[place] ?? null,
      position: position >= 0 && position < state.firing.tokens.length ? position : null,
    };
  }

  private pressed(event: PointerEvent): void {
    const { row, position } = this.at(event);
    if (event.button !== 0 || (row === null && position === null)) return;
    event.preventDefault();
    this.names.takeFocus(); // keys go on from here
    this.canvas.setPointerCapture?.(event.pointerId);
    const add = event.ctrlKey || event.metaKey;
    const names = row === null; // among the tokens' names a press brushes at once
    this.press = { x: event.clientX, row, brushing: names, add };
    if (event.shiftKey && position !== null) {
      this.press = null;
      this.brushTo(position, true);
      return;
    }
    if (position !== null) this.anchor = position;
    if (!names || position === null) return;
    const brushed = this.state?.brushed ?? [];
    if (add) {
      this.press = null;
      const without = brushed.filter((each) => each !== position);
      const all = without.length < brushed.length ? without : [...brushed, position];
      this.port.brush(
        all.sort((a, b) => a - b),
        true,
      );
    } else if (brushed.length === 1 && brushed[0] === position) {
      this.press = null;
      this.port.brush([], true);
    } else this.port.brush([position], false);
  }

  private moved(event: PointerEvent): void {
    const at = this.at(event);
    const { press } = this;
    if (press && !press.brushing && Math.abs(event.clientX - press.x) > STILL) {
      press.brushing = true;
    }
    if (press?.brushing && at.position !== null) this.brushTo(at.position, false);
    this.canvas.style.cursor = at.position === null && at.row === null ? "" : "pointer";
    this.port.hover(at.row, at.position);
  }

  private released(event: PointerEvent): void {
    const { press } = this;
    this.press = null;
    if (!press) return;
    if (press.brushing) this.port.brush(this.state?.brushed ?? [], true);
    else if (press.row !== null && this.at(event).row === press.row) {
      this.port.pick(press.row, press.add);
    }
  }

  private brushTo(position: number, done: boolean): void {
    const { anchor } = this;
    this.port.brush(range(Math.min(anchor, position), Math.max(anchor, position)), done);
  }

  private walk(step: -1 | 1, brush: boolean): void {
    const { state } = this;
    if (!state) return;
    const { row, position } = state.hover;
    const last = state.firing.tokens.length - 1;
    const from = position ?? (row === null ? 0 : state.firing.peakAt[row]);
    const to = position === null ? from : Math.max(0, Math.min(last, from + step));
    this.revealToken(to);
    this.port.hover(row, to);
    if (!brush) return;
    if (!state.brushed.includes(from)) this.anchor = from;
    this.keyed = true;
    this.brushTo(to, true);
    this.keyed = false;
  }
}
