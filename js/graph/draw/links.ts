import type { Surface } from "../../shared/surface";
import { type Frame, plot } from "./frame";

/** Width is the square root of the link's share in its target's input, on one scale everywhere. */
export function linkWidth(share: number): number {
  return 1 + 2.6 * Math.sqrt(Math.min(1, Math.abs(share)));
}

function push(xy: number[], frame: Frame, link: number): void {
  const { layout, graph, dx, dy } = frame;
  const s = graph.at.link_source[link];
  const t = graph.target[link];
  xy.push(layout.x[s] + dx, layout.y[s] + dy, layout.x[t] + dx, layout.y[t] + dy);
}

/** Links at rest: few enough to follow one with the eye, more where there is more room. */
const AT_REST = { most: 400, perPixel: 1 / 1500, alpha: 0.055 };

/**
 * The strongest kept links. Folded nodes share a place, so many of their links share a curve:
 * drawn once, or they would add up to the darkest line in the picture.
 */
export function drawFaint(surface: Surface, frame: Frame): void {
  const { graph, kept, theme } = frame;
  const { rank, target } = graph;
  const { link_source } = graph.at;
  const area = plot(frame);
  const limit = Math.min(AT_REST.most, Math.round(area.width * area.height * AT_REST.perPixel));
  const xy: number[] = [];
  const drawn = new Set<string>();
  for (let at = 0; at < rank.length && drawn.size < limit; at++) {
    const e = rank[at];
    if (!kept[link_source[e]] || !kept[target[e]]) continue;
    push(xy, frame, e);
    const curve = xy.slice(-4).map(Math.round).join();
    if (drawn.has(curve)) xy.length -= 4;
    drawn.add(curve);
  }
  surface.clip(area.x, area.y, area.width, area.height, () => {
    surface.curves(xy, { color: theme.ink, width: 1, alpha: AT_REST.alpha });
  });
}

/** Links in colour, weak ones first; lowering ones dashed, so that colour is not the only sign. */
export function drawColoured(surface: Surface, frame: Frame, links: readonly number[]): void {
  const { graph, theme } = frame;
  const area = plot(frame);
  const sorted = [...links].sort((a, b) => Math.abs(graph.share[a]) - Math.abs(graph.share[b]));
  surface.clip(area.x, area.y, area.width, area.height, () => {
    for (const e of sorted) {
      const share = graph.share[e];
      const xy: number[] = [];
      push(xy, frame, e);
      const strength = Math.min(1, Math.abs(share) / 0.08);
      surface.curves(xy, {
        color: share < 0 ? theme.neg : theme.pos,
        width: linkWidth(share),
        alpha: 0.28 + 0.44 * strength,
        dash: share < 0 ? [5, 3] : undefined,
      });
    }
  });
}
