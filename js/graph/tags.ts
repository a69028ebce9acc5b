/** Names on the drawing: groups, what is selected or pinned, then the strongest named features. */
import { type Measure, truncate } from "../shared/surface";
import type { Tag } from "./draw/frame";
import { TAG_HEIGHT, TAG_SIZE } from "./draw/tags";
import { FEATURE, type Graph } from "./graph";
import type { Grid } from "./grid";
import type { Layout } from "./layout";
import { type Box, place, type Wanted } from "./place";
import type { Store } from "./store";

const WIDEST = 150;
/** Square pixels of plot for one ambient name: sparse enough to stay calm. */
const PLOT_PER_NAME = 15_000;

interface Wish {
  readonly wanted: Wanted;
  readonly text: string;
  readonly style: Tag["style"];
  readonly selected: boolean;
  readonly nodes: readonly number[];
}

export function placeTags(
  store: Store,
  graph: Graph,
  layout: Layout,
  grid: Grid,
  measure: Measure,
  area: Box,
  shift: { dx: number; dy: number },
  lit: ReadonlySet<number>,
): Tag[] {
  const { labels } = store.state;
  const { dx, dy } = shift;
  const selected = new Set(store.selected);
  const open = store.openGroup;
  const wishes: Wish[] = [];
  const named = new Set<number>();

  const inside = (i: number) => {
    const x = layout.x[i] + dx;
    const y = layout.y[i] + dy;
    return x >= area.x && x <= area.x + area.w && y >= area.y - 2 && y <= area.y + area.h + 2;
  };
  const wish = (
    key: string,
    name: string,
    anchor: number,
    style: Tag["style"],
    on: boolean,
    nodes: readonly number[],
  ) => {
    const text = truncate(name, WIDEST, TAG_SIZE, measure);
    const wanted: Wanted = {
      key,
      w: measure(text, TAG_SIZE, style === "group" ? 600 : 400) + (style === "plain" ? 2 : 16),
      h: style === "plain" ? 14 : TAG_HEIGHT,
      ax: layout.x[anchor] + dx,
      ay: layout.y[anchor] + dy,
      ar: layout.r[anchor] + (on ? 3 : 0),
      reach: style === "plain" ? 4 : 56,
    };
    wishes.push({ wanted, text, style, selected: on, nodes });
  };

  for (const group of store.groups) {
    for (const i of group.nodes) named.add(i);
    const seen = group.nodes.filter(inside);
    if (seen.length === 0) continue;
    const name = group.nodes.length > 1 ? `${group.name} · ${group.nodes.length}` : group.name;
    wish(`group ${group.at}`, name, middle(layout, seen), "group", group === open, seen);
  }
  const chosen = [...store.selected].reverse().slice(0, 10);
  for (const i of [...chosen, ...store.pinned]) {
    if (named.has(i) || !inside(i)) continue;
    named.add(i);
    // Tokens and outputs have their names on the axes.
    if (graph.at.kind[i] >= 2) continue;
    wish(`node ${i}`, graph.label(i, labels), i, "pill", selected.has(i), [i]);
  }
  if (store.state.names) {
    let room = Math.round((area.w * area.h) / PLOT_PER_NAME);
    const said = new Set<string>();
    for (const i of graph.byInfluence) {
      if (room <= 0) break;
      if (graph.at.kind[i] !== FEATURE || named.has(i) || !layout.shown[i] || !inside(i)) continue;
      if (!graph.named(i, labels)) continue;
      const name = graph.label(i, labels);
      // A name that many nodes share is said once, at the strongest of them.
      if (said.has(name)) continue;
      said.add(name);
      wish(`name ${i}`, truncate(name, 96, TAG_SIZE, measure), i, "plain", false, [i]);
      room -= 1;
    }
  }

  const cost = (box: Box) => {
    let sum = 0;
    for (const i of grid.within(
      box.x - dx - 3,
      box.y - dy - 3,
      box.x + box.w - dx + 3,
      box.y + box.h - dy + 3,
    )) {
      sum += lit.has(i) ? 4 : 1;
    }
    return sum;
  };
  // The axis on the left has names of its own.
  const bounds = { x: area.x - 2, y: area.y - 4, w: area.w + 12, h: area.h + 4 };
  const placed = place(
    wishes.map((w) => w.wanted),
    bounds,
    [],
    cost,
  );
  const byKey = new Map(wishes.map((w) => [w.wanted.key, w]));
  const tags: Tag[] = [];
  for (const box of placed) {
    const found = byKey.get(box.key);
    // An ambient name over marks costs more than it tells.
    if (!found || (found.style === "plain" && cost(box) > 0)) continue;
    const { text, style, selected: on, nodes } = found;
    tags.push({ box, text, style, selected: on, nodes });
  }
  return tags;
}

/** The member nearest to the middle of all members. */
function middle(layout: Layout, nodes: readonly number[]): number {
  const x = nodes.reduce((sum, i) => sum + layout.x[i], 0) / nodes.length;
  const y = nodes.reduce((sum, i) => sum + layout.y[i], 0) / nodes.length;
  const away = (i: number) => Math.hypot(layout.x[i] - x, layout.y[i] - y);
  return nodes.reduce((best, i) => (away(i) < away(best) ? i : best), nodes[0]);
}
