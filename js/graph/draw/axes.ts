import { type Surface, truncate } from "../../shared/surface";
import { type Frame, plot } from "./frame";

const AXIS = 10;
const TOKEN = 11;
export const TURN = -0.9;

/** Layer lines, column lines, and their names; names keep their place while the plot pans. */
export function drawAxes(surface: Surface, frame: Frame): void {
  drawLines(surface, frame);
  drawLayerNames(surface, frame);
  drawTokens(surface, frame);
}

function drawLines(surface: Surface, frame: Frame): void {
  const { layout, theme, dx, dy } = frame;
  const area = plot(frame);
  const rows: number[] = [];
  for (const y of layout.rowY) rows.push(area.x, y + dy, area.x + area.width, y + dy);
  const columns: number[] = [];
  const top = layout.rowY[layout.rowY.length - 1] + dy;
  const bottom = layout.rowY[0] + dy;
  for (let c = 1; c < layout.edges.length - 1; c++) {
    columns.push(layout.edges[c] + dx, top, layout.edges[c] + dx, bottom);
  }
  // With thirty layers full lines would weigh more than the marks.
  const quiet = layout.rowHeight < 16 ? 0.55 : 1;
  surface.clip(area.x, area.y, area.width, area.height, () => {
    surface.segments(rows, { color: theme.rule, width: 1, alpha: quiet });
    surface.segments(columns, { color: theme.rule, width: 0.7, dash: [1, 3] });
  });
}

function drawLayerNames(surface: Surface, frame: Frame): void {
  const { layout, theme, dy, graph } = frame;
  const area = plot(frame);
  const every = [1, 2, 5, 10, 20, 50].find((step) => step * layout.rowHeight >= 13) ?? 100;
  let last = Number.NEGATIVE_INFINITY;
  const name = (row: number, text: string) => {
    const y = layout.rowY[row] + dy;
    if (y < area.y - 1 || y > area.y + area.height + 1 || Math.abs(y - last) < 11) return;
    last = y;
    surface.text(text, area.x - 8, y + 3.5, { size: AXIS, color: theme.mute, align: "right" });
  };
  name(graph.layers + 1, "out");
  const outY = layout.rowY[graph.layers + 1];
  const tokenY = layout.rowY[0];
  for (let l = graph.layers - 1; l >= 0; l--) {
    const y = layout.rowY[l + 1];
    if (l % every === 0 && y - outY >= 11 && tokenY - y >= 11) name(l + 1, `L${l}`);
  }
  name(0, "tok");
}

function drawTokens(surface: Surface, frame: Frame): void {
  const { layout, theme, measure, dx, dy, graph, turned } = frame;
  const area = plot(frame);
  // Under the token marks while they show, at the frame's foot when they are panned away.
  const foot = Math.min(layout.rowY[0] + dy + 10, area.y + area.height + 2);
  let right = Number.NEGATIVE_INFINITY;
  surface.clip(0, 0, area.x + area.width + 10, frame.height, () => {
    for (let t = 0; t < graph.tokens.length; t++) {
      const x = (layout.edges[t] + layout.edges[t + 1]) / 2 + dx;
      if (x < area.x - 4 || x > area.x + area.width + 4) continue;
      if (turned) {
        // Turned text needs its line height between neighbours.
        if (x - right < TOKEN + 1.5) continue;
        right = x;
        const text = truncate(graph.token(t), 52, TOKEN, measure);
        surface.text(text, x + 4, foot + 6, {
          size: TOKEN,
          color: theme.ink,
          align: "right",
          rotate: TURN,
        });
        continue;
      }
      const room = layout.edges[t + 1] - layout.edges[t] - 5;
      const text = truncate(graph.token(t), Math.max(room, 16), TOKEN, measure);
      const half = measure(text, TOKEN) / 2;
      if (text === "" || x - half < right + 3) continue;
      right = x + half;
      surface.text(text, x, foot + 11, { size: TOKEN, color: theme.ink, align: "center" });
    }
  });
}
