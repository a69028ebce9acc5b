import type { Surface } from "../../shared/surface";
import { ERROR, FEATURE } from "../graph";
import { MORE_SIZE } from "../layout";
import { type Frame, plot } from "./frame";

export interface NodeLook {
  readonly lit: boolean;
  readonly alpha?: number;
}

/** Draws the given nodes; one batch per shape. */
export function drawNodes(
  surface: Surface,
  frame: Frame,
  nodes: Iterable<number>,
  look: NodeLook,
): void {
  const { graph, layout, theme, dx, dy, margins, width } = frame;
  const circles: number[] = [];
  const diamonds: number[] = [];
  const squares: number[] = [];
  for (const i of nodes) {
    const x = layout.x[i] + dx;
    if (x < margins.left - 1 || x > width - margins.right + 1) continue;
    const kind = graph.at.kind[i];
    const batch = kind === FEATURE ? circles : kind === ERROR ? diamonds : squares;
    batch.push(x, layout.y[i] + dy, layout.r[i]);
  }
  const alpha = look.alpha;
  const stroke = { color: look.lit ? theme.ink : theme.mute, width: 1, alpha };
  const paint = { fill: look.lit ? theme.ink : theme.node, fillAlpha: alpha, stroke };
  if (circles.length > 0) surface.circles(circles, paint);
  if (squares.length > 0) surface.squares(squares, paint);
  if (diamonds.length > 0) {
    surface.diamonds(diamonds, {
      fill: look.lit ? theme.mute : theme.paper,
      fillAlpha: alpha,
      stroke: { color: theme.mute, width: 1, alpha: (look.lit ? 1 : 0.6) * (alpha ?? 1) },
    });
  }
}

/** Every shown node as if nothing were chosen; the ones just arriving are left out. */
export function drawPlainNodes(
  surface: Surface,
  frame: Frame,
  arriving: ReadonlySet<number> | null,
): void {
  const { layout, graph, found } = frame;
  const plain: number[] = [];
  for (let i = 0; i < graph.n; i++) {
    if (layout.shown[i] && !arriving?.has(i)) plain.push(i);
  }
  const alpha = found.size > 0 ? 0.35 : undefined;
  clipMarks(surface, frame, () => {
    drawNodes(surface, frame, plain, { lit: false, alpha });
    drawMore(surface, frame);
  });
}

/** On top of the plain ones: what arrives, what is lit, what was found. */
export function drawChosenNodes(
  surface: Surface,
  frame: Frame,
  arriving: ReadonlySet<number> | null,
  fade: number,
): void {
  const { layout, lit, found } = frame;
  const shown = (nodes: Iterable<number>) => [...nodes].filter((i) => layout.shown[i]);
  clipMarks(surface, frame, () => {
    if (arriving) drawNodes(surface, frame, shown(arriving), { lit: false, alpha: fade });
    drawNodes(surface, frame, shown(lit), { lit: true });
    if (found.size > 0) drawFound(surface, frame);
  });
}

/** The plot and a little more, so that a mark on its edge is whole. */
export function clipMarks(surface: Surface, frame: Frame, draw: () => void): void {
  const area = plot(frame);
  surface.clip(area.x - 8, area.y - 8, area.width + 16, area.height + 16, draw);
}

function drawMore(surface: Surface, frame: Frame): void {
  const { layout, theme, dx, dy, scale } = frame;
  for (const more of layout.more) {
    if (more.x + dx < frame.margins.left) continue;
    surface.text(`+${more.count}`, more.x + dx, more.y + dy + 3, {
      size: MORE_SIZE * Math.min(1.2, scale),
      color: theme.mute,
    });
  }
}

function drawFound(surface: Surface, frame: Frame): void {
  const { layout, theme, dx, dy, found } = frame;
  const shown = [...found].filter((i) => layout.shown[i]);
  drawNodes(surface, frame, shown, { lit: false });
  const rings: number[] = [];
  for (const i of shown) rings.push(layout.x[i] + dx, layout.y[i] + dy, layout.r[i] + 2.5);
  surface.circles(rings, { stroke: { color: theme.ink, width: 1.2 } });
}

/** A dotted ring in ink: what a proposal would group. */
export function drawOutline(surface: Surface, frame: Frame, nodes: Iterable<number>): void {
  const { layout, theme, dx, dy } = frame;
  const rings: number[] = [];
  for (const i of nodes) {
    rings.push(layout.x[i] + dx, layout.y[i] + dy, layout.r[i] + 4.2);
  }
  const stroke = { color: theme.ink, width: 1.4, dash: [2, 2.2] };
  if (rings.length > 0) surface.circles(rings, { stroke });
}

/** The magenta ring: what is selected; thinner while only looked at. */
export function drawRing(surface: Surface, frame: Frame, i: number, width: number): void {
  const { layout, theme, dx, dy } = frame;
  const xyr = [layout.x[i] + dx, layout.y[i] + dy, layout.r[i] + 4.2];
  surface.circles(xyr, { stroke: { color: theme.sel, width } });
}
