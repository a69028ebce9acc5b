/** The legend, always there, and what the reader must know about the figures. */
import { h } from "../../shared/dom";
import { count, percent } from "../../shared/format";
import type { Store } from "../store";
import { mark } from "./mark";

export class Footer {
  readonly el: HTMLElement;
  private readonly unit = h("span");
  private readonly error = h("span");
  private readonly facts = h("span", { class: "iw-legendfacts" });

  private readonly proposed = h(
    "span",
    { class: "iw-legenditem", title: "A suggested group", attrs: { hidden: true } },
    mark("proposed"),
    "proposed",
  );

  constructor(private readonly store: Store) {
    const item = (shape: Parameters<typeof mark>[0], text: string | HTMLElement, title: string) =>
      h("span", { class: "iw-legenditem", title }, mark(shape), text);
    this.el = h(
      "footer",
      { class: "iw-foot", attrs: { "aria-label": "Legend" } },
      item("feature", this.unit, "A unit of the model that was active at this token"),
      item("error", this.error, "The part of a layer's output that the units do not explain"),
      item("token", "token, output", "Tokens of the prompt below, predicted tokens on top"),
      item("raises", "raises", "The source raises its target"),
      item("lowers", "lowers", "The source lowers its target"),
      item("selected", "selected", "What you clicked"),
      item("pinned", "pinned", "A name on a node or group you chose"),
      item(
        "widths",
        "share",
        "A link's width is the square root of its share in the target's input",
      ),
      item("areas", "influence", "A node's area is its influence on the output"),
      this.proposed,
      this.facts,
    );
    store.subscribe((changed) => {
      if (changed.has("graph")) this.show();
      if (changed.has("preview")) this.proposed.hidden = store.state.preview.length === 0;
    });
    this.show();
  }

  private show(): void {
    const { graph } = this.store.state;
    this.unit.textContent = graph?.header.unit ?? "feature";
    this.error.textContent = graph?.header.error_name ?? "unexplained";
    const parts: HTMLElement[] = [];
    if (graph && graph.links < graph.header.links_total) {
      parts.push(
        h(
          "span",
          { title: "The strongest links are here; sums count all of them" },
          `strongest ${count(graph.links)} of ${count(graph.header.links_total)} links`,
        ),
      );
    }
    const completeness = graph?.header.scores?.completeness;
    const control = graph?.header.controls?.completeness;
    if (typeof completeness === "number") {
      parts.push(
        h(
          "span",
          {
            title:
              "Completeness: how much of the nodes' inputs comes from features and tokens rather than errors",
          },
          `explained ${percent(completeness)} of inputs`,
          typeof control === "number" && ` (${graph?.control}: ${percent(control)})`,
        ),
      );
    }
    this.facts.replaceChildren(...parts);
  }
}
