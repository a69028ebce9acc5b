/** Which heatmap is on screen, and which of the two prompts runs. */
import { button, h } from "../shared/dom";
import type { Direction, Live, PanelId } from "./state";
import { methodSentence } from "./words";

const DIRECTIONS: readonly Direction[] = ["noising", "denoising"];

export class Choices {
  private readonly tabs = h("div", { class: "iw-a-tabs", attrs: { role: "tablist" } });
  private readonly ways = h("div", {
    class: "iw-a-ways",
    attrs: { role: "radiogroup", "aria-label": "Direction" },
  });
  readonly el = h("div", { class: "iw-a-choices" }, this.tabs, this.ways);
  private names = "";

  constructor(
    private readonly choose: (shown: PanelId) => void,
    private readonly turn: (direction: Direction) => void,
  ) {}

  /** Made again only when there are others, so that the focus stays. */
  show(live: Live, shown: PanelId, direction: Direction): void {
    const names = JSON.stringify([live.panels, live.corrupted !== null]);
    if (names !== this.names) {
      this.names = names;
      this.tabs.replaceChildren(...live.panels.map((panel) => this.tab(live, panel)));
      const ways = live.corrupted ? DIRECTIONS : [];
      this.ways.replaceChildren(...ways.map((way) => this.way(live, way)));
    }
    const mark = (all: Element, name: "tab" | "way", attribute: string, chosen: string) => {
      for (const el of all.querySelectorAll<HTMLElement>(`[data-${name}]`)) {
        const on = el.dataset[name] === chosen;
        el.setAttribute(attribute, String(on));
        el.tabIndex = on ? 0 : -1;
      }
    };
    mark(this.tabs, "tab", "aria-selected", shown);
    mark(this.ways, "way", "aria-checked", direction);
  }

  private tab(live: Live, { id, title }: Live["panels"][number]): HTMLElement {
    return button(title, () => this.choose(id), {
      class: "iw-a-tab",
      attrs: { role: "tab", "data-tab": id },
      on: {
        keydown: (event) => {
          const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
          if (!step) return;
          event.preventDefault();
          const at = live.panels.findIndex((panel) => panel.id === id);
          const next = live.panels[(at + step + live.panels.length) % live.panels.length];
          this.choose(next.id);
          this.tabs.querySelector<HTMLElement>(`[data-tab=${next.id}]`)?.focus();
        },
      },
    });
  }

  private way(live: Live, way: Direction): HTMLElement {
    return button(way, () => this.turn(way), {
      class: "iw-a-way",
      title: methodSentence({ ...live, method: way }),
      attrs: { role: "radio", "data-way": way },
      on: {
        keydown: (event) => {
          if (!event.key.startsWith("Arrow")) return;
          event.preventDefault();
          const other = way === "noising" ? "denoising" : "noising";
          this.turn(other);
          this.ways.querySelector<HTMLElement>(`[data-way=${other}]`)?.focus();
        },
      },
    });
  }
}
