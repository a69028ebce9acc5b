/** States other than a finished graph: what is going on, in a sentence, and a way on. */
import { button, type Child, h } from "../../shared/dom";
import type { Store } from "../store";

export class Notice {
  /** A line over the drawing, while there is one. */
  readonly line = h("div", { class: "iw-notice", attrs: { hidden: true } });
  /** The middle of the stage, while there is nothing to draw. */
  readonly screen = h("div", { class: "iw-screen", attrs: { hidden: true } });
  private dismissed = "";

  constructor(
    private readonly store: Store,
    private readonly cancel: () => boolean,
    private readonly changed: () => void,
  ) {
    store.subscribe((keys) => {
      if (["status", "graph", "problem", "offline"].some((k) => keys.has(k as never))) this.show();
    });
    this.show();
  }

  private show(): void {
    const { graph, status, problem, offline } = this.store.state;
    const drawn = graph !== null && graph.n > 0 && !problem;
    this.screen.hidden = drawn;
    this.screen.replaceChildren(...(drawn ? [] : this.screenContent()));

    const sentence = drawn ? this.lineText() : "";
    const key = `${status.state} ${sentence}`;
    const hidden = sentence === "" || (this.dismissed === key && status.state !== "computing");
    this.line.hidden = hidden;
    this.line.classList.toggle("iw-urgent", offline || status.state === "failed");
    const parts: Child[] = [h("span", { title: sentence }, sentence)];
    if (status.state === "computing" && !offline) parts.push(this.cancelButton());
    else {
      parts.push(
        button("dismiss", () => {
          this.dismissed = key;
          this.show();
        }),
      );
    }
    this.line.replaceChildren(...(parts.filter(Boolean) as Node[]));
    this.changed();
  }

  private lineText(): string {
    const { status, offline } = this.store.state;
    if (offline) return "No kernel behind this view: run its cell again.";
    switch (status.state) {
      case "computing":
        return `${status.message || "Computing"} ${Math.round(100 * status.progress)}%`;
      case "cancelled":
        return status.message || "Cancelled: this is what was found so far.";
      case "failed":
        return status.message || "The computation stopped early. Run the cell again.";
      default:
        return "";
    }
  }

  private cancelButton(): HTMLElement {
    const el = button("Cancel", () => {
      if (!this.cancel()) return;
      el.textContent = "Cancelling";
      el.disabled = true;
    });
    return el;
  }

  private screenContent(): Node[] {
    const { status, problem, offline } = this.store.state;
    const say = (title: string, text: string, ...rest: Node[]) => [
      h("h3", {}, title),
      h("p", {}, text),
      ...rest,
    ];
    if (problem) return say("This graph cannot be shown", problem);
    if (offline) {
      return say("No kernel behind this view", "Run its cell again and the graph comes back.");
    }
    switch (status.state) {
      case "computing":
        return say(
          status.message || "Computing the graph",
          `${Math.round(100 * status.progress)}% done. The first nodes appear as soon as they are known.`,
          h(
            "div",
            {
              class: "iw-bigbar",
              style: { "--iw-fill": `${Math.max(2, status.progress * 100)}%` },
            },
            h("i"),
          ),
          this.cancelButton(),
        );
      case "cancelled":
        return say(
          "Cancelled before anything was found",
          "Run the cell again to compute the graph.",
        );
      case "failed":
        return say(
          "The graph could not be computed",
          status.message || "The reason was not recorded. Run the cell again.",
        );
      default:
        return say("No graph yet", "It appears here as soon as there is something to show.");
    }
  }
}
