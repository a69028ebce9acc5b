import { probability } from "../../shared/format";
import { type Surface, truncate } from "../../shared/surface";
import { LOGIT } from "../graph";
import { type Frame, plot, type Tag } from "./frame";

export const TAG_SIZE = 10.5;
export const TAG_HEIGHT = 17;
const OUT_SIZE = 11;

/** Names near their nodes; a thin line leads from those that had to stand far off. */
export function drawTags(surface: Surface, frame: Frame): void {
  for (const tag of frame.tags) drawTag(surface, frame, tag);
}

function drawTag(surface: Surface, frame: Frame, tag: Tag): void {
  const { theme } = frame;
  const { box } = tag;
  if (tag.style === "plain") {
    surface.text(tag.text, box.x + box.w / 2, box.y + box.h - 4, {
      size: TAG_SIZE,
      color: theme.mute,
      align: "center",
      halo: theme.paper,
    });
    return;
  }
  const leaders: number[] = [];
  for (const i of tag.nodes) {
    const x = frame.layout.x[i] + frame.dx;
    const y = frame.layout.y[i] + frame.dy;
    const nearX = Math.min(box.x + box.w, Math.max(box.x, x));
    const nearY = Math.min(box.y + box.h, Math.max(box.y, y));
    const gap = Math.hypot(x - nearX, y - nearY);
    if (gap > 18 && (tag.style === "pill" || gap < 90 || tag.selected)) {
      leaders.push(nearX, nearY, x, y);
    }
  }
  const edge = tag.selected ? theme.sel : tag.style === "group" ? theme.mute : theme.rule;
  if (leaders.length > 0) {
    surface.segments(leaders, {
      color: tag.selected ? theme.sel : theme.mute,
      width: 0.8,
      alpha: 0.6,
    });
  }
  surface.pill(box.x, box.y, box.w, box.h, {
    fill: theme.panel,
    stroke: { color: edge, width: 1 },
  });
  surface.text(tag.text, box.x + box.w / 2, box.y + box.h / 2 + 3.7, {
    size: TAG_SIZE,
    color: theme.ink,
    align: "center",
    weight: tag.style === "group" ? 600 : 400,
  });
}

/** “austin .82 · dallas .06 · +4 more” over each position that has outputs. */
export function drawOutputs(surface: Surface, frame: Frame): void {
  const { graph, layout, theme, measure, dx, labels } = frame;
  const area = plot(frame);
  const cells = new Map<number, number[]>();
  for (let i = 0; i < graph.n; i++) {
    if (graph.at.kind[i] !== LOGIT) continue;
    const column = graph.column(i);
    const cell = cells.get(column);
    if (cell) cell.push(i);
    else cells.set(column, [i]);
  }
  const y = Math.max(layout.rowY[graph.layers + 1] + frame.dy - 10, area.y - 8);
  let edge = Number.POSITIVE_INFINITY;
  // From right to left: the last position is the one people look for.
  for (const [column, nodes] of [...cells].sort((a, b) => b[0] - a[0])) {
    const left = layout.edges[column] + dx;
    const right = layout.edges[column + 1] + dx;
    if (right < area.x || left > area.x + area.width) continue;
    nodes.sort((a, b) => (graph.at.probability[b] || 0) - (graph.at.probability[a] || 0));
    const words = nodes.map((i) => {
      const p = probability(graph.at.probability[i]);
      return `${truncate(graph.label(i, labels), 90, OUT_SIZE, measure)}${p ? ` ${p}` : ""}`;
    });
    const end = Math.min(area.x + area.width - 2, edge - 12, Math.max(right, left + 40));
    const room = cells.size > 1 ? Math.max(right - left, 60) : end - area.x;
    const text = joinThatFits(words, Math.min(room, end - area.x), frame);
    if (!text) continue;
    surface.text(text, end, y, { size: OUT_SIZE, color: theme.ink, align: "right" });
    edge = end - measure(text, OUT_SIZE);
  }
}

function joinThatFits(words: readonly string[], room: number, frame: Frame): string {
  for (let n = Math.min(words.length, 4); n > 0; n--) {
    const rest = words.length - n;
    const text = words.slice(0, n).join(" · ") + (rest > 0 ? ` · +${rest} more` : "");
    if (frame.measure(text, OUT_SIZE) <= room) return text;
  }
  return "";
}
