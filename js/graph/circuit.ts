/** Which links are in colour and which marks are filled, given what the user chose. */
import type { Graph } from "./graph";
import type { Store } from "./store";

const PER_NODE = 12;
const PER_HOVER = 16;
/** Weaker links than this say nothing on screen. */
const FLOOR = 0.004;

export interface Circuit {
  readonly links: readonly number[];
  readonly lit: ReadonlySet<number>;
}

/** Links among everything chosen, and the strongest ones of what is selected. */
export function circuit(store: Store): Circuit {
  const { graph } = store.state;
  const links = new Set<number>();
  const lit = new Set<number>(store.chosen);
  if (!graph) return { links: [], lit };
  for (const t of store.chosen) {
    for (let e = graph.at.link_ptr[t]; e < graph.at.link_ptr[t + 1]; e++) {
      const strong = Math.abs(graph.share[e]) >= FLOOR;
      if (strong && store.chosen.has(graph.at.link_source[e])) links.add(e);
    }
  }
  const { selected } = store;
  const each = Math.max(1, Math.floor((2 * PER_NODE) / Math.max(2, selected.length)));
  for (const i of selected.slice(-20)) {
    for (const e of strongest(graph, i, store.kept.mask, each)) links.add(e);
  }
  for (const e of links) {
    lit.add(graph.at.link_source[e]);
    lit.add(graph.target[e]);
  }
  return { links: [...links], lit };
}

export function hoverLinks(graph: Graph, i: number, kept: Uint8Array): number[] {
  return strongest(graph, i, kept, PER_HOVER);
}

/** Up to `limit` inputs and `limit` outputs among the kept nodes. */
function strongest(graph: Graph, i: number, kept: Uint8Array, limit: number): number[] {
  const links: number[] = [];
  const { link_ptr, link_source } = graph.at;
  for (let e = link_ptr[i]; e < link_ptr[i + 1] && links.length < limit; e++) {
    // Rows are sorted: nothing stronger follows.
    if (Math.abs(graph.share[e]) < FLOOR) break;
    if (kept[link_source[e]]) links.push(e);
  }
  const out: number[] = [];
  for (const e of graph.outputs(i)) {
    if (kept[graph.target[e]] && Math.abs(graph.share[e]) >= FLOOR) out.push(e);
  }
  out.sort((a, b) => Math.abs(graph.share[b]) - Math.abs(graph.share[a]));
  return links.concat(out.slice(0, limit));
}
