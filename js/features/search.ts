/** The search field with its modes, the order of the list, and the layer. */
import { h } from "../shared/dom";
import { type Live, type Mode, parseSpot, type Query, type Sort, type Spot } from "./state";
import { PLACEHOLDERS } from "./words";

const PAUSE_MS = 250;
export const PAGE = 30;

const MODES: readonly (readonly [Mode, string])[] = [
  ["label", "named"],
  ["token", "fires on word"],
  ["prompt", "fires on text"],
  ["promotes", "promotes token"],
];

const SORTS: readonly (readonly [Sort, string])[] = [
  ["match", "best match"],
  ["score", "label score"],
  ["density", "how often"],
  ["strength", "strength"],
  ["number", "number"],
];

export class Search {
  readonly el: HTMLElement;
  readonly field: HTMLInputElement;
  private readonly mode: HTMLSelectElement;
  private readonly sort: HTMLSelectElement;
  private readonly layer: HTMLSelectElement;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private layers = "";

  /** down: the keyboard goes on into the list. */
  constructor(
    private readonly ask: (query: Query) => void,
    private readonly open: (spot: Spot) => void,
    down: () => void,
    signal: AbortSignal,
  ) {
    const now = () => this.now();
    const select = (label: string, options: readonly (readonly [string, string])[]) =>
      h(
        "select",
        { class: "iw-input", attrs: { "aria-label": label }, on: { change: now } },
        ...options.map(([value, text]) => h("option", { attrs: { value } }, text)),
      );
    this.mode = select("Search by", MODES);
    this.mode.addEventListener("change", () => {
      this.field.placeholder = PLACEHOLDERS[this.mode.value as Mode];
    });
    this.sort = select("Order", SORTS);
    this.layer = select("Layer", [["", "all layers"]]);
    this.field = h("input", {
      class: "iw-input iw-f-field",
      attrs: { type: "search", placeholder: PLACEHOLDERS.label, "aria-label": "Find features" },
      on: {
        input: () => {
          clearTimeout(this.timer);
          this.timer = setTimeout(now, PAUSE_MS);
        },
        keydown: (event) => {
          if (event.isComposing) return;
          if (event.key === "Enter") this.enter();
          else if (event.key === "ArrowDown") down();
          else if (event.key === "Escape" && this.field.value !== "") this.clear();
          else return;
          event.preventDefault();
        },
      },
    });
    this.el = h(
      "div",
      { class: "iw-f-search", attrs: { role: "search" } },
      h("div", { class: "iw-f-searchline" }, this.mode, this.field),
      h("div", { class: "iw-f-searchline" }, this.layer, this.sort),
    );
    signal.addEventListener("abort", () => clearTimeout(this.timer));
  }

  get query(): Query {
    const layer = this.layer.value;
    return {
      text: this.field.value,
      mode: this.mode.value as Mode,
      sort: this.sort.value as Sort,
      layer: layer === "" ? null : Number(layer),
      rows: PAGE,
    };
  }

  /** Put in what was asked for elsewhere; the order is that of the answer, of all layers. */
  set(text: string, mode: Mode): Query {
    clearTimeout(this.timer);
    this.field.value = text;
    this.mode.value = mode;
    this.sort.value = "match";
    this.layer.value = "";
    this.field.placeholder = PLACEHOLDERS[mode];
    return this.query;
  }

  setLive(live: Live): void {
    const key = live.layers.map(({ layer }) => layer).join(" ");
    if (key === this.layers) return;
    this.layers = key;
    this.layer.replaceChildren(
      h("option", { attrs: { value: "" } }, "all layers"),
      ...live.layers.map(({ layer }) => h("option", { attrs: { value: layer } }, `layer ${layer}`)),
    );
  }

  private now(): void {
    clearTimeout(this.timer);
    this.ask(this.query);
  }

  private clear(): void {
    this.field.value = "";
    this.now();
  }

  private enter(): void {
    const spot = parseSpot(this.field.value);
    if (spot && this.mode.value === "label") this.open(spot);
    else this.now();
  }
}
