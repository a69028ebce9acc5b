/**
 * The graph for screen readers: a live sentence for what just happened, and a table of the kept
 * nodes and of the selected node's links. Out of sight, out of the Tab order, in reading order.
 */
import { button, h } from "../../shared/dom";
import { number, plural, signed } from "../../shared/format";
import type { Actions } from "../actions";
import type { Store } from "../store";

const MOST_NODES = 200;
const MOST_LINKS = 40;

export class Outline {
  readonly live = h("div", {
    class: "iw-hidden",
    attrs: { role: "status", "aria-live": "polite" },
  });
  readonly el = h("section", { class: "iw-hidden", attrs: { "aria-label": "Graph as a table" } });
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly store: Store,
    private readonly actions: Actions,
    signal: AbortSignal,
  ) {
    actions.say = (sentence) => this.say(sentence);
    store.subscribe((changed) => {
      if (changed.has("selected")) this.tellSelection();
      if (["graph", "selected", "threshold", "labels"].some((k) => changed.has(k as never))) {
        // Nobody reads the table while things move.
        clearTimeout(this.timer);
        this.timer = setTimeout(() => this.render(), 250);
      }
    });
    signal.addEventListener("abort", () => clearTimeout(this.timer));
  }

  say(sentence: string): void {
    this.live.textContent = sentence;
  }

  private tellSelection(): void {
    const { graph, labels } = this.store.state;
    const { selected, primary } = this.store;
    if (!graph || primary < 0) {
      this.say("Nothing selected.");
      return;
    }
    if (selected.length > 1) {
      this.say(`${selected.length} nodes selected.`);
      return;
    }
    const first = graph.at.link_ptr[primary];
    const has = first < graph.at.link_ptr[primary + 1];
    const input = has
      ? ` Strongest input ${graph.label(graph.at.link_source[first], labels)}, share ${signed(graph.share[first])}.`
      : "";
    this.say(`Selected ${graph.spoken(primary, labels)}.${input}`);
  }

  private render(): void {
    const { graph, labels } = this.store.state;
    if (!graph) {
      this.el.replaceChildren();
      return;
    }
    const { kept, primary } = this.store;
    const nodes: number[] = [];
    for (const i of graph.byInfluence) {
      if (kept.mask[i]) nodes.push(i);
      if (nodes.length === MOST_NODES) break;
    }
    const rest = kept.count - nodes.length;
    const rows = nodes.map((i) =>
      h(
        "tr",
        {},
        h(
          "td",
          {},
          button(graph.spoken(i, labels), () => this.actions.select([i]), {
            attrs: { tabindex: -1 },
          }),
        ),
        h("td", {}, number(graph.at.influence[i])),
      ),
    );
    const head = h("tr", {}, h("th", {}, "node"), h("th", {}, "influence"));
    const caption = `${plural(kept.count, "node")} kept${rest > 0 ? `, the strongest ${nodes.length} listed` : ""}`;
    const table = h("table", {}, h("caption", {}, caption), head, ...rows);
    this.el.replaceChildren(table, ...(primary >= 0 ? [this.links(primary)] : []));
  }

  private links(i: number): HTMLElement {
    const { graph, labels } = this.store.state;
    const table = h("table", {}, h("caption", {}, "Links of the selected node"));
    if (!graph) return table;
    const row = (kind: string, other: number, e: number) =>
      h(
        "tr",
        {},
        h("td", {}, kind),
        h("td", {}, graph.spoken(other, labels)),
        h("td", {}, signed(graph.share[e])),
      );
    const inputs = [...graph.inputs(i)].slice(0, MOST_LINKS);
    const outputs = [...graph.outputs(i)]
      .sort((a, b) => Math.abs(graph.share[b]) - Math.abs(graph.share[a]))
      .slice(0, MOST_LINKS);
    table.append(
      ...inputs.map((e) => row("reads from", graph.at.link_source[e], e)),
      ...outputs.map((e) => row("writes to", graph.target[e], e)),
    );
    return table;
  }
}
