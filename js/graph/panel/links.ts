/** “reads from” and “writes to”: the links of a node or of a group, as rows. */
import { h } from "../../shared/dom";
import { percent, signed, signedNumber } from "../../shared/format";
import type { Graph } from "../graph";
import type { Panel } from "./panel";
import { groupedList, list, type Row, type RowGroup } from "./rows";

/** One line of a list: another node, and what passes between it and the node shown. */
export interface Passage {
  readonly node: number;
  readonly share: number;
  readonly weight: number;
}

export function inputsOf(graph: Graph, i: number): Passage[] {
  const passages: Passage[] = [];
  for (let e = graph.at.link_ptr[i]; e < graph.at.link_ptr[i + 1]; e++) {
    passages.push({
      node: graph.at.link_source[e],
      share: graph.share[e],
      weight: graph.at.link_weight[e],
    });
  }
  return passages;
}

export function outputsOf(graph: Graph, i: number): Passage[] {
  return Array.from(graph.outputs(i), (e) => ({
    node: graph.target[e],
    share: graph.share[e],
    weight: graph.at.link_weight[e],
  }));
}

/** What members of a group read from and write to outside of it, summed per other node. */
export function groupPassages(
  graph: Graph,
  members: readonly number[],
  of: (graph: Graph, i: number) => Passage[],
): Passage[] {
  const inside = new Set(members);
  const sums = new Map<number, Passage>();
  for (const i of members) {
    for (const { node, share, weight } of of(graph, i)) {
      if (inside.has(node)) continue;
      const sum = sums.get(node);
      sums.set(node, {
        node,
        share: (sum?.share ?? 0) + share,
        weight: (sum?.weight ?? 0) + weight,
      });
    }
  }
  return [...sums.values()];
}

/** Sorted by what is displayed. */
export function passageList(
  panel: Panel,
  key: string,
  passages: readonly Passage[],
  first: number,
): HTMLElement {
  const { store } = panel;
  const { graph, measure, grouping, labels } = store.state;
  if (!graph) return h("div");
  const amount = (p: Passage) => (measure === "share" ? p.share : p.weight);
  const sorted = [...passages].sort((a, b) => Math.abs(amount(b)) - Math.abs(amount(a)));
  const largest = Math.max(1e-12, ...sorted.slice(0, 1).map((p) => Math.abs(amount(p))));
  const scale = measure === "share" ? 1 : largest;
  // Many small inputs need a third decimal to be told apart.
  const digits = largest < 0.095 ? 3 : 2;
  const print = (v: number) => (measure === "share" ? signed(v, digits) : signedNumber(v));
  const toRow = (p: Passage): Row => ({
    node: p.node,
    name: graph.label(p.node, labels),
    where: graph.where(p.node, graph.label(p.node, labels)),
    bar: amount(p) / scale,
    text: print(amount(p)),
    pale: store.kept.mask[p.node] === 0,
  });
  if (grouping === "none") return list(panel, key, sorted.map(toRow), first);

  const parts = new Map<string, Passage[]>();
  for (const p of sorted) {
    const name = grouping === "token" ? tokenName(graph, p.node) : layerName(graph, p.node);
    const part = parts.get(name);
    if (part) part.push(p);
    else parts.set(name, [p]);
  }
  const sum = (part: readonly Passage[]) => part.reduce((total, p) => total + amount(p), 0);
  const size = (part: readonly Passage[]) => part.reduce((t, p) => t + Math.abs(amount(p)), 0);
  const ordered = [...parts].sort((a, b) => size(b[1]) - size(a[1]));
  const widest =
    measure === "share" ? 1 : Math.max(1e-12, ...ordered.map(([, part]) => Math.abs(sum(part))));
  const groups: RowGroup[] = ordered.map(([name, part]) => ({
    name,
    bar: sum(part) / widest,
    text: print(sum(part)),
    rows: part.map(toRow),
  }));
  return groupedList(panel, key, groups);
}

function tokenName(graph: Graph, i: number): string {
  return `“${graph.token(graph.at.position[i])}” (${graph.at.position[i] + 1})`;
}

function layerName(graph: Graph, i: number): string {
  const row = graph.row(i);
  return row === 0 ? "tokens" : row > graph.layers ? "outputs" : `layer ${row - 1}`;
}

/** “share of input, error 6%” after a heading. */
export function headingNote(panel: Panel, errorShare: number | null): string {
  const { graph, measure } = panel.store.state;
  const what = measure === "share" ? "share of input" : (graph?.header.weight_name ?? "weight");
  if (errorShare === null || !Number.isFinite(errorShare)) return what;
  return `${what}, ${graph?.header.error_name ?? "error"} ${percent(errorShare)}`;
}
