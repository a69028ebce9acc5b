/**
 * Which nodes the keep slider leaves standing. The same rule as `Graph.select` in Python:
 *
 * 1. tokens and outputs always; pinned, selected and grouped nodes always;
 * 2. features and errors whose cumulative influence is within the threshold;
 * 3. of those, only the ones with a way on: a link to another kept node.
 *
 * Rule 3 runs as a work list, so dropping a node can drop the nodes that led only to it.
 */
import { ERROR, type Graph } from "./graph";

const EPSILON = 1e-6;

export interface Kept {
  readonly mask: Uint8Array;
  readonly count: number;
}

export function keep(graph: Graph, threshold: number, forced: ReadonlySet<number>): Kept {
  const { kind, cumulative, link_ptr, link_source } = graph.at;
  const { n, outgoing, outPtr, target } = graph;
  const mask = new Uint8Array(n);
  for (let i = 0; i < n; i++) {
    mask[i] = kind[i] > ERROR || cumulative[i] <= threshold + EPSILON ? 1 : 0;
  }
  for (const i of forced) mask[i] = 1;

  // Where only the strongest links were sent, a node may have a way on that we cannot see.
  const partial = graph.links < graph.header.links_total;
  const ways = new Uint32Array(n);
  const drop: number[] = [];
  for (let i = 0; i < n; i++) {
    if (!mask[i] || kind[i] > ERROR || forced.has(i)) continue;
    for (let k = outPtr[i]; k < outPtr[i + 1]; k++) {
      if (mask[target[outgoing[k]]] && target[outgoing[k]] !== i) ways[i]++;
    }
    if (ways[i] === 0 && !(partial && outPtr[i] === outPtr[i + 1])) drop.push(i);
  }
  for (let at = 0; at < drop.length; at++) {
    const dropped = drop[at];
    mask[dropped] = 0;
    for (let e = link_ptr[dropped]; e < link_ptr[dropped + 1]; e++) {
      const s = link_source[e];
      if (s === dropped || !mask[s] || kind[s] > ERROR || forced.has(s)) continue;
      ways[s]--;
      if (ways[s] === 0) drop.push(s);
    }
  }
  let count = 0;
  for (let i = 0; i < n; i++) count += mask[i];
  return { mask, count };
}
