/** Nothing selected: the strongest nodes, the scores, and what to do. Or what a search found. */
import { button, type Child, h } from "../../shared/dom";
import { number, percent, plural } from "../../shared/format";
import { FEATURE, type Graph } from "../graph";
import { note } from "./node";
import type { Panel } from "./panel";
import { list, type Row } from "./rows";

const SCORES: Record<string, string> = {
  replacement: "share of influence that reaches the output through features rather than errors",
  completeness: "share of the nodes' inputs that comes from features and tokens rather than errors",
};

export function overviewView(panel: Panel): Child[] {
  const { store } = panel;
  const { graph } = store.state;
  if (!graph) return [];
  const strongest = [...graph.byInfluence]
    .filter((i) => store.kept.mask[i] && graph.at.kind[i] === FEATURE)
    .slice(0, 40);
  return [
    ...panel.acting.overall(() => [
      h(
        "p",
        { class: "iw-note" },
        "Click a node to see what it reads from and writes to, and to check it against the model.",
      ),
      ...groups(panel, graph),
      h("h4", {}, `strongest ${graph.header.unit}s `, h("small", {}, "influence")),
      strongest.length > 0
        ? influenceList(panel, graph, "strongest", strongest, 12)
        : note(`No ${graph.header.unit} is kept: move the keep slider to the right.`),
      ...scores(graph),
    ]),
  ];
}

export function foundView(panel: Panel): Child[] {
  const { store } = panel;
  const { graph, query } = store.state;
  if (!graph) return [];
  const { nodes, query: parsed } = store.found;
  const lead = parsed.problem
    ? `${parsed.problem}.`
    : nodes.length === 0
      ? "No kept node matches. The slider may have dropped it."
      : `${plural(nodes.length, "kept node matches", "kept nodes match")}.`;
  return [
    h("div", { class: "iw-head" }, h("span", { class: "iw-title iw-fixed iw-quiet" }, "found")),
    h("div", { class: "iw-facts" }, lead),
    h(
      "div",
      { class: "iw-buttons" },
      nodes.length > 1 && button(`select all ${nodes.length}`, () => panel.actions.select(nodes)),
      button("clear", () => store.set({ query: "" })),
    ),
    nodes.length > 0 && influenceList(panel, graph, `found ${query}`, nodes, 12),
    note("Words, or layer:4 token:las kind:error weight>0.2 influence>0.01. All must hold."),
  ];
}

function groups(panel: Panel, graph: Graph): Child[] {
  const { store, actions } = panel;
  if (store.groups.length === 0 && store.pinned.length === 0) return [];
  const parts: Child[] = [];
  if (store.groups.length > 0) {
    parts.push(
      h("h4", {}, "groups"),
      h(
        "div",
        { class: "iw-buttons" },
        ...store.groups.map((group) =>
          button(`${group.name} · ${group.nodes.length}`, () => actions.select(group.nodes), {
            class: "iw-ingroup",
          }),
        ),
      ),
    );
  }
  if (store.pinned.length > 0) {
    parts.push(h("h4", {}, "pinned"), influenceList(panel, graph, "pinned", store.pinned, 5));
  }
  return parts;
}

function influenceList(
  panel: Panel,
  graph: Graph,
  key: string,
  nodes: readonly number[],
  first: number,
): HTMLElement {
  const { labels } = panel.store.state;
  const rows: Row[] = nodes.map((i) => ({
    node: i,
    name: graph.label(i, labels),
    where: graph.where(i, graph.label(i, labels)),
    bar: null,
    text: number(graph.at.influence[i]),
  }));
  return list(panel, key, rows, first);
}

function scores(graph: Graph): Child[] {
  const { header } = graph;
  const entries = Object.entries(header.scores ?? {}).filter(([, v]) => v !== null);
  if (entries.length === 0) return [];
  return [
    h("h4", {}, "scores", header.controls && h("small", {}, ` beside ${graph.control}`)),
    h(
      "dl",
      { class: "iw-scores" },
      ...entries.flatMap(([name, value]) => {
        const control = header.controls?.[name];
        return [
          h("dt", { title: SCORES[name] ?? "" }, name.replaceAll("_", " ")),
          h(
            "dd",
            {},
            percent(value ?? Number.NaN),
            typeof control === "number" && h("small", {}, ` random ${percent(control)}`),
          ),
        ];
      }),
    ),
  ];
}
