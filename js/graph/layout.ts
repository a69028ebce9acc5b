/**
 * Where every node stands: token columns from left to right, layers from bottom to top.
 *
 * A column's width grows with its busiest layer, slower than its count, and is counted in the whole
 * graph, so that columns stay where they are while the keep slider moves. Inside a cell the
 * strongest nodes come first; they spread on one line, then stack on several, and what does not
 * fit is told as "+38" and reached by zooming in, by search or through the lists.
 */
import { ERROR, FEATURE, type Graph, LOGIT } from "./graph";

export interface Space {
  readonly width: number;
  readonly height: number;
  /** Marks grow a little with zoom; 1 at rest. */
  readonly scale: number;
}

export interface More {
  readonly x: number;
  readonly y: number;
  readonly count: number;
  readonly row: number;
  readonly column: number;
}

export interface Layout {
  readonly x: Float32Array;
  readonly y: Float32Array;
  readonly r: Float32Array;
  /** 1 where a mark is drawn: kept, and with room in its cell. */
  readonly shown: Uint8Array;
  readonly more: readonly More[];
  /** Edges of the token columns, one more than tokens. */
  readonly edges: Float32Array;
  readonly rowY: Float32Array;
  readonly rowHeight: number;
  readonly width: number;
  readonly height: number;
}

const SQUARE = 3.6;
const DIAMOND = 3.4;
const SMALLEST = 2.5;
const LARGEST = 6.2;
const GAP = 2;
const LINE = 10.5;
export const MORE_SIZE = 9;

/** Nodes in drawing order: by row, by column, features by influence, then errors. */
export function cellOrder(graph: Graph): Uint32Array {
  const columns = Math.max(1, graph.tokens.length);
  const { kind, influence, probability } = graph.at;
  const strength = (i: number) => (kind[i] === LOGIT ? probability[i] || 0 : influence[i] || 0);
  const key = Float64Array.from({ length: graph.n }, (_, i) => {
    return (graph.row(i) * columns + graph.column(i)) * 2 + (kind[i] === ERROR ? 1 : 0);
  });
  return Uint32Array.from({ length: graph.n }, (_, i) => i).sort(
    (a, b) => key[a] - key[b] || strength(b) - strength(a) || a - b,
  );
}

/** Relative widths of the token columns. */
export function columnWeights(graph: Graph): Float32Array {
  const columns = Math.max(1, graph.tokens.length);
  const rows = graph.layers + 2;
  const counts = new Uint32Array(columns * rows);
  for (let i = 0; i < graph.n; i++) counts[graph.row(i) * columns + graph.column(i)]++;
  const weights = new Float32Array(columns);
  for (let c = 0; c < columns; c++) {
    let busiest = 1;
    for (let r = 0; r < rows; r++) busiest = Math.max(busiest, counts[r * columns + c]);
    weights[c] = 1.5 + busiest ** 0.68;
  }
  // One crowded token must not squeeze the others out of sight.
  const mean = weights.reduce((sum, w) => sum + w, 0) / columns;
  return weights.map((w) => Math.max(w, 0.8 * mean));
}

/** Area is influence; the scale belongs to the graph, not to what is kept of it. */
export function radius(graph: Graph, i: number, largest: number): number {
  const kind = graph.at.kind[i];
  if (kind === ERROR) return Math.min(DIAMOND, largest);
  if (kind !== FEATURE) return Math.min(SQUARE, largest);
  const influence = graph.at.influence[i];
  const share = graph.maxInfluence > 0 ? Math.max(0, influence) / graph.maxInfluence : 0;
  return Math.max(Math.min(SMALLEST, largest), largest * Math.sqrt(share) || 0);
}

export function layout(
  graph: Graph,
  order: Uint32Array,
  weights: Float32Array,
  kept: Uint8Array,
  forced: ReadonlySet<number>,
  space: Space,
): Layout {
  const columns = weights.length;
  const rows = graph.layers + 2;
  const x = new Float32Array(graph.n);
  const y = new Float32Array(graph.n);
  const r = new Float32Array(graph.n);
  const shown = new Uint8Array(graph.n);
  const more: More[] = [];

  const total = weights.reduce((sum, w) => sum + w, 0);
  const edges = new Float32Array(columns + 1);
  for (let c = 0; c < columns; c++) edges[c + 1] = edges[c] + (weights[c] / total) * space.width;

  // Half a row of air above the outputs and below the tokens.
  const rowHeight = space.height / rows;
  const rowY = Float32Array.from({ length: rows }, (_, k) => space.height - (k + 0.5) * rowHeight);

  const largest = Math.min(LARGEST * space.scale, rowHeight * 0.46);
  const line = LINE * space.scale;
  const lines = Math.max(1, Math.floor((rowHeight - 2) / line));

  // Outputs of a single position may leave their column: they belong on one line.
  const outputs = new Set<number>();
  for (const i of order) if (kept[i] && graph.row(i) === rows - 1) outputs.add(graph.column(i));
  const spill = outputs.size === 1;

  let start = 0;
  const cell: number[] = [];
  while (start < order.length) {
    const row = graph.row(order[start]);
    const column = graph.column(order[start]);
    cell.length = 0;
    let end = start;
    for (; end < order.length; end++) {
      const i = order[end];
      if (graph.row(i) !== row || graph.column(i) !== column) break;
      if (!kept[i]) continue;
      r[i] = radius(graph, i, largest);
      cell.push(i);
    }
    start = end;
    if (cell.length > 0) fill(cell, row, column);
  }
  return { x, y, r, shown, more, edges, rowY, rowHeight, width: space.width, height: space.height };

  function fill(nodes: number[], row: number, column: number): void {
    const free = spill && row === rows - 1;
    const room = free ? space.width * 0.6 : edges[column + 1] - edges[column] - 6;
    let centre = (edges[column] + edges[column + 1]) / 2;
    const allowed = free ? 1 : lines;
    let packed = pack(nodes, room, allowed);
    if (free) {
      const half = packed.lines[0].width / 2 + 2;
      centre = Math.max(half, Math.min(space.width - half, centre));
    }
    let hidden: number[] = [];
    if (packed.used < nodes.length) {
      const reserve = 5.5 * (1 + String(nodes.length).length) * space.scale;
      packed = pack(nodes, room, allowed, reserve);
      const first = nodes.slice(0, packed.used);
      hidden = nodes.slice(packed.used);
      // What the reader chose stays visible: it takes the last places of the cell.
      const chosen = hidden.filter((i) => forced.has(i));
      for (const i of chosen) {
        const place = first.findLastIndex((j) => !forced.has(j));
        if (place < 0) break;
        hidden[hidden.indexOf(i)] = first[place];
        first[place] = i;
      }
      nodes = first.concat(hidden);
    }
    const top = rowY[row] - ((packed.lines.length - 1) * line) / 2;
    let at = 0;
    packed.lines.forEach(({ count, width }, k) => {
      const last = k === packed.lines.length - 1;
      const tail = last && hidden.length > 0 ? packed.reserve : 0;
      let left = centre - (width + tail) / 2;
      const height = top + k * line;
      for (let m = 0; m < count; m++, at++) {
        const i = nodes[at];
        x[i] = left + r[i];
        y[i] = height;
        shown[i] = 1;
        left += 2 * r[i] + GAP;
      }
      if (tail > 0) {
        more.push({ x: left + 1, y: height, count: hidden.length, row, column });
        for (const i of hidden) {
          x[i] = left + tail / 2;
          y[i] = height;
        }
      }
    });
  }

  function pack(nodes: readonly number[], room: number, most: number, reserve = 0) {
    const result: { count: number; width: number }[] = [];
    let used = 0;
    while (used < nodes.length && result.length < most) {
      const limit = room - (result.length === most - 1 ? reserve : 0);
      let width = 0;
      let count = 0;
      while (used < nodes.length) {
        const wide = 2 * r[nodes[used]] + (count > 0 ? GAP : 0);
        if (width + wide > limit && (count > 0 || reserve > 0)) break;
        width += wide;
        count += 1;
        used += 1;
      }
      result.push({ count, width });
      if (count === 0) break;
    }
    return { lines: result, used, reserve };
  }
}
