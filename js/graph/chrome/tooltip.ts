import { h } from "../../shared/dom";
import { number } from "../../shared/format";
import type { Store } from "../store";

/** Name, place and numbers of the node under the pointer. */
export class Tooltip {
  readonly el = h("div", { class: "iw-tip", attrs: { hidden: true, "aria-hidden": "true" } });
  private readonly name = h("b");
  private readonly place = h("span");
  private readonly facts = h("div");

  constructor(
    private readonly store: Store,
    private readonly stage: HTMLElement,
    private readonly locate: (i: number) => { x: number; y: number },
  ) {
    this.el.append(h("div", { class: "iw-tiphead" }, this.name, " ", this.place), this.facts);
  }

  show(on: boolean): void {
    const { graph, hover, labels } = this.store.state;
    if (!on || !graph || hover < 0 || hover >= graph.n || hover === this.store.primary) {
      this.el.hidden = true;
      for (const part of [this.name, this.place, this.facts]) part.textContent = "";
      return;
    }
    this.name.textContent = graph.label(hover, labels);
    this.place.textContent = graph.place(hover, graph.label(hover, labels));
    const { activation, influence, value, kind } = graph.at;
    const facts: string[] = [];
    if (Number.isFinite(activation[hover])) facts.push(`activation ${number(activation[hover])}`);
    if (kind[hover] < 3) facts.push(`influence ${number(influence[hover])}`);
    if (Number.isFinite(value[hover]) && kind[hover] !== 2)
      facts.push(`value ${number(value[hover])}`);
    this.facts.textContent = facts.join(" · ");
    this.el.hidden = false;

    // Beside the node, never on it; on the side where there is room.
    const { x, y } = this.locate(hover);
    const { offsetWidth: w, offsetHeight: tall } = this.el;
    const room = this.stage.clientWidth;
    const left = x + 16 + w > room - 4 ? Math.max(4, x - w - 16) : x + 16;
    const above = y - tall - 12;
    this.el.style.transform = `translate(${Math.round(left)}px, ${Math.round(above < 4 ? y + 16 : above)}px)`;
  }
}
