/** Many nodes: predicted against measured, its rank correlation, and the random graph. */
import { append, button, type Child, h } from "../../shared/dom";
import { count, signed } from "../../shared/format";
import type { Context, Part } from "./acting";
import { scatter } from "./scatter";
import type { Agreement, Factor, Series } from "./state";
import { asking, notes, progress, unable } from "./waiting";

const NODES = 40;

export class ManyPart implements Part {
  readonly el = h("div", { class: "iw-many" });
  private open = 0;
  private readonly factor: Factor = 0;

  constructor(private readonly context: Context) {}

  private start(): void {
    this.context.model.ask({ what: "many", nodes: NODES, factor: this.factor });
  }

  update(): void {
    const { many } = this.context.store.state.answers;
    this.el.dataset.iwMany = many.state;
    this.el.replaceChildren();
    const parts: Child[] = [progress(this.context, "many", many)];
    const series = many.result?.series ?? [];
    if (series.length > 0) parts.push(...this.figure(series), ...notes(many.result?.notes ?? []));
    if (many.state !== "computing" && (series.length === 0 || unable(this.context) === "")) {
      parts.push(
        ...asking(
          this.context,
          series.length > 0 ? "Check again" : `Check ${NODES} nodes`,
          () => this.start(),
          series.length > 0
            ? ""
            : "Ablates one node after the other, the strongest and random ones, and compares what the graph predicts with what the model does. A random graph of equal size stands beside it.",
        ),
      );
    }
    append(this.el, parts);
  }

  private figure(all: readonly Series[]): Child[] {
    const shown = all[Math.min(this.open, all.length - 1)];
    const choice = h(
      "div",
      { class: "iw-factors", attrs: { role: "group", "aria-label": "Which prediction" } },
      ...all.map((series, k) =>
        button(
          series.name,
          () => {
            this.open = k;
            this.update();
          },
          {
            class: series === shown ? "iw-factor iw-open" : "iw-factor",
            title: series.title,
            attrs: { "aria-pressed": series === shown ? "true" : "false" },
          },
        ),
      ),
    );
    return [
      all.length > 1 && choice,
      scatter(this.context, shown),
      agreements(shown),
      this.misses(shown),
    ];
  }

  /** The nodes that lie farthest from the diagonal, to be looked at; also a way in by keyboard. */
  private misses({ ids, predicted, measured }: Series): Child {
    const { store, actions } = this.context;
    const { graph, labels } = store.state;
    if (!graph || ids.length < 3) return null;
    const off = (k: number) => Math.abs(predicted[k] - measured[k]);
    const worst = [...ids.keys()].sort((a, b) => off(b) - off(a)).slice(0, 3);
    const nodes = worst.map((k) => graph.index.get(ids[k]) ?? -1).filter((node) => node >= 0);
    return h(
      "div",
      { class: "iw-buttons iw-misses" },
      "farthest off:",
      ...nodes.map((node) =>
        button(graph.label(node, labels), () => actions.select([node]), {
          class: "iw-strong",
          title: graph.place(node),
          on: {
            pointerenter: () => store.set({ hover: node }),
            pointerleave: () => store.set({ hover: -1 }),
          },
        }),
      ),
    );
  }
}

function agreements({ agreement, control }: Series): HTMLElement {
  const row = (name: string, a: Agreement, cls: string) =>
    h(
      "tr",
      { class: `iw-line ${cls}` },
      h("th", { attrs: { scope: "row" } }, name),
      h("td", { class: "iw-linenum" }, words(a)),
    );
  return h(
    "table",
    { class: "iw-lines iw-agree", attrs: { "aria-label": "Rank correlation, 95% interval" } },
    h("caption", {}, `rank correlation, 95% interval, n = ${count(agreement.n)}`),
    row("this graph", agreement, "iw-measured"),
    control && row(control.name, control.agreement, "iw-random"),
  );
}

function words({ value, low, high }: Agreement): string {
  if (value === null) return "not yet";
  const interval = low === null || high === null ? "" : ` (${signed(low)} to ${signed(high)})`;
  return `${signed(value)}${interval}`;
}
