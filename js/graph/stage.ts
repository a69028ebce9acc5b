/**
 * Three canvases on top of each other: lines and faint links, marks and names, hover. Each is
 * redrawn only when what it shows has changed, at most once a frame.
 */
import { CanvasSurface } from "../shared/canvas-surface";
import { h } from "../shared/dom";
import { createMeasure, type Surface } from "../shared/surface";
import { followTheme, readTheme, reducedMotion, type Theme } from "../shared/theme";
import { Camera } from "./camera";
import { type Circuit, circuit, hoverLinks } from "./circuit";
import { drawAxes } from "./draw/axes";
import type { Frame, Margins } from "./draw/frame";
import { drawColoured, drawFaint } from "./draw/links";
import {
  clipMarks,
  drawChosenNodes,
  drawNodes,
  drawOutline,
  drawPlainNodes,
  drawRing,
} from "./draw/nodes";
import { drawOutputs, drawTags } from "./draw/tags";
import type { Graph } from "./graph";
import { Grid } from "./grid";
import { cellOrder, columnWeights, type Layout, layout } from "./layout";
import { type Hit, hit, neighbour, within } from "./picking";
import type { Store } from "./store";
import { placeTags } from "./tags";

/** What has to be done anew; each includes the ones after it. */
export const LAYOUT = 0;
export const BASE = 1;
export const MARKS = 2;
export const HOVER = 3;
const NOTHING = 4;

const FADE_MS = 150;
interface Prepared {
  readonly graph: Graph;
  readonly order: Uint32Array;
  readonly weights: Float32Array;
}

export class Stage {
  readonly el = h("div", { class: "iw-stage" });
  readonly overlay: HTMLCanvasElement;
  readonly camera = new Camera();
  readonly measure = createMeasure();
  /** Called after every painted frame. */
  onPaint: () => void = () => {};
  onPending: () => void = () => {};
  lasso: { x0: number; y0: number; x1: number; y1: number } | null = null;
  private readonly layers: { canvas: HTMLCanvasElement; ctx: CanvasRenderingContext2D }[] = [];
  private theme: Theme | null = null;
  private width = 0;
  private height = 0;
  private prepared: Prepared | null = null;
  private current: { layout: Layout; grid: Grid; margins: Margins; turned: boolean } | null = null;
  private chosen: Circuit = { links: [], lit: new Set() };
  private frame: Frame | null = null;
  private dirty = NOTHING;
  private request = 0;
  private flushed = 0;
  private plain: { key: readonly unknown[]; picture: HTMLCanvasElement } | null = null;
  private moving = false;
  private rest: ReturnType<typeof setTimeout> | undefined;
  private arrived: { nodes: Set<number>; since: number } | null = null;

  constructor(
    private readonly store: Store,
    private readonly root: HTMLElement,
    signal: AbortSignal,
  ) {
    for (const name of ["base", "marks", "overlay"]) {
      const canvas = h("canvas", { class: `iw-canvas iw-${name}` });
      if (name !== "overlay") canvas.setAttribute("aria-hidden", "true");
      // Drawn by the processor: servers have no GPU, and Chromium's emulated one loses text.
      const ctx = canvas.getContext("2d", { willReadFrequently: true });
      if (!ctx) throw new Error("This browser cannot draw on a canvas.");
      this.layers.push({ canvas, ctx });
      this.el.append(canvas);
    }
    this.overlay = this.layers[2].canvas;
    const observer = new ResizeObserver(() => this.resize());
    observer.observe(this.el);
    followTheme(
      root,
      () => {
        this.theme = null;
        this.invalidate(BASE);
      },
      signal,
    );
    signal.addEventListener("abort", () => {
      observer.disconnect();
      cancelAnimationFrame(this.request);
      clearTimeout(this.rest);
    });
  }

  // --- what changed ----------------------------------------------------------------------------

  /** A new graph: whatever was there before keeps its place, new nodes fade in. */
  setGraph(graph: Graph | null, before: Graph | null, fade: boolean): void {
    this.prepared = graph && {
      graph,
      order: cellOrder(graph),
      weights: columnWeights(graph),
    };
    this.arrived = null;
    if (graph && before && fade && !reducedMotion()) {
      const nodes = new Set<number>();
      for (let i = 0; i < graph.n; i++) if (!before.index.has(graph.ids[i])) nodes.add(i);
      if (nodes.size > 0) this.arrived = { nodes, since: performance.now() };
    }
    this.invalidate(LAYOUT);
  }

  invalidate(level: number): void {
    this.dirty = Math.min(this.dirty, level);
    this.onPending();
    if (this.request === 0) this.request = requestAnimationFrame(() => this.paint());
  }

  /**
   * Draws what is pending now. Browsers deliver input once a frame, just before it is drawn, so an
   * answer to input need not wait for the next one.
   */
  flush(): void {
    const now = performance.now();
    if (this.request === 0 || now - this.flushed < 8) return;
    this.flushed = now;
    cancelAnimationFrame(this.request);
    this.paint();
  }

  /** Pan or zoom: draw less until the hand rests. */
  move(level: typeof LAYOUT | typeof BASE): void {
    this.moving = true;
    clearTimeout(this.rest);
    this.rest = setTimeout(() => {
      this.moving = false;
      this.invalidate(BASE);
    }, 160);
    this.invalidate(level);
  }

  private resize(): void {
    const { clientWidth, clientHeight } = this.el;
    if (clientWidth === this.width && clientHeight === this.height) return;
    this.width = clientWidth;
    this.height = clientHeight;
    if (clientWidth === 0 || clientHeight === 0) return; // hidden: the observer calls again
    const ratio = globalThis.devicePixelRatio || 1;
    for (const { canvas } of this.layers) {
      canvas.width = Math.round(clientWidth * ratio);
      canvas.height = Math.round(clientHeight * ratio);
    }
    // Resizing cleared the canvases: draw before the browser shows them, or they flash.
    this.dirty = LAYOUT;
    cancelAnimationFrame(this.request);
    this.paint();
  }

  // --- drawing ---------------------------------------------------------------------------------

  private paint(): void {
    this.request = 0;
    if (this.width === 0 || this.height === 0) return;
    this.theme ??= readTheme(this.root);
    const level = this.dirty;
    this.dirty = NOTHING;
    if (level <= LAYOUT) this.arrange();
    if (level <= MARKS) {
      this.chosen = circuit(this.store);
      this.frame = this.compose();
    }
    if (level <= BASE) this.paintBase();
    if (level <= MARKS) this.paintMarks();
    if (level <= HOVER) this.paintHover();
    if (this.arrived) this.invalidate(MARKS);
    else this.onPaint();
  }

  private arrange(): void {
    const { prepared, store } = this;
    if (!prepared) {
      this.current = null;
      return;
    }
    const { graph, order, weights } = prepared;
    const turned = this.turns(graph, weights);
    const margins = { left: 44, right: 18, top: 30, bottom: turned ? 62 : 34 };
    const width = this.width - margins.left - margins.right;
    const height = this.height - margins.top - margins.bottom;
    this.camera.resize(width, height, weights.length, graph.layers + 2);
    const space = {
      width: this.camera.width,
      height: this.camera.height,
      scale: this.camera.scale,
    };
    const arranged = layout(graph, order, weights, store.kept.mask, store.forced, space);
    const grid = new Grid(arranged.x, arranged.y, arranged.shown, space.width, space.height);
    this.current = { layout: arranged, grid, margins, turned };
  }

  /** Do token names lie flat? Decided at rest, so that zooming does not turn them. */
  private turns(graph: Graph, weights: Float32Array): boolean {
    const total = weights.reduce((sum, w) => sum + w, 0);
    const width = Math.max(this.width - 62, weights.length * 26);
    let tight = 0;
    for (let t = 0; t < graph.tokens.length; t++) {
      const room = (weights[t] / total) * width - 5;
      // Where half a dozen letters fit, a long token is cut rather than all of them turned.
      if (room < 46 && this.measure(graph.token(t), 11) > room) tight += 1;
    }
    return tight > graph.tokens.length * 0.2;
  }

  private compose(): Frame | null {
    const { current, prepared, store, theme, width, height, measure } = this;
    if (!current || !prepared || !theme) return null;
    const { margins } = current;
    const dx = margins.left + this.camera.x;
    const dy = margins.top + this.camera.y;
    const area = {
      x: margins.left,
      y: margins.top,
      w: width - margins.left - margins.right,
      h: height - margins.top - margins.bottom,
    };
    const tags = placeTags(
      store,
      prepared.graph,
      current.layout,
      current.grid,
      measure,
      area,
      { dx, dy },
      this.chosen.lit,
    );
    return {
      graph: prepared.graph,
      layout: current.layout,
      theme,
      measure,
      labels: store.state.labels,
      width,
      height,
      margins,
      turned: current.turned,
      dx,
      dy,
      scale: this.camera.scale,
      kept: store.kept.mask,
      lit: this.chosen.lit,
      found: store.found.set,
      tags,
    };
  }

  private surface(layer: number, clear: boolean): Surface {
    const { ctx, canvas } = this.layers[layer];
    const ratio = canvas.width / this.width;
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (clear) ctx.clearRect(0, 0, this.width, this.height);
    return new CanvasSurface(ctx);
  }

  private paintBase(): void {
    const surface = this.surface(0, true);
    const { frame } = this;
    if (!frame) return;
    drawAxes(surface, frame);
    drawFaint(surface, frame);
  }

  private paintMarks(): void {
    const surface = this.surface(1, true);
    if (!this.frame) return;
    let fade = 1;
    if (this.arrived) {
      fade = (performance.now() - this.arrived.since) / FADE_MS;
      if (fade >= 1) this.arrived = null;
    }
    drawColoured(surface, this.frame, this.chosen.links);
    const arriving = this.arrived?.nodes ?? null;
    if (arriving || this.moving) drawPlainNodes(surface, this.frame, arriving);
    else this.stampPlain(this.frame);
    drawChosenNodes(surface, this.frame, arriving, Math.min(1, fade));
    this.drawRings(surface, this.frame);
    drawOutputs(surface, this.frame);
    drawTags(surface, this.frame);
  }

  /** Plain marks change with the layout only: a click copies them from a picture. */
  private stampPlain(frame: Frame): void {
    const { canvas, ctx } = this.layers[1];
    const key = [frame.layout, frame.dx, frame.dy, frame.theme, frame.found, canvas.width];
    if (!this.plain || key.some((part, k) => part !== this.plain?.key[k])) {
      const picture = h("canvas");
      picture.width = canvas.width;
      picture.height = canvas.height;
      const inner = picture.getContext("2d", { willReadFrequently: true });
      if (!inner) return;
      const ratio = canvas.width / this.width;
      inner.setTransform(ratio, 0, 0, ratio, 0, 0);
      drawPlainNodes(new CanvasSurface(inner), frame, null);
      this.plain = { key, picture };
    }
    ctx.save();
    ctx.setTransform(1, 0, 0, 1, 0, 0);
    ctx.drawImage(this.plain.picture, 0, 0);
    ctx.restore();
  }

  private drawRings(surface: Surface, frame: Frame): void {
    clipMarks(surface, frame, () => {
      drawOutline(surface, frame, this.store.preview);
      for (const i of this.store.selected) {
        drawRing(surface, frame, i, i === this.store.primary ? 2 : 1.4);
      }
    });
  }

  private paintHover(): void {
    const surface = this.surface(2, true);
    const { frame, store, lasso } = this;
    if (!frame) return;
    const { hover } = store.state;
    if (hover >= 0 && hover < frame.graph.n) this.paintHovered(surface, frame, hover);
    if (lasso) {
      const { x0, y0, x1, y1 } = lasso;
      surface.segments([x0, y0, x1, y0, x1, y0, x1, y1, x1, y1, x0, y1, x0, y1, x0, y0], {
        color: frame.theme.sel,
        width: 1,
        dash: [4, 3],
      });
    }
  }

  private paintHovered(surface: Surface, frame: Frame, hover: number): void {
    // The links of what is selected are drawn already, under the names.
    const known = this.store.selected.includes(hover);
    const links = known ? [] : hoverLinks(frame.graph, hover, frame.kept);
    drawColoured(surface, frame, links);
    const ends = new Set([hover]);
    for (const e of links) {
      ends.add(frame.graph.at.link_source[e]);
      ends.add(frame.graph.target[e]);
    }
    const shown = [...ends].filter((i) => frame.layout.shown[i]);
    clipMarks(surface, frame, () => {
      drawNodes(surface, frame, shown, { lit: true });
      drawRing(surface, frame, hover, 2);
    });
  }

  /** The same drawing on another surface, for export. */
  drawOn(surface: Surface): void {
    const { frame } = this;
    if (!frame) return;
    drawAxes(surface, frame);
    drawFaint(surface, frame);
    drawColoured(surface, frame, this.chosen.links);
    drawPlainNodes(surface, frame, null);
    drawChosenNodes(surface, frame, null, 1);
    this.drawRings(surface, frame);
    drawOutputs(surface, frame);
    drawTags(surface, frame);
  }

  get size(): { width: number; height: number; theme: Theme } {
    this.theme ??= readTheme(this.root);
    return { width: this.width, height: this.height, theme: this.theme };
  }

  // --- where things are ------------------------------------------------------------------------

  locate(i: number): { x: number; y: number } {
    const { frame } = this;
    if (!frame || i < 0) return { x: Number.NaN, y: Number.NaN };
    return { x: frame.layout.x[i] + frame.dx, y: frame.layout.y[i] + frame.dy };
  }

  hit(x: number, y: number): Hit {
    return this.frame && this.current ? hit(this.frame, this.current.grid, x, y) : null;
  }

  within(x0: number, y0: number, x1: number, y1: number): number[] {
    return this.frame && this.current ? within(this.frame, this.current.grid, x0, y0, x1, y1) : [];
  }

  neighbour(from: number, dx: number, dy: number): number {
    return this.current ? neighbour(this.current.layout, from, dx, dy) : -1;
  }

  /** Do these nodes all have a mark? A crowded cell hides the weak ones. */
  shows(nodes: Iterable<number>): boolean {
    const shown = this.current?.layout.shown;
    if (!shown) return false;
    for (const i of nodes) if (!shown[i]) return false;
    return true;
  }

  /** Brings a node into the frame. */
  reveal(i: number): void {
    if (!this.current || i < 0) return;
    const { x, y } = this.current.layout;
    if (this.camera.reveal(x[i], y[i])) this.move(BASE);
  }

  zoom(factor: number, x = this.width / 2, y = this.height / 2): void {
    const margins = this.current?.margins;
    if (!margins) return;
    if (this.camera.zoomBy(factor, x - margins.left, y - margins.top)) this.move(LAYOUT);
  }

  resetZoom(): void {
    this.camera.reset();
    this.invalidate(LAYOUT);
  }

  /** Marks per column, for the overview. */
  get density(): Float32Array | null {
    const { current, prepared } = this;
    if (!current || !prepared) return null;
    const counts = new Float32Array(prepared.weights.length);
    const { mask } = this.store.kept;
    for (let i = 0; i < mask.length; i++) if (mask[i]) counts[prepared.graph.column(i)] += 1;
    return counts;
  }

  get margins(): Margins | null {
    return this.current?.margins ?? null;
  }
}
