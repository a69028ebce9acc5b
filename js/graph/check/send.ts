/** Buttons that send what is selected to linked views, and what became of it. */
import { append, button, h } from "../../shared/dom";
import type { Context, Part } from "./acting";

export class SendPart implements Part {
  readonly el = h("div", { class: "iw-send" });
  private nodes: readonly number[] = [];

  constructor(private readonly context: Context) {}

  of(nodes: readonly number[]): HTMLElement {
    this.nodes = nodes;
    this.update();
    return this.el;
  }

  update(): void {
    const { store, model, actions } = this.context;
    const { graph, answers } = store.state;
    this.el.hidden = answers.neighbours.length === 0 || this.nodes.length === 0;
    this.el.replaceChildren();
    if (this.el.hidden || !graph) return;
    const ids = this.nodes.map((i) => graph.ids[i]);
    append(this.el, [
      ...answers.neighbours.map(({ name, verb }, to) =>
        button(
          verb,
          () => {
            if (!model.ask({ what: "send", to, ids })) actions.say("No kernel hears it.");
          },
          { class: "iw-strong", title: `Sends what is selected to the ${name}` },
        ),
      ),
      h("span", { class: "iw-told", attrs: { role: "status" } }, answers.told),
    ]);
  }
}
