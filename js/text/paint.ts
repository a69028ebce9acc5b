/** Drawing of the matrix: cells by strength, token names above them, what is brushed and pointed at. */
import { clip } from "../shared/format";
import { font } from "../shared/surface";
import { readTheme, type Theme } from "../shared/theme";
import type { Firing } from "./firing";
import { shade } from "./rank";

export const ROW = 21;
const LETTERS = 11;
const TILT = Math.PI / 3;
const COLUMN = [15, 60] as const;

/** Colours of the matrix; `act` is the one of activations. */
export interface Colors extends Theme {
  readonly act: string;
  readonly soft: string;
}

export function colorsOf(el: Element): Colors {
  const css = getComputedStyle(el);
  const act = css.getPropertyValue("--iw-act").trim() || "111 84 178";
  const soft = css.getPropertyValue("--iw-soft").trim() || "#746f66";
  return { ...readTheme(el), act: `rgb(${act})`, soft };
}

/** How wide columns are, how high their names, and whether these are tilted. */
export interface Frame {
  readonly column: number;
  readonly head: number;
  readonly tilted: boolean;
  /** Names of the last columns lean over the edge. */
  readonly beyond: number;
  readonly names: readonly string[];
}

export function frameOf(firing: Firing, width: number, measure: (text: string) => number): Frame {
  const names = firing.tokens.map((_, at) => clip(firing.token(at), LETTERS));
  const longest = Math.max(0, ...names.map(measure));
  const count = Math.max(1, names.length);
  const fit = (room: number) => Math.max(COLUMN[0], Math.min(COLUMN[1], Math.floor(room / count)));
  const flat = fit(width - 4);
  if (longest + 6 <= flat) return { column: flat, head: 24, tilted: false, beyond: 4, names };
  const beyond = Math.ceil(longest * Math.cos(TILT)) + 4;
  const head = Math.ceil(longest * Math.sin(TILT)) + 14;
  return { column: fit(width - beyond), head, tilted: true, beyond, names };
}

export interface Scene {
  readonly firing: Firing;
  readonly rows: Int32Array;
  readonly frame: Frame;
  readonly colors: Colors;
  readonly brushed: ReadonlySet<number>;
  readonly selected: ReadonlySet<number>;
  /** Row of the firing and position; null: nothing, or all of the column or row. */
  readonly hover: { readonly row: number | null; readonly position: number | null };
  /** Rows (by place) that begin a group. */
  readonly breaks: ReadonlySet<number>;
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** Only what is in sight is drawn. Returns how many cells that were. */
export function paint(ctx: CanvasRenderingContext2D, scene: Scene): number {
  const { firing, rows, frame, colors, brushed, left, top, width, height } = scene;
  const { column, head } = frame;
  const columns = firing.tokens.length;
  const first = Math.max(0, Math.floor(left / column));
  const last = Math.min(columns - 1, Math.floor((left + width) / column));
  const above = Math.max(0, Math.floor(top / ROW));
  const below = Math.min(rows.length - 1, Math.floor((top + height - head) / ROW));
  const x = (position: number) => position * column - left;
  const y = (place: number) => head + place * ROW - top;
  const right = Math.min(width, columns * column - left);
  const bottom = Math.min(height, y(rows.length));

  ctx.clearRect(0, 0, width, height);
  ctx.save();
  ctx.beginPath();
  ctx.rect(0, head, width, height - head);
  ctx.clip();
  // Rows and columns that are selected or pointed at, below the cells.
  for (let place = above; place <= below; place++) {
    const row = rows[place];
    if (scene.selected.has(row)) band(ctx, 0, y(place), right, ROW, colors.sel, 0.08);
    else if (scene.hover.row === row) band(ctx, 0, y(place), right, ROW, colors.rule, 0.55);
    const heavy = scene.breaks.has(place);
    band(ctx, 0, y(place) + (heavy ? -1 : 0), right, 1, heavy ? colors.mute : colors.rule, 0.6);
  }
  if (rows.length > 0) band(ctx, 0, y(rows.length), right, 1, colors.rule, 0.6);
  for (let p = first; p <= last; p++) {
    if (brushed.has(p)) band(ctx, x(p), head, column, bottom - head, colors.sel, 0.08);
    else if (scene.hover.position === p && scene.hover.row === null) {
      band(ctx, x(p), head, column, bottom - head, colors.rule, 0.55);
    }
  }
  const cells = paintCells(ctx, scene, [first, last], [above, below], x, y);
  ctx.restore();
  paintHead(ctx, scene, first, last, x);
  return cells;
}

function paintCells(
  ctx: CanvasRenderingContext2D,
  { firing, rows, frame, colors, hover }: Scene,
  [first, last]: readonly [number, number],
  [above, below]: readonly [number, number],
  x: (position: number) => number,
  y: (place: number) => number,
): number {
  const at = firing.data.sections.position;
  const { twoSided } = firing;
  const w = frame.column - 2;
  const h = ROW - 4;
  const stripes = new Path2D();
  let drawn = 0;
  for (let place = above; place <= below; place++) {
    const row = rows[place];
    const [from, to] = firing.span(row);
    for (let c = from; c < to; c++) {
      const p = at[c];
      if (p < first || p > last) continue;
      const strength = firing.strength(row, c);
      const alpha = shade(strength, twoSided);
      if (alpha < 0.01) continue;
      const negative = strength < 0;
      ctx.globalAlpha = alpha;
      ctx.fillStyle = colors.act;
      ctx.beginPath();
      ctx.roundRect(x(p) + 1, y(place) + 2, w, h, 2);
      ctx.fill();
      // Activation has one colour; what is below 0 is striped.
      if (negative) addStripes(stripes, x(p) + 1, y(place) + 2, w, h);
      drawn++;
    }
    if (hover.row === row && hover.position !== null) {
      ctx.globalAlpha = 1;
      ctx.strokeStyle = colors.ink;
      ctx.lineWidth = 1.5;
      ctx.beginPath();
      ctx.roundRect(x(hover.position) + 0.75, y(place) + 1.75, w + 0.5, h + 0.5, 2);
      ctx.stroke();
    }
  }
  ctx.globalAlpha = 0.5;
  ctx.strokeStyle = colors.paper;
  ctx.lineWidth = 1.2;
  ctx.stroke(stripes);
  ctx.globalAlpha = 1;
  return drawn;
}

/**
 * Lines from the upper right to the lower left of a cell, cut at its sides by hand: to clip and stroke
 * each of a thousand cells takes several times as long as one stroke for all of them.
 */
function addStripes(path: Path2D, x: number, y: number, w: number, h: number): void {
  for (let d = 3; d < w + h; d += 5) {
    const top = Math.max(0, d - w);
    const bottom = Math.min(h, d);
    path.moveTo(x + d - top, y + top);
    path.lineTo(x + d - bottom, y + bottom);
  }
}

/** Token names, each where its column begins; no two share a pixel. */
function paintHead(
  ctx: CanvasRenderingContext2D,
  { firing, frame, colors, brushed, hover, width }: Scene,
  first: number,
  last: number,
  x: (position: number) => number,
): void {
  const { column, head, tilted, names } = frame;
  const { special } = firing.data.header;
  // A tilted name from the left of the view leans into it.
  const from = tilted ? Math.max(0, first - Math.ceil(frame.beyond / column)) : first;
  ctx.save();
  ctx.beginPath();
  ctx.rect(0, 0, width, head);
  ctx.clip();
  ctx.textBaseline = "alphabetic";
  for (let p = from; p <= last; p++) {
    const on = brushed.has(p);
    ctx.font = font(11, on ? 600 : 400);
    ctx.fillStyle = on
      ? colors.sel
      : hover.position === p
        ? colors.ink
        : p < special
          ? colors.mute
          : colors.soft;
    ctx.save();
    if (tilted) {
      ctx.translate(x(p) + column / 2 + 3, head - 7);
      ctx.rotate(-TILT);
      ctx.textAlign = "left";
    } else {
      ctx.translate(x(p) + column / 2, head - 8);
      ctx.textAlign = "center";
    }
    ctx.fillText(names[p], 0, 0);
    ctx.restore();
    if (on) {
      ctx.fillStyle = colors.sel;
      ctx.fillRect(x(p) + 1, head - 3, column - 2, 2);
    }
  }
  ctx.restore();
}

function band(
  ctx: CanvasRenderingContext2D,
  x: number,
  y: number,
  w: number,
  h: number,
  color: string,
  alpha: number,
): void {
  ctx.globalAlpha = alpha;
  ctx.fillStyle = color;
  ctx.fillRect(x, y, w, h);
  ctx.globalAlpha = 1;
}
