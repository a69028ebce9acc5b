/** One node: what it is, what it reads from, what it writes to, and whether the sum is right. */
import { button, type Child, h } from "../../shared/dom";
import { count, minus, number, percent, signedNumber } from "../../shared/format";
import { ERROR, FEATURE, type Graph, LOGIT, TOKEN } from "../graph";
import { headingNote, inputsOf, outputsOf, passageList } from "./links";
import { NameField } from "./name";
import type { Panel } from "./panel";

export function nodeView(panel: Panel, i: number): Child[] {
  const { store, actions } = panel;
  const { graph, labels, pinned } = store.state;
  if (!graph) return [];
  const id = graph.ids[i];
  panel.name = new NameField(
    graph.label(i, labels),
    "node",
    (name) => actions.rename(i, name),
    () => panel.render(),
  );
  const isPinned = pinned.includes(id);
  const groups = store.groups.filter((group) => group.nodes.includes(i));
  return [
    h(
      "div",
      { class: "iw-head" },
      panel.name.el,
      h("span", { class: "iw-place" }, graph.place(i, graph.label(i, labels))),
    ),
    h("div", { class: "iw-facts" }, facts(graph, i)),
    h(
      "div",
      { class: "iw-buttons" },
      button("rename", () => panel.name?.open(), { title: "Give this node a name (r)" }),
      button(isPinned ? "unpin" : "pin", () => actions.pin([i]), {
        title: "A pinned node stays and keeps its links drawn (p)",
        attrs: { "aria-pressed": isPinned },
      }),
      ...groups.map((group) =>
        button(`in group ${group.name}`, () => actions.select(group.nodes), {
          class: "iw-ingroup",
        }),
      ),
      toggles(panel),
    ),
    ...panel.acting.selection([i], () => [...reads(panel, graph, i), ...writes(panel, graph, i)]),
  ];
}

function facts(graph: Graph, i: number): string {
  const { activation, influence, effect, kind } = graph.at;
  const parts: string[] = [];
  if (Number.isFinite(activation[i])) parts.push(`activation ${number(activation[i])}`);
  if (kind[i] <= ERROR) {
    const all = graph.at.kind.reduce((n, k) => n + (k <= ERROR ? 1 : 0), 0);
    const rank = graph.influenceRank(i);
    parts.push(`influence ${number(influence[i])}, rank ${count(rank)} of ${count(all)}`);
  } else if (kind[i] === TOKEN) parts.push(`influence ${number(influence[i])}`);
  if (Number.isFinite(effect[i])) parts.push(`effect on the output ${signedNumber(effect[i])}`);
  return parts.join(" · ");
}

function reads(panel: Panel, graph: Graph, i: number): Child[] {
  const kind = graph.at.kind[i];
  if (kind === TOKEN) return [note("A token reads from nothing: it is where the graph begins.")];
  if (kind === ERROR) {
    return [
      note(
        `What the ${graph.header.unit}s do not explain here. It has no inputs in the graph, only effects.`,
      ),
    ];
  }
  const passages = inputsOf(graph, i);
  const known = graph.at.input_sum[i] > 0;
  const error = known ? graph.at.error_input[i] / graph.at.input_sum[i] : null;
  return [
    heading("reads from", headingNote(panel, error)),
    passages.length > 0
      ? passageList(panel, `in ${graph.ids[i]}`, passages, 7)
      : note(
          known
            ? "None of its inputs is among the links sent."
            : "Its inputs are not computed yet.",
        ),
    sumCheck(graph, i),
  ];
}

function writes(panel: Panel, graph: Graph, i: number): Child[] {
  if (graph.at.kind[i] === LOGIT) return [];
  const passages = outputsOf(graph, i);
  const what = panel.store.state.measure === "share" ? "share of each target's input" : "weight";
  return [
    heading("writes to", what),
    passages.length > 0
      ? passageList(panel, `out ${graph.ids[i]}`, passages, 7)
      : note("None of its outputs is among the links sent."),
  ];
}

/** inputs + bias = value, with whatever was not sent stated. */
function sumCheck(graph: Graph, i: number): Child {
  const { bias, value, input_sum, link_ptr, link_weight } = graph.at;
  if (!(input_sum[i] > 0) || !Number.isFinite(value[i])) return null;
  let sum = 0;
  let size = 0;
  for (let e = link_ptr[i]; e < link_ptr[i + 1]; e++) {
    sum += link_weight[e];
    size += Math.abs(link_weight[e]);
  }
  const rest = value[i] - bias[i] - sum;
  const missing = input_sum[i] - size;
  const whole = missing < 0.005 * input_sum[i];
  const off = whole && Math.abs(rest) > 0.01 * input_sum[i];
  const parts = [`inputs ${number(sum)}`];
  if (!whole) parts.push(`${rest < 0 ? minus("-") : "+"} weaker ${number(Math.abs(rest))}`);
  parts.push(`${bias[i] < 0 ? minus("-") : "+"} bias ${number(Math.abs(bias[i]))}`);
  parts.push(`= value ${number(value[i])}`);
  if (off) parts.push(`(off by ${number(rest)})`);
  return h(
    "div",
    {
      class: `iw-sum${off ? " iw-off" : ""}`,
      title: whole
        ? "Every input is here, so the sum can be checked."
        : `The links listed carry ${percent(size / input_sum[i])} of the input; the others were too weak to be sent.`,
    },
    parts.join(" "),
  );
}

export function heading(title: string, what: string): HTMLElement {
  return h("h4", {}, title, " ", h("small", {}, what));
}

/** How the lists are arranged and measured: at the right end of the buttons. */
export function toggles(panel: Panel): HTMLElement {
  const { measure, grouping, tool } = panel.store.state;
  if (tool !== "links") return h("span");
  const next = { none: "token", token: "layer", layer: "none" } as const;
  const name = { none: "one by one", token: "by token", layer: "by layer" };
  return h(
    "span",
    { class: "iw-toggles" },
    button(name[grouping], () => panel.store.set({ grouping: next[grouping] }), {
      title: `Listed ${name[grouping]}; click for ${name[next[grouping]]}`,
    }),
    button(measure, () => panel.store.set({ measure: measure === "share" ? "weight" : "share" }), {
      title:
        measure === "share"
          ? "Shown as share of the target's input; click for raw weights"
          : "Shown as raw weights; click for shares of the target's input",
    }),
  );
}

export function note(text: string): HTMLElement {
  return h("p", { class: "iw-note" }, text);
}

/** Features first, so that summaries can name them. */
export function kindName(graph: Graph, i: number): string {
  const names = [graph.header.unit, graph.header.error_name, "token", "output"];
  return names[graph.at.kind[i]] ?? names[FEATURE];
}
