/** What is at, around or next to a point of the drawing. */
import type { Frame, Tag } from "./draw/frame";
import type { Grid } from "./grid";
import type { Layout, More } from "./layout";
import { overlaps } from "./place";

export type Hit =
  | { readonly node: number }
  | { readonly more: More }
  | { readonly tag: Tag }
  | null;

/** A pointer this far from a mark still means it. */
const REACH = 30;

export function hit(frame: Frame, grid: Grid, x: number, y: number): Hit {
  const point = { x: x - 1, y: y - 1, w: 2, h: 2 };
  const tag = frame.tags.find((t) => t.style !== "plain" && overlaps(t.box, point));
  if (tag) return { tag };
  for (const more of frame.layout.more) {
    const box = { x: more.x + frame.dx - 2, y: more.y + frame.dy - 6, w: 26, h: 12 };
    if (overlaps(box, point)) return { more };
  }
  const node = grid.nearest(x - frame.dx, y - frame.dy, REACH);
  return node >= 0 ? { node } : null;
}

export function within(
  frame: Frame,
  grid: Grid,
  x0: number,
  y0: number,
  x1: number,
  y1: number,
): number[] {
  const [left, right] = [Math.min(x0, x1) - frame.dx, Math.max(x0, x1) - frame.dx];
  const [top, bottom] = [Math.min(y0, y1) - frame.dy, Math.max(y0, y1) - frame.dy];
  return grid.within(left, top, right, bottom);
}

/** The shown node to go to from `from` in a direction: near, and not far off the axis. */
export function neighbour(layout: Layout, from: number, dx: number, dy: number): number {
  const { x, y, shown } = layout;
  let best = -1;
  let bestCost = Number.POSITIVE_INFINITY;
  for (let i = 0; i < x.length; i++) {
    if (!shown[i] || i === from) continue;
    const along = (x[i] - x[from]) * dx + (y[i] - y[from]) * dy;
    const across = Math.abs((x[i] - x[from]) * dy) + Math.abs((y[i] - y[from]) * dx);
    if (along < 2 || across > 4 * along) continue;
    const cost = along + 2.5 * across;
    if (cost < bestCost) {
      bestCost = cost;
      best = i;
    }
  }
  return best;
}
