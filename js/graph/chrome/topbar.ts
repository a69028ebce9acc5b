/** Prompt, search, keep slider and the commands. */
import { button, h } from "../../shared/dom";
import { count } from "../../shared/format";
import type { Actions } from "../actions";
import type { Store } from "../store";
import { Menu, type MenuItem } from "./menu";

export interface TopbarTargets {
  toggleHelp(): void;
  reveal(node: number): void;
  menu(): readonly MenuItem[];
}

export class Topbar {
  readonly el: HTMLElement;
  readonly search: HTMLInputElement;
  private readonly prompt = h("b", { class: "iw-prompt" });
  private readonly matches = h("span", { class: "iw-matches" });
  private readonly slider: HTMLInputElement;
  private readonly keepText = h("output", { class: "iw-keeptext" });
  private readonly undo: HTMLButtonElement;
  private readonly progress = h("div", { class: "iw-progress" });
  private at = -1;

  constructor(
    private readonly store: Store,
    private readonly actions: Actions,
    private readonly targets: TopbarTargets,
  ) {
    this.search = h("input", {
      class: "iw-input iw-find",
      title: "Words, or layer:4 token:las kind:error weight>0.2 influence>0.01 (key /)",
      attrs: {
        type: "text",
        placeholder: "find a node",
        "aria-label": "Find a node",
        spellcheck: "false",
        autocomplete: "off",
      },
      on: {
        input: () => {
          this.at = -1;
          store.set({ query: this.search.value, selected: [] });
        },
        keydown: (e) => this.searchKey(e),
      },
    });
    this.slider = h("input", {
      class: "iw-slider",
      title: "Keeps the nodes that together carry this share of influence on the output",
      attrs: { type: "range", min: 0, max: 100, step: 1, "aria-label": "Keep" },
      on: { input: () => store.set({ threshold: Number(this.slider.value) / 100 }) },
    });
    this.undo = button("undo", () => actions.undo(), { title: "Undo (Ctrl-Z)" });
    const menu = new Menu("more", () => targets.menu());
    this.el = h(
      "header",
      { class: "iw-top" },
      this.prompt,
      h("span", { class: "iw-findbox" }, this.search, this.matches),
      h("label", { class: "iw-keep" }, "keep", this.slider, this.keepText),
      h(
        "span",
        { class: "iw-commands" },
        button("group", () => actions.group(), {
          title: "Make the selected nodes one named group (g)",
        }),
        this.undo,
        menu.el,
        button("?", () => targets.toggleHelp(), {
          title: "What everything here means",
          attrs: { "aria-label": "Help" },
        }),
      ),
      this.progress,
    );
    store.subscribe((changed) => {
      if (changed.has("graph")) this.showPrompt();
      if (
        ["graph", "threshold", "pinned", "groups", "selected"].some((k) => changed.has(k as never))
      ) {
        this.showKeep();
      }
      if (changed.has("query") || changed.has("graph") || changed.has("threshold"))
        this.showFound();
      if (changed.has("status")) this.showProgress();
      this.undo.disabled = !store.history.canUndo;
    });
    this.showPrompt();
    this.showKeep();
    this.showProgress();
    this.undo.disabled = true;
  }

  private searchKey(e: KeyboardEvent): void {
    if (e.key === "Escape") {
      this.store.set({ query: "" });
      this.search.blur();
    } else if (e.key === "Enter") {
      this.cycle(e.shiftKey ? -1 : 1);
    } else return;
    e.preventDefault();
    e.stopPropagation();
  }

  /** Enter walks through what was found, strongest first. */
  private cycle(step: number): void {
    const { nodes } = this.store.found;
    if (nodes.length === 0) return;
    this.at = (this.at + step + nodes.length) % nodes.length;
    const node = nodes[this.at];
    this.actions.select([node]);
    this.targets.reveal(node);
    this.showFound();
  }

  private showPrompt(): void {
    const prompt = this.store.state.graph?.header.prompt ?? "";
    this.prompt.textContent = prompt || "attribution graph";
    this.prompt.title = prompt;
  }

  private showKeep(): void {
    const { store } = this;
    const { graph, threshold } = store.state;
    this.slider.value = String(Math.round(threshold * 100));
    this.slider.disabled = !graph;
    this.slider.style.setProperty("--iw-fill", `${threshold * 100}%`);
    const percent = `${Math.round(threshold * 100)}% of influence`;
    const all = graph ? ` of ${count(graph.n)}` : "";
    this.keepText.replaceChildren(
      graph ? `${percent}, ${count(store.kept.count)}` : percent,
      h("span", { class: "iw-wide" }, all),
      graph ? " nodes" : "",
    );
    this.slider.setAttribute("aria-valuetext", this.keepText.textContent ?? "");
  }

  private showFound(): void {
    const { query } = this.store.state;
    if (this.search.value !== query) this.search.value = query;
    const { nodes, query: parsed } = this.store.found;
    const here = this.at >= 0 ? `${this.at + 1} of ` : "";
    this.matches.textContent =
      query.trim() === "" ? "" : parsed.problem ? "?" : here + nodes.length;
    this.matches.title = parsed.problem;
    this.search.classList.toggle("iw-counted", query.trim() !== "");
  }

  private showProgress(): void {
    const { status } = this.store.state;
    const on = status.state === "computing";
    this.progress.hidden = !on;
    this.progress.style.setProperty("--iw-fill", `${Math.max(2, status.progress * 100)}%`);
  }
}
