/** How many features there are, what of them is shown and in which order, undo and help. */
import { button, h } from "../shared/dom";
import { fillLine, progressLine } from "../shared/progress";
import type { Arrange, Choice, Live } from "./state";
import { capital } from "./words";

const OFFLINE =
  "No kernel behind this view. Brushing works all the same; run its cell again for another prompt.";

const WAYS: readonly (readonly [Arrange, string, string])[] = [
  ["strength", "strength", "The strongest first; on the brushed tokens, if there are any"],
  ["layer", "layer", "By layer, the last one on top"],
  ["position", "position", "By the token where a feature peaks"],
];

export interface HeaderPort {
  find(query: string): void;
  layers(layers: readonly number[]): void;
  arrange(way: Arrange): void;
  undo(): void;
  help(): void;
  cancel(): void;
  resume(): void;
}

export class Header {
  readonly el: HTMLElement;
  readonly bar = progressLine("Computation");
  readonly notice = h("div", { class: "iw-news", attrs: { hidden: true } });
  readonly search = h("input", {
    class: "iw-input iw-x-search",
    attrs: {
      type: "search",
      placeholder: "find a feature",
      "aria-label": "Find features by label or name, such as texas or L2/117",
    },
  });
  private readonly title = h("b", { class: "iw-topname" });
  private readonly layers = h("select", {
    class: "iw-input iw-x-layers",
    attrs: { "aria-label": "Layers" },
  });
  private readonly ways = new Map<Arrange, HTMLButtonElement>();
  private readonly undo: HTMLButtonElement;
  private readonly cancel: HTMLButtonElement;
  private readonly resume: HTMLButtonElement;
  private known = "";

  constructor(port: HeaderPort) {
    this.search.addEventListener("input", () => port.find(this.search.value));
    this.search.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.search.value !== "") {
        event.stopPropagation();
        this.search.value = "";
        port.find("");
      }
    });
    this.layers.addEventListener("change", () => {
      const { value } = this.layers;
      port.layers(value === "" ? [] : value.split(",").map(Number));
    });
    for (const [way, text, title] of WAYS) {
      const choice = button(text, () => port.arrange(way), {
        class: "iw-x-way",
        title,
        attrs: { role: "radio", "aria-checked": "false" },
      });
      this.ways.set(way, choice);
    }
    this.undo = button("undo", () => port.undo(), { title: "Takes back the last change (Ctrl+Z)" });
    this.cancel = button("Cancel", () => port.cancel(), {
      class: "iw-action",
      title: "Stops; what is shown stays",
    });
    this.resume = button("Run", () => port.resume(), {
      class: "iw-action",
      title: "Runs the prompt again",
    });
    this.el = h(
      "header",
      { class: "iw-topline" },
      this.title,
      this.cancel,
      this.resume,
      this.search,
      this.layers,
      h(
        "span",
        { class: "iw-x-ways", attrs: { role: "radiogroup", "aria-label": "Order of rows" } },
        h("span", { class: "iw-x-soft" }, "by"),
        ...this.ways.values(),
      ),
      this.undo,
      button("?", () => port.help(), {
        title: "What everything here means",
        attrs: { "aria-label": "Help" },
      }),
    );
  }

  show(
    live: Live,
    choice: Choice,
    sentence: string,
    offline: boolean,
    alone: boolean,
    canUndo: boolean,
  ): void {
    const title = live.state === "empty" ? "Features on a prompt" : titleOf(live);
    this.title.textContent = title;
    this.title.title = title;
    this.search.placeholder = `find a ${live.unit}`;
    this.showLayers(live.layers, choice.layers);
    for (const [way, el] of this.ways) {
      el.setAttribute("aria-checked", String(way === choice.arrange));
    }
    this.undo.disabled = !canUndo;
    const stopped = live.state === "cancelled" || live.state === "failed";
    this.cancel.hidden = offline || alone || live.state !== "computing";
    this.resume.hidden = offline || alone || !stopped;
    this.bar.hidden = live.state === "empty";
    fillLine(this.bar, live.progress, sentence);
    const notice = offline ? OFFLINE : live.problem || sentence;
    this.notice.hidden = notice === "";
    if (this.notice.textContent !== notice) this.notice.textContent = notice;
  }

  private showLayers(all: readonly number[], chosen: readonly number[]): void {
    const value = chosen.join(",");
    const key = `${all.join(",")};${value}`;
    if (key === this.known) return;
    this.known = key;
    const option = (text: string, of: string) => h("option", { attrs: { value: of } }, text);
    const several = chosen.length > 1 ? [option(chosen.map((l) => `L${l}`).join(", "), value)] : [];
    this.layers.replaceChildren(
      option("all layers", ""),
      ...all.map((layer) => option(`layer ${layer}`, String(layer))),
      ...several,
    );
    this.layers.value = value;
    this.layers.hidden = all.length < 2;
  }
}

function titleOf(live: Live): string {
  const of = live.scan || live.model;
  return live.unit === "feature" ? `Features of ${of}` : capital(of);
}
