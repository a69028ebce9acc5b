/** Several nodes: a selection, or a group with a name. */
import { button, type Child, h } from "../../shared/dom";
import { number, plural } from "../../shared/format";
import { ERROR, type Graph } from "../graph";
import { groupPassages, headingNote, inputsOf, outputsOf, passageList } from "./links";
import { NameField } from "./name";
import { heading, note, toggles } from "./node";
import type { Panel } from "./panel";
import { list, type Row } from "./rows";

export function groupView(
  panel: Panel,
  group: { name: string; nodes: readonly number[]; at: number },
): Child[] {
  const { store, actions } = panel;
  const { graph } = store.state;
  if (!graph) return [];
  panel.name = new NameField(
    group.name,
    "group",
    (name) => actions.renameGroup(group.at, name),
    () => panel.render(),
  );
  return [
    h(
      "div",
      { class: "iw-head" },
      panel.name.el,
      h("span", { class: "iw-place" }, `group of ${group.nodes.length}`),
    ),
    h("div", { class: "iw-facts" }, summary(graph, group.nodes)),
    h(
      "div",
      { class: "iw-buttons" },
      button("rename", () => panel.name?.open(), { title: "Rename this group (r)" }),
      button("ungroup", () => actions.ungroup(group.at)),
      pinButton(panel, group.nodes),
      toggles(panel),
    ),
    ...panel.acting.selection(group.nodes, () => [
      h("h4", {}, "members"),
      members(panel, graph, group.nodes, 5),
      ...passages(panel, graph, group.nodes),
    ]),
  ];
}

export function severalView(panel: Panel, nodes: readonly number[]): Child[] {
  const { graph } = panel.store.state;
  if (!graph) return [];
  return [
    h(
      "div",
      { class: "iw-head" },
      h("span", { class: "iw-title iw-fixed" }, `${nodes.length} nodes selected`),
    ),
    h("div", { class: "iw-facts" }, summary(graph, nodes)),
    h(
      "div",
      { class: "iw-buttons" },
      button("group", () => panel.actions.group(), {
        class: "iw-strong",
        title: "Make these nodes one named group (g)",
      }),
      pinButton(panel, nodes),
      button("clear", () => panel.actions.select([])),
      toggles(panel),
    ),
    ...panel.acting.selection(nodes, () => [
      h("h4", {}, "selected"),
      members(panel, graph, nodes, 8),
      ...passages(panel, graph, nodes),
    ]),
  ];
}

function pinButton(panel: Panel, nodes: readonly number[]): HTMLElement {
  const all = nodes.every((i) => panel.store.pinned.includes(i));
  return button(all ? "unpin all" : "pin all", () => panel.actions.pin(nodes));
}

function summary(graph: Graph, nodes: readonly number[]): string {
  const layers = nodes.map((i) => graph.row(i) - 1);
  const tokens = new Set(nodes.map((i) => graph.at.position[i]));
  const low = Math.min(...layers);
  const high = Math.max(...layers);
  const name = (l: number) => (l < 0 ? "tokens" : l >= graph.layers ? "outputs" : `L${l}`);
  const span = low === high ? name(low) : `${name(low)} to ${name(high)}`;
  const influence = nodes.reduce(
    (sum, i) => sum + (graph.at.kind[i] <= ERROR ? graph.at.influence[i] : 0),
    0,
  );
  return `${span} · ${plural(tokens.size, "token")} · influence ${number(influence)} together`;
}

function members(panel: Panel, graph: Graph, nodes: readonly number[], first: number): HTMLElement {
  const { labels } = panel.store.state;
  const most = Math.max(1e-12, ...nodes.map((i) => graph.at.influence[i] || 0));
  const rows: Row[] = [...nodes]
    .sort((a, b) => graph.at.influence[b] - graph.at.influence[a])
    .map((i) => ({
      node: i,
      name: graph.label(i, labels),
      where: graph.where(i, graph.label(i, labels)),
      bar: null,
      text: number(Math.min(most, graph.at.influence[i])),
    }));
  return list(panel, "members", rows, first);
}

function passages(panel: Panel, graph: Graph, nodes: readonly number[]): Child[] {
  const inputs = groupPassages(graph, nodes, inputsOf);
  const outputs = groupPassages(graph, nodes, outputsOf);
  const key = nodes.map((i) => graph.ids[i]).join(" ");
  return [
    heading("reads from", `${headingNote(panel, null)}, summed`),
    inputs.length > 0
      ? passageList(panel, `in ${key}`, inputs, 6)
      : note("Nothing from outside reaches these nodes."),
    heading("writes to", "summed"),
    outputs.length > 0
      ? passageList(panel, `out ${key}`, outputs, 6)
      : note("These nodes write to nothing outside."),
  ];
}
