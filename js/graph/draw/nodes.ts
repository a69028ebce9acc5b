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

/** All shown nodes: plain ones first, so that what is lit lies on top. */
export function drawAllNodes(
  surface: Surface,
  frame: Frame,
  fading: ReadonlySet<number> | null,
  fade: number,
): void {
  const { layout, graph, lit, found } = frame;
  const plain: number[] = [];
  const pale: number[] = [];
  const bright: number[] = [];
  const dim = found.size > 0;
  for (let i = 0; i < graph.n; i++) {
    if (!layout.shown[i]) continue;
    if (fading?.has(i)) pale.push(i);
    else if (lit.has(i)) bright.push(i);
    else plain.push(i);
  }
  clipMarks(surface, frame, () => {
    drawNodes(surface, frame, plain, { lit: false, alpha: dim ? 0.35 : undefined });
    if (pale.length > 0) drawNodes(surface, frame, pale, { lit: false, alpha: fade });
    drawNodes(surface, frame, bright, { lit: true });
    drawMore(surface, frame);
    if (dim) drawFound(surface, frame);
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

/** The magenta ring: what is selected; thinner while only looked at. */
export function drawRing(surface: Surface, frame: Frame, i: number, width: number): void {
  const { layout, theme, dx, dy } = frame;
  const xyr = [layout.x[i] + dx, layout.y[i] + dy, layout.r[i] + 4.2];
  surface.circles(xyr, { stroke: { color: theme.sel, width } });
}
